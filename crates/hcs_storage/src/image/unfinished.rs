//! Layers of images that did not come to their end, as a connection broke: they are kept for a while, so that the next
//! pull goes on there.
//!
//! ```text
//! unfinished/CONFIG_DIGEST.json   {"Until": 1700000000, "Layers": ["..."]}
//! ```
//!
//! A note is of whole layers only, which have their digests. It ends with its time, with the image, and by a prune.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    Store,
    blobs::{Partial, failed},
    document::{parse, text},
    folders::{Folder, read_file},
};
use crate::{Digest, StorageError};

/// How long they are kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Note {
    /// Seconds since 1970.
    until: u64,
    layers: Vec<Digest>,
}

impl Store {
    /// Keeps `layers` of the image with that configuration. The store is in use.
    pub(super) fn keep_unfinished(
        &self,
        config: Digest,
        layers: Vec<Digest>,
    ) -> Result<(), StorageError> {
        let folder = self.folders.made(Folder::Unfinished)?;
        let until = now().saturating_add(KEPT.as_secs());
        let mut file = Partial::new(&folder)?;
        file.write(&text(&Note { until, layers })?)?;
        file.put(&folder.join(note_of(config)))
    }

    /// Ends the note of an image whose contents are all there by now.
    pub(super) fn end_unfinished(&self, config: Digest) {
        // One that stays ends with its time.
        if let Ok(folder) = self.folders.path(Folder::Unfinished) {
            let _gone = fs::remove_file(folder.join(note_of(config)));
        }
    }

    /// The layers that are kept; notes that are over are removed, with `all` any. No other process uses the store.
    pub(super) fn unfinished(&self, all: bool) -> Result<Vec<Digest>, StorageError> {
        let folder = self.folders.path(Folder::Unfinished)?;
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("reading", &folder, &error)),
        };
        let mut layers = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|error| failed("reading", &folder, &error))?
                .path();
            if let Some(note) = read(&path).filter(|note| !all && note.holds(now())) {
                layers.extend(note.layers);
                continue;
            }
            fs::remove_file(&path).map_err(|error| failed("removing", &path, &error))?;
        }
        Ok(layers)
    }
}

/// The name of the note of an image with that configuration.
fn note_of(config: Digest) -> String {
    format!("{}.json", config.hex())
}

impl Note {
    /// Whether it is not over at `now`. A clock that was set back does not make it longer.
    fn holds(&self, now: u64) -> bool {
        let left = self.until.checked_sub(now);
        left.is_some_and(|left| left > 0 && left <= KEPT.as_secs())
    }
}

/// The note at `path`; none where it is none, as a process left it that was killed while it wrote.
fn read(path: &Path) -> Option<Note> {
    parse(&read_file(path).ok()?, "a note of layers").ok()
}

/// Seconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_holds_for_its_time() {
        let note = Note {
            until: 1_000_000,
            layers: Vec::new(),
        };
        let kept = KEPT.as_secs();
        for (now, holds) in [
            (1_000_000 - kept - 1, false),
            (1_000_000 - kept, true),
            (999_999, true),
            (1_000_000, false),
        ] {
            assert_eq!(note.holds(now), holds, "{now}");
        }
    }
}
