//! Containers that a service has made and did not come to write down: it was killed in between.
//!
//! Control groups name those of root for the next service. An ordinary user's have none. So their first process is
//! noted in their directory before it is told what to be: until then it ends with the service. The next service finds
//! the directory without a record, and ends what the note names.

use std::{fs, os::fd::BorrowedFd, path::Path};

use rustix::{
    fs::{Mode, OFlags, openat},
    process::{Signal, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Attempt, StepError},
    privilege::Privilege,
    record,
};

/// The name of the note in the directory.
const NAME: &str = "first-process";
const STEP: &str = "noting the first process in";

/// Which process it is.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    pid: i32,
    start_time: u64,
    boot_id: String,
}

/// Notes the process `pid` in the container's directory.
///
/// # Errors
/// It cannot be written.
pub(super) fn note(directory: BorrowedFd<'_>, pid: i32) -> Result<(), StepError> {
    let Some(start_time) = record::start_time(pid) else {
        // Gone already: its report says why.
        return Ok(());
    };
    let note = Note {
        pid,
        start_time,
        boot_id: record::boot_id()?,
    };
    let text = serde_json::to_vec(&note).unwrap_or_default();
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, NAME, flags, Mode::RUSR | Mode::WUSR).step_at(STEP, NAME)?;
    rustix::io::write(&file, &text)
        .step_at(STEP, NAME)
        .map(drop)
}

/// Ends the container whose directory this is, if its first process was noted and lives.
pub(super) fn end(directory: &Path) {
    // Root notes none: what is there was put there by another program, which could name any process of the host.
    if Privilege::own() == Privilege::Root {
        return;
    }
    let note = fs::read(directory.join(NAME)).ok();
    let note = note.and_then(|text| serde_json::from_slice::<Note>(&text).ok());
    let Some(note) = note.filter(|note| record::is_first(note.pid)) else {
        return;
    };
    if let Ok(Some(process)) = record::find(note.pid, note.start_time, &note.boot_id) {
        let _gone_already = pidfd_send_signal(&process, Signal::KILL);
    }
}
