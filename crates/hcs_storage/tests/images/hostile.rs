//! What is refused: by name, and nothing is left in the store.

use std::{fs, os::unix::fs::symlink};

use hcs_storage::{Digest, Refusal, StorageError, image::Loaded};
use serde_json::{Value, json};

use crate::make::{GZIP, LAYER, Layout, config, docker, held, store, tar};

fn refusal(loaded: Result<Vec<Loaded>, StorageError>) -> Refusal {
    match loaded.unwrap_err() {
        StorageError::Refused { refusal, .. } => refusal,
        error => panic!("not refused, but: {error:?}"),
    }
}

/// Loads a layout with one image after `lie` has changed it: descriptor of the layer, configuration, and the layout once
/// it is written.
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
    let fifo = |layout: &Layout| {
        let path = layout.folder.path().join("index.json");
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
    };
    assert_eq!(lying(nothing, fifo), Refusal::NoFile);
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
