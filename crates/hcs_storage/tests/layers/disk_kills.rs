//! What is done with virtual disks, killed at each call to the kernel.

use std::{
    env, fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Command,
};

use hcs_storage::{Refusal, disk};
use rustix::process::geteuid;

use crate::{
    disks::{gone, loops, opened},
    everywhere,
};

const ACTION: &str = "HCS_STORAGE_TEST_ACTION";
const PLACE: &str = "HCS_STORAGE_TEST_PLACE";
const NAME: &str = "disk_kills::the_action_that_is_killed";

fn act(image: &Path, action: &str) {
    match action {
        "create" => disk::create(image, 8 << 20),
        "mount" => disk::mount_path(opened(image).as_fd()).map(drop),
        "unmount" => disk::unmount(opened(image).as_fd()),
        "set up" => disk::set_up(image.parent().unwrap(), opened(image).as_fd()),
        other => panic!("{other}"),
    }
    .unwrap();
}

#[test]
fn the_action_that_is_killed() {
    if let (Some(place), Ok(action)) = (env::var_os(PLACE), env::var(ACTION)) {
        act(Path::new(&place), &action);
    }
}

fn command(image: &Path, action: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", NAME])
        .env(ACTION, action)
        .env(PLACE, image);
    command
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let image = place.path().join("disk.vhdx");
    (place, image)
}

#[test]
fn a_disk_is_made_whole_or_not_at_all() {
    let (place, image) = place();
    let killed = everywhere::kill(&command(&image, "create"), || {
        if fs::read_dir(place.path()).unwrap().next().is_some() {
            disk::format(opened(&image).as_fd()).unwrap();
            fs::remove_file(&image).unwrap();
        }
    });
    assert!(killed > 10, "{killed}");
}

#[test]
fn a_disk_is_mounted_or_not_and_no_loop_device_is_left() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, image) = place();
    act(&image, "create");
    disk::format(opened(&image).as_fd()).unwrap();
    let killed = everywhere::kill(&command(&image, "mount"), || {
        let file = opened(&image);
        let before = loops(&image);
        let path = disk::mount_path(file.as_fd()).unwrap();
        assert!(before <= 1 && loops(&image) == 1 && path.join("lost+found").exists());
        disk::unmount(file.as_fd()).unwrap();
        assert!(gone(&image) && !path.exists());
    });
    assert!(killed > 10, "{killed}");
    act(&image, "mount");
    let killed = everywhere::kill(&command(&image, "unmount"), || {
        let file = opened(&image);
        let unmounted = disk::unmount(file.as_fd());
        if let Err(error) = unmounted {
            assert_eq!(error.refusal(), Some(&Refusal::NotMounted));
        }
        assert!(gone(&image));
        act(&image, "mount");
    });
    assert!(killed > 5, "{killed}");
    act(&image, "unmount");
}

#[test]
fn a_disk_that_is_set_up_leaves_no_loop_device() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, image) = place();
    act(&image, "create");
    disk::format(opened(&image).as_fd()).unwrap();
    let killed = everywhere::kill(&command(&image, "set up"), || {
        assert!(gone(&image));
        let again = disk::set_up(image.parent().unwrap(), opened(&image).as_fd());
        if let Err(error) = again {
            assert_eq!(error.refusal(), Some(&Refusal::AlreadyWritable));
        }
        disk::format(opened(&image).as_fd()).unwrap();
    });
    assert!(killed > 20, "{killed}");
}
