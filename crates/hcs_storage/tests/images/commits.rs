//! Images out of other ones and what containers have written above them.

use std::{
    fs::{self, File},
    os::unix::net::UnixListener,
    time::Duration,
};

use hcs_storage::{
    Limits, Refusal,
    image::{Name, Store},
    layer::{Marks, Options, Rights},
};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::make::{docker, held, store, tar};

#[test]
fn an_image_gets_a_layer_of_exactly_what_was_written() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("kept", b"kept"), ("deleted", b"")]);
    store
        .load_archive(&*docker("a:1", &[&layer]), None)
        .unwrap();
    let image = store.image("a:1").unwrap();
    let upper = place.path().join("upper");
    fs::create_dir(&upper).unwrap();
    fs::write(upper.join("new"), "new").unwrap();
    mknodat(
        CWD,
        upper.join("deleted"),
        FileType::CharacterDevice,
        Mode::empty(),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(upper.join("socket")).unwrap();
    let name: Name = "b".parse().unwrap();
    let commit = |marks| store.commit(store.hold().unwrap(), &image, &upper, marks, &name, "test");
    let (first, omitted) = commit(Marks::Trusted).unwrap();
    assert_eq!(omitted.sockets, 1);
    let made = store.image("b").unwrap();
    assert_eq!(
        (made.id(), &made.config.config),
        (first.id, &image.config.config)
    );
    let layers = store.layers(&made);
    assert_eq!(layers[1], store.layers(&image)[0]);
    let mut names: Vec<_> = fs::read_dir(&layers[0])
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["deleted", "new"]);
    // The same files make the same image.
    assert_eq!(commit(Marks::Trusted).unwrap().0.manifest, first.manifest);
    assert_eq!(store.images().unwrap().len(), 2);
    // What is refused leaves nothing.
    let before = held(place.path());
    fs::write(upper.join(".wh.reserved"), "").unwrap();
    let refused = commit(Marks::Trusted).unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::ReservedName), "{refused}");
    assert_eq!(held(place.path()), before);
}

#[test]
fn what_a_container_wrote_may_cost_only_so_much() {
    let place = tempfile::tempdir().unwrap();
    let usual = store(place.path());
    let layer = tar(&[("kept", b"kept")]);
    usual
        .load_archive(&*docker("a:1", &[&layer]), None)
        .unwrap();
    let upper = place.path().join("upper");
    fs::create_dir(&upper).unwrap();
    // It is all hole, and an archive has every byte of it.
    let sparse = File::create(upper.join("sparse")).unwrap();
    sparse.set_len(8 << 40).unwrap();
    fs::write(upper.join("small"), "small").unwrap();
    let before = held(place.path());
    let limits = Limits::default();
    let (bytes, entries, metadata) = (limits.bytes, 2, 3);
    let time = Duration::ZERO;
    for (limits, expected) in [
        (limits, Refusal::TooManyBytes { limit: bytes }),
        (
            Limits { entries, ..limits },
            Refusal::TooManyEntries { limit: entries },
        ),
        (
            Limits { metadata, ..limits },
            Refusal::TooMuchMetadata { limit: metadata },
        ),
        (Limits { time, ..limits }, Refusal::TooSlow { limit: time }),
    ] {
        let rights = Rights::Root;
        let store = Store::open(usual.root(), Options { limits, rights }).unwrap();
        let image = store.image("a:1").unwrap();
        let name: Name = "b".parse().unwrap();
        let hold = store.hold().unwrap();
        let told = store.commit(hold, &image, &upper, Marks::Trusted, &name, "test");
        let told = told.unwrap_err();
        assert_eq!(told.refusal(), Some(&expected), "{told}");
        assert_eq!(held(place.path()), before);
    }
}
