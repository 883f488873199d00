//! Images out of other ones and what containers have written above them.

use std::{fs, os::unix::net::UnixListener};

use hcs_storage::{Refusal, image::Name, layer::Marks};
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
    let commit = |marks| store.commit(&image, &upper, marks, &name, "test");
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
