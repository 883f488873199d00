//! What is damaged in a store, or cannot be read there: it is named, it hides nothing, and it goes alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hcs_storage::{
    Digest, Refusal,
    image::{Image, Name, Store, Wanted},
    layer::Options,
};
use serde_json::{Value, json};

use crate::make::{LAYER, Layout, config, docker, held, store, tar};

fn blob(place: &Path, digest: Digest) -> PathBuf {
    place.join("store/oci/blobs/sha256").join(digest.hex())
}

fn load(store: &Store, name: &str) -> Image {
    let layer = tar(&[("file", name.as_bytes())]);
    store.load_archive(&*docker(name, &[&layer]), None).unwrap();
    store.image(name).unwrap()
}

/// Names of whole images, and of damaged ones.
fn names(store: &Store) -> (Vec<String>, Vec<String>) {
    let survey = store.survey().unwrap();
    let images = survey.images.iter().flat_map(|image| &image.names);
    let broken = survey.broken.iter().map(|one| one.called().to_owned());
    (images.map(Name::to_string).collect(), broken.collect())
}

/// Adds an entry to the index, as another program may.
fn add_entry(place: &Path, entry: &Value) {
    let path = place.join("store/oci/index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"]
        .as_array_mut()
        .unwrap()
        .push(entry.clone());
    fs::write(path, index.to_string()).unwrap();
}

#[test]
fn a_damaged_image_hides_no_other_and_loses_nothing_that_it_may_need() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let [first, second, _] = ["a:1", "b:1", "c:1"].map(|name| load(&store, name));
    fs::remove_file(blob(place.path(), first.descriptor.digest)).unwrap();
    fs::write(blob(place.path(), second.id()), "{\"architecture\":").unwrap();
    let both = || vec!["a:1".to_owned(), "b:1".to_owned()];
    assert_eq!(names(&store), (vec!["c:1".to_owned()], both()));
    for (name, why) in [("a:1", "is missing"), ("b:1", "is damaged")] {
        let told = store.image(name).unwrap_err();
        assert!(
            matches!(told.refusal(), Some(Refusal::Broken { .. })),
            "{told}"
        );
        assert!(told.to_string().contains(why), "{told}");
    }
    let pruned = store.prune().unwrap();
    let told: Vec<_> = pruned.broken.iter().map(|one| one.called()).collect();
    assert_eq!(
        (told, pruned.layers, pruned.bytes),
        (both().iter().map(String::as_str).collect(), 0, 0)
    );
    assert_eq!(held(place.path()), [8, 3, 0]);
    // By its name, and by the first digits of its digest.
    let digits = &second.descriptor.digest.hex()[..8];
    assert_eq!(store.remove("a:1").unwrap(), first.names);
    assert_eq!(store.remove(digits).unwrap(), second.names);
    assert_eq!(held(place.path()), [3, 1, 0]);
    assert_eq!(names(&store).1, Vec::<String>::new());
}

#[test]
fn a_damaged_image_is_whole_again_once_it_is_loaded() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, "a:1");
    let layer = image.manifest.layers[0].digest;
    for digest in [image.descriptor.digest, image.id(), layer] {
        let path = blob(place.path(), digest);
        // As long as before, as a disk may answer.
        let zeros = vec![0; fs::read(&path).unwrap().len()];
        fs::write(&path, zeros).unwrap();
        load(&store, "a:1");
        assert_eq!(Digest::of(&fs::read(&path).unwrap()), digest);
    }
    assert_eq!(names(&store), (vec!["a:1".to_owned()], vec![]));
}

#[test]
fn an_entry_that_cannot_be_read_hides_nothing_and_stays() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    load(&store, "a:1");
    let other = format!("sha512:{}", "0".repeat(128));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let named = |name: &str| json!({"org.opencontainers.image.ref.name": name});
    let entry =
        json!({"mediaType": kind, "digest": other, "size": 1, "annotations": named("odd:1")});
    add_entry(place.path(), &entry);
    add_entry(place.path(), &json!("no entry"));
    fs::write(blob(place.path(), Digest::of(b"x")), "x").unwrap();
    let all = (
        vec!["a:1".to_owned()],
        vec!["odd:1".to_owned(), String::new()],
    );
    assert_eq!(names(&store), all);
    // What has no name goes, as images without one do; the rest may need anything.
    assert_eq!(store.prune().unwrap().broken.len(), 1);
    assert_eq!(held(place.path()), [4, 1, 0]);
    load(&store, "b:1");
    assert_eq!(names(&store).1, ["odd:1"]);
    store.remove("odd:1").unwrap();
    assert_eq!(names(&store).1, Vec::<String>::new());
    assert_eq!(held(place.path()), [6, 2, 0]);
    // A name that an image gets is taken from such an entry, too.
    add_entry(place.path(), &entry);
    load(&store, "odd:1");
    assert_eq!(store.survey().unwrap().broken[0].names, []);
    assert_eq!(store.prune().unwrap().broken, []);
}

/// A manifest that is whole and cannot be read here may need anything: it is named, and it can be removed.
#[test]
fn what_a_manifest_needs_that_cannot_be_read_here_stays() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, "a:1");
    let layer =
        json!({"mediaType": LAYER, "digest": format!("sha512:{}", "0".repeat(128)), "size": 1});
    let mut manifest = serde_json::to_value(&image.manifest).unwrap();
    manifest["layers"].as_array_mut().unwrap().push(layer);
    let manifest = manifest.to_string();
    let digest = Digest::of(manifest.as_bytes());
    let kind = &image.descriptor.media_type;
    let mut entry = json!({"mediaType": kind, "digest": digest, "size": manifest.len()});
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "odd:1"});
    fs::write(blob(place.path(), digest), &manifest).unwrap();
    add_entry(place.path(), &entry);
    assert_eq!(
        names(&store),
        (vec!["a:1".to_owned()], vec!["odd:1".to_owned()])
    );
    store.remove("a:1").unwrap();
    assert_eq!(store.prune().unwrap().broken[0].called(), "odd:1");
    assert_eq!(held(place.path()), [4, 1, 0]);
    store.remove("odd:1").unwrap();
    assert_eq!(held(place.path()), [0, 0, 0]);
}

/// Other programs give names that are none here.
#[test]
fn an_entry_with_a_name_that_is_none_here_is_removed_by_its_digest() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, "a:1");
    let kind = &image.descriptor.media_type;
    let named = |name: &str| json!({"org.opencontainers.image.ref.name": name});
    let damaged = Digest::of(b"damaged").to_string();
    let other = format!("sha512:{}", "0".repeat(128));
    for digest in [&damaged, &other] {
        let entry = json!({"mediaType": kind, "digest": digest, "size": 1, "annotations": named("v1+build")});
        add_entry(place.path(), &entry);
        assert_eq!(names(&store).1, std::slice::from_ref(digest));
        assert_eq!(store.prune().unwrap().broken.len(), 1);
        assert_eq!(store.remove(digest).unwrap(), []);
        assert_eq!(names(&store).1, Vec::<String>::new());
    }
    // Without a digest it cannot be named at all, so it goes as what has no name does.
    add_entry(place.path(), &json!({"annotations": named("v1+build")}));
    for name in ["odd:1", "odd:2"] {
        add_entry(place.path(), &json!({"annotations": named(name)}));
    }
    store.remove("odd:1").unwrap();
    assert_eq!(names(&store).1, ["", "odd:2"]);
    assert_eq!(store.prune().unwrap().broken.len(), 1);
    assert_eq!(names(&store).1, ["odd:2"]);
    // Of a sound image, too, all names go by its id.
    let mut entry = serde_json::to_value(&image.descriptor).unwrap();
    entry["annotations"] = named("v1+build");
    add_entry(place.path(), &entry);
    store.remove(&image.id().hex()).unwrap();
    assert_eq!(store.images().unwrap(), []);
}

#[test]
fn a_damaged_image_loses_the_name_alone_that_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, "a:1");
    let other: Name = "b:1".parse().unwrap();
    store.tag(&image, &other).unwrap();
    let digest = image.descriptor.digest;
    fs::write(blob(place.path(), digest), "").unwrap();
    let refused = store.remove(&format!("c:1@{digest}")).unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::NoImage));
    let removed = store.remove(&format!("a:1@{digest}")).unwrap();
    assert_eq!(removed, image.names);
    assert_eq!(names(&store).1, ["b:1"]);
    assert_eq!(store.remove(&digest.to_string()).unwrap(), [other]);
    assert_eq!(held(place.path()), [0, 0, 0]);
}

#[test]
fn a_damaged_image_that_a_container_uses_stays() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let image = load(&store, "a:1");
    let record = place.path().join("box");
    fs::create_dir(&record).unwrap();
    let layers = store.layers(&image);
    let wanted = Wanted {
        system: "box",
        runtime_id: "box",
        record: &record,
        manifest: image.descriptor.digest,
        layers: &layers.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
    };
    store.lease(&wanted).unwrap();
    fs::write(blob(place.path(), image.descriptor.digest), "").unwrap();
    let refused = store.remove("a:1").unwrap_err();
    let systems = "box".to_owned();
    assert_eq!(refused.refusal(), Some(&Refusal::Used { systems }));
    assert_eq!(store.prune().unwrap().broken.len(), 1);
    assert!(layers[0].is_dir());
    fs::remove_dir(&record).unwrap();
    store.remove("a:1").unwrap();
    assert_eq!(held(place.path()), [0, 0, 0]);
}

#[test]
fn what_is_no_image_in_an_archive_is_passed_over() {
    let layout = Layout::new();
    let layer = tar(&[("file", b"text")]);
    let image = layout.image("a:1", &config(&[&layer]), &[layout.blob(LAYER, &layer)]);
    let signature = layout.blob("application/vnd.dev.cosign.simplesigning.v1+json", b"{}");
    let signature = layout.image("a:1.sig", &config(&[]), &[signature]);
    let manifest = |config: &str| {
        let config = layout.blob(config, b"{}");
        let text = json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
        layout.blob(
            "application/vnd.oci.image.manifest.v1+json",
            text.as_bytes(),
        )
    };
    let artifact = manifest("application/vnd.oci.empty.v1+json");
    let other = layout.blob("application/vnd.oci.artifact.manifest.v1+json", b"{}");
    let index = json!({"schemaVersion": 2, "manifests": [other, artifact]}).to_string();
    let list = layout.blob("application/vnd.oci.image.index.v1+json", index.as_bytes());
    let odd = json!({"mediaType": "x", "digest": "sha512:0", "size": 1});
    let others = [signature, artifact, other, list, odd];
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    layout.index(&[&others[..], &[image]].concat());
    let loaded = store.load_folder(layout.folder.path(), None).unwrap();
    assert_eq!(loaded.len(), 1);
    let told = loaded[0].passed_over.join("\n");
    for part in [
        "simplesigning",
        "oci.empty",
        "oci.artifact",
        "cannot be read",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(names(&store), (vec!["a:1".to_owned()], vec![]));
    // Where there is no image at all, what is there is named.
    layout.index(&others);
    let refused = store.load_folder(layout.folder.path(), None).unwrap_err();
    assert!(refused.to_string().contains("simplesigning"), "{refused}");
    assert_eq!(held(place.path()), [3, 1, 0]);
}

/// An index that a disk or another program has garbled: nothing is removed, and the images have their names again.
#[test]
fn an_index_that_cannot_be_read_loses_nothing_and_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    for name in ["a:1", "b:1"] {
        load(&store, name);
    }
    let [index, copy] =
        ["index.json", "index.copy.json"].map(|name| place.path().join("store/oci").join(name));
    let whole = fs::read_to_string(&index).unwrap();
    let half = &whole[..whole.len() / 2];
    let zeros = "\0".repeat(whole.len());
    let both = vec!["a:1".to_owned(), "b:1".to_owned()];
    for garbled in [Some(""), Some(half), Some(&*zeros), Some("[]"), None] {
        match garbled {
            Some(text) => fs::write(&index, text).unwrap(),
            None => fs::remove_file(&index).unwrap(),
        }
        for told in [
            store.survey().map(drop),
            store.prune().map(drop),
            store.remove("a:1").map(drop),
            Store::open(store.root(), Options::of_caller()).map(drop),
        ] {
            let told = told.unwrap_err();
            assert!(
                matches!(told.refusal(), Some(Refusal::BrokenIndex { .. })),
                "{told}"
            );
            let told = told.to_string();
            assert!(
                told.contains("index.json") && told.contains("hcs image repair"),
                "{told}"
            );
        }
        let repaired = store.repair().unwrap();
        assert!(repaired.was_damaged);
        let named: Vec<String> = repaired.names.iter().map(Name::to_string).collect();
        assert_eq!((named, repaired.nameless), (both.clone(), vec![]));
        assert_eq!(names(&store), (both.clone(), vec![]));
    }
    store.prune().unwrap();
    assert_eq!(held(place.path()), [6, 2, 0]);
    assert!(!store.repair().unwrap().was_damaged);

    // Without the copy, the images are there without names.
    let [first, second] = ["a:1", "b:1"].map(|name| store.image(name).unwrap());
    for lost in [&index, &copy] {
        fs::write(lost, "").unwrap();
    }
    let repaired = store.repair().unwrap();
    let mut digests = vec![first.descriptor.digest, second.descriptor.digest];
    digests.sort();
    assert_eq!((repaired.names, repaired.nameless), (vec![], digests));
    assert_eq!(
        store.image(&first.id().hex()).unwrap().manifest,
        first.manifest
    );
    // An image that is not whole is none, and one that was removed does not come back.
    fs::remove_file(blob(place.path(), second.manifest.layers[0].digest)).unwrap();
    fs::write(&index, "").unwrap();
    fs::write(&copy, "").unwrap();
    assert_eq!(store.repair().unwrap().nameless, [first.descriptor.digest]);
    store.tag(&first, &"a:1".parse().unwrap()).unwrap();
    let earlier = fs::read(&copy).unwrap();
    store.remove("a:1").unwrap();
    fs::write(&copy, earlier).unwrap();
    fs::write(&index, "").unwrap();
    assert_eq!(store.repair().unwrap().names, []);
    assert_eq!(names(&store), (vec![], vec![]));
}

/// What stands in the place of the copy of the index holds up no change and no repair.
#[test]
fn a_copy_of_the_index_that_is_no_file_fails_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    load(&store, "a:1");
    let [index, copy] =
        ["index.json", "index.copy.json"].map(|name| place.path().join("store/oci").join(name));
    // It cannot be replaced.
    fs::remove_file(&copy).unwrap();
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("file"), "").unwrap();
    load(&store, "b:1");
    let both = vec!["a:1".to_owned(), "b:1".to_owned()];
    assert_eq!(names(&store), (both, vec![]));
    // A pipe without a writer, and what is endless.
    fs::remove_dir_all(&copy).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&copy).status();
    assert!(made.unwrap().success());
    fs::write(&index, "").unwrap();
    assert_eq!(store.repair().unwrap().nameless.len(), 2);
    fs::remove_file(&copy).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &copy).unwrap();
    fs::write(&index, "").unwrap();
    assert_eq!(store.repair().unwrap().nameless.len(), 2);
}
