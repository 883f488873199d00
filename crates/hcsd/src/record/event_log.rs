//! The numbered event log: everything that happened to systems and processes, and to the service itself, each event
//! with a number that only grows, also through restarts of the service.
//!
//! ```text
//!   append ─▶ segment file (one write) ─▶ recent, in memory ─▶ readers that wait
//!                                            ▲ misses
//!   read from N ────────────────────────────┴────▶ segment files, on a thread that may wait
//! ```
//!
//! 1. [`segments`]: the files, `<state root>/events/<first number>.jsonl`, one event per line. Old events go when there
//!    are too many.
//!    [`thinning`]: what goes first is of the user who has most.
//! 2. [`reading`]: a reader's cursor against what there is.
//!
//! **What is promised.** An event is in the kernel's hands before any client is told of what it says, so the end of the
//! service, `kill -9` included, loses none; a line that was cut off is taken back. Nothing is forced to the disk: when
//! the machine itself fails, the systems and their state root (by default on a tmpfs) are gone with the log. An event
//! that cannot be written, because the disk is full say, gets no number and is told in the service's own log only.
//! Environments, command lines and streams are never in it.

mod reading;
mod segments;
mod thinning;

use std::{
    cell::{Cell, RefCell},
    collections::{HashSet, VecDeque},
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hcs_schema::timestamp::rfc3339;
use hcs_wire::log::LogEntry;
use serde_json::Value;
use tokio::sync::Notify;
use tracing::{error, info};

use self::segments::Segments;
use crate::thread::fair::FairLane;

/// Events that are kept in memory for readers that keep up.
const RECENT: usize = 256;

/// Events after which what was read of the log is forgotten, and read again where it is needed.
const MOST_ADDED: usize = 16384;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The service serves.
    ServiceStarted,
    /// The service leaves, in order.
    ServiceStopped,
    /// A system of an earlier service was taken over, dead or alive.
    SystemAdopted,
    /// A system was created.
    SystemCreated,
    /// Its agent answers: processes can be created.
    SystemStarted,
    /// Its processes stand still.
    SystemPaused,
    /// They go on.
    SystemResumed,
    /// Its settings were changed.
    SystemModified,
    /// The connection to its agent is lost, though no request ended it; with the reason, if the agent is at fault.
    GuestConnectionClosed,
    /// The kernel killed something in it because there was no memory left; with how often, and the limit.
    SystemOutOfMemory,
    /// It has ended; with its `SystemExitStatus`.
    SystemExited,
    /// A process was created.
    ProcessCreated,
    /// It has exited; with its `ProcessStatus`.
    ProcessExited,
    /// A crash report was submitted; with its file.
    CrashReported,
    /// A call failed that was to make, open or change something; with its time line.
    OperationFailed,
    /// Something became of what a call made that its time line has to tell; with that time line.
    OperationNoted,
    /// Here were events of the user who had most in the log, which had to go for others; with their number.
    EventsLeftOut,
}

impl Kind {
    /// As readers see it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ServiceStarted => "ServiceStarted",
            Self::ServiceStopped => "ServiceStopped",
            Self::SystemAdopted => "SystemAdopted",
            Self::SystemCreated => "SystemCreated",
            Self::SystemStarted => "SystemStarted",
            Self::SystemPaused => "SystemPaused",
            Self::SystemResumed => "SystemResumed",
            Self::SystemModified => "SystemModified",
            Self::GuestConnectionClosed => "GuestConnectionClosed",
            Self::SystemOutOfMemory => "SystemOutOfMemory",
            Self::SystemExited => "SystemExited",
            Self::ProcessCreated => "ProcessCreated",
            Self::ProcessExited => "ProcessExited",
            Self::CrashReported => "CrashReported",
            Self::OperationFailed => "OperationFailed",
            Self::OperationNoted => "OperationNoted",
            Self::EventsLeftOut => "EventsLeftOut",
        }
    }

    /// Those of which it matters whether they were written down for an operation ([`EventLog::tells`]).
    const OF_OPERATIONS: [Self; 6] = [
        Self::SystemCreated,
        Self::SystemStarted,
        Self::SystemPaused,
        Self::SystemResumed,
        Self::SystemModified,
        Self::ProcessCreated,
    ];
}

/// An event without number and time.
pub(crate) fn event(kind: Kind) -> LogEntry {
    LogEntry {
        kind: kind.name().to_owned(),
        ..LogEntry::default()
    }
}

/// What earlier services wrote down that is not to be told again.
#[derive(Debug, Default)]
struct RecordedEnds {
    /// Systems, by runtime id.
    ended: HashSet<String>,
    /// Processes that have exited, by system and pid.
    exited: HashSet<(String, u32)>,
    /// Files of crash reports.
    reports: HashSet<PathBuf>,
    /// What became of systems and processes by the operations of clients: kind, runtime id, operation.
    by_operations: HashSet<(String, String, String)>,
    /// Events that were added since the log was read.
    added: usize,
}

impl RecordedEnds {
    fn add(&mut self, entry: &LogEntry) {
        if entry.kind == Kind::CrashReported.name() {
            let file = entry.data.as_ref().and_then(|data| data["File"].as_str());
            self.reports.extend(file.map(PathBuf::from));
        }
        let Some(system) = &entry.runtime_id else {
            return;
        };
        match entry.process_id {
            None if entry.kind == Kind::SystemExited.name() => {
                self.ended.insert(system.clone());
            }
            Some(pid) if entry.kind == Kind::ProcessExited.name() => {
                self.exited.insert((system.clone(), pid));
            }
            // A later process may have the pid of an earlier one.
            Some(pid) if entry.kind == Kind::ProcessCreated.name() => {
                self.exited.remove(&(system.clone(), pid));
            }
            _ => {}
        }
        let matters = |kind: &Kind| kind.name() == entry.kind;
        if let Some(operation) = &entry.operation
            && Kind::OF_OPERATIONS.iter().any(matters)
        {
            let (kind, system) = (entry.kind.clone(), system.clone());
            self.by_operations.insert((kind, system, operation.clone()));
        }
    }
}

/// The log of this service. Belongs to its thread.
#[derive(Debug)]
pub(crate) struct EventLog {
    segments: RefCell<Segments>,
    /// The last events that were written, by number without gaps.
    recent: RefCell<VecDeque<Rc<LogEntry>>>,
    grown: Notify,
    /// Reading from files takes turns: a client that asks ten thousand times leaves the processors to others. Held by
    /// what has a thread already.
    reading: Rc<FairLane>,
    /// The last event of the service before this one.
    inherited: Option<LogEntry>,
    /// Read when needed, which is seldom; some of what is written later is added.
    told: RefCell<Option<RecordedEnds>>,
    /// The last event could not be written.
    failing: Cell<bool>,
}

impl EventLog {
    /// Goes on with the log in `directory`, of which at most about `bytes` are kept.
    ///
    /// # Errors
    /// The directory cannot be made, read or written.
    pub(crate) fn open(directory: &Path, bytes: usize) -> io::Result<Self> {
        let (segments, inherited) = Segments::open(directory, bytes)?;
        Ok(Self {
            segments: RefCell::new(segments),
            recent: RefCell::default(),
            grown: Notify::new(),
            reading: FairLane::new(1),
            inherited,
            told: RefCell::default(),
            failing: Cell::new(false),
        })
    }

    /// Writes an event down, with its number and the time, and tells those who wait for it.
    pub(crate) fn append(&self, entry: LogEntry) {
        self.write(entry, |segments, entry| {
            segments.append(entry).map(|()| true)
        });
    }

    /// [`EventLog::append`] for the failure of a call of the user `uid`. One past the user's share is left out: the
    /// calls of a user that fail are in the service's memory, too, as far as that user may have them there.
    pub(crate) fn append_failure(&self, entry: LogEntry, uid: u32) {
        self.write(entry, |segments, entry| segments.append_failure(uid, entry));
    }

    fn write(
        &self,
        mut entry: LogEntry,
        append: impl FnOnce(&mut Segments, &mut LogEntry) -> io::Result<bool>,
    ) {
        let now = SystemTime::now();
        entry.time = rfc3339(now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO));
        let mut segments = self.segments.borrow_mut();
        entry.number = segments.next();
        match append(&mut segments, &mut entry) {
            Ok(false) => return,
            Ok(true) => {
                if self.failing.replace(false) {
                    info!(
                        "events are written down again, from number {}",
                        entry.number
                    );
                }
            }
            Err(e) => {
                if !self.failing.replace(true) {
                    error!(
                        kind = entry.kind,
                        "events cannot be written down and are lost: {e}"
                    );
                }
                return;
            }
        }
        drop(segments);
        self.add_told(&entry);
        let mut recent = self.recent.borrow_mut();
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(Rc::new(entry));
        drop(recent);
        self.grown.notify_waiters();
    }

    /// Adds what was just written, or forgets all that was read: it must not grow for as long as the service lives.
    fn add_told(&self, entry: &LogEntry) {
        let mut told = self.told.borrow_mut();
        if told.as_ref().is_some_and(|told| told.added >= MOST_ADDED) {
            *told = None;
        }
        if let Some(told) = &mut *told {
            told.add(entry);
            told.added += 1;
        }
    }

    /// Forgets what was read: clients had their time to come back. It is read again for a later one.
    pub(crate) fn forget_told(&self) {
        self.told.take();
    }

    /// The system, by runtime id, and the process whose exit is the very last event of the service before: that service
    /// may not have come to note it anywhere else.
    pub(crate) fn inherited_exit(&self) -> Option<(&str, u32)> {
        let last = self.inherited.as_ref()?;
        let is_exit = last.kind == Kind::ProcessExited.name();
        let exit = (last.runtime_id.as_deref()?, last.process_id?);
        is_exit.then_some(exit)
    }

    /// Whether this process's exit was written down at any time.
    pub(crate) fn told_exit(&self, runtime_id: &str, pid: u32) -> bool {
        let exit = (runtime_id.to_owned(), pid);
        self.look(|told| told.exited.contains(&exit))
    }

    /// Whether the end of this system was written down.
    pub(crate) fn tells_end(&self, runtime_id: &str) -> bool {
        self.look(|told| told.ended.contains(runtime_id))
    }

    /// Whether the crash report in this file was written down.
    pub(crate) fn tells_report(&self, file: &Path) -> bool {
        self.look(|told| told.reports.contains(file))
    }

    /// Whether an event of this kind was written down that an operation of a client led to.
    pub(crate) fn tells(&self, kind: Kind, runtime_id: &str, operation: String) -> bool {
        let event = (kind.name().to_owned(), runtime_id.to_owned(), operation);
        self.look(|told| told.by_operations.contains(&event))
    }

    fn look<T>(&self, look: impl FnOnce(&RecordedEnds) -> T) -> T {
        let mut told = self.told.borrow_mut();
        look(told.get_or_insert_with(|| {
            self.segments.borrow().told().unwrap_or_else(|e| {
                error!("the event log cannot be read: {e}");
                RecordedEnds::default()
            })
        }))
    }
}

/// The document of an event, from its text.
pub(crate) fn data(document: &str) -> Option<Value> {
    serde_json::from_str(document).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_of_the_log_is_forgotten_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let log = EventLog::open(directory.path(), 64 << 20).unwrap();
        let note = |kind, pid: u32| {
            log.append(LogEntry {
                runtime_id: Some("guid".to_owned()),
                process_id: Some(pid),
                operation: Some(format!("7-{pid}")),
                ..event(kind)
            });
        };
        note(Kind::ProcessCreated, 1);
        note(Kind::OperationNoted, 1);
        let created = |pid: u32| log.tells(Kind::ProcessCreated, "guid", format!("7-{pid}"));
        let is_kept = || log.told.borrow().is_some();
        assert!(!is_kept() && created(1) && is_kept());
        let told = log.told.borrow().as_ref().unwrap().by_operations.len();
        assert_eq!(told, 1, "no other kind is asked for");
        log.forget_told();
        assert!(!is_kept() && created(1) && !created(2));
        note(Kind::ProcessCreated, 2);
        assert!(created(2) && is_kept());
        for pid in 3..=u32::try_from(MOST_ADDED).unwrap() + 2 {
            note(Kind::ProcessExited, pid);
        }
        assert!(!is_kept());
        assert!(created(1) && created(2) && log.told_exit("guid", 3));
    }
}
