//! The host's end of a serial port: a socket that one reader at a time connects to.
//!
//! What the guest writes while no reader is there is kept up to a limit; the oldest goes first. So the guest never
//! waits for a reader to come. One that is there and reads slowly is waited for where the port carries data, so that
//! nothing is lost; a console waits for no reader.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SocketFlags, accept_with},
};

/// How much of what the guest wrote is kept, in bytes.
const KEPT: usize = 256 << 10;
/// How much of what a reader wrote waits for the guest, in bytes.
const WAITING: usize = 4096;
/// How often one call reads or writes before it leaves the others their turn.
const ROUNDS: usize = 32;

/// A serial port.
#[derive(Debug)]
pub(super) struct SerialLine {
    /// QEMU's end; none after it has closed it.
    guest: Option<UnixStream>,
    listener: OwnedFd,
    reader: Option<UnixStream>,
    /// Whether the guest waits while the reader that is there is behind.
    waits_for_reader: bool,
    /// Whether the reader will write no more.
    only_reads: bool,
    /// For the reader.
    kept: VecDeque<u8>,
    /// For the guest.
    waiting: VecDeque<u8>,
}

impl SerialLine {
    /// One of two sockets that do not block; whether its guest waits for a slow reader.
    pub(super) fn new(guest: UnixStream, listener: OwnedFd, waits_for_reader: bool) -> Self {
        Self {
            guest: Some(guest),
            listener,
            reader: None,
            waits_for_reader,
            only_reads: false,
            kept: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The descriptors to be polled, and for what.
    pub(super) fn polled(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let writable = |waits: bool| match waits {
            true => PollFlags::OUT,
            false => PollFlags::empty(),
        };
        let guest = self.guest.as_ref().and_then(|guest| {
            let readable = match self.is_full() {
                true => PollFlags::empty(),
                false => PollFlags::IN,
            };
            let flags = readable | writable(!self.waiting.is_empty());
            // Polled for nothing it would be ready when QEMU has closed it, which is not looked at while it is full.
            (!flags.is_empty()).then_some((guest.as_fd(), flags))
        });
        let reader = self.reader.as_ref().and_then(|reader| {
            let readable = match self.waiting.len() < WAITING && !self.only_reads {
                true => PollFlags::IN,
                false => PollFlags::empty(),
            };
            let flags = readable | writable(!self.kept.is_empty());
            // Polled for nothing it would be ready when it has left, which is not looked at while the guest is behind.
            (self.only_reads || !flags.is_empty()).then_some((reader.as_fd(), flags))
        });
        // The next reader has to wait for its turn.
        let listener = self
            .reader
            .is_none()
            .then_some((self.listener.as_fd(), PollFlags::IN));
        guest.into_iter().chain(reader).chain(listener)
    }

    /// Whether the guest has to wait for the reader.
    fn is_full(&self) -> bool {
        self.holds_back() && self.kept.len() >= KEPT
    }

    /// Whether nothing that the guest writes may be lost now.
    const fn holds_back(&self) -> bool {
        self.waits_for_reader && self.reader.is_some()
    }

    /// Does what can be done without waiting.
    pub(super) fn work(&mut self) {
        self.read_guest();
        if self.reader.is_none() {
            self.accept();
        }
        self.read_reader();
        self.write_reader();
        self.write_guest();
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // A reader that has left again is none.
        self.reader = accept_with(&self.listener, flags)
            .ok()
            .map(UnixStream::from);
        self.only_reads = false;
    }

    /// Whether the guest had written something.
    fn read_guest(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let mut has_read = false;
        for _ in 0..ROUNDS {
            if self.is_full() {
                break;
            }
            let Some(guest) = &mut self.guest else { break };
            match guest.read(&mut buffer) {
                Ok(0) => self.guest = None,
                Ok(read) => {
                    has_read = true;
                    self.kept.extend(&buffer[..read]);
                    if !self.holds_back() {
                        let over = self.kept.len().saturating_sub(KEPT);
                        self.kept.drain(..over);
                    }
                }
                Err(e) if is_for_later(&e) => break,
                Err(_) => self.guest = None,
            }
        }
        has_read
    }

    fn read_reader(&mut self) {
        let mut buffer = [0; 1024];
        while self.waiting.len() < WAITING {
            let Some(reader) = &mut self.reader else {
                return;
            };
            match reader.read(&mut buffer) {
                Ok(read) if read > 0 => self.waiting.extend(&buffer[..read]),
                Ok(_) if !has_left(reader) => {
                    self.only_reads = true;
                    return;
                }
                Err(e) if is_for_later(&e) => return,
                // What it has not read is for the next.
                Ok(_) | Err(_) => self.reader = None,
            }
        }
    }

    fn write_reader(&mut self) {
        for _ in 0..ROUNDS {
            let Some(reader) = &mut self.reader else {
                return;
            };
            let (first, _) = self.kept.as_slices();
            if first.is_empty() {
                return;
            }
            match reader.write(first) {
                Ok(written) => drop(self.kept.drain(..written)),
                Err(e) if is_for_later(&e) => return,
                Err(_) => self.reader = None,
            }
        }
    }

    fn write_guest(&mut self) {
        for _ in 0..ROUNDS {
            let Some(guest) = &mut self.guest else { return };
            let (first, _) = self.waiting.as_slices();
            if first.is_empty() {
                return;
            }
            match guest.write(first) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(e) if is_for_later(&e) => return,
                Err(_) => self.guest = None,
            }
        }
    }

    /// After the end of QEMU: passes on what it wrote last, as far as the reader takes that without waiting.
    pub(super) fn finish(&mut self) {
        while self.guest.is_some() {
            // One that waits for room gets it first.
            self.write_reader();
            if !self.read_guest() {
                break;
            }
        }
        self.work();
    }
}

/// Whether the other end of a socket is closed, and not only shut for writing.
fn has_left(socket: &UnixStream) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    let looked = poll(&mut polled, Some(&Timespec::default()));
    looked.is_err() || polled[0].revents().contains(PollFlags::HUP)
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd as _, unix::net::UnixListener};

    use super::*;

    struct Made {
        port: SerialLine,
        guest: UnixStream,
        place: tempfile::TempDir,
    }

    fn made() -> Made {
        made_with(false)
    }

    fn made_with(waits_for_reader: bool) -> Made {
        let (ours, guest) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let place = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(place.path().join("com")).unwrap();
        listener.set_nonblocking(true).unwrap();
        Made {
            port: SerialLine::new(ours, listener.into(), waits_for_reader),
            guest,
            place,
        }
    }

    impl Made {
        fn reader(&self) -> UnixStream {
            UnixStream::connect(self.place.path().join("com")).unwrap()
        }
    }

    fn read(stream: &mut UnixStream, length: usize) -> String {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn readers_come_one_after_the_other_and_miss_nothing() {
        let mut made = made();
        made.guest.write_all(b"before").unwrap();
        made.port.work();
        let mut first = made.reader();
        let mut second = made.reader();
        second.write_all(b"2").unwrap();
        first.write_all(b"1").unwrap();
        made.port.work();
        assert_eq!(read(&mut first, 6), "before");
        assert_eq!(read(&mut made.guest, 1), "1");
        drop(first);
        made.port.work();
        made.guest.write_all(b"between").unwrap();
        made.port.work();
        made.port.work();
        assert_eq!(read(&mut second, 7), "between");
        assert_eq!(read(&mut made.guest, 1), "2");
    }

    #[test]
    fn a_reader_that_writes_nothing_still_reads() {
        let mut made = made();
        let mut reader = made.reader();
        reader.shutdown(std::net::Shutdown::Write).unwrap();
        made.port.work();
        made.guest.write_all(b"said").unwrap();
        made.port.work();
        assert_eq!(read(&mut reader, 4), "said");
        drop(reader);
        made.port.work();
        assert!(made.port.reader.is_none());
    }

    #[test]
    fn what_is_not_read_is_kept_within_a_limit() {
        let mut made = made();
        for _ in 0..3 * KEPT / 4096 {
            made.guest.write_all(&[b'a'; 4096]).unwrap();
            made.port.work();
        }
        made.guest.write_all(b"end").unwrap();
        made.port.work();
        assert_eq!(made.port.kept.len(), KEPT);
        let mut reader = made.reader();
        let mut text = String::new();
        while text.len() < KEPT {
            made.port.work();
            text.push_str(&read(&mut reader, 1024));
        }
        assert!(text.ends_with("aend"));
    }

    #[test]
    fn a_port_of_data_waits_for_a_reader_that_is_there_and_loses_nothing() {
        const LENGTH: usize = 8 * KEPT;
        let mut made = made_with(true);
        let mut reader = made.reader();
        reader.set_nonblocking(true).unwrap();
        made.guest.set_nonblocking(true).unwrap();
        made.port.work();
        let data: Vec<u8> = (0..LENGTH)
            .map(|at| u8::try_from(at / 1000 % 256).unwrap())
            .collect();
        let mut written = 0;
        let write = |made: &mut Made, written: &mut usize| {
            made.port.work();
            let more = made.guest.write(&data[*written..]).unwrap_or_default();
            *written += more;
            more
        };
        while write(&mut made, &mut written) > 0 {}
        assert!(written < LENGTH, "the guest has to wait");
        assert!(made.port.is_full() && made.port.kept.len() < KEPT + 4096);
        let guest = made.port.guest.as_ref().unwrap().as_fd();
        let is_guest = |(polled, _): (BorrowedFd<'_>, _)| polled.as_raw_fd() == guest.as_raw_fd();
        assert!(!made.port.polled().any(is_guest), "it would not wait");
        let mut got: Vec<u8> = Vec::new();
        while got.len() < LENGTH {
            write(&mut made, &mut written);
            let mut buffer = [0; 8192];
            let read = reader.read(&mut buffer).unwrap_or_default();
            got.extend(&buffer[..read]);
        }
        assert!(got == data);
        // Without a reader nothing is waited for.
        drop(reader);
        made.guest.set_nonblocking(false).unwrap();
        for _ in 0..2 * KEPT / 4096 {
            made.guest.write_all(&[b'a'; 4096]).unwrap();
            made.port.work();
        }
        assert_eq!(made.port.kept.len(), KEPT);
    }

    #[test]
    fn a_guest_that_reads_nothing_is_not_flooded() {
        let mut made = made();
        let mut reader = made.reader();
        reader.set_nonblocking(true).unwrap();
        let mut sent = 0;
        for _ in 0..2000 {
            made.port.work();
            sent += reader.write(&[b'x'; 1024]).unwrap_or_default();
        }
        assert!(made.port.waiting.len() < WAITING + 1024);
        assert!(sent < 2000 * 1024, "the reader has to wait as well");
    }

    #[test]
    fn last_words_are_passed_on() {
        let mut made = made();
        let mut reader = made.reader();
        made.port.work();
        made.guest.write_all(b"panic").unwrap();
        drop(made.guest);
        made.port.finish();
        drop(made.port);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "panic");
    }
}
