//! A store that a container has mapped and may write to: nothing outside of it is made, read or removed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use hcs_storage::{
    StorageError,
    image::{Name, Store},
    layer::Options,
};
use rustix::{
    fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with},
    process::getpid,
};

use crate::make::{docker, tar};

/// Folders of a store, by which all is found.
const FOLDERS: [&str; 7] = [
    "leases",
    "incoming",
    "layers",
    "unfinished",
    "oci",
    "oci/blobs",
    "oci/blobs/sha256",
];

/// All that is done with stores, by a store that is opened anew each time. What fails is no matter here.
fn each_verb(place: &Path) -> [Result<(), StorageError>; 6] {
    let opened = || Store::open(place, Options::of_caller());
    let name: Name = "other:1".parse().unwrap();
    let root = tar(&[("file", b"other")]);
    [
        opened().and_then(|store| store.images().map(drop)),
        opened().and_then(|store| store.import(&*root, &name).map(drop)),
        opened().and_then(|store| {
            let archive = docker("third:1", &[&tar(&[("file", b"third")])]);
            store.load_archive(&*archive, None).map(drop)
        }),
        opened().and_then(|store| store.repair().map(drop)),
        opened().and_then(|store| store.remove("test:1").map(drop)),
        opened().and_then(|store| store.prune().map(drop)),
    ]
}

/// A directory of the host, with what a sweep of a store would take for its own.
fn victim() -> tempfile::TempDir {
    let victim = tempfile::tempdir().unwrap();
    for name in ["f", "1-0", "x.json", ".partial-1-0", "index.json"] {
        fs::write(victim.path().join(name), name).unwrap();
    }
    fs::create_dir_all(victim.path().join("sub/deep")).unwrap();
    fs::create_dir_all(victim.path().join("blobs/sha256")).unwrap();
    fs::create_dir_all(victim.path().join("sha256")).unwrap();
    victim
}

/// All that is below `place`, with the texts of files.
fn all(place: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![place.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path.clone());
            }
            found.insert(path.clone(), fs::read(&path).ok());
        }
    }
    found
}

/// A store with one image, and a name that the store is below.
fn mapped() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("store");
    let store = Store::open(&root, Options::of_caller()).unwrap();
    let archive = docker("test:1", &[&tar(&[("file", b"text")])]);
    store.load_archive(&*archive, None).unwrap();
    (place, root)
}

#[test]
fn a_link_in_place_of_a_folder_of_a_store_leads_nowhere() {
    for folder in FOLDERS {
        let (_place, root) = mapped();
        let victim = victim();
        let before = all(victim.path());
        let name = root.join(folder);
        if name.exists() {
            fs::rename(&name, root.join("aside")).unwrap();
        }
        symlink(victim.path(), &name).unwrap();
        let done = each_verb(&root);
        assert_eq!(all(victim.path()), before, "{folder}: {done:?}");
        if folder != "unfinished" {
            assert!(done.iter().any(Result::is_err), "{folder}");
        }
    }
}

#[test]
fn a_folder_of_a_store_that_is_swapped_leads_nowhere() {
    /// Of each folder, while all is done with the store again and again.
    const SWAPS: usize = 500;
    for folder in ["leases", "incoming", "layers", "oci/blobs/sha256", "oci"] {
        let (_place, root) = mapped();
        let victim = victim();
        let before = all(victim.path());
        let other = root.join(format!("other-{}", getpid().as_raw_nonzero()));
        symlink(victim.path(), &other).unwrap();
        let (over, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let name = root.join(folder);
                    // A folder that is made anew is not there for a moment.
                    if renameat_with(CWD, &name, CWD, &other, RenameFlags::EXCHANGE).is_ok() {
                        swaps.fetch_add(1, Ordering::Relaxed);
                    }
                    thread::yield_now();
                }
            });
            let end = Instant::now() + Duration::from_secs(60);
            let mut rounds = 0;
            while rounds < 20 || (swaps.load(Ordering::Relaxed) < SWAPS && Instant::now() < end) {
                let _done = each_verb(&root);
                rounds += 1;
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(all(victim.path()), before, "{folder}");
        assert!(swaps.into_inner() >= SWAPS, "{folder}");
    }
}

#[test]
fn a_fifo_in_place_of_a_file_of_a_store_holds_nothing_up() {
    for file in ["oci/index.json", "oci/index.copy.json", "leases/a.json"] {
        let (_place, root) = mapped();
        let name = root.join(file);
        let _gone = fs::remove_file(&name);
        mknodat(CWD, &name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // It ends; what it answers is its matter.
        let _done = each_verb(&root);
    }
}
