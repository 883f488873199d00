//! The paths that a stream may name, and the name of what is copied. Pure.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::ArchiveError;

/// The longest path in bytes that a system call takes.
const MAX_PATH: usize = 4095;

/// The longest name of a file.
const MAX_NAME: usize = 255;

/// The path of an entry below the destination, without `.` and without leading slashes; empty for the destination
/// itself.
///
/// # Errors
/// It has `..` in it, a NUL, or is longer than paths can be.
pub(crate) fn relative(name: &[u8]) -> Result<PathBuf, ArchiveError> {
    let shown = || {
        let start = name.get(..MAX_NAME.min(name.len())).unwrap_or_default();
        String::from_utf8_lossy(start).into_owned()
    };
    if name.len() > MAX_PATH || name.contains(&0) {
        let message = format!(
            "the name that begins with {:?} is longer than {MAX_PATH} bytes or contains NUL",
            shown()
        );
        return Err(ArchiveError::Malformed(message));
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let message = format!(
                    "the archive names {:?}, which leads out of the destination; nothing more is unpacked",
                    shown()
                );
                return Err(ArchiveError::Refused(message));
            }
            part if part.len() > MAX_NAME => {
                let message = format!("a name in {:?} is longer than {MAX_NAME} bytes", shown());
                return Err(ArchiveError::Malformed(message));
            }
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

/// What a copy of `path` is called: its last part. `None` when that is no name (`/`, `dir/.`, `..`): then the content
/// of the directory is copied.
#[must_use]
pub fn top_name(path: &Path) -> Option<OsString> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/')? + 1;
    let bytes = bytes.get(..end)?;
    let begin = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    match bytes.get(begin..)? {
        b"" | b"." | b".." => None,
        name => Some(OsStr::from_bytes(name).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_taken_below_the_destination() {
        for (name, path) in [
            ("a", "a"),
            ("./a/./b//c/", "a/b/c"),
            ("/etc/passwd", "etc/passwd"),
            (".", ""),
            ("./", ""),
            ("", ""),
            ("...", "..."),
        ] {
            assert_eq!(
                relative(name.as_bytes()).unwrap(),
                Path::new(path),
                "{name}"
            );
        }
    }

    #[test]
    fn what_leads_elsewhere_or_is_too_long_is_refused() {
        let (long, longer) = ("x".repeat(256), "x/".repeat(2100));
        for name in ["..", "a/../b", "/..", "a/..", "a\0b", &long, &longer] {
            assert!(relative(name.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_copy_is_called_as_the_last_part_of_the_path() {
        for (path, name) in [
            ("/a/b", Some("b")),
            ("b", Some("b")),
            ("a/b//", Some("b")),
            ("a/.", None),
            ("a/./", None),
            ("..", None),
            ("a/..", None),
            (".", None),
            ("/", None),
            ("", None),
            (".x", Some(".x")),
        ] {
            let found = top_name(Path::new(path));
            assert_eq!(found.as_deref(), name.map(OsStr::new), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_destination(name in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'/'), any::<u8>()], 0..40)) {
            if let Ok(path) = relative(&name) {
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
