//! Files and directories that no other user can change.
//!
//! A path is walked from `/` by descriptors, links included. Every directory on the way, every link and the file at its
//! end has to belong to root or to the user, and must not be writable by others. A directory like `/tmp`, whose mode
//! has the sticky bit, may be writable: others can make entries there, but cannot replace entries of another user. The
//! result is a descriptor of the very file that was checked, so a later change of the path has no effect.
//!
//! Writable by a group counts as writable by others, unless the group is the user's own: it has the user's name and no
//! other member. Systems with the mask 002 give every user such a group (`sshd` of Debian has this rule, too). A group
//! that the files `/etc/passwd` and `/etc/group` do not know counts as one with other members. So does each where an
//! access control list lets others write: the mode shows that as writable by the group.
//!
//! In a user namespace, owners that have no id there count as root: `/` itself is such a directory. They do not in a
//! directory that others can write to: there it may be any user of the host that made the entry.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fmt, fs,
    ops::Range,
    os::{fd::OwnedFd, unix::ffi::OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat, readlinkat},
    io::Errno,
    process::geteuid,
};

use crate::{
    access::has_mode_alone,
    environment::{has_ids_of_host, is_elevated},
};

/// Links that are followed on one path, as in the kernel.
const MOST_LINKS: u32 = 40;

/// Why a path is not to be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// The file or directory, without links.
    pub path: PathBuf,
    /// The fault of the file.
    pub reason: Reason,
}

/// A fault of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It belongs to another user.
    Owner {
        /// That user.
        owner: u32,
        /// The user it may belong to, besides root.
        user: u32,
        /// Its mode.
        mode: u32,
    },
    /// Others may write to it.
    Writable {
        /// Its owner.
        owner: u32,
        /// Its group.
        group: u32,
        /// Its mode.
        mode: u32,
    },
    /// It is something else than was expected.
    Kind,
    /// It cannot be looked at.
    Io(Errno),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.reason {
            Reason::Owner { owner, user, mode } => {
                write!(
                    f,
                    "{path} belongs to user {owner} (mode {mode:04o}), who could change it: expected "
                )?;
                match user {
                    0 => write!(f, "root as its owner"),
                    user => write!(f, "user {user} or root as its owner"),
                }
            }
            Reason::Writable { owner, group, mode } => {
                let who = match mode & 0o022 {
                    0o020 => format!("members of group {group}"),
                    _ => "all users".to_owned(),
                };
                write!(
                    f,
                    "{path} (owner user {owner}, mode {mode:04o}) can be changed by {who}: chmod go-w {path}"
                )
            }
            Reason::Kind => write!(
                f,
                "{path} is not a directory, or no file that can be used here"
            ),
            Reason::Io(errno) => write!(f, "{path}: {errno}"),
        }
    }
}

impl std::error::Error for Untrusted {}

/// The users whose files are trusted: root and `user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trusted {
    /// Besides root.
    user: u32,
    /// How owners are shown that have no id in this user namespace.
    unmapped: Option<u32>,
}

impl Trusted {
    /// Root, and the effective user of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            user: geteuid().as_raw(),
            unmapped: if is_elevated() { None } else { unmapped() },
        }
    }

    /// The same, for files that are executed: root alone where this process runs with more rights than its caller.
    #[must_use]
    pub fn for_programs() -> Self {
        if is_elevated() {
            return Self::root_and(0);
        }
        Self::of_process()
    }

    /// Root and `user`.
    #[must_use]
    pub const fn root_and(user: u32) -> Self {
        Self {
            user,
            unmapped: None,
        }
    }

    /// The file at `path`, which is absolute, as a descriptor that names it (`O_PATH`).
    ///
    /// # Errors
    /// Which part of the path is missing or could be changed by others.
    pub fn open(self, path: &Path) -> Result<OwnedFd, Untrusted> {
        Walk::new(self, None)?.to(path)
    }

    /// The directory at `path`, which is absolute. With a `mode`, directories that are missing are made with it.
    ///
    /// # Errors
    /// Which part of the path could be changed by others, is missing, or cannot be made.
    pub fn directory(self, path: &Path, mode: Option<u32>) -> Result<OwnedFd, Untrusted> {
        self.directory_by(path, mode, MOST_LINKS)
    }

    /// The same for a path that was found to have no links: one that is there by now is not followed.
    ///
    /// # Errors
    /// As for [`Trusted::directory`]. `ELOOP`: there is a link.
    pub fn plain_directory(self, path: &Path, mode: Option<u32>) -> Result<OwnedFd, Untrusted> {
        self.directory_by(path, mode, 0)
    }

    fn directory_by(
        self,
        path: &Path,
        mode: Option<u32>,
        links: u32,
    ) -> Result<OwnedFd, Untrusted> {
        let mut walk = Walk::new(self, mode.map(Mode::from_raw_mode))?;
        walk.links = 0..links;
        let found = walk.to(path)?;
        match kind(&walk.look(&found)?) {
            FileType::Directory => Ok(found),
            _ => Err(walk.blame(Reason::Kind)),
        }
    }

    /// Whether that owner is one of them, or cannot be told from root.
    fn owns(self, owner: u32) -> bool {
        owner == 0 || owner == self.user || self.unmapped == Some(owner)
    }

    /// Whether a file of that owner is one of theirs, in a directory whose mode is `directory`. An owner without an id
    /// may be any user of the host: a directory that others cannot write to has no files of others.
    #[must_use]
    pub fn owns_in(self, owner: u32, directory: u32) -> bool {
        owner == 0 || owner == self.user || (self.owns(owner) && directory & 0o022 == 0)
    }
}

/// The id that stands for owners without one, in a user namespace that does not have them all.
fn unmapped() -> Option<u32> {
    if has_ids_of_host()? {
        return None;
    }
    let id = fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?;
    id.trim().parse().ok()
}

/// On the way along a path.
struct Walk {
    trusted: Trusted,
    /// Directories that are missing are made with this mode.
    make: Option<Mode>,
    /// The directories from `/` to here.
    above: Vec<OwnedFd>,
    /// Where that is.
    place: PathBuf,
    /// One for each link that may still be followed.
    links: Range<u32>,
}

impl Walk {
    fn new(trusted: Trusted, make: Option<Mode>) -> Result<Self, Untrusted> {
        let mut walk = Self {
            trusted,
            make,
            above: Vec::new(),
            place: PathBuf::from("/"),
            links: 0..MOST_LINKS,
        };
        let root = openat(
            CWD,
            "/",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let root = root.map_err(|errno| walk.blame(Reason::Io(errno)))?;
        walk.check(&root, &walk.look(&root)?)?;
        walk.above.push(root);
        Ok(walk)
    }

    fn to(&mut self, path: &Path) -> Result<OwnedFd, Untrusted> {
        if !path.is_absolute() {
            path.clone_into(&mut self.place);
            return Err(self.blame(Reason::Io(Errno::INVAL)));
        }
        let mut steps = steps(path);
        while let Some(step) = steps.pop_front() {
            match Path::new(&step).components().next() {
                Some(Component::RootDir) => {
                    self.above.truncate(1);
                    self.place = PathBuf::from("/");
                }
                Some(Component::ParentDir) if self.above.len() > 1 => {
                    self.above.pop();
                    self.place.pop();
                }
                Some(Component::Normal(name)) => {
                    self.place.push(name);
                    let found = self.enter(name)?;
                    let stat = self.look(&found)?;
                    match kind(&stat) {
                        FileType::Symlink => {
                            self.check_owner(&stat)?;
                            let target = self.follow(&found)?;
                            self.place.pop();
                            steps = steps_before(&target, steps);
                        }
                        FileType::Directory => {
                            self.check(&found, &stat)?;
                            self.above.push(found);
                        }
                        _ if steps.is_empty() => {
                            self.check(&found, &stat)?;
                            return Ok(found);
                        }
                        _ => return Err(self.blame(Reason::Io(Errno::NOTDIR))),
                    }
                }
                _ => {}
            }
        }
        let last = self.above.pop();
        last.ok_or_else(|| self.blame(Reason::Io(Errno::NOENT)))
    }

    /// Opens `name` in the directory reached so far, or makes it.
    fn enter(&self, name: &OsStr) -> Result<OwnedFd, Untrusted> {
        let failed = |errno| self.blame(Reason::Io(errno));
        let parent = self.above.last().ok_or_else(|| failed(Errno::NOENT))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match (openat(parent, name, flags, Mode::empty()), self.make) {
            (Err(Errno::NOENT), Some(mode)) => match mkdirat(parent, name, mode) {
                Ok(()) => {
                    // The mask of this process may have taken some of it.
                    let flags =
                        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let made = openat(parent, name, flags, Mode::empty()).map_err(failed)?;
                    fchmod(&made, mode).map_err(failed)?;
                    Ok(made)
                }
                // Another process was faster.
                Err(Errno::EXIST) => openat(parent, name, flags, Mode::empty()).map_err(failed),
                Err(errno) => Err(failed(errno)),
            },
            (opened, _) => opened.map_err(failed),
        }
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<PathBuf, Untrusted> {
        if self.links.next().is_none() {
            return Err(self.blame(Reason::Io(Errno::LOOP)));
        }
        let target = readlinkat(link, c"", Vec::new());
        let target = target.map_err(|errno| self.blame(Reason::Io(errno)))?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    fn look(&self, found: &OwnedFd) -> Result<Stat, Untrusted> {
        fstat(found).map_err(|errno| self.blame(Reason::Io(errno)))
    }

    fn check(&self, found: &OwnedFd, stat: &Stat) -> Result<(), Untrusted> {
        self.check_owner(stat)?;
        let (owner, group, mode) = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777);
        let sticky = kind(stat) == FileType::Directory && mode & 0o1000 != 0;
        // Data read from a device does not come from the users who may write to it.
        let device = kind(stat) == FileType::CharacterDevice;
        let open = match mode & 0o022 {
            0 => false,
            0o020 => !is_private_group(owner, group) || !has_mode_alone(found),
            _ => true,
        };
        if !open || sticky || device {
            return Ok(());
        }
        Err(self.blame(Reason::Writable { owner, group, mode }))
    }

    fn check_owner(&self, stat: &Stat) -> Result<(), Untrusted> {
        // The directory decides nothing about root and the user.
        if self.trusted.owns_in(stat.st_uid, 0o022) {
            return Ok(());
        }
        let directory = match self.above.last() {
            Some(directory) => self.look(directory)?.st_mode,
            None => 0,
        };
        if self.trusted.owns_in(stat.st_uid, directory) {
            return Ok(());
        }
        Err(self.blame(Reason::Owner {
            owner: stat.st_uid,
            user: self.trusted.user,
            mode: stat.st_mode & 0o7777,
        }))
    }

    fn blame(&self, reason: Reason) -> Untrusted {
        Untrusted {
            path: self.place.clone(),
            reason,
        }
    }
}

/// The parts of a path, to be taken one after the other.
fn steps(path: &Path) -> VecDeque<OsString> {
    let parts = path.components();
    parts.map(|part| part.as_os_str().to_owned()).collect()
}

fn steps_before(path: &Path, mut rest: VecDeque<OsString>) -> VecDeque<OsString> {
    let mut all = steps(path);
    all.append(&mut rest);
    all
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether `group` is that of user `owner` alone.
fn is_private_group(owner: u32, group: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    private_group(owner, group, &read("/etc/passwd"), &read("/etc/group"))
}

/// By the text of `passwd(5)` and `group(5)`: it has the user's name, is the user's own and no other user's, and has no
/// other members.
fn private_group(owner: u32, group: u32, users: &str, groups: &str) -> bool {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let users: Vec<Vec<String>> = users.lines().map(fields).collect();
    let number = |fields: &[String], at: usize| fields.get(at).and_then(|text| text.parse().ok());
    let Some(name) = users
        .iter()
        .find(|user| number(user, 2) == Some(owner) && number(user, 3) == Some(group))
        .and_then(|user| user.first())
    else {
        return false;
    };
    let shared = users
        .iter()
        .any(|user| number(user, 3) == Some(group) && number(user, 2) != Some(owner));
    let mut own = groups
        .lines()
        .map(fields)
        .filter(|line| number(line, 2) == Some(group));
    let alone = |line: Vec<String>| {
        let members = line.get(3).map_or("", String::as_str);
        line.first() == Some(name)
            && members
                .split(',')
                .all(|member| member.is_empty() || member == name)
    };
    !shared && own.next().is_some_and(alone) && own.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;
    use crate::{access, environment::has_all_ids};

    fn place() -> (tempfile::TempDir, Trusted) {
        let place = tempfile::tempdir().unwrap();
        let uid = fs::metadata(place.path()).unwrap().uid();
        (place, Trusted::root_and(uid))
    }

    #[test]
    fn an_owner_stands_for_unknown_ones_only_where_ids_are_missing() {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
        let expected = (!has_all_ids(&map)).then(|| overflow.trim().parse().unwrap());
        assert_eq!(unmapped(), expected);
    }

    #[test]
    fn a_link_of_an_unknown_owner_counts_where_others_cannot_make_one() {
        let trusted = Trusted {
            user: 1000,
            unmapped: Some(65_534),
        };
        for (owner, directory, counts) in [
            (0, 0o1777, true),
            (1000, 0o1777, true),
            (65_534, 0o755, true),
            (65_534, 0o1777, false),
            (65_534, 0o1775, false),
            (1001, 0o755, false),
        ] {
            assert_eq!(
                trusted.owns_in(owner, directory),
                counts,
                "{owner} {directory:o}"
            );
        }
        assert!(!Trusted::root_and(1000).owns_in(65_534, 0o755));
    }

    #[test]
    fn files_of_root_and_of_the_user_are_trusted() {
        let unmapped = Trusted {
            user: 1000,
            unmapped: Some(65_534),
        };
        for owner in [0, 1000, 65_534] {
            assert!(unmapped.owns(owner), "{owner}");
        }
        assert!(!unmapped.owns(1001));
        let plain = Trusted::root_and(1000);
        assert!(plain.owns(0) && plain.owns(1000) && !plain.owns(65_534));
    }

    /// In a user namespace each user of the host may be the owner of what `/tmp` has.
    #[test]
    fn a_directory_of_an_unknown_owner_counts_where_others_cannot_make_one() {
        const OTHER: u32 = 64_322;
        if !geteuid().is_root() {
            return;
        }
        let (place, trusted) = place();
        let trusted = Trusted {
            unmapped: Some(OTHER),
            ..trusted
        };
        for (mode, is_theirs) in [(0o1777, false), (0o1775, false), (0o755, true)] {
            let above = place.path().join(format!("{mode:o}"));
            let other = above.join("hcs-0");
            fs::create_dir_all(&other).unwrap();
            fs::set_permissions(&above, fs::Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(&other, fs::Permissions::from_mode(0o1777)).unwrap();
            std::os::unix::fs::chown(&other, Some(OTHER), Some(OTHER)).unwrap();
            for path in [&other, &other.join("hcs.d")] {
                let found = trusted.directory(path, Some(0o700));
                assert_eq!(found.is_ok(), is_theirs, "{mode:o} {path:?}: {found:?}");
                let refused = found.err().map(|fault| fault.path);
                assert_eq!(refused, (!is_theirs).then(|| other.clone()));
            }
        }
    }

    #[test]
    fn a_fault_names_those_who_could_change_the_file() {
        let text = |mode| {
            let reason = Reason::Writable {
                owner: 1,
                group: 2,
                mode,
            };
            let path = PathBuf::from("/x");
            Untrusted { path, reason }.to_string()
        };
        assert!(
            text(0o775).contains("changed by members of group 2:"),
            "{}",
            text(0o775)
        );
        for mode in [0o777, 0o757] {
            assert!(
                text(mode).contains("changed by all users:"),
                "{}",
                text(mode)
            );
        }
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn every_directory_on_the_way_counts_links_included() {
        let (place, trusted) = place();
        let (real, shared) = (place.path().join("real"), place.path().join("shared"));
        fs::create_dir_all(real.join("bin")).unwrap();
        fs::create_dir(&shared).unwrap();
        let file = real.join("bin/program");
        fs::write(&file, "").unwrap();
        symlink("../real/bin", shared.join("link")).unwrap();
        trusted.open(&file).unwrap();
        trusted.open(&shared.join("link/program")).unwrap();
        trusted
            .open(&real.join("bin/../../shared/link/./program"))
            .unwrap();

        // Others can put another link there.
        chmod(&shared, 0o757);
        let refused = trusted.open(&shared.join("link/program")).unwrap_err();
        assert_eq!(refused.path, shared);
        assert!(matches!(
            refused.reason,
            Reason::Writable { mode: 0o757, .. }
        ));
        let advice = format!("chmod go-w {}", shared.display());
        assert!(refused.to_string().contains(&advice), "{refused}");
        // But not in a directory like /tmp.
        chmod(&shared, 0o1777);
        trusted.open(&shared.join("link/program")).unwrap();
        chmod(&real, 0o777);
        let refused = trusted.open(&shared.join("link/program")).unwrap_err();
        assert_eq!(refused.path, real);
        chmod(&real, 0o755);
        chmod(&file, 0o666);
        assert_eq!(trusted.open(&file).unwrap_err().path, file);
    }

    #[test]
    fn a_path_may_begin_anew_and_leave_nothing_above_the_root() {
        let (place, trusted) = place();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        symlink(&file, place.path().join("absolute")).unwrap();
        trusted.open(&place.path().join("absolute")).unwrap();
        let above = Path::new("/../..").join(file.strip_prefix("/").unwrap());
        trusted.open(&above).unwrap();
        // A device that all users may write to.
        trusted.open(Path::new("/dev/null")).unwrap();
        let refused = trusted.open(&file.join("below")).unwrap_err();
        assert_eq!(refused.reason, Reason::Io(Errno::NOTDIR));
    }

    #[test]
    fn as_many_links_are_followed_as_the_kernel_follows() {
        let (place, trusted) = place();
        let link = |n: u32| place.path().join(n.to_string());
        fs::write(link(0), "").unwrap();
        for n in 1..=MOST_LINKS + 1 {
            symlink((n - 1).to_string(), link(n)).unwrap();
        }
        trusted.open(&link(MOST_LINKS)).unwrap();
        let refused = trusted.open(&link(MOST_LINKS + 1)).unwrap_err();
        assert_eq!(refused.reason, Reason::Io(Errno::LOOP));
        assert!(
            fs::metadata(link(MOST_LINKS)).is_ok() && fs::metadata(link(MOST_LINKS + 1)).is_err()
        );
    }

    /// As root, whose group has no other members where the tests run.
    #[test]
    fn a_group_with_other_members_is_as_all_users_are() {
        if !geteuid().is_root() {
            return;
        }
        let (place, trusted) = place();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        chmod(&file, 0o660);
        trusted.open(&file).unwrap();
        std::os::unix::fs::chown(&file, None, Some(1234)).unwrap();
        let refused = trusted.open(&file).unwrap_err();
        let expected = |group| Reason::Writable {
            owner: 0,
            group,
            mode: 0o660,
        };
        assert_eq!(refused.reason, expected(1234));
        // As its mode says as well, a list lets another user write.
        std::os::unix::fs::chown(&file, None, Some(0)).unwrap();
        trusted.open(&file).unwrap();
        access::grant(&file, access::Holder::User(1234), access::WRITE).unwrap();
        let refused = trusted.open(&file).unwrap_err();
        assert_eq!(refused.reason, expected(0));
    }

    #[test]
    fn what_is_not_there_or_a_circle_is_said() {
        let (place, trusted) = place();
        let missing = trusted.open(&place.path().join("a/b")).unwrap_err();
        assert_eq!(missing.path, place.path().join("a"));
        assert_eq!(missing.reason, Reason::Io(Errno::NOENT));
        symlink("circle", place.path().join("circle")).unwrap();
        let circle = trusted.open(&place.path().join("circle")).unwrap_err();
        assert_eq!(circle.reason, Reason::Io(Errno::LOOP));
        let relative = trusted.open(Path::new("bin/hcsd")).unwrap_err();
        assert_eq!(relative.reason, Reason::Io(Errno::INVAL));
    }

    #[test]
    fn missing_directories_are_made_with_their_mode_and_not_through_links_of_others() {
        let (place, trusted) = place();
        let deep = place.path().join("a/b");
        let found = trusted.directory(&deep, Some(0o750)).unwrap();
        let flags = rustix::io::fcntl_getfd(&found).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        for made in [place.path().join("a"), deep.clone()] {
            assert_eq!(fs::metadata(made).unwrap().mode() & 0o7777, 0o750);
        }
        trusted.directory(&deep, None).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        let file = trusted
            .directory(&deep.join("file"), Some(0o700))
            .unwrap_err();
        assert_eq!(file.reason, Reason::Kind);
        if !geteuid().is_root() {
            return;
        }
        let link = place.path().join("link");
        let target = place.path().join("target");
        symlink(&target, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        let refused = trusted
            .directory(&link.join("below"), Some(0o700))
            .unwrap_err();
        assert_eq!(refused.path, link);
        assert!(
            matches!(
                refused.reason,
                Reason::Owner {
                    owner: 65534,
                    mode: 0o777,
                    ..
                }
            ),
            "{refused}"
        );
        assert!(!target.exists());
    }

    #[test]
    fn a_group_is_private_when_the_user_is_alone_in_it() {
        let users =
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:\nbob:x:1001:1000::/:\neve:x:7:7::/:\n";
        let groups = "root:x:0:\nann:x:1000:\neve:x:7:eve\nstaff:x:50:ann\n";
        assert!(private_group(0, 0, users, groups));
        assert!(private_group(7, 7, users, groups));
        assert!(!private_group(1000, 1000, users, groups), "bob is in it");
        assert!(
            !private_group(1000, 50, users, groups),
            "it is not ann's own"
        );
        assert!(
            !private_group(9, 9, users, groups),
            "there is no such user or group"
        );
        let group_of_that_name = "ann:x:50:\n";
        assert!(
            !private_group(1000, 50, users, group_of_that_name),
            "ann has another one"
        );
        assert!(!private_group(0, 0, users, "root:x:0:\nother:x:0:\n"));
        assert!(!private_group(0, 0, users, "root:x:0:ann\n"));
        assert!(!private_group(0, 0, users, "wheel:x:0:\n"));
    }
}
