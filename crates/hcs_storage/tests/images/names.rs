//! Tags, removal, pruning.

use std::os::unix::fs::symlink;

use hcs_storage::{
    Refusal,
    image::{Name, Store},
    layer::Options,
};

use crate::make::{docker, held, store, tar};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn an_image_has_the_names_it_was_given() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    store
        .load_archive(&*docker("a:1", &[&layer]), None)
        .unwrap();
    let image = store.image("a:1").unwrap();
    store.tag(&image, &name("b")).unwrap();
    store.tag(&image, &name("b")).unwrap();
    assert_eq!(
        store.images().unwrap()[0].names,
        [name("a:1"), name("b:latest")]
    );
    let id = image.id().hex();
    for wanted in ["b", "b:latest", &id, &id[..6], &image.id().to_string()] {
        assert_eq!(store.image(wanted).unwrap().id(), image.id(), "{wanted}");
    }
    let short = store.image(&id[..5]).unwrap_err();
    let least = 6;
    assert_eq!(
        short.refusal(),
        Some(&Refusal::ShortId { least }),
        "{short}"
    );
    let digest = image.descriptor.digest.to_string();
    let (own, other) = (format!("x/y@{digest}"), format!("b@{}", image.id()));
    assert_eq!(store.image(&own).unwrap().id(), image.id());
    let none = store.image(&other).unwrap_err();
    assert_eq!(none.refusal(), Some(&Refusal::NoImage), "{none}");
    let none = store.remove(&own).unwrap_err();
    assert_eq!(none.refusal(), Some(&Refusal::NoImage), "{none}");
    for wanted in ["b:2", &id[..5], "../b", ""] {
        assert!(
            store.image(wanted).unwrap_err().refusal().is_some(),
            "{wanted}"
        );
    }
    assert_eq!(store.remove("a:1").unwrap(), [name("a:1")]);
    assert_eq!(held(place.path()), [3, 1, 0]);
    assert_eq!(store.remove("b").unwrap(), [name("b:latest")]);
    assert_eq!(held(place.path()), [0, 0, 0]);
    let gone = store.tag(&image, &name("c")).unwrap_err();
    assert_eq!(gone.refusal(), Some(&Refusal::NoImage));
}

#[test]
fn no_image_is_called_as_a_digest_is() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    store
        .load_archive(&*docker("good", &[&tar(&[("good", b"")])]), None)
        .unwrap();
    let digest = store.image("good").unwrap().descriptor.digest;
    for name in [digest.to_string(), format!("{}:1", digest.hex())] {
        let evil = docker(&name, &[&tar(&[("evil", b"")])]);
        let refused = store.load_archive(&*evil, None).unwrap_err();
        assert!(
            matches!(refused.refusal(), Some(Refusal::BadName { .. })),
            "{refused}"
        );
    }
    assert_eq!(store.images().unwrap().len(), 1);
}

#[test]
fn a_name_with_a_digest_is_removed_alone() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    store
        .load_archive(&*docker("a:1", &[&tar(&[("file", b"")])]), None)
        .unwrap();
    let image = store.image("a:1").unwrap();
    store.tag(&image, &name("b:2")).unwrap();
    let removed = store.remove(&format!("a:1@{}", image.descriptor.digest));
    assert_eq!(removed.unwrap(), [name("a:1")]);
    assert_eq!(store.image("b:2").unwrap().names, [name("b:2")]);
}

#[test]
fn a_store_that_cannot_be_looked_at_is_not_an_empty_one() {
    let place = tempfile::tempdir().unwrap();
    let options = Options::of_caller();
    let none = Store::existing(&place.path().join("none"), options);
    assert!(none.unwrap().is_none());
    // A circle of links is as unreadable as what permissions forbid, for root too.
    let circle = place.path().join("circle");
    symlink(&circle, &circle).unwrap();
    assert!(Store::existing(&circle, options).is_err());
}

#[test]
fn layers_that_another_image_needs_stay() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let (base, one, two) = (
        tar(&[("base", b"")]),
        tar(&[("1", b"")]),
        tar(&[("2", b"")]),
    );
    store
        .load_archive(&*docker("one", &[&base, &one]), None)
        .unwrap();
    store
        .load_archive(&*docker("two", &[&base, &two]), None)
        .unwrap();
    assert_eq!(held(place.path()), [7, 3, 0]);
    let id = store.image("one").unwrap().id().hex();
    store.remove(&id).unwrap();
    assert_eq!(held(place.path()), [4, 2, 0]);
    let two = store.image("two").unwrap();
    assert!(store.layers(&two).iter().all(|layer| layer.is_dir()));
}

#[test]
fn an_image_whose_name_was_taken_stays_until_it_is_pruned() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    store
        .load_archive(&*docker("a:1", &[&tar(&[("old", b"")])]), None)
        .unwrap();
    let old = store.image("a:1").unwrap();
    store
        .load_archive(&*docker("a:1", &[&tar(&[("new", b"")])]), None)
        .unwrap();
    let names: Vec<_> = store
        .images()
        .unwrap()
        .into_iter()
        .map(|image| image.names)
        .collect();
    assert_eq!(names, [vec![name("a:1")], vec![]]);
    assert_eq!(store.image(&old.id().hex()).unwrap().id(), old.id());
    let pruned = store.prune().unwrap();
    assert_eq!(
        (pruned.images, pruned.layers),
        (vec![old.descriptor.digest], 1)
    );
    assert_eq!(held(place.path()), [3, 1, 0]);
    assert_eq!(store.prune().unwrap().images, []);
}

#[test]
fn a_name_without_its_registry_is_found() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let hub = "docker.io/library/debian:12";
    let load = |name: &str, content: &[u8]| {
        let layer = tar(&[("file", content)]);
        store.load_archive(&*docker(name, &[&layer]), None).unwrap();
        store.image(name).unwrap().id()
    };
    let first = load(hub, b"hub");
    for wanted in ["debian:12", "library/debian:12", "docker.io/debian:12", hub] {
        assert_eq!(store.image(wanted).unwrap().id(), first, "{wanted}");
    }
    let gone = store.image("debian").unwrap_err();
    assert_eq!(gone.refusal(), Some(&Refusal::NoImage));
    // The name itself comes first.
    let own = load("debian:12", b"own");
    assert_ne!(own, first);
    assert_eq!(store.image("debian:12").unwrap().id(), own);
    assert_eq!(store.image(hub).unwrap().id(), first);
    assert_eq!(store.remove("debian:12").unwrap(), [name("debian:12")]);
    // Of an image with more names, only the one that is meant goes.
    store
        .tag(&store.image(hub).unwrap(), &name("base"))
        .unwrap();
    assert_eq!(store.remove("debian:12").unwrap(), [name(hub)]);
    assert_eq!(store.image("base").unwrap().id(), first);
}
