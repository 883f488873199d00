//! Layers and images of containers on disk, without any state of a service.
//!
//! A layer is a directory with files, in which deleted files are marked as overlayfs marks them. Archives of layers are
//! tar streams as the OCI image specification has them. All of them may be hostile: what an archive asks for beyond its
//! layer is refused by name, and a refused archive leaves nothing on disk.
//!
//! 1. [`error`]: what can go wrong; [`error::Refusal`] is the closed list of what is refused.
//! 2. [`limits`]: what an archive may cost.
//! 3. [`measure`]: counting and hashing of what passes; [`digest`] is the name of a content.
//! 4. [`compression`]: plain streams out of gzip and zstd.
//! 5. [`tar`]: entries from and to tar streams. The crate `tar` is not used: it reads extended headers of any size into
//!    memory, and none of the sparse formats of POSIX archives.
//! 6. [`layer`]: import and export. `few` has the rights that unpacking images keeps.
//! 7. [`image`]: a store of images, which other programs can read, and their ways in and out.
//! 8. [`disk`]: virtual disks as writable layers.
//! 9. `lock`: files that exist to be locked. `ahead` reads a source on a thread of its own.
//!
//! Functions here block, and may be called on any thread.

mod ahead;
mod beneath;
pub mod compression;
pub mod digest;
pub mod disk;
pub mod error;
mod few;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod image;
pub mod layer;
pub mod limits;
mod lock;
pub mod measure;
pub mod sys;
pub mod tar;

pub use digest::Digest;
pub use error::{Refusal, StorageError};
pub use limits::Limits;
pub use measure::Content;
