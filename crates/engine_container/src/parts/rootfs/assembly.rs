//! The host's own files as an ordinary user may have them.
//!
//! An overlay of the host's root would show what is hidden below its mounts. The kernel refuses it to a user
//! namespace, as it refuses every directory with a mount below it. Therefore the root is put together in memory, and
//! each directory in it is an overlay of its own. A directory that the kernel refuses because of a mount below it is
//! put together in the same way, down to [`DEPTH`].
//!
//! No directory of the host is ever bound: a process that can reach a unix socket through a bind can connect to it,
//! also when the bind is read-only, and so reaches the services of the host. An overlay has sockets and FIFOs of its
//! own with the same names, which lead nowhere. What no overlay can show is left out, and the time line of the
//! operation says so.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, mkdirat, openat, readlinkat, statat,
        symlinkat,
    },
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    Covers, Root,
    cover::Cover,
    memory,
    overlay::{Overlays, part_name, path_of},
};
use crate::{
    failure::{Attempt, StepError, errno_of},
    parts::{
        mount,
        mount_table::MountTable,
        place::{self, Kind},
    },
    spec::{LeftOut, RootSpec},
    steps,
    sys::mount::{MountChange, change},
};

/// Directories of the host's root that a container has of its own, or that are empty at first.
const FRESH: [(&str, u32); 6] = [
    ("dev", 0o755),
    ("mnt", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
];
/// Those of them that are written to like others.
const FRESH_FILES: [&str; 3] = ["mnt", "run", "tmp"];

/// How many directories deep the root is taken apart.
const DEPTH: usize = 16;
/// The most overlays, links and files that one root is put together from.
const MOST: usize = 2048;
/// The most things left out that are named one by one.
const MOST_NAMED: usize = 8;

/// What the default view has besides.
pub(super) struct View {
    pub(super) covers: Option<Covers>,
    /// The tree that the document asks for.
    pub(super) tree: Option<OwnedFd>,
}

/// Puts the host's root together on `target`; `open` opens what is mounted there. Where the scratch cannot hold what an
/// overlay writes, and need not be kept, memory takes its place, mounted on `spare`.
pub(super) fn assemble(
    overlays: Overlays,
    spare: OwnedFd,
    spec: &RootSpec,
    view: View,
    target: &OwnedFd,
    open: impl Fn() -> Result<OwnedFd, StepError>,
) -> Result<Root, StepError> {
    let step = "assembling a view of the host's";
    if spec.layers.len() > 1 {
        let step = "putting the host's root together with other layers, which only a service of root can do:";
        return Err(StepError::new(step, Errno::OPNOTSUPP)
            .at("/")
            .asked_by(super::POINTER));
    }
    let root = fresh(step, target, open)?;
    let mut assembly = Assembly {
        spare: (!spec.keep).then_some(spare),
        keeps: spec.keep,
        overlays,
        empty: place::open(root.as_fd(), "mnt").step_at(step, "/mnt")?,
        mount_table: None,
        covers: Vec::new(),
        made: 0,
        left_out: 0,
    };
    let View { covers, tree } = view;
    let (cover, tree_cover) = match covers {
        Some(covers) => (Some(covers.root), covers.tree),
        None => (None, None),
    };
    if let (Some(cover), Some(view)) = (cover, &spec.view) {
        assembly
            .covers
            .push(Covered::new("", cover, &view.left_out));
    }
    for name in FRESH_FILES {
        let place = place::open(root.as_fd(), name).step_at(step, name)?;
        let path = format!("/{name}");
        assembly.keep(&place, &path).step_at(step, path)?;
    }
    let host = place::open(CWD, "/").step_at(step, "/")?;
    assembly.fill(&host, &root, "", 0).step_at(step, "/")?;
    if let Some(view) = &spec.view {
        for path in &view.places {
            place::open_or_make(root.as_fd(), path, Kind::Directory).step_at(step, &**path)?;
        }
        if let (Some(host), Some(tree)) = (tree, &view.tree) {
            let path = &*tree.source.path;
            if let Some(cover) = tree_cover {
                assembly
                    .covers
                    .push(Covered::new(path, cover, &tree.left_out));
            }
            assembly.add_tree(&host, &root, path).step_at(step, path)?;
        }
    }
    assembly.sum_up();
    Ok(Root { directory: root })
}

/// A root in memory, mounted on `target`, with the directories that no host has to have.
fn fresh(
    step: &'static str,
    target: &OwnedFd,
    open: impl Fn() -> Result<OwnedFd, StepError>,
) -> Result<OwnedFd, StepError> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    let tmpfs = mount::create("tmpfs", &[("mode", "0755")], attributes).step(step)?;
    mount::attach(tmpfs.as_fd(), target.as_fd()).step(step)?;
    let root = open()?;
    for (name, mode) in FRESH {
        mkdirat(&root, name, Mode::from_raw_mode(mode)).step_at(step, name)?;
        chmodat(&root, name, Mode::from_raw_mode(mode), AtFlags::empty()).step_at(step, name)?;
    }
    Ok(root)
}

/// One root that is being put together.
struct Assembly<'a> {
    overlays: Overlays,
    /// Where memory is mounted if the scratch turns out to be unable to hold an overlay's upper directory.
    spare: Option<OwnedFd>,
    /// The scratch is kept.
    keeps: bool,
    /// An empty directory that any overlay can show.
    empty: OwnedFd,
    /// Where the host has file systems of their own; most roots need not know.
    mount_table: Option<MountTable>,
    /// What is left out; the last one that has to do with a path decides.
    covers: Vec<Covered<'a>>,
    made: usize,
    left_out: usize,
}

impl Assembly<'_> {
    /// Shows all entries of the directory `host`, which is the one at `path`, in `place`.
    fn fill(
        &mut self,
        host: &OwnedFd,
        place: &OwnedFd,
        path: &str,
        depth: usize,
    ) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = openat(host, ".", flags, Mode::empty())?;
        for entry in Dir::read_from(&listed)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b".." | b"lost+found") {
                continue;
            }
            let Ok(text) = name.to_str() else {
                self.leave_out(&format!("{path}/{}", name.to_string_lossy()), Errno::ILSEQ);
                continue;
            };
            if depth == 0 && FRESH.iter().any(|(own, _)| *own == text) {
                continue;
            }
            let path = format!("{path}/{text}");
            match self.rule(&path) {
                Rule::Absent => continue,
                Rule::Empty(mode) => {
                    mkdirat(place, name, Mode::from_raw_mode(0o755))?;
                    chmodat(place, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
                    self.keep(&open_entry(place.as_fd(), name)?, &path)?;
                    continue;
                }
                Rule::Shown => {}
            }
            if self.made == MOST {
                self.leave_out(&path, Errno::NOSPC);
                continue;
            }
            self.made += 1;
            match self.show(host, place, name, &path, depth) {
                Ok(()) => {}
                // The container's own memory or descriptors are used up: no view is better than half of one.
                Err(errno @ (Errno::NOMEM | Errno::MFILE | Errno::NFILE)) => return Err(errno),
                Err(errno) => self.leave_out(&path, errno),
            }
        }
        Ok(())
    }

    /// What is written to the empty directory `place`, which is the one at `path`, goes to a scratch that is kept.
    fn keep(&self, place: &OwnedFd, path: &str) -> Result<(), Errno> {
        if !self.keeps {
            return Ok(());
        }
        let lower = std::slice::from_ref(place);
        self.overlays
            .mount_part(&part_name(path), lower, &path_of(place))
    }

    /// Adds a tree of the host at `path`, where the root has an empty directory.
    fn add_tree(&mut self, host: &OwnedFd, root: &OwnedFd, path: &str) -> Result<(), Errno> {
        let place = place::open(root.as_fd(), path)?;
        match self.show_directory(host, &place, path, 1) {
            Err(errno @ (Errno::NOMEM | Errno::MFILE | Errno::NFILE)) => Err(errno),
            Err(errno) => {
                self.leave_out(path, errno);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What becomes of the entry at `path`.
    fn rule(&self, path: &str) -> Rule {
        let over = self.covers.iter().rev().find_map(|cover| cover.rule(path));
        over.unwrap_or(Rule::Shown)
    }

    /// The layers of an overlay that shows `shown` at `path`.
    fn layers(&self, shown: &OwnedFd, path: &str) -> Result<Vec<OwnedFd>, Errno> {
        let mut covers = self.covers.iter().rev();
        let mut layers = match covers.find_map(|cover| Some((cover, cover.below(path)?))) {
            Some((cover, path)) => cover.cover.over(path)?,
            None => Vec::new(),
        };
        layers.push(shown.try_clone().map_err(|error| errno_of(&error))?);
        Ok(layers)
    }

    /// Shows one entry.
    fn show(
        &mut self,
        host: &OwnedFd,
        place: &OwnedFd,
        name: &CStr,
        path: &str,
        depth: usize,
    ) -> Result<(), Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let found = match statat(host, name, flags) {
            // Gone, or not this user's to see.
            Err(Errno::NOENT | Errno::ACCESS | Errno::PERM) => return Ok(()),
            found => found?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(host, name, Vec::new())?;
                symlinkat(target.as_c_str(), place, name)
            }
            FileType::Directory => {
                mkdirat(place, name, Mode::from_raw_mode(0o755))?;
                let shown = open_entry(host.as_fd(), name)?;
                let place = open_entry(place.as_fd(), name)?;
                let mode = Mode::from_raw_mode(found.st_mode & 0o7777);
                self.show_directory(&shown, &place, path, depth)?;
                match chmodat(&place, ".", mode, AtFlags::empty()) {
                    // Covered by now.
                    Err(Errno::ACCESS | Errno::PERM | Errno::NOENT) => Ok(()),
                    answer => answer,
                }
            }
            // Files beside the directories of the root are none that a program needs.
            FileType::RegularFile if depth > 0 => show_file(host, place, name, path),
            // Sockets and FIFOs would lead to the host, nodes lead nowhere here.
            _ => Ok(()),
        }
    }

    fn show_directory(
        &mut self,
        shown: &OwnedFd,
        place: &OwnedFd,
        path: &str,
        depth: usize,
    ) -> Result<(), Errno> {
        match self.mount(shown, place, path) {
            // A directory that may not be looked into stays empty.
            Err(Errno::ACCESS | Errno::PERM) => Ok(()),
            Err(errno) if depth == DEPTH || !self.has_mounts_below(path)? => Err(errno),
            Err(_) => match self.fill(shown, place, path, depth + 1) {
                Err(Errno::ACCESS | Errno::PERM) => Ok(()),
                answer => answer,
            },
            Ok(()) => Ok(()),
        }
    }

    /// Mounts an overlay of `shown` on `place`.
    fn mount(&mut self, shown: &OwnedFd, place: &OwnedFd, path: &str) -> Result<(), Errno> {
        let name = part_name(path);
        let layers = &*self.layers(shown, path)?;
        let target = path_of(place);
        match self.overlays.mount_part(&name, layers, &target) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) if self.replaces_scratch()? => {
                self.overlays.mount_part(&name, layers, &target)
            }
            answer => answer,
        }
    }

    /// Puts memory in the place of a scratch that cannot hold an overlay's upper directory; whether it has. Looks only
    /// once.
    fn replaces_scratch(&mut self) -> Result<bool, Errno> {
        let Some(spare) = self.spare.take() else {
            return Ok(false);
        };
        let lower = std::slice::from_ref(&self.empty);
        let target = path_of(&spare);
        match self.overlays.mount_part("-try", lower, &target) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                self.overlays.scratch = memory(&spare).map_err(|error| error.errno)?;
                Ok(true)
            }
            answer => answer.map(|()| false),
        }
    }

    fn has_mounts_below(&mut self, path: &str) -> Result<bool, Errno> {
        let table = match self.mount_table.take() {
            Some(table) => table,
            None => MountTable::read()?,
        };
        let table = self.mount_table.insert(table);
        Ok(table.points_below(path).next().is_some())
    }

    fn leave_out(&mut self, path: &str, errno: Errno) {
        self.left_out += 1;
        if self.left_out <= MOST_NAMED {
            let why = match errno {
                Errno::NOSPC => "the view has too many parts without it".to_owned(),
                Errno::ILSEQ => "its name is not UTF-8".to_owned(),
                errno => format!("no overlay can show it: {errno}"),
            };
            steps::warn(format!("left {path} of the host out: {why}"));
        }
    }

    fn sum_up(&self) {
        if self.left_out > MOST_NAMED {
            let more = self.left_out - MOST_NAMED;
            steps::warn(format!(
                "left {more} more files and directories of the host out"
            ));
        }
    }
}

/// What becomes of an entry.
#[derive(Clone, Copy)]
enum Rule {
    Shown,
    /// An empty directory with these permissions.
    Empty(u32),
    Absent,
}

/// What is left out below the directory at `top`.
struct Covered<'a> {
    top: &'a str,
    cover: Cover,
    left_out: &'a LeftOut,
}

impl<'a> Covered<'a> {
    fn new(top: &'a str, cover: Cover, left_out: &'a LeftOut) -> Self {
        Self {
            top,
            cover,
            left_out,
        }
    }

    /// `path` from the top, if it is there or below.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.top)?;
        match rest {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }

    fn rule(&self, path: &str) -> Option<Rule> {
        let path = self.below(path)?;
        if self.left_out.absent.iter().any(|absent| absent == path) {
            return Some(Rule::Absent);
        }
        let mut empty = self.left_out.empty.iter();
        let empty = empty.find(|directory| directory.path == path);
        Some(empty.map_or(Rule::Shown, |directory| Rule::Empty(directory.mode)))
    }
}

/// Shows one file, which can be bound because nothing is behind it but its bytes: read-only.
fn show_file(host: &OwnedFd, place: &OwnedFd, name: &CStr, path: &str) -> Result<(), Errno> {
    let file = open_entry(host.as_fd(), name)?;
    // What was looked at before may be something else by now.
    let found = rustix::fs::fstat(&file)?;
    if !FileType::from_raw_mode(found.st_mode).is_file() {
        return Ok(());
    }
    let view = mount::clone_tree(file.as_fd(), "", false)?;
    let read_only = MountChange {
        set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        propagation: libc::MS_PRIVATE,
        recursive: false,
    };
    change(view.as_fd(), read_only)?;
    let own = path.rsplit('/').next().unwrap_or(path);
    let target = place::open_or_make(place.as_fd(), own, Kind::File)?;
    mount::attach(view.as_fd(), target.as_fd())
}

/// Opens an entry of a directory, as a mere path; mounts nothing on the way.
fn open_entry(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}
