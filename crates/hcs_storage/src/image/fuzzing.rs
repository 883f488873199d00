//! What the fuzz targets (`fuzz/`) reach of images: their documents and names.
//!
//! Compiled with `--cfg fuzzing` only.

#![expect(clippy::expect_used, reason = "a fuzz target reports by panicking")]

use serde::{Serialize, de::DeserializeOwned};

use super::{
    document::{self, Config, Index, Manifest, chain_ids, parse},
    name::Name,
};

/// Reads `text` as each document that there is.
pub(crate) fn document(text: &str) {
    let _index = again::<Index>(text);
    let manifest = again::<Manifest>(text);
    let config = again::<Config>(text);
    let lines = text.split_once('\n');
    let both = lines.and_then(|(one, other)| again::<Manifest>(one).zip(again::<Config>(other)));
    if let Some((manifest, config)) = both.or_else(|| manifest.zip(config))
        && document::check(&manifest, &config).is_ok()
    {
        let chain = chain_ids(&config.rootfs.diff_ids);
        assert_eq!(chain.len(), manifest.layers.len());
    }
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.as_str().parse(), Ok(name));
    }
}

/// The document in `text`, which stays the same when it is written and read.
fn again<T: DeserializeOwned + Serialize + PartialEq>(text: &str) -> Option<T> {
    let read: T = parse(text.as_bytes(), "fuzzing").ok()?;
    let written = document::text(&read).expect("it was read");
    let again: T = parse(&written, "fuzzing").expect("it was written");
    assert!(again == read);
    Some(read)
}
