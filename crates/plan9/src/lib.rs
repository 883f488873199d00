//! Directories of the host for virtual machines: a server of 9P2000.L, the dialect that Linux speaks.
//!
//! ```text
//!  program in the guest                                          directory of the host
//!   │                                                             ▲ openat2(2), one name at a time
//!  v9fs ── mount -t 9p -o trans=fd ──▶ stream ──▶ serve() ── Session
//! ```
//!
//! The pieces, from the outside in:
//!
//! 1. [`Share`], [`Shares`]: what is shared, and under which names.
//! 2. [`serve()`]: one connection of a guest, until it ends. It blocks, so it has a thread of its own.
//! 3. `session`: what each request does to the files that the guest holds by number (fids).
//! 4. `node`: a file below a share, held by an `O_PATH` descriptor; the only code that gives names to the kernel.
//! 5. `wire`, `message`, `reply`: bytes as requests, and answers as bytes.
//!
//! # Trust
//!
//! The guest is hostile: every byte of a request is. All that it sends is bounded and checked; a message that breaks
//! the framing ends its connection. What it may do with files is decided by the kernel, by the user and the
//! capabilities of the serving thread: a caller of [`serve()`] gives that thread no more rights than the owner of the
//! share has.
//!
//! A guest leaves no share:
//!
//! - It names one entry of a directory at a time. Names with a slash or a NUL, and `.`, are refused.
//! - Each is opened by `openat2(2)` with `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` and `RESOLVE_NO_MAGICLINKS`. A
//!   symbolic link is held as itself, and never followed on the host; the guest reads its text and follows that among
//!   its own files.
//! - `..` is the directory that the guest came from, and at the root of a share the root. The kernel of the host is not
//!   asked.
//! - Only regular files and directories are opened. FIFOs, sockets and devices are seen, and the guest's kernel has its
//!   own.
//! - A directory that is [`Covered`] is not entered (`EACCES`); neither it nor one above it is moved (`EBUSY`).
//! - Nothing is created but regular files, directories, symbolic and hard links, without set-user-ID and set-group-ID
//!   bits.
//!
//! # What this crate does not do
//!
//! It opens no path that it was not given, starts no thread, writes no log and has no unsafe code. It has no extended
//! attributes and no authentication. Locks are kept by the kernel of the guest alone: programs of the host do not see
//! them. Each request is answered before the next one is read.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod message;
mod node;
mod reply;
mod serve;
mod session;
mod share;
mod wire;

pub use serve::{ServeError, serve};
pub use share::{Covered, Share, Shares};
