//! `hcs disk`: a virtual disk as the scratch of containers.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::common::{Ended, ended, hcs, unique};

/// A folder with a layer that has a shell, and a disk beside it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let bin = folder.path().join("layer/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        Self { folder }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("work.vhdx")
    }

    fn disk(&self, words: &[&str]) -> Ended {
        let image = self.image();
        let words = [&["disk"], words, &[image.to_str().unwrap()]].concat();
        ended(&mut hcs(words))
    }

    /// Mounts the disk, and answers where.
    fn mounted(&self) -> String {
        self.disk(&["mount"]).fine().trim().to_owned()
    }

    /// Runs a script in a container whose scratch is at `path`.
    fn run(&self, path: &str, options: &[&str], script: &str) -> Ended {
        let layer = self.folder.path().join("layer");
        let layer = ["--layer", layer.to_str().unwrap(), "--scratch", path];
        let command = ["--", "/bin/busybox", "sh", "-c", script];
        ended(&mut hcs([&["run"], options, &layer, &command].concat()))
    }
}

#[test]
fn a_disk_keeps_what_containers_write_and_no_more_than_its_size() {
    let place = Place::new();
    place.disk(&["create", "--size", "64M"]).fine();
    let made = fs::metadata(place.image()).unwrap();
    assert!(made.blocks() * 512 < 12 << 20 && made.mode() & 0o777 == 0o600);
    let path = place.mounted();
    assert_eq!(place.mounted(), path);
    let script = "cd /; /bin/busybox cp /bin/busybox busybox.own && /bin/busybox chmod 4755 busybox.own && echo kept > note";
    place.run(&path, &[], script).fine();
    let written = place.run(
        &path,
        &[],
        "/bin/busybox dd if=/dev/zero of=/full bs=1M count=100",
    );
    assert!(
        written.code != Some(0) && written.err.contains("No space left"),
        "{written:?}"
    );
    // A set-user-ID program of the container gives no rights on the host.
    let own = fs::metadata(Path::new(&path).join("upper/busybox.own")).unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(&path)).unwrap();
    assert!(
        own.mode() & 0o4000 != 0 && line.contains("nosuid,nodev"),
        "{line}"
    );
    place.disk(&["unmount"]).fine();
    assert!(!Path::new(&path).exists());
    let again = place.disk(&["unmount"]);
    assert!(
        again.code == Some(125) && again.err.contains("it is not mounted"),
        "{again:?}"
    );
    let path = place.mounted();
    let kept = place.run(
        &path,
        &[],
        "/bin/busybox rm /full; /bin/busybox cat /note; /busybox.own true && echo runs",
    );
    place.disk(&["unmount"]).fine();
    assert_eq!(kept.fine(), "kept\nruns\n");
}

#[test]
fn a_disk_that_a_container_uses_stays_mounted() {
    let place = Place::new();
    let id = unique("disk");
    place.disk(&["create", "--size", "16M"]).fine();
    let path = place.mounted();
    let run = place.run(&path, &["-d", "--id", &id], "/bin/busybox sleep 1000");
    let busy = place.disk(&["unmount"]);
    let formatted = place.disk(&["format"]);
    let gone = ended(&mut hcs(["terminate", &*id]));
    place.disk(&["unmount"]).fine();
    run.fine();
    gone.fine();
    assert!(
        busy.code == Some(125) && busy.err.contains("busy"),
        "{busy:?}"
    );
    assert!(
        formatted.code == Some(125) && formatted.err.contains("it is mounted"),
        "{formatted:?}"
    );
}

#[test]
fn what_is_no_disk_is_told() {
    let place = Place::new();
    let missing = place.disk(&["mount"]);
    assert!(
        missing.code == Some(125) && missing.err.contains("No such file"),
        "{missing:?}"
    );
    fs::write(place.image(), "text").unwrap();
    let there = place.disk(&["create"]);
    assert!(
        there.code == Some(125) && there.err.contains("exists"),
        "{there:?}"
    );
    for verb in ["mount", "format"] {
        let said = place.disk(&[verb]);
        assert!(
            said.code == Some(125) && said.err.contains("no virtual disk"),
            "{said:?}"
        );
    }
    assert_eq!(fs::read(place.image()).unwrap(), b"text");
    assert_eq!(place.disk(&["create", "--size", "5X"]).code, Some(125));
}

#[test]
fn a_disk_that_a_container_names_is_mounted_for_it() {
    let place = Place::new();
    place.disk(&["create", "--size", "16M"]).fine();
    let image = place.image();
    let image = image.to_str().unwrap();
    place
        .run(image, &[], "/bin/busybox echo kept > /note")
        .fine();
    let path = place.mounted();
    let note = fs::read_to_string(Path::new(&path).join("upper/note"));
    place.disk(&["unmount"]).fine();
    assert_eq!(note.unwrap(), "kept\n");
    // A container that is only made has it mounted as well.
    let id = unique("named-disk");
    let layer = place.folder.path().join("layer");
    let create = [
        "create",
        "--id",
        &id,
        "--scratch",
        image,
        "--layer",
        layer.to_str().unwrap(),
    ];
    let made = ended(&mut hcs(create));
    let kept = Path::new(&place.mounted()).join("upper/note").exists();
    let gone = ended(&mut hcs(["terminate", &*id]));
    place.disk(&["unmount"]).fine();
    made.fine();
    gone.fine();
    assert!(kept);
    fs::write(image, "text").unwrap();
    let said = place.run(image, &[], "true");
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(
        said.err.contains("hcs disk create") && said.err.contains("no virtual disk"),
        "{said:?}"
    );
}
