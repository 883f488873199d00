//! Import and export of layers.
//!
//! 1. [`import`]: a tar stream or a folder becomes a layer, whole or not at all.
//! 2. [`mod@export`]: a layer, or what a scratch directory holds beyond its layers, becomes a tar stream.
//! 3. [`unpack`]: entries become files below one directory, by `openat2` alone.
//! 4. [`walk`]: files become entries, in an order that depends on names only.
//! 5. [`attributes`]: which extended attributes a layer has; marks of overlayfs among them.
//! 6. [`content`]: bytes of a file, with holes where they are zero.
//! 7. [`staging`]: the directory of an import that is not whole yet; [`mod@remove`] is its end.
//! 8. [`folder`]: an export as a folder, and what an import takes.
//! 9. [`writable`]: what is written above layers, attached and detached; [`mounts`] says whether it is.
//! 10. [`mod@destroy`]: the end of a layer.
//!
//! A layer does not keep sockets, access and change times, labels of security modules, and file flags.

mod attributes;
mod content;
mod destroy;
pub mod export;
mod folder;
pub mod import;
mod mounts;
mod remove;
mod staging;
mod unpack;
mod walk;
pub mod writable;

use std::{io::Read, ops::AddAssign};

use hcs_wire::environment::is_root;

use crate::{Limits, StorageError, tar::Entry};

pub use destroy::destroy;
pub use export::{Exported, export};
pub use folder::{export_to_folder, import_from};
pub use import::{Expected, Imported, import_folder, import_tar};
pub(crate) use import::{import_metered, import_within};
pub use remove::{remove, remove_tree};
pub use staging::sweep;
pub(crate) use staging::{Entrance, Staging};
#[cfg(fuzzing)]
pub(crate) use unpack::Unpacker;

/// How a layer is imported.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the archive may cost.
    pub limits: Limits,
    /// What its files may be.
    pub rights: Rights,
}

impl Options {
    /// The default limits, and the rights of this process.
    #[must_use]
    pub fn of_caller() -> Self {
        Self {
            limits: Limits::default(),
            rights: Rights::of_caller(),
        }
    }
}

/// What the files of a layer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Root: every owner, device nodes, set-user-ID files, file capabilities.
    Root,
    /// An ordinary user. All files belong to that user, owners of an archive are not kept on disk; as root of a user
    /// namespace (`unshare --map-root-user --map-auto`) files get those owners that the namespace has.
    User(Special),
    /// Contents alone, for archives that are read and then removed: files and directories of this user, without any
    /// attribute of theirs.
    Content,
}

/// What an ordinary user gets of device nodes, set-user-ID and set-group-ID files, and file capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A layer that has them is refused.
    Refuse,
    /// They are left out: device nodes as a whole, of files the bits and capabilities. [`Omitted`] counts them.
    Omit,
}

impl Rights {
    /// Those of this process. An ordinary user refuses what only root can have.
    #[must_use]
    pub fn of_caller() -> Self {
        if is_root() {
            Self::Root
        } else {
            Self::User(Special::Refuse)
        }
    }
}

/// The attributes in which overlayfs keeps its marks; which it uses is up to the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// `trusted.overlay.*`: mounts by root.
    Trusted,
    /// `user.overlay.*`: mounts with `userxattr`, as in user namespaces.
    User,
}

impl Marks {
    /// Those of mounts by this process.
    #[must_use]
    pub fn of_caller() -> Self {
        if is_root() { Self::Trusted } else { Self::User }
    }
}

/// What was not taken over, with its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Files whose owner was not kept: the user does not have it.
    pub owners: u64,
    /// Device nodes.
    pub devices: u64,
    /// Files that lost set-user-ID, set-group-ID or capabilities.
    pub set_id: u64,
    /// Attributes that layers do not keep, or that name a user whom this user does not have.
    pub attributes: u64,
    /// Sockets.
    pub sockets: u64,
}

impl AddAssign for Omitted {
    fn add_assign(&mut self, other: Self) {
        self.owners += other.owners;
        self.devices += other.devices;
        self.set_id += other.set_id;
        self.attributes += other.attributes;
        self.sockets += other.sockets;
    }
}

/// Takes entries: a layer on disk, or an archive.
pub(crate) trait Sink {
    /// Takes `entry`, whose content is in `content`.
    fn take(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StorageError>;
}
