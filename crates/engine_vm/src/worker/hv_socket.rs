//! Programs of the host that connect to the guest, and those that the guest connects to.
//!
//! 1. [`HvSocket`]: the rules and the folder. The guest dials a port: a program of the host listens on `vsock_PORT`.
//! 2. [`Door`]: a thread that accepts programs of the host, reads `CONNECT PORT` of each and hands its stream to the
//!    device.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, connect,
        recv, socket_with,
    },
};
use vhost_vsock::Handle;

use crate::hv_socket::{Rules, SOCKET, Service};

/// Programs that have connected and have not said to which port.
const MOST_WAITING: usize = 64;
/// How long one may take to say it.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the thread pauses when the host has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);
/// What a program says first, and the longest line.
const CONNECT: &str = "CONNECT ";
const LONGEST_LINE: usize = 32;

/// The sockets of a machine. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct HvSocket(Arc<SocketFolder>);

#[derive(Debug)]
struct SocketFolder {
    /// The folder; paths of unix sockets end at 107 bytes, so what is in it is reached by this.
    folder: OwnedFd,
    rules: Mutex<Rules>,
}

impl HvSocket {
    /// The sockets in `folder`.
    pub(super) fn new(folder: OwnedFd, rules: Rules) -> Self {
        let rules = Mutex::new(rules);
        Self(Arc::new(SocketFolder { folder, rules }))
    }

    fn may(&self, port: u32, what: impl FnOnce(crate::hv_socket::Rule) -> bool) -> bool {
        // Each change is one insertion.
        let rules = self.0.rules.lock().unwrap_or_else(PoisonError::into_inner);
        what(rules.of(port))
    }

    /// Changes the rules of a port.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn set(&self, port: u32, service: Option<Service>) -> Result<(), String> {
        let mut rules = self.0.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.set(port, service)
    }

    /// The guest dials `port`: the program that listens there. Never blocks; a program that does not accept is none.
    pub(super) fn dial(&self, port: u32) -> Option<OwnedFd> {
        if !self.may(port, |rule| rule.bind) {
            return None;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
        // The guest gets bytes, and the worker would wait for the close of a descriptor.
        let _it_may = hcs_wire::socket::let_send_descriptors(&socket, false);
        let folder = self.0.folder.as_raw_fd();
        let path = format!("/proc/self/fd/{folder}/{SOCKET}_{port}");
        connect(&socket, &SocketAddrUnix::new(path).ok()?).ok()?;
        Some(socket)
    }

    /// Accepts programs of the host by `listener`, which does not block, on a thread that ends with this process.
    ///
    /// # Errors
    /// In words: there are no threads left.
    pub(super) fn open_door(&self, listener: OwnedFd, device: Handle) -> Result<(), String> {
        let door = Door {
            sockets: self.clone(),
            listener,
            device,
            waiting: Vec::new(),
        };
        let thread = thread::Builder::new().name("hvsocket".to_owned());
        let spawned = thread.spawn(move || door.serve());
        spawned.map(drop).map_err(|e| e.to_string())
    }
}

/// Where programs of the host connect.
#[derive(Debug)]
struct Door {
    sockets: HvSocket,
    listener: OwnedFd,
    device: Handle,
    /// Programs that have not said their port.
    waiting: Vec<Caller>,
}

/// A program that has connected.
#[derive(Debug)]
struct Caller {
    stream: OwnedFd,
    /// What it has said so far, without a line end.
    line: Vec<u8>,
    /// Until when it may say its port.
    until: Instant,
}

/// What a program has said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// This port; the line is taken from the stream.
    Port(u32),
    /// Not all of its line.
    Nothing,
    /// Something else.
    Nonsense,
}

impl Door {
    fn serve(mut self) {
        loop {
            self.wait();
            self.hear();
            self.accept();
        }
    }

    fn wait(&self) {
        let now = Instant::now();
        let next = self.waiting.iter().map(|caller| caller.until).min();
        let left = next.map(|until| until.saturating_duration_since(now));
        // A moment more, so that it has passed.
        let left = left.and_then(|left| Timespec::try_from(left + Duration::from_millis(1)).ok());
        let mut polled = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let waiting = self.waiting.iter();
        polled.extend(waiting.map(|caller| PollFd::new(&caller.stream, PollFlags::IN)));
        let _again = poll(&mut polled, left.as_ref());
    }

    fn accept(&mut self) {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match accept_with(&self.listener, flags) {
                Ok(_one_too_many) if self.waiting.len() >= MOST_WAITING => {}
                Ok(stream) => self.waiting.push(Caller {
                    stream,
                    line: Vec::new(),
                    until: Instant::now() + LIMIT,
                }),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => return thread::sleep(PAUSE),
            }
        }
    }

    /// Hands the streams over whose programs have said their port. Those that say something else, or nothing in time,
    /// end.
    fn hear(&mut self) {
        let now = Instant::now();
        for mut caller in std::mem::take(&mut self.waiting) {
            match caller.hear() {
                Said::Port(port) if self.sockets.may(port, |rule| rule.connect) => {
                    // Where the device has ended, so has the stream.
                    let _has_ended = self.device.connect_stream(port, caller.stream);
                }
                Said::Nothing if now < caller.until => self.waiting.push(caller),
                Said::Nothing | Said::Port(_) | Said::Nonsense => {}
            }
        }
    }
}

impl Caller {
    /// What the program has said by now. What comes behind its line stays in the stream, for the guest.
    fn hear(&mut self) -> Said {
        let mut bytes = [0; LONGEST_LINE];
        let length = match recv(&self.stream, &mut bytes, RecvFlags::PEEK) {
            Ok((0, _)) => return Said::Nonsense,
            Ok((length, _)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Said::Nothing,
            Err(_) => return Said::Nonsense,
        };
        let end = bytes[..length].iter().position(|byte| *byte == b'\n');
        let ours = end.map_or(length, |end| end + 1);
        if recv(&self.stream, &mut bytes[..ours], RecvFlags::empty()).is_err() {
            return Said::Nonsense;
        }
        self.line.extend(&bytes[..ours]);
        match end {
            None if self.line.len() < LONGEST_LINE => Said::Nothing,
            None => Said::Nonsense,
            Some(_) => port(&self.line).map_or(Said::Nonsense, Said::Port),
        }
    }
}

/// The port that a line names.
fn port(line: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    text.strip_prefix(CONNECT)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Write as _},
        os::unix::net::{UnixListener, UnixStream},
    };

    use hcs_schema::documents::VirtualMachine;
    use serde_json::json;

    use super::*;

    fn caller() -> (UnixStream, Caller) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let caller = Caller {
            stream: theirs.into(),
            line: Vec::new(),
            until: Instant::now() + LIMIT,
        };
        (ours, caller)
    }

    #[test]
    fn a_program_says_its_port_in_any_pieces_and_nothing_of_the_rest_is_taken() {
        let (mut program, mut caller) = caller();
        assert_eq!(caller.hear(), Said::Nothing);
        for piece in ["CON", "NECT 50"] {
            program.write_all(piece.as_bytes()).unwrap();
            assert_eq!(caller.hear(), Said::Nothing);
            assert_eq!(caller.hear(), Said::Nothing);
        }
        program.write_all(b"00\nfor the guest").unwrap();
        assert_eq!(caller.hear(), Said::Port(5000));
        let mut rest = [0; 64];
        let length = UnixStream::from(caller.stream).read(&mut rest).unwrap();
        assert_eq!(&rest[..length], b"for the guest");
    }

    #[test]
    fn what_is_no_line_is_not_waited_for() {
        for nonsense in [
            "GET / HTTP/1.0\n",
            "CONNECT\n",
            "CONNECT -1\n",
            "\n",
            &"x".repeat(99),
        ] {
            let (mut program, mut caller) = caller();
            program.write_all(nonsense.as_bytes()).unwrap();
            assert_eq!(caller.hear(), Said::Nonsense, "{nonsense:?}");
        }
        let (program, mut caller) = caller();
        drop(program);
        assert_eq!(caller.hear(), Said::Nonsense);
    }

    #[test]
    fn the_guest_reaches_who_listens_if_the_rules_let_it() {
        let place = tempfile::tempdir().unwrap();
        let document = json!({"Devices": {"HvSocket": {}}});
        let document: VirtualMachine = hcs_schema::parse(&document.to_string()).unwrap();
        let rules = Rules::of_machine(&document).unwrap().unwrap();
        let sockets = HvSocket::new(File::open(place.path()).unwrap().into(), rules);
        assert!(sockets.dial(80).is_none(), "no program listens");
        let listener = UnixListener::bind(place.path().join("vsock_80")).unwrap();
        let mut dialled = UnixStream::from(sockets.dial(80).unwrap());
        dialled.write_all(b"x").unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.read_exact(&mut [0]).unwrap();
        let closed = json!({"Disabled": true}).to_string();
        let closed = Service::read(&hcs_schema::parse(&closed).unwrap()).unwrap();
        sockets.set(80, Some(closed)).unwrap();
        assert!(sockets.dial(80).is_none(), "the rules close it");
        sockets.set(80, None).unwrap();
        // A program that accepts none does not hold the guest up.
        rustix::net::listen(&listener, 1).unwrap();
        let waiting: Vec<_> = std::iter::from_fn(|| sockets.dial(80)).take(100).collect();
        assert!((1..100).contains(&waiting.len()));
    }
}
