//! The host's mounts, and where on its file system something is.
//!
//! A path does not say what else leads to the same directory: a file system may be mounted in several places, as a
//! whole or in part. What a mount shows is told by its device and by the directory of the file system that is its root
//! (`proc_pid_mountinfo(5)`).

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, AsRawFd},
};

use rustix::{
    fs::{AtFlags, CWD, StatxFlags, readlinkat, statx},
    io::Errno,
};

use crate::source::Identity;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    /// `major:minor` of the file system.
    device: Vec<u8>,
    /// The directory of the file system that is shown.
    root: Vec<u8>,
    /// Where.
    point: Vec<u8>,
}

/// All mounts that the process sees.
#[derive(Debug)]
pub(crate) struct MountTable(Vec<Mount>);

/// The table of the calling process.
const OWN: &str = "/proc/self/mountinfo";
/// Bytes of the table of a usual host.
const USUAL: usize = 16 << 10;

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    device: Vec<u8>,
    /// Its path on that file system.
    inner: Vec<u8>,
    /// Its path on the host.
    path: Vec<u8>,
}

impl Location {
    /// Whether both are one directory, whatever path leads to it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (&self.device, &self.inner) == (&other.device, &other.inner)
    }
}

/// How one directory is seen in the tree of another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The tree is that directory, or in it.
    Within,
    /// At these paths of the tree, relative to its top; at none if it is elsewhere.
    At(Vec<Vec<u8>>),
}

impl MountTable {
    /// Reads the table of the calling process. It is not kept from one look to the next: the kernel tells of mounts
    /// that come, go and move, but not of a directory above one that gets another name.
    ///
    /// # Errors
    /// The errno of reading it.
    pub(crate) fn read() -> Result<Self, Errno> {
        let file = File::open(OWN).map_err(|error| errno(&error))?;
        // Pieces as large as the kernel hands out: a piece costs more than what is in it.
        let mut text = Vec::with_capacity(USUAL);
        let read = file.take(u64::MAX).read_to_end(&mut text);
        read.map_err(|error| errno(&error))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &[u8]) -> Self {
        let mounts = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let _parent = fields.next()?;
            Some(Mount {
                id,
                device: fields.next()?.to_vec(),
                root: unescape(fields.next()?),
                point: unescape(fields.next()?),
            })
        });
        Self(mounts.collect())
    }

    /// Where something is mounted below the directory at `path`, relative to it; what is mounted inside another comes
    /// after that.
    pub(crate) fn points_below(&self, path: &str) -> impl Iterator<Item = &[u8]> {
        let inside = self
            .0
            .iter()
            .filter_map(|mount| below(&mount.point, path.as_bytes()));
        inside.filter(|rest| !rest.is_empty())
    }

    /// Where the open file or directory is.
    ///
    /// # Errors
    /// The errno of looking; `ENOENT` for something below no mount that the process sees.
    pub(crate) fn locate(&self, opened: impl AsFd) -> Result<Location, Errno> {
        self.examine(opened).map(|(location, _)| location)
    }

    /// The same, and which file it is.
    ///
    /// # Errors
    /// As for [`MountTable::locate`].
    pub(crate) fn examine(&self, opened: impl AsFd) -> Result<(Location, Identity), Errno> {
        let name = format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd());
        let path = readlinkat(CWD, name, Vec::new())?.into_bytes();
        let asked = StatxFlags::MNT_ID | StatxFlags::INO;
        let found = statx(&opened, "", AtFlags::EMPTY_PATH, asked)?;
        let mount = self.0.iter().find(|mount| mount.id == found.stx_mnt_id);
        let mount = mount.ok_or(Errno::NOENT)?;
        let rest = below(&path, &mount.point).ok_or(Errno::NOENT)?;
        let location = Location {
            device: mount.device.clone(),
            inner: joined(&mount.root, rest),
            path,
        };
        Ok((location, Identity::of_statx(&found)))
    }

    /// How `one` is seen in a view of `tree` that has all mounts below it.
    pub(crate) fn sight(&self, tree: &Location, one: &Location) -> Sight {
        let mut places = Vec::new();
        if tree.device == one.device {
            if below(&tree.inner, &one.inner).is_some() {
                return Sight::Within;
            }
            places.extend(below(&one.inner, &tree.inner).map(<[u8]>::to_vec));
        }
        for mount in &self.0 {
            let Some(place) = below(&mount.point, &tree.path).filter(|rest| !rest.is_empty())
            else {
                continue;
            };
            if mount.device != one.device {
                continue;
            }
            if below(&mount.root, &one.inner).is_some() {
                places.push(place.to_vec());
            } else if let Some(rest) = below(&one.inner, &mount.root) {
                places.push([place, rest].join(&b'/'));
            }
        }
        places.sort_unstable();
        places.dedup();
        Sight::At(places)
    }
}

/// What is left of `path` below `directory`: empty for the directory itself, `None` for what is elsewhere.
fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    let rest = path.strip_prefix(directory)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(b"/")
}

fn joined(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    if rest.is_empty() {
        return directory.to_vec();
    }
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    [directory, rest].join(&b'/')
}

/// Paths in the table have spaces and the like as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| {
            *byte == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        });
        match digits {
            Some(digits) => {
                let value = digits
                    .iter()
                    .fold(0_u8, |value, digit| value.wrapping_mul(8) | (digit - b'0'));
                plain.push(value);
                rest = &after[3..];
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::fs::File;

    use super::*;

    const TABLE: &str = "\
        22 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 22 0:25 / /run rw,nosuid - tmpfs tmpfs rw\n\
        31 22 0:25 /hcs /mnt/with\\040space rw - tmpfs tmpfs rw\n\
        32 22 254:0 /srv /mnt/alias rw - ext4 /dev/vda rw\n";

    fn at(device: &str, inner: &str, path: &str) -> Location {
        Location {
            device: device.into(),
            inner: inner.into(),
            path: path.into(),
        }
    }

    fn sight(tree: &Location, one: &Location) -> Sight {
        MountTable::parse(TABLE.as_bytes()).sight(tree, one)
    }

    fn places(places: &[&str]) -> Sight {
        Sight::At(
            places
                .iter()
                .map(|place| place.as_bytes().to_vec())
                .collect(),
        )
    }

    #[test]
    fn mounts_are_below_what_they_are_inside_of() {
        let table = MountTable::parse(TABLE.as_bytes());
        let below = |path| table.points_below(path).collect::<Vec<_>>();
        assert_eq!(below("/mnt"), [&b"with space"[..], b"alias"]);
        assert_eq!(below("").len(), 3);
        assert!(below("/run").is_empty() && below("/mn").is_empty());
    }

    #[test]
    fn a_directory_is_seen_wherever_its_file_system_shows_it() {
        let own = || at("0:25", "/hcs", "/run/hcs");
        assert_eq!(
            sight(&at("254:0", "/", "/"), &own()),
            places(&["mnt/with space", "run/hcs"])
        );
        assert_eq!(sight(&at("0:25", "/", "/run"), &own()), places(&["hcs"]));
        assert_eq!(
            sight(&at("254:0", "/mnt", "/mnt"), &own()),
            places(&["with space"])
        );
        assert_eq!(sight(&at("254:0", "/usr", "/usr"), &own()), places(&[]));
        let state = || at("254:0", "/srv/x/hcs.d", "/srv/x/hcs.d");
        assert_eq!(
            sight(&at("254:0", "/", "/"), &state()),
            places(&["mnt/alias/x/hcs.d", "srv/x/hcs.d"])
        );
        assert_eq!(
            sight(&at("254:0", "/srv", "/mnt/alias"), &state()),
            places(&["x/hcs.d"])
        );
        // A longer name is another name.
        assert_eq!(
            sight(&at("254:0", "/srv/x/hc", "/srv/x/hc"), &state()),
            places(&[])
        );
    }

    #[test]
    fn a_tree_may_lie_within_the_directory() {
        let own = || at("0:25", "/hcs", "/run/hcs");
        assert_eq!(sight(&own(), &own()), Sight::Within);
        assert_eq!(
            sight(&at("0:25", "/hcs/systems", "/run/hcs/systems"), &own()),
            Sight::Within
        );
        assert_eq!(
            sight(&at("0:25", "/hcs", "/mnt/with space"), &own()),
            Sight::Within
        );
    }

    #[test]
    fn what_is_open_is_located() {
        let table = MountTable::read().unwrap();
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a file");
        fs::write(&file, "").unwrap();
        let directory = table.locate(File::open(place.path()).unwrap()).unwrap();
        let file = table.locate(File::open(file).unwrap()).unwrap();
        assert_eq!(table.sight(&directory, &file), places(&["a file"]));
        assert_eq!(table.sight(&file, &directory), Sight::Within);
        let root = table.locate(File::open("/").unwrap()).unwrap();
        assert_ne!(table.sight(&root, &file), places(&[]));
    }
}
