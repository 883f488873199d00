//! Archives of other programs, and ours read by them. GNU tar is on every Debian.

use std::{
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _, symlink},
    path::Path,
    process::Command,
};

use hcs_storage::{
    Limits,
    layer::{Marks, export},
};

use crate::{archive::import, tree::state};

/// A folder with what dialects write in different ways.
fn folder(path: &Path) {
    fs::create_dir_all(path.join("directory")).unwrap();
    let long = "n".repeat(200);
    fs::write(path.join("directory").join(&long), "text").unwrap();
    symlink("t".repeat(300), path.join("link")).unwrap();
    fs::hard_link(path.join("directory").join(&long), path.join("other")).unwrap();
    let sparse = fs::File::create(path.join("sparse")).unwrap();
    for number in 0..60_u64 {
        sparse.write_all_at(&[1; 100], number << 17).unwrap();
    }
    sparse.set_len((60 << 17) + 5).unwrap();
    std::os::unix::fs::chown(path.join("other"), Some(3_000_000_000), Some(7)).unwrap();
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn archives_of_gnu_tar_are_read_in_each_format() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    folder(&source);
    for format in ["gnu", "posix", "oldgnu"] {
        for sparse in ["--sparse", "--numeric-owner"] {
            let place = tempfile::tempdir().unwrap();
            let archive = place.path().join("archive");
            let (from, to) = (source.to_str().unwrap(), archive.to_str().unwrap());
            let format = format!("--format={format}");
            // All files have whole seconds: the dialects of GNU have no others.
            run(
                "sh",
                &["-c", "find \"$0\" -exec touch -h -d @1500000000 {} +", from],
            );
            run("tar", &["-C", from, &format, sparse, "-cf", to, "."]);
            import(&fs::read(&archive).unwrap(), place.path()).unwrap();
            let layer = place.path().join("layer");
            assert_eq!(state(&layer), state(&source), "{format} {sparse}");
            let blocks = fs::metadata(layer.join("sparse")).unwrap().blocks();
            assert!(blocks * 512 < 1 << 20, "{format} {sparse}: {blocks} blocks");
        }
    }
}

/// Access lists of a file and of what is made in a directory, for users that this host has no names for.
fn with_access_lists(path: &Path) {
    fs::create_dir_all(path.join("directory")).unwrap();
    // One with an access list alone: GNU tar writes an empty default list for it.
    fs::create_dir(path.join("plain")).unwrap();
    fs::write(path.join("file"), "").unwrap();
    let entries = [
        (1_u16, 6_u16, u32::MAX),
        (2, 4, 1_234_567),
        (4, 4, u32::MAX),
        (8, 2, 7_654_321),
        (16, 7, u32::MAX),
        (32, 0, u32::MAX),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (who, rights, id) in entries {
        list.extend([who.to_le_bytes(), rights.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    for (name, attribute) in [
        ("file", "access"),
        ("plain", "access"),
        ("directory", "access"),
        ("directory", "default"),
    ] {
        let attribute = format!("system.posix_acl_{attribute}");
        rustix::fs::lsetxattr(
            path.join(name),
            attribute,
            &list,
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
    }
}

#[test]
fn access_lists_go_to_gnu_tar_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    with_access_lists(&path("source"));
    run(
        "tar",
        &[
            "-C",
            &text("source"),
            "--format=posix",
            "--acls",
            "-cf",
            &text("theirs"),
            ".",
        ],
    );
    let imported = import(&fs::read(path("theirs")).unwrap(), directory.path()).unwrap();
    assert_eq!(imported.omitted.attributes, 0);
    assert_eq!(state(&path("layer")), state(&path("source")));
    let archive = fs::File::create(path("ours")).unwrap();
    export(&path("source"), Marks::Trusted, &Limits::default(), archive).unwrap();
    fs::create_dir(path("target")).unwrap();
    run(
        "tar",
        &["-C", &text("target"), "--acls", "-xpf", &text("ours")],
    );
    assert_eq!(state(&path("target")), state(&path("source")));
}

#[test]
fn gnu_tar_reads_what_is_exported() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    folder(&path("source"));
    let archive = fs::File::create(path("archive")).unwrap();
    export(&path("source"), Marks::Trusted, &Limits::default(), archive).unwrap();
    fs::create_dir(path("target")).unwrap();
    let (from, to) = (path("archive"), path("target"));
    run(
        "tar",
        &["-C", to.to_str().unwrap(), "-xpf", from.to_str().unwrap()],
    );
    assert_eq!(state(&path("target")), state(&path("source")));
}
