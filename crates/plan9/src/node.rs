//! A file below a share.
//!
//! 1. [`Node`]: it is held by an `O_PATH` descriptor and knows the directory that it was found in.
//! 2. [`Budget`]: how many there may be.
//! 3. [`entry`]: which names are given to the kernel.

use std::{
    cell::Cell,
    collections::BTreeSet,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    rc::Rc,
    sync::Arc,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid, chmodat,
        chownat, fstat, ftruncate, linkat, mkdirat, open, openat2, readlinkat, statat, symlinkat,
        unlinkat, utimensat,
    },
    io::Errno,
};

use crate::share::{Covered, Share};

/// The longest name of Linux.
const LONGEST_NAME: usize = 255;
/// The longest target of a symbolic link.
const LONGEST_TARGET: usize = 4095;
/// How deep directories may lie in each other: each that is above a file in use is held open.
const DEEPEST: u16 = 256;
/// Permissions that a guest can give: no set-user-ID, no set-group-ID.
const PERMISSIONS: u32 = 0o1777;
/// How often a step is tried of which the kernel cannot tell whether it stays below.
const TRIES: usize = 8;

/// How many nodes a session may have. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Rc<Cell<usize>>);

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self(Rc::new(Cell::new(most)))
    }

    fn take(&self) -> Result<Place, Errno> {
        let left = self.0.get().checked_sub(1).ok_or(Errno::MFILE)?;
        self.0.set(left);
        Ok(Place(self.clone()))
    }
}

/// One of a budget.
#[derive(Debug)]
struct Place(Budget);

impl Drop for Place {
    fn drop(&mut self) {
        let left = &self.0.0;
        left.set(left.get() + 1);
    }
}

/// A file of any type.
#[derive(Debug)]
pub(crate) struct Node {
    descriptor: OwnedFd,
    file_type: FileType,
    /// The directory that it was found in, and its name there at that time. The root of a share has none.
    parent: Option<(Rc<Self>, Vec<u8>)>,
    depth: u16,
    /// What no guest sees into.
    covered: Option<Arc<dyn Covered>>,
    /// The only entries that a guest may see. The root of a share may have such a list, no other directory has.
    only: Option<Arc<BTreeSet<Vec<u8>>>>,
    _place: Place,
}

/// Checks the name of an entry of a directory.
///
/// # Errors
/// It is empty, `.` or `..` (`EINVAL`), too long, or has a slash or a NUL.
pub(crate) fn entry(name: &[u8]) -> Result<&[u8], Errno> {
    match name {
        b"" | b"." | b".." => Err(Errno::INVAL),
        _ if name.len() > LONGEST_NAME => Err(Errno::NAMETOOLONG),
        _ if name.contains(&b'/') || name.contains(&0) => Err(Errno::INVAL),
        _ => Ok(name),
    }
}

impl Node {
    /// The root of a share.
    pub(crate) fn root(share: &Share, budget: &Budget) -> Result<Rc<Self>, Errno> {
        let place = budget.take()?;
        Ok(Rc::new(Self {
            descriptor: share.root().try_clone_to_owned().map_err(|e| from_io(&e))?,
            file_type: FileType::Directory,
            parent: None,
            depth: 0,
            covered: share.covered().map(Arc::clone),
            only: share.only().map(Arc::clone),
            _place: place,
        }))
    }

    /// The entry `name` of this directory, or for `..` the directory that it was found in.
    pub(crate) fn step(self: &Rc<Self>, name: &[u8], budget: &Budget) -> Result<Rc<Self>, Errno> {
        self.directory()?;
        if name == b".." {
            let above = self.parent.as_ref().map_or(self, |(parent, _)| parent);
            return Ok(Rc::clone(above));
        }
        let name = self.entry(name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = self.open_below(name, flags, Mode::empty())?;
        self.child(name, found, self.place_below(budget)?)
    }

    /// Whether a guest may see the entry `name` of this directory.
    pub(crate) fn shows(&self, name: &[u8]) -> bool {
        let own = matches!(name, b"." | b"..");
        own || self.only.as_ref().is_none_or(|only| only.contains(name))
    }

    /// The name of an entry of this directory, checked.
    ///
    /// # Errors
    /// As for [`entry`]; `ENOENT` for one that no guest sees.
    pub(crate) fn entry<'a>(&self, name: &'a [u8]) -> Result<&'a [u8], Errno> {
        let name = entry(name)?;
        self.shows(name).then_some(name).ok_or(Errno::NOENT)
    }

    /// The same for an entry that is to be made.
    ///
    /// # Errors
    /// As for [`entry`]; `EACCES` for one that no guest would see.
    pub(crate) fn new_entry<'a>(&self, name: &'a [u8]) -> Result<&'a [u8], Errno> {
        let name = entry(name)?;
        self.shows(name).then_some(name).ok_or(Errno::ACCESS)
    }

    /// A file that was just opened as `name` in this directory; returns it and the node for it.
    pub(crate) fn create(
        self: &Rc<Self>,
        name: &[u8],
        access: OFlags,
        mode: u32,
        budget: &Budget,
    ) -> Result<(Rc<Self>, OwnedFd), Errno> {
        self.directory()?;
        let name = self.new_entry(name)?;
        // What is refused is not made.
        let place = self.place_below(budget)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.open_below(name, flags | access, permissions(mode))?;
        let held = open(
            path_of(file.as_fd()),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok((self.child(name, held, place)?, file))
    }

    /// The place of an entry of this directory.
    fn place_below(&self, budget: &Budget) -> Result<Place, Errno> {
        match self.depth {
            DEEPEST => Err(Errno::NAMETOOLONG),
            _ => budget.take(),
        }
    }

    fn child(
        self: &Rc<Self>,
        name: &[u8],
        descriptor: OwnedFd,
        place: Place,
    ) -> Result<Rc<Self>, Errno> {
        let node = Self {
            file_type: FileType::from_raw_mode(fstat(&descriptor)?.st_mode),
            descriptor,
            parent: Some((Rc::clone(self), name.to_owned())),
            depth: self.depth + 1,
            covered: self.covered.clone(),
            only: None,
            _place: place,
        };
        node.check_shown()?;
        Ok(Rc::new(node))
    }

    /// Refuses a directory that is covered, also one that has become so since it was found.
    fn check_shown(&self) -> Result<(), Errno> {
        let Some(covered) = self.covered.as_ref().filter(|_| self.is_directory()) else {
            return Ok(());
        };
        let about = self.about()?;
        match covered.covers(about.st_dev, about.st_ino) {
            true => Err(Errno::ACCESS),
            false => Ok(()),
        }
    }

    /// Makes sure that the entry `name` of this directory may get another name, or be replaced or removed.
    ///
    /// # Errors
    /// `EBUSY`: it is covered, or something covered is in it.
    pub(crate) fn check_movable(&self, name: &[u8]) -> Result<(), Errno> {
        let Some(covered) = &self.covered else {
            return Ok(());
        };
        let name = entry(name)?;
        let about = match statat(self.directory()?, name, AtFlags::SYMLINK_NOFOLLOW) {
            // The kernel says what that means.
            Err(Errno::NOENT) => return Ok(()),
            about => about?,
        };
        let (device, inode) = (about.st_dev, about.st_ino);
        let is_directory = FileType::from_raw_mode(about.st_mode) == FileType::Directory;
        let stays = || covered.covers(device, inode) || covered.is_above(device, inode);
        match is_directory && stays() {
            true => Err(Errno::BUSY),
            false => Ok(()),
        }
    }

    fn open_below(&self, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let below = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut last = Errno::AGAIN;
        for _ in 0..TRIES {
            match openat2(&self.descriptor, name, flags, mode, below) {
                Err(again @ (Errno::AGAIN | Errno::INTR)) => last = again,
                other => return other,
            }
        }
        Err(last)
    }

    /// Opens the file itself, whatever its name is by now. FIFOs, sockets and devices are not opened.
    pub(crate) fn open(&self, access: OFlags) -> Result<OwnedFd, Errno> {
        self.check_shown()?;
        let flags = match self.file_type {
            FileType::RegularFile => access,
            FileType::Directory if access == OFlags::RDONLY => OFlags::DIRECTORY,
            FileType::Directory => return Err(Errno::ISDIR),
            FileType::Symlink => return Err(Errno::LOOP),
            _ => return Err(Errno::ACCESS),
        };
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        open(self.path(), flags, Mode::empty())
    }

    pub(crate) const fn is_directory(&self) -> bool {
        matches!(self.file_type, FileType::Directory)
    }

    /// The descriptor, for what is done with names in this directory.
    pub(crate) fn directory(&self) -> Result<BorrowedFd<'_>, Errno> {
        if !self.is_directory() {
            return Err(Errno::NOTDIR);
        }
        self.check_shown()?;
        Ok(self.descriptor.as_fd())
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub(crate) fn about(&self) -> Result<Stat, Errno> {
        fstat(&self.descriptor)
    }

    /// What `..` is in this directory.
    pub(crate) fn above(&self) -> &Self {
        self.parent.as_ref().map_or(self, |(parent, _)| parent)
    }

    /// The directory that this file was found in, and its name there, if it still is that.
    ///
    /// # Errors
    /// `BUSY` for the root of a share; `STALE` when the name is another file's by now.
    pub(crate) fn found_in(&self, budget: &Budget) -> Result<(&Rc<Self>, &[u8]), Errno> {
        let (parent, name) = self.parent.as_ref().ok_or(Errno::BUSY)?;
        let (own, there) = (self.about()?, parent.step(name, budget)?.about()?);
        match (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino) {
            true => Ok((parent, name)),
            false => Err(Errno::STALE),
        }
    }

    /// A path that leads to the file itself.
    fn path(&self) -> String {
        path_of(self.descriptor())
    }

    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        if self.file_type == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        chmodat(CWD, self.path(), permissions(mode), AtFlags::empty())
    }

    pub(crate) fn set_owner(&self, user: Option<u32>, group: Option<u32>) -> Result<(), Errno> {
        let about = self.about()?;
        // The largest number is no owner; chown(2) takes it for the one that the file has.
        let is_new = |id: &u32, now: u32| *id != now && *id != u32::MAX;
        let user = user.filter(|user| is_new(user, about.st_uid));
        let group = group.filter(|group| is_new(group, about.st_gid));
        let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
        if user.is_none() && group.is_none() {
            return Ok(());
        }
        chownat(&self.descriptor, "", user, group, AtFlags::EMPTY_PATH)
    }

    pub(crate) fn set_times(&self, times: &Timestamps) -> Result<(), Errno> {
        utimensat(CWD, self.path(), times, AtFlags::empty())
    }

    pub(crate) fn set_size(&self, size: u64) -> Result<(), Errno> {
        ftruncate(self.open(OFlags::WRONLY)?, size)
    }

    /// The target of a symbolic link.
    pub(crate) fn target(&self) -> Result<Vec<u8>, Errno> {
        match self.file_type {
            FileType::Symlink => {
                readlinkat(&self.descriptor, "", Vec::new()).map(std::ffi::CString::into_bytes)
            }
            _ => Err(Errno::INVAL),
        }
    }

    /// Makes a symbolic link, if there is a place for its node.
    pub(crate) fn make_link(
        &self,
        name: &[u8],
        target: &[u8],
        budget: &Budget,
    ) -> Result<(), Errno> {
        let _place = self.place_below(budget)?;
        match target {
            _ if target.len() > LONGEST_TARGET => Err(Errno::NAMETOOLONG),
            b"" => Err(Errno::NOENT),
            _ if target.contains(&0) => Err(Errno::INVAL),
            _ => symlinkat(target, self.directory()?, self.new_entry(name)?),
        }
    }

    /// Makes a directory, if there is a place for its node.
    pub(crate) fn make_directory(
        &self,
        name: &[u8],
        mode: u32,
        budget: &Budget,
    ) -> Result<(), Errno> {
        let _place = self.place_below(budget)?;
        mkdirat(self.directory()?, self.new_entry(name)?, permissions(mode))
    }

    /// Gives this file one more name, in `directory`.
    pub(crate) fn link_to(&self, directory: &Self, name: &[u8]) -> Result<(), Errno> {
        let (directory, name) = (directory.directory()?, directory.new_entry(name)?);
        linkat(CWD, self.path(), directory, name, AtFlags::SYMLINK_FOLLOW)
    }

    pub(crate) fn unlink(&self, name: &[u8], is_directory: bool) -> Result<(), Errno> {
        let flags = match is_directory {
            true => AtFlags::REMOVEDIR,
            false => AtFlags::empty(),
        };
        let name = self.entry(name)?;
        self.check_movable(name)?;
        unlinkat(self.directory()?, name, flags)
    }
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & PERMISSIONS)
}

/// The kernel's own link to an open file. It leads to that file and no other, whatever the guest renames meanwhile.
fn path_of(descriptor: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

fn from_io(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
