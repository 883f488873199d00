//! A file that is there whole or not at all.
//!
//! It is written beside its place, under a name that ends with the number of the process, and locked (`flock`) as long
//! as that goes on. What a killed process left is known by being free; the next one that writes the same file removes
//! it.

use std::{
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::geteuid,
};

/// Directories in which links are followed: root alone makes some there, as `/dev/stdout`.
const FOLLOWED: [&str; 3] = ["/dev", "/dev/fd", "/proc/self/fd"];
/// What stands between the name of the file and the number of the process.
const PARTIAL: &str = ".partial-";
/// How often a file is tried to be made, where another process has taken it for one that was left and is about to
/// remove it.
const TRIES: u32 = 1000;
/// How long is waited for that each time.
const PAUSE: Duration = Duration::from_millis(2);

/// Writes a file, which gets its name when it is whole.
pub(crate) fn to_file(
    path: &Path,
    write: impl FnOnce(File) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let unwritten = |error: io::Error| {
        let message = format!("{} cannot be written", path.display());
        Failure::new(HResult::E_FAIL, message).because(&error)
    };
    // A device or a pipe cannot be replaced by a file.
    if is_special(path) {
        let mut options = File::options();
        let flags = if is_followed(path) {
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        };
        let options = options.write(true).custom_flags(flags.bits().cast_signed());
        return write(options.open(path).map_err(unwritten)?);
    }
    // What cannot be removed is no reason to fail.
    let _left = sweep(path);
    let (partial, file) = begin(path).map_err(unwritten)?;
    // The lock is that of the open file, which ends with the last of its descriptors.
    let lock = file.try_clone().map_err(unwritten)?;
    let finish = || -> io::Result<()> {
        // Whatever the mask is, no other user can write to what root may load again.
        lock.set_permissions(fs::Permissions::from_mode(0o644 & !mask()))?;
        fs::rename(&partial, path)
    };
    let done = write(file).and_then(|()| finish().map_err(unwritten));
    if done.is_err() {
        // The first failure says more.
        let _left = fs::remove_file(&partial);
    }
    drop(lock);
    done
}

fn is_followed(path: &Path) -> bool {
    let folder = path.parent();
    folder.is_some_and(|folder| FOLLOWED.iter().any(|one| folder == Path::new(one)))
}

/// Whether something stands at `path` that is written to and not replaced. A link is replaced: a container to which its
/// directory is mapped may have made it.
fn is_special(path: &Path) -> bool {
    let there = match is_followed(path) {
        true => fs::metadata(path),
        false => fs::symlink_metadata(path),
    };
    there.is_ok_and(|there| !there.is_file() && !there.is_symlink())
}

/// The mask of this process (`umask(2)`), which can be read there without changing it.
fn mask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    // Where it is not told, others get nothing.
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok())
        .unwrap_or(0o077)
}

/// Makes the file beside `path`, and locks it.
fn begin(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!("{PARTIAL}{}", process::id()));
    let partial = PathBuf::from(partial);
    for _ in 0..TRIES {
        // A user who could open it could lock it, and it would be taken for one that another process removes.
        let mut options = File::options();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = match options.open(&partial) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                thread::sleep(PAUSE);
                continue;
            }
            opened => opened?,
        };
        // Before it was locked, another process may have taken it for one that was left.
        let is_ours = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_ours && file.metadata()?.nlink() > 0 {
            return Ok((partial, file));
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes what killed processes left that wrote the file `path`.
fn sweep(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Ok(());
    };
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty());
    let start = [name.as_bytes(), PARTIAL.as_bytes()].concat();
    for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let found = entry.file_name();
        let number = found.as_bytes().strip_prefix(&*start);
        let is_left = |number: &[u8]| !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        if !number.is_some_and(is_left) {
            continue;
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = flags.bits().cast_signed();
        let opened = File::options()
            .write(true)
            .custom_flags(flags)
            .open(entry.path());
        let Ok(file) = opened else { continue };
        let about = file.metadata()?;
        // In a directory that others may write to it may be theirs.
        let is_own = about.is_file() && about.uid() == geteuid().as_raw();
        let is_free = is_own && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        // Once it has another name or none, what has this name is another file.
        let is_same = || {
            let found = fs::symlink_metadata(entry.path());
            found.is_ok_and(|found| (found.dev(), found.ino()) == (about.dev(), about.ino()))
        };
        if is_free && is_same() {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn what_another_process_is_about_to_remove_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        let partial = place.path().join(format!("a.partial-{}", process::id()));
        fs::write(&partial, "").unwrap();
        let gone = partial.clone();
        let sweeper = thread::spawn(move || fs::remove_file(gone));
        let (found, _file) = begin(&path).unwrap();
        sweeper.join().unwrap().unwrap();
        assert!(found == partial && partial.exists());
    }

    /// Row J9. A container to which the directory is mapped may have made it.
    #[test]
    fn a_link_is_replaced_whatever_it_leads_to() {
        let place = tempfile::tempdir().unwrap();
        let (secret, link) = (place.path().join("secret"), place.path().join("picture"));
        fs::write(&secret, "secret").unwrap();
        for target in [&*secret, Path::new("/dev/full")] {
            symlink(target, &link).unwrap();
            let write = |mut file: File| {
                file.write_all(b"picture").unwrap();
                Ok(())
            };
            to_file(&link, write).unwrap();
            assert_eq!(fs::read(&link).unwrap(), b"picture");
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
    }

    /// A user who opens it may lock it, and the file would never be made.
    #[test]
    fn no_other_user_opens_what_is_not_whole_yet() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
        to_file(&at("a"), |_| {
            let own = at(&format!("a.partial-{}", process::id()));
            assert_eq!(mode(own), 0o600);
            Ok(())
        })
        .unwrap();
        assert_eq!(mode(at("a")), 0o644 & !mask());
    }

    #[test]
    fn what_a_killed_process_left_goes_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for name in [
            "a.partial-1",
            "a.partial-",
            "a.partial-x",
            "b.partial-1",
            "a.partial-12",
        ] {
            fs::write(at(name), name).unwrap();
        }
        symlink(at("b.partial-1"), at("a.partial-3")).unwrap();
        let busy = File::open(at("a.partial-12")).unwrap();
        flock(&busy, FlockOperation::LockExclusive).unwrap();
        to_file(&at("a"), |mut file| {
            file.write_all(b"new").unwrap();
            let own = at(&format!("a.partial-{}", process::id()));
            assert!(own.exists());
            // Another one that writes the same file leaves this one alone.
            sweep(&at("a")).unwrap();
            assert!(own.exists());
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), b"new");
        let names = fs::read_dir(place.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let kept = [
            "a",
            "a.partial-",
            "a.partial-12",
            "a.partial-3",
            "a.partial-x",
            "b.partial-1",
        ];
        assert_eq!(names, kept);
    }
}
