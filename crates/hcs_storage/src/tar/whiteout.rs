//! Names that mark deleted files in archives: `.wh.NAME`, and `.wh..wh..opq` for all of a directory.

use super::{
    entry::{Entry, Kind, Timestamp},
    path::EntryPath,
};
use crate::{Refusal, error::shown};

const PREFIX: &[u8] = b".wh.";
/// Notes of AUFS, which old images have; they mean nothing to others.
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Whether a file of a layer can have this name.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(PREFIX)
}

/// The name in an archive of a mark at `path`; none where `kind` is no mark, or the root is marked as deleted.
pub(super) fn name_of(path: &EntryPath, kind: &Kind) -> Option<EntryPath> {
    match kind {
        Kind::Opaque => Some(path.join(OPAQUE)),
        Kind::Whiteout => {
            let (parent, name) = path.split()?;
            Some(parent.join(&[PREFIX, name].concat()))
        }
        _ => None,
    }
}

/// `entry` of an archive, as the mark that its name makes it; none where it is a note of AUFS.
///
/// # Errors
/// It has a name that is kept for marks, and is none.
pub(super) fn marked(entry: Entry) -> Result<Option<Entry>, Refusal> {
    let Some((parent, name)) = entry.path.split() else {
        return Ok(Some(entry));
    };
    if let Some(reserved) = parent.names().find(|name| is_reserved(name)) {
        let note = reserved.starts_with(AUFS) && reserved != OPAQUE;
        return if note {
            Ok(None)
        } else {
            Err(Refusal::ReservedName)
        };
    }
    let Some(deleted) = name.strip_prefix(PREFIX) else {
        return Ok(Some(entry));
    };
    let (path, kind) = if name == OPAQUE {
        (parent, Kind::Opaque)
    } else if name.starts_with(AUFS) {
        return Ok(None);
    } else if matches!(deleted, b"" | b"." | b"..") {
        let name = shown(deleted);
        return Err(Refusal::WhiteoutOfParent { name });
    } else {
        (parent.join(deleted), Kind::Whiteout)
    };
    if entry.kind != (Kind::File { size: 0 }) {
        return Err(Refusal::BadWhiteout);
    }
    Ok(Some(mark(path, kind)))
}

/// A mark at `path`: it has no attributes.
pub(crate) fn mark(path: EntryPath, kind: Kind) -> Entry {
    Entry {
        path,
        kind,
        mode: 0,
        uid: 0,
        gid: 0,
        mtime: Timestamp::default(),
        xattrs: [].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &[u8]) -> Entry {
        let path = EntryPath::parse(path, 9).unwrap();
        mark(path, Kind::File { size: 0 })
    }

    fn marked_as(path: &[u8]) -> (Vec<u8>, Kind) {
        let entry = marked(file(path)).unwrap().unwrap();
        (entry.path.as_bytes().to_vec(), entry.kind)
    }

    #[test]
    fn marks_are_known_by_their_names() {
        assert_eq!(marked_as(b"a/.wh.b"), (b"a/b".to_vec(), Kind::Whiteout));
        assert_eq!(marked_as(b"a/.wh..b"), (b"a/.b".to_vec(), Kind::Whiteout));
        assert_eq!(marked_as(b"a/.wh..wh..opq"), (b"a".to_vec(), Kind::Opaque));
        assert_eq!(marked_as(b".wh..wh..opq"), (b"".to_vec(), Kind::Opaque));
        assert_eq!(marked_as(b"a/wh.b").1, Kind::File { size: 0 });
    }

    #[test]
    fn a_mark_of_a_parent_is_refused() {
        for path in [&b"a/.wh."[..], b"a/.wh..", b"a/.wh...", b".wh..."] {
            let refusal = marked(file(path)).unwrap_err();
            assert!(
                matches!(refusal, Refusal::WhiteoutOfParent { .. }),
                "{}: {refusal}",
                path.escape_ascii()
            );
        }
        assert_eq!(marked_as(b"a/.wh....").1, Kind::Whiteout);
    }

    #[test]
    fn other_uses_of_the_names_are_refused() {
        let mut entry = file(b".wh.x");
        entry.kind = Kind::File { size: 1 };
        assert_eq!(marked(entry.clone()), Err(Refusal::BadWhiteout));
        entry.kind = Kind::Directory;
        assert_eq!(marked(entry), Err(Refusal::BadWhiteout));
        assert_eq!(marked(file(b".wh.x/y")), Err(Refusal::ReservedName));
        assert_eq!(marked(file(b".wh..wh..opq/y")), Err(Refusal::ReservedName));
    }

    #[test]
    fn notes_of_aufs_are_left_out() {
        assert_eq!(marked(file(b".wh..wh.aufs")), Ok(None));
        assert_eq!(marked(file(b".wh..wh.plnk/1.2")), Ok(None));
    }

    #[test]
    fn names_and_marks_belong_together() {
        for path in [&b"a/.wh.b"[..], b".wh.x", b"a/.wh..wh..opq"] {
            let entry = marked(file(path)).unwrap().unwrap();
            let name = name_of(&entry.path, &entry.kind).unwrap();
            assert_eq!(name.as_bytes(), path);
        }
    }
}
