//! What goes out comes back, and the same files make the same bytes.

use std::{fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use hcs_storage::{
    Digest,
    layer::{
        Expected, Exported, Marks, Options, Rights, export, import_folder, import_tar, remove,
    },
    tar::{Entry, TarReader, TarWriter},
};
use proptest::prelude::*;

use crate::tree::{build, nodes, state};

const ROOT: fn() -> Options = || Options {
    limits: hcs_storage::Limits::default(),
    rights: Rights::Root,
};

fn exported(folder: &Path) -> (Vec<u8>, Exported) {
    let mut bytes = Vec::new();
    let exported = export(
        folder,
        Marks::Trusted,
        &hcs_storage::Limits::default(),
        &mut bytes,
    )
    .unwrap();
    (bytes, exported)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_folder_comes_back_as_it_was(nodes in nodes()) {
        let directory = tempfile::tempdir().unwrap();
        let [first, second, third] = ["first", "second", "third"].map(|name| directory.path().join(name));
        build(&first, &nodes);
        let before = state(&first);
        let (bytes, out) = exported(&first);
        prop_assert_eq!(out.content.digest, Digest::of(&bytes));
        prop_assert_eq!(out.content.size, bytes.len() as u64);
        let imported = import_tar(&*bytes, &second, &ROOT(), &Expected::default()).unwrap();
        prop_assert_eq!(imported.plain, out.content);
        prop_assert_eq!(imported.stream, out.content);
        prop_assert_eq!(&state(&second), &before);
        prop_assert_eq!(exported(&second).0 == bytes, true);
        import_folder(&first, Marks::Trusted, &third, &ROOT()).unwrap();
        prop_assert_eq!(&state(&third), &before);
        for folder in [first, second, third] {
            remove(&folder).unwrap();
            prop_assert!(!folder.exists());
        }
    }

    #[test]
    fn an_archive_is_read_as_it_was_written(nodes in nodes()) {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("folder");
        build(&folder, &nodes);
        let (bytes, _) = exported(&folder);
        let mut reader = TarReader::new(&*bytes, &hcs_storage::Limits::default());
        let mut writer = TarWriter::new(Vec::new());
        while let Some(entry) = reader.next_entry().unwrap() {
            let entry: Entry = entry;
            writer.entry(&entry, &mut reader).unwrap();
        }
        prop_assert!(writer.finish().unwrap() == bytes);
    }
}

#[test]
fn compressed_archives_are_the_same_layer() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "text".repeat(10_000)).unwrap();
    let (bytes, out) = exported(&folder);
    let gzip = |bytes: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    // Members and frames follow each other, and some frames are to be skipped.
    let (one, other) = bytes.split_at(700);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for (name, stream) in [
        ("gzip", gzip(&bytes)),
        ("members", [gzip(one), gzip(other)].concat()),
        ("zstd", zstd(&bytes)),
        (
            "frames",
            [&*skipped, &zstd(one), &skipped, &zstd(other)].concat(),
        ),
    ] {
        let expected = Expected {
            digest: Some(Digest::of(&stream)),
            size: Some(stream.len() as u64),
            diff_id: Some(out.content.digest),
        };
        let target = directory.path().join(name);
        import_tar(&*stream, &target, &ROOT(), &expected).unwrap();
        assert_eq!(state(&target), state(&folder), "{name}");
        let cut = &stream[..stream.len() - 3];
        let target = directory.path().join("cut");
        assert!(
            import_tar(cut, &target, &ROOT(), &Expected::default()).is_err(),
            "{name}"
        );
        let more = [&*stream, b"more"].concat();
        assert!(
            import_tar(&*more, &target, &ROOT(), &Expected::default()).is_err(),
            "{name}"
        );
        assert!(!target.exists());
    }
}
