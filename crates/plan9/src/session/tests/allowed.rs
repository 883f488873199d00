//! Shares of which a guest sees only some entries.

use super::*;

fn guest() -> Guest {
    let mut guest = Guest::with(|root| {
        let names = ["file", "folder", "missing"].map(|name| name.as_bytes().to_vec());
        Share::new(root, false).unwrap().with_only(names)
    });
    for name in ["file", "other"] {
        fs::write(guest.path(name), name).unwrap();
    }
    fs::create_dir(guest.path("folder")).unwrap();
    fs::write(guest.path("folder/other"), "below").unwrap();
    guest.walk(1, "folder").unwrap();
    guest
}

#[test]
fn entries_that_are_not_named_are_not_seen() {
    let mut guest = guest();
    guest.walk(2, "").unwrap();
    guest.open(2, 0).unwrap();
    let listed = guest.list(2, u32::MAX / 2).unwrap();
    let mut names: Vec<String> = listed.into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, [".", "..", "file", "folder"]);
    assert_eq!(guest.walk(3, "other"), Err(Errno::NOENT));
    assert_eq!(guest.walk(3, "folder/../other"), Ok(2), "and no further");
    guest.walk(4, "file").unwrap();
    guest.open(4, 0).unwrap();
    assert_eq!(guest.read(4).unwrap(), "file");
    // What is below is all shared.
    guest.walk(5, "folder/other").unwrap();
    guest.open(5, 0).unwrap();
    assert_eq!(guest.read(5).unwrap(), "below");
}

/// All ways to make the entry `bytes` of the root; fid 1 is a directory and fid 2 a file.
fn making(bytes: &[u8]) -> [Plan9Request<'_>; 6] {
    [
        Plan9Request::MakeDir {
            fid: 0,
            name: bytes,
            mode: 0o700,
        },
        Plan9Request::MakeNode {
            fid: 0,
            name: bytes,
            mode: 0o600,
        },
        Plan9Request::Symlink {
            fid: 0,
            name: bytes,
            target: b"file",
        },
        Plan9Request::Link {
            directory: 0,
            fid: 2,
            name: bytes,
        },
        Plan9Request::Rename {
            fid: 2,
            directory: 0,
            name: bytes,
        },
        Plan9Request::RenameAt {
            from: 1,
            name: b"other",
            to: 0,
            new: bytes,
        },
    ]
}

#[test]
fn entries_that_are_not_named_are_neither_made_nor_taken_nor_replaced() {
    let mut guest = guest();
    guest.walk(2, "file").unwrap();
    let denied = Err(Errno::ACCESS);
    for name in ["other", "new"] {
        let bytes = name.as_bytes();
        assert_eq!(guest.create(3, name, WRITE_ONLY, 0o600), Err(Errno::ACCESS));
        guest.clunk(3);
        for request in making(bytes) {
            assert_eq!(guest.ask(&request), denied, "{request:?}");
        }
    }
    let hidden = b"other".as_slice();
    let taken = Plan9Request::RenameAt {
        from: 0,
        name: hidden,
        to: 1,
        new: b"mine",
    };
    let removed = Plan9Request::UnlinkAt {
        fid: 0,
        name: hidden,
        flags: 0,
    };
    for request in [taken, removed] {
        assert_eq!(guest.ask(&request), Err(Errno::NOENT), "{request:?}");
    }
    assert_eq!(fs::read_to_string(guest.path("other")).unwrap(), "other");
    assert!(!guest.path("new").exists());
    // What is named may come and go.
    guest.create(3, "missing", WRITE_ONLY, 0o600).unwrap();
    let moved = Plan9Request::RenameAt {
        from: 0,
        name: b"missing",
        to: 1,
        new: b"moved",
    };
    guest.ask(&moved).unwrap();
    assert!(guest.path("folder/moved").exists());
}
