//! What is refused: by name, and nothing is left.

use std::{fs, io::Read, path::Path, time::Duration};

use flate2::{Compression, write::GzEncoder};
use hcs_storage::{
    Digest, Limits, Refusal, StorageError,
    layer::{Expected, Options, Rights, Special, import_tar},
};

use crate::archive::{DIRECTORY, FILE, Raw, archive, extended};

const ROOT: Options = Options {
    limits: Limits {
        bytes: 1 << 20,
        entries: 100,
        metadata: 1 << 20,
        depth: 10,
        time: Duration::from_secs(600),
    },
    rights: Rights::Root,
};
const USER: Options = Options {
    rights: Rights::User(Special::Refuse),
    ..ROOT
};

/// Imports `stream`, which has to be refused without a trace.
fn refusal(stream: impl Read + Send, options: &Options, expected: &Expected) -> (String, Refusal) {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("layer");
    let error = import_tar(stream, &target, options, expected).unwrap_err();
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    match error {
        StorageError::Refused { what, refusal } => (what, refusal),
        error => panic!("not refused, but: {error:?}"),
    }
}

fn refused(entries: &[&[u8]]) -> (String, Refusal) {
    refusal(&*archive(entries), &ROOT, &Expected::default())
}

fn named(name: &[u8]) -> Vec<u8> {
    Raw { name, ..FILE }.bytes()
}

#[test]
fn paths_that_lead_out_are_refused() {
    let of = |name: &[u8]| refused(&[&named(name)]);
    assert_eq!(
        of(b"/etc/passwd"),
        ("/etc/passwd".to_owned(), Refusal::AbsolutePath)
    );
    assert_eq!(of(b"a/../../b").1, Refusal::Traversal);
    assert_eq!(of(b"..").1, Refusal::Traversal);
    assert_eq!(
        of(b"a/b/c/d/e/f/g/h/i/j/k").1,
        Refusal::TooDeep { limit: 10 }
    );
    assert!(matches!(of(b".").1, Refusal::BadPath(_)));
    let long = extended(&[(b"path", b"../x")]);
    assert_eq!(refused(&[&long, &named(b"x")]).1, Refusal::Traversal);
    let nul = extended(&[(b"path", b"x\0y")]);
    assert!(matches!(
        refused(&[&nul, &named(b"x")]).1,
        Refusal::BadPath(_)
    ));
}

#[test]
fn no_entry_goes_through_a_link_of_the_layer() {
    let link = |name, target| {
        Raw {
            name,
            kind: b'2',
            link: target,
            ..FILE
        }
        .bytes()
    };
    for target in [&b"/tmp"[..], b"../..", b".", b"directory"] {
        let entries = [
            &*DIRECTORY.bytes(),
            &link(b"link", target),
            &named(b"link/x"),
        ];
        assert_eq!(refused(&entries).1, Refusal::NotBelowDirectory);
        let whiteout = named(b"link/.wh.x");
        let entries = [&*DIRECTORY.bytes(), &link(b"link", target), &whiteout];
        assert_eq!(refused(&entries).1, Refusal::NotBelowDirectory);
        // A directory in place of the link, so that a later entry would go through it.
        let again = Raw {
            name: b"link/",
            ..DIRECTORY
        }
        .bytes();
        assert_eq!(
            refused(&[&link(b"link", target), &again]).1,
            Refusal::Duplicate
        );
    }
    assert_eq!(
        refused(&[&named(b"a"), &named(b"a/b")]).1,
        Refusal::NotBelowDirectory
    );
}

#[test]
fn hard_links_lead_to_earlier_files_of_the_layer_only() {
    let link = |target| {
        Raw {
            name: b"link",
            kind: b'1',
            link: target,
            ..FILE
        }
        .bytes()
    };
    for target in [&b"/etc/passwd"[..], b"../x", b"a/../../x"] {
        assert!(matches!(
            refused(&[&link(target)]).1,
            Refusal::LinkOutside { .. }
        ));
    }
    let late = [&*link(b"file"), &FILE.bytes()];
    assert!(matches!(refused(&late).1, Refusal::LinkToNothing { .. }));
    let directory = [&*DIRECTORY.bytes(), &link(b"directory")];
    assert!(matches!(
        refused(&directory).1,
        Refusal::LinkToNothing { .. }
    ));
    let whiteout = [&*named(b".wh.gone"), &link(b"gone")];
    assert!(matches!(
        refused(&whiteout).1,
        Refusal::LinkToNothing { .. }
    ));
    let symlink = Raw {
        name: b"out",
        kind: b'2',
        link: b"/etc",
        ..FILE
    };
    let through = [&*symlink.bytes(), &link(b"out/passwd")];
    assert!(matches!(refused(&through).1, Refusal::LinkToNothing { .. }));
}

#[test]
fn a_path_is_given_once() {
    let file = FILE.bytes();
    assert_eq!(
        refused(&[&file, &file]),
        ("file".to_owned(), Refusal::Duplicate)
    );
    assert_eq!(
        refused(&[&named(b"./a/file"), &named(b"a//file")]).1,
        Refusal::Duplicate
    );
    assert_eq!(
        refused(&[&DIRECTORY.bytes(), &DIRECTORY.bytes()]).1,
        Refusal::Duplicate
    );
    assert_eq!(
        refused(&[&DIRECTORY.bytes(), &named(b"directory")]).1,
        Refusal::Duplicate
    );
    assert_eq!(
        refused(&[&named(b"a/b"), &named(b"a")]).1,
        Refusal::Duplicate
    );
    let whiteout = named(b".wh.x");
    assert_eq!(refused(&[&whiteout, &whiteout]).1, Refusal::Duplicate);
    let opaque = named(b"a/.wh..wh..opq");
    assert_eq!(refused(&[&opaque, &opaque]).1, Refusal::Duplicate);
}

#[test]
fn whiteouts_mark_files_of_their_directory_only() {
    for name in [&b"a/.wh."[..], b"a/.wh..", b"a/.wh..."] {
        assert!(matches!(
            refused(&[&named(name)]).1,
            Refusal::WhiteoutOfParent { .. }
        ));
    }
    let content = Raw {
        name: b".wh.x",
        content: b"x",
        ..FILE
    };
    assert_eq!(refused(&[&content.bytes()]).1, Refusal::BadWhiteout);
    assert_eq!(refused(&[&named(b".wh.x/y")]).1, Refusal::ReservedName);
}

#[test]
fn devices_that_mean_something_else_or_nothing_are_refused() {
    let device = |kind, major, minor| {
        let name = b"device";
        let device = (major, minor);
        Raw {
            name,
            kind,
            device,
            ..FILE
        }
        .bytes()
    };
    assert_eq!(refused(&[&device(b'3', 0, 0)]).1, Refusal::WhiteoutDevice);
    let (major, minor) = (4096, 0);
    let refusal = Refusal::DeviceNumber { major, minor };
    assert_eq!(refused(&[&device(b'4', major, minor)]).1, refusal);
}

#[test]
fn what_only_root_may_have_is_refused_for_others() {
    let of = |entries: &[&[u8]]| refusal(&*archive(entries), &USER, &Expected::default()).1;
    let device = Raw {
        kind: b'3',
        device: (1, 3),
        ..FILE
    };
    assert_eq!(of(&[&device.bytes()]), Refusal::DeviceNode);
    for mode in [0o4755, 0o2755, 0o6000] {
        assert_eq!(of(&[&Raw { mode, ..FILE }.bytes()]), Refusal::SetId);
    }
    let capability = extended(&[(b"SCHILY.xattr.security.capability", b"x")]);
    assert_eq!(of(&[&capability, &FILE.bytes()]), Refusal::SetId);
}

#[test]
fn attributes_of_overlayfs_and_unknown_ones_are_refused() {
    for name in [
        "trusted.overlay.redirect",
        "trusted.overlay.opaque",
        "user.overlay.metacopy",
    ] {
        let key = format!("SCHILY.xattr.{name}");
        let header = extended(&[(key.as_bytes(), b"/etc")]);
        let found = refused(&[&header, &DIRECTORY.bytes()]).1;
        assert_eq!(
            found,
            Refusal::OverlayAttribute {
                name: name.to_owned()
            }
        );
    }
    let header = extended(&[(b"SCHILY.xattr.system.unknown", b"x")]);
    assert!(matches!(
        refused(&[&header, &FILE.bytes()]).1,
        Refusal::Attribute { .. }
    ));
}

#[test]
fn an_archive_may_not_cost_more_than_its_limits() {
    let large = vec![0; 2 << 20];
    let bomb = Raw {
        content: &large,
        ..FILE
    };
    let limit = ROOT.limits.bytes;
    assert_eq!(refused(&[&bomb.bytes()]).1, Refusal::TooManyBytes { limit });
    let names: Vec<_> = (0..200)
        .map(|number| named(format!("{number}").as_bytes()))
        .collect();
    let entries: Vec<_> = names.iter().map(|entry| &**entry).collect();
    assert_eq!(refused(&entries).1, Refusal::TooManyEntries { limit: 100 });
    let text = vec![b'x'; 900 << 10];
    let long = extended(&[(b"comment", &text)]);
    let twice = [&*long, &named(b"a"), &*long, &named(b"b")];
    let narrow = Options {
        limits: Limits {
            bytes: 1 << 30,
            ..ROOT.limits
        },
        ..ROOT
    };
    let found = refusal(&*archive(&twice), &narrow, &Expected::default()).1;
    assert_eq!(found, Refusal::TooMuchMetadata { limit: 1 << 20 });
    let late = Options {
        limits: Limits {
            time: Duration::ZERO,
            ..ROOT.limits
        },
        ..ROOT
    };
    let found = refusal(&*archive(&[&FILE.bytes()]), &late, &Expected::default()).1;
    assert_eq!(
        found,
        Refusal::TooSlow {
            limit: Duration::ZERO
        }
    );
}

#[test]
fn directories_that_only_paths_name_count() {
    let files = |count: usize| -> Vec<Vec<u8>> {
        let name = |number| named(format!("{number}/a/b/c/file").as_bytes());
        (0..count).map(name).collect()
    };
    let import = |count, options| {
        let files = files(count);
        let entries: Vec<_> = files.iter().map(|file| &**file).collect();
        let stream = archive(&entries);
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("layer");
        let done = import_tar(&*stream, &target, options, &Expected::default());
        done.map_err(|error| error.refusal().cloned().unwrap())
            .err()
    };
    // Each file comes with four directories.
    assert_eq!(import(20, &ROOT), None);
    assert_eq!(
        import(21, &ROOT),
        Some(Refusal::TooManyEntries { limit: 100 })
    );
    let metadata = 20 * 5 * 128;
    let narrow = Options {
        limits: Limits {
            metadata,
            ..ROOT.limits
        },
        ..ROOT
    };
    assert_eq!(
        import(20, &narrow),
        Some(Refusal::TooMuchMetadata { limit: metadata })
    );
}

#[test]
fn compression_does_not_hide_a_bomb() {
    let large = vec![0; 4 << 20];
    let bomb = archive(&[&Raw {
        content: &large,
        ..FILE
    }
    .bytes()]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::copy(&mut &*bomb, &mut gzip).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd =
        ruzstd::encoding::compress_to_vec(&*bomb, ruzstd::encoding::CompressionLevel::Fastest);
    // A file that says little, and zeros without end after the archive.
    let mut endless = GzEncoder::new(Vec::new(), Compression::fast());
    let start = archive(&[&FILE.bytes()]);
    std::io::copy(&mut (&*start).chain(&*large), &mut endless).unwrap();
    let endless = endless.finish().unwrap();
    let limit = ROOT.limits.bytes;
    for stream in [&gzip, &zstd, &endless] {
        let found = refusal(&**stream, &ROOT, &Expected::default()).1;
        assert_eq!(found, Refusal::TooManyBytes { limit });
    }
}

#[test]
fn holes_count_as_bytes() {
    let map = format!("1\n{}\n0\n", 1_u64 << 60);
    let mut content = map.into_bytes();
    content.resize(512, 0);
    let header = extended(&[
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.realsize", (1_u64 << 60).to_string().as_bytes()),
    ]);
    let file = Raw {
        content: &content,
        ..FILE
    };
    let limit = ROOT.limits.bytes;
    assert_eq!(
        refused(&[&header, &file.bytes()]).1,
        Refusal::TooManyBytes { limit }
    );
}

#[test]
fn what_is_not_as_announced_is_refused() {
    let bytes = archive(&[&FILE.bytes()]);
    let size = bytes.len() as u64;
    let wrong = Digest::of(b"other");
    for expected in [
        Expected {
            digest: Some(wrong),
            ..Expected::default()
        },
        Expected {
            diff_id: Some(wrong),
            ..Expected::default()
        },
    ] {
        let found = refusal(&*bytes, &ROOT, &expected).1;
        assert!(matches!(found, Refusal::WrongDigest { .. }), "{found}");
    }
    for announced in [size - 1, size + 1, 0] {
        let expected = Expected {
            size: Some(announced),
            ..Expected::default()
        };
        let found = refusal(&*bytes, &ROOT, &expected).1;
        assert!(matches!(found, Refusal::WrongSize { .. }), "{found}");
    }
}

#[test]
fn what_other_programs_may_read_differently_is_refused() {
    let bad = |bytes: &[u8]| {
        let found = refusal(bytes, &ROOT, &Expected::default()).1;
        assert!(matches!(found, Refusal::BadArchive(_)), "{found}");
    };
    let file = FILE.bytes();
    bad(b"");
    bad(b"no archive");
    bad(&file);
    bad(&archive(&[&file])[..1024]);
    bad(&[archive(&[&file]), b"x".to_vec()].concat());
    bad(&[&[0; 512][..], &archive(&[&file])].concat());
    bad(&archive(&[&Raw {
        content: b"x",
        ..DIRECTORY
    }
    .bytes()]));
    bad(&archive(&[&Raw {
        content: b"x",
        kind: b'2',
        link: b"y",
        ..FILE
    }
    .bytes()]));
    bad(&archive(&[&Raw {
        size: Some(4096),
        ..FILE
    }
    .bytes()]));
    bad(&archive(&[&extended(&[(b"path", b"x")])]));
    let header = extended(&[(b"path", b"x")]);
    bad(&archive(&[&header, &header, &file]));
    let global = Raw {
        kind: b'g',
        content: b"9 path=x\n",
        ..FILE
    };
    bad(&archive(&[&global.bytes(), &file]));
    let mut damaged = archive(&[&file]);
    damaged[0] ^= 1;
    bad(&damaged);
}

#[test]
fn other_types_and_compressions_are_named() {
    let found = refused(&[&Raw { kind: b'V', ..FILE }.bytes()]).1;
    assert_eq!(found, Refusal::EntryType { kind: 'V' });
    let found = refusal(&b"BZh91AY"[..], &ROOT, &Expected::default()).1;
    assert_eq!(found, Refusal::Compression("bzip2"));
}

#[test]
fn a_layer_that_is_there_stays() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("layer");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("kept"), "").unwrap();
    let bytes = archive(&[&FILE.bytes()]);
    let imported = import_tar(&*bytes, &target, &ROOT, &Expected::default());
    assert!(matches!(imported, Err(StorageError::Step { .. })));
    let names = |path: &Path| fs::read_dir(path).unwrap().count();
    assert_eq!((names(directory.path()), names(&target)), (1, 1));
}
