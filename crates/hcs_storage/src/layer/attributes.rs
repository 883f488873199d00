//! Extended attributes: which of them a layer has, and how they are read and set.
//!
//! Files are named by `/proc/self/fd/DIRECTORY/NAME`, because no system call takes a directory and a name here. The
//! directory is one of the caller's descriptors, and a link at NAME is not followed. What is read is named by a
//! descriptor of its own, as others may change names meanwhile.

use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use hcs_wire::written::is_mark;
use rustix::{
    fs::{XattrFlags, getxattr, listxattr, lremovexattr, lsetxattr},
    io::Errno,
};

use super::{Marks, Rights};

/// The most bytes of a value, and of a list of names, on Linux.
const MOST: usize = 64 << 10;
/// File capabilities.
pub(super) const CAPABILITY: &[u8] = b"security.capability";
const ACCESS_LISTS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is kept.
    Keep,
    /// It is left out, and counted.
    Omit,
    /// It is a file capability, which needs root.
    NeedsRoot,
    /// It belongs to overlayfs.
    Overlay,
    /// A layer cannot have it.
    Refuse,
}

/// What becomes of attribute `name` of a file made with `rights`.
pub(super) fn verdict(name: &[u8], rights: Rights) -> Verdict {
    if OVERLAY.iter().any(|prefix| name.starts_with(prefix)) {
        return Verdict::Overlay;
    }
    match name {
        CAPABILITY if rights == Rights::Root => Verdict::Keep,
        CAPABILITY => Verdict::NeedsRoot,
        _ if name.starts_with(b"user.") || is_access_list(name) => Verdict::Keep,
        _ if name.starts_with(b"trusted.") && rights == Rights::Root => Verdict::Keep,
        // Labels and measures of the host they come from.
        _ if name.starts_with(b"trusted.") || name.starts_with(b"security.") => Verdict::Omit,
        _ => Verdict::Refuse,
    }
}

/// Whether attribute `name` is an access list, which may shut out the owner of the file.
pub(super) fn is_access_list(name: &[u8]) -> bool {
    ACCESS_LISTS.contains(&name)
}

/// The marks of overlayfs on a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// A directory shows nothing of the layers below.
    pub(super) opaque: bool,
    /// An empty file stands for a deleted one.
    pub(super) whiteout: bool,
    /// The file shows the content of another one; the name of the attribute that says so.
    pub(super) elsewhere: Option<&'static str>,
}

impl Marks {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.",
            Self::User => b"user.overlay.",
        }
    }
}

/// The marks among `attributes`, of which all of overlayfs' are taken out.
pub(super) fn take_marks(attributes: &mut BTreeMap<Vec<u8>, Vec<u8>>, marks: Marks) -> Found {
    let mut found = Found::default();
    attributes.retain(|name, value| {
        match name.strip_prefix(marks.prefix()) {
            Some(b"opaque") => found.opaque |= value == b"y",
            Some(b"whiteout") => found.whiteout = true,
            Some(b"redirect") => found.elsewhere = Some("redirect"),
            Some(b"metacopy") => found.elsewhere = Some("metacopy"),
            _ => {}
        }
        !OVERLAY.iter().any(|prefix| name.starts_with(prefix))
    });
    found
}

/// Sets the mark of an opaque directory in every form that `rights` allow, so that every mount sees it.
pub(super) fn set_opaque(
    directory: BorrowedFd<'_>,
    name: &[u8],
    rights: Rights,
) -> Result<(), Errno> {
    set(directory, name, b"user.overlay.opaque", b"y")?;
    match rights {
        Rights::Root => set(directory, name, b"trusted.overlay.opaque", b"y"),
        Rights::User(_) | Rights::Content => Ok(()),
    }
}

/// Sets one attribute of the file `name` in `directory`.
pub(super) fn set(
    directory: BorrowedFd<'_>,
    name: &[u8],
    attribute: &[u8],
    value: &[u8],
) -> Result<(), Errno> {
    lsetxattr(path(directory, name), attribute, value, XattrFlags::empty())
}

/// Removes access lists that the file `name` in `directory` has from its parent.
pub(super) fn remove_access_lists(directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    for list in ACCESS_LISTS {
        match lremovexattr(path(directory, name), list) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// All attributes of `file` but the mark of this host on directories that containers write to. `file` may be a link:
/// the name in `/proc` leads to that, and not to where it leads.
pub(super) fn read(file: BorrowedFd<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut buffer = vec![0; MOST];
    let length = match listxattr(&*path, &mut buffer[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    let names = buffer[..length].to_vec();
    let mut attributes = BTreeMap::new();
    for attribute in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && !is_mark(name))
    {
        match getxattr(&*path, attribute, &mut buffer[..]) {
            Ok(length) => {
                attributes.insert(attribute.to_vec(), buffer[..length].to_vec());
            }
            // It was removed since.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(attributes)
}

fn path(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::{super::Special, *};

    #[test]
    fn what_an_archive_says_of_overlays_is_never_kept() {
        for name in [&b"trusted.overlay.redirect"[..], b"user.overlay.opaque"] {
            assert_eq!(verdict(name, Rights::Root), Verdict::Overlay);
        }
    }

    #[test]
    fn what_needs_root_is_known() {
        let user = Rights::User(Special::Refuse);
        assert_eq!(verdict(CAPABILITY, Rights::Root), Verdict::Keep);
        assert_eq!(verdict(CAPABILITY, user), Verdict::NeedsRoot);
        assert_eq!(verdict(b"trusted.x", Rights::Root), Verdict::Keep);
        assert_eq!(verdict(b"trusted.x", user), Verdict::Omit);
        assert_eq!(verdict(b"user.x", user), Verdict::Keep);
        assert_eq!(verdict(b"security.selinux", Rights::Root), Verdict::Omit);
        assert_eq!(verdict(b"btrfs.compression", Rights::Root), Verdict::Refuse);
    }

    #[test]
    fn marks_are_those_of_the_mount() {
        let all = || {
            let names = [
                &b"user.overlay.opaque"[..],
                b"trusted.overlay.redirect",
                b"user.x",
            ];
            names.map(|name| (name.to_vec(), b"y".to_vec())).into()
        };
        let mut attributes: BTreeMap<_, _> = all();
        let found = take_marks(&mut attributes, Marks::User);
        assert!(found.opaque && found.elsewhere.is_none());
        assert_eq!(attributes.into_keys().collect::<Vec<_>>(), [b"user.x"]);
        let found = take_marks(&mut all(), Marks::Trusted);
        assert!(!found.opaque && found.elsewhere == Some("redirect"));
    }
}
