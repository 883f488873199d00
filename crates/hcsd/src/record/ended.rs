//! Calls that created systems which have ended since, before their clients were answered. Without the record of the
//! system, the next service would take such a call for one that was never begun, and create the system again.
//!
//! Kept in `<state root>/ended.calls.json`. That is written only for a system whose creation had no answer that its
//! client took, so usually never.

use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
};

use tracing::warn;

use super::{call_names::CallNames, files, ledger::CallOutcome, timeline::CallKeeper};

/// See the module. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Ended {
    file: PathBuf,
    calls: RefCell<CallNames>,
}

impl Ended {
    /// As an earlier service left it in the state root `root`. Of a file that cannot be used it is not known which
    /// calls it had.
    pub(crate) fn open(root: &Path) -> Self {
        let file = root.join("ended.calls.json");
        let calls = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(CallNames::default()),
            Err(e) => Err(e),
        };
        let calls = calls.unwrap_or_else(|e| {
            warn!("{} cannot be used: {e}", file.display());
            CallNames::unknown()
        });
        Self {
            file,
            calls: RefCell::new(calls),
        }
    }

    /// The system that the call `name` created is about to lose its record.
    pub(crate) fn add(&self, name: &str) {
        self.calls.borrow_mut().add(name);
        self.write();
    }

    /// What became of the call `name`, which was to create a system.
    pub(crate) fn outcome(&self, name: &str) -> CallOutcome {
        let calls = self.calls.borrow();
        match (calls.contains(name), calls.is_forgetful(name)) {
            (true, _) => CallOutcome::Done,
            (false, true) => CallOutcome::Forgotten,
            (false, false) => CallOutcome::NotBegun,
        }
    }

    /// Forgets what clients asked an earlier service for: they had their time to come back.
    pub(crate) fn forget_earlier_calls(&self) {
        if self.calls.borrow_mut().release_earlier() {
            self.write();
        }
    }

    fn write(&self) {
        if let Err(e) = files::replace_json(&self.file, &*self.calls.borrow()) {
            warn!("{} cannot be written: {e}", self.file.display());
        }
    }
}

impl CallKeeper for Ended {
    fn release(&self, name: &str) {
        self.calls.borrow_mut().release(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_service_knows_what_was_created_and_has_ended() {
        let root = tempfile::tempdir().unwrap();
        let ended = Ended::open(root.path());
        assert_eq!(ended.outcome("1.a.1"), CallOutcome::NotBegun);
        ended.add("1.a.1");
        let next = Ended::open(root.path());
        assert_eq!(next.outcome("1.a.1"), CallOutcome::Done);
        next.release("1.a.1");
        assert_eq!(next.outcome("1.a.1"), CallOutcome::NotBegun);
        fs::write(root.path().join("ended.calls.json"), "[").unwrap();
        let damaged = Ended::open(root.path());
        assert_eq!(damaged.outcome("1.a.1"), CallOutcome::Forgotten);
        damaged.forget_earlier_calls();
        assert_eq!(
            Ended::open(root.path()).outcome("1.a.1"),
            CallOutcome::NotBegun
        );
    }
}
