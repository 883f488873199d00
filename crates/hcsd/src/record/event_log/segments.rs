//! The files of the event log.
//!
//! A segment is named after the number of its first event and has one line for each, without gaps: the number of an
//! event is that of its segment and the lines before it. Only whole lines count. A line not written as a whole,
//! because the service was killed or the disk is full, is cut off before the next is written.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hcs_wire::log::LogEntry;
use serde_json::json;

use super::RecordedEnds;
use crate::record::files;

/// How many segments the log is cut into.
const SEGMENTS: usize = 16;

/// Part of a segment that the failures of one user's calls may have: a call that fails costs its client nothing, so
/// they alone must not push the events of others out.
const SHARES: u64 = 4;
/// After this time a share that is used up is given anew in part: the newest failures of a host on which little else
/// happens are to be found, too. It is so little that one user fills a segment in days.
const SHARE_LASTS: Duration = Duration::from_secs(3600);
const GRANTS: u64 = 16;

/// Bytes of an event, and of each of its texts, past which its document is left out and the texts are cut: no client
/// makes an event that pushes the others out, or that no answer has room for.
const MOST_BYTES: usize = 128 << 10;
const MOST_TEXT: usize = 1024;

/// The segments there are, and the end of the last one.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    /// First numbers, oldest first. Never empty.
    firsts: VecDeque<u64>,
    last: File,
    last_bytes: u64,
    next: u64,
    /// Bytes after which another segment is begun.
    full: u64,
    /// What stands behind `last_bytes` could not be cut off.
    torn: bool,
    /// Bytes in the last segment of the failures of each user, as far as this service wrote them.
    failures: HashMap<u32, FailureShare>,
}

/// What the failures of one user have had of a segment.
#[derive(Debug)]
struct FailureShare {
    bytes: u64,
    /// When the share, or a part of it, was given last.
    granted: Instant,
    /// The log of the service says that more are left out.
    is_told: bool,
}

impl Default for FailureShare {
    fn default() -> Self {
        Self {
            bytes: 0,
            granted: Instant::now(),
            is_told: false,
        }
    }
}

/// The file of the segment that begins with `first`.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.jsonl"))
}

impl Segments {
    /// Goes on with what is there. Returns the last event as well.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn open(directory: &Path, bytes: usize) -> io::Result<(Self, Option<LogEntry>)> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let mut firsts = list(directory)?;
        let first = firsts.back().copied().unwrap_or(1);
        if firsts.is_empty() {
            firsts.push_back(first);
        }
        let last = open_file(&path(directory, first))?;
        let text = fs::read(path(directory, first))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |newline| newline + 1);
        let lines = text[..whole].iter().filter(|byte| **byte == b'\n').count();
        last.set_len(whole as u64)?;
        let mut segments = Self {
            directory: directory.to_owned(),
            last,
            last_bytes: whole as u64,
            next: first + lines as u64,
            full: (bytes / SEGMENTS) as u64,
            torn: false,
            failures: HashMap::new(),
            firsts,
        };
        segments.drop_oldest();
        let entry = entries(&text[..whole]).next_back();
        Ok((segments, entry))
    }

    /// The number of the next event.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The number of the oldest event that is kept, or will be.
    pub(super) fn first(&self) -> u64 {
        self.firsts.front().copied().unwrap_or(self.next)
    }

    /// Writes the next event, cut short if it is too long. Nothing has changed when that fails.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn append(&mut self, entry: &mut LogEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        if line.len() > MOST_BYTES {
            cut_short(entry, line.len());
            line = serde_json::to_vec(entry)?;
        }
        line.push(b'\n');
        if self.torn {
            self.cut()?;
        }
        let length = line.len() as u64;
        if self.last_bytes > 0 && self.last_bytes + length > self.full {
            self.begin_segment()?;
        }
        if let Err(e) = self.last.write_all(&line) {
            self.torn = self.cut().is_err();
            return Err(e);
        }
        self.last_bytes += length;
        self.next += 1;
        Ok(())
    }

    /// [`Segments::append`] for the failure of a call of the user `uid`. Answers whether it was written: the failures
    /// of a user have a share of each segment. One that is left out takes no number.
    ///
    /// # Errors
    /// As for that.
    pub(super) fn append_failure(&mut self, uid: u32, entry: &mut LogEntry) -> io::Result<bool> {
        let most = self.full / SHARES;
        let share = self.failures.entry(uid).or_default();
        if share.bytes >= most && share.granted.elapsed() >= SHARE_LASTS {
            share.granted = Instant::now();
            share.bytes = most - most / GRANTS;
        }
        if share.bytes >= most {
            if !std::mem::replace(&mut share.is_told, true) {
                tracing::warn!(
                    uid,
                    "very many calls of a user fail; the next ones are left out of the event log"
                );
            }
            return Ok(false);
        }
        self.append(entry)?;
        let bytes = serde_json::to_vec(entry)?.len() as u64;
        self.failures.entry(uid).or_default().bytes += bytes;
        Ok(true)
    }

    /// Takes back what was not written as a whole.
    fn cut(&mut self) -> io::Result<()> {
        self.last.set_len(self.last_bytes)?;
        self.torn = false;
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.last = open_file(&path(&self.directory, self.next))?;
        self.last_bytes = 0;
        self.failures.clear();
        self.firsts.push_back(self.next);
        self.drop_oldest();
        Ok(())
    }

    fn drop_oldest(&mut self) {
        while self.firsts.len() > SEGMENTS {
            if let Some(first) = self.firsts.pop_front()
                && let Err(e) = fs::remove_file(path(&self.directory, first))
            {
                tracing::warn!(first, "old events cannot be removed: {e}");
            }
        }
    }

    /// The segment that has event `number`: its file and its first number.
    pub(super) fn holding(&self, number: u64) -> Option<(PathBuf, u64)> {
        let first = self.firsts.iter().rev().find(|first| **first <= number)?;
        Some((path(&self.directory, *first), *first))
    }

    /// All files, oldest first.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let paths = self.firsts.iter();
        paths.map(|first| path(&self.directory, *first)).collect()
    }

    /// What is written down that is not to be told again.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub(super) fn told(&self) -> io::Result<RecordedEnds> {
        let mut told = RecordedEnds::default();
        for path in self.paths() {
            let text = fs::read(path)?;
            entries(&text).for_each(|entry| told.add(&entry));
        }
        Ok(told)
    }
}

/// The events of whole lines.
pub(super) fn entries(text: &[u8]) -> impl DoubleEndedIterator<Item = LogEntry> + '_ {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
}

fn cut_short(entry: &mut LogEntry, bytes: usize) {
    entry.data = Some(json!({ "BytesLeftOut": bytes }));
    let texts = [
        &mut entry.system,
        &mut entry.runtime_id,
        &mut entry.operation,
    ];
    for text in texts.into_iter().flatten() {
        if let Some((end, _)) = text.char_indices().nth(MOST_TEXT) {
            text.truncate(end);
        }
    }
}

fn list(directory: &Path) -> io::Result<VecDeque<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        firsts.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts.into())
}

fn open_file(path: &Path) -> io::Result<File> {
    files::append(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(segments: &Segments) -> LogEntry {
        LogEntry {
            number: segments.next(),
            kind: "Test".to_owned(),
            ..LogEntry::default()
        }
    }

    fn numbers(segments: &Segments) -> Vec<u64> {
        let mut all = Vec::new();
        for first in &segments.firsts {
            let text = fs::read(path(&segments.directory, *first)).unwrap();
            let found: Vec<u64> = entries(&text).map(|entry| entry.number).collect();
            assert_eq!(
                found.first(),
                Some(first),
                "a segment has the name of its first"
            );
            all.extend(found);
        }
        all
    }

    #[test]
    fn numbers_go_on_and_the_oldest_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        for run in 0..40 {
            let (mut segments, last) = Segments::open(directory.path(), 16 * 300).unwrap();
            assert_eq!(segments.next(), run * 10 + 1);
            assert_eq!(last.map_or(0, |last| last.number), run * 10);
            for _ in 0..10 {
                let mut entry = entry(&segments);
                segments.append(&mut entry).unwrap();
            }
            let kept = numbers(&segments);
            assert_eq!(kept.first(), Some(&segments.first()));
            assert_eq!(kept.last(), Some(&(run * 10 + 10)));
            assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1));
            assert!(segments.firsts.len() <= SEGMENTS);
        }
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, SEGMENTS);
    }

    #[test]
    fn a_line_that_was_cut_off_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(directory.path(), 1 << 20).unwrap();
        for _ in 0..3 {
            let mut entry = entry(&segments);
            segments.append(&mut entry).unwrap();
        }
        let whole = segments.last_bytes;
        for cut in [whole - 1, whole - 5, 1, 0] {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(path(directory.path(), 1))
                .unwrap();
            file.set_len(cut).unwrap();
            let (mut segments, last) = Segments::open(directory.path(), 1 << 20).unwrap();
            let before = last.map_or(0, |last| last.number);
            assert_eq!(segments.next(), before + 1);
            let mut entry = entry(&segments);
            segments.append(&mut entry).unwrap();
            assert_eq!(numbers(&segments), (1..=before + 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_event_of_any_length_is_written_short() {
        let directory = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(directory.path(), 1 << 20).unwrap();
        let long = "\u{e4}".repeat(5 << 20);
        let mut told = LogEntry {
            system: Some(long.clone()),
            data: Some(json!({ "Said": long })),
            ..entry(&segments)
        };
        segments.append(&mut told).unwrap();
        assert!(told.data.unwrap()["BytesLeftOut"].as_u64() > Some(10 << 20));
        assert!(segments.last_bytes < MOST_BYTES as u64);
        assert_eq!(numbers(&segments), [1]);
    }

    #[test]
    fn the_failures_of_one_user_push_no_others_events_out() {
        let directory = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(directory.path(), 16 * 3000).unwrap();
        let mut told = entry(&segments);
        segments.append(&mut told).unwrap();
        let fail = |segments: &mut Segments, uid| {
            let mut one = entry(segments);
            segments.append_failure(uid, &mut one).unwrap()
        };
        let written = (0..10_000).filter(|_| fail(&mut segments, 1)).count();
        assert!((1..30).contains(&written), "{written}");
        assert_eq!(numbers(&segments).len(), written + 1);
        assert!(fail(&mut segments, 2), "another's are told");
        // In the next segment there is room again.
        while segments.firsts.len() == 1 {
            let mut one = entry(&segments);
            segments.append(&mut one).unwrap();
        }
        assert!(fail(&mut segments, 1));
    }

    #[test]
    fn an_event_that_cannot_be_written_takes_no_number() {
        let directory = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(directory.path(), 1 << 20).unwrap();
        let mut one = entry(&segments);
        segments.append(&mut one).unwrap();
        let writable = std::mem::replace(
            &mut segments.last,
            File::open(path(directory.path(), 1)).unwrap(),
        );
        segments.append(&mut one).unwrap_err();
        assert_eq!(segments.next(), 2);
        segments.last = writable;
        let mut two = entry(&segments);
        segments.append(&mut two).unwrap();
        assert_eq!(numbers(&segments), [1, 2]);
    }
}
