//! The link of a virtual machine: the guest dials ports of its host (`vsock(7)`).
//!
//! 1. [`VsockLink`]: dials for the stream, again and again while there is none; and for each stream of a process.
//! 2. [`Sources`]: the ports that it dials from. Only they are the agent's to its host: another program of the guest
//!    could dial as well.
//! 3. [`pause`]: how long it waits between two attempts. Pure.

use std::{
    ops::RangeInclusive,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult, Stdio};
use hcs_wire::{
    errno,
    guest::{
        BRIDGE_PORT, GuestNetwork, LAST_RESERVED_PORT, LEFT_PORT, Renewal, VsockStdioRelaySettings,
    },
};
use rustix::{
    event::{
        PollFd, PollFlags, Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
        poll,
    },
    io::Errno,
    net::{Shutdown, shutdown, sockopt::socket_error},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};

use super::{kept, later::Later, left::Left, modules, network::Network, renewal, shares};
use crate::{
    agent::log,
    link::{Dialled, DialledStream, Link},
    sys::vsock,
};

/// The longest that the host may take to accept the streams of a process, or to write down what is left.
const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// How long the host may take to read the last answers, which are lost when the machine is powered off.
const CLOSE_LIMIT: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// The ports that are dialled from. Programs that listen at reserved ports have lower ones.
const OWN_PORTS: RangeInclusive<u32> = 512..=LAST_RESERVED_PORT;
/// The first pause, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];

/// Dials the host at [`BRIDGE_PORT`]. Its descriptor covers a timer, which runs between attempts, the socket of the
/// attempt that is being made, and the kernel's news of network cards.
#[derive(Debug)]
pub(super) struct VsockLink {
    events: OwnedFd,
    timer: OwnedFd,
    dialled: Option<OwnedFd>,
    sources: Sources,
    /// How many attempts have failed in a row.
    failed: u32,
    /// The reason that was logged last.
    said: Option<Errno>,
    /// Why a directory of the host is not where the kernel's command line wants it. Nothing is run then.
    missing: Option<Failure>,
    /// Its network cards, once the host has told of some.
    network: Option<Network>,
    /// Modules that are loaded once the host has answered.
    later: Option<Later>,
    /// Where the host writes down what is left.
    left: Left,
}

/// The ports that are dialled from, one after the other, so that one is used again as late as possible.
#[derive(Debug, Default)]
struct Sources(u32);

impl Sources {
    fn next(&mut self) -> u32 {
        let count = OWN_PORTS.end() - OWN_PORTS.start() + 1;
        let port = OWN_PORTS.start() + self.0 % count;
        self.0 = self.0.wrapping_add(1);
        port
    }

    /// Begins to dial `port` of the host; whether it has answered already.
    fn dial(&mut self, port: u32) -> Result<(OwnedFd, bool), Errno> {
        let socket = vsock::socket()?;
        let mut bound = Err(Errno::ADDRINUSE);
        for _ in OWN_PORTS {
            bound = vsock::bind(&socket, self.next());
            if bound != Err(Errno::ADDRINUSE) {
                break;
            }
        }
        bound?;
        let connected = vsock::connect(&socket, port)?;
        Ok((socket, connected))
    }

    /// The same, with a failure that says which port it was.
    fn begin(&mut self, port: u32) -> Result<DialledStream, Failure> {
        let dialled = self.dial(port);
        dialled
            .map(|(socket, _)| DialledStream { socket, port })
            .map_err(|errno| unreachable(port, errno))
    }

    /// Begins to dial the port where the agent leaves something. A host without it is no failure.
    fn begin_to_leave(&mut self) -> Option<OwnedFd> {
        self.dial(LEFT_PORT).ok().map(|(socket, _)| socket)
    }
}

impl VsockLink {
    /// Mounts the directories of the host that the kernel's command line names.
    pub(super) fn mount_shares(&mut self) {
        let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        for wanted in shares::of_command_line(&line) {
            let mounted = wanted.and_then(|wanted| {
                let mounted = self.mount(&wanted);
                mounted.map_err(|failure| wanted.failed(&failure))
            });
            if let Err(failure) = mounted {
                log(&failure.log_line());
                self.missing.get_or_insert(failure);
            }
        }
    }

    fn mount(&mut self, wanted: &shares::Wanted) -> Result<(), Failure> {
        let dialled = self.sources.begin(wanted.port)?;
        let stream = settle(dialled, Instant::now() + DIAL_LIMIT)?;
        shares::put(wanted, &stream)
    }
}

/// How long to wait after `failed` attempts in a row have failed.
fn pause(failed: u32) -> Duration {
    let factor = 1_u32.checked_shl(failed.min(16)).unwrap_or(u32::MAX);
    PAUSES[0].saturating_mul(factor).min(PAUSES[1])
}

impl VsockLink {
    /// A link that is about to dial. Once the host has answered it begins with what is left for `later`.
    ///
    /// # Errors
    /// The errno of `timerfd_create(2)` or `epoll_create(2)`.
    pub(super) fn new(later: Option<Later>) -> Result<Self, Errno> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&events, &timer, EventData::new_u64(0), EventFlags::IN)?;
        let link = Self {
            events,
            timer,
            dialled: None,
            sources: Sources::default(),
            failed: 0,
            said: None,
            missing: None,
            network: None,
            later,
            left: Left::default(),
        };
        link.wait(Duration::from_nanos(1))?;
        Ok(link)
    }

    /// Lets the timer end after `time`.
    fn wait(&self, time: Duration) -> Result<(), Errno> {
        let setting = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(time).unwrap_or_default(),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting).map(drop)
    }

    /// Goes on dialling the host; a stream, once there is one.
    fn dial_host(&mut self) -> Result<Option<OwnedFd>, Errno> {
        // An expired timer stays readable until it is read.
        let timer_ended = rustix::io::read(&self.timer, &mut [0; 8]).is_ok();
        if let Some(socket) = self.dialled.take() {
            match state(&socket)? {
                State::Connected => {
                    epoll::delete(&self.events, &socket)?;
                    return Ok(Some(socket));
                }
                State::Dialling => {
                    self.dialled = Some(socket);
                    return Ok(None);
                }
                State::Refused(errno) => return Err(errno),
            }
        }
        if !timer_ended {
            return Ok(None);
        }
        let (socket, connected) = self.sources.dial(BRIDGE_PORT)?;
        if connected {
            return Ok(Some(socket));
        }
        let number = EventData::new_u64(1);
        epoll::add(&self.events, &socket, number, EventFlags::OUT)?;
        self.dialled = Some(socket);
        Ok(None)
    }
}

impl Link for VsockLink {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    fn next_stream(&mut self) -> Result<Option<OwnedFd>, Errno> {
        if let Some(network) = &mut self.network {
            network.look();
        }
        match self.dial_host() {
            Ok(None) => Ok(None),
            Ok(Some(stream)) => {
                log("the host has answered");
                (self.failed, self.said) = (0, None);
                if let Some(later) = self.later.take() {
                    later.begin();
                }
                Ok(Some(stream))
            }
            Err(errno) => {
                if self.said != Some(errno) {
                    log(&format!(
                        "the host does not answer ({}); dialling on",
                        errno::words(errno)
                    ));
                    self.said = Some(errno);
                }
                self.wait(pause(self.failed))?;
                self.failed = self.failed.saturating_add(1);
                Ok(None)
            }
        }
    }

    fn stream_lost(&mut self) {
        if let Err(errno) = self.wait(PAUSES[0]) {
            log(&format!("the host cannot be dialled again: {errno}"));
        }
    }

    fn dial(&mut self, ports: VsockStdioRelaySettings) -> Dialled {
        let ports = ports.ports();
        ports.map(|port| port.map(|port| self.sources.begin(port)))
    }

    fn stdio(
        &mut self,
        wanted: Stdio<bool>,
        dialled: Dialled,
        _sent: Vec<OwnedFd>,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        let end = Instant::now() + DIAL_LIMIT;
        let dialled = wanted.zip(dialled);
        let begun = dialled.try_map(|(wanted, stream)| stream.filter(|_| wanted).transpose())?;
        begun.try_map(|stream| stream.map(|stream| settle(stream, end)).transpose())
    }

    fn passes_descriptors(&self) -> bool {
        false
    }

    fn kept_files(&mut self, _sent: Vec<OwnedFd>) -> Result<Vec<OwnedFd>, Failure> {
        kept::files().map_err(|errno| errno::failed("no files can be made for kept output", errno))
    }

    fn renew(&mut self, renewal: &Renewal) -> Result<(), Failure> {
        if let Some(missing) = &self.missing {
            return Err(missing.clone());
        }
        renewal::apply(renewal)
    }

    fn set_network(&mut self, wanted: &GuestNetwork) -> Result<(), Failure> {
        // A card that has just come has no driver before.
        modules::load_network();
        let network = match &mut self.network {
            Some(network) => network,
            None => {
                let opened = Network::open()?;
                let number = EventData::new_u64(2);
                epoll::add(&self.events, opened.descriptor(), number, EventFlags::IN)
                    .map_err(|errno| errno::failed("news of network cards cannot be had", errno))?;
                self.network.insert(opened)
            }
        };
        network.set(wanted)
    }

    fn change(&mut self, request: &serde_json::Value) -> Option<Result<(), Failure>> {
        Some(match shares::read(request)? {
            Ok(shares::Change::Mount(wanted)) => self.mount(&wanted),
            Ok(shares::Change::Unmount(target)) => shares::take(&target),
            Err(failure) => Err(failure),
        })
    }

    fn keeps_record(&self) -> bool {
        self.left.is_there()
    }

    fn will_leave(&mut self) {
        let sources = &mut self.sources;
        self.left.prepare(|| sources.begin_to_leave());
    }

    fn leave(&mut self, line: &[u8]) -> bool {
        let end = Instant::now() + DIAL_LIMIT;
        let sources = &mut self.sources;
        self.left.leave(line, end, || sources.begin_to_leave())
    }

    fn close_after_shutdown(&mut self, stream: BorrowedFd<'_>) {
        // A host that is gone need not be told.
        let _gone = shutdown(stream, Shutdown::Write);
        let mut polled = [PollFd::from_borrowed_fd(stream, PollFlags::IN)];
        let _late = poll(&mut polled, Some(&CLOSE_LIMIT));
    }
}

/// How far an attempt is.
enum State {
    Dialling,
    Connected,
    Refused(Errno),
}

fn state(socket: &OwnedFd) -> Result<State, Errno> {
    let mut polled = [PollFd::new(socket, PollFlags::OUT)];
    if poll(&mut polled, Some(&Timespec::default()))? == 0 {
        return Ok(State::Dialling);
    }
    decided(socket, polled[0].revents())
}

/// What became of an attempt that is not under way any more, as `flags` of `poll(2)` say.
fn decided(socket: &OwnedFd, flags: PollFlags) -> Result<State, Errno> {
    match socket_error(socket)? {
        Err(errno) => Ok(State::Refused(errno)),
        Ok(()) if flags.contains(PollFlags::OUT) && !flags.contains(PollFlags::HUP) => {
            Ok(State::Connected)
        }
        Ok(()) => Ok(State::Refused(Errno::CONNRESET)),
    }
}

/// Waits until `dialled` is connected, until `end`; answers the stream.
fn settle(dialled: DialledStream, end: Instant) -> Result<OwnedFd, Failure> {
    let DialledStream { socket, port } = dialled;
    match wait_until_connected(&socket, end) {
        Ok(()) => Ok(socket),
        Err(errno) => Err(unreachable(port, errno)),
    }
}

pub(super) fn wait_until_connected(socket: &OwnedFd, end: Instant) -> Result<(), Errno> {
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        let rest_of_time = Timespec::try_from(rest).unwrap_or_default();
        let mut polled = [PollFd::new(socket, PollFlags::OUT)];
        match poll(&mut polled, Some(&rest_of_time)) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        match decided(socket, polled[0].revents())? {
            State::Connected => return Ok(()),
            State::Dialling => {}
            State::Refused(errno) => return Err(errno),
        }
    }
}

fn unreachable(port: u32, errno: Errno) -> Failure {
    let message = format!(
        "the host cannot be reached at its port {port} of vsock: {}",
        errno::words(errno)
    );
    Failure::new(HResult::HCS_E_CONNECT_FAILED, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_end() {
        assert_eq!(pause(0), PAUSES[0]);
        assert_eq!(pause(1), PAUSES[0] * 2);
        assert_eq!(pause(100), PAUSES[1]);
        assert_eq!(pause(u32::MAX), PAUSES[1]);
    }

    #[test]
    fn it_is_dialled_from_each_reserved_port_before_one_is_used_again() {
        let mut sources = Sources(u32::MAX);
        let first = sources.next();
        let mut seen: Vec<u32> = (0..512).map(|_| sources.next()).collect();
        assert_eq!(
            (first, seen.first(), seen.last()),
            (1023, Some(&512), Some(&1023))
        );
        seen.sort_unstable();
        assert!(seen.into_iter().eq(OWN_PORTS));
    }

    #[test]
    fn a_link_is_ready_to_dial_at_once_and_waits_when_it_has_failed() {
        let mut link = VsockLink::new(None).unwrap();
        let mut polled = [PollFd::new(&link.events, PollFlags::IN)];
        assert_eq!(poll(&mut polled, None), Ok(1));
        // This host is no guest, or no service listens on its host.
        assert!(link.next_stream().unwrap().is_none());
        assert!(link.failed == 1 || link.dialled.is_some());
    }
}
