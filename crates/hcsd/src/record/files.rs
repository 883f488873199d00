//! The service's own files and directories: checked before anything is made in them, made with modes of their own
//! whatever the mask of the process is, and never opened through a link.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    endpoint::{SYSTEM, state_root},
    environment::is_root,
    trust::{Reason, Trusted, Untrusted},
    written::{self, Kept, Suspect},
};
use rustix::{
    fs::{FileType, OFlags, fstat, makedev},
    io::Errno,
    process::geteuid,
};
use serde::Serialize;
use tracing::{error, warn};

/// How files of ours are opened: no other user reads them, and no link leads to them.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Replaces the contents of a file, or makes it.
///
/// # Errors
/// What the file system said.
pub(crate) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = options()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)?;
    file.write_all(contents)
}

/// Replaces a file, or makes it: a reader finds the old contents or the new ones, never a part. What a service that is
/// killed leaves beside it ends with `.new`.
///
/// # Errors
/// What the file system said; the old file is still there.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    write(Path::new(&temporary), contents)?;
    fs::rename(&temporary, path)
}

/// [`replace`] with a document.
///
/// # Errors
/// As for that, or the document cannot be written.
pub(crate) fn replace_json<T: Serialize>(path: &Path, document: &T) -> io::Result<()> {
    replace(path, &serde_json::to_vec(document)?)
}

/// A file that is only added to.
///
/// # Errors
/// What the file system said.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    options().create(true).append(true).open(path)
}

/// Refuses a socket that another user could put theirs in the place of.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn check_surroundings(endpoint: &Path) -> Result<(), String> {
    hcs_wire::endpoint::check(endpoint, Trusted::of_process()).map_err(|untrusted| {
        format!(
            "the directory of {} is not safe to use: {untrusted}",
            endpoint.display()
        )
    })
}

/// The one name of the endpoint, by which its service is known. A service of root follows no link there that a
/// container may have made: it would be in a directory of the container's choice.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn settled(endpoint: &Path) -> Result<PathBuf, String> {
    if !is_root() {
        return Ok(hcs_wire::endpoint::canonical(endpoint));
    }
    hcs_wire::endpoint::settled(endpoint).map_err(|errno| match errno {
        Errno::LOOP => format!(
            "a directory of {} is a symbolic link in a tree that was mapped writable into a container, which may have made \
             it: {ELSEWHERE}",
            endpoint.display()
        ),
        errno => format!("the directory of {} cannot be looked at: {errno}", endpoint.display()),
    })
}

/// What to do about a state root that cannot be used.
const ELSEWHERE: &str = "name a socket elsewhere by HCS_ENDPOINT";

/// The state root as it was found, or made.
#[derive(Debug)]
pub(crate) struct StateRoot(OwnedFd);

impl StateRoot {
    /// Makes it, after a look at what it is made in, and refuses one that another user could change. `endpoint` is its
    /// one name ([`settled`]), so a link that is on the way by now was put there meanwhile.
    ///
    /// # Errors
    /// The sentence to be shown.
    pub(crate) fn make(endpoint: &Path, root: &Path) -> Result<Self, String> {
        check_surroundings(endpoint)?;
        // Nothing is made in a tree of containers.
        refuse_written(root, Kept::InThisBoot, ELSEWHERE)?;
        // Clients of other users find the socket in here; an ordinary user's service has none.
        let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
        let made = make_by(walk(root), root, mode)?;
        // The directory itself, wherever a container has moved the names that lead there.
        refuse_written_at(made.as_fd(), root, Kept::InThisBoot, ELSEWHERE)?;
        make_by(walk(root), &root.join("systems"), 0o700)?;
        keep(made.as_fd(), root, Kept::InThisBoot);
        let made = Self(made);
        made.check(root)?;
        Ok(made)
    }

    /// Refuses to go on where the path leads to another directory by now.
    ///
    /// # Errors
    /// The sentence to be shown.
    pub(crate) fn check(&self, root: &Path) -> Result<(), String> {
        let found = walk(root)(Trusted::of_process(), root, None);
        let found = found.map_err(|untrusted| unusable(root, &untrusted))?;
        let identity = |directory: &OwnedFd| fstat(directory).map(|is| (is.st_dev, is.st_ino));
        if identity(&found).is_ok_and(|found| identity(&self.0) == Ok(found)) {
            return Ok(());
        }
        let replaced = format!("it was replaced while the service started; {ELSEWHERE}");
        Err(unusable(root, &replaced))
    }
}

/// How a directory is found by its path, or made.
type Find = fn(Trusted, &Path, Option<u32>) -> Result<OwnedFd, Untrusted>;

/// The way to a state root. No container makes links where a service of an ordinary user is. That of the machine's own
/// service is known by one name whatever links lead there.
fn walk(root: &Path) -> Find {
    match !is_root() || root == state_root(Path::new(SYSTEM)) {
        true => Trusted::directory,
        false => Trusted::plain_directory,
    }
}

/// Makes the directory of scratches, unless that is in the state root.
///
/// # Errors
/// The sentence to be shown: containers may have written there. Where it cannot be made, the first container tells.
pub(crate) fn make_scratch_root(scratches: &Path, root: &Path) -> Result<(), String> {
    const INSTEAD: &str = "set scratch_root in hcsd.toml to a directory elsewhere";
    if scratches.starts_with(root) {
        return Ok(());
    }
    refuse_written(scratches, Kept::Always, INSTEAD)?;
    if let Ok(made) = Trusted::of_process().directory(scratches, Some(0o700)) {
        refuse_written_at(made.as_fd(), scratches, Kept::Always, INSTEAD)?;
        keep(made.as_fd(), scratches, Kept::Always);
    }
    Ok(())
}

/// Refuses a directory of a service of root in a tree that was mapped into a container before the service had it: what
/// is in it may be made up, or is read.
fn refuse_written(path: &Path, kept: Kept, instead: &str) -> Result<(), String> {
    refuse_suspect(path, instead, || written::suspect(path, kept))
}

/// The same for the directory that was found there.
fn refuse_written_at(
    found: BorrowedFd<'_>,
    path: &Path,
    kept: Kept,
    instead: &str,
) -> Result<(), String> {
    refuse_suspect(path, instead, || written::suspect_at(found, kept))
}

fn refuse_suspect(
    path: &Path,
    instead: &str,
    look: impl FnOnce() -> io::Result<Option<Suspect>>,
) -> Result<(), String> {
    if !is_root() {
        return Ok(());
    }
    let shown = path.display();
    let suspect = look()
        .map_err(|e| format!("whether containers may write to {shown} cannot be told: {e}"))?;
    let tree = match suspect {
        None => return Ok(()),
        Some(Suspect::Written(tree)) => tree,
        Some(Suspect::Seen(tree)) => {
            let tree = tree.display();
            return Err(format!(
                "{shown} is in {tree}, which was mapped into a container: it would read what a service has there; {instead}, \
                 or, when no container has {tree} any more, remove its mark (setfattr -x {} {tree})",
                written::SEEN
            ));
        }
    };
    let tree = tree.display();
    Err(format!(
        "{shown} is in {tree}, which was mapped writable into a container: what a service finds there, a container may \
         have made up; {instead}, or, when no container has {tree} any more and {shown} has nothing that you do not know, \
         remove the marks of {tree} (setfattr -x {} {tree}; setfattr -x {} {tree})",
        written::TRUSTED,
        written::OWN
    ))
}

/// Marks a directory of a service of root as its own: containers are kept from it from now on.
fn keep(found: BorrowedFd<'_>, path: &Path, kept: Kept) {
    if is_root()
        && let Err(e) = written::keep(found, kept)
    {
        warn!(path = %path.display(), "it is not marked as this service's own: {e}");
    }
}

/// Makes a directory of the service's own with `mode`, and those above it that are missing.
///
/// # Errors
/// The sentence to be shown, also when others could change what is there.
pub(crate) fn make(path: &Path, mode: u32) -> Result<(), String> {
    make_by(Trusted::directory, path, mode).map(drop)
}

fn make_by(find: Find, path: &Path, mode: u32) -> Result<OwnedFd, String> {
    let made = find(Trusted::of_process(), path, Some(mode));
    let made = made.map_err(|untrusted| unusable(path, &untrusted))?;
    let found = fstat(&made).map_err(|errno| unusable(path, &errno))?;
    let own = geteuid().as_raw();
    if found.st_uid == own && found.st_mode & 0o022 == 0 {
        return Ok(made);
    }
    let found = format!(
        "expected a directory of user {own} that no other user can write to, found mode {:04o} of user {}",
        found.st_mode & 0o7777,
        found.st_uid
    );
    Err(unusable(path, &found))
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!(
        "{} is not safe to use, or cannot be made: {why}",
        path.display()
    )
}

/// Makes the directory of one system, whose parent the service has made.
///
/// # Errors
/// The file system refused.
pub(crate) fn make_directory(directory: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .map_err(|e| {
            Failure::new(
                HResult::E_FAIL,
                format!("{} cannot be made", directory.display()),
            )
            .because(&e)
        })
}

/// Removes the directory of one system; what cannot be removed is said in the log and tried again at the next start.
pub(crate) fn remove_directory(directory: &Path) {
    if let Err(e) = fs::remove_dir_all(directory)
        && e.kind() != io::ErrorKind::NotFound
    {
        error!(directory = %directory.display(), "it cannot be removed: {e}");
    }
}

/// The text of a configuration file, if no other user can change it.
///
/// # Errors
/// The file cannot be read, is no regular file (or `/dev/null`) or larger than 1 MiB, or others could change it.
pub(crate) fn read_trusted(path: &Path) -> Result<String, Untrusted> {
    let refused = |reason| Untrusted {
        path: path.to_owned(),
        reason,
    };
    let failed = |error: io::Error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::ILSEQ);
        refused(Reason::Io(errno))
    };
    let named = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = Trusted::of_process().open(&named)?;
    let about = fstat(&found).map_err(|errno| refused(Reason::Io(errno)))?;
    let kind = FileType::from_raw_mode(about.st_mode);
    // A FIFO or a terminal would be waited for, and other devices have no end.
    let is_null = kind.is_char_device() && about.st_rdev == null();
    if !kind.is_file() && !is_null {
        return Err(refused(Reason::Kind));
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).map_err(failed)?;
    let mut text = String::new();
    let read = file.take(MOST_TRUSTED + 1).read_to_string(&mut text);
    match read.map_err(failed)? as u64 > MOST_TRUSTED {
        true => Err(refused(Reason::Io(Errno::FBIG))),
        false => Ok(text),
    }
}

/// The device `/dev/null`, which is an empty file.
fn null() -> u64 {
    makedev(1, 3)
}

/// More than any file that is read so has.
const MOST_TRUSTED: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_a_configuration_cannot_be_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
        write(&path("long"), &vec![b'#'; (1 << 20) + 1]).unwrap();
        write(&path("text"), b"log = \"info\"\n").unwrap();
        assert_eq!(read_trusted(&path("text")).unwrap(), "log = \"info\"\n");
        assert_eq!(read_trusted(Path::new("/dev/null")).unwrap(), "");
        for refused in [path("fifo"), "/dev/zero".into(), "/dev".into()] {
            let reason = read_trusted(&refused).unwrap_err().reason;
            assert_eq!(reason, Reason::Kind, "{refused:?}");
        }
        let long = read_trusted(&path("long")).unwrap_err();
        assert_eq!(long.reason, Reason::Io(Errno::FBIG));
    }

    #[test]
    fn links_are_not_followed_and_no_other_user_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&file, b"first, and long").unwrap();
        write(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        symlink(folder.path().join("elsewhere"), &link).unwrap();
        write(&link, b"x").unwrap_err();
        append(&link).unwrap_err();
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/b");
        make(&root, 0o755).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o755);
        fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = make(&root, 0o755).unwrap_err();
        assert!(refused.contains("not safe to use"), "{refused}");
        assert!(refused.contains("chmod go-w"), "{refused}");
    }
}
