//! In, out, and in again.

use std::{
    fs,
    io::{Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    process::Command,
};

use hcs_storage::{
    Digest,
    image::{Format, Name},
};
use serde_json::json;

use crate::make::{GZIP, LAYER, Layout, config, docker, gzip, held, store, tar};

#[test]
fn an_image_of_docker_goes_through_every_form() {
    let place = tempfile::tempdir().unwrap();
    let first = store(place.path());
    let (base, top) = (
        tar(&[("a", b"1"), ("b", b"2")]),
        tar(&[(".wh.a", b""), ("c", b"3")]),
    );
    let loaded = first
        .load_archive(&*docker("test:1", &[&base, &top]), None)
        .unwrap();
    assert_eq!(loaded[0].names, ["test:1".parse::<Name>().unwrap()]);
    let image = first.image("test:1").unwrap();
    assert_eq!(
        image.id(),
        Digest::of(config(&[&base, &top]).to_string().as_bytes())
    );
    let layers = first.layers(&image);
    assert_eq!(fs::read(layers[0].join("c")).unwrap(), b"3");
    assert_eq!(fs::symlink_metadata(layers[0].join("a")).unwrap().rdev(), 0);
    assert_eq!(fs::read(layers[1].join("a")).unwrap(), b"1");
    assert_eq!(held(place.path()), [4, 2, 0]);
    let folder = place.path().join("folder");
    first.save_folder(&image, &folder).unwrap();
    let sparse = place.path().join("sparse");
    let made = Command::new("tar")
        .args(["--sparse", "--format=posix", "-cf"])
        .arg(&sparse)
        .arg("-C")
        .arg(&folder)
        .args(["oci-layout", "index.json", "blobs"])
        .status();
    assert!(made.unwrap().success());
    for form in [
        "oci",
        "docker",
        "gzip",
        "folder",
        "file",
        "sparse",
        "gzip file",
    ] {
        let place = tempfile::tempdir().unwrap();
        let second = store(place.path());
        let save = |format| {
            let mut bytes = Vec::new();
            first.save(&image, format, &mut bytes).unwrap();
            bytes
        };
        let loaded = match form {
            "oci" => second.load_archive(&*save(Format::Oci), None),
            "docker" => second.load_archive(&*save(Format::Docker), None),
            "gzip" => second.load_archive(&*gzip(&save(Format::Oci)), None),
            "file" => second.load_file(file(&save(Format::Docker)), None),
            "sparse" => second.load_file(fs::File::open(&sparse).unwrap(), None),
            "gzip file" => second.load_file(file(&gzip(&save(Format::Oci))), None),
            _ => second.load_folder(&folder, None),
        };
        let again = second.image("test:1").unwrap();
        assert_eq!(
            loaded.unwrap()[0].manifest,
            image.descriptor.digest,
            "{form}"
        );
        assert_eq!((again.id(), &again.config), (image.id(), &image.config));
        assert_eq!(held(place.path()), [4, 2, 0], "{form}");
        for format in [Format::Oci, Format::Docker] {
            let mut bytes = Vec::new();
            second.save(&again, format, &mut bytes).unwrap();
            assert!(bytes == save(format), "{form}: {format:?} has other bytes");
        }
    }
}

fn file(bytes: &[u8]) -> fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// Nothing of it is copied but its contents, and it is left as it is.
#[test]
fn a_file_that_changes_while_it_is_read_is_refused_or_another_one() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("archive");
    let layer = tar(&[("file", &vec![7; 300_000])]);
    let archive = docker("a:1", &[&layer]);
    fs::write(&path, &archive).unwrap();
    let store = store(place.path());
    for at in (0..archive.len()).step_by(archive.len() / 40) {
        let mut changed = archive.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        let loaded = store.load_file(fs::File::open(&path).unwrap(), None);
        let images = store.images().unwrap();
        match loaded {
            Ok(_) => drop(store.remove(&images[0].id().to_string()).unwrap()),
            Err(error) => assert!(error.refusal().is_some(), "{at}: {error:?}"),
        }
        assert_eq!(held(place.path()), [0, 0, 0], "{at}");
    }
    // It is cut off behind what was looked through.
    fs::write(&path, &archive).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(archive.len() as u64 / 2).unwrap();
    let refused = store.load_file(fs::File::open(&path).unwrap(), None);
    assert!(refused.unwrap_err().refusal().is_some());
    assert_eq!(held(place.path()), [0, 0, 0]);
}

#[test]
fn a_compressed_layer_is_the_same_layer() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    let layout = Layout::new();
    let plain = layout.blob(LAYER, &layer);
    let compressed = layout.blob(GZIP, &gzip(&layer));
    let config = config(&[&layer]);
    let images = [
        layout.image("plain:1", &config, &[plain]),
        layout.image("gzip:1", &config, &[compressed]),
    ];
    layout.index(&images);
    assert_eq!(
        store.load_folder(layout.folder.path(), None).unwrap().len(),
        2
    );
    // Two manifests, two forms of the layer, one configuration; one layer on disk.
    assert_eq!(held(place.path()), [5, 1, 0]);
    let [plain, gzip] = ["plain:1", "gzip:1"].map(|name| store.image(name).unwrap());
    assert_eq!(store.layers(&plain), store.layers(&gzip));
}

#[test]
fn the_image_for_this_machine_is_taken_from_a_list() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    let layout = Layout::new();
    let blob = layout.blob(LAYER, &layer);
    let mut config = config(&[&layer]);
    let architecture = config["architecture"].clone();
    let mut own = layout.image("", &config, std::slice::from_ref(&blob));
    own["platform"] = json!({"os": "linux", "architecture": architecture});
    config["architecture"] = json!("other");
    let mut other = layout.image("", &config, &[blob]);
    other["platform"] = json!({"os": "linux", "architecture": "other"});
    let kind = "application/vnd.oci.image.index.v1+json";
    let list = json!({"schemaVersion": 2, "manifests": [other, own]}).to_string();
    let mut listed = layout.blob(kind, list.as_bytes());
    listed["annotations"] = json!({"io.containerd.image.name": "docker.io/library/x:1"});
    layout.index(&[listed]);
    store.load_folder(layout.folder.path(), None).unwrap();
    let image = store.image("docker.io/library/x:1").unwrap();
    assert_eq!(json!(image.config.architecture), architecture);
}

#[test]
fn a_root_archive_becomes_an_image() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let root = tar(&[("bin", b"->usr/bin"), ("usr/bin/sh", b"x")]);
    let name: Name = "root".parse().unwrap();
    store.import(&*gzip(&root), &name).unwrap();
    let image = store.image("root").unwrap();
    assert_eq!(image.config.rootfs.diff_ids, [Digest::of(&root)]);
    assert_eq!(
        fs::read(store.layers(&image)[0].join("bin/sh")).unwrap(),
        b"x"
    );
    assert_eq!(held(place.path()), [3, 1, 0]);
}

#[test]
fn links_inside_of_an_archive_of_docker_are_followed() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    let manifest = r#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"]}]"#;
    let archive = tar(&[
        ("c.json", config(&[&layer]).to_string().as_bytes()),
        ("manifest.json", manifest.as_bytes()),
        ("b/layer.tar", &layer),
        ("a/layer.tar", b"->../b/layer.tar"),
    ]);
    let name: Name = "linked".parse().unwrap();
    store.load_archive(&*archive, Some(&name)).unwrap();
    assert_eq!(store.image("linked").unwrap().names, [name]);
}
