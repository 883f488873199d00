//! What the agent of the guest leaves for a service that comes after the machine's end
//! ([`hcs_wire::guest::LeftRecord`]).
//!
//! The agent dials [`hcs_wire::guest::LEFT_PORT`] and sends lines. Each is written into a file in the machine's
//! directory, which outlives the machine and its worker, and is then answered. A guest may send what it likes: what is
//! read at once, and what is written in all, is bounded. The service that reads the file trusts none of it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::FileExt as _, net::UnixStream},
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use hcs_wire::guest::MAX_LEFT_BYTES;

/// The most streams at a time, each of which has a thread. An agent has one, and another when that breaks.
const MOST_STREAMS: usize = 4;
/// What says that a line is written.
const WRITTEN: &[u8] = b"\n";

/// The file. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Left {
    written: Arc<Mutex<Written>>,
    /// The device and the worker's own thread, which must not wait for a disk, look at nothing else.
    now: Arc<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// How many streams there are.
    streams: AtomicUsize,
    /// How often the guest has started.
    start: AtomicU64,
    /// A thread is about to remove what former starts left.
    clearing: AtomicBool,
}

#[derive(Debug)]
struct Written {
    file: File,
    /// What is in it was left after this start of the guest.
    start: u64,
    /// How much is in it. It may be longer, and has zeros there.
    length: u64,
}

impl Left {
    /// What is left goes into `file`, in which nothing is yet.
    pub(super) fn new(file: File) -> Self {
        Self {
            written: Arc::new(Mutex::new(Written {
                file,
                start: 0,
                length: 0,
            })),
            now: Arc::default(),
        }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        // A line of which only a part is written is as none.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent has dialled: a stream for it. None while there are too many, or where there is no thread left.
    pub(super) fn dial(&self) -> Option<OwnedFd> {
        let (ours, theirs) = UnixStream::pair().ok()?;
        let served = Served::begin(self.clone())?;
        let thread = thread::Builder::new().name("left".to_owned());
        thread.spawn(move || served.serve(&ours)).ok()?;
        Some(theirs.into())
    }

    /// The guest starts again: the processes that its former agent knew are of no use, and their numbers are given
    /// again. What that agent still sends is not written any more.
    pub(super) fn restart(&self) {
        self.now.start.fetch_add(1, Ordering::SeqCst);
        if self.now.clearing.swap(true, Ordering::SeqCst) {
            return;
        }
        let left = self.clone();
        let clear = move || {
            let mut written = left.written();
            left.now.clearing.store(false, Ordering::SeqCst);
            written.begin(left.now.start.load(Ordering::SeqCst));
        };
        if thread::Builder::new().spawn(clear).is_err() {
            // The next line that is left does it.
            self.now.clearing.store(false, Ordering::SeqCst);
        }
    }

    /// Writes a line of the agent of this start of the guest; whether it is there.
    fn write(&self, line: &[u8], start: u64) -> bool {
        let mut written = self.written();
        if start != self.now.start.load(Ordering::SeqCst) {
            return false;
        }
        written.begin(start);
        written.append(line)
    }
}

impl Written {
    /// Removes what was left after another start.
    fn begin(&mut self, start: u64) {
        // What cannot be removed is followed by what the next agent leaves.
        if self.start != start && self.file.set_len(0).is_ok() {
            self.length = 0;
        }
        self.start = start;
    }

    fn append(&mut self, line: &[u8]) -> bool {
        let length = self.length + line.len() as u64;
        let has_room = length <= MAX_LEFT_BYTES as u64;
        let is_written = has_room && self.file.write_all_at(line, self.length).is_ok();
        if is_written {
            self.length = length;
        }
        is_written
    }
}

/// One stream of the agent of one start of the guest, counted until it is dropped.
#[derive(Debug)]
struct Served {
    left: Left,
    start: u64,
}

impl Served {
    fn begin(left: Left) -> Option<Self> {
        let more = |streams| (streams < MOST_STREAMS).then_some(streams + 1);
        let streams = &left.now.streams;
        let counted = streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let start = left.now.start.load(Ordering::SeqCst);
        counted.is_ok().then(|| Self { left, start })
    }

    /// Writes lines until the guest closes the stream, or one cannot be written.
    fn serve(&self, mut stream: &UnixStream) {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut lines)
                .take(MAX_LEFT_BYTES as u64)
                .read_until(b'\n', &mut line);
            let is_whole = read.is_ok() && line.ends_with(b"\n");
            let is_written = is_whole && self.left.write(&line, self.start);
            if !is_written || stream.write_all(WRITTEN).is_err() {
                return;
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.left.now.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hcs_wire::guest::LeftRecord;

    use super::*;

    fn record(code: u32) -> LeftRecord {
        LeftRecord {
            complete: true,
            exits: vec![(2, code)],
            ..LeftRecord::default()
        }
    }

    struct Place(tempfile::NamedTempFile, Left);

    impl Place {
        fn new() -> Self {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(4096).unwrap();
            let left = Left::new(file.reopen().unwrap());
            Self(file, left)
        }

        fn dial(&self) -> UnixStream {
            let stream = UnixStream::from(self.1.dial().unwrap());
            // Only so that a failure does not hang.
            let patience = Duration::from_secs(20);
            stream.set_read_timeout(Some(patience)).unwrap();
            stream
        }

        fn read(&self) -> LeftRecord {
            LeftRecord::read(&std::fs::read(self.0.path()).unwrap())
        }
    }

    /// Whether a line is answered.
    fn leave(mut stream: &UnixStream, line: &[u8]) -> bool {
        // A stream that is closed from the other end takes nothing.
        stream.write_all(line).is_ok() && stream.read_exact(&mut [0]).is_ok()
    }

    #[test]
    fn a_line_is_written_before_it_is_answered_and_the_last_one_counts() {
        let place = Place::new();
        let mut stream = place.dial();
        assert_eq!(place.read(), LeftRecord::default());
        let line = record(7).line();
        let (first, rest) = line.split_at(5);
        stream.write_all(first).unwrap();
        assert!(leave(&stream, rest));
        assert_eq!(place.read(), record(7));
        assert!(leave(&stream, &record(8).line()));
        assert_eq!(place.read(), record(8));
        // Another stream goes on behind that.
        assert!(leave(&place.dial(), &record(9).line()));
        assert_eq!(place.read(), record(9));
        // Half a line is none.
        let mut other = place.dial();
        other.write_all(first).unwrap();
        drop(other);
        assert!(leave(&place.dial(), &record(10).line()));
        assert_eq!(place.read(), record(10));
        // What the agent before a reset sends late is not written.
        let former = place.dial();
        place.1.restart();
        assert!(!leave(&former, &record(12).line()));
        while place.read() != LeftRecord::default() {
            thread::yield_now();
        }
        assert!(leave(&place.dial(), &record(11).line()));
        assert_eq!(place.read(), record(11));
    }

    #[test]
    fn a_guest_fills_neither_the_file_nor_the_worker() {
        let place = Place::new();
        let streams: Vec<_> = (0..MOST_STREAMS).map(|_| place.dial()).collect();
        assert!(place.1.dial().is_none());
        let mut junk = vec![b'x'; MAX_LEFT_BYTES / 2];
        junk.push(b'\n');
        assert!(leave(&streams[0], &record(7).line()));
        assert!(leave(&streams[0], &junk));
        assert!(!leave(&streams[0], &junk), "it is full");
        // A line that does not end.
        assert!(!leave(&streams[1], &vec![b'x'; MAX_LEFT_BYTES + 1]));
        assert!(place.0.path().metadata().unwrap().len() <= MAX_LEFT_BYTES as u64);
        assert_eq!(place.read(), record(7));
        drop(streams);
        // Their threads end.
        while place.1.dial().is_none() {
            thread::yield_now();
        }
    }
}
