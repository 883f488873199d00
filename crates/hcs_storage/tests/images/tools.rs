//! Images of skopeo and umoci, and ours read by them.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use hcs_storage::image::{Format, Name, Store};

use crate::make::{held, store};

fn run(directory: &Path, line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The layout `lay` with the image `one`, which umoci has made of two layers.
fn make(directory: &Path) {
    for line in [
        "umoci init --layout lay",
        "umoci new --image lay:one",
        "umoci unpack --image lay:one first",
    ] {
        run(directory, line);
    }
    let root = directory.join("first/rootfs");
    fs::create_dir(root.join("bin")).unwrap();
    fs::write(root.join("bin/program"), "program").unwrap();
    fs::set_permissions(root.join("bin/program"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(root.join("bin/program"), root.join("bin/other")).unwrap();
    fs::write(root.join("deleted"), "").unwrap();
    symlink("/bin/program", root.join("link")).unwrap();
    run(directory, "umoci repack --image lay:one first");
    run(directory, "umoci unpack --image lay:one second");
    fs::remove_file(directory.join("second/rootfs/deleted")).unwrap();
    run(directory, "umoci repack --image lay:one second");
    run(
        directory,
        "umoci config --image lay:one --config.cmd sh --config.env A=b",
    );
}

fn check(store: &Store, name: &str) {
    let image = store.image(name).unwrap();
    let execution = image.config.config.as_ref().unwrap();
    assert_eq!(execution.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    let layers = store.layers(&image);
    assert_eq!(layers.len(), 2);
    let deleted = fs::symlink_metadata(layers[0].join("deleted")).unwrap();
    assert_eq!((deleted.mode() & 0o170_000, deleted.rdev()), (0o020_000, 0));
    let program = fs::metadata(layers[1].join("bin/program")).unwrap();
    assert_eq!((program.mode() & 0o7777, program.nlink()), (0o4755, 2));
}

#[test]
fn images_of_other_programs_are_loaded() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    make(path);
    let skopeo = "skopeo --insecure-policy copy -q";
    run(
        path,
        &format!("{skopeo} oci:lay:one docker-archive:docker.tar:my/docker:1"),
    );
    run(
        path,
        &format!("{skopeo} oci:lay:one oci-archive:oci.tar:my/oci:1"),
    );
    run(
        path,
        &format!("{skopeo} --dest-compress-format zstd oci:lay:one oci:zstd:my/zstd:1"),
    );
    let store = store(path);
    let own: Name = "own".parse().unwrap();
    store.load_folder(&path.join("lay"), Some(&own)).unwrap();
    store.load_folder(&path.join("zstd"), None).unwrap();
    for archive in ["docker.tar", "oci.tar"] {
        let archive = fs::File::open(path.join(archive)).unwrap();
        store.load_archive(archive, None).unwrap();
    }
    for name in ["own", "docker.io/my/docker:1", "my/oci:1", "my/zstd:1"] {
        check(&store, name);
    }
    // Four images of the same two layers.
    assert_eq!(held(path)[1], 2);
}

#[test]
fn other_programs_read_the_store_and_what_it_saves() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    make(path);
    let first = store(path);
    let name: Name = "my/own:1".parse().unwrap();
    first.load_folder(&path.join("lay"), Some(&name)).unwrap();
    let image = first.image("my/own:1").unwrap();
    let skopeo = "skopeo --insecure-policy copy -q";
    run(path, &format!("{skopeo} oci:store/oci:my/own:1 oci:a:one"));
    first.save_folder(&image, &path.join("saved")).unwrap();
    run(path, &format!("{skopeo} oci:saved:my/own:1 oci:b:one"));
    for (format, form) in [
        (Format::Oci, "oci-archive"),
        (Format::Docker, "docker-archive"),
    ] {
        let archive = fs::File::create(path.join(form)).unwrap();
        first.save(&image, format, archive).unwrap();
        run(
            path,
            &format!("{skopeo} {form}:{form}:my/own:1 oci:{form}-copy:one"),
        );
    }
    for layout in ["a", "b", "oci-archive-copy", "docker-archive-copy"] {
        run(
            path,
            &format!("umoci unpack --image {layout}:one {layout}-bundle"),
        );
        let root = path.join(format!("{layout}-bundle/rootfs"));
        assert_eq!(fs::read(root.join("bin/other")).unwrap(), b"program");
        assert!(!root.join("deleted").exists() && root.join("link").is_symlink());
        let found = run(path, &format!("skopeo inspect --config oci:{layout}:one"));
        assert!(found.contains("A=b"), "{layout}: {found}");
    }
    // What another program puts into the store is an image of it, once it is loaded from there.
    run(
        path,
        &format!("{skopeo} oci:a:one oci:store/oci:their/own:1"),
    );
    assert_eq!(first.image("their/own:1").unwrap().id(), image.id());
    check(&first, "their/own:1");
}
