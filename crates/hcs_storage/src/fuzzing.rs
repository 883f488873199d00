//! What the fuzz targets (`fuzz/`) reach: the readers of archives, of the documents of images, and of virtual disks.
//!
//! Compiled with `--cfg fuzzing` only.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a fuzz target reports by panicking"
)]

use std::{
    env, fs,
    io::{self, Read},
    os::fd::AsFd as _,
    time::Duration,
};

use crate::{
    Limits, StorageError, compression, disk, image,
    layer::{self, Rights, Sink, Special, Unpacker},
    tar::{TarReader, TarWriter},
};

/// Little enough for many inputs a second.
const LIMITS: Limits = Limits {
    bytes: 4 << 20,
    entries: 200,
    metadata: 1 << 20,
    depth: 20,
    time: Duration::from_secs(60),
};

/// A stream, which may be compressed. What is read of it can be written, and is read as the same again.
pub fn archive(bytes: &[u8]) {
    let Ok((plain, _)) = compression::plain(bytes) else {
        return;
    };
    let mut writer = TarWriter::new(Vec::new());
    let read = copy(plain.take(LIMITS.bytes), &mut writer);
    let written = writer.finish().expect("memory can be written");
    if read.is_err() {
        return;
    }
    let mut again = TarWriter::new(Vec::new());
    copy(&*written, &mut again).expect("an archive of ours can be read");
    let again = again.finish().expect("memory can be written");
    assert!(written == again);
}

/// A stream that is unpacked as for an ordinary user, into a directory beside a file that stays as it is.
pub fn layer(bytes: &[u8]) {
    let place = env::temp_dir().join(format!("hcs-fuzz-{}", std::process::id()));
    let (root, beside) = (place.join("root"), place.join("beside"));
    layer::remove(&place).expect("it is ours");
    fs::create_dir_all(&root).expect("there is room");
    fs::write(&beside, "kept").expect("there is room");
    let directory = fs::File::open(&root).expect("it was made");
    let mut unpacker = Unpacker::new(directory.as_fd(), Rights::User(Special::Omit));
    if copy(bytes, &mut unpacker).is_ok() {
        let _refused = unpacker.finish();
    }
    assert_eq!(fs::read(&beside).expect("it was made"), b"kept");
    let names = fs::read_dir(&place).expect("it was made").count();
    assert_eq!(names, 2);
    layer::remove(&place).expect("it is ours");
}

/// A document of an image: what is read of it is read as the same when it is written, and is refused in words.
pub fn document(text: &str) {
    image::fuzzing::document(text);
}

/// A sound VHDX that is changed as these bytes say.
pub fn changed_disk(changes: &[u8]) {
    disk::fuzzing::changed(changes);
}

/// The bytes of a file that is to be a virtual disk.
pub fn disk(bytes: &[u8]) {
    disk::fuzzing::file(bytes);
}

fn copy(source: impl Read, sink: &mut dyn Sink) -> Result<(), StorageError> {
    let mut reader = TarReader::new(source, &LIMITS);
    while let Some(entry) = reader.next_entry()? {
        let what = entry.path.shown();
        sink.take(&entry, &mut reader)?;
        let left = io::copy(&mut reader, &mut io::sink());
        left.map_err(|error| StorageError::stream("reading", &what, error))?;
    }
    Ok(())
}
