//! Imports that end early: killed, or on a full disk.

use std::{
    env, fs,
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

use hcs_storage::{
    StorageError,
    layer::{Expected, destroy, import_tar, sweep},
};
use rustix::{
    fs::{FlockOperation, flock},
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::geteuid,
};

use crate::archive::{FILE, Raw, archive, import, root};

const PLACE: &str = "HCS_STORAGE_TEST_IMPORT";
const NAME: &str = "kills::an_import_that_is_killed_leaves_what_is_swept";

fn names(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn an_import_that_is_killed_leaves_what_is_swept() {
    if let Some(place) = env::var_os(PLACE) {
        let target = Path::new(&place).join("layer");
        let _never = import_tar(std::io::stdin(), &target, &root(), &Expected::default());
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let content = vec![1; 1 << 20];
    let mut files = Vec::new();
    for name in [b"a", b"b", b"c"] {
        files.push(
            Raw {
                name,
                content: &content,
                ..FILE
            }
            .bytes(),
        );
    }
    let entries: Vec<_> = files.iter().map(|file| &**file).collect();
    let bytes = archive(&entries);
    for part in [0, 512, 600, 1 << 20, bytes.len() - 1] {
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", NAME])
            .env(PLACE, place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&bytes[..part]).unwrap();
        // Once the pipe is empty, the import has begun: all that was sent is read.
        while rustix::io::ioctl_fionread(&stdin).unwrap() > 0 || names(place.path()) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(sweep(place.path()).unwrap(), 0, "it goes on");
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        drop(stdin);
        assert!(!place.path().join("layer").exists());
        assert_eq!(sweep(place.path()).unwrap(), 1);
        assert_eq!(names(place.path()), 0);
    }
    import(&bytes, place.path()).unwrap();
    assert_eq!(names(place.path()), 1);
}

/// All users may open the directory above layers, unless its owner closes it.
#[test]
fn a_lock_of_the_directory_above_layers_holds_nothing_up() {
    if !geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let seen = fs::File::open(place.path()).unwrap();
    flock(&seen, FlockOperation::LockExclusive).unwrap();
    fs::create_dir(place.path().join(".partial-1-1")).unwrap();
    import(&archive(&[]), place.path()).unwrap();
    assert_eq!(sweep(place.path()).unwrap(), 1);
    destroy(&place.path().join("layer")).unwrap();
    assert_eq!(names(place.path()), 0);
}

/// A file system that is unmounted at the end of its test.
struct Small<'a>(&'a Path);

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _unmounted = unmount(self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    mount(
        "tmpfs",
        place.path(),
        "tmpfs",
        MountFlags::empty(),
        c"size=256k",
    )
    .unwrap();
    let _small = Small(place.path());
    let content = vec![1; 1 << 20];
    let bytes = archive(&[&Raw {
        content: &content,
        ..FILE
    }
    .bytes()]);
    let error = import(&bytes, place.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StorageError::Step {
                errno: rustix::io::Errno::NOSPC,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(names(place.path()), 0);
    import(&archive(&[&FILE.bytes()]), place.path()).unwrap();
}
