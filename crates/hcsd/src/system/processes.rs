//! The table of a system's processes: those that live, and those whose exit status no client has been told.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use tracing::warn;

use crate::{
    record::{
        ending::Ending,
        state::journal::{Entry, Journal},
    },
    system::process::Process,
};

/// Processes by pid. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct Processes {
    by_pid: RefCell<HashMap<u32, Rc<Process>>>,
    /// Pids whose exit status is owed, oldest first.
    owed: RefCell<VecDeque<u32>>,
    most_owed: usize,
    /// Those whose status was told while further clients are expected back that had handles on them.
    told: RefCell<Option<HashMap<u32, Rc<Process>>>>,
    journal: Journal,
}

impl Processes {
    /// An empty table that writes what changes to `journal` and keeps at most `most_owed` exit statuses.
    pub(crate) fn new(journal: Journal, most_owed: usize) -> Self {
        Self {
            by_pid: RefCell::default(),
            owed: RefCell::default(),
            most_owed,
            told: RefCell::default(),
            journal,
        }
    }

    /// Takes in what was created.
    ///
    /// # Errors
    /// The pid belongs to a process that lives.
    pub(crate) fn insert(&self, process: &Rc<Process>) -> Result<(), String> {
        self.adopt(process)?;
        self.claimed(process);
        Ok(())
    }

    /// Writes down a process that is in the table.
    pub(crate) fn claimed(&self, process: &Process) {
        self.journal.append(&Entry::Created {
            pid: process.pid(),
            console: process.emulates_console,
            ends_system: process.ends_system(),
            is_logged: process.exit_is_told(),
        });
    }

    /// Takes in what the journal tells of already, or need not tell of.
    ///
    /// # Errors
    /// The pid belongs to a process that lives.
    pub(crate) fn adopt(&self, process: &Rc<Process>) -> Result<(), String> {
        let pid = process.pid();
        if let Some(other) = self.by_pid.borrow().get(&pid)
            && !other.has_exited()
        {
            return Err(format!("it created process {pid}, which is running"));
        }
        let before = self.by_pid.borrow_mut().insert(pid, Rc::clone(process));
        if before.is_some() {
            self.owed.borrow_mut().retain(|owed| *owed != pid);
        }
        if let Some(told) = &mut *self.told.borrow_mut() {
            // A newer one of its number.
            told.remove(&pid);
        }
        Ok(())
    }

    /// Nothing more is to be written to its standard input, by any client.
    pub(crate) fn stdin_closed(&self, pid: u32) {
        if self.by_pid.borrow().contains_key(&pid) {
            self.journal.append(&Entry::StdinClosed { pid });
        }
    }

    /// The exit of a process is in the event log, and its status is not yet known to be owed: if the service dies
    /// first, the next one does not tell the exit again.
    pub(crate) fn logged(&self, pid: u32) {
        self.journal.append(&Entry::Logged { pid });
    }

    /// A process has exited, and its status is owed to the client that asks.
    pub(crate) fn owe(&self, pid: u32, ending: Ending) {
        self.journal.append(&Entry::exited(pid, ending));
        let oldest = {
            let mut owed = self.owed.borrow_mut();
            owed.push_back(pid);
            (owed.len() > self.most_owed)
                .then(|| owed.pop_front())
                .flatten()
        };
        if let Some(oldest) = oldest {
            warn!(
                pid = oldest,
                "an exit status that no client asked for is forgotten"
            );
            self.delivered(oldest);
        }
    }

    /// Its status has been told, or is owed to none: it is gone.
    pub(crate) fn delivered(&self, pid: u32) {
        if self.lost(pid) {
            self.owed.borrow_mut().retain(|owed| *owed != pid);
            self.journal.append(&Entry::Gone { pid });
        }
        if self.by_pid.borrow().is_empty() {
            self.journal.forget();
        }
    }

    /// Forgets a process whose status is recorded nowhere and owed to no client. Returns whether it was there.
    pub(crate) fn lost(&self, pid: u32) -> bool {
        let Some(process) = self.by_pid.borrow_mut().remove(&pid) else {
            return false;
        };
        if let Some(told) = &mut *self.told.borrow_mut()
            && told.len() < self.most_owed
        {
            told.insert(pid, process);
        }
        true
    }

    /// From now on those whose status was told are kept for clients that come back, or are not any more.
    pub(crate) fn keep_told(&self, keep: bool) {
        self.told.replace(keep.then(HashMap::new));
    }

    /// The process of that pid whose status was told while clients were expected back.
    pub(crate) fn told(&self, pid: u32) -> Option<Rc<Process>> {
        self.told.borrow().as_ref()?.get(&pid).cloned()
    }

    /// The process of that pid.
    pub(crate) fn get(&self, pid: u32) -> Option<Rc<Process>> {
        self.by_pid.borrow().get(&pid).cloned()
    }

    /// Whether there is none that lives, or whose status is owed.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_pid.borrow().is_empty()
    }

    /// Those that have not exited, by pid.
    pub(crate) fn living(&self) -> Vec<Rc<Process>> {
        let mut living: Vec<_> = self
            .by_pid
            .borrow()
            .values()
            .filter(|process| !process.has_exited())
            .cloned()
            .collect();
        living.sort_by_key(|process| process.pid());
        living
    }
}
