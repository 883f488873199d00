//! Leases: what containers use stays, and goes with them.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use hcs_storage::{
    Refusal, StorageError,
    image::{Image, Name, Store, Wanted, give_back},
};
use rustix::fs::Mode;

use crate::make::{docker, held, store, tar};

/// Takes a lease for a container `id`, whose record is made in `place`; answers the record and the file.
fn lease(
    store: &Store,
    image: &Image,
    place: &Path,
    id: &str,
) -> Result<(PathBuf, PathBuf), StorageError> {
    let record = place.join(id);
    fs::create_dir_all(&record).unwrap();
    let layers = store.layers(image);
    let layers: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
    let wanted = Wanted {
        system: id,
        runtime_id: id,
        record: &record,
        manifest: image.descriptor.digest,
        layers: &layers,
    };
    let file = store.lease(&wanted)?;
    Ok((record, file))
}

fn load(store: &Store, content: &[u8]) -> Image {
    let layers = [tar(&[("below", b"")]), tar(&[("file", content)])];
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    store.load_archive(&*docker("a:1", &layers), None).unwrap();
    store.image("a:1").unwrap()
}

#[test]
fn what_a_container_uses_stays_until_it_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let (record, file) = lease(&store, &image, place.path(), "box").unwrap();
    lease(&store, &image, place.path(), "web").unwrap();
    assert_eq!(store.users(&image).unwrap(), ["box", "web"]);
    // A name may go as long as another one stays.
    store.tag(&image, &"b".parse::<Name>().unwrap()).unwrap();
    store.remove("b").unwrap();
    for wanted in ["a:1", &image.id().hex()] {
        let refused = store.remove(wanted).unwrap_err();
        let systems = "box, web".to_owned();
        assert_eq!(refused.refusal(), Some(&Refusal::Used { systems }));
    }
    // Its name is taken from it.
    load(&store, b"other");
    assert_eq!(store.prune().unwrap().images, []);
    assert_eq!(held(place.path()), [7, 3, 0]);
    assert!(store.image(&image.id().hex()).unwrap().names.is_empty());
    fs::remove_dir(&record).unwrap();
    assert_eq!(store.users(&image).unwrap(), ["web"]);
    assert_eq!(store.prune().unwrap().images, []);
    assert!(!file.exists());
    fs::remove_dir(place.path().join("web")).unwrap();
    let pruned = store.prune().unwrap();
    assert_eq!((pruned.images.len(), pruned.layers), (1, 1));
    assert_eq!(held(place.path()), [4, 2, 0]);
}

/// One lock is enough from the name of an image to a lease of it.
#[test]
fn an_image_that_is_held_stays_and_is_unpacked_meanwhile() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    for wanted in ["a:1", &image.id().hex()] {
        let (found, hold) = store.held(wanted).unwrap();
        assert_eq!(found.id(), image.id());
        fs::remove_dir_all(&store.layers(&found)[0]).unwrap();
        store.ready_held(&found, &hold).unwrap();
        assert!(store.layers(&found)[0].join("file").exists());
        assert!(is_in_use(&store.prune().unwrap_err()));
        drop(hold);
        store.prune().unwrap();
    }
    let unknown = store.held("b").unwrap_err();
    assert_eq!(unknown.refusal(), Some(&Refusal::NoImage));
    store.prune().unwrap();
}

/// The file of a lease that has ended serves the next one, and no other file does in its place.
#[test]
fn a_lease_is_written_over_one_that_has_ended() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let number = |file: &Path| fs::metadata(file).unwrap().ino();
    let (record, first) = lease(&store, &image, place.path(), "a-box-with-a-long-name").unwrap();
    let spare = first.with_file_name("spare");
    let inode = number(&first);
    give_back(&first);
    assert!(!first.exists() && store.users(&image).unwrap().is_empty());
    let (_, second) = lease(&store, &image, place.path(), "box").unwrap();
    assert_eq!(number(&second), inode);
    assert_eq!(store.users(&image).unwrap(), ["box"]);
    // One spare is enough.
    let (_, third) = lease(&store, &image, place.path(), "web").unwrap();
    assert_ne!(number(&third), inode);
    give_back(&second);
    give_back(&third);
    give_back(&third);
    assert_eq!(number(&spare), inode);
    assert_eq!(fs::read_dir(third.parent().unwrap()).unwrap().count(), 1);
    // A service was killed before it had written: no container has that name, and the earlier one is gone.
    fs::rename(&spare, &first).unwrap();
    assert_eq!(store.users(&image).unwrap(), ["box"]);
    fs::remove_dir(place.path().join("box")).unwrap();
    assert_eq!(store.prune().unwrap().layers, 0);
    assert!(!first.exists());
    assert!(record.exists());

    // What is no such file is not written to.
    let other = place.path().join("store/other");
    for odd in ["link", "hard link", "directory", "fifo", "open", "long"] {
        fs::write(&other, "other").unwrap();
        match odd {
            "link" => symlink(&other, &spare).unwrap(),
            "hard link" => fs::hard_link(&other, &spare).unwrap(),
            "directory" => fs::create_dir(&spare).unwrap(),
            "fifo" => rustix::fs::mkfifoat(rustix::fs::CWD, &spare, Mode::RWXU).unwrap(),
            "open" => fs::write(&spare, "open").unwrap(),
            _ => fs::write(&spare, [b' '; 5000]).unwrap(),
        }
        if odd == "open" {
            fs::set_permissions(&spare, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let (_, file) = lease(&store, &image, place.path(), "odd").unwrap();
        let found = fs::symlink_metadata(&file).unwrap();
        assert!(found.is_file() && found.nlink() == 1 && found.mode() & 0o077 == 0);
        assert_eq!(store.users(&image).unwrap(), ["odd"], "{odd}");
        assert_eq!(fs::read(&other).unwrap(), b"other", "{odd}");
        give_back(&file);
        assert!(!file.exists());
        store.prune().unwrap();
        assert!(!spare.exists());
    }
}

/// A process that only tells of leases has no lock, and may read one while it is written over another.
#[test]
fn leases_are_told_while_they_are_written_over_others() {
    const OFTEN: usize = 500_000;
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let names = ["a", "a-box-with-a-long-name"];
            for name in names.iter().cycle() {
                let (_, file) = lease(&store, &image, place.path(), name).unwrap();
                give_back(&file);
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..OFTEN {
            let told = store.users(&image);
            is_over.store(told.is_err(), Ordering::Relaxed);
            told.unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn layers_stay_though_the_image_has_left_the_index() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let (record, _) = lease(&store, &image, place.path(), "box").unwrap();
    let index = r#"{"schemaVersion": 2, "manifests": []}"#;
    fs::write(place.path().join("store/oci/index.json"), index).unwrap();
    assert_eq!(store.prune().unwrap().layers, 0);
    assert_eq!(held(place.path()), [4, 2, 0]);
    fs::remove_dir(record).unwrap();
    assert_eq!(store.prune().unwrap().layers, 2);
    assert_eq!(held(place.path()), [0, 0, 0]);
}

#[test]
fn a_lease_of_an_earlier_boot_does_not_hold() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let (_, file) = lease(&store, &image, place.path(), "box").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let earlier = text.replace(boot.trim(), "00000000-0000-4000-8000-000000000000");
    assert_ne!(earlier, text);
    fs::write(&file, earlier).unwrap();
    store.remove("a:1").unwrap();
    assert_eq!(held(place.path()), [0, 0, 0]);
    assert!(!file.exists());
}

#[test]
fn what_cannot_be_read_keeps_everything() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let (_, file) = lease(&store, &image, place.path(), "box").unwrap();
    fs::write(&file, "{\"System\": ").unwrap();
    load(&store, b"other");
    let refused = store.prune().unwrap_err();
    assert!(refused.to_string().contains("box.json"), "{refused}");
    assert_eq!(held(place.path()), [7, 3, 0]);
    // A process that was killed while it wrote had leased nothing: of a small one nothing is there, or all.
    let leases = file.parent().unwrap();
    fs::rename(&file, leases.join(".partial-1-1")).unwrap();
    fs::write(&file, "").unwrap();
    assert_eq!(store.prune().unwrap().layers, 1);
    assert_eq!(fs::read_dir(leases).unwrap().count(), 0);
}

#[test]
fn only_layers_that_are_there_can_be_leased() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let layers = store.layers(&image);
    let try_to = |layers: &[&Path]| {
        let wanted = Wanted {
            system: "box",
            runtime_id: "box",
            record: place.path(),
            manifest: image.descriptor.digest,
            layers,
        };
        store
            .lease(&wanted)
            .map_err(|error| error.refusal().cloned())
    };
    // A caller may put a directory of its own above them.
    try_to(&[place.path(), &layers[0], &layers[1]]).unwrap();
    assert_eq!(try_to(&[place.path()]), Err(Some(Refusal::NoLayer)));
    assert_eq!(try_to(&[]), Err(Some(Refusal::NoLayer)));
    fs::remove_dir_all(&layers[1]).unwrap();
    let missing = try_to(&[&layers[0], &layers[1]]);
    assert_eq!(missing, Err(Some(Refusal::Missing)));
}

/// Containers come and go while the image loses its name, gets it back and is pruned. No layer that is leased is ever
/// missed.
#[test]
fn no_prune_takes_what_a_container_has_just_leased() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    let first = store(path);
    let done = AtomicBool::new(false);
    let kept = |number: usize| {
        let store = store(path);
        let mut leased = 0;
        while leased < 60 {
            let id = format!("box-{number}-{leased}");
            let hold = store.hold().unwrap();
            let Ok(image) = store.image("a:1") else {
                drop(hold);
                thread::yield_now();
                continue;
            };
            store.ready(&image).unwrap();
            let (record, file) = lease(&store, &image, path, &id).unwrap();
            drop(hold);
            for _ in 0..20 {
                let layers = store.layers(&image);
                assert!(layers[0].join("file").exists() && layers[1].join("below").exists());
                thread::yield_now();
            }
            fs::remove_dir(record).unwrap();
            // Every other one is found by the next removal.
            if leased % 2 == 0 {
                give_back(&file);
            }
            leased += 1;
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u32;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                load(&first, &number.to_le_bytes());
                let _used = first.remove("a:1");
                load(&first, &(number % 3).to_le_bytes());
            }
        });
        scope.spawn(|| {
            let mut pruned = 0;
            while !done.load(Ordering::Relaxed) {
                match first.prune() {
                    Ok(some) => pruned += some.layers,
                    Err(error) => assert!(is_in_use(&error), "{error}"),
                }
            }
            assert!(pruned > 0, "no prune has removed anything");
        });
        let containers = [0, 1].map(|number| scope.spawn(move || kept(number)));
        let ended = containers.map(|container| container.join());
        done.store(true, Ordering::Relaxed);
        for one in ended {
            one.unwrap();
        }
    });
    first.prune().unwrap();
    let images = first.images().unwrap().len();
    let layers = fs::read_dir(path.join("store/layers")).unwrap().count();
    assert!(layers <= 2 * images, "{layers} layers of {images} images");
    assert_eq!(fs::read_dir(path.join("store/leases")).unwrap().count(), 0);
}

fn is_in_use(error: &StorageError) -> bool {
    matches!(error.refusal(), Some(Refusal::InUse { .. }))
}

/// A process with a lock of a file, which it opened as it is mapped read-only, or to write to it.
struct Locked(Child);

impl Locked {
    fn new(file: &Path, how: &str, lock: &str) -> Self {
        let script = format!(
            "import fcntl, os, sys\nfile = os.open(sys.argv[1], os.{how})\n{lock}\nprint(1, flush=True)\nsys.stdin.read()"
        );
        let mut command = Command::new("python3");
        command.args(["-c", &script]).arg(file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = [0];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .unwrap();
        Self(child)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// Waits until this process has the file at `path` open.
fn wait_until_open(path: &Path) {
    let begun = Instant::now();
    let is_open = || {
        let mut all = fs::read_dir("/proc/self/fd").unwrap().flatten();
        all.any(|one| fs::read_link(one.path()).is_ok_and(|link| link == path))
    };
    while !is_open() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing waits");
        thread::yield_now();
    }
}

/// A container may have the directory of a store mapped read-only.
#[test]
fn what_may_only_read_a_store_keeps_no_container_and_no_reader_waiting() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let locks = ["use.lock", "index.lock"].map(|name| store.root().join(name));
    let exclusive = "fcntl.flock(file, fcntl.LOCK_EX)";
    let taken = locks
        .each_ref()
        .map(|file| Locked::new(file, "O_RDONLY", exclusive));
    store.hold().unwrap();
    lease(&store, &image, place.path(), "box").unwrap();
    store.tag(&image, &"b".parse::<Name>().unwrap()).unwrap();
    load(&store, b"other");
    store.prune().unwrap();
    drop(taken);
    let shared = "fcntl.lockf(file, fcntl.LOCK_SH)";
    let taken = locks
        .each_ref()
        .map(|file| Locked::new(file, "O_RDONLY", shared));
    store.hold().unwrap();
    lease(&store, &image, place.path(), "web").unwrap();
    assert_eq!(store.images().unwrap().len(), 2);
    // A change waits for a while, and says for which process.
    let refused = [
        (
            store
                .tag(&image, &"c".parse::<Name>().unwrap())
                .unwrap_err(),
            &taken[1],
        ),
        (store.prune().unwrap_err(), &taken[0]),
    ];
    for (refused, holder) in refused {
        let named = format!("process {} (python3", holder.0.id());
        assert!(
            is_in_use(&refused) && refused.to_string().contains(&named),
            "{refused}"
        );
    }
}

#[test]
fn the_last_name_goes_before_a_lease_or_stays_with_it() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, b"text");
    let (_record, file) = lease(&store, &image, place.path(), "box").unwrap();
    let aside = place.path().join("aside");
    fs::rename(&file, &aside).unwrap();
    let index = store.root().join("index.lock");
    let changing = Locked::new(&index, "O_RDWR", "fcntl.lockf(file, fcntl.LOCK_EX)");
    // A change of the index that does not end holds up a lease for a while, and not for ever.
    let refused = lease(&store, &image, place.path(), "web").unwrap_err();
    assert!(is_in_use(&refused), "{refused}");
    let removed = thread::scope(|scope| {
        let removing = scope.spawn(|| store.remove("a:1"));
        wait_until_open(&index);
        fs::rename(&aside, &file).unwrap();
        drop(changing);
        removing.join().unwrap()
    });
    let systems = "box".to_owned();
    assert_eq!(
        removed.unwrap_err().refusal(),
        Some(&Refusal::Used { systems })
    );
    assert_eq!(store.image("a:1").unwrap().id(), image.id());
}
