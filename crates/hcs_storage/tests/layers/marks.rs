//! Marks of deleted files, as overlayfs itself makes and reads them.

use std::{fs, path::Path};

use hcs_storage::{
    Limits,
    layer::{Marks, export, import_folder},
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::{
    archive::{DIRECTORY, FILE, Raw, archive, import},
    tree::state,
};

/// An overlay that is unmounted at the end of its test.
struct Overlay<'a>(&'a Path);

impl<'a> Overlay<'a> {
    fn mount(target: &'a Path, options: &str) -> Self {
        fs::create_dir_all(target).unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        mount(
            "overlay",
            target,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .unwrap();
        Self(target)
    }
}

impl Drop for Overlay<'_> {
    fn drop(&mut self) {
        let _unmounted = unmount(self.0, UnmountFlags::DETACH);
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What containers do to files: each step below is one of them.
fn change(root: &Path) {
    fs::remove_file(root.join("deleted")).unwrap();
    fs::remove_dir_all(root.join("replaced")).unwrap();
    fs::create_dir(root.join("replaced")).unwrap();
    fs::write(root.join("replaced/new"), "").unwrap();
    fs::write(root.join("kept/added"), "").unwrap();
    fs::rename(root.join("kept/moved"), root.join("moved")).unwrap();
}

fn lower(path: &Path) {
    for directory in ["replaced", "kept"] {
        fs::create_dir_all(path.join(directory)).unwrap();
    }
    for file in ["deleted", "replaced/old", "kept/old", "kept/moved"] {
        fs::write(path.join(file), file).unwrap();
    }
}

/// The upper directory of a real overlay goes through an archive, and a mount of either form shows the same with it.
#[test]
fn a_difference_is_the_same_after_export_and_import() {
    for (marks, option) in [(Marks::Trusted, ""), (Marks::User, ",userxattr")] {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        lower(&path("lower"));
        fs::create_dir(path("upper")).unwrap();
        fs::create_dir(path("work")).unwrap();
        let at = |name: &str| path(name).display().to_string();
        let lowerdir = at("lower");
        let (upper, work) = (at("upper"), at("work"));
        let merged = path("merged");
        let options = format!("lowerdir={lowerdir},upperdir={upper},workdir={work}{option}");
        let overlay = Overlay::mount(&merged, &options);
        change(&merged);
        let expected = state(&merged);
        drop(overlay);

        let mut bytes = Vec::new();
        export(&path("upper"), marks, &Limits::default(), &mut bytes).unwrap();
        import(&bytes, directory.path()).unwrap();
        let options = crate::archive::root();
        import_folder(&path("upper"), marks, &path("copied"), &options).unwrap();
        for layer in ["layer", "copied"] {
            for option in ["", ",userxattr"] {
                let layers = format!("lowerdir={}:{lowerdir}{option}", at(layer));
                let _overlay = Overlay::mount(&merged, &layers);
                assert_eq!(names(&merged), ["kept", "moved", "replaced"]);
                assert_eq!(names(&merged.join("kept")), ["added", "old"]);
                assert_eq!(names(&merged.join("replaced")), ["new"]);
                let found = state(&merged);
                assert_eq!(
                    found.keys().collect::<Vec<_>>(),
                    expected.keys().collect::<Vec<_>>()
                );
            }
        }
    }
}

/// A container can set attributes that another form of mount would take for marks.
#[test]
fn marks_of_the_other_form_are_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let upper = directory.path().join("upper");
    fs::create_dir_all(upper.join("directory")).unwrap();
    let set = |name: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(upper.join("directory"), name, b"y", flags).unwrap();
    };
    set("user.overlay.opaque");
    set("user.overlay.redirect");
    let mut bytes = Vec::new();
    export(&upper, Marks::Trusted, &Limits::default(), &mut bytes).unwrap();
    assert!(!bytes.windows(4).any(|name| name == b".wh."));
    assert!(export(&upper, Marks::User, &Limits::default(), &mut Vec::new()).is_err());
}

#[test]
fn a_layer_may_have_a_file_and_its_mark_in_any_order() {
    let file = Raw {
        name: b"file",
        content: b"new",
        ..FILE
    }
    .bytes();
    let inside = Raw {
        name: b"directory/file",
        ..FILE
    }
    .bytes();
    let mark = Raw {
        name: b".wh.file",
        ..FILE
    }
    .bytes();
    let directory_mark = Raw {
        name: b".wh.directory",
        ..FILE
    }
    .bytes();
    let directory = DIRECTORY.bytes();
    for entries in [
        [&file, &mark, &directory, &inside, &directory_mark],
        [&mark, &file, &directory_mark, &directory, &inside],
    ] {
        let place = tempfile::tempdir().unwrap();
        let entries = entries.map(|entry| &**entry);
        import(&archive(&entries), place.path()).unwrap();
        let layer = place.path().join("layer");
        assert_eq!(fs::read(layer.join("file")).unwrap(), b"new");
        let mut value = [0; 1];
        let attribute = "trusted.overlay.opaque";
        rustix::fs::getxattr(layer.join("directory"), attribute, &mut value[..]).unwrap();
        assert_eq!(&value, b"y");
        assert_eq!(names(&layer.join("directory")), ["file"]);
    }
}
