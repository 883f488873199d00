//! Files as a tar stream: packed from a tree, unpacked below a directory and nowhere else.
//!
//! `hcs cp` uses it on both sides: on the host as the calling user, and inside a container as the program that the
//! agent starts for a process with `Archive` in its document. Either side may be fed by a hostile one.
//!
//! 1. `name`: the paths that a stream may name; [`top_name`]. `error`: [`ArchiveError`].
//! 2. [`Reader`]: a stream cut into entries, with bounded memory. `writer`: its counterpart.
//! 3. `below`: the only way to files; nothing there follows a symbolic link or leaves the directory it began with.
//! 4. [`pack()`]: a file or a tree into a stream.
//! 5. `destination`: where the files of a stream go. [`unpack()`]: puts them there.
//!
//! **What a stream cannot do**: write outside of its destination, or beside the name that was asked for; write through
//! a symbolic link, an existing file or a hard link to one; make a device; on the host, make a setuid or setgid file;
//! take memory without bound, or more bytes and files than its reader allows. Symbolic links are made as they are and
//! not followed, so what uses the copy later should not follow them either. Zeros take no space on disk, whatever size
//! a file claims; other data does.
//!
//! **What is not carried**: extended attributes, access control lists, sockets, and times below a second.

mod below;
mod destination;
mod error;
mod name;
mod pack;
mod reader;
mod unpack;
mod writer;

pub use destination::Target;
pub use error::ArchiveError;
pub use name::top_name;
pub use pack::pack;
pub use reader::{Entry, Kind, Reader};
pub use unpack::{Options, unpack};

/// Takes a sentence about something that was left out, while the work goes on.
pub type Notes<'a> = &'a mut dyn FnMut(String);
