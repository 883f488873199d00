//! Archives as no proper program writes them.

use std::path::Path;

use hcs_storage::{
    Limits, StorageError,
    layer::{Expected, Imported, Options, Rights, import_tar},
};

/// One entry, with every field as the test wants it.
#[derive(Clone)]
pub(crate) struct Raw<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) content: &'a [u8],
    /// What the header says the size is; that of the content where there is none.
    pub(crate) size: Option<u64>,
    pub(crate) device: (u64, u64),
}

pub(crate) const FILE: Raw<'_> = Raw {
    name: b"file",
    kind: b'0',
    link: b"",
    mode: 0o644,
    content: b"",
    size: None,
    device: (0, 0),
};

pub(crate) const DIRECTORY: Raw<'_> = Raw {
    name: b"directory/",
    kind: b'5',
    mode: 0o755,
    ..FILE
};

impl Raw<'_> {
    /// Header and content, in whole blocks.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut block = vec![0; 512];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        let octal = |value: u64, width: usize| format!("{value:0width$o}").into_bytes();
        put(0, self.name);
        put(100, &octal(self.mode.into(), 7));
        put(108, &octal(0, 7));
        put(116, &octal(0, 7));
        put(
            124,
            &octal(self.size.unwrap_or(self.content.len() as u64), 11),
        );
        put(136, &octal(0, 11));
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, self.link);
        put(257, b"ustar\x0000");
        put(329, &octal(self.device.0, 7));
        put(337, &octal(self.device.1, 7));
        let sum: u32 = block.iter().copied().map(u32::from).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block.extend_from_slice(self.content);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }
}

/// An extended header with these records.
pub(crate) fn extended(records: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..).find(|digits| (rest + digits).to_string().len() == *digits);
        text.extend((rest + length.unwrap()).to_string().bytes());
        text.push(b' ');
        text.extend([key, &b"="[..], value, b"\n"].concat());
    }
    let header = Raw {
        name: b"extended",
        kind: b'x',
        content: &text,
        ..FILE
    };
    header.bytes()
}

/// A whole archive of `entries`.
pub(crate) fn archive(entries: &[&[u8]]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// The default limits, and the rights of root.
pub(crate) fn root() -> Options {
    Options {
        limits: Limits::default(),
        rights: Rights::Root,
    }
}

/// Imports `bytes` with the rights of root to `layer` in `directory`.
pub(crate) fn import(bytes: &[u8], directory: &Path) -> Result<Imported, StorageError> {
    import_tar(
        bytes,
        &directory.join("layer"),
        &root(),
        &Expected::default(),
    )
}
