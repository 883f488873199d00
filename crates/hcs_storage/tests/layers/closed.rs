//! Layers in directories that other users may enter.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    slice,
};

use hcs_storage::layer::{Marks, Options, import_from, writable};
use rustix::process::geteuid;

use crate::archive::{DIRECTORY, FILE, Raw, archive, extended};

/// An ordinary user of the host.
const USER: u32 = 4242;

/// Whether that user gets at the file at `path`.
fn is_reached(path: &Path) -> bool {
    let mut test = Command::new("test");
    test.arg("-e").arg(path).uid(USER).gid(USER);
    test.status().unwrap().success()
}

/// A set-user-ID program, the node of a device, and a file that all may write, of a layer whose root is another user's.
fn hostile() -> Vec<u8> {
    let owner = extended(&[(b"uid", b"4242"), (b"gid", b"4242")]);
    let root = Raw {
        name: b"./",
        mode: 0o777,
        ..DIRECTORY
    };
    let program = Raw {
        name: b"tool",
        mode: 0o4755,
        content: b"#!/bin/sh\n",
        ..FILE
    };
    let node = Raw {
        name: b"disk",
        kind: b'4',
        mode: 0o666,
        device: (7, 0),
        ..FILE
    };
    archive(&[&owner, &root.bytes(), &program.bytes(), &node.bytes()])
}

#[test]
fn a_layer_of_root_is_closed_to_others_wherever_it_is() {
    if !geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| place.path().join(name);
    fs::write(at("layer.tar"), hostile()).unwrap();
    let (marks, options) = (Marks::of_caller(), Options::of_caller());
    import_from(&at("layer.tar"), marks, &at("layer"), &options).unwrap();
    import_from(&at("layer"), marks, &at("copy"), &options).unwrap();
    for layer in ["layer", "copy"] {
        let root = fs::metadata(at(layer)).unwrap();
        assert_eq!(
            (root.uid(), root.gid(), root.mode() & 0o7777),
            (0, 0, 0o700)
        );
        for name in ["tool", "disk"] {
            let inside = at(layer).join(name);
            assert!(inside.exists() && !is_reached(&inside), "{layer}: {name}");
        }
    }
    // Whatever is made of it has a root that all users of the container may enter.
    writable::initialize(&at("top"), slice::from_ref(&at("layer"))).unwrap();
    let upper = fs::metadata(at("top").join("upper")).unwrap();
    assert_eq!(upper.mode() & 0o777, 0o755);
    // The owner may open it, by name.
    fs::set_permissions(at("layer"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(is_reached(&at("layer").join("tool")));
}
