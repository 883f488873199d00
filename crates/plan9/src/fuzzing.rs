//! What the fuzz targets (`fuzz/`) and the tests reach: requests as bytes, and a session on a directory.
//!
//! Compiled for tests and with `--cfg fuzzing` only.

use std::{os::fd::OwnedFd, sync::Arc};

use crate::{
    message::{HEADER, Plan9Request, kind, parse},
    session::Session,
    share::{Share, Shares},
    wire::Writer,
};

/// One share, under any name.
#[derive(Clone, Debug)]
pub struct One(pub Arc<Share>);

impl Shares for One {
    fn find(&self, _name: &[u8]) -> Option<Arc<Share>> {
        Some(Arc::clone(&self.0))
    }
}

/// Requests that a guest sends about the directory `root`: pieces of a kind, a length and that many bytes. A version is
/// agreed on and the root is attached as fid 0 before.
///
/// # Panics
/// An answer is no message, or is longer than what was agreed on.
pub fn requests(root: OwnedFd, read_only: bool, mut bytes: &[u8]) {
    let Ok(share) = Share::new(root, read_only) else {
        return;
    };
    let mut session = Session::new(One(Arc::new(share)));
    let version = Plan9Request::Version {
        size: 8192,
        version: b"9P2000.L",
    };
    let attach = Plan9Request::Attach {
        fid: 0,
        auth: u32::MAX,
        name: b"",
    };
    for request in [version, attach] {
        let (kind, body) = encode(&request);
        let _answer = session.answer(kind, 0, &body);
    }
    while let [kind, length, rest @ ..] = bytes {
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        let answer = session.answer(*kind, 1, body);
        let size = u32::from_le_bytes([answer[0], answer[1], answer[2], answer[3]]);
        assert_eq!(usize::try_from(size), Ok(answer.len()));
        assert!(size >= HEADER && size <= session.size().max(8192));
        // What was read can be written again and is the same.
        if let Ok(request) = parse(*kind, body)
            && request != Plan9Request::Unknown
        {
            let (again, written) = encode(&request);
            assert_eq!(parse(again, &written), Ok(request));
        }
    }
}

/// The kind and the body of a request.
pub(crate) fn encode(request: &Plan9Request<'_>) -> (u8, Vec<u8>) {
    let mut to = Writer::default();
    let kind = basic(request, &mut to)
        .or_else(|| file(request, &mut to))
        .or_else(|| names(request, &mut to));
    (kind.unwrap_or(kind::ERROR), to.0)
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or_default()
}

fn basic(request: &Plan9Request<'_>, to: &mut Writer) -> Option<u8> {
    Some(match request {
        Plan9Request::Version { size, version } => {
            to.u32(*size).text(version);
            kind::VERSION
        }
        Plan9Request::Attach { fid, auth, name } => {
            to.u32(*fid).u32(*auth).text(b"root").text(name).u32(0);
            kind::ATTACH
        }
        Plan9Request::Flush => {
            to.u16(1);
            kind::FLUSH
        }
        Plan9Request::Walk { fid, new, names } => {
            let count = u16::try_from(names.len()).unwrap_or_default();
            to.u32(*fid).u32(*new).u16(count);
            for name in names {
                to.text(name);
            }
            kind::WALK
        }
        Plan9Request::Clunk { fid } => {
            to.u32(*fid);
            kind::CLUNK
        }
        Plan9Request::Remove { fid } => {
            to.u32(*fid);
            kind::REMOVE
        }
        Plan9Request::Read { fid, at, count } => {
            to.u32(*fid).u64(*at).u32(*count);
            kind::READ
        }
        Plan9Request::Write { fid, at, data } => {
            to.u32(*fid).u64(*at).u32(length(data));
            to.0.extend(*data);
            kind::WRITE
        }
        _ => return None,
    })
}

fn file(request: &Plan9Request<'_>, to: &mut Writer) -> Option<u8> {
    Some(match request {
        Plan9Request::StatFs { fid } => {
            to.u32(*fid);
            kind::STATFS
        }
        Plan9Request::GetAttr { fid } => {
            to.u32(*fid).u64(0x7ff);
            kind::GETATTR
        }
        Plan9Request::SetAttr { fid, changes } => {
            to.u32(*fid).u32(changes.valid).u32(changes.mode);
            to.u32(changes.user).u32(changes.group).u64(changes.size);
            for (seconds, nanoseconds) in [changes.read_at, changes.written_at] {
                to.u64(seconds).u64(nanoseconds);
            }
            kind::SETATTR
        }
        Plan9Request::Open { fid, flags } => {
            to.u32(*fid).u32(*flags);
            kind::LOPEN
        }
        Plan9Request::Create {
            fid,
            name,
            flags,
            mode,
        } => {
            to.u32(*fid).text(name).u32(*flags).u32(*mode).u32(0);
            kind::LCREATE
        }
        Plan9Request::ReadDir { fid, at, count } => {
            to.u32(*fid).u64(*at).u32(*count);
            kind::READDIR
        }
        Plan9Request::Sync { fid, data_only } => {
            to.u32(*fid).u32(u32::from(*data_only));
            kind::FSYNC
        }
        Plan9Request::ReadLink { fid } => {
            to.u32(*fid);
            kind::READLINK
        }
        Plan9Request::Symlink { fid, name, target } => {
            to.u32(*fid).text(name).text(target).u32(0);
            kind::SYMLINK
        }
        Plan9Request::MakeNode { fid, name, mode } => {
            to.u32(*fid).text(name).u32(*mode).u32(0).u32(0).u32(0);
            kind::MKNOD
        }
        Plan9Request::Rename {
            fid,
            directory,
            name,
        } => {
            to.u32(*fid).u32(*directory).text(name);
            kind::RENAME
        }
        _ => return None,
    })
}

fn names(request: &Plan9Request<'_>, to: &mut Writer) -> Option<u8> {
    Some(match request {
        Plan9Request::Link {
            directory,
            fid,
            name,
        } => {
            to.u32(*directory).u32(*fid).text(name);
            kind::LINK
        }
        Plan9Request::MakeDir { fid, name, mode } => {
            to.u32(*fid).text(name).u32(*mode).u32(0);
            kind::MKDIR
        }
        Plan9Request::RenameAt {
            from,
            name,
            to: target,
            new,
        } => {
            to.u32(*from).text(name).u32(*target).text(new);
            kind::RENAMEAT
        }
        Plan9Request::UnlinkAt { fid, name, flags } => {
            to.u32(*fid).text(name).u32(*flags);
            kind::UNLINKAT
        }
        Plan9Request::Lock { fid } => {
            to.u32(*fid)
                .u8(0)
                .u32(0)
                .u64(0)
                .u64(0)
                .u32(1)
                .text(b"guest");
            kind::LOCK
        }
        Plan9Request::GetLock { fid, range } => {
            to.u32(*fid).u8(range.kind).u64(range.start);
            to.u64(range.length).u32(range.process).text(range.client);
            kind::GETLOCK
        }
        _ => return None,
    })
}
