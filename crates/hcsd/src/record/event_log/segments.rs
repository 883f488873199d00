//! The files of the event log.
//!
//! A segment is named after the number of its first event and has one line for each, without gaps: the number of an
//! event is that of its segment and the lines before it. An event that had to go before others of its segment has an
//! empty line ([`super::thinning`]). Only whole lines count. A line not written as a whole,
//! because the service was killed or the disk is full, is cut off before the next is written.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hcs_wire::{log::LogEntry, subordinate::holder};
use serde_json::json;

use super::{
    RecordedEnds,
    thinning::{Weights, without},
};
use crate::record::files;

/// How many segments the log is cut into.
const SEGMENTS: usize = 16;
/// Files, at most. Segments that events had to go from are small, so there may be more of them.
const MOST_FILES: usize = 512;
/// Segments that events are taken out of when another one is begun, so that this takes the service little time.
const MOST_THINNED: usize = 4;

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
    /// What is in the segments but the last one, by first number, as far as that was looked at.
    weights: HashMap<u64, Weights>,
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
        remove_temporary(directory)?;
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
            weights: HashMap::new(),
            failures: HashMap::new(),
            firsts,
        };
        segments.make_room();
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

    /// [`Segments::append`] for the failure of a call of the user `uid`. Returns whether it was written: the failures
    /// of a user have a share of each segment. A failure that is left out takes no number.
    ///
    /// # Errors
    /// As for that.
    pub(super) fn append_failure(&mut self, uid: u32, entry: &mut LogEntry) -> io::Result<bool> {
        let most = self.full / SHARES;
        let user = holder(uid);
        let share = self.failures.entry(user).or_default();
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
        self.failures.entry(user).or_default().bytes += bytes;
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
        self.make_room();
        Ok(())
    }

    /// Lets events go until the last segment may be filled: those of the users who have most of them, the oldest first.
    /// So a user of few systems and processes keeps theirs, in up to [`MOST_FILES`] segments, whatever others do.
    ///
    /// Few segments are thinned at one time; the next ones follow when another segment is begun. Until then there may
    /// be up to twice as much.
    fn make_room(&mut self) {
        let most = self.full * (SEGMENTS as u64 - 1);
        let mut thinned = 0;
        while self.firsts.len() > 1 {
            let has_many = self.firsts.len() > MOST_FILES;
            let may_thin = thinned < MOST_THINNED;
            let kept = if may_thin { most } else { 2 * most };
            if !has_many && self.closed_bytes() <= kept {
                return;
            }
            if !has_many && may_thin && self.thin(most) {
                thinned += 1;
            } else {
                self.drop_oldest();
            }
        }
    }

    /// Bytes of all segments but the last.
    fn closed_bytes(&self) -> u64 {
        let closed = self.firsts.iter().rev().skip(1);
        let bytes = |first: &u64| match self.weights.get(first) {
            Some(weights) => weights.bytes(),
            // One that cannot be looked at takes no room that could be had.
            None => fs::metadata(path(&self.directory, *first)).map_or(0, |about| about.len()),
        };
        closed.map(bytes).sum()
    }

    /// Takes events of users who have more than their share of `most` bytes out of the oldest segment that has any.
    /// Answers false where the oldest segment is to go as a whole: none of another user is in it, or the other one
    /// cannot be written.
    fn thin(&mut self, most: u64) -> bool {
        let closed: Vec<u64> = self.firsts.iter().rev().skip(1).rev().copied().collect();
        for first in &closed {
            let file = path(&self.directory, *first);
            let weigh = || Weights::of(&fs::read(file).unwrap_or_default());
            self.weights.entry(*first).or_insert_with(weigh);
        }
        let all = || closed.iter().map(|first| (*first, &self.weights[first]));
        let heavy = Weights::heavy(all().map(|(_, weights)| weights), most);
        if all()
            .next()
            .is_none_or(|(_, oldest)| oldest.is_of_no_other(&heavy))
        {
            return false;
        }
        let has_any = |weights: &Weights| heavy.iter().any(|user| weights.of_user(*user) > 0);
        let Some((first, weights)) = all().find(|(_, weights)| has_any(weights)) else {
            return false;
        };
        // The heaviest users first, and no more of them than it takes.
        let (mut missing, mut gone) = (self.closed_bytes().saturating_sub(most), HashSet::new());
        for user in heavy {
            let bytes = weights.of_user(user);
            if bytes > 0 && (missing > 0 || gone.is_empty()) {
                missing = missing.saturating_sub(bytes);
                gone.insert(user);
            }
        }
        let rewritten = self.rewrite(first, &gone);
        if let Err(e) = &rewritten {
            tracing::warn!(first, "old events cannot be taken out of their file: {e}");
        }
        rewritten.is_ok()
    }

    /// Takes the events of some users out of a segment.
    fn rewrite(&mut self, first: u64, users: &HashSet<u32>) -> io::Result<()> {
        let file = path(&self.directory, first);
        let text = without(&fs::read(&file)?, first, users)?;
        files::replace(&file, &text)?;
        if let Some(weights) = self.weights.get_mut(&first) {
            *weights = weights.thinned(users, &text);
        }
        Ok(())
    }

    fn drop_oldest(&mut self) {
        let Some(first) = self.firsts.pop_front() else {
            return;
        };
        self.weights.remove(&first);
        if let Err(e) = fs::remove_file(path(&self.directory, first)) {
            tracing::warn!(first, "old events cannot be removed: {e}");
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

/// Removes what a service has left that was killed while it took events out of a segment.
fn remove_temporary(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "new") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
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
    use super::{super::Kind, *};

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
            assert!(segments.closed_bytes() + segments.last_bytes <= 16 * 300);
        }
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert!((SEGMENTS..SEGMENTS + 8).contains(&files), "{files}");
    }

    fn append_of(segments: &mut Segments, user: u32) -> u64 {
        let mut one = LogEntry {
            user_id: Some(user),
            ..entry(segments)
        };
        segments.append(&mut one).unwrap();
        one.number
    }

    /// The events of a user that are kept, and how many are told to be left out.
    fn kept_of(segments: &Segments, user: u32) -> (Vec<u64>, u64) {
        let texts = segments.paths().into_iter();
        let all = texts.flat_map(|path| entries(&fs::read(path).unwrap()).collect::<Vec<_>>());
        let (mut own, mut left_out) = (Vec::new(), 0);
        for entry in all {
            match entry.user_id {
                Some(of) if of == user => own.push(entry.number),
                None if entry.kind == Kind::EventsLeftOut.name() => {
                    left_out += entry.data.unwrap()["Count"].as_u64().unwrap();
                }
                _ => {}
            }
        }
        (own, left_out)
    }

    #[test]
    fn the_events_of_one_user_push_no_others_events_out() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = 16 * 3000;
        let (mut segments, _) = Segments::open(directory.path(), bytes).unwrap();
        let mut quiet = Vec::new();
        for round in 0..5000 {
            if round % 250 == 10 {
                quiet.push(append_of(&mut segments, 2));
            }
            append_of(&mut segments, 1);
        }
        assert_eq!(kept_of(&segments, 2).0, quiet);
        assert!(segments.closed_bytes() <= bytes as u64);
        let (loud, left_out) = kept_of(&segments, 1);
        // Nothing is left out silently behind the first event that is kept, and the newest are there.
        let (own, there) = (loud.len() + quiet.len(), segments.next() - segments.first());
        assert_eq!(own as u64 + left_out, there);
        assert_eq!(loud.last(), Some(&(segments.next() - 1)));
        assert!(loud.len() > 150, "{}", loud.len());
        // The next service goes on so.
        drop(segments);
        let (mut segments, _) = Segments::open(directory.path(), bytes).unwrap();
        for _ in 0..1000 {
            append_of(&mut segments, 1);
        }
        assert_eq!(kept_of(&segments, 2).0, quiet);
    }

    #[test]
    fn the_events_of_many_users_push_no_others_events_out() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = 16 * 12_000;
        let (mut segments, _) = Segments::open(directory.path(), bytes).unwrap();
        let mut quiet = Vec::new();
        for round in 0..10_000_u32 {
            if round % 1000 == 10 {
                quiet.push(append_of(&mut segments, 2));
            }
            append_of(&mut segments, 100 + round % 16);
        }
        assert_eq!(kept_of(&segments, 2).0, quiet);
        let most = segments.full * (SEGMENTS as u64 - 1);
        assert!(segments.closed_bytes() <= 2 * most);
        for user in 100..116 {
            let (own, _) = kept_of(&segments, user);
            assert!(own.last().unwrap() + 32 > segments.next());
        }
    }

    #[test]
    fn what_a_killed_service_was_writing_anew_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let temporary = path(directory.path(), 1).with_extension("new");
        fs::write(&temporary, "{").unwrap();
        let (segments, _) = Segments::open(directory.path(), 1 << 20).unwrap();
        assert!(!temporary.exists());
        assert_eq!(segments.next(), 1);
    }

    #[test]
    fn a_user_who_is_alone_in_the_log_has_all_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let (mut segments, _) = Segments::open(directory.path(), 16 * 3000).unwrap();
        for _ in 0..5000 {
            append_of(&mut segments, 1);
        }
        let (own, left_out) = kept_of(&segments, 1);
        assert_eq!((own[0], left_out), (segments.first(), 0));
        assert_eq!(own.len() as u64, segments.next() - segments.first());
        assert!(own.len() > 500, "{}", own.len());
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
