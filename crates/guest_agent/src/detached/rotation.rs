//! Where in the files of a log is what: a few files of limited size, of which the oldest is emptied for the newest.
//! Pure.
//!
//! The log is a row of numbered segments; segment N is in file N modulo the number of files. A record is in one
//! segment.

use std::collections::VecDeque;

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    segment: u64,
    offset: u64,
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Where the next record begins.
    pub(super) place: Place,
    /// Bytes of output before it, those that are missing included.
    byte: u64,
    /// Ends of lines before it.
    pub(super) line: u64,
}

/// What a segment holds, and what came before it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Bytes of records.
    size: u64,
    /// Bytes of output before its first record.
    byte: u64,
    /// Ends of lines before it.
    line: u64,
}

/// Where a record is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Which file.
    pub(super) file: usize,
    /// Where in it.
    pub(super) offset: u64,
    /// The file has to be emptied first.
    pub(super) empty: bool,
}

/// What there is at a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Records, within so many bytes of the file.
    Records {
        /// Which file.
        file: usize,
        /// Where in it.
        offset: u64,
        /// Up to where.
        size: u64,
    },
    /// So many bytes of output were rotated away; the cursor has been moved behind them.
    Lost(u64),
    /// Nothing yet.
    End,
}

/// The segments that are kept.
#[derive(Debug)]
pub(super) struct Rotation {
    files: usize,
    /// The most bytes of a file.
    limit: u64,
    /// Oldest first; the last one is being written. Never empty.
    segments: VecDeque<Segment>,
    /// The number of the oldest.
    first: u64,
    /// Bytes of output so far, those that are missing included.
    byte: u64,
    /// Ends of lines so far.
    line: u64,
    /// Whether the last line has no end yet.
    open_line: bool,
}

impl Rotation {
    /// Nothing yet, in `files` files of at most `limit` bytes.
    pub(super) fn new(files: usize, limit: u64) -> Self {
        let segment = Segment {
            size: 0,
            byte: 0,
            line: 0,
        };
        Self {
            files: files.max(1),
            limit,
            segments: VecDeque::from([segment]),
            first: 0,
            byte: 0,
            line: 0,
            open_line: false,
        }
    }

    /// Where a record of `size` bytes goes. It belongs to the log once it is said to be [`Rotation::wrote`].
    pub(super) fn room(&mut self, size: u64) -> Room {
        let mut empty = false;
        let offset = self.size();
        let fits = offset.saturating_add(size) <= self.limit || offset == 0;
        if !fits {
            self.segments.push_back(Segment {
                size: 0,
                byte: self.byte,
                line: self.line,
            });
            if self.segments.len() > self.files {
                self.segments.pop_front();
                self.first += 1;
            }
            empty = true;
        }
        Room {
            file: self.file(self.newest()),
            offset: self.size(),
            empty,
        }
    }

    /// A record of `size` bytes was written where there was room for it, with this output in it.
    pub(super) fn wrote(&mut self, size: u64, content: &[u8]) {
        if let Some(segment) = self.segments.back_mut() {
            segment.size += size;
        }
        self.byte += content.len() as u64;
        self.line += ends_of_lines(content);
        if let Some(last) = content.last() {
            self.open_line = *last != b'\n';
        }
    }

    /// So many bytes of output could not be written.
    pub(super) const fn missed(&mut self, count: u64) {
        self.byte += count;
    }

    /// Bytes in the newest segment.
    fn size(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.size)
    }

    fn newest(&self) -> u64 {
        self.first + self.segments.len() as u64 - 1
    }

    fn file(&self, segment: u64) -> usize {
        usize::try_from(segment % self.files as u64).unwrap_or_default()
    }

    /// The end of the log.
    pub(super) fn end(&self) -> Place {
        Place {
            segment: self.newest(),
            offset: self.size(),
        }
    }

    /// A cursor for the last `tail` lines, and how many ends of lines are before them; without `tail` for everything.
    /// The cursor may be before them.
    pub(super) fn begin(&self, tail: Option<u64>) -> (Cursor, u64) {
        let lines = self.line + u64::from(self.open_line);
        let before = tail.map_or(0, |tail| lines.saturating_sub(tail));
        if tail == Some(0) {
            let end = Cursor {
                place: self.end(),
                byte: self.byte,
                line: self.line,
            };
            return (end, 0);
        }
        // The end of line number `before` may be in a segment that begins with that line.
        let index = self.segments.iter().rposition(|s| s.line < before);
        (self.at(index.unwrap_or(0)), before)
    }

    /// The beginning of a segment.
    fn at(&self, index: usize) -> Cursor {
        let segment = self.segments.get(index).copied();
        Cursor {
            place: Place {
                segment: self.first + index as u64,
                offset: 0,
            },
            byte: segment.map_or(self.byte, |segment| segment.byte),
            line: segment.map_or(self.line, |segment| segment.line),
        }
    }

    /// What there is at `cursor`.
    pub(super) fn look(&self, cursor: &mut Cursor) -> Found {
        loop {
            let Place { segment, offset } = cursor.place;
            let Some(index) = segment.checked_sub(self.first) else {
                return Found::Lost(self.go_to(cursor, 0));
            };
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let size = self.segments.get(index).map_or(0, |segment| segment.size);
            if offset < size {
                let file = self.file(segment);
                return Found::Records { file, offset, size };
            }
            if segment >= self.newest() {
                return Found::End;
            }
            cursor.place = Place {
                segment: segment + 1,
                offset: 0,
            };
        }
    }

    /// Leaves the segment of `cursor`, which cannot be read; returns how many bytes of output that leaves out.
    pub(super) fn leave_segment(&self, cursor: &mut Cursor) -> u64 {
        let next = (cursor.place.segment + 1).saturating_sub(self.first);
        let next = usize::try_from(next).unwrap_or(usize::MAX);
        if next < self.segments.len() {
            return self.go_to(cursor, next);
        }
        let left_out = self.byte.saturating_sub(cursor.byte);
        *cursor = Cursor {
            place: self.end(),
            byte: self.byte,
            line: self.line,
        };
        left_out
    }

    /// Moves `cursor` on to the beginning of a segment; returns how many bytes of output that leaves out.
    fn go_to(&self, cursor: &mut Cursor, index: usize) -> u64 {
        let before = cursor.byte;
        *cursor = self.at(index);
        cursor.byte.saturating_sub(before)
    }
}

impl Cursor {
    /// A record of `size` bytes was read, with this output in it.
    pub(super) fn read(&mut self, size: u64, content: &[u8]) {
        self.place.offset += size;
        self.byte += content.len() as u64;
        self.line += ends_of_lines(content);
    }

    /// A record of `size` bytes was read that says that so many bytes are missing.
    pub(super) const fn read_lost(&mut self, size: u64, missing: u64) {
        self.place.offset += size;
        self.byte = self.byte.saturating_add(missing);
    }
}

/// How many lines end in `content`.
fn ends_of_lines(content: &[u8]) -> u64 {
    content.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Where in `content` the line begins before which `count` lines end; `None` when it does not begin in it.
pub(super) fn after_lines(content: &[u8], count: u64) -> Option<usize> {
    let Some(count) = count.checked_sub(1) else {
        return Some(0);
    };
    let mut ends = content
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n');
    let nth = ends.nth(usize::try_from(count).unwrap_or(usize::MAX));
    nth.map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_take_turns_and_none_grows_beyond_its_limit() {
        let mut rotation = Rotation::new(2, 100);
        let mut files = Vec::new();
        for _ in 0..7 {
            let room = rotation.room(40);
            rotation.wrote(40, b"x\n");
            files.push((room.file, room.offset, room.empty));
        }
        assert_eq!(
            files,
            [
                (0, 0, false),
                (0, 40, false),
                (1, 0, true),
                (1, 40, false),
                (0, 0, true),
                (0, 40, false),
                (1, 0, true)
            ]
        );
        let (mut cursor, _) = rotation.begin(None);
        let found = rotation.look(&mut cursor);
        let records = Found::Records {
            file: 0,
            offset: 0,
            size: 80,
        };
        assert_eq!((found, cursor.line), (records, 4));
    }

    #[test]
    fn a_reader_that_is_overtaken_learns_how_much_it_missed() {
        let mut rotation = Rotation::new(2, 50);
        let (mut cursor, _) = rotation.begin(None);
        for _ in 0..5 {
            rotation.room(50);
            rotation.wrote(50, b"12345");
        }
        assert_eq!(rotation.look(&mut cursor), Found::Lost(15));
        assert!(matches!(rotation.look(&mut cursor), Found::Records { .. }));
        assert_eq!(rotation.leave_segment(&mut cursor), 5);
        assert_eq!(rotation.leave_segment(&mut cursor), 5);
        assert_eq!(rotation.look(&mut cursor), Found::End);
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(after_lines(b"a\nb\nc", 0), Some(0));
        assert_eq!(after_lines(b"a\nb\nc", 2), Some(4));
        assert_eq!(after_lines(b"a\nb\n", 2), Some(4));
        assert_eq!(after_lines(b"a\nb\nc", 3), None);
    }
}
