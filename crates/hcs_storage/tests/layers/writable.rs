//! Writable layers: who may have them when, and what a kill leaves.

use std::{
    fs::{self, File},
    os::{
        fd::AsFd as _,
        unix::fs::{PermissionsExt as _, chown, symlink},
    },
    path::{Path, PathBuf},
    slice,
};

use hcs_storage::{
    Refusal, StorageError,
    layer::{destroy, remove, writable},
};
use hcs_wire::holds::{self, Kind};
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::geteuid,
};

/// A folder with a base layer and a writable one, `top`, above it.
fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let (base, top) = (place.path().join("base"), place.path().join("top"));
    fs::create_dir(&base).unwrap();
    fs::write(base.join("tool"), "").unwrap();
    fs::set_permissions(base.join("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    writable::initialize(&top, slice::from_ref(&base)).unwrap();
    (place, base, top)
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, StorageError>) -> Refusal {
    answer.unwrap_err().refusal().unwrap().clone()
}

#[test]
fn a_layer_that_a_container_has_is_in_use() {
    let (_place, base, top) = place();
    let opened = File::open(&top).unwrap();
    let taken = holds::take(opened.as_fd(), Kind::Alone).unwrap();
    assert_eq!(
        refusal(writable::attach(&top, slice::from_ref(&base))),
        Refusal::LayerInUse
    );
    assert_eq!(refusal(writable::Upper::of(&top)), Refusal::LayerInUse);
    assert_eq!(refusal(destroy(&top)), Refusal::LayerInUse);
    drop(taken);
    let held = writable::Upper::of(&top).unwrap();
    assert_eq!(refusal(destroy(&top)), Refusal::LayerInUse);
    assert!(held.path().is_dir());
    drop(held);
    destroy(&top).unwrap();
    assert!(!top.exists());
}

/// What another user puts in the place of a container's scratch, in a directory of that user.
#[test]
fn what_a_container_has_written_is_read_of_its_own_scratch_alone() {
    let (place, _base, top) = place();
    assert!(writable::Upper::in_use(&top).unwrap().path().is_dir());
    let secret = place.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::remove_dir(top.join("upper")).unwrap();
    symlink(&secret, top.join("upper")).unwrap();
    assert_eq!(refusal(writable::Upper::in_use(&top)), Refusal::NotWritable);
    fs::remove_file(top.join("upper")).unwrap();
    fs::create_dir(top.join("upper")).unwrap();
    fs::set_permissions(&top, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(refusal(writable::Upper::in_use(&top)), Refusal::OthersPlace);
    fs::set_permissions(&top, fs::Permissions::from_mode(0o700)).unwrap();
    if geteuid().is_root() {
        chown(&top, Some(4242), None).unwrap();
        assert_eq!(refusal(writable::Upper::in_use(&top)), Refusal::OthersPlace);
    }
}

/// Row J2. What was looked at is what is read and mounted, whatever comes to its name meanwhile.
#[test]
fn a_layer_stays_the_one_that_was_looked_at() {
    let (place, base, top) = place();
    let secret = place.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("shadow"), "").unwrap();
    fs::write(top.join("upper/own"), "").unwrap();
    let upper = writable::Upper::of(&top).unwrap();
    fs::rename(top.join("upper"), top.join("aside")).unwrap();
    symlink(&secret, top.join("upper")).unwrap();
    let names: Vec<_> = fs::read_dir(upper.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["own"]);
    drop(upper);
    for link in ["upper", "work"] {
        let attached = writable::attach(&top, slice::from_ref(&base));
        assert_eq!(refusal(attached), Refusal::NotWritable, "{link}");
        if link == "upper" {
            fs::remove_file(top.join("upper")).unwrap();
            fs::rename(top.join("aside"), top.join("upper")).unwrap();
            fs::remove_dir(top.join("work")).unwrap();
            symlink(&secret, top.join("work")).unwrap();
        }
    }
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 1);
}

/// Each step of a call may be its last; the next call goes on from there.
#[test]
fn what_a_kill_leaves_is_made_whole_by_the_next_call() {
    let (place, base, top) = place();
    for left in [vec![], vec!["work"], vec!["work", ".upper"]] {
        remove(&top).unwrap();
        fs::create_dir(&top).unwrap();
        for name in left {
            fs::create_dir(top.join(name)).unwrap();
        }
        assert_eq!(refusal(writable::Upper::of(&top)), Refusal::NotWritable);
        writable::initialize(&top, slice::from_ref(&base)).unwrap();
        let upper = writable::Upper::of(&top).unwrap();
        assert_eq!(fs::read_dir(upper.path()).unwrap().count(), 0);
        assert!(!top.join(".upper").exists());
    }
    // What has something in it was left by no call.
    for name in ["work", ".upper"] {
        remove(&top).unwrap();
        fs::create_dir_all(top.join(name)).unwrap();
        fs::write(top.join(name).join("theirs"), "").unwrap();
        writable::initialize(&top, slice::from_ref(&base)).unwrap_err();
        assert!(top.join(name).join("theirs").exists());
    }
    // Nor is a directory of another program swept, whatever its name begins with.
    let theirs = place.path().join(".partial-download");
    fs::create_dir(&theirs).unwrap();
    // What a killed deletion has left goes with the next import.
    let left = place.path().join(".partial-0-0");
    fs::rename(&top, &left).unwrap();
    let (marks, options) = (
        hcs_storage::layer::Marks::of_caller(),
        hcs_storage::layer::Options::of_caller(),
    );
    hcs_storage::layer::import_from(&base, marks, &top, &options).unwrap();
    assert!(!left.exists() && top.join("tool").exists() && theirs.exists());
}

fn flags_of(point: &Path) -> String {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = text
        .lines()
        .find(|line| line.split(' ').nth(4) == point.to_str());
    line.unwrap().split(' ').nth(5).unwrap().to_owned()
}

#[test]
fn an_attached_layer_gives_no_rights() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, base, top) = place();
    assert_eq!(fs::metadata(&top).unwrap().permissions().mode() & 0o077, 0);
    writable::attach(&top, slice::from_ref(&base)).unwrap();
    let flags = flags_of(&top);
    let (again, gone) = (writable::attach(&top, &[base]), destroy(&top));
    writable::detach(&top).unwrap();
    assert!(
        flags.contains("nosuid") && flags.contains("nodev"),
        "{flags}"
    );
    assert_eq!(refusal(again), Refusal::Attached);
    assert_eq!(refusal(gone), Refusal::Attached);
    assert_eq!(refusal(writable::detach(&top)), Refusal::NotAttached);
}

#[test]
fn what_is_mounted_in_a_layer_is_neither_deleted_nor_unmounted() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, base, top) = place();
    let volume = base.join("volume");
    fs::create_dir(&volume).unwrap();
    mount("test", &volume, "tmpfs", MountFlags::empty(), None).unwrap();
    fs::write(volume.join("file"), "").unwrap();
    let told = (refusal(destroy(&base)), refusal(writable::detach(&volume)));
    let (kept, over) = (volume.join("file").exists(), destroy(&volume));
    unmount(&volume, UnmountFlags::empty()).unwrap();
    assert!(
        kept && matches!(told.0, Refusal::HasMounts { .. }),
        "{told:?}"
    );
    assert_eq!(told.1, Refusal::NotAttached);
    assert!(
        matches!(
            over,
            Err(StorageError::Step {
                errno: Errno::BUSY,
                ..
            })
        ),
        "{over:?}"
    );
    destroy(&base).unwrap();
    assert!(!base.exists() && top.exists());
}

/// Whether the kernel takes layers one by one, as Linux 6.8 and newer do.
fn takes_single_layers() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut numbers = numbers.map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 8)
}

#[test]
fn a_layer_has_more_parents_than_one_call_can_name() {
    if !geteuid().is_root() {
        return;
    }
    let (place, _base, top) = place();
    // Long paths, too.
    let mut folder = place.path().to_owned();
    for _ in 0..14 {
        folder.push("d".repeat(250));
        fs::create_dir(&folder).unwrap();
    }
    let parent = |number: usize| {
        let parent = folder.join(number.to_string());
        fs::create_dir(&parent).unwrap();
        fs::write(parent.join(format!("own{number}")), "").unwrap();
        fs::write(parent.join("number"), number.to_string()).unwrap();
        parent
    };
    let parents: Vec<_> = (0..301).map(parent).collect();
    if !takes_single_layers() {
        let found = parents.len();
        let answer = writable::attach(&top, &parents);
        assert_eq!(refusal(answer), Refusal::TooManyParents { found });
        return;
    }
    writable::attach(&top, &parents).unwrap();
    let (names, flags) = (fs::read_dir(&top).unwrap().count(), flags_of(&top));
    let number = fs::read_to_string(top.join("number"));
    let again = writable::attach(&top, &parents);
    writable::detach(&top).unwrap();
    assert_eq!((names, number.unwrap().as_str()), (302, "0"));
    assert!(
        flags.contains("nosuid") && flags.contains("nodev"),
        "{flags}"
    );
    assert_eq!(refusal(again), Refusal::Attached);
    let found = 501;
    let many: Vec<_> = parents.iter().cycle().take(found).cloned().collect();
    assert_eq!(
        refusal(writable::attach(&top, &many)),
        Refusal::TooManyParents { found }
    );
}
