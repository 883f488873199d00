//! Requests of a guest.

use crate::wire::{Malformed, Reader};

/// Bytes before the body of each message: its size, its kind and its tag.
pub(crate) const HEADER: u32 = 7;

/// The most names of one walk.
pub(crate) const MOST_NAMES: u16 = 16;

/// The fid that means none.
pub(crate) const NO_FID: u32 = u32::MAX;

/// Kinds of requests; the kind of an answer is one more.
pub(crate) mod kind {
    pub(crate) const ERROR: u8 = 6;
    pub(crate) const STATFS: u8 = 8;
    pub(crate) const LOPEN: u8 = 12;
    pub(crate) const LCREATE: u8 = 14;
    pub(crate) const SYMLINK: u8 = 16;
    pub(crate) const MKNOD: u8 = 18;
    pub(crate) const RENAME: u8 = 20;
    pub(crate) const READLINK: u8 = 22;
    pub(crate) const GETATTR: u8 = 24;
    pub(crate) const SETATTR: u8 = 26;
    pub(crate) const READDIR: u8 = 40;
    pub(crate) const FSYNC: u8 = 50;
    pub(crate) const LOCK: u8 = 52;
    pub(crate) const GETLOCK: u8 = 54;
    pub(crate) const LINK: u8 = 70;
    pub(crate) const MKDIR: u8 = 72;
    pub(crate) const RENAMEAT: u8 = 74;
    pub(crate) const UNLINKAT: u8 = 76;
    pub(crate) const VERSION: u8 = 100;
    pub(crate) const ATTACH: u8 = 104;
    pub(crate) const FLUSH: u8 = 108;
    pub(crate) const WALK: u8 = 110;
    pub(crate) const READ: u8 = 116;
    pub(crate) const WRITE: u8 = 118;
    pub(crate) const CLUNK: u8 = 120;
    pub(crate) const REMOVE: u8 = 122;
}

/// What is to be changed of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Which of the others count, as bits.
    pub(crate) valid: u32,
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) size: u64,
    /// Seconds and nanoseconds.
    pub(crate) read_at: (u64, u64),
    pub(crate) written_at: (u64, u64),
}

/// A range of a file that is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range<'a> {
    pub(crate) kind: u8,
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) process: u32,
    pub(crate) client: &'a [u8],
}

/// A request. What this server never uses of it (user names, groups of new files) is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan9Request<'a> {
    Version {
        size: u32,
        version: &'a [u8],
    },
    Attach {
        fid: u32,
        auth: u32,
        name: &'a [u8],
    },
    Flush,
    Walk {
        fid: u32,
        new: u32,
        names: Vec<&'a [u8]>,
    },
    Clunk {
        fid: u32,
    },
    Remove {
        fid: u32,
    },
    StatFs {
        fid: u32,
    },
    GetAttr {
        fid: u32,
    },
    SetAttr {
        fid: u32,
        changes: Changes,
    },
    Open {
        fid: u32,
        flags: u32,
    },
    Create {
        fid: u32,
        name: &'a [u8],
        flags: u32,
        mode: u32,
    },
    Read {
        fid: u32,
        at: u64,
        count: u32,
    },
    Write {
        fid: u32,
        at: u64,
        data: &'a [u8],
    },
    ReadDir {
        fid: u32,
        at: u64,
        count: u32,
    },
    Sync {
        fid: u32,
        data_only: bool,
    },
    ReadLink {
        fid: u32,
    },
    Symlink {
        fid: u32,
        name: &'a [u8],
        target: &'a [u8],
    },
    Link {
        directory: u32,
        fid: u32,
        name: &'a [u8],
    },
    MakeNode {
        fid: u32,
        name: &'a [u8],
        mode: u32,
    },
    MakeDir {
        fid: u32,
        name: &'a [u8],
        mode: u32,
    },
    Rename {
        fid: u32,
        directory: u32,
        name: &'a [u8],
    },
    RenameAt {
        from: u32,
        name: &'a [u8],
        to: u32,
        new: &'a [u8],
    },
    UnlinkAt {
        fid: u32,
        name: &'a [u8],
        flags: u32,
    },
    Lock {
        fid: u32,
    },
    GetLock {
        fid: u32,
        range: Range<'a>,
    },
    /// A kind that this server does not have: authentication, extended attributes, and whatever is no kind.
    Unknown,
}

/// Reads the body of a request.
///
/// # Errors
/// It is shorter or longer than its kind says, or has too many names.
pub(crate) fn parse(kind: u8, body: &[u8]) -> Result<Plan9Request<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let request = match kind {
        kind::VERSION..=kind::REMOVE => parse_basic(kind, &mut reader)?,
        kind::STATFS..=kind::FSYNC => parse_file(kind, &mut reader)?,
        _ => parse_names(kind, &mut reader)?,
    };
    // Nothing of it was read.
    if request != Plan9Request::Unknown {
        reader.end()?;
    }
    Ok(request)
}

/// The requests that all dialects have.
fn parse_basic<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Plan9Request<'a>, Malformed> {
    Ok(match kind {
        kind::VERSION => Plan9Request::Version {
            size: reader.u32()?,
            version: reader.text()?,
        },
        kind::ATTACH => {
            let (fid, auth) = (reader.u32()?, reader.u32()?);
            let (_user, name) = (reader.text()?, reader.text()?);
            let _number_of_user = reader.u32()?;
            Plan9Request::Attach { fid, auth, name }
        }
        kind::FLUSH => {
            // Each request is answered before the next one is read, so that one has its answer.
            let _tag = reader.u16()?;
            Plan9Request::Flush
        }
        kind::WALK => Plan9Request::Walk {
            fid: reader.u32()?,
            new: reader.u32()?,
            names: match reader.u16()? {
                count if count > MOST_NAMES => return Err(Malformed),
                count => (0..count)
                    .map(|_| reader.text())
                    .collect::<Result<_, _>>()?,
            },
        },
        kind::READ => Plan9Request::Read {
            fid: reader.u32()?,
            at: reader.u64()?,
            count: reader.u32()?,
        },
        kind::WRITE => {
            let (fid, at, count) = (reader.u32()?, reader.u64()?, reader.u32()?);
            let data = reader.bytes(usize::try_from(count).map_err(|_| Malformed)?)?;
            Plan9Request::Write { fid, at, data }
        }
        kind::CLUNK => Plan9Request::Clunk { fid: reader.u32()? },
        kind::REMOVE => Plan9Request::Remove { fid: reader.u32()? },
        _ => Plan9Request::Unknown,
    })
}

/// The requests of Linux that are about one file.
fn parse_file<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Plan9Request<'a>, Malformed> {
    Ok(match kind {
        kind::STATFS => Plan9Request::StatFs { fid: reader.u32()? },
        kind::LOPEN => Plan9Request::Open {
            fid: reader.u32()?,
            flags: reader.u32()?,
        },
        kind::LCREATE => {
            let (fid, name) = (reader.u32()?, reader.text()?);
            let (flags, mode, _group) = (reader.u32()?, reader.u32()?, reader.u32()?);
            Plan9Request::Create {
                fid,
                name,
                flags,
                mode,
            }
        }
        kind::SYMLINK => {
            let (fid, name, target) = (reader.u32()?, reader.text()?, reader.text()?);
            let _group = reader.u32()?;
            Plan9Request::Symlink { fid, name, target }
        }
        kind::MKNOD => {
            let (fid, name, mode) = (reader.u32()?, reader.text()?, reader.u32()?);
            let (_major, _minor, _group) = (reader.u32()?, reader.u32()?, reader.u32()?);
            Plan9Request::MakeNode { fid, name, mode }
        }
        kind::RENAME => Plan9Request::Rename {
            fid: reader.u32()?,
            directory: reader.u32()?,
            name: reader.text()?,
        },
        kind::READLINK => Plan9Request::ReadLink { fid: reader.u32()? },
        kind::GETATTR => {
            let (fid, _mask) = (reader.u32()?, reader.u64()?);
            Plan9Request::GetAttr { fid }
        }
        kind::SETATTR => Plan9Request::SetAttr {
            fid: reader.u32()?,
            changes: Changes {
                valid: reader.u32()?,
                mode: reader.u32()?,
                user: reader.u32()?,
                group: reader.u32()?,
                size: reader.u64()?,
                read_at: (reader.u64()?, reader.u64()?),
                written_at: (reader.u64()?, reader.u64()?),
            },
        },
        kind::READDIR => Plan9Request::ReadDir {
            fid: reader.u32()?,
            at: reader.u64()?,
            count: reader.u32()?,
        },
        kind::FSYNC => Plan9Request::Sync {
            fid: reader.u32()?,
            data_only: reader.u32()? != 0,
        },
        _ => Plan9Request::Unknown,
    })
}

/// The requests of Linux that are about locks, and about names in directories.
fn parse_names<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Plan9Request<'a>, Malformed> {
    Ok(match kind {
        kind::LOCK => {
            let fid = reader.u32()?;
            let (_kind, _flags, _start, _length) =
                (reader.u8()?, reader.u32()?, reader.u64()?, reader.u64()?);
            let (_process, _client) = (reader.u32()?, reader.text()?);
            Plan9Request::Lock { fid }
        }
        kind::GETLOCK => Plan9Request::GetLock {
            fid: reader.u32()?,
            range: Range {
                kind: reader.u8()?,
                start: reader.u64()?,
                length: reader.u64()?,
                process: reader.u32()?,
                client: reader.text()?,
            },
        },
        kind::LINK => Plan9Request::Link {
            directory: reader.u32()?,
            fid: reader.u32()?,
            name: reader.text()?,
        },
        kind::MKDIR => {
            let (fid, name, mode) = (reader.u32()?, reader.text()?, reader.u32()?);
            let _group = reader.u32()?;
            Plan9Request::MakeDir { fid, name, mode }
        }
        kind::RENAMEAT => Plan9Request::RenameAt {
            from: reader.u32()?,
            name: reader.text()?,
            to: reader.u32()?,
            new: reader.text()?,
        },
        kind::UNLINKAT => Plan9Request::UnlinkAt {
            fid: reader.u32()?,
            name: reader.text()?,
            flags: reader.u32()?,
        },
        _ => Plan9Request::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::encode;

    fn name() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..40)
    }

    proptest! {
        #[test]
        fn requests_are_read_as_they_were_written(
            (fid, other, number) in (any::<u32>(), any::<u32>(), any::<u32>()),
            (at, size) in (any::<u64>(), any::<u64>()),
            names in proptest::collection::vec(name(), 2..17),
            data in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let (name, new) = (names[0].as_slice(), names[1].as_slice());
            let changes = Changes {
                valid: number, mode: fid, user: other, group: number, size, read_at: (at, size), written_at: (size, at),
            };
            let range = Range { kind: 1, start: at, length: size, process: number, client: name };
            let all = [
                Plan9Request::Version { size: number, version: name },
                Plan9Request::Attach { fid, auth: other, name },
                Plan9Request::Flush,
                Plan9Request::Walk { fid, new: other, names: names.iter().map(Vec::as_slice).collect() },
                Plan9Request::Clunk { fid },
                Plan9Request::Remove { fid },
                Plan9Request::StatFs { fid },
                Plan9Request::GetAttr { fid },
                Plan9Request::SetAttr { fid, changes },
                Plan9Request::Open { fid, flags: number },
                Plan9Request::Create { fid, name, flags: number, mode: other },
                Plan9Request::Read { fid, at, count: number },
                Plan9Request::Write { fid, at, data: &data },
                Plan9Request::ReadDir { fid, at, count: number },
                Plan9Request::Sync { fid, data_only: number % 2 == 0 },
                Plan9Request::ReadLink { fid },
                Plan9Request::Symlink { fid, name, target: new },
                Plan9Request::Link { directory: other, fid, name },
                Plan9Request::MakeNode { fid, name, mode: number },
                Plan9Request::MakeDir { fid, name, mode: number },
                Plan9Request::Rename { fid, directory: other, name },
                Plan9Request::RenameAt { from: fid, name, to: other, new },
                Plan9Request::UnlinkAt { fid, name, flags: number },
                Plan9Request::Lock { fid },
                Plan9Request::GetLock { fid, range },
            ];
            for request in all {
                let (kind, body) = encode(&request);
                prop_assert_eq!(parse(kind, &body), Ok(request));
                let longer = [body.as_slice(), &[0]].concat();
                prop_assert_eq!(parse(kind, &longer), Err(Malformed));
                let shorter = &body[..body.len() - 1];
                prop_assert_eq!(parse(kind, shorter), Err(Malformed));
            }
        }

        #[test]
        fn any_bytes_are_survived(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _any = parse(kind, &body);
        }
    }

    #[test]
    fn a_walk_has_a_limit() {
        let names = vec![b"a".as_slice(); usize::from(MOST_NAMES) + 1];
        let (kind, body) = encode(&Plan9Request::Walk {
            fid: 0,
            new: 1,
            names,
        });
        assert_eq!(parse(kind, &body), Err(Malformed));
    }
}
