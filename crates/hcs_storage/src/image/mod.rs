//! Images: a store of them, and the ways in and out.
//!
//! 1. [`document`]: the JSON documents of the OCI image specification, as far as they matter here.
//! 2. [`name`]: names of images. 3. [`source`]: files of a foreign image layout, read without leaving it.
//! 4. [`blobs`]: contents by their digests. 5. [`store`]: the place on disk, its locks and its index.
//! 6. [`load`]: images of other programs, and of plain root archives. 7. [`save`]: the way back.
//! 8. [`commit`]: an image out of another one and a scratch.
//! 9. [`receive`]: an image content by content, as from a registry.
//! 10. [`lease`]: what containers use. 11. [`prune`]: removal of what no image and no container needs.
//! 12. [`platform`]: kinds of machines. 13. [`broken`]: entries that are damaged, or cannot be read here.
//! 14. [`spool`]: streams, read before the store is in use. 15. [`unfinished`]: layers of pulls that broke off.
//! 16. [`repair`]: the index made again, where it was lost. 17. [`archive`]: files of an archive, read in place.
//! 18. [`folders`]: the folders of the store, which no link leads away from.
//! 19. [`verified`]: contents of layers that are there already. 20. [`unpacked`]: layers that are not there yet.

mod archive;
mod blobs;
mod broken;
mod commit;
pub mod document;
mod folders;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod lease;
mod load;
mod name;
pub mod platform;
mod prune;
mod receive;
mod repair;
mod save;
mod source;
mod spool;
mod store;
mod unfinished;
mod unpacked;
mod verified;

pub use broken::{Broken, Survey};
pub use lease::{Wanted, give_back};
pub use load::Loaded;
pub use name::Name;
pub use prune::Pruned;
pub use receive::{Incoming, check_document};
pub use repair::Repaired;
pub use save::Format;
pub use store::{Hold, Image, Store};
