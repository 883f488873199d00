//! What can go wrong.
//!
//! 1. [`StorageError`]: every failure of this crate.
//! 2. [`Refusal`]: the closed list of what is refused, each with what was found and what was expected.
//! 3. [`shown`]: names from archives, safe for terminals and logs.

use std::{borrow::Cow, error::Error, io, time::Duration};

use rustix::io::Errno;

/// A failure of this crate. Causes are in `source`, not in the text.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Input asks for what is not given.
    #[error("{what}: {refusal}")]
    Refused {
        /// The entry, file or stream: a path as [`shown`].
        what: String,
        /// Why.
        refusal: Refusal,
    },
    /// A stream could not be read or written.
    #[error("{action} failed")]
    Stream {
        /// What was being done: "reading the archive".
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a step.
    #[error("{action} {path:?} failed")]
    Step {
        /// What was being done: "making the directory".
        action: &'static str,
        /// To which file, as [`shown`].
        path: String,
        /// What the kernel answered.
        #[source]
        errno: Errno,
    },
}

/// Why input is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A path that starts at the root of the host.
    #[error("its path is absolute; a path of a layer is relative to the root of the layer")]
    AbsolutePath,
    /// A path with `..`.
    #[error("its path has `..`, which leads out of the layer")]
    Traversal,
    /// A path without a name, or a name that no file can have.
    #[error("its path is not one that a file can have: {0}")]
    BadPath(&'static str),
    /// More names in a path than allowed.
    #[error("its path has more than {limit} names, the limit of depth")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A path that leads through a symbolic link or a file.
    #[error("its path leads through something that is not a directory of this layer")]
    NotBelowDirectory,
    /// The same path for a second time.
    #[error("an earlier entry has the same path")]
    Duplicate,
    /// A hard link to a path that is not in the layer.
    #[error("it is a hard link to {target:?}, which is outside of the layer")]
    LinkOutside {
        /// The target, as [`shown`].
        target: String,
    },
    /// A hard link to a path that no earlier entry has, or to a directory.
    #[error("it is a hard link to {target:?}, which is no earlier file of this layer")]
    LinkToNothing {
        /// The target, as [`shown`].
        target: String,
    },
    /// A mark that deletes the root of the layer, its own directory or a directory above.
    #[error("it marks {name:?} as deleted, which is not a file in its directory")]
    WhiteoutOfParent {
        /// The name, as [`shown`].
        name: String,
    },
    /// A mark of a deleted file that is no empty file.
    #[error("a mark of a deleted file has to be an empty file")]
    BadWhiteout,
    /// A name that is kept for marks of deleted files.
    #[error("names that start with `.wh.` are marks of deleted files, and no file can have them")]
    ReservedName,
    /// A device node, without the right to make one.
    #[error("it is a device node, which needs root")]
    DeviceNode,
    /// The device that overlayfs takes for a deleted file.
    #[error(
        "it is device 0/0, which stands for a deleted file on disk; an archive says `.wh.NAME`"
    )]
    WhiteoutDevice,
    /// A device number beyond those of Linux.
    #[error("device {major}/{minor} does not exist on Linux")]
    DeviceNumber {
        /// Its major number.
        major: u64,
        /// Its minor number.
        minor: u64,
    },
    /// A file that runs with the rights of its owner, without root.
    #[error("it is a set-user-ID or set-group-ID file, or has file capabilities, which needs root")]
    SetId,
    /// An attribute with which an overlay would show other files than the layer has.
    #[error("attribute {name:?} is overlayfs' own")]
    OverlayAttribute {
        /// The attribute, as [`shown`].
        name: String,
    },
    /// An attribute that a layer cannot have.
    #[error("attribute {name:?} is none that a layer may have")]
    Attribute {
        /// The attribute, as [`shown`].
        name: String,
    },
    /// A file of a mount inside of a folder.
    #[error("it is on another file system than the folder; unmount it, or import it apart")]
    OtherFileSystem,
    /// A file that changes while it is read.
    #[error("it changes while it is read; stop what writes to it")]
    Changed,
    /// More bytes than allowed.
    #[error("there are more than {limit} bytes, the limit of size")]
    TooManyBytes {
        /// The limit.
        limit: u64,
    },
    /// More entries than allowed.
    #[error("there are more than {limit} entries, the limit of files")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// More bytes of names and attributes than allowed.
    #[error("names and attributes have more than {limit} bytes, the limit of metadata")]
    TooMuchMetadata {
        /// The limit.
        limit: u64,
    },
    /// More time than allowed.
    #[error("it takes longer than {limit:?}, the limit of time")]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// A stream that is no archive, or a damaged one.
    #[error("it is no valid archive: {0}")]
    BadArchive(&'static str),
    /// A kind of entry that layers do not have.
    #[error("entries of type {kind:?} are not supported")]
    EntryType {
        /// The type flag.
        kind: char,
    },
    /// A compression that is not supported.
    #[error("{0} compression is not supported; use gzip, zstd or none")]
    Compression(&'static str),
    /// A document that is not what it should be.
    #[error("it is no valid document: {0}")]
    BadDocument(String),
    /// A folder without an image.
    #[error(
        "it has neither `oci-layout` nor `manifest.json`, so it is no image; `hcs image import` makes one of a root file system"
    )]
    NoLayout,
    /// A file that an image layout has to have.
    #[error("it is missing")]
    Missing,
    /// Something else in place of a file.
    #[error("it is not a regular file")]
    NoFile,
    /// A layer that is compressed in another way than its manifest says.
    #[error("its media type is {kind:?}, and it is compressed in another way")]
    OtherCompression {
        /// The media type.
        kind: String,
    },
    /// Only images for other machines.
    #[error("it has no image for {wanted}, but for {found}")]
    NoPlatform {
        /// The machine that was asked for.
        wanted: String,
        /// Those that there are images for.
        found: String,
    },
    /// A text that is no kind of machine.
    #[error(
        "{text:?} is no kind of machine; expected linux/ARCH or linux/ARCH/VARIANT, as linux/arm64 or linux/arm/v7"
    )]
    BadPlatform {
        /// The text, as [`shown`].
        text: String,
    },
    /// A text that is no name of an image.
    #[error("{name:?} is no name of an image; expected NAME[:TAG] of letters, digits and `._-/`")]
    BadName {
        /// The text, as [`shown`].
        name: String,
    },
    /// An image that is not there.
    #[error("there is no such image in the store")]
    NoImage,
    /// An image that is there and damaged.
    #[error(
        "it is damaged in the store: {why}; `hcs image pull` or `hcs image load` gets it again, `hcs image remove` removes it"
    )]
    Broken {
        /// What is wrong with it.
        why: String,
    },
    /// A store whose index cannot be read.
    #[error(
        "it is damaged: {why}; `hcs image repair` makes it again, of a copy and of the contents that are there"
    )]
    BrokenIndex {
        /// What is wrong with it.
        why: String,
    },
    /// First digits of an id, and too few of them.
    #[error(
        "it is the start of an image's id; expected a name, or at least {least} digits of an id"
    )]
    ShortId {
        /// The fewest digits.
        least: usize,
    },
    /// First digits of several ids.
    #[error("several images have an id that starts so: {ids}; give more digits")]
    AmbiguousId {
        /// Some of the ids.
        ids: String,
    },
    /// More images than expected.
    #[error("there are more images than one may have here")]
    ManyImages,
    /// A store, or a directory, that another process uses.
    #[error("another process uses it: {holders}; try again when it is done, or end that process")]
    InUse {
        /// Processes that have a lock of it.
        holders: String,
    },
    /// An image that containers use.
    #[error("containers use it: {systems}; end them first")]
    Used {
        /// Their ids.
        systems: String,
    },
    /// Layers of which none is in the store.
    #[error("none of the layers of the container is a directory in it")]
    NoLayer,
    /// A layer that is attached.
    #[error("it is attached; detach it first")]
    Attached,
    /// A layer that is not attached.
    #[error("it is not attached")]
    NotAttached,
    /// A directory that is no writable layer.
    #[error("it is no writable layer; HcsInitializeWritableLayer makes one")]
    NotWritable,
    /// A directory that is a writable layer before it is made one.
    #[error("it is a writable layer already")]
    AlreadyWritable,
    /// A directory that is to become a layer and has files.
    #[error("it is not empty; expected an empty directory, or none")]
    NotEmpty,
    /// A layer that a container writes to.
    #[error("a container uses it, or another call; try again when that has ended")]
    LayerInUse,
    /// A layer with a mount in it.
    #[error("{point:?} in it is a mount; unmount that first")]
    HasMounts {
        /// Where, as [`shown`].
        point: String,
    },
    /// A layer whose path leads to another directory by now.
    #[error(
        "another directory came to its place meanwhile, and was left alone; look which one is there"
    )]
    Replaced,
    /// A file that is no virtual disk.
    #[error("it is no virtual disk that can be used: {0}")]
    NoDisk(&'static str),
    /// A virtual disk of a kind that is not used.
    #[error("it is a virtual disk of a kind that is not supported: {0}")]
    OtherDisk(&'static str),
    /// A virtual disk without a file system of ours.
    #[error("it is not formatted as a writable layer: {0}; HcsFormatWritableLayerVhd formats it")]
    NoVolume(&'static str),
    /// A virtual disk that the kernel or a virtual machine has.
    #[error(
        "it is mounted, a disk of a virtual machine, or locked by another program; end that first"
    )]
    DiskInUse,
    /// A virtual disk that is not mounted.
    #[error("it is not mounted")]
    NotMounted,
    /// A virtual disk that another user could change below the kernel.
    #[error(
        "to be mounted it has to belong to root, and must not be writable by others (chown root, chmod go-w)"
    )]
    OthersDisk,
    /// A disk that the kernel would read, and containers may write.
    #[error(
        "a container has the tree that it lies in mapped writable, or had, or the file has a second name: so the file system \
         could be changed below the kernel; copy it (cp) to a directory that no container gets writable"
    )]
    ContainersDisk,
    /// The same of a disk that is mapped by itself.
    #[error(
        "a container has it mapped writable, or had, and could change the file system below the kernel; when no container \
         has it any more and you know what is in it, take its mark away (setfattr -x trusted.hcs.written FILE)"
    )]
    MappedDisk,
    /// A program that is not there.
    #[error("{program} is not on this host; install the package {package}")]
    NoProgram {
        /// The program.
        program: &'static str,
        /// The package of Debian that has it.
        package: &'static str,
    },
    /// A file system that could not be made.
    #[error("mkfs.ext4 failed: {said}")]
    NotFormatted {
        /// The last line that it said, as [`shown`].
        said: String,
    },
    /// A host without loop devices.
    #[error("the host has no loop devices; load the module of the kernel (modprobe loop)")]
    NoLoopDevices,
    /// A writable layer on a file system in which an overlay cannot write.
    #[error(
        "an overlay cannot write to its file system: {0}; use a directory of ext4, xfs, btrfs or tmpfs"
    )]
    Unfit(&'static str),
    /// A writable layer above nothing.
    #[error("it has no parent layers; name at least one")]
    NoParents,
    /// More layers than one mount can have.
    #[error("{found} parent layers are more than one mount can have; join some of them")]
    TooManyParents {
        /// How many there are.
        found: usize,
    },
    /// A store that another user could change.
    #[error(
        "it has to belong to this user (a directory above a store: or to root), and must not be writable by others"
    )]
    OthersPlace,
    /// A text that is no digest.
    #[error("it is no digest; expected `sha256:` and 64 lowercase hexadecimal digits")]
    BadDigest,
    /// A content that is not what was announced.
    #[error("its digest is {found}; expected {expected}")]
    WrongDigest {
        /// What was announced.
        expected: String,
        /// What the content has.
        found: String,
    },
    /// A content shorter or longer than announced.
    #[error("it has {found} bytes; expected {expected}")]
    WrongSize {
        /// What was announced.
        expected: u64,
        /// What the content has, or at least has.
        found: u64,
    },
}

impl StorageError {
    /// A refusal of `what`, which is shown safely.
    pub(crate) fn refused(what: &[u8], refusal: Refusal) -> Self {
        Self::Refused {
            what: shown(&by_name(what)),
            refusal,
        }
    }

    /// A failed step on `path`.
    pub(crate) fn step(action: &'static str, path: &[u8], errno: Errno) -> Self {
        Self::Step {
            action,
            path: shown(&by_name(path)),
            errno,
        }
    }

    /// A failed stream; what a reader below it refused is a refusal of `what`.
    pub(crate) fn stream(action: &'static str, what: &str, source: io::Error) -> Self {
        match refusal_in(&source) {
            Some(refusal) => Self::Refused {
                what: what.to_owned(),
                refusal: refusal.clone(),
            },
            None => Self::Stream { action, source },
        }
    }

    /// The refusal, where it is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}

/// For readers, whose errors are those of [`io`]; [`StorageError::stream`] takes it out again.
impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        Self::other(refusal)
    }
}

/// The refusal that `error` was made from, at whatever depth.
fn refusal_in(error: &io::Error) -> Option<&Refusal> {
    let mut next: Option<&(dyn Error + 'static)> =
        error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let Some(error) = next {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal);
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Bytes of a name that are shown.
const SHOWN: usize = 256;

/// A path below a descriptor, with the name that the directory has.
fn by_name(path: &[u8]) -> Cow<'_, [u8]> {
    const DESCRIPTORS: &[u8] = b"/proc/self/fd/";
    let Some(below) = path.strip_prefix(DESCRIPTORS) else {
        return path.into();
    };
    let end = below.iter().position(|byte| *byte == b'/');
    let (number, rest) = below.split_at(end.unwrap_or(below.len()));
    let link = [DESCRIPTORS, number].concat();
    match rustix::fs::readlink(&*link, Vec::new()) {
        Ok(name) => [name.as_bytes(), rest].concat().into(),
        Err(_) => path.into(),
    }
}

/// A name from an archive, safe to show: no control characters, and not too long.
#[must_use]
pub fn shown(name: &[u8]) -> String {
    let mut text: String = String::from_utf8_lossy(&name[..name.len().min(SHOWN)])
        .chars()
        .flat_map(|c| {
            let control = c.is_control();
            let escaped = control.then(|| c.escape_default());
            escaped.into_iter().flatten().chain((!control).then_some(c))
        })
        .collect();
    if name.len() > SHOWN {
        text.push_str("...");
    }
    if text.is_empty() {
        ".".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_control_characters() {
        assert_eq!(shown(b"a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(shown("größe".as_bytes()), "größe");
        assert_eq!(shown(&[b'x'; 400]).len(), SHOWN + 3);
        assert_eq!(shown(b""), ".");
    }

    #[test]
    fn a_refusal_is_found_below_other_errors() {
        let inner = io::Error::from(Refusal::Traversal);
        let outer = io::Error::other(io::Error::other(inner));
        let error = StorageError::stream("reading", "the archive", outer);
        assert_eq!(error.refusal(), Some(&Refusal::Traversal));
    }
}
