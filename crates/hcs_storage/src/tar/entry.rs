//! One file, link, directory or mark of a deleted file.

use std::collections::BTreeMap;

use super::path::EntryPath;

/// One entry of a layer. Its content, where it has one, passes apart from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is below the root of the layer.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Permissions with set-user-ID, set-group-ID and sticky bit (`0o7777`). Symbolic links have none of their own.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content was changed.
    pub mtime: Timestamp,
    /// Extended attributes, with their full names: `user.x`, `security.capability`.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with so many bytes.
    File {
        /// Bytes, holes included.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link. Its target is kept as it is; where it leads is up to the container, in which it is followed.
    Symlink {
        /// What it says.
        target: Vec<u8>,
    },
    /// Another name of an earlier file.
    HardLink {
        /// The earlier path.
        target: EntryPath,
    },
    /// A character device.
    Character(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
    /// A mark: the file at this path is deleted. It has no attributes.
    Whiteout,
    /// A mark: the directory at this path shows nothing of the layers below. It has no attributes.
    Opaque,
}

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The driver, at most 12 bits.
    pub major: u32,
    /// The unit, at most 20 bits.
    pub minor: u32,
}

impl Device {
    /// What overlayfs takes for a deleted file.
    pub(crate) const WHITEOUT: Self = Self { major: 0, minor: 0 };
}

/// A time since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1 000 000 000.
    pub nanoseconds: u32,
}
