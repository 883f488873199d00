//! Requests of a guest about a directory that is shared with it, of which the first byte says whether it may change it.
//!
//! The directory has a file, a directory, a link that leads out and a FIFO. A file beside it has to stay as it is.

#![no_main]

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use libfuzzer_sys::fuzz_target;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

/// Makes the directory. It is not there.
fn make(place: &Path) -> io::Result<()> {
    fs::create_dir_all(place.join("share/d"))?;
    fs::write(place.join("beside"), "secret")?;
    fs::write(place.join("share/f"), "text")?;
    symlink("../beside", place.join("share/l"))?;
    mknodat(CWD, place.join("share/p"), FileType::Fifo, Mode::RWXU, 0)?;
    Ok(())
}

fn place() -> PathBuf {
    std::env::temp_dir().join(format!("hcs-fuzz-plan9-{}", std::process::id()))
}

fuzz_target!(|data: &[u8]| {
    let Some((way, requests)) = data.split_first() else {
        return;
    };
    let place = place();
    let _none = fs::remove_dir_all(&place);
    make(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(place.join("share"), flags, Mode::empty());
    let root = root.unwrap_or_else(|errno| panic!("{}: {errno}", place.display()));
    plan9::fuzzing::requests(root, way & 1 == 1, requests);
    let beside = fs::read_to_string(place.join("beside"));
    assert_eq!(beside.ok().as_deref(), Some("secret"));
    // What a guest left without permissions is not in the way of root; another user's run stops at the next input.
    let _left = fs::remove_dir_all(&place);
});
