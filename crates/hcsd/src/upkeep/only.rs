//! The lock that makes a service the only one of its endpoint.
//!
//! It is a lock of the file [`LOCK`] (`flock(2)`), so it ends with the service, however that ends. There is one
//! exception. A service that was killed is not gone while one of its threads waits in the kernel and cannot be
//! interrupted. A file system whose server does not answer has that effect. The service does nothing any more, but its
//! files stay open. Its number is in the file: so another service knows that, and puts a file of its own there.
//!
//! The file also says where the last service stood: not each other one may follow it ([`standing`]).

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use hcs_wire::peer::is_dying;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use tracing::warn;

use crate::{
    record::files,
    upkeep::standing::{self, Standing},
};

/// The file in the state root that a service holds locked.
pub(crate) const LOCK: &str = "hcsd.lock";

/// The file in the state root that a service holds locked while it looks at the other one. The directory itself can be
/// opened by users who may not use the service, and a process that may open a file may hold it.
const TURN: &str = "hcsd.turn";

/// How long a service that was killed is waited for: what its threads had begun is done by then, or waits for others.
const LAST_MOMENTS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// More than the line in the file.
const LONGEST: u64 = 256;

/// Takes the lock; `None` when another service has it. A process that may open its file could hold it (`flock(2)` asks
/// for no more) and keep every service away.
///
/// # Errors
/// The sentence to be shown, also where this process may not be the service here.
pub(crate) fn lock(root: &Path) -> Result<Option<File>, String> {
    let taken = lock_within(root, LAST_MOMENTS, |before| standing::check(root, before));
    taken.map_err(|refusal| match refusal {
        Refusal::Io(e) => format!("{} cannot be locked: {e}", root.join(LOCK).display()),
        Refusal::Sentence(sentence) => sentence,
    })
}

/// Why the lock was not taken.
#[derive(Debug)]
enum Refusal {
    Io(io::Error),
    Sentence(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// One service after the other has its turn: each signs the file before another one reads who has it, and none takes
/// a file that a third one puts elsewhere. `check` is shown what the service before has written.
fn lock_within(
    root: &Path,
    patience: Duration,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Option<File>, Refusal> {
    let path = root.join(LOCK);
    let turn = files::append(&root.join(TURN))?;
    let end = Instant::now() + patience;
    loop {
        let is_late = Instant::now() >= end;
        match flock(&turn, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let taken = take(&path, &check)?;
                if taken.is_some() || !is_of_dying(&path) {
                    return Ok(taken);
                }
                if is_late {
                    return replace(&path, &check);
                }
                flock(&turn, FlockOperation::Unlock)?;
            }
            Err(Errno::WOULDBLOCK) if is_late => return Ok(None),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        sleep(LOOK);
    }
}

/// Opens and locks the file, and writes down who has it, unless the check of who had it refuses that. The caller has
/// the turn, so no other service reads who had it before.
fn take(path: &Path, check: impl Fn(&str) -> Result<(), String>) -> Result<Option<File>, Refusal> {
    loop {
        let mut options = files::options();
        let file = options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        // Where an earlier version made it.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Another service has put its file there since this one was opened.
            Ok(()) if !is_at(&file, path)? => {}
            Ok(()) => {
                let mut before = String::new();
                // What is no text is no line of ours.
                let _read = (&file).take(LONGEST).read_to_string(&mut before);
                check(&before).map_err(Refusal::Sentence)?;
                sign(&file)?;
                return Ok(Some(file));
            }
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let identity = |found: &fs::Metadata| (found.dev(), found.ino());
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(identity(&found) == identity(&file.metadata()?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn sign(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(Standing::own()?.text().as_bytes())
}

/// Whether the holder of the lock was killed and cannot end.
fn is_of_dying(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let (Some(holder), Ok(own)) = (Standing::parse(&text), Standing::own()) else {
        return false;
    };
    holder.pids == own.pids && is_dying(holder.process)
}

/// Puts a file of its own in the place of that of a dying service, unless the check of that one refuses it. The caller
/// has the turn.
fn replace(
    path: &Path,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Option<File>, Refusal> {
    check(&fs::read_to_string(path).unwrap_or_default()).map_err(Refusal::Sentence)?;
    let own = path.with_extension("new");
    match fs::remove_file(&own) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    let taken = take(&own, |_| Ok(()))?;
    fs::rename(&own, path)?;
    warn!(
        "an earlier service was killed and cannot end, as a file system does not answer it; this one takes its place"
    );
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    fn namespace() -> u64 {
        Standing::own().unwrap().pids
    }

    fn lock_here(root: &Path, patience: Duration) -> Option<File> {
        lock_within(root, patience, |_| Ok(())).unwrap()
    }

    #[test]
    fn one_service_has_the_lock_until_it_is_gone_or_dying() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(LOCK);
        let locked = || lock_here(root.path(), Duration::ZERO);
        let first = locked().unwrap();
        assert!(locked().is_none());
        // A process that has ended and was not reaped stands for one that cannot end.
        let mut dying = process::Command::new("true").spawn().unwrap();
        while !is_dying(i32::try_from(dying.id()).unwrap()) {
            std::thread::yield_now();
        }
        let elsewhere = format!("{} 1\n", dying.id());
        fs::write(&path, elsewhere).unwrap();
        assert!(locked().is_none());
        let text = format!("{} {}\n", dying.id(), namespace());
        fs::write(&path, &text).unwrap();
        let refused = lock_within(root.path(), Duration::ZERO, |before| {
            assert_eq!(before, text);
            Err("not here".to_owned())
        });
        assert!(matches!(refused, Err(Refusal::Sentence(_))), "{refused:?}");
        let second = locked().unwrap();
        assert!(locked().is_none());
        dying.wait().unwrap();
        drop(first);
        assert!(locked().is_none());
        drop(second);
        assert!(locked().is_some());
    }

    #[test]
    fn a_service_that_may_not_follow_leaves_what_the_one_before_has_written() {
        let root = tempfile::tempdir().unwrap();
        drop(lock_here(root.path(), Duration::ZERO).unwrap());
        let text = || fs::read_to_string(root.path().join(LOCK)).unwrap();
        let before = text();
        assert_eq!(Standing::parse(&before), Standing::own().ok());
        for _ in 0..2 {
            let refused = lock_within(root.path(), Duration::ZERO, |found| {
                assert_eq!(found, before);
                Err("not here".to_owned())
            });
            let Err(Refusal::Sentence(sentence)) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!((sentence.as_str(), text()), ("not here", before.clone()));
        }
        assert!(lock_here(root.path(), Duration::ZERO).is_some());
    }

    /// The state root of a service of root can be entered and opened by all users, who reach its socket by it.
    #[test]
    fn a_lock_of_the_state_root_keeps_no_service_away() {
        let root = tempfile::tempdir().unwrap();
        let held = File::open(root.path()).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        assert!(lock_here(root.path(), Duration::ZERO).is_some());
        for name in [LOCK, TURN] {
            let found = fs::metadata(root.path().join(name)).unwrap();
            assert_eq!(found.mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn one_of_many_services_takes_the_place_of_a_dying_one() {
        let mut dying = process::Command::new("true").spawn().unwrap();
        while !is_dying(i32::try_from(dying.id()).unwrap()) {
            std::thread::yield_now();
        }
        for _ in 0..50 {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join(LOCK);
            let first = lock_here(root.path(), Duration::ZERO).unwrap();
            fs::write(&path, format!("{} {}\n", dying.id(), namespace())).unwrap();
            let barrier = std::sync::Barrier::new(8);
            let taken: Vec<File> = std::thread::scope(|scope| {
                let others = [0, 0, 0, 0, 1, 2, 3, 30].map(|patience| {
                    let (barrier, root) = (&barrier, root.path());
                    scope.spawn(move || {
                        barrier.wait();
                        lock_here(root, Duration::from_millis(patience))
                    })
                });
                let taken = others.into_iter().filter_map(|other| other.join().unwrap());
                taken.collect()
            });
            assert_eq!(taken.len(), 1);
            assert!(is_at(&taken[0], &path).unwrap());
            drop(first);
        }
        dying.wait().unwrap();
    }

    #[test]
    fn a_file_that_was_taken_and_not_signed_is_not_taken_for_a_dying_ones() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(LOCK);
        let turn = files::append(&root.path().join(TURN)).unwrap();
        // Another service is between its lock and its signature: the file still has the text of the one before.
        flock(&turn, FlockOperation::LockExclusive).unwrap();
        let other = File::create(&path).unwrap();
        flock(&other, FlockOperation::LockExclusive).unwrap();
        let mut dying = process::Command::new("true").spawn().unwrap();
        while !is_dying(i32::try_from(dying.id()).unwrap()) {
            std::thread::yield_now();
        }
        fs::write(&path, format!("{} {}\n", dying.id(), namespace())).unwrap();
        assert!(lock_here(root.path(), Duration::ZERO).is_none());
        assert!(is_at(&other, &path).unwrap());
        dying.wait().unwrap();
    }
}
