//! Which ranges of ids are in use on this host, so that services of different endpoints give out different ones.
//!
//! A directory with a file for each range, named after its ids. Their holder has a lock on the file (`flock`): first
//! the service, then the container's pid 1 as well, so that a claim lasts as long as the container, whatever becomes of
//! the service. A file that no process has locked means nothing and is removed by the next service, whichever pid
//! namespace that is in. All is done under the lock of the directory.
//!
//! The file also says which process that is, for containers that an earlier version has made without the lock. Such a
//! claim counts until its holder is seen to be gone. In another pid namespace a holder cannot be looked at: there it
//! counts while the namespace may be there.

use std::{
    ffi::OsString,
    fmt::Write as _,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, stat,
        unlinkat,
    },
    io::Errno,
    process::{geteuid, getpid},
};

use super::ranges::IdRange;
use crate::{
    failure::{Attempt, StepError},
    record,
};

/// How long the lock of the directory is waited for by a container that is made.
const LONG: Duration = Duration::from_secs(5);
/// The same for one that is removed, perhaps on the service's only thread: what it leaves the next one removes.
const SHORT: Duration = Duration::from_millis(50);
/// How often the lock is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// More than a file says.
const LIMIT: usize = 256;

/// The users and the groups of one container.
pub(super) type Ids = (IdRange, IdRange);

/// The directory of claims.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    path: PathBuf,
}

/// The directory, locked.
struct Locked(OwnedFd);

/// What holds a claim as long as it is open in any process: the file, locked.
#[derive(Debug)]
pub(super) struct Hold(OwnedFd);

impl AsFd for Hold {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Claims {
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Takes the first of `wanted` that is free, for the calling process; answers which, and what holds it.
    pub(super) fn take(
        &self,
        mut wanted: impl Iterator<Item = (u32, Ids)>,
    ) -> Result<Option<(u32, Ids, Hold)>, StepError> {
        let locked = self.lock(LONG)?;
        let others = locked.living().step_at(READING, self.shown())?;
        let free = wanted.find(|(_, ids)| !others.iter().any(|other| overlap(*other, *ids)));
        let Some((number, ids)) = free else {
            return Ok(None);
        };
        let own = getpid().as_raw_nonzero().get();
        let held = locked.write(ids, own).and_then(|()| locked.hold(ids));
        let hold = held.step_at(WRITING, self.shown())?;
        Ok(Some((number, ids, hold)))
    }

    /// Makes the process `pid` the holder of a claim, as far as later services of an earlier version are told.
    pub(super) fn hold(&self, ids: Ids, pid: i32) -> Result<(), StepError> {
        let written = self.lock(LONG)?.write(ids, pid);
        written.step_at(WRITING, self.shown())
    }

    /// Removes a claim if its holder is gone, or is the calling process, which has let go of its [`Hold`].
    pub(super) fn give_up(&self, ids: Ids) -> Result<(), StepError> {
        let locked = self.lock(SHORT)?;
        let name = name(ids);
        let is_held = locked.is_held(name.as_bytes());
        if is_held.step_at(READING, self.shown())? {
            return Ok(());
        }
        let holder = locked
            .read(name.as_bytes())
            .step_at(READING, self.shown())?;
        let own = Holder::of(getpid().as_raw_nonzero().get());
        if Some(&holder) == own.as_ref() || !holder.lives() {
            locked
                .remove(name.as_bytes())
                .step_at(WRITING, self.shown())?;
        }
        Ok(())
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Opens and locks the directory, which has to be the service's own. It is made where there is none.
    fn lock(&self, limit: Duration) -> Result<Locked, StepError> {
        let step = "opening the directory of ids in use,";
        let path = &self.path;
        match mkdirat(CWD, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(StepError::new(step, errno).at(self.shown())),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty()).step_at(step, self.shown())?;
        let found = fstat(&directory).step_at(step, self.shown())?;
        let shared = Mode::from_raw_mode(found.st_mode).intersects(Mode::WGRP | Mode::WOTH);
        if found.st_uid != geteuid().as_raw() || shared {
            let step = "trusting the directory of ids in use, which others may write,";
            return Err(StepError::new(step, Errno::PERM).at(self.shown()));
        }
        // Each holds it for a moment. A holder that does not let go must not hold up the service.
        let end = Instant::now() + limit;
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(LOOK),
                Err(Errno::INTR) => {}
                locked => break locked.step_at(step, self.shown())?,
            }
        }
        Ok(Locked(directory))
    }
}

const READING: &str = "reading which ids are in use, in";
const WRITING: &str = "writing down which ids are in use, in";

impl Locked {
    /// What is claimed by a process that lives. Other claims are removed.
    fn living(&self) -> Result<Vec<Ids>, Errno> {
        let mut living = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let Some(ids) = parse(name) else { continue };
            if self.is_held(name)? || self.read(name)?.lives() {
                living.push(ids);
            } else {
                self.remove(name)?;
            }
        }
        Ok(living)
    }

    /// Whether any process holds the lock of a claim.
    fn is_held(&self, name: &[u8]) -> Result<bool, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(self.0.as_fd(), name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            file => file?,
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    /// The holder of a claim; [`Holder::None`] where there is none.
    fn read(&self, name: &[u8]) -> Result<Holder, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(self.0.as_fd(), name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Holder::None),
            file => file?,
        };
        let mut text = [0; LIMIT];
        let read = rustix::io::read(&file, &mut text)?;
        let text = text.get(..read).unwrap_or_default();
        Ok(Holder::parse(&String::from_utf8_lossy(text)).unwrap_or(Holder::None))
    }

    /// Locks a claim, until the answer is closed wherever it is open.
    fn hold(&self, ids: Ids) -> Result<Hold, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(self.0.as_fd(), name(ids), flags, Mode::empty())?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Hold(file))
    }

    fn write(&self, ids: Ids, pid: i32) -> Result<(), Errno> {
        // Gone already, if it is none: then the claim means nothing, as it should.
        let text = Holder::of(pid).map(|holder| holder.text());
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::TRUNC
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = openat(self.0.as_fd(), name(ids), flags, Mode::RUSR | Mode::WUSR)?;
        rustix::io::write(&file, text.unwrap_or_default().as_bytes()).map(drop)
    }

    fn remove(&self, name: &[u8]) -> Result<(), Errno> {
        match unlinkat(self.0.as_fd(), name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// The holder of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    None,
    /// A process: its number, when it was started, and in which pid namespace and boot that is its number.
    Process {
        pid: i32,
        started: u64,
        namespace: u64,
        boot: String,
        /// Whether it locks the file, as all do but those of an earlier version.
        locks: bool,
    },
}

impl Holder {
    fn of(pid: i32) -> Option<Self> {
        Some(Self::Process {
            pid,
            started: record::start_time(pid)?,
            namespace: stat("/proc/self/ns/pid").ok()?.st_ino,
            boot: record::boot_id().ok()?,
            locks: true,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self::Process {
            pid: words.next()?.parse().ok()?,
            started: words.next()?.parse().ok()?,
            namespace: words.next()?.parse().ok()?,
            boot: words.next()?.to_owned(),
            locks: words.next() == Some(LOCKS),
        })
    }

    fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Process {
                pid,
                started,
                namespace,
                boot,
                locks,
            } => {
                let locks = if *locks { LOCKS } else { "" };
                format!("{pid} {started} {namespace} {boot} {locks}\n")
            }
        }
    }

    /// Whether it may be there. The file is not locked.
    fn lives(&self) -> bool {
        let Self::Process {
            pid,
            started,
            namespace,
            boot,
            locks,
        } = self
        else {
            return false;
        };
        if record::boot_id().is_ok_and(|own| own != *boot) {
            return false;
        }
        match stat("/proc/self/ns/pid").map(|own| own.st_ino) {
            Ok(own) if own == *namespace => record::start_time(*pid) == Some(*started),
            Ok(own) => !locks && may_be_there(*namespace, own),
            Err(_) => !locks,
        }
    }
}

/// A word in a claim whose holder locks the file.
const LOCKS: &str = "locks";
/// The number of the first pid namespace, which sees all others (`PROC_PID_INIT_INO`).
const FIRST: u64 = 0xEFFF_FFFC;

/// Whether the pid namespace may have processes, seen from the one that is `own`.
fn may_be_there(namespace: u64, own: u64) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut namespaces = processes.filter_map(|process| stat(process.path().join("ns/pid")).ok());
    own != FIRST || namespaces.any(|found| found.st_ino == namespace)
}

fn overlap((users, groups): Ids, (other_users, other_groups): Ids) -> bool {
    let meet = |one: IdRange, other: IdRange| {
        let end = |range: IdRange| u64::from(range.first) + u64::from(range.count);
        u64::from(one.first) < end(other) && u64::from(other.first) < end(one)
    };
    meet(users, other_users) || meet(groups, other_groups)
}

/// The name of the file: first and number of the users, then of the groups.
fn name((users, groups): Ids) -> OsString {
    let mut name = String::new();
    for range in [users, groups] {
        let separator = if name.is_empty() { "" } else { "-" };
        // A string takes everything.
        let _written = write!(name, "{separator}{}-{}", range.first, range.count);
    }
    name.into()
}

fn parse(name: &[u8]) -> Option<Ids> {
    let mut numbers = std::str::from_utf8(name).ok()?.split('-');
    let mut range = || {
        Some(IdRange {
            first: numbers.next()?.parse().ok()?,
            count: numbers.next()?.parse().ok()?,
        })
    };
    Some((range()?, range()?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn ids(first: u32) -> Ids {
        let range = IdRange { first, count: 10 };
        (range, range)
    }

    fn wanted(firsts: &[u32]) -> impl Iterator<Item = (u32, Ids)> {
        (0..).zip(firsts.iter().map(|first| ids(*first)))
    }

    #[test]
    fn ranges_that_overlap_are_given_out_once_until_their_holder_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let claims = Claims::at(place.path().join("ids"));
        let other = claims.clone();
        let first = taken(&claims, &[1000]).unwrap();
        assert_eq!(first.0, 0);
        assert!(taken(&other, &[995, 1009]).is_none());
        let second = taken(&other, &[1005, 1010]).unwrap();
        assert_eq!(second.0, 1);
        // A claim without its lock, of a process that lives.
        drop((first, second));
        assert!(taken(&other, &[1000]).is_none());
        // A container takes over; its end gives the range back, whatever the service does.
        let mut container = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(container.id()).unwrap();
        claims.hold(ids(1000), pid).unwrap();
        claims.give_up(ids(1000)).unwrap();
        assert!(taken(&other, &[1000]).is_none());
        drop(container.stdin.take());
        container.wait().unwrap();
        assert!(taken(&other, &[1000]).is_some());
        other.give_up(ids(1000)).unwrap();
        other.give_up(ids(1010)).unwrap();
        assert_eq!(std::fs::read_dir(&claims.path).unwrap().count(), 0);
    }

    fn taken(claims: &Claims, firsts: &[u32]) -> Option<(u32, Hold)> {
        let free = claims.take(wanted(firsts)).unwrap();
        free.map(|(number, found, hold)| {
            assert!(firsts.iter().any(|first| ids(*first) == found));
            (number, hold)
        })
    }

    /// A container whose service is gone, seen by a service in a pid namespace where neither has a number.
    #[test]
    fn a_claim_of_another_pid_namespace_lasts_as_long_as_it_is_held() {
        let place = tempfile::tempdir().unwrap();
        let claims = Claims::at(place.path().join("ids"));
        let (_, hold) = taken(&claims, &[1000]).unwrap();
        let file = claims.path.join(name(ids(1000)));
        let boot = record::boot_id().unwrap();
        let elsewhere = || std::fs::write(&file, format!("1 1 1 {boot} {LOCKS}\n")).unwrap();
        elsewhere();
        assert!(taken(&claims, &[1000]).is_none());
        claims.give_up(ids(1000)).unwrap();
        assert!(file.exists());
        // The descriptor is closed, the file is not: so it is for a container's first process.
        crate::sys::process::keep_open(hold.as_fd()).unwrap();
        drop(hold);
        assert!(taken(&claims, &[1000]).is_none());
        // One that no process holds.
        let (_, hold) = taken(&claims, &[2000]).unwrap();
        drop(hold);
        let left = claims.path.join(name(ids(2000)));
        std::fs::write(&left, format!("1 1 1 {boot} {LOCKS}\n")).unwrap();
        assert!(taken(&claims, &[2000]).is_some());
    }

    /// An earlier version made the container, without a lock.
    #[test]
    fn a_claim_without_a_lock_lasts_as_long_as_its_pid_namespace() {
        let place = tempfile::tempdir().unwrap();
        let claims = Claims::at(place.path().join("ids"));
        let (_, hold) = taken(&claims, &[1000]).unwrap();
        drop(hold);
        let mut inside = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = inside.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"x").unwrap();
        let mut said = [0];
        std::io::Read::read_exact(inside.stdout.as_mut().unwrap(), &mut said).unwrap();
        let children = format!("/proc/{0}/ns/pid_for_children", inside.id());
        let namespace = stat(&children).unwrap().st_ino;
        let boot = record::boot_id().unwrap();
        let file = claims.path.join(name(ids(1000)));
        std::fs::write(&file, format!("1 1 {namespace} {boot}\n")).unwrap();
        assert!(taken(&claims, &[1000]).is_none());
        drop(stdin);
        inside.wait().unwrap();
        // From a namespace that does not see all others it is not seen that this one is gone.
        let is_first = stat("/proc/self/ns/pid").unwrap().st_ino == FIRST;
        assert_eq!(taken(&claims, &[1000]).is_some(), is_first);
    }

    #[test]
    fn what_is_no_claim_is_left_alone_and_a_damaged_one_counts_for_nothing() {
        let place = tempfile::tempdir().unwrap();
        let claims = Claims::at(place.path().join("ids"));
        drop(claims.lock(LONG).unwrap());
        for name in ["note", "1000-10-1000-10"] {
            std::fs::write(claims.path.join(name), "?").unwrap();
        }
        assert!(claims.take(wanted(&[1000])).unwrap().is_some());
        assert!(claims.path.join("note").exists());
    }

    #[test]
    fn a_lock_that_is_not_let_go_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let claims = Claims::at(place.path().join("ids"));
        claims.take(wanted(&[1000])).unwrap();
        let held = claims.lock(LONG).unwrap();
        assert_eq!(claims.give_up(ids(1000)).unwrap_err().errno, Errno::AGAIN);
        drop(held);
        claims.give_up(ids(1000)).unwrap();
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(place.path(), open).unwrap();
        let claims = Claims::at(place.path().to_owned());
        assert_eq!(claims.take(wanted(&[1000])).unwrap_err().errno, Errno::PERM);
    }
}
