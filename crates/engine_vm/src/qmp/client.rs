//! A connection to QEMU.
//!
//! One thread uses it. Events that come while a command waits for its answer are kept in order.

use std::{
    collections::VecDeque,
    io::{self, Read as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use hcs_wire::errno::IN_FLIGHT;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use serde_json::{Value, json};

use super::{
    command::{Command, QmpCapabilities},
    lines::{Lines, TooLong},
    message::{self, Event, Message, Version},
};

/// Events that are kept until they are taken; a machine has no use for as many.
const MOST_EVENTS: usize = 64;

/// Bytes that are read before what they say is looked at.
const AT_ONCE: usize = 256 << 10;

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QmpError {
    /// QEMU closed the connection.
    #[error("QEMU closed its monitor")]
    Closed,
    /// The connection cannot be used.
    #[error("QEMU's monitor cannot be reached")]
    Io(#[source] io::Error),
    /// No file can be sent along with the command now. The connection can be used further.
    #[error("QEMU cannot be given a file: {}", IN_FLIGHT)]
    InFlight,
    /// No answer came in time.
    #[error("QEMU has not answered {0:?} in time")]
    Late(&'static str),
    /// QEMU refused the command.
    #[error("QEMU refused {0:?}: {1}")]
    Refused(&'static str, String),
    /// QEMU breaks the protocol.
    #[error("QEMU sent {0}")]
    Malformed(&'static str),
    /// An answer is too long, and was skipped. The connection can be used further.
    #[error("QEMU sent a longer answer than any machine needs")]
    TooLong,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    socket: UnixStream,
    lines: Lines,
    events: VecDeque<Event>,
    last_id: u64,
}

impl Client {
    /// Greets: waits for QEMU's greeting and ends the negotiation, at most for `limit`. Returns QEMU's version as well.
    ///
    /// # Errors
    /// QEMU ended, was late, or broke the protocol.
    pub(crate) fn greet(socket: UnixStream, limit: Duration) -> Result<(Self, Version), QmpError> {
        socket.set_nonblocking(true).map_err(QmpError::Io)?;
        let mut client = Self {
            socket,
            lines: Lines::default(),
            events: VecDeque::new(),
            last_id: 0,
        };
        let deadline = Instant::now() + limit;
        let version = loop {
            match client.message("greeting", deadline)? {
                Message::Greeting(version) => break version,
                Message::Event(event) => client.keep(event),
                _ => return Err(QmpError::Malformed("something else than its greeting")),
            }
        };
        client.execute(&QmpCapabilities, limit)?;
        Ok((client, version))
    }

    /// Executes a command and waits for its answer, at most for `limit`.
    ///
    /// # Errors
    /// QEMU refused it, ended, was late, or broke the protocol.
    pub(crate) fn execute<C: Command>(
        &mut self,
        command: &C,
        limit: Duration,
    ) -> Result<C::Return, QmpError> {
        let deadline = Instant::now() + limit;
        self.last_id += 1;
        let id = self.last_id;
        let mut line = json!({ "execute": C::NAME, "id": id });
        if let Some(arguments) = command.arguments() {
            line["arguments"] = arguments;
        }
        let line = format!("{line}\n");
        self.send(C::NAME, line.as_bytes(), command.descriptor(), deadline)?;
        loop {
            match self.message(C::NAME, deadline)? {
                Message::Return(answered, value) if answered == Some(id) => {
                    return read(value);
                }
                Message::Refusal(answered, why) if answered == Some(id) => {
                    return Err(QmpError::Refused(C::NAME, why));
                }
                // The answer to a command that was given up.
                Message::Return(Some(old), _) | Message::Refusal(Some(old), _) if old < id => {}
                Message::Event(event) => self.keep(event),
                _ => return Err(QmpError::Malformed("an answer to no command")),
            }
        }
    }

    /// Reads what is there without waiting. To be called when [`Client::descriptor`] is readable.
    ///
    /// # Errors
    /// QEMU ended or broke the protocol.
    pub(crate) fn read_events(&mut self) -> Result<(), QmpError> {
        // What came before the end may still lie in the buffer.
        let filled = self.fill();
        loop {
            match self.next_message() {
                Ok(None) => return filled,
                Ok(Some(Message::Event(event))) => self.keep(event),
                // The answer to a command that was given up.
                Ok(Some(Message::Return(Some(_), _) | Message::Refusal(Some(_), _)))
                | Err(QmpError::TooLong) => {}
                Ok(Some(_)) => return Err(QmpError::Malformed("an answer to no command")),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for `event`, which may have come already, at most for `limit`. Takes it.
    ///
    /// # Errors
    /// QEMU ended, was late, or broke the protocol.
    pub(crate) fn wait_for(
        &mut self,
        event: &Event,
        step: &'static str,
        limit: Duration,
    ) -> Result<(), QmpError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(index) = self.events.iter().position(|known| known == event) {
                self.events.remove(index);
                return Ok(());
            }
            match self.message(step, deadline)? {
                Message::Event(event) => self.keep(event),
                // The answer to a command that was given up.
                Message::Return(Some(_), _) | Message::Refusal(Some(_), _) => {}
                _ => return Err(QmpError::Malformed("an answer to no command")),
            }
        }
    }

    /// Takes the oldest event.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Readable when QEMU has said something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn keep(&mut self, event: Event) {
        if event == Event::Other {
            return;
        }
        if self.events.len() == MOST_EVENTS {
            // The last ones say how the machine ended.
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn send(
        &mut self,
        step: &'static str,
        bytes: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
        deadline: Instant,
    ) -> Result<(), QmpError> {
        let (mut rest, mut given) = (bytes, descriptor);
        while !rest.is_empty() {
            match hcs_wire::socket::send(&self.socket, rest, given.as_slice()) {
                // The descriptor went with the first byte.
                Ok(sent) => (rest, given) = (&rest[sent..], None),
                Err(Errno::AGAIN) => self.wait(step, PollFlags::OUT, deadline)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Err(QmpError::Closed),
                Err(Errno::TOOMANYREFS) => return Err(QmpError::InFlight),
                Err(e) => return Err(QmpError::Io(e.into())),
            }
        }
        Ok(())
    }

    /// The next message, as soon as it is there.
    fn message(&mut self, step: &'static str, deadline: Instant) -> Result<Message, QmpError> {
        loop {
            if let Some(message) = self.next_message()? {
                return Ok(message);
            }
            self.wait(step, PollFlags::IN, deadline)?;
            self.fill()?;
        }
    }

    fn next_message(&mut self) -> Result<Option<Message>, QmpError> {
        let line = self.lines.next();
        let line = line.map_err(|TooLong| QmpError::TooLong)?;
        let parsed = line.map(message::parse).transpose();
        parsed.map_err(|_| QmpError::Malformed("a line that is no message"))
    }

    /// Reads what is there, up to a bound.
    fn fill(&mut self) -> Result<(), QmpError> {
        let mut buffer = [0; 4096];
        let mut filled = 0;
        while filled < AT_ONCE {
            match self.socket.read(&mut buffer) {
                Ok(0) if filled == 0 => return Err(QmpError::Closed),
                Ok(0) => break,
                Ok(read) => {
                    self.lines.push(&buffer[..read]);
                    filled += read;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(QmpError::Closed);
                }
                Err(e) => return Err(QmpError::Io(e)),
            }
        }
        Ok(())
    }

    fn wait(
        &self,
        step: &'static str,
        flags: PollFlags,
        deadline: Instant,
    ) -> Result<(), QmpError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(QmpError::Late(step));
            }
            let left = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.socket, flags)], left.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(QmpError::Io(e.into())),
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, QmpError> {
    serde_json::from_value(value).map_err(|_| QmpError::Malformed("an answer of another form"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        thread,
    };

    use super::*;
    use crate::qmp::{
        ShutdownReason,
        command::{Cont, QueryNamedBlockNodes, QueryStatus, Stop},
        lines::LONGEST,
    };

    const LIMIT: Duration = Duration::from_secs(20);
    const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}"#;

    /// A connection whose other end greets and then answers each command with the next of `answers`, in which `ID` is
    /// the command's number; then it closes.
    fn connect(answers: &'static [&'static str]) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            writeln!(writer, "{GREETING}").unwrap();
            let commands = BufReader::new(theirs).lines();
            let greeted = [r#"{"return": {}, "id": ID}"#];
            for (answer, command) in greeted.iter().chain(answers).zip(commands) {
                let command: Value = serde_json::from_str(&command.unwrap()).unwrap();
                let answer = answer.replace("ID", &command["id"].to_string());
                writer.write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
        });
        Client::greet(ours, LIMIT).unwrap().0
    }

    #[test]
    fn events_between_a_command_and_its_answer_are_kept() {
        let mut client = connect(&[concat!(
            "{\"event\": \"RESUME\"}\n",
            "{\"event\": \"RESET\", \"data\": {}}\n",
            "{\"return\": {\"running\": true, \"status\": \"running\", \"singlestep\": false}, \"id\": ID}\n",
            "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-shutdown\"}}",
        )]);
        let status = client.execute(&QueryStatus, LIMIT).unwrap();
        assert_eq!((status.running, &*status.status), (true, "running"));
        assert_eq!(client.next_event(), Some(Event::Reset));
        loop {
            match client.read_events() {
                Ok(()) => {}
                Err(QmpError::Closed) => break,
                Err(e) => panic!("{e}"),
            }
        }
        let last = Event::Shutdown(ShutdownReason::GuestShutdown);
        assert_eq!(client.next_event(), Some(last));
    }

    #[test]
    fn refusals_ends_and_nonsense_are_told_apart() {
        let mut client = connect(&[
            r#"{"id": ID, "error": {"class": "GenericError", "desc": "not now"}}"#,
            r#"{"return": 7, "id": ID}"#,
            r#"{"return": {}, "id": 77}"#,
            "nonsense",
        ]);
        let refused = client.execute(&Cont, LIMIT).unwrap_err();
        assert_eq!(refused.to_string(), "QEMU refused \"cont\": not now");
        for _ in 0..3 {
            let malformed = client.execute(&Stop, LIMIT).unwrap_err();
            assert!(matches!(malformed, QmpError::Malformed(_)), "{malformed}");
        }
        let closed = client.execute(&Stop, LIMIT).unwrap_err();
        assert!(
            matches!(closed, QmpError::Closed | QmpError::Io(_)),
            "{closed:?}"
        );
    }

    #[test]
    fn a_long_answer_is_taken_and_one_without_measure_fails_its_command_alone() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let answers = thread::spawn(move || {
            let mut writer = theirs;
            writeln!(writer, "{GREETING}").unwrap();
            writeln!(writer, r#"{{"return": {{}}, "id": 1}}"#).unwrap();
            for (id, length) in [(2, 1 << 20), (3, LONGEST)] {
                let name = "x".repeat(length);
                let node = format!(r#"{{"node-name": "disk0-0", "file": "{name}"}}"#);
                writeln!(writer, r#"{{"return": [{node}], "id": {id}}}"#).unwrap();
            }
            writeln!(writer, r#"{{"event": "RESET"}}"#).unwrap();
            writer
        });
        let mut client = Client::greet(ours, LIMIT).unwrap().0;
        let nodes = client.execute(&QueryNamedBlockNodes, LIMIT).unwrap();
        assert_eq!(nodes[0].file.len(), 1 << 20);
        let refused = client.execute(&QueryNamedBlockNodes, LIMIT).unwrap_err();
        assert!(matches!(refused, QmpError::TooLong), "{refused}");
        client.wait_for(&Event::Reset, "reset", LIMIT).unwrap();
        let mut writer = answers.join().unwrap();
        writeln!(writer, r#"{{"return": {{}}, "id": 4}}"#).unwrap();
        client.execute(&Cont, LIMIT).unwrap();
        client.read_events().unwrap();
    }

    #[test]
    fn an_answer_that_does_not_come_is_not_waited_for_and_skipped_later() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut writer = theirs.try_clone().unwrap();
        writeln!(writer, "{GREETING}").unwrap();
        writeln!(writer, r#"{{"return": {{}}, "id": 1}}"#).unwrap();
        let mut client = Client::greet(ours, LIMIT).unwrap().0;
        let late = client.execute(&Stop, Duration::from_millis(1)).unwrap_err();
        assert!(matches!(late, QmpError::Late("stop")), "{late}");
        writeln!(writer, r#"{{"return": {{}}, "id": 2}}"#).unwrap();
        writeln!(writer, r#"{{"return": {{}}, "id": 3}}"#).unwrap();
        client.execute(&Cont, LIMIT).unwrap();
    }

    #[test]
    fn a_flood_of_events_is_bounded_and_the_last_ones_are_kept() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut writer = theirs;
        writeln!(writer, "{GREETING}").unwrap();
        writeln!(writer, r#"{{"return": {{}}, "id": 1}}"#).unwrap();
        let mut client = Client::greet(ours, LIMIT).unwrap().0;
        for _ in 0..3 * MOST_EVENTS {
            writeln!(writer, r#"{{"event": "RESET"}}"#).unwrap();
            client.read_events().unwrap();
        }
        writeln!(writer, r#"{{"event": "GUEST_PANICKED"}}"#).unwrap();
        client.read_events().unwrap();
        assert_eq!(client.events.len(), MOST_EVENTS);
        assert_eq!(client.events.back(), Some(&Event::Panicked));
    }
}
