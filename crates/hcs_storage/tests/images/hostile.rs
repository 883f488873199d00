//! What is refused: by name, and nothing is left in the store.

use std::{fs, mem::MaybeUninit, os::unix::fs::symlink, time::Duration};

use hcs_storage::{Digest, Limits, Refusal, StorageError, image::Loaded};
use rustix::fs::inotify;
use serde_json::{Value, json};

use crate::make::{GZIP, LAYER, Layout, config, docker, gzip, held, limited, store, tar};

fn refusal(loaded: Result<Vec<Loaded>, StorageError>) -> Refusal {
    match loaded.unwrap_err() {
        StorageError::Refused { refusal, .. } => refusal,
        error => panic!("not refused, but: {error:?}"),
    }
}

/// Loads a layout with one image after `lie` has changed it: descriptor of the layer, configuration, and the layout
/// once it is written.
fn lying(lie: impl Fn(&mut Value, &mut Value), after: impl Fn(&Layout)) -> Refusal {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    let layout = Layout::new();
    let mut blob = layout.blob(LAYER, &layer);
    let mut config = config(&[&layer]);
    lie(&mut blob, &mut config);
    let image = layout.image("test:1", &config, &[blob]);
    layout.index(&[image]);
    after(&layout);
    let found = refusal(store.load_folder(layout.folder.path(), None));
    assert_eq!(held(place.path()), [0, 0, 0], "{found}");
    assert!(store.images().unwrap().is_empty());
    found
}

#[test]
fn manifests_that_lie_are_refused() {
    let none = |_: &Layout| {};
    let other = Digest::of(b"other").to_string();
    let size =
        |blob: &mut Value, _: &mut Value| blob["size"] = json!(blob["size"].as_u64().unwrap() + 1);
    assert!(matches!(lying(size, none), Refusal::WrongSize { .. }));
    let size = |blob: &mut Value, _: &mut Value| blob["size"] = json!(1);
    assert!(matches!(
        lying(size, none),
        Refusal::TooManyBytes { limit: 1 }
    ));
    let missing = |blob: &mut Value, _: &mut Value| blob["digest"] = json!(other);
    assert_eq!(lying(missing, none), Refusal::Missing);
    let path =
        |blob: &mut Value, _: &mut Value| blob["digest"] = json!("sha256:../../../etc/passwd");
    assert!(matches!(lying(path, none), Refusal::BadDocument(_)));
    let kind = |blob: &mut Value, _: &mut Value| blob["mediaType"] = json!("text/plain");
    assert!(matches!(lying(kind, none), Refusal::BadDocument(_)));
    let gzip = |blob: &mut Value, _: &mut Value| blob["mediaType"] = json!(GZIP);
    assert!(matches!(
        lying(gzip, none),
        Refusal::OtherCompression { .. }
    ));
    let diff = |_: &mut Value, config: &mut Value| config["rootfs"]["diff_ids"] = json!([other]);
    assert!(matches!(lying(diff, none), Refusal::WrongDigest { .. }));
    let more =
        |_: &mut Value, config: &mut Value| config["rootfs"]["diff_ids"] = json!([other, other]);
    assert!(matches!(lying(more, none), Refusal::BadDocument(_)));
    let os = |_: &mut Value, config: &mut Value| config["os"] = json!("windows");
    assert!(matches!(lying(os, none), Refusal::BadDocument(_)));
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Loads the folder of a layout, which has to be refused without a trace.
fn refused(layout: &Layout, limits: Limits) -> Refusal {
    let place = tempfile::tempdir().unwrap();
    let store = limited(place.path(), limits);
    let found = refusal(store.load_folder(layout.folder.path(), None));
    assert_eq!(held(place.path()), [0, 0, 0], "{found}");
    found
}

#[test]
fn lists_of_images_are_read_once_each_and_not_without_end() {
    let layout = Layout::new();
    let list = |of: &[Value]| {
        let index = json!({"schemaVersion": 2, "manifests": of}).to_string();
        layout.blob(INDEX, index.as_bytes())
    };
    let all = Limits::default();
    // 8,000,000,000 lists, read one by one.
    let mut bomb = list(&[]);
    for _ in 0..3 {
        bomb = list(&vec![bomb.clone(); 2000]);
    }
    layout.index(&[bomb]);
    let found = refused(&layout, all);
    assert!(matches!(found, Refusal::NoPlatform { .. }), "{found}");
    let time = Duration::ZERO;
    let found = refused(&layout, Limits { time, ..all });
    assert_eq!(found, Refusal::TooSlow { limit: time });
    let several = |count: usize| -> Vec<Value> {
        let empty = |number| {
            let index = json!({"schemaVersion": 2, "manifests": [], "x": number});
            layout.blob(INDEX, index.to_string().as_bytes())
        };
        (0..count).map(empty).collect()
    };
    layout.index(&several(1000));
    let found = refused(&layout, all);
    assert!(matches!(found, Refusal::NoPlatform { .. }), "{found}");
    layout.index(&several(1001));
    let found = refused(&layout, all).to_string();
    assert!(found.contains("more than 1000 lists"), "{found}");
}

/// Other programs may have put the same into the store, where it is looked what images need.
#[test]
fn lists_of_images_in_the_store_are_followed_once_each() {
    let place = tempfile::tempdir().unwrap();
    let held_now = || held(place.path());
    drop(store(place.path()));
    let layout = Layout::new();
    let mut bomb = layout.blob(INDEX, br#"{"schemaVersion":2,"manifests":[]}"#);
    for _ in 0..3 {
        let index = json!({"schemaVersion": 2, "manifests": vec![bomb; 2000]}).to_string();
        bomb = layout.blob(INDEX, index.as_bytes());
    }
    layout.index(&[bomb]);
    let of_store = place.path().join("store/oci");
    for entry in fs::read_dir(layout.folder.path().join("blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let to = of_store.join("blobs/sha256").join(entry.file_name());
        fs::copy(entry.path(), to).unwrap();
    }
    fs::write(of_store.join("blobs/sha256").join("0"), "needless").unwrap();
    let index = layout.folder.path().join("index.json");
    fs::copy(index, of_store.join("index.json")).unwrap();
    assert_eq!(held_now(), [5, 0, 0]);
    // It is cleaned when it is opened.
    drop(store(place.path()));
    assert_eq!(held_now(), [4, 0, 0]);
}

#[test]
fn a_list_that_is_named_twice_leads_to_its_image_twice() {
    let place = tempfile::tempdir().unwrap();
    let (store, layout) = (store(place.path()), Layout::new());
    let layer = tar(&[("file", b"text")]);
    let image = layout.image("x", &config(&[&layer]), &[layout.blob(LAYER, &layer)]);
    let index = json!({"schemaVersion": 2, "manifests": [image]}).to_string();
    let list = |name: &str| {
        let mut list = layout.blob(INDEX, index.as_bytes());
        list["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        list
    };
    layout.index(&[list("a:1"), list("b:1")]);
    let loaded = store.load_folder(layout.folder.path(), None).unwrap();
    assert_eq!(loaded.len(), 1);
    let names: Vec<_> = loaded[0].names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a:1", "b:1"]);
}

/// A small content that is named many times is unpacked as often, and all of it is of one image.
#[test]
fn the_layers_of_an_image_share_its_limits() {
    let all = Limits::default();
    let zeros = tar(&[("file", &vec![0; 300 << 10])]);
    let many: Vec<_> = (0..10).map(|number| (number.to_string(), b"")).collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, text)| (&**name, &text[..]))
        .collect();
    let many = tar(&many);
    let bytes = 1 << 20;
    let few = Limits { bytes, ..all };
    let (entries, expected) = (35, Refusal::TooManyEntries { limit: 35 });
    for (layer, limits, expected) in [
        (&zeros, few, Refusal::TooManyBytes { limit: bytes }),
        (&many, Limits { entries, ..all }, expected),
    ] {
        let load = |times: usize| {
            let layout = Layout::new();
            let layers = vec![layout.blob(GZIP, &gzip(layer)); times];
            let config = config(&vec![&**layer; times]);
            layout.index(&[layout.image("test:1", &config, &layers)]);
            layout
        };
        assert_eq!(refused(&load(4), limits), expected);
        let place = tempfile::tempdir().unwrap();
        let store = limited(place.path(), limits);
        let loaded = store.load_folder(load(3).folder.path(), None).unwrap();
        assert_eq!((loaded.len(), held(place.path())), (1, [3, 3, 0]));
    }
}

/// Contents are copied before any of them is unpacked.
#[test]
fn the_contents_of_all_images_share_the_limits() {
    let bytes = 100 << 10;
    let limits = Limits {
        bytes,
        ..Limits::default()
    };
    let layout = Layout::new();
    let image = |number: u8| {
        let layer = tar(&[("file", &vec![number; 60 << 10])]);
        let blob = layout.blob(LAYER, &layer);
        layout.image(&format!("{number}:1"), &config(&[&layer]), &[blob])
    };
    layout.index(&[image(1), image(2)]);
    let limit = bytes;
    assert_eq!(refused(&layout, limits), Refusal::TooManyBytes { limit });
    layout.index(&[image(1)]);
    let place = tempfile::tempdir().unwrap();
    let store = limited(place.path(), limits);
    store.load_folder(layout.folder.path(), None).unwrap();
}

#[test]
fn contents_that_are_not_what_their_names_say_are_refused() {
    let nothing = |_: &mut Value, _: &mut Value| {};
    let damage = |layout: &Layout| {
        for entry in fs::read_dir(layout.folder.path().join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let mut content = fs::read(&path).unwrap();
            let last = content.len() - 1;
            content[last] ^= 1;
            fs::write(path, content).unwrap();
        }
    };
    assert!(matches!(
        lying(nothing, damage),
        Refusal::WrongDigest { .. }
    ));
    let large = |layout: &Layout| {
        let text = vec![b' '; 5 << 20];
        fs::write(layout.folder.path().join("index.json"), text).unwrap();
    };
    assert!(matches!(
        lying(nothing, large),
        Refusal::TooManyBytes { .. }
    ));
    let deep = |layout: &Layout| {
        fs::write(layout.folder.path().join("index.json"), "[".repeat(100_000)).unwrap();
    };
    assert!(matches!(lying(nothing, deep), Refusal::BadDocument(_)));
}

/// A layer is unpacked while it is copied: what is wrong with it is still told before what follows from that.
#[test]
fn a_damaged_layer_has_another_digest_before_it_is_no_archive() {
    let layer = tar(&[("file", &[7; 100_000])]);
    for compressed in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let (store, layout) = (store(place.path()), Layout::new());
        let (kind, content) = match compressed {
            true => (GZIP, gzip(&layer)),
            false => (LAYER, layer.clone()),
        };
        let blob = layout.blob(kind, &content);
        layout.index(&[layout.image("a:1", &config(&[&layer]), &[blob])]);
        let path = layout
            .folder
            .path()
            .join("blobs/sha256")
            .join(Digest::of(&content).hex());
        for at in [0, content.len() / 2, content.len() - 1] {
            let mut damaged = content.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            let found = refusal(store.load_folder(layout.folder.path(), None));
            assert!(
                matches!(found, Refusal::WrongDigest { .. }),
                "{at}: {found}"
            );
            assert_eq!(held(place.path()), [0, 0, 0]);
        }
    }
}

#[test]
fn no_file_of_a_layout_leads_out_of_it() {
    let nothing = |_: &mut Value, _: &mut Value| {};
    let outside = tempfile::tempdir().unwrap();
    let index = outside.path().join("index.json");
    fs::write(&index, "{}").unwrap();
    let link = |layout: &Layout| {
        let path = layout.folder.path().join("index.json");
        fs::remove_file(&path).unwrap();
        symlink(&index, path).unwrap();
    };
    assert_eq!(lying(nothing, link), Refusal::Traversal);
    // It stands for a device, and is not opened.
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let fifo = |layout: &Layout| {
        let path = layout.folder.path().join("index.json");
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        inotify::add_watch(&watch, path, inotify::WatchFlags::OPEN).unwrap();
    };
    assert_eq!(lying(nothing, fifo), Refusal::NoFile);
    let mut buffer = [MaybeUninit::uninit(); 512];
    let mut reader = inotify::Reader::new(&watch, &mut buffer);
    // That it was removed is told as well.
    while let Ok(event) = reader.next() {
        let events = event.events();
        assert!(!events.contains(inotify::ReadFlags::OPEN), "{events:?}");
    }
}

#[test]
fn archives_of_docker_that_lie_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    let load = |files: &[(&str, &[u8])]| {
        let found = refusal(store.load_archive(&*tar(files), None));
        assert_eq!(held(place.path()), [0, 0, 0], "{found}");
        found
    };
    assert_eq!(load(&[("file", b"")]), Refusal::NoLayout);
    let config = config(&[&layer]).to_string();
    let manifest = |config: &str, layer: &str, name: &str| {
        json!([{"Config": config, "RepoTags": [name], "Layers": [layer]}]).to_string()
    };
    for (paths, expected) in [
        (("c", "/etc/passwd", "a:1"), Refusal::Traversal),
        (("c", "../../x", "a:1"), Refusal::Traversal),
        (("../c", "l", "a:1"), Refusal::Traversal),
        (("c", "link", "a:1"), Refusal::Traversal),
        (("c", "none", "a:1"), Refusal::Missing),
        (("none", "l", "a:1"), Refusal::Missing),
        (
            ("c", "l", "../a"),
            Refusal::BadName {
                name: "../a".to_owned(),
            },
        ),
    ] {
        let text = manifest(paths.0, paths.1, paths.2);
        let files: [(&str, &[u8]); 4] = [
            ("c", config.as_bytes()),
            ("l", &layer),
            ("link", b"->/etc/passwd"),
            ("manifest.json", text.as_bytes()),
        ];
        assert_eq!(load(&files), expected, "{paths:?}");
    }
}

/// The second layer is refused: nothing of the first stays.
#[test]
fn an_image_is_loaded_whole_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let (good, bad) = (tar(&[("file", b"text")]), b"no archive".to_vec());
    let found = refusal(store.load_archive(&*docker("a:1", &[&good, &bad]), None));
    assert!(matches!(found, Refusal::BadArchive(_)), "{found}");
    assert_eq!(held(place.path()), [0, 0, 0]);
}

#[test]
fn a_store_that_others_could_change_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("store");
    fs::create_dir(&root).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    // Neither that directory nor one in it, which its other users could replace.
    for store in [root.clone(), root.join("below")] {
        let options = hcs_storage::layer::Options::of_caller();
        let error = hcs_storage::image::Store::open(&store, options).unwrap_err();
        assert_eq!(error.refusal(), Some(&Refusal::OthersPlace));
    }
    assert!(fs::read_dir(&root).unwrap().next().is_none());
}
