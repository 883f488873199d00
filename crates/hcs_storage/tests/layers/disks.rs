//! Virtual disks: formatted, mounted, as writable layers, and as other programs see them.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    slice, thread,
    time::{Duration, Instant},
};

use hcs_storage::{
    Refusal, StorageError, disk,
    layer::writable::{self, UPPER},
};
use hcs_wire::{
    holds::{self, Kind},
    written,
};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    mount::{UnmountFlags, unmount},
    process::geteuid,
};

const MIB: u64 = 1 << 20;

pub(crate) fn opened(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

/// A folder with a layer and a disk of 64 MiB, which is formatted.
fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let (base, image) = (place.path().join("base"), place.path().join("disk.vhdx"));
    fs::create_dir(&base).unwrap();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(base.join("below"), "").unwrap();
    disk::create_formatted(&image, 64 * MIB).unwrap();
    (place, base, image)
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, StorageError>) -> Refusal {
    let error = answer.unwrap_err();
    error
        .refusal()
        .unwrap_or_else(|| panic!("{error:?}"))
        .clone()
}

/// Loop devices that show a file of this name.
pub(crate) fn loops(image: &Path) -> usize {
    let all = fs::read_dir("/sys/block").unwrap();
    let shows = |name: PathBuf| {
        let file = fs::read_to_string(name.join("loop/backing_file")).unwrap_or_default();
        file.trim_end().starts_with(image.to_str().unwrap())
    };
    all.filter(|entry| shows(entry.as_ref().unwrap().path()))
        .count()
}

/// Looks until `done` answers, for 10 seconds: a mount namespace that another test makes has the mounts of this one,
/// and with them loop devices and locks, until it ends. The kernel tells no process of that.
fn in_time<T>(mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match done() {
            None if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            answer => return answer,
        }
    }
}

/// Whether no loop device shows a file of this name, sooner or later.
pub(crate) fn gone(image: &Path) -> bool {
    in_time(|| (loops(image) == 0).then_some(())).is_some()
}

#[test]
fn a_disk_is_a_writable_layer_that_keeps_what_is_written() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, base, image) = place();
    let file = opened(&image);
    let used = file.metadata().unwrap().blocks() * 512;
    assert!(used < 12 * MIB, "{used}");
    assert_eq!(refusal(disk::unmount(file.as_fd())), Refusal::NotMounted);
    let path = disk::mount_path(file.as_fd()).unwrap();
    let worked = || {
        // Again is fine, and by another handle.
        assert_eq!(disk::mount_path(opened(&image).as_fd()).unwrap(), path);
        writable::initialize(&path, slice::from_ref(&base)).unwrap();
        writable::attach(&path, slice::from_ref(&base)).unwrap();
        fs::write(path.join("above"), "kept").unwrap();
        let seen = path.join("below").exists();
        writable::detach(&path).unwrap();
        assert!(seen);
        assert_eq!(refusal(disk::format(file.as_fd())), Refusal::DiskInUse);
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = text
            .lines()
            .find(|line| line.contains(path.to_str().unwrap()))
            .unwrap()
            .to_owned();
        assert!(
            line.contains("nosuid,nodev") && line.contains("ext4"),
            "{line}"
        );
        assert_eq!(loops(&image), 1);
    };
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(worked));
    disk::unmount(file.as_fd()).unwrap();
    worked.unwrap();
    assert!(!path.exists() && gone(&image));
    // As umount(8) does it: the directory that is left is that of the next mount.
    assert_eq!(disk::mount_path(file.as_fd()).unwrap(), path);
    let kept = fs::read_to_string(path.join(UPPER).join("above"));
    unmount(&path, UnmountFlags::empty()).unwrap();
    assert_eq!(kept.unwrap(), "kept");
    assert!(gone(&image));
    assert_eq!(refusal(disk::unmount(file.as_fd())), Refusal::NotMounted);
    assert!(fs::read_dir(&path).unwrap().next().is_none());
    // Formatted again it is empty.
    disk::format(file.as_fd()).unwrap();
    assert_eq!(disk::mount_path(file.as_fd()).unwrap(), path);
    let empty = !path.join(UPPER).exists();
    disk::unmount(file.as_fd()).unwrap();
    assert!(empty && !path.exists());
}

#[test]
fn a_copy_of_a_disk_that_was_set_up_is_a_writable_layer() {
    if !geteuid().is_root() {
        return;
    }
    let (place, base, image) = place();
    disk::set_up(&base, opened(&image).as_fd()).unwrap();
    assert!(gone(&image));
    assert_eq!(
        refusal(disk::set_up(&base, opened(&image).as_fd())),
        Refusal::AlreadyWritable
    );
    let copy = place.path().join("copy.vhdx");
    fs::copy(&image, &copy).unwrap();
    let file = opened(&copy);
    let path = disk::mount_path(file.as_fd()).unwrap();
    let attached = writable::attach(&path, slice::from_ref(&base));
    let seen = path.join("below").exists();
    let detached = writable::detach(&path);
    disk::unmount(file.as_fd()).unwrap();
    attached.unwrap();
    detached.unwrap();
    assert!(seen);
}

/// A virtual machine locks the files of its disks, for as long as its QEMU has them open.
#[test]
fn a_disk_is_mounted_or_that_of_a_machine() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, _base, image) = place();
    let (file, mut machine) = (opened(&image), opened(&image));
    for kind in [Kind::Alone, Kind::Shared] {
        in_time(|| holds::lock_disk(machine.as_fd(), kind).ok()).unwrap();
        assert_eq!(refusal(disk::mount_path(file.as_fd())), Refusal::DiskInUse);
        assert_eq!(refusal(disk::format(file.as_fd())), Refusal::DiskInUse);
        machine = opened(&image);
        disk::mount_path(file.as_fd()).unwrap();
        let locked = holds::lock_disk(machine.as_fd(), kind);
        disk::unmount(file.as_fd()).unwrap();
        assert_eq!(locked, Err(Errno::WOULDBLOCK));
    }
}

/// An image may be readable to all users.
#[test]
fn a_lock_of_a_disk_by_a_reader_keeps_it_from_no_other() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, _base, image) = place();
    let reader = File::open(&image).unwrap();
    flock(&reader, FlockOperation::LockExclusive).unwrap();
    let file = opened(&image);
    disk::mount_path(file.as_fd()).unwrap();
    disk::unmount(file.as_fd()).unwrap();
    disk::format(file.as_fd()).unwrap();
}

/// Row J12.
#[test]
fn a_disk_that_containers_may_write_is_not_mounted() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, _base, image) = place();
    let folder = image.parent().unwrap().join("mapped");
    fs::create_dir(&folder).unwrap();
    let inside = folder.join("disk.vhdx");
    fs::rename(&image, &inside).unwrap();
    let file = opened(&inside);
    written::mark(File::open(&folder).unwrap().as_fd(), true).unwrap();
    assert_eq!(
        refusal(disk::mount_path(file.as_fd())),
        Refusal::ContainersDisk
    );
    // A second name, which such a container may have.
    fs::hard_link(&inside, &image).unwrap();
    let other = opened(&image);
    assert_eq!(
        refusal(disk::mount_path(other.as_fd())),
        Refusal::ContainersDisk
    );
    fs::remove_file(&image).unwrap();
    // A name of any bytes, such as a line end.
    let image = image.with_file_name(OsStr::from_bytes(b"w\xff.vhdx\n"));
    fs::copy(&inside, &image).unwrap();
    let copy = opened(&image);
    let mounted = disk::mount_path(copy.as_fd()).unwrap();
    assert!(mounted.is_dir());
    let is_in = |path: &Path| {
        let found = disk::mounted_in(File::open(path).unwrap()).unwrap();
        found.map(|file| fs::canonicalize(file).unwrap())
    };
    let there = fs::canonicalize(&image).unwrap();
    for tree in [&image, image.parent().unwrap(), Path::new("/")] {
        assert_eq!(is_in(tree), Some(there.clone()), "{}", tree.display());
    }
    assert_eq!(is_in(&folder), None);
    // Its tree came to a container while it was mounted.
    let tree = File::open(image.parent().unwrap()).unwrap();
    written::mark(tree.as_fd(), true).unwrap();
    assert_eq!(
        refusal(disk::mount_path(copy.as_fd())),
        Refusal::ContainersDisk
    );
    disk::unmount(copy.as_fd()).unwrap();
    assert_eq!(is_in(&image), None);
}

/// Row J12. A user in whose directory a disk is mounted removes it, and has its path lead nowhere or to another file.
#[test]
fn a_mounted_disk_that_no_path_leads_to_is_in_no_tree() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, _base, image) = place();
    let folder = image.parent().unwrap().join("of-a-user");
    fs::create_dir(&folder).unwrap();
    let inside = folder.join("disk.vhdx");
    fs::rename(&image, &inside).unwrap();
    let file = opened(&inside);
    disk::mount_path(file.as_fd()).unwrap();
    let above = File::open(folder.parent().unwrap()).unwrap();
    let other = tempfile::tempdir().unwrap();
    let other = File::open(other.path()).unwrap();
    let found = |tree: &File| disk::mounted_in(tree).unwrap();
    assert_eq!(found(&above), Some(fs::canonicalize(&inside).unwrap()));
    fs::remove_file(&inside).unwrap();
    // What the kernel calls a file that was removed.
    let removed = folder.join("disk.vhdx (deleted)");
    fs::write(&removed, "").unwrap();
    assert_eq!(found(&above), None, "it is another file");
    fs::remove_file(&removed).unwrap();
    fs::remove_dir(&folder).unwrap();
    for makes in [
        |path: &Path| fs::write(path, "").unwrap(),
        |path: &Path| symlink(path, path).unwrap(),
    ] {
        makes(&folder);
        assert_eq!((found(&above), found(&other)), (None, None));
        fs::remove_file(&folder).unwrap();
    }
    assert!(found(&file).is_some(), "the file itself");
    disk::unmount(file.as_fd()).unwrap();
}

#[test]
fn a_disk_of_others_is_not_mounted() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, _base, image) = place();
    let file = opened(&image);
    for (owner, mode) in [(65534, 0o600), (0, 0o620), (0, 0o602)] {
        chown(&image, Some(owner), Some(0)).unwrap();
        fs::set_permissions(&image, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            refusal(disk::mount_path(file.as_fd())),
            Refusal::OthersDisk,
            "{owner} {mode:o}"
        );
    }
    // A handle gives no more than it was opened for.
    let read = File::open(&image).unwrap();
    for answer in [
        disk::format(read.as_fd()),
        disk::mount_path(read.as_fd()).map(drop),
    ] {
        assert!(
            matches!(
                answer,
                Err(StorageError::Step {
                    errno: Errno::ACCESS,
                    ..
                })
            ),
            "{answer:?}"
        );
    }
    let folder = File::open("/").unwrap();
    assert_eq!(refusal(disk::format(folder.as_fd())), Refusal::NoFile);
}

#[test]
fn what_is_no_disk_is_refused_and_stays_as_it_is() {
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = place.path().join("image");
    let footer = |kind: u8| {
        let mut footer = vec![0; 512];
        footer[..8].copy_from_slice(b"conectix");
        footer[63] = kind;
        footer
    };
    let disk = vec![7; 5 << 20];
    for (bytes, what) in [
        (vec![], "cut off"),
        (disk.clone(), "neither"),
        (b"vhdxfile".to_vec(), "cut off"),
        ([&b"vhdxfile"[..], &disk].concat(), "no valid header"),
        (
            [&b"vhdxfile"[..], &disk, &footer(2)].concat(),
            "begins as a VHDX and ends as a VHD",
        ),
        ([&disk[..], &footer(3)].concat(), "a VHD that grows"),
        ([&disk[..], &footer(4)].concat(), "a difference to a parent"),
        (
            [&disk[..1 << 20], &footer(2)].concat(),
            "smaller than 4 MiB",
        ),
    ] {
        fs::write(&path, &bytes).unwrap();
        let told = disk::format(opened(&path).as_fd()).unwrap_err().to_string();
        assert!(
            told.contains(what) && told.contains("image"),
            "{what}: {told}"
        );
        assert!(fs::read(&path).unwrap() == bytes, "{what}");
    }
    for size in [0, 1, 4 * MIB + 1, 1 << 60] {
        disk::create(&place.path().join("none"), size).unwrap_err();
    }
    assert!(!place.path().join("none").exists());
    // What is there stays.
    let there = disk::create(&path, 8 * MIB).unwrap_err();
    assert!(
        matches!(
            there,
            StorageError::Step {
                errno: Errno::EXIST,
                ..
            }
        ),
        "{there}"
    );
}

/// What a container writes to the last sector of its disk does not make a VHD of the file.
#[test]
fn a_disk_ends_before_its_file() {
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let image = place.path().join("disk.vhdx");
    disk::create(&image, 32 * MIB).unwrap();
    let file = opened(&image);
    let mut footer = vec![0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[63] = 2;
    file.write_all_at(&footer, 36 * MIB - 512).unwrap();
    disk::format(file.as_fd()).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 37 * MIB);
}

#[test]
fn a_hostile_file_system_is_not_mounted() {
    if !geteuid().is_root() {
        return;
    }
    let (_place, _base, image) = place();
    let file = opened(&image);
    let superblock = 4 * MIB + 1024;
    // A journal on a device of the host, and a panic at the first fault.
    for (at, value, what) in [
        (0xe4, &[1_u8][..], "journal"),
        (0x200, b"errors=panic", "options"),
    ] {
        let mut kept = vec![0; value.len()];
        file.read_exact_at(&mut kept, superblock + at).unwrap();
        file.write_all_at(value, superblock + at).unwrap();
        let told = disk::mount_path(file.as_fd()).unwrap_err().to_string();
        assert!(told.contains(what), "{told}");
        file.write_all_at(&kept, superblock + at).unwrap();
    }
    // The kernel finds the sum of the superblock wrong.
    file.write_all_at(b"x", superblock + 0x78).unwrap();
    disk::mount_path(file.as_fd()).unwrap_err();
    assert!(gone(&image));
}

#[test]
fn a_vhd_of_fixed_size_is_a_disk_too() {
    if !geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let image = place.path().join("disk.vhd");
    let mut footer = vec![0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[63] = 2;
    fs::write(&image, []).unwrap();
    let file = opened(&image);
    file.write_all_at(&footer, 16 * MIB).unwrap();
    disk::format(file.as_fd()).unwrap();
    let path = disk::mount_path(file.as_fd()).unwrap();
    let written = fs::write(path.join("file"), vec![1; 3 << 20]);
    disk::unmount(file.as_fd()).unwrap();
    written.unwrap();
    let mut kept = vec![0; 512];
    file.read_exact_at(&mut kept, 16 * MIB).unwrap();
    assert_eq!(
        (kept, file.metadata().unwrap().len()),
        (footer, 16 * MIB + 512)
    );
}

/// Bytes of a disk of QEMU's: more than a group of blocks has.
const QEMUS: u64 = 5 << 30;

/// QEMU, as a program that shows and makes images.
struct Qemu(Command);

impl Qemu {
    fn new(image: &Path) -> Self {
        let mut command = Command::new("qemu-storage-daemon");
        let file = format!("driver=file,node-name=file,filename={}", image.display());
        command.args(["--blockdev", &file]);
        Self(command)
    }

    /// Makes an image in the file, which is there.
    fn make(mut self, subformat: &str) {
        let mut daemon = self
            .0
            .args(["--chardev", "stdio,id=monitor", "--monitor", "monitor"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut asking = daemon.stdin.take().unwrap();
        let create = format!(
            r#"{{"execute": "blockdev-create", "arguments": {{"job-id": "make", "options": {{"driver": "vhdx", "file": "file",
            "size": {QEMUS}, "block-size": 1048576, "subformat": "{subformat}",
            "block-state-zero": false}}}}}}"#
        );
        writeln!(asking, r#"{{"execute": "qmp_capabilities"}}{create}"#).unwrap();
        for line in BufReader::new(daemon.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            assert!(!line.contains("\"error\""), "{line}");
            if line.contains("\"concluded\"") {
                writeln!(asking, r#"{{"execute": "quit"}}"#).unwrap();
                break;
            }
        }
        drop(asking);
        assert!(daemon.wait().unwrap().success());
    }

    /// Has QEMU show the disk as a file while `used` works with that.
    fn shown(mut self, place: &Path, used: impl FnOnce(&File, &Path)) {
        let (point, pid) = (place.join("raw"), place.join("pid"));
        fs::write(&point, "").unwrap();
        let export = format!(
            "fuse,id=export,node-name=disk,writable=on,mountpoint={}",
            point.display()
        );
        let started = self
            .0
            .args([
                "--blockdev",
                "driver=vhdx,node-name=disk,file=file",
                "--export",
                &export,
            ])
            .args(["--daemonize", "--pidfile", pid.to_str().unwrap()])
            .status()
            .unwrap();
        assert!(started.success());
        used(&opened(&point), &point);
        let text = fs::read_to_string(&pid).unwrap();
        let process = rustix::process::Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        let watched =
            rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        let mut ended = [rustix::event::PollFd::new(
            &watched,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut ended, None).unwrap();
        fs::remove_file(&point).unwrap();
    }
}

/// What QEMU makes is formatted, and what is formatted is the same disk to QEMU, so to a virtual machine.
#[test]
fn qemu_and_the_host_see_the_same_disk() {
    if !geteuid().is_root() {
        return;
    }
    for subformat in ["dynamic", "fixed"] {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let image = place.path().join("disk.vhdx");
        fs::write(&image, "").unwrap();
        Qemu::new(&image).make(subformat);
        let file = opened(&image);
        let told = refusal(disk::mount_path(file.as_fd()));
        match subformat {
            "dynamic" => assert!(matches!(told, Refusal::OtherDisk(_)), "{told}"),
            _ => assert!(matches!(told, Refusal::NoVolume(_)), "{told}"),
        }
        disk::format(file.as_fd()).unwrap();
        let path = disk::mount_path(file.as_fd()).unwrap();
        let written = fs::write(path.join("file"), "by the host");
        disk::unmount(file.as_fd()).unwrap();
        written.unwrap();
        // A MiB is behind the disk. Of so many blocks not all entries of the table are about blocks.
        let end = file.metadata().unwrap().len() - MIB;
        file.write_all_at(b"by the host", end - 4096).unwrap();
        Qemu::new(&image).shown(place.path(), |shown, path| {
            assert_eq!(shown.metadata().unwrap().len(), QEMUS);
            let mut found = [0; 11];
            shown.read_exact_at(&mut found, QEMUS - 4096).unwrap();
            assert_eq!(&found, b"by the host", "{subformat}");
            shown.write_all_at(b"by a machine", QEMUS - 8192).unwrap();
            let dumped = Command::new("debugfs")
                .args(["-R", "cat /file"])
                .arg(path)
                .output();
            assert_eq!(dumped.unwrap().stdout, b"by the host");
        });
        let mut found = [0; 12];
        file.read_exact_at(&mut found, end - 8192).unwrap();
        assert_eq!(&found, b"by a machine", "{subformat}");
        let path = disk::mount_path(file.as_fd()).unwrap();
        let read = fs::read(path.join("file"));
        disk::unmount(file.as_fd()).unwrap();
        assert_eq!(read.unwrap(), b"by the host", "{subformat}");
    }
}
