//! Entries from and to tar streams.
//!
//! 1. [`entry`]: one file, link, directory or mark of a deleted file, whatever the archive's dialect.
//! 2. [`path`]: its path, which never leads out of the layer.
//! 3. [`header`]: the block of 512 bytes before each entry.
//! 4. [`pax`]: extended headers, for what the block has no room for.
//! 5. [`access_list`]: access lists, as text and as attributes.
//! 6. [`sparse`]: files with holes, in the dialects of GNU tar.
//! 7. [`whiteout`]: names that mark deleted files.
//! 8. [`read`]: the reader, which bounds all that it keeps.
//! 9. [`mod@write`]: the writer, of which the same entries always make the same bytes.

mod access_list;
pub mod entry;
mod header;
pub mod path;
mod pax;
pub mod read;
mod sparse;
mod whiteout;
pub mod write;

pub use entry::{Entry, Kind, Timestamp};
pub use path::EntryPath;
pub use read::TarReader;
pub use write::TarWriter;

pub(crate) use whiteout::{is_reserved, mark};

/// Bytes of a block: headers and contents begin at multiples of it.
const BLOCK: usize = 512;

/// Bytes that fill the last block of `size` bytes.
const fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
