//! Layers on all kinds of file systems: overlays, read-only ones, several at once.

use std::{
    fs,
    path::{Path, PathBuf},
    slice,
};

use hcs_storage::{
    Limits, Refusal, StorageError,
    layer::{Expected, Marks, Options, destroy, export, import_folder, import_tar, writable},
};
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount},
    process::geteuid,
};

use crate::tree::state;

/// A file system in memory, of its own.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        mount("test", path, "tmpfs", MountFlags::empty(), None).unwrap();
        Self(path.to_owned())
    }

    fn overlay(path: &Path, below: &Path, own: &Path) -> Self {
        for name in ["upper", "work"] {
            fs::create_dir_all(own.join(name)).unwrap();
        }
        fs::create_dir(path).unwrap();
        let [below, own] = [below, own].map(|path| path.to_str().unwrap());
        let options = format!("lowerdir={below},upperdir={own}/upper,workdir={own}/work");
        let options = std::ffi::CString::new(options).unwrap();
        mount(
            "test",
            path,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .unwrap();
        Self(path.to_owned())
    }

    fn read_only(&self) {
        mount_remount(&self.0, MountFlags::RDONLY, "").unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn layer(path: &Path, name: &str) -> PathBuf {
    let path = path.join("layer");
    fs::create_dir(&path).unwrap();
    fs::write(path.join(name), name).unwrap();
    fs::write(path.join("top"), name).unwrap();
    path
}

/// What is seen of `top` above `parents`; `written` is written there.
fn seen(top: &Path, parents: &[PathBuf], written: &str) -> Result<Vec<String>, StorageError> {
    writable::attach(top, parents)?;
    fs::write(top.join(written), "").unwrap();
    let names = names_in(top);
    writable::detach(top).unwrap();
    Ok(names)
}

fn names_in(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn unfit(answer: Result<Vec<String>, StorageError>) -> &'static str {
    match answer.unwrap_err().refusal() {
        Some(Refusal::Unfit(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn layers_of_different_file_systems_are_one_tree() {
    if !geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| place.path().join(name);
    let (one, other, own) = (
        Mounted::at(&at("one")),
        Mounted::at(&at("other")),
        Mounted::at(&at("own")),
    );
    fs::create_dir(at("disk")).unwrap();
    let parents = [
        layer(&one.0, "a"),
        layer(&other.0, "b"),
        layer(&at("disk"), "c"),
    ];
    one.read_only();
    for top in [at("top"), own.0.join("top"), other.0.join("above")] {
        writable::initialize(&top, &parents).unwrap();
        assert_eq!(
            seen(&top, &parents, "new").unwrap(),
            ["a", "b", "c", "new", "top"]
        );
        // What is exported is what was written, wherever the layers are.
        let mut archive = Vec::new();
        let upper = writable::Upper::of(&top).unwrap();
        export(
            &upper.path(),
            Marks::Trusted,
            &Limits::default(),
            &mut archive,
        )
        .unwrap();
        let (options, expected) = (Options::of_caller(), Expected::default());
        import_tar(&archive[..], &at("back"), &options, &expected).unwrap();
        assert_eq!(names_in(&at("back")), ["new"]);
        destroy(&at("back")).unwrap();
        drop(upper);
        destroy(&top).unwrap();
    }
    // A folder with another file system in it is no layer: which of both would it be?
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let copy = elsewhere.path().join("copy");
    let answer = import_folder(place.path(), Marks::Trusted, &copy, &Options::of_caller());
    let error = answer.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::OtherFileSystem), "{error}");
    assert!(!copy.exists());
}

#[test]
fn an_overlay_is_a_layer_and_no_place_for_what_is_written() {
    if !geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("below")).unwrap();
    let root = layer(&at("below"), "a");
    let merged = Mounted::overlay(&at("merged"), &root, &at("own"));
    fs::write(merged.0.join("changed"), "").unwrap();
    fs::remove_file(merged.0.join("top")).unwrap();
    // The tree that an overlay shows, with what is hidden in it, is the layer.
    let parents = [merged.0.clone()];
    writable::initialize(&at("top"), &parents).unwrap();
    assert_eq!(
        seen(&at("top"), &parents, "new").unwrap(),
        ["a", "changed", "new"]
    );
    // It is imported as it is seen.
    import_folder(
        &merged.0,
        Marks::Trusted,
        &at("copy"),
        &Options::of_caller(),
    )
    .unwrap();
    assert_eq!(state(&at("copy")), state(&merged.0));
    // As in a container, whose root is an overlay.
    let inside = merged.0.join("inside");
    writable::initialize(&inside, slice::from_ref(&root)).unwrap();
    match seen(&inside, slice::from_ref(&root), "new") {
        Ok(names) => assert_eq!(names, ["a", "new", "top"]),
        refused => assert!(unfit(refused).contains("overlay")),
    }
    destroy(&inside).unwrap();
    assert!(!inside.exists());
}

#[test]
fn a_read_only_place_stays_as_it_is_and_is_told() {
    if !geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| place.path().join(name);
    let own = Mounted::at(&at("own"));
    let base = layer(&own.0, "a");
    let (top, none) = (own.0.join("top"), own.0.join("none"));
    writable::initialize(&top, slice::from_ref(&base)).unwrap();
    own.read_only();
    let before = state(&own.0);
    assert!(unfit(seen(&top, slice::from_ref(&base), "new")).contains("read-only"));
    for answer in [
        writable::initialize(&none, slice::from_ref(&base)),
        import_folder(&base, Marks::Trusted, &none, &Options::of_caller()).map(drop),
        hcs_storage::disk::create(&none, 8 << 20),
        destroy(&base),
    ] {
        assert!(
            matches!(
                answer,
                Err(StorageError::Step {
                    errno: Errno::ROFS,
                    ..
                })
            ),
            "{answer:?}"
        );
    }
    // What is there is a layer for others.
    writable::initialize(&at("above"), slice::from_ref(&base)).unwrap();
    assert_eq!(
        seen(&at("above"), &[base], "new").unwrap(),
        ["a", "new", "top"]
    );
    assert_eq!(state(&own.0), before);
}
