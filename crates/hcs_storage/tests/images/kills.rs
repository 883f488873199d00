//! Processes that end early, many at once, and a full disk.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use hcs_storage::{Digest, StorageError, image::Name};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::make::{docker, held, store, tar};

const PLACE: &str = "HCS_STORAGE_TEST_STORE";
const NAME: &str = "kills::a_killed_load_leaves_no_half_image";

/// Every image of the store is whole: its contents have their digests, and its layers are there. Opening has removed
/// all that no image needs.
fn is_whole(place: &Path) -> usize {
    let store = store(place);
    let images = store.images().unwrap();
    for image in &images {
        for descriptor in [&image.descriptor, &image.manifest.config]
            .into_iter()
            .chain(&image.manifest.layers)
        {
            let path = place
                .join("store/oci/blobs/sha256")
                .join(descriptor.digest.hex());
            assert_eq!(Digest::of(&fs::read(path).unwrap()), descriptor.digest);
        }
        for layer in store.layers(image) {
            assert_eq!(fs::read_dir(layer).unwrap().count(), FILES);
        }
    }
    images.len()
}

const FILES: usize = 50;

fn layer(seed: u8) -> Vec<u8> {
    let names: Vec<_> = (0..FILES).map(|number| number.to_string()).collect();
    let content = vec![seed; 3000];
    let files: Vec<_> = names.iter().map(|name| (&**name, &*content)).collect();
    tar(&files)
}

#[test]
fn a_killed_load_leaves_no_half_image() {
    if let Some(place) = env::var_os(PLACE) {
        let store = store(Path::new(&place));
        store.load_archive(io::stdin(), None).unwrap();
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let archive = docker("a:1", &[&layer(1), &layer(2)]);
    let mut killed = 0;
    for step in 0..12 {
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", NAME])
            .env(PLACE, place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The first half is killed while it reads, the other anywhere from there on: at once, or some steps later.
        let part = archive.len() * (step + 1).min(6) / 6;
        stdin.write_all(&archive[..part]).unwrap();
        if step >= 5 {
            drop(stdin);
            for _ in 0..(step - 5) * 4 {
                let _entries = fs::read_dir(place.path().join("store/layers")).map(Iterator::count);
                thread::yield_now();
            }
        }
        let _ended = child.kill();
        if child.wait().unwrap().signal() == Some(9) {
            killed += 1;
        }
        let images = is_whole(place.path());
        assert_eq!(
            held(place.path()),
            if images == 1 { [4, 2, 0] } else { [0, 0, 0] }
        );
    }
    assert!(killed > 4, "only {killed} were killed");
    store(place.path()).load_archive(&*archive, None).unwrap();
    assert_eq!(is_whole(place.path()), 1);
}

#[test]
fn many_threads_load_tag_and_remove_at_once() {
    let place = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for number in 0..4 {
            let store = store(place.path());
            scope.spawn(move || {
                let archive = docker("shared:1", &[&layer(0), &layer(number % 2)]);
                let name: Name = format!("own:{number}").parse().unwrap();
                for _ in 0..3 {
                    store.load_archive(&*archive, Some(&name)).unwrap();
                    let image = store.image(name.as_str()).unwrap();
                    assert!(store.layers(&image).iter().all(|layer| layer.is_dir()));
                    store.tag(&image, &"shared:1".parse().unwrap()).unwrap();
                    store.remove(name.as_str()).unwrap();
                }
                store.load_archive(&*archive, Some(&name)).unwrap();
            });
        }
    });
    assert_eq!(is_whole(place.path()), 2);
    let mut names: Vec<_> = store(place.path())
        .images()
        .unwrap()
        .into_iter()
        .flat_map(|image| image.names)
        .collect();
    names.sort();
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    assert_eq!(names, ["own:0", "own:1", "own:2", "own:3", "shared:1"]);
}

/// A file system that is unmounted at the end of its test.
struct Small<'a>(&'a Path);

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _unmounted = unmount(self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let place = tempfile::tempdir().unwrap();
    mount(
        "tmpfs",
        place.path(),
        "tmpfs",
        MountFlags::empty(),
        c"size=2m",
    )
    .unwrap();
    let _small = Small(place.path());
    let store = store(place.path());
    store
        .load_archive(&*docker("small:1", &[&layer(1)]), None)
        .unwrap();
    for seed in 2..5 {
        // Each is larger than what is left: of the archive, of the contents, of the layers.
        let layers: Vec<_> = (0..seed * 2).map(|more| layer(seed * 10 + more)).collect();
        let layers: Vec<_> = layers.iter().map(|layer| &**layer).collect();
        let error = store
            .load_archive(&*docker("large:1", &layers), None)
            .unwrap_err();
        let full = |errno| errno == rustix::io::Errno::NOSPC;
        match error {
            StorageError::Step { errno, .. } => assert!(full(errno), "{errno}"),
            StorageError::Stream { source, .. } => {
                assert!(full(rustix::io::Errno::from_io_error(&source).unwrap()));
            }
            error => panic!("{error}"),
        }
        assert_eq!(held(place.path()), [3, 1, 0]);
        assert_eq!(is_whole(place.path()), 1);
    }
}
