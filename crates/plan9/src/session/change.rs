//! What changes a share. A share that is read-only has none of it.

use std::rc::Rc;

use rustix::{
    fs::{FileType, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, ftruncate, renameat},
    io::Errno,
};

use super::{EXCLUSIVE, Fid, Session, access};
use crate::{
    message::{Changes, Plan9Request},
    reply::Reply,
    share::Shares,
};

/// Which values of [`Changes`] count.
const MODE: u32 = 1;
const USER: u32 = 1 << 1;
const GROUP: u32 = 1 << 2;
const SIZE: u32 = 1 << 3;
const READ_TIME: u32 = 1 << 4;
const WRITE_TIME: u32 = 1 << 5;
const READ_TIME_GIVEN: u32 = 1 << 7;
const WRITE_TIME_GIVEN: u32 = 1 << 8;

/// `AT_REMOVEDIR`.
const REMOVE_DIRECTORY: u32 = 0x200;

impl<S: Shares> Session<S> {
    pub(super) fn change(
        &mut self,
        request: &Plan9Request<'_>,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        match *request {
            Plan9Request::SetAttr { fid, changes } => set_attr(self.fid(fid)?, changes),
            Plan9Request::Create {
                fid,
                name,
                flags,
                mode,
            } => self.create(fid, name, (flags, mode), reply),
            Plan9Request::Symlink { fid, name, target } => {
                let directory = self.fid(fid)?.writable()?;
                directory.make_link(name, target, &self.budget)?;
                self.tell(fid, name, reply)
            }
            Plan9Request::MakeDir { fid, name, mode } => {
                let directory = self.fid(fid)?.writable()?;
                directory.make_directory(name, mode, &self.budget)?;
                self.tell(fid, name, reply)
            }
            Plan9Request::MakeNode { fid, name, mode } => self.make_node(fid, name, mode, reply),
            Plan9Request::Link {
                directory,
                fid,
                name,
            } => {
                let (from, to) = self.pair(fid, directory)?;
                from.node.link_to(&to.node, name)
            }
            Plan9Request::Rename {
                fid,
                directory,
                name,
            } => {
                let (from, to) = self.pair(fid, directory)?;
                let (parent, old) = from.node.found_in(&self.budget)?;
                let new = to.node.new_entry(name)?;
                parent.check_movable(old)?;
                to.node.check_movable(new)?;
                let (old_place, new_place) = (parent.directory()?, to.node.directory()?);
                renameat(old_place, old, new_place, new)
            }
            Plan9Request::RenameAt {
                from,
                name,
                to,
                new,
            } => {
                let (from, to) = self.pair(from, to)?;
                let (old, new) = (from.node.entry(name)?, to.node.new_entry(new)?);
                from.node.check_movable(old)?;
                to.node.check_movable(new)?;
                let (old_place, new_place) = (from.node.directory()?, to.node.directory()?);
                renameat(old_place, old, new_place, new)
            }
            Plan9Request::UnlinkAt { fid, name, flags } => {
                let directory = self.fid(fid)?.writable()?;
                directory.unlink(name, flags & REMOVE_DIRECTORY != 0)
            }
            Plan9Request::Remove { fid } => {
                let removed = self.fid(fid).and_then(|found| {
                    let node = found.writable()?;
                    let (parent, name) = node.found_in(&self.budget)?;
                    parent.unlink(name, node.is_directory())
                });
                // It is given up in any case.
                self.fids.remove(&fid);
                removed
            }
            _ => Err(Errno::OPNOTSUPP),
        }
    }

    /// Two files of one share that may be changed.
    fn pair(&self, one: u32, other: u32) -> Result<(&Fid, &Fid), Errno> {
        let (one, other) = (self.fid(one)?, self.fid(other)?);
        if !std::sync::Arc::ptr_eq(&one.share, &other.share) {
            return Err(Errno::XDEV);
        }
        one.writable()?;
        Ok((one, other))
    }

    /// Answers with what is `name` in a directory now.
    fn tell(&mut self, fid: u32, name: &[u8], reply: &mut Reply) -> Result<(), Errno> {
        let made = self.fid(fid)?.node.step(name, &self.budget)?;
        let about = made.about()?;
        reply.qid(self.qid(&about));
        Ok(())
    }

    fn create(
        &mut self,
        number: u32,
        name: &[u8],
        (flags, mode): (u32, u32),
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let fid = self.fid(number)?;
        if fid.file.is_some() {
            return Err(Errno::BADF);
        }
        let (directory, access) = (fid.writable()?, access(flags, &fid.share)?);
        let made = match directory.create(name, access, mode, &self.budget) {
            Err(Errno::EXIST) if flags & EXCLUSIVE == 0 => {
                let node = directory.step(name, &self.budget)?;
                let file = node.open(access)?;
                (node, file)
            }
            other => other?,
        };
        let (node, file) = made;
        let about = node.about()?;
        if let Some(fid) = self.fids.get_mut(&number) {
            (fid.node, fid.file) = (node, Some(Rc::new(file)));
        }
        reply.qid(self.qid(&about)).body.u32(0);
        Ok(())
    }

    /// Only a regular file: the guest's devices, FIFOs and sockets would be the host's.
    fn make_node(
        &mut self,
        fid: u32,
        name: &[u8],
        mode: u32,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let directory = self.fid(fid)?.writable()?;
        // A mode without a type is a regular file's.
        let file_type = mode & !0o7777;
        if file_type != 0 && FileType::from_raw_mode(mode) != FileType::RegularFile {
            return Err(Errno::PERM);
        }
        drop(directory.create(name, OFlags::WRONLY, mode, &self.budget)?);
        self.tell(fid, name, reply)
    }
}

fn set_attr(fid: &Fid, changes: Changes) -> Result<(), Errno> {
    let node = fid.writable()?;
    let counts = |bit: u32| changes.valid & bit != 0;
    if counts(SIZE) {
        // A file that is open for writing may be so although its permissions have changed.
        let open = fid.file.as_ref();
        let cut = open.map_or(Err(Errno::BADF), |file| ftruncate(file, changes.size));
        cut.or_else(|_| node.set_size(changes.size))?;
    }
    if counts(USER) || counts(GROUP) {
        let user = counts(USER).then_some(changes.user);
        let group = counts(GROUP).then_some(changes.group);
        node.set_owner(user, group)?;
    }
    if counts(MODE) {
        node.set_mode(changes.mode)?;
    }
    if counts(READ_TIME) || counts(WRITE_TIME) {
        node.set_times(&Timestamps {
            last_access: time(counts(READ_TIME), counts(READ_TIME_GIVEN), changes.read_at)?,
            last_modification: time(
                counts(WRITE_TIME),
                counts(WRITE_TIME_GIVEN),
                changes.written_at,
            )?,
        })?;
    }
    Ok(())
}

fn time(counts: bool, given: bool, (seconds, nanoseconds): (u64, u64)) -> Result<Timespec, Errno> {
    let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    match (counts, given) {
        (false, _) => Ok(special(UTIME_OMIT)),
        (true, false) => Ok(special(UTIME_NOW)),
        (true, true) if nanoseconds >= 1_000_000_000 => Err(Errno::INVAL),
        (true, true) => Ok(Timespec {
            tv_sec: seconds.cast_signed(),
            tv_nsec: i64::try_from(nanoseconds).map_err(|_| Errno::INVAL)?,
        }),
    }
}
