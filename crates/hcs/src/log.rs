//! The service's event log: all events, numbered, also those that came while no client read the log.

use std::{
    collections::VecDeque,
    thread,
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::log::{LogEntry, LogPage, LogQuery};

use crate::{
    Operation,
    operation::{read, refused},
    raw,
    raw::client::RECONNECT_PAUSES,
};

/// One page of the event log, from the cursor of the query on. With `follow` it ends when there is something to tell;
/// cancel it to stop waiting.
///
/// The operation fails with `HRESULT_FROM_WIN32(ERROR_JOURNAL_ENTRY_DELETED)` when the events at the cursor are not
/// kept any more (the message has the first number that is). It fails with `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)` when
/// the cursor is beyond the end of the log, because that was begun anew.
///
/// ```
/// # fn main() -> Result<(), hcs::Failure> {
/// let page = hcs::read_log(&hcs::LogQuery::default()).wait()?;
/// for event in &page.events {
///     println!("{} {} {}", event.number, event.time, event.kind);
/// }
/// assert!(page.next > 0);
/// # Ok(())
/// # }
/// ```
pub fn read_log(query: &LogQuery) -> Operation<LogPage> {
    let start = |operation: &raw::Operation| raw::read_events(query, operation).map_err(refused);
    Operation::new(start, |(), _, document| {
        read("page of events", document.as_deref())
    })
}

/// Follows the event log, event by event, through restarts of the service: none is left out and none comes twice.
///
/// An iterator without end that blocks until there is something to tell. It ends with the first failure: one of
/// [`read_log`], or that the service was lost and could not be reached again. [`LogFollower::cursor`] is then where
/// another can go on.
#[derive(Debug)]
pub struct LogFollower {
    query: LogQuery,
    events: VecDeque<LogEntry>,
    failed: bool,
    /// Until when it follows.
    end: Option<Instant>,
}

impl LogFollower {
    /// From event `since` on, 0 for the oldest there is; those of one system only, if one is named by its id or runtime
    /// id.
    #[must_use]
    pub fn new(since: u64, system: Option<&str>) -> Self {
        Self {
            query: LogQuery {
                since,
                follow: true,
                system: system.map(str::to_owned),
                limit: None,
            },
            events: VecDeque::new(),
            failed: false,
            end: None,
        }
    }

    /// It follows for `limit` from now on; then it ends with the failure `HCS_E_OPERATION_TIMEOUT`.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.end = Instant::now().checked_add(limit);
        self
    }

    /// The first number that was not given yet.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.events
            .front()
            .map_or(self.query.since, |event| event.number)
    }

    /// Waits for the next page, making the connection anew where it was lost.
    fn page(&self) -> Result<LogPage, Failure> {
        let mut page = self.ask();
        for pause in RECONNECT_PAUSES {
            match &page {
                Err(failure) if is_lost(failure.hresult) => {}
                _ => break,
            }
            let left = self.left();
            if left.is_some_and(|left| left <= pause) {
                break;
            }
            thread::sleep(pause);
            page = self.ask();
        }
        page
    }

    fn ask(&self) -> Result<LogPage, Failure> {
        let reading = read_log(&self.query);
        match self.left() {
            Some(left) => reading.deadline(left).wait(),
            None => reading.wait(),
        }
    }

    fn left(&self) -> Option<Duration> {
        let end = self.end?;
        Some(end.saturating_duration_since(Instant::now()))
    }
}

fn is_lost(hresult: HResult) -> bool {
    [
        HResult::HCS_E_SERVICE_DISCONNECT,
        HResult::HCS_E_SERVICE_NOT_AVAILABLE,
    ]
    .contains(&hresult)
}

impl Iterator for LogFollower {
    type Item = Result<LogEntry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Ok(event));
            }
            if self.failed {
                return None;
            }
            match self.page() {
                Ok(page) => {
                    self.query.since = page.next;
                    self.events = page.events.into();
                }
                Err(failure) => {
                    self.failed = true;
                    return Some(Err(failure));
                }
            }
        }
    }
}
