//! A program with all that it needs to run: its interpreter and its libraries, by the same paths.
//!
//! A program that is linked statically needs nothing. What only debuggers read is left out: it would cost memory of the
//! guest. Libraries are looked for where the dynamic linker of a system without a configuration looks; what is not
//! there is an error, which tells at the build what would fail in the guest.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};
use object::{
    LittleEndian,
    elf::{DT_NEEDED, FileHeader64},
    read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _},
};

use crate::{cpio::Archive, find::read};

/// The largest program or library.
const MAX_FILE: u64 = 256 << 20;
/// The fields of an ELF header of 64 bits about sections: offset; size of an entry, number of entries, index of names.
const SECTION_FIELDS: [std::ops::Range<usize>; 2] = [0x28..0x30, 0x3a..0x40];
/// The most libraries of a program.
const MOST: usize = 256;
/// Where libraries are.
const FOLDERS: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/usr/lib",
    "/usr/local/lib/x86_64-linux-gnu",
];

/// What an ELF file asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    interpreter: Option<String>,
    libraries: Vec<String>,
}

/// Adds the program at `path` of the host to `archive` as `place`, with all it needs.
///
/// # Errors
/// A file is not there or is no program for x86-64.
pub fn add(archive: &mut Archive, path: &Path, place: &str) -> Result<(), Failure> {
    let bytes = read(path, MAX_FILE)?;
    let needs = needs(&bytes).ok_or_else(|| {
        let message = format!("{} is no program of Linux for x86-64", path.display());
        Failure::new(HResult::E_INVALIDARG, message)
    })?;
    put(archive, place, trimmed(bytes))?;
    let mut found = BTreeSet::new();
    let mut open = needs.libraries;
    open.extend(needs.interpreter);
    while let Some(name) = open.pop() {
        let file = locate(&name).ok_or_else(|| missing(path, &name))?;
        if !found.insert(file.clone()) {
            continue;
        }
        if found.len() > MOST {
            let message = format!("{} needs more than {MOST} libraries", path.display());
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        let bytes = read(&file, MAX_FILE)?;
        open.extend(self::needs(&bytes).unwrap_or_default().libraries);
        put(archive, &file.to_string_lossy(), trimmed(bytes))?;
    }
    Ok(())
}

fn put(archive: &mut Archive, place: &str, bytes: Vec<u8>) -> Result<(), Failure> {
    archive
        .file(place, 0o755, bytes)
        .map_err(|error: io::Error| {
            Failure::new(HResult::E_INVALIDARG, format!("{place} cannot be added")).because(&error)
        })
}

fn missing(program: &Path, library: &str) -> Failure {
    let message = format!("{} needs {library}, which is not found", program.display());
    Failure::new(HResult::FILE_NOT_FOUND, message)
        .cause(format!("looked in {}", FOLDERS.join(", ")))
        .cause("a program that is linked statically needs no libraries")
}

/// The file of an interpreter, which is a path, or of a library, which is a name.
fn locate(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    if name.contains('/') {
        return None;
    }
    let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    places.find(|path| path.is_file())
}

/// An ELF file without what lies behind its segments: symbols, and what debuggers read. As its sections are then gone,
/// its header names none. What is no such file stays as it is.
fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(end) = end_of_segments(&bytes) else {
        return bytes;
    };
    bytes.truncate(end);
    for field in SECTION_FIELDS {
        if let Some(field) = bytes.get_mut(field) {
            field.fill(0);
        }
    }
    bytes
}

/// Where the last segment ends, within the file.
fn end_of_segments(bytes: &[u8]) -> Option<usize> {
    let header = FileHeader64::<LittleEndian>::parse(bytes).ok()?;
    let segments = header.program_headers(LittleEndian, bytes).ok()?;
    let ends = segments.iter().map(|segment| {
        let offset = segment.p_offset(LittleEndian);
        offset.saturating_add(segment.p_filesz(LittleEndian))
    });
    let table = header
        .e_phoff(LittleEndian)
        .saturating_add(size_of_val(segments) as u64);
    let end = usize::try_from(ends.max()?.max(table)).ok()?;
    (end <= bytes.len()).then_some(end)
}

/// Reads a program as far as its bytes matter.
#[cfg(fuzzing)]
pub(crate) fn read_only(bytes: &[u8]) {
    let _needs = needs(bytes);
    assert!(trimmed(bytes.to_vec()).len() <= bytes.len());
}

/// What the ELF file `bytes` asks for; `None` if it is none.
fn needs(bytes: &[u8]) -> Option<Needs> {
    let header = FileHeader64::<LittleEndian>::parse(bytes).ok()?;
    let mut needs = Needs::default();
    for segment in header.program_headers(LittleEndian, bytes).ok()? {
        if let Ok(Some(path)) = segment.interpreter(LittleEndian, bytes) {
            needs.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let sections = header.sections(LittleEndian, bytes).ok()?;
    let Ok(Some((entries, strings))) = sections.dynamic(LittleEndian, bytes) else {
        return Some(needs);
    };
    let strings = sections.strings(LittleEndian, bytes, strings).ok()?;
    for entry in entries.iter().take(10_000) {
        if entry.d_tag(LittleEndian) == DT_NEEDED
            && let Some(name) = usize::try_from(entry.d_val(LittleEndian)).ok()
            && let Ok(name) = strings.get(u32::try_from(name).ok()?)
            && needs.libraries.len() < MOST
        {
            needs
                .libraries
                .push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Some(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_comes_with_its_libraries() {
        // This test is linked dynamically.
        let this = std::env::current_exe().unwrap();
        let mut archive = Archive::default();
        add(&mut archive, &this, "init").unwrap();
        assert!(archive.has("init"));
        assert!(archive.has("/lib64/ld-linux-x86-64.so.2"));
        assert!(
            FOLDERS
                .iter()
                .any(|folder| archive.has(&format!("{folder}/libc.so.6")))
        );
    }

    #[test]
    fn a_trimmed_program_runs() {
        let whole = std::fs::read("/bin/true").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("true");
        std::fs::copy("/bin/true", &program).unwrap();
        let trimmed = trimmed(whole.clone());
        assert!(trimmed.len() < whole.len());
        std::fs::write(&program, trimmed).unwrap();
        assert!(
            std::process::Command::new(program)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(super::trimmed(b"#!/bin/sh".to_vec()), b"#!/bin/sh");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "#!/bin/sh\n").unwrap();
        let refused = add(&mut Archive::default(), file.path(), "init").unwrap_err();
        assert!(refused.message.contains("no program"), "{refused}");
        assert_eq!(locate("no-such-library.so"), None);
        assert_eq!(locate("../lib/libc.so.6"), None);
    }
}
