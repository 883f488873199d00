//! Entries become files below one directory.
//!
//! Each entry is made in a directory that `openat2` opens beneath the root without following any link, and under a name
//! that is not there yet; so a layer cannot reach what is outside of it, nor through links of its own. Directories get
//! their owners, permissions and times when all files are there: until then this process alone may enter them.
//!
//! 1. [`Unpacker::take`]: one entry. 2. [`Unpacker::finish`]: what directories wait for.
//! 3. [`Tree`]: which paths there are, and whether an entry or the path of another one made them.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use hcs_wire::environment::is_root;
use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, chmod,
        chownat, fchmod, fchown, futimens, linkat, makedev, mkdirat, mknodat, openat, symlinkat,
        unlinkat, utimensat,
    },
    io::Errno,
    process::geteuid,
};

use super::{
    Omitted, Rights, Sink, Special,
    attributes::{self, Verdict},
    content,
};
use crate::{
    Refusal, StorageError, beneath,
    error::shown,
    tar::{Entry, EntryPath, Kind, Timestamp, entry::Device},
};

/// Bits of a mode with which a file runs with the rights of its owner or group.
const SET_ID: u32 = 0o6000;
/// How a file of a layer is opened.
const OPEN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// Makes files of entries below a directory that belongs to this process alone.
pub(crate) struct Unpacker<'a> {
    root: BorrowedFd<'a>,
    rights: Rights,
    /// Whether this process is root of a user namespace, which gives files to those users that the namespace has.
    has_namespace: bool,
    tree: Tree,
    /// The directory of the last entry: most entries follow another one of the same directory.
    last: Option<(EntryPath, OwnedFd)>,
    omitted: Omitted,
    unnamed: Unnamed,
    chunk: content::Chunk,
}

/// Where a file is.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: BorrowedFd<'a>,
    name: &'a [u8],
    /// The file itself, where it is open: its name need not be looked up again.
    file: Option<BorrowedFd<'a>>,
}

/// Directories that were made because a path of another entry names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unnamed {
    /// How many.
    pub(crate) directories: u64,
    /// Bytes of their paths.
    pub(crate) bytes: u64,
}

/// What is at which path.
#[derive(Default)]
struct Tree {
    /// With the entry that gave it, where one has.
    directories: BTreeMap<EntryPath, Directory>,
    others: HashMap<EntryPath, Other>,
}

#[derive(Default)]
struct Directory {
    entry: Option<Entry>,
    opaque: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    File,
    Whiteout,
    /// A device node that was left out.
    Nothing,
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, rights: Rights) -> Self {
        let mut tree = Tree::default();
        tree.directories
            .insert(EntryPath::default(), Directory::default());
        Self {
            root,
            rights,
            has_namespace: matches!(rights, Rights::User(_)) && geteuid().is_root() && !is_root(),
            tree,
            last: None,
            omitted: Omitted::default(),
            unnamed: Unnamed::default(),
            chunk: content::Chunk::new(),
        }
    }

    /// What was made beside the entries since this was asked for, at most as many directories for each entry as its
    /// path has names: no entry has told their cost.
    pub(crate) fn take_unnamed(&mut self) -> Unnamed {
        std::mem::take(&mut self.unnamed)
    }

    /// Gives directories their owners, permissions and times, the deepest first; returns what was left out.
    pub(crate) fn finish(mut self) -> Result<Omitted, StorageError> {
        self.last = None;
        // In the order of bytes a directory comes before all that is in it.
        for (path, directory) in std::mem::take(&mut self.tree.directories).iter().rev() {
            self.finish_directory(path, directory)?;
        }
        Ok(self.omitted)
    }

    fn finish_directory(
        &mut self,
        path: &EntryPath,
        directory: &Directory,
    ) -> Result<(), StorageError> {
        let (parent, name) = match path.split() {
            Some((parent, name)) => (self.open(&parent)?, name),
            None => (self.open(path)?, &b"."[..]),
        };
        let failed = |errno| StorageError::step("marking the directory", path.as_bytes(), errno);
        if directory.opaque {
            attributes::set_opaque(parent.as_fd(), name, self.rights).map_err(failed)?;
        }
        // A directory that only paths of others name belongs to root, as other tools make it.
        let named = Entry {
            path: path.clone(),
            kind: Kind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: BTreeMap::new(),
        };
        let place = Place::named(parent.as_fd(), name);
        self.attributes(place, directory.entry.as_ref().unwrap_or(&named))
    }

    /// Makes the entry, whose path no entry has given yet.
    fn make(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StorageError> {
        let path = &entry.path;
        match (&entry.kind, self.tree.directories.get_mut(path)) {
            (Kind::Directory | Kind::Opaque, _) => {}
            // A directory that the layer has itself: nothing of those below shows.
            (Kind::Whiteout, Some(directory)) => {
                directory.opaque = true;
                return Ok(());
            }
            (_, Some(_)) => return Err(refused(entry, Refusal::Duplicate)),
            (_, None) => {}
        }
        match (&entry.kind, self.tree.others.get(path)) {
            (_, None) | (Kind::Directory | Kind::Opaque, Some(Other::Whiteout)) => {}
            // The file of this layer is there in place of that of a lower one.
            (Kind::Whiteout, Some(Other::File | Other::Nothing)) => return Ok(()),
            (Kind::Whiteout, Some(Other::Whiteout)) | (_, Some(Other::File | Other::Nothing)) => {
                return Err(refused(entry, Refusal::Duplicate));
            }
            (_, Some(Other::Whiteout)) => self.unmark(path)?,
        }
        match entry.kind {
            Kind::Directory | Kind::Opaque => self.directory(entry),
            _ => self.other(entry, content),
        }
    }

    fn directory(&mut self, entry: &Entry) -> Result<(), StorageError> {
        self.reach(&entry.path, entry)?;
        let directory = self.tree.directories.entry(entry.path.clone()).or_default();
        if entry.kind == Kind::Opaque {
            if std::mem::replace(&mut directory.opaque, true) {
                return Err(refused(entry, Refusal::Duplicate));
            }
        } else if directory.entry.replace(entry.clone()).is_some() {
            return Err(refused(entry, Refusal::Duplicate));
        }
        Ok(())
    }

    fn other(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StorageError> {
        let Some((parent_path, name)) = entry.path.split() else {
            return Err(refused(
                entry,
                Refusal::BadPath("only a directory can be the root"),
            ));
        };
        self.reach(&parent_path, entry)?;
        let parent = self.parent(&parent_path)?;
        let made = match &entry.kind {
            Kind::Character(device) | Kind::Block(device) => {
                let kind = match entry.kind {
                    Kind::Block(_) => FileType::BlockDevice,
                    _ => FileType::CharacterDevice,
                };
                self.device(entry, parent.as_fd(), name, kind, *device)?
            }
            Kind::Whiteout => {
                node(
                    parent.as_fd(),
                    name,
                    FileType::CharacterDevice,
                    Device::WHITEOUT,
                )
                .map_err(|errno| failed("marking as deleted", entry, errno))?;
                Other::Whiteout
            }
            Kind::HardLink { target } => {
                self.hard_link(entry, parent.as_fd(), name, target)?;
                Other::File
            }
            _ => {
                self.file(entry, parent.as_fd(), name, content)?;
                Other::File
            }
        };
        self.last = Some((parent_path, parent));
        self.tree.others.insert(entry.path.clone(), made);
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        parent: BorrowedFd<'_>,
        name: &[u8],
        content: &mut dyn Read,
    ) -> Result<(), StorageError> {
        let made = match &entry.kind {
            Kind::File { size } => return self.regular(entry, parent, name, content, *size),
            Kind::Symlink { target } => symlinkat(&**target, parent, name),
            _ => mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0),
        };
        made.map_err(|errno| failed("making", entry, errno))?;
        self.attributes(Place::named(parent, name), entry)
    }

    fn regular(
        &mut self,
        entry: &Entry,
        parent: BorrowedFd<'_>,
        name: &[u8],
        content: &mut dyn Read,
        size: u64,
    ) -> Result<(), StorageError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OPEN;
        let file = openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(|errno| failed("making", entry, errno))?;
        let written = self.chunk.write(file.as_fd(), content, size);
        written.map_err(|failure| match failure {
            content::Failed::File(errno) => failed("writing", entry, errno),
            content::Failed::Source(error) => {
                StorageError::stream("reading a file's content", &entry.path.shown(), error)
            }
            content::Failed::Short(found) => {
                let expected = size;
                refused(entry, Refusal::WrongSize { expected, found })
            }
        })?;
        let place = Place {
            file: Some(file.as_fd()),
            ..Place::named(parent, name)
        };
        self.attributes(place, entry)
    }

    fn device(
        &mut self,
        entry: &Entry,
        parent: BorrowedFd<'_>,
        name: &[u8],
        kind: FileType,
        device: Device,
    ) -> Result<Other, StorageError> {
        match self.rights {
            Rights::Root => {}
            Rights::User(Special::Refuse) | Rights::Content => {
                return Err(refused(entry, Refusal::DeviceNode));
            }
            Rights::User(Special::Omit) => {
                self.omitted.devices += 1;
                return Ok(Other::Nothing);
            }
        }
        let made = node(parent, name, kind, device);
        made.map_err(|errno| failed("making the device node", entry, errno))?;
        self.attributes(Place::named(parent, name), entry)?;
        Ok(Other::File)
    }

    fn hard_link(
        &self,
        entry: &Entry,
        parent: BorrowedFd<'_>,
        name: &[u8],
        target: &EntryPath,
    ) -> Result<(), StorageError> {
        let nothing = || {
            let target = target.shown();
            refused(entry, Refusal::LinkToNothing { target })
        };
        // Links to device nodes that were left out lead to nothing as well.
        if self.tree.others.get(target) != Some(&Other::File) {
            return Err(nothing());
        }
        let (directory, file) = target.split().ok_or_else(nothing)?;
        let directory = self.open(&directory)?;
        let linked = linkat(&directory, file, parent, name, AtFlags::empty());
        linked.map_err(|errno| failed("linking", entry, errno))
    }

    /// Makes sure that `path` is a directory of the layer, on behalf of `entry`.
    fn reach(&mut self, path: &EntryPath, entry: &Entry) -> Result<(), StorageError> {
        if self.tree.directories.contains_key(path) {
            return Ok(());
        }
        let mut parent = EntryPath::default();
        for name in path.names() {
            let path = parent.join(name);
            if !self.tree.directories.contains_key(&path) {
                let opaque = match self.tree.others.get(&path) {
                    None => false,
                    Some(Other::Whiteout) => {
                        self.unmark(&path)?;
                        true
                    }
                    Some(_) if path == entry.path => {
                        return Err(refused(entry, Refusal::Duplicate));
                    }
                    Some(_) => return Err(refused(entry, Refusal::NotBelowDirectory)),
                };
                let made = mkdirat(self.parent(&parent)?, name, Mode::RWXU);
                made.map_err(|errno| failed("making the directory of", entry, errno))?;
                if path != entry.path {
                    self.unnamed.directories += 1;
                    self.unnamed.bytes += path.as_bytes().len() as u64;
                }
                let entry = None;
                self.tree
                    .directories
                    .insert(path.clone(), Directory { entry, opaque });
            }
            parent = path;
        }
        Ok(())
    }

    /// Removes the mark at `path`: this layer has something else there.
    fn unmark(&mut self, path: &EntryPath) -> Result<(), StorageError> {
        self.tree.others.remove(path);
        let Some((parent, name)) = path.split() else {
            return Ok(());
        };
        let removed = unlinkat(self.open(&parent)?, name, AtFlags::empty());
        removed.map_err(|errno| StorageError::step("replacing the mark", path.as_bytes(), errno))
    }

    /// Owner, time, attributes and permissions, in an order in which none undoes another or needs what an earlier one
    /// has taken: a change of the owner takes capabilities and set-user-ID away, and permissions may shut out the
    /// owner.
    fn attributes(&mut self, place: Place<'_>, entry: &Entry) -> Result<(), StorageError> {
        if self.rights == Rights::Content {
            return Ok(());
        }
        let step = |action| move |errno| failed(action, entry, errno);
        let (owner, group) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        let has_other_owner = (entry.uid, entry.gid) != (0, 0);
        if self.rights == Rights::Root || (has_other_owner && self.has_namespace) {
            match place.set_owner(owner, group) {
                // The namespace has no such user or group.
                Err(Errno::INVAL | Errno::PERM) if self.has_namespace => self.omitted.owners += 1,
                answer => answer.map_err(step("giving its owner to"))?,
            }
        } else if has_other_owner {
            self.omitted.owners += 1;
        }
        let timed = place.set_times(&times(entry.mtime));
        timed.map_err(step("giving its time to"))?;
        let set_id = self.extended(place, entry)?;
        let mode = self.mode(entry, set_id)?;
        if matches!(entry.kind, Kind::Symlink { .. }) {
            return Ok(());
        }
        let permitted = place.set_mode(Mode::from_raw_mode(mode));
        permitted.map_err(step("giving its permissions to"))
    }

    /// Sets extended attributes, access lists last; returns whether one with rights of root was left out.
    fn extended(&mut self, place: Place<'_>, entry: &Entry) -> Result<bool, StorageError> {
        let mut left_out = false;
        let (lists, others): (Vec<_>, Vec<_>) = entry
            .xattrs
            .iter()
            .partition(|(name, _)| attributes::is_access_list(name));
        for (attribute, value) in others.into_iter().chain(lists) {
            let named = || shown(attribute);
            match attributes::verdict(attribute, self.rights) {
                Verdict::Keep => {
                    match attributes::set(place.parent, place.name, attribute, value) {
                        // An access list with a user that the namespace does not have.
                        Err(Errno::INVAL)
                            if self.has_namespace && attributes::is_access_list(attribute) =>
                        {
                            self.omitted.attributes += 1;
                        }
                        answer => {
                            answer
                                .map_err(|errno| failed("setting an attribute of", entry, errno))?;
                        }
                    }
                }
                Verdict::Omit => self.omitted.attributes += 1,
                Verdict::NeedsRoot => {
                    self.special(entry)?;
                    left_out = true;
                }
                Verdict::Overlay => {
                    return Err(refused(entry, Refusal::OverlayAttribute { name: named() }));
                }
                Verdict::Refuse => {
                    return Err(refused(entry, Refusal::Attribute { name: named() }));
                }
            }
        }
        Ok(left_out)
    }

    /// The mode that the file gets.
    fn mode(&mut self, entry: &Entry, left_out: bool) -> Result<u32, StorageError> {
        let set_id = matches!(entry.kind, Kind::File { .. }) && entry.mode & SET_ID != 0;
        if self.rights == Rights::Root || !(set_id || left_out) {
            return Ok(entry.mode);
        }
        if set_id {
            self.special(entry)?;
        }
        self.omitted.set_id += 1;
        let kept = if set_id { !SET_ID } else { !0 };
        Ok(entry.mode & kept)
    }

    /// # Errors
    /// What only root can have is refused.
    fn special(&self, entry: &Entry) -> Result<(), StorageError> {
        match self.rights {
            Rights::User(Special::Refuse) => Err(refused(entry, Refusal::SetId)),
            _ => Ok(()),
        }
    }

    /// The directory at `path`, which is there.
    fn parent(&mut self, path: &EntryPath) -> Result<OwnedFd, StorageError> {
        match self.last.take() {
            Some((last, directory)) if last == *path => Ok(directory),
            _ => self.open(path),
        }
    }

    /// Opens a directory beneath the root; no part of its path may be a link.
    fn open(&self, path: &EntryPath) -> Result<OwnedFd, StorageError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OPEN;
        let resolve =
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let name = if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        };
        beneath::open(self.root, name, flags, resolve)
            .map_err(|errno| StorageError::step("opening the directory", path.as_bytes(), errno))
    }
}

impl Sink for Unpacker<'_> {
    fn take(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StorageError> {
        self.make(entry, content)
    }
}

fn node(parent: BorrowedFd<'_>, name: &[u8], kind: FileType, device: Device) -> Result<(), Errno> {
    let number = makedev(device.major, device.minor);
    mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, number)
}

impl<'a> Place<'a> {
    /// A file that is not open.
    const fn named(parent: BorrowedFd<'a>, name: &'a [u8]) -> Self {
        let file = None;
        Self { parent, name, file }
    }

    fn set_owner(self, owner: Uid, group: Gid) -> Result<(), Errno> {
        let (owner, group) = (Some(owner), Some(group));
        match self.file {
            Some(file) => fchown(file, owner, group),
            None => chownat(
                self.parent,
                self.name,
                owner,
                group,
                AtFlags::SYMLINK_NOFOLLOW,
            ),
        }
    }

    fn set_times(self, times: &Timestamps) -> Result<(), Errno> {
        match self.file {
            Some(file) => futimens(file, times),
            None => utimensat(self.parent, self.name, times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// Sets permissions of a file that is no link, by a descriptor that was opened without following one.
    fn set_mode(self, mode: Mode) -> Result<(), Errno> {
        if let Some(file) = self.file {
            return fchmod(file, mode);
        }
        let file = openat(self.parent, self.name, OFlags::PATH | OPEN, Mode::empty())?;
        chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)
    }
}

fn times(time: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn refused(entry: &Entry, refusal: Refusal) -> StorageError {
    StorageError::refused(entry.path.as_bytes(), refusal)
}

fn failed(action: &'static str, entry: &Entry, errno: Errno) -> StorageError {
    StorageError::step(action, entry.path.as_bytes(), errno)
}
