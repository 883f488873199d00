//! [`Session`]: the files that a guest holds on one connection, and what its requests do to them.
//!
//! `data`: bytes of files, and entries of directories. `change`: what changes a share.

mod change;
mod data;

use std::{collections::BTreeMap, os::fd::OwnedFd, rc::Rc, sync::Arc};

use rustix::{
    fs::{FileType, OFlags, Stat, fstatfs},
    io::Errno,
};

use crate::{
    message::{MOST_NAMES, NO_FID, Plan9Request, Range, parse},
    node::{Budget, Node},
    reply::{Qid, Reply},
    share::{Share, Shares},
};

/// The longest message before a version was agreed on, and the shortest that may be the longest.
pub(crate) const FIRST_SIZE: u32 = 8192;
const LEAST_SIZE: u32 = 4096;
/// The longest message.
const MOST_SIZE: u32 = 512 << 10;
/// Files that a guest can hold.
const MOST_FIDS: usize = 2048;
/// The same with the directories above them.
const MOST_NODES: usize = 4096;

const VERSION: &[u8] = b"9P2000.L";
const OTHER_VERSION: &[u8] = b"unknown";

/// What 9P calls its file system.
const MAGIC: u32 = 0x0102_1997;
/// All that `stat(2)` tells.
const BASIC: u64 = 0x7ff;

/// What of the flags of an open file counts, as Linux numbers them.
const ACCESS: u32 = 3;
const WRITE_ONLY: u32 = 1;
const READ_WRITE: u32 = 2;
const EXCLUSIVE: u32 = 0o200;
const TRUNCATE: u32 = 0o1000;

/// The answer to a lock that was got, and the kind of a lock that is none.
const LOCKED: u8 = 0;
const UNLOCKED: u8 = 2;

/// Bits of a qid's path that are not the inode's number.
const DEVICE_SHIFT: u32 = 56;

/// A file that the guest holds.
#[derive(Clone, Debug)]
struct Fid {
    share: Arc<Share>,
    node: Rc<Node>,
    /// Once it is open.
    file: Option<Rc<OwnedFd>>,
}

impl Fid {
    fn writable(&self) -> Result<&Rc<Node>, Errno> {
        match self.share.is_read_only() {
            true => Err(Errno::ROFS),
            false => Ok(&self.node),
        }
    }

    fn file(&self) -> Result<&OwnedFd, Errno> {
        self.file.as_deref().ok_or(Errno::BADF)
    }
}

/// What a guest holds on one connection.
#[derive(Debug)]
pub(crate) struct Session<S> {
    shares: S,
    /// The longest message; 0 before a version was agreed on.
    size: u32,
    fids: BTreeMap<u32, Fid>,
    budget: Budget,
    /// Devices that files of shares lie on; inodes of two may have the same number.
    devices: Vec<u64>,
}

impl<S: Shares> Session<S> {
    pub(crate) fn new(shares: S) -> Self {
        Self {
            shares,
            size: 0,
            fids: BTreeMap::new(),
            budget: Budget::new(MOST_NODES),
            devices: Vec::new(),
        }
    }

    /// The longest message that was agreed on.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// The answer to a request.
    pub(crate) fn answer(&mut self, kind: u8, tag: u16, body: &[u8]) -> Vec<u8> {
        let mut reply = Reply::new(tag);
        let done = match parse(kind, body) {
            Ok(request) => self.act(request, &mut reply),
            Err(_) => Err(Errno::PROTO),
        };
        reply.finish(kind, done)
    }

    fn act(&mut self, request: Plan9Request<'_>, reply: &mut Reply) -> Result<(), Errno> {
        if self.size == 0 && !matches!(request, Plan9Request::Version { .. }) {
            return Err(Errno::PROTO);
        }
        match request {
            Plan9Request::Version { size, version } => self.version(size, version, reply),
            Plan9Request::Attach { fid, auth, name } => self.attach(fid, auth, name, reply),
            Plan9Request::Flush => Ok(()),
            Plan9Request::Walk { fid, new, names } => self.walk(fid, new, &names, reply),
            Plan9Request::Clunk { fid } => self.fids.remove(&fid).map(drop).ok_or(Errno::BADF),
            Plan9Request::StatFs { fid } => self.stat_fs(fid, reply),
            Plan9Request::GetAttr { fid } => self.get_attr(fid, reply),
            Plan9Request::Open { fid, flags } => self.open(fid, flags, reply),
            Plan9Request::ReadLink { fid } => {
                let target = self.fid(fid)?.node.target()?;
                reply.body.text(&target);
                Ok(())
            }
            Plan9Request::Read { fid, at, count } => self.read(fid, at, count, reply),
            Plan9Request::Write { fid, at, data } => self.write(fid, at, data, reply),
            Plan9Request::ReadDir { fid, at, count } => self.read_dir(fid, at, count, reply),
            Plan9Request::Sync { fid, data_only } => self.sync(fid, data_only),
            Plan9Request::Lock { fid } => self.lock(fid, reply),
            Plan9Request::GetLock { fid, range } => self.get_lock(fid, range, reply),
            Plan9Request::Unknown => Err(Errno::OPNOTSUPP),
            change => self.change(&change, reply),
        }
    }

    /// A file that the guest holds, of a share that is still there.
    fn fid(&self, fid: u32) -> Result<&Fid, Errno> {
        let found = self.fids.get(&fid).ok_or(Errno::BADF)?;
        match found.share.is_withdrawn() {
            true => Err(Errno::STALE),
            false => Ok(found),
        }
    }

    fn insert(&mut self, number: u32, fid: Fid) -> Result<(), Errno> {
        if number == NO_FID || self.fids.contains_key(&number) {
            return Err(Errno::INVAL);
        }
        if self.fids.len() >= MOST_FIDS {
            return Err(Errno::MFILE);
        }
        self.fids.insert(number, fid);
        Ok(())
    }

    fn version(&mut self, size: u32, version: &[u8], reply: &mut Reply) -> Result<(), Errno> {
        // Whatever was before is over.
        self.fids.clear();
        if size < LEAST_SIZE {
            return Err(Errno::INVAL);
        }
        let known = version == VERSION;
        self.size = if known { size.min(MOST_SIZE) } else { 0 };
        let version = if known { VERSION } else { OTHER_VERSION };
        reply.body.u32(size.min(MOST_SIZE)).text(version);
        Ok(())
    }

    fn attach(&mut self, fid: u32, auth: u32, name: &[u8], reply: &mut Reply) -> Result<(), Errno> {
        if auth != NO_FID {
            return Err(Errno::INVAL);
        }
        let share = self.shares.find(name);
        let share = share.filter(|share| !share.is_withdrawn());
        let share = share.ok_or(Errno::NOENT)?;
        let node = Node::root(&share, &self.budget)?;
        let about = node.about()?;
        let file = None;
        self.insert(fid, Fid { share, node, file })?;
        reply.qid(self.qid(&about));
        Ok(())
    }

    fn walk(
        &mut self,
        fid: u32,
        new: u32,
        names: &[&[u8]],
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let from = self.fid(fid)?;
        if new == fid && from.file.is_some() {
            return Err(Errno::BADF);
        }
        let (share, mut node) = (Arc::clone(&from.share), Rc::clone(&from.node));
        let mut qids = Vec::new();
        for name in names.iter().take(MOST_NAMES.into()) {
            let stepped = node.step(name, &self.budget);
            match stepped.and_then(|next| Ok((next.about()?, next))) {
                Ok((about, next)) => {
                    qids.push(self.qid(&about));
                    node = next;
                }
                Err(errno) if qids.is_empty() => return Err(errno),
                // The guest sees by the number of answers how far it came.
                Err(_) => break,
            }
        }
        if qids.len() == names.len() {
            if new == fid {
                self.fids.remove(&fid);
            }
            let file = None;
            self.insert(new, Fid { share, node, file })?;
        }
        reply
            .body
            .u16(u16::try_from(qids.len()).unwrap_or_default());
        for qid in qids {
            reply.qid(qid);
        }
        Ok(())
    }

    fn open(&mut self, fid: u32, flags: u32, reply: &mut Reply) -> Result<(), Errno> {
        let found = self.fid(fid)?;
        if found.file.is_some() {
            return Err(Errno::BADF);
        }
        let access = access(flags, &found.share)?;
        let (file, about) = (found.node.open(access)?, found.node.about()?);
        if let Some(found) = self.fids.get_mut(&fid) {
            found.file = Some(Rc::new(file));
        }
        // No limit of its own for one read or write.
        reply.qid(self.qid(&about)).body.u32(0);
        Ok(())
    }

    fn get_attr(&mut self, fid: u32, reply: &mut Reply) -> Result<(), Errno> {
        let about = self.fid(fid)?.node.about()?;
        let qid = self.qid(&about);
        reply.body.u64(BASIC);
        let body = &mut reply.qid(qid).body;
        body.u32(about.st_mode)
            .u32(about.st_uid)
            .u32(about.st_gid)
            .u64(number(about.st_nlink))
            .u64(number(about.st_rdev))
            .u64(number(about.st_size))
            .u64(number(about.st_blksize))
            .u64(number(about.st_blocks))
            .u64(number(about.st_atime))
            .u64(number(about.st_atime_nsec))
            .u64(number(about.st_mtime))
            .u64(number(about.st_mtime_nsec))
            .u64(number(about.st_ctime))
            .u64(number(about.st_ctime_nsec));
        // Neither a time of birth nor a generation nor a version of the data.
        body.u64(0).u64(0).u64(0).u64(0);
        Ok(())
    }

    fn stat_fs(&self, fid: u32, reply: &mut Reply) -> Result<(), Errno> {
        let about = fstatfs(self.fid(fid)?.node.descriptor())?;
        let block = u32::try_from(number(about.f_bsize)).unwrap_or(LEAST_SIZE);
        reply
            .body
            .u32(MAGIC)
            .u32(block)
            .u64(number(about.f_blocks))
            .u64(number(about.f_bfree))
            .u64(number(about.f_bavail))
            .u64(number(about.f_files))
            .u64(number(about.f_ffree))
            .u64(0)
            .u32(255);
        Ok(())
    }

    /// The guest's kernel has kept the lock among its own programs.
    fn lock(&self, fid: u32, reply: &mut Reply) -> Result<(), Errno> {
        self.fid(fid)?.file()?;
        reply.body.u8(LOCKED);
        Ok(())
    }

    fn get_lock(&self, fid: u32, range: Range<'_>, reply: &mut Reply) -> Result<(), Errno> {
        self.fid(fid)?.file()?;
        reply
            .body
            .u8(UNLOCKED)
            .u64(range.start)
            .u64(range.length)
            .u32(range.process)
            .text(range.client);
        Ok(())
    }

    /// How the guest tells this file from others.
    fn qid(&mut self, about: &Stat) -> Qid {
        let changed = number(about.st_mtime) ^ number(about.st_size) << 8;
        Qid {
            kind: kind(FileType::from_raw_mode(about.st_mode)),
            version: u32::try_from(changed & u64::from(u32::MAX)).unwrap_or_default(),
            path: self.path(about.st_dev, about.st_ino),
        }
    }

    fn path(&mut self, device: u64, inode: u64) -> u64 {
        let known = self.devices.iter().position(|known| *known == device);
        let most = usize::from(u8::MAX);
        let index = known.unwrap_or_else(|| {
            // More devices than that are taken for one.
            if self.devices.len() < most {
                self.devices.push(device);
            }
            self.devices.len() - 1
        });
        inode ^ u64::try_from(index).unwrap_or_default() << DEVICE_SHIFT
    }
}

/// The kind of a file in a qid.
fn kind(file_type: FileType) -> u8 {
    match file_type {
        FileType::Directory => 0x80,
        FileType::Symlink => 2,
        _ => 0,
    }
}

/// How a file is to be opened. Appending is left to the guest, which says where it writes.
fn access(flags: u32, share: &Share) -> Result<OFlags, Errno> {
    let access = match flags & ACCESS {
        0 => OFlags::RDONLY,
        WRITE_ONLY => OFlags::WRONLY,
        READ_WRITE => OFlags::RDWR,
        _ => return Err(Errno::INVAL),
    };
    let truncates = flags & TRUNCATE != 0;
    if share.is_read_only() && (access != OFlags::RDONLY || truncates) {
        return Err(Errno::ROFS);
    }
    let truncate = if truncates {
        OFlags::TRUNC
    } else {
        OFlags::empty()
    };
    Ok(access | truncate)
}

/// A number of the kernel's; what is negative, as times before 1970 are, goes as it stands.
fn number<T: TryInto<i128>>(number: T) -> u64 {
    let number = number.try_into().unwrap_or_default();
    u64::try_from(number & i128::from(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
