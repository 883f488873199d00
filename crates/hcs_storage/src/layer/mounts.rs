//! What is mounted where, as this process sees it.

use std::os::fd::BorrowedFd;

use rustix::{
    fs::{AtFlags, StatxAttributes, StatxFlags, statx},
    io::Errno,
};

/// A line of `mountinfo`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its number.
    pub(super) id: u64,
    /// Where it is.
    pub(super) point: Vec<u8>,
    /// The type of its file system.
    pub(super) kind: Vec<u8>,
    /// What was said to be mounted.
    pub(super) source: Vec<u8>,
}

/// All mounts, in the order of `mountinfo`.
pub(super) fn all() -> Result<Vec<Mount>, Errno> {
    let text = std::fs::read("/proc/self/mountinfo");
    let text = text.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(read).collect())
}

/// The mount of which `directory` is the root, where it is one.
pub(super) fn rooted_at(directory: BorrowedFd<'_>) -> Result<Option<Mount>, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let found = statx(directory, c"", flags, StatxFlags::MNT_ID)?;
    if !found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(None);
    }
    let all = all()?.into_iter();
    Ok(all.rev().find(|mount| mount.id == found.stx_mnt_id))
}

/// A mount below the directory `path`, where there is one.
pub(super) fn below(path: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let inside = [path, b"/"].concat();
    let mut all = all()?.into_iter();
    Ok(all.find_map(|mount| mount.point.starts_with(&inside).then_some(mount.point)))
}

fn read(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let point = plain(fields.nth(3)?);
    // Behind the options stand any number of further fields, which end with a dash.
    fields.find(|field| *field == b"-")?;
    Some(Mount {
        id,
        point,
        kind: plain(fields.next()?),
        source: plain(fields.next()?),
    })
}

/// A field without its escapes: a backslash and three octal digits.
fn plain(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| after.get(..3).and_then(octal));
        match escaped.flatten() {
            Some(byte) => {
                text.push(byte);
                rest = &after[3..];
            }
            None => {
                text.push(*first);
                rest = after;
            }
        }
    }
    text
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_escapes_and_optional_fields() {
        let line =
            br"36 35 98:0 /mnt1 /mnt\0402\134 rw,noatime master:1 shared:2 - overlay hcs-layer rw";
        let mount = Mount {
            id: 36,
            point: b"/mnt 2\\".to_vec(),
            kind: b"overlay".to_vec(),
            source: b"hcs-layer".to_vec(),
        };
        assert_eq!(read(line), Some(mount));
        assert_eq!(read(b"36 35 98:0 / /mnt rw"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn the_root_of_a_mount_is_told_from_other_directories() {
        let root = std::fs::File::open("/proc").unwrap();
        let mount = rooted_at(std::os::fd::AsFd::as_fd(&root)).unwrap();
        assert_eq!(mount.unwrap().kind, b"proc");
        let inner = std::fs::File::open("/proc/self").unwrap();
        assert_eq!(rooted_at(std::os::fd::AsFd::as_fd(&inner)).unwrap(), None);
        assert_eq!(below(b"/proc/self/nothing").unwrap(), None);
    }
}
