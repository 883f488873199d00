//! The journal of a system's processes: one JSON line per event, appended as it happens.
//!
//! Written on the way of every process, so it is one `write(2)` and no more; a line that was cut off by the end of
//! the service is not read. When no process is left to tell of, the file starts over; while one is, the file is written
//! anew when it has become much longer than what it tells.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::record::{
    ending::{Ending, OutOfMemory},
    files,
};

/// Name of the file in the system's directory.
const FILE: &str = "processes.jsonl";
/// Bytes after which a journal with nothing to tell starts over.
const STALE: u64 = 64 << 10;
/// Bytes after which one that has something to tell is written anew: later, for it may soon have nothing to tell.
const LONG: u64 = STALE + STALE / 2;
/// How many times longer than what it tells a journal becomes before it is written anew.
const LONGER: u64 = 4;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A process is there.
    Created {
        /// Pid inside the system.
        pid: u32,
        /// It has an emulated console.
        console: bool,
        /// Its system ends with it.
        #[serde(default, skip_serializing_if = "is_false")]
        ends_system: bool,
        /// A service has it anew for a client that comes back, and an earlier one wrote its exit into the event log.
        #[serde(default, skip_serializing_if = "is_false")]
        is_logged: bool,
    },
    /// It has exited, and a client is still to be told.
    Exited {
        /// Pid inside the system.
        pid: u32,
        /// `None` when that is unknown.
        code: Option<u32>,
        /// It was killed because of that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out_of_memory: Option<OutOfMemory>,
        /// It failed where its system may have no more than these processes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process_limit: Option<u64>,
    },
    /// Nothing more is to be written to its standard input.
    StdinClosed {
        /// Pid inside the system.
        pid: u32,
    },
    /// It has exited, and its exit is in the event log. Whether a client is still to be told is not decided yet.
    Logged {
        /// Pid inside the system.
        pid: u32,
    },
    /// There is nothing more to tell of it.
    Gone {
        /// Pid inside the system.
        pid: u32,
    },
}

impl Entry {
    /// The exit of a process that ended so.
    pub(crate) const fn exited(pid: u32, ending: Ending) -> Self {
        Self::Exited {
            pid,
            code: ending.code,
            out_of_memory: ending.out_of_memory,
            process_limit: ending.process_limit,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A process the journal tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// It has an emulated console.
    pub(crate) console: bool,
    /// Its system ends with it.
    pub(crate) ends_system: bool,
    /// Nothing more was to be written to its standard input.
    pub(crate) stdin_closed: bool,
    /// Its exit is in the event log.
    pub(crate) is_logged: bool,
    /// It had exited like this, and that is in the event log.
    pub(crate) exit: Option<Ending>,
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: RefCell<Option<File>>,
    written: Cell<u64>,
    /// Bytes after which it is written anew.
    most: Cell<u64>,
    /// A failure to write has been logged.
    complained: Cell<bool>,
}

impl Journal {
    /// The journal in a system's directory. The file is made with the first entry.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
            file: RefCell::default(),
            written: Cell::new(0),
            most: Cell::new(LONG),
            complained: Cell::new(false),
        }
    }

    /// Adds an entry. The service goes on when the file system refuses: the next service then knows less.
    pub(crate) fn append(&self, entry: &Entry) {
        if let Err(e) = self.write(entry)
            && !self.complained.replace(true)
        {
            warn!(path = %self.path.display(), "processes cannot be written down, a restart may lose their exits: {e}");
        }
        if self.written.get() > self.most.get() {
            self.write_anew();
        }
    }

    /// Leaves out what there is nothing more to tell of.
    fn write_anew(&self) {
        let anew = || -> io::Result<u64> {
            let directory = self.path.parent().unwrap_or(Path::new("."));
            Self::compact(directory, &Self::read(directory)?)?;
            Ok(fs::metadata(&self.path)?.len())
        };
        match anew() {
            Ok(length) => {
                // The old file has no name any more.
                self.file.take();
                self.written.set(length);
                self.most.set(LONG.max(LONGER * length));
            }
            Err(e) => {
                warn!(path = %self.path.display(), "the journal goes on growing: {e}");
                self.most.set(self.written.get().saturating_mul(2));
            }
        }
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.file.borrow_mut();
        let file = match &mut *file {
            Some(file) => file,
            None => {
                // An earlier service may have been cut off inside a line.
                line.insert(0, b'\n');
                file.insert(files::append(&self.path)?)
            }
        };
        self.written.set(self.written.get() + line.len() as u64);
        file.write_all(&line)
    }

    /// There is no process left to tell of.
    pub(crate) fn forget(&self) {
        if self.written.get() < STALE {
            return;
        }
        let emptied = self.file.borrow().as_ref().map(|file| file.set_len(0));
        match emptied {
            Some(Err(e)) => {
                warn!(path = %self.path.display(), "the journal cannot be emptied: {e}");
            }
            _ => {
                self.written.set(0);
                self.most.set(LONG);
            }
        }
    }

    /// Writes the journal in a system's directory anew, with what it tells of and no more: a reader finds the old one
    /// or the new one.
    ///
    /// # Errors
    /// What the file system said; the old one is still there.
    pub(crate) fn compact(directory: &Path, told: &BTreeMap<u32, Remembered>) -> io::Result<()> {
        let mut text = Vec::new();
        let mut add = |entry: Entry| -> io::Result<()> {
            serde_json::to_writer(&mut text, &entry)?;
            text.push(b'\n');
            Ok(())
        };
        for (&pid, remembered) in told {
            add(Entry::Created {
                pid,
                console: remembered.console,
                ends_system: remembered.ends_system,
                is_logged: false,
            })?;
            if remembered.stdin_closed {
                add(Entry::StdinClosed { pid })?;
            }
            if let Some(exit) = remembered.exit {
                add(Entry::exited(pid, exit))?;
            } else if remembered.is_logged {
                // For a former version of the service, too.
                add(Entry::Logged { pid })?;
            }
        }
        files::replace(&directory.join(FILE), &text)
    }

    /// What the journal in a system's directory tells of, by pid. Whatever makes no sense is left out.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn read(directory: &Path) -> io::Result<BTreeMap<u32, Remembered>> {
        let text = match fs::read(directory.join(FILE)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(e) => return Err(e),
        };
        Ok(Self::parse(&text))
    }

    /// What `text`, the contents of a journal, tells of.
    pub(crate) fn parse(text: &[u8]) -> BTreeMap<u32, Remembered> {
        let mut processes: BTreeMap<u32, Remembered> = BTreeMap::new();
        for line in text.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Entry::Created {
                    pid,
                    console,
                    ends_system,
                    is_logged,
                }) => {
                    let begun = Remembered {
                        console,
                        ends_system,
                        is_logged,
                        ..Remembered::default()
                    };
                    processes.insert(pid, begun);
                }
                Ok(Entry::Exited {
                    pid,
                    code,
                    out_of_memory,
                    process_limit,
                }) => {
                    let ending = Ending {
                        code,
                        out_of_memory,
                        process_limit,
                    };
                    let process = processes.entry(pid).or_default();
                    process.is_logged = true;
                    process.exit = Some(ending);
                }
                Ok(Entry::Logged { pid }) => {
                    processes.entry(pid).or_default().is_logged = true;
                }
                Ok(Entry::StdinClosed { pid }) => {
                    processes.entry(pid).or_default().stdin_closed = true;
                }
                Ok(Entry::Gone { pid }) => {
                    processes.remove(&pid);
                }
                Err(_) => {}
            }
        }
        processes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_service_learns_what_is_still_to_be_told() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        let created = |pid, both| Entry::Created {
            pid,
            console: both,
            ends_system: both,
            is_logged: false,
        };
        for entry in [
            created(2, false),
            created(3, true),
            created(4, false),
            Entry::StdinClosed { pid: 3 },
            Entry::Exited {
                pid: 3,
                code: Some(137),
                out_of_memory: Some(OutOfMemory {
                    limit_in_mb: Some(48),
                }),
                process_limit: None,
            },
            Entry::Gone { pid: 2 },
            Entry::Logged { pid: 4 },
            created(5, false),
        ] {
            journal.append(&entry);
        }
        let path = directory.path().join(FILE);
        let cut = fs::metadata(&path).unwrap().len() - 3;
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(cut)
            .unwrap();
        let told: Vec<_> = Journal::read(directory.path())
            .unwrap()
            .into_iter()
            .collect();
        assert_eq!(
            told,
            [
                (
                    3,
                    Remembered {
                        console: true,
                        ends_system: true,
                        stdin_closed: true,
                        is_logged: true,
                        exit: Some(Ending {
                            code: Some(137),
                            out_of_memory: Some(OutOfMemory {
                                limit_in_mb: Some(48)
                            }),
                            process_limit: None,
                        })
                    }
                ),
                (
                    4,
                    Remembered {
                        console: false,
                        ends_system: false,
                        stdin_closed: false,
                        is_logged: true,
                        exit: None
                    }
                ),
            ],
            "the last line was cut off and does not count"
        );
        let told: BTreeMap<_, _> = told.into_iter().collect();
        Journal::compact(directory.path(), &told).unwrap();
        assert_eq!(Journal::read(directory.path()).unwrap(), told);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_journal_does_not_grow_for_ever_while_one_process_lives() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        let path = directory.path().join(FILE);
        let created = |pid| Entry::Created {
            pid,
            console: false,
            ends_system: pid == 2,
            is_logged: false,
        };
        journal.append(&created(2));
        journal.append(&Entry::StdinClosed { pid: 2 });
        let sleeper = Journal::read(directory.path()).unwrap();
        for pid in 3..3000 {
            journal.append(&created(pid));
            journal.append(&Entry::exited(pid, Ending::default()));
            journal.append(&Entry::Gone { pid });
            let length = fs::metadata(&path).unwrap().len();
            assert!(length < 2 * STALE, "{length} bytes after process {pid}");
        }
        assert_eq!(Journal::read(directory.path()).unwrap(), sleeper);
        // What is told of all that live is not written again and again.
        for pid in 3..9000 {
            journal.append(&created(pid));
        }
        let length = fs::metadata(&path).unwrap().len();
        assert!(journal.most.get() <= LONGER * length, "{length}");
        assert_eq!(Journal::read(directory.path()).unwrap().len(), 8998);
    }

    #[test]
    fn a_long_journal_with_nothing_to_tell_starts_over() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        while journal.written.get() < STALE {
            journal.forget();
            journal.append(&Entry::Created {
                pid: 2,
                console: false,
                ends_system: false,
                is_logged: false,
            });
            journal.append(&Entry::Gone { pid: 2 });
        }
        journal.forget();
        journal.append(&Entry::Created {
            pid: 9,
            console: false,
            ends_system: false,
            is_logged: false,
        });
        assert!(fs::metadata(directory.path().join(FILE)).unwrap().len() < 100);
        assert_eq!(Journal::read(directory.path()).unwrap().len(), 1);
    }
}
