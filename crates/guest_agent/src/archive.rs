//! The program of processes with `Archive` in their document: files as a tar stream, by `hcs_archive`.
//!
//! It is the agent's own executable, started as any other process: with its user, capabilities and limits, and without
//! the agent's descriptors and memory. All paths are resolved by it, so they lead where they lead inside, and no
//! further than its user may go. Nothing of the system's own files is executed, so a system needs no tar.

use std::{
    env,
    ffi::{CStr, OsString},
    fs::File,
    io::{self, Write as _},
    os::{fd::AsFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use hcs_archive::{ArchiveError, Options, Target, pack, unpack};
use hcs_schema::{
    documents::{Archive, ArchiveOperation},
    shown,
};
use rustix::thread::set_name;

/// What the program calls itself in `argv[0]`.
pub(crate) const NAME: &CStr = c"hcs-archive";

/// The most notes that are said; a tree may have more of them than there is a reader for.
const MOST_NOTES: usize = 20;

const PACK: &str = "pack";
const UNPACK: &str = "unpack";
const FOLLOW_LINK: &str = "--follow-link";
const KEEP_OWNERS: &str = "--keep-owners";
const ANY_ARCHIVE: &str = "--any-archive";

/// The arguments of the program for `document`, which `ps` shows.
pub(crate) fn arguments(document: &Archive) -> Vec<String> {
    let verb = match document.operation {
        Some(ArchiveOperation::Unpack) => UNPACK,
        _ => PACK,
    };
    let options = [
        (document.follow_link, FOLLOW_LINK),
        (document.keep_owners, KEEP_OWNERS),
        (document.any_archive, ANY_ARCHIVE),
    ];
    let options = options
        .into_iter()
        .filter(|(given, _)| *given == Some(true));
    let path = document.path.clone().unwrap_or_default();
    [NAME.to_str().unwrap_or_default(), verb]
        .into_iter()
        .chain(options.map(|(_, option)| option))
        .map(str::to_owned)
        .chain([path])
        .collect()
}

/// In a process that was started as this program, does its work and answers its exit code; `None` in any other. For the
/// begin of the `main` of programs that have agents.
#[must_use]
pub fn main_if_archive() -> Option<i32> {
    let mut words = env::args_os();
    if words.next()?.as_bytes() != NAME.to_bytes() {
        return None;
    }
    // The kernel names what is executed by a descriptor after the number of that.
    let _is_for_people = set_name(NAME);
    let words: Vec<OsString> = words.collect();
    let mut notes = 0;
    let mut note = |text: String| {
        notes += 1;
        match notes {
            ..=MOST_NOTES => say(&text),
            count if count == MOST_NOTES + 1 => say("there is more of the kind"),
            _ => {}
        }
    };
    match work(&words, &mut note) {
        Ok(()) => Some(0),
        Err(error) => {
            say(&error.to_string());
            Some(1)
        }
    }
}

fn work(words: &[OsString], notes: &mut dyn FnMut(String)) -> Result<(), ArchiveError> {
    let unknown = || ArchiveError::Refused("this program is for the agent only".to_owned());
    let (path, options) = words.split_last().ok_or_else(unknown)?;
    let has = |option: &str| options.iter().any(|word| word == option);
    let path = Path::new(path);
    let verb = options.first().ok_or_else(unknown)?;
    if verb == PACK {
        let stream = stream(io::stdout())?;
        return pack(path, has(FOLLOW_LINK), stream, notes);
    }
    if verb != UNPACK {
        return Err(unknown());
    }
    let target = match has(ANY_ARCHIVE) {
        true => Target::Into,
        false => Target::Copy { expected: None },
    };
    let options = Options {
        keep_owners: has(KEEP_OWNERS),
        mode_mask: 0o7777,
        // A copy fills the system's own disk, which the document limits.
        most_bytes: u64::MAX,
        most_files: u64::MAX,
    };
    let stream = io::BufReader::with_capacity(128 << 10, stream(io::stdin())?);
    unpack(stream, path, target, options, notes)
}

/// A standard stream without a buffer.
fn stream(standard: impl AsFd) -> Result<File, ArchiveError> {
    let own = standard.as_fd().try_clone_to_owned();
    own.map(File::from).map_err(|error| {
        ArchiveError::Refused(format!("a standard stream cannot be used: {error}"))
    })
}

/// Writes a line to standard error; its exit code says the rest where that is closed.
fn say(text: &str) {
    let _closed = writeln!(io::stderr(), "{}", shown(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_arguments() {
        let document = Archive {
            operation: Some(ArchiveOperation::Unpack),
            path: Some("/srv".to_owned()),
            keep_owners: Some(true),
            any_archive: Some(true),
            follow_link: Some(false),
        };
        let expected = ["hcs-archive", UNPACK, KEEP_OWNERS, ANY_ARCHIVE, "/srv"];
        assert_eq!(arguments(&document), expected);
    }

    #[test]
    fn a_path_that_looks_like_an_option_is_a_path() {
        let words = [PACK, FOLLOW_LINK].map(OsString::from);
        let failed = work(&words, &mut |_| {}).unwrap_err();
        assert!(failed.to_string().starts_with("--follow-link "), "{failed}");
    }

    #[test]
    fn other_programs_are_left_alone() {
        assert!(main_if_archive().is_none());
    }
}
