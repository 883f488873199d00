//! Reading the event log from a cursor.

use std::{fs, io, path::Path, rc::Rc};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    explain::OperationReport,
    log::{LogEntry, LogPage, LogQuery},
};

use super::{EventLog, Kind, segments};
use crate::record::{blocking, timeline};

/// Most events in one answer, and what an answer has without a limit.
const MOST: usize = 1000;
/// Bytes of events after which an answer ends.
const MOST_BYTES: usize = 1 << 20;

/// Events that are taken from memory in one step.
const STEP: usize = 32;

/// A page under way.
struct Page {
    query: LogQuery,
    limit: usize,
    cursor: u64,
    events: Vec<LogEntry>,
    bytes: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || self.bytes >= MOST_BYTES
    }

    /// Takes the event at the cursor, if it is wanted. A reader of any system is told where events were left out: they
    /// may have been of that system.
    fn take(&mut self, entry: &LogEntry) {
        self.cursor = entry.number + 1;
        let is_for_all = entry.kind == Kind::EventsLeftOut.name();
        let wanted = |system: &String| {
            entry.system.as_ref() == Some(system) || entry.runtime_id.as_ref() == Some(system)
        };
        if is_for_all || self.query.system.as_ref().is_none_or(wanted) {
            self.bytes += serde_json::to_vec(entry).map_or(0, |text| text.len());
            self.events.push(entry.clone());
        }
    }
}

impl EventLog {
    /// One page for a reader, whether there is something to tell or not.
    ///
    /// # Errors
    /// `ERROR_JOURNAL_ENTRY_DELETED` when the events at the cursor were dropped; `ERROR_NOT_FOUND` when the cursor is
    /// beyond the end, because this is another log than the cursor is from.
    pub(crate) async fn page(&self, query: &LogQuery) -> Result<LogPage, Failure> {
        let limit = query.limit.map_or(MOST, |limit| limit as usize);
        let mut page = Page {
            cursor: query.since,
            limit: limit.clamp(1, MOST),
            query: query.clone(),
            events: Vec::new(),
            bytes: 0,
        };
        loop {
            let (first, next) = self.ends();
            if page.cursor == 0 {
                page.cursor = first;
            }
            check(page.cursor, first, next)?;
            if page.is_full() || page.cursor == next {
                return Ok(LogPage {
                    first,
                    next: page.cursor,
                    more: page.cursor < next,
                    events: page.events,
                });
            }
            if self.take_recent(&mut page) {
                // Others have their turn between steps.
                tokio::task::yield_now().await;
            } else {
                page = self.take_written(page).await?;
            }
        }
    }

    /// Returns when there is more to tell than up to `cursor`.
    pub(crate) async fn beyond(&self, cursor: u64) {
        loop {
            let grown = self.grown.notified();
            if self.ends().1 > cursor {
                return;
            }
            grown.await;
        }
    }

    fn ends(&self) -> (u64, u64) {
        let segments = self.segments.borrow();
        (segments.first(), segments.next())
    }

    /// Goes on from memory, where the cursor is in it.
    fn take_recent(&self, page: &mut Page) -> bool {
        let recent = self.recent.borrow();
        let Some(oldest) = recent.front().filter(|oldest| oldest.number <= page.cursor) else {
            return false;
        };
        let skip = usize::try_from(page.cursor - oldest.number).unwrap_or(usize::MAX);
        for entry in recent.iter().skip(skip).take(STEP).map(Rc::as_ref) {
            if page.is_full() {
                break;
            }
            page.take(entry);
        }
        true
    }

    /// What the log tells of operations: what `report` finds in its entries.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub(crate) async fn told_operations(
        &self,
        report: impl Fn(&LogEntry) -> Option<OperationReport> + Clone + Send + 'static,
    ) -> Result<Vec<OperationReport>, Failure> {
        let paths = self.segments.borrow().paths();
        let mut found = Vec::new();
        for path in paths {
            let thread = blocking::thread().await;
            // One file at a time, in turns with all who read.
            let _turn = self.reading.place(timeline::who()).await;
            let report = report.clone();
            let told = blocking::on(thread, move || told_in(&path, report)).await?;
            found.extend(told);
        }
        Ok(found)
    }

    /// Goes on from the segment that holds the cursor.
    async fn take_written(&self, mut page: Page) -> Result<Page, Failure> {
        let (segment, after) = {
            let segments = self.segments.borrow();
            let segment = segments.holding(page.cursor);
            (segment, segments.next())
        };
        let Some((path, first)) = segment else {
            return Ok(page);
        };
        let thread = blocking::thread().await;
        let _turn = self.reading.place(timeline::who()).await;
        let (page, read) = blocking::on(thread, move || {
            let read = take_lines(&mut page, &path, first, after).map_err(|e| {
                let path = path.display();
                Failure::new(HResult::E_FAIL, format!("{path} cannot be read")).because(&e)
            });
            Ok((page, read))
        })
        .await?;
        // A reader whose segment was dropped meanwhile is told so after the next look at the ends.
        if page.cursor >= self.ends().0 {
            read?;
        }
        Ok(page)
    }
}

/// What `report` finds in a segment.
fn told_in(
    path: &Path,
    report: impl Fn(&LogEntry) -> Option<OperationReport>,
) -> Result<Vec<OperationReport>, Failure> {
    match fs::read(path) {
        Ok(text) => {
            let entries = segments::entries(&text);
            Ok(entries.filter_map(|entry| report(&entry)).collect())
        }
        // Dropped meanwhile.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => {
            let message = format!("{} cannot be read", path.display());
            Err(Failure::new(HResult::E_FAIL, message).because(&e))
        }
    }
}

/// Reads the events from the cursor on, as far as the segment and the page go, `after` not included.
fn take_lines(page: &mut Page, path: &Path, first: u64, after: u64) -> io::Result<()> {
    let text = fs::read(path)?;
    // The wanted system as its events spell it: a line without it belongs to another system and needs no parsing,
    // unless it tells that events were left out.
    let wanted = page.query.system.as_ref().map(serde_json::to_string);
    let wanted = wanted.transpose()?;
    let is_of_others = |line: &[u8]| match (&wanted, std::str::from_utf8(line)) {
        (Some(wanted), Ok(line)) => {
            !line.contains(wanted.as_str()) && !line.contains(Kind::EventsLeftOut.name())
        }
        _ => false,
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let mut number = first;
    for line in lines.filter(|line| line.ends_with(b"\n")) {
        if page.is_full() || number >= after {
            return Ok(());
        }
        if number >= page.cursor {
            let entry = if is_of_others(line) {
                None
            } else {
                segments::entries(line).next()
            };
            match entry {
                Some(entry) if entry.number == number => page.take(&entry),
                // An event of another system, or a damaged line: the reader passes over both.
                _ => page.cursor = number + 1,
            }
        }
        number += 1;
    }
    // A segment whose lines were taken away must not be read for ever.
    page.cursor = page.cursor.max(number);
    Ok(())
}

fn check(cursor: u64, first: u64, next: u64) -> Result<(), Failure> {
    if cursor < first {
        return Err(Failure::new(
            HResult::ENTRY_DELETED,
            format!(
                "event {cursor} is not kept any more; the first event there is has the number {first}"
            ),
        ));
    }
    if cursor > next {
        return Err(Failure::new(
            HResult::NOT_FOUND,
            format!(
                "there is no event {cursor} yet: the next one has the number {next}. If this service gave out a later \
                 number, its log has been begun anew since: read from 0"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::event;
    use super::*;

    fn log(directory: &Path, bytes: usize) -> EventLog {
        EventLog::open(directory, bytes).unwrap()
    }

    fn append(log: &EventLog, count: usize, system: &str) {
        for _ in 0..count {
            log.append(LogEntry {
                system: Some(system.to_owned()),
                ..event(Kind::SystemStarted)
            });
        }
    }

    fn within<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let limit = Duration::from_secs(60);
        runtime.block_on(async { tokio::time::timeout(limit, work).await.unwrap() })
    }

    async fn read(log: &EventLog, query: LogQuery) -> Result<LogPage, Failure> {
        log.page(&query).await
    }

    fn since(since: u64) -> LogQuery {
        LogQuery {
            since,
            ..LogQuery::default()
        }
    }

    fn numbers(page: &LogPage) -> Vec<u64> {
        page.events.iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn pages_follow_each_other_from_files_and_memory() {
        let directory = tempfile::tempdir().unwrap();
        append(&log(directory.path(), 1 << 20), 1500, "a");
        let log = log(directory.path(), 1 << 20);
        append(&log, 500, "a");
        within(async {
            let mut all = Vec::new();
            let mut cursor = 0;
            loop {
                let page = read(&log, since(cursor)).await.unwrap();
                assert_eq!((page.first, page.more), (1, page.next <= 2000));
                all.extend(numbers(&page));
                cursor = page.next;
                if !page.more {
                    break;
                }
            }
            assert_eq!(all, (1..=2000).collect::<Vec<_>>());
            let limited = LogQuery {
                limit: Some(3),
                ..since(1499)
            };
            let page = read(&log, limited).await.unwrap();
            assert_eq!(numbers(&page), [1499, 1500, 1501]);
            assert_eq!(page.next, 1502);
        });
    }

    #[test]
    fn who_asks_for_what_was_dropped_or_never_was_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let log = log(directory.path(), 16 * 200);
        append(&log, 200, "a");
        within(async {
            let oldest = read(&log, since(0)).await.unwrap();
            assert!(oldest.first > 1);
            assert_eq!(oldest.events[0].number, oldest.first);
            let dropped = read(&log, since(oldest.first - 1)).await.unwrap_err();
            assert_eq!(dropped.hresult, HResult::ENTRY_DELETED);
            assert!(dropped.message.contains(&oldest.first.to_string()));
            assert!(read(&log, since(201)).await.unwrap().events.is_empty());
            let beyond = read(&log, since(202)).await.unwrap_err();
            assert_eq!(beyond.hresult, HResult::NOT_FOUND);
        });
    }

    #[test]
    fn a_follower_is_answered_when_what_it_wants_happens() {
        let directory = tempfile::tempdir().unwrap();
        let log = log(directory.path(), 1 << 20);
        append(&log, 3, "other");
        within(async {
            let mut query = LogQuery {
                follow: true,
                system: Some("mine".to_owned()),
                ..LogQuery::default()
            };
            let following = async {
                loop {
                    let page = log.page(&query).await.unwrap();
                    if !page.events.is_empty() {
                        return page;
                    }
                    query.since = page.next;
                    log.beyond(page.next).await;
                }
            };
            let happening = async {
                tokio::task::yield_now().await;
                append(&log, 1, "other");
                tokio::task::yield_now().await;
                append(&log, 1, "mine");
            };
            let (page, ()) = tokio::join!(following, happening);
            assert_eq!((numbers(&page), page.next), (vec![5], 6));
        });
    }

    #[test]
    fn a_reader_of_one_system_is_told_where_events_were_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let first = log(directory.path(), 1 << 20);
        append(&first, 1, "other");
        first.append(event(Kind::EventsLeftOut));
        append(&first, 1, "mine");
        let query = LogQuery {
            system: Some("mine".to_owned()),
            ..LogQuery::default()
        };
        // From memory, and from the file.
        let page = within(read(&first, query.clone())).unwrap();
        assert_eq!((numbers(&page), page.next), (vec![2, 3], 4));
        drop(first);
        let next = log(directory.path(), 1 << 20);
        let page = within(read(&next, query)).unwrap();
        assert_eq!((numbers(&page), page.next), (vec![2, 3], 4));
    }

    #[test]
    fn spoiled_lines_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        append(&log(directory.path(), 1 << 20), 3, "a");
        let path = segments::path(directory.path(), 1);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("\"Number\":2", "\"Nimber\":2", 1)).unwrap();
        let log = log(directory.path(), 1 << 20);
        let page = within(read(&log, since(0))).unwrap();
        assert_eq!(numbers(&page), [1, 3]);
    }
}
