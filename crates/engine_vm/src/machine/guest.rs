//! The way to the agent in a guest: streams that the guest has dialled and that its worker keeps.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use hcs_engine::engine::StdioOffer;
use hcs_schema::{Failure, HResult, Stdio};
use rustix::rand::{GetRandomFlags, getrandom};

use super::control::{Asked, Control};
use crate::protocol::{STDIO_PORTS, WorkerAnswer, WorkerRequest};

/// How often a worker is asked whether the agent has dialled, where it does not tell.
const LOOK: Duration = Duration::from_millis(10);
/// How long a worker that has closed its socket may take to its end.
const END: Duration = Duration::from_secs(1);

/// Numbers of ports for standard streams. They begin anywhere, so that two services after one another, of which the
/// first was killed, hardly name the same to one guest.
#[derive(Debug)]
pub(super) struct Ports(AtomicU32);

impl Ports {
    /// Begins.
    pub(super) fn new() -> Self {
        let mut bytes = [0; 4];
        // Without random numbers it begins at the first.
        let _none = getrandom(&mut bytes, GetRandomFlags::NONBLOCK);
        Self(AtomicU32::new(u32::from_le_bytes(bytes)))
    }

    fn next(&self) -> u32 {
        let count = STDIO_PORTS.end() - STDIO_PORTS.start() + 1;
        STDIO_PORTS.start() + self.0.fetch_add(1, Ordering::Relaxed) % count
    }
}

/// Waits until the agent has dialled, at most for `limit`; takes its stream with `take`. `is_gone` says whether the
/// machine has ended, or does so within a time.
pub(super) fn agent(
    control: &Control,
    take: bool,
    limit: Duration,
    is_gone: impl Fn(Duration) -> bool,
) -> Result<Option<OwnedFd>, Failure> {
    let request = if take {
        WorkerRequest::TakeAgent
    } else {
        WorkerRequest::HasAgent
    };
    let deadline = Instant::now() + limit;
    let mut was_told = false;
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let found = match control.ask_for(&request) {
            Ok((WorkerAnswer::Done, stream)) => return Ok(stream),
            Ok(_) if rest.is_zero() => return Err(undialled(control)),
            // An agent that dials and hangs up, again and again, is not followed as fast as it goes.
            Ok(_) if was_told => Ok(None),
            Ok(_) => control.await_agent(rest),
            Err(failure) => Err(failure),
        };
        was_told = match found {
            Ok(Some(told)) => told,
            Ok(None) => {
                std::thread::sleep(LOOK);
                false
            }
            // The socket of a worker is closed a moment before its end is seen.
            Err(_) if is_gone(END) => {
                let message = "the virtual machine ended before its agent was ready";
                return Err(Failure::new(
                    HResult::HCS_E_TERMINATED_DURING_START,
                    message,
                ));
            }
            Err(failure) => return Err(failure),
        };
    }
}

/// The agent has not dialled in time.
fn undialled(control: &Control) -> Failure {
    let message = "the guest agent has not dialled its host; does the guest have one (hcs-guest), and the driver of vsock?";
    let failure = Failure::new(HResult::HCS_E_CONNECTION_TIMEOUT, message);
    match control.ask(&WorkerRequest::Fault) {
        Ok(WorkerAnswer::Fault(Some(fault))) => failure.cause(fault),
        _ => failure,
    }
}

/// Standard streams that the guest is to dial.
#[derive(Debug)]
pub(super) struct VsockStdio {
    control: Arc<Control>,
    ports: Stdio<Option<u32>>,
}

impl VsockStdio {
    pub(super) fn offer(control: &Arc<Control>, ports: &Ports, wanted: Stdio<bool>) -> Self {
        Self {
            control: Arc::clone(control),
            ports: wanted.map(|wanted| wanted.then(|| ports.next())),
        }
    }
}

impl StdioOffer for VsockStdio {
    fn take_guest_ends(&mut self) -> Vec<OwnedFd> {
        Vec::new()
    }

    fn ports(&self) -> Option<Stdio<Option<u32>>> {
        Some(self.ports)
    }

    fn into_host_ends(self: Box<Self>, limit: Duration) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        let deadline = Instant::now() + limit;
        let mut ends = Stdio::default();
        loop {
            let left = self.ports.zip(ends.present());
            let left = left.map(|(port, is_there)| port.filter(|_| !is_there));
            let found = streams(&self.control, left)?;
            ends = ends.zip(found).map(|(end, found)| end.or(found));
            if ends.present() == self.ports.present() {
                return Ok(ends);
            }
            if Instant::now() >= deadline {
                let message =
                    "the guest has not dialled the ports of its process's standard streams";
                return Err(Failure::new(HResult::HCS_E_CONNECTION_TIMEOUT, message));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The streams that the guest has dialled to `ports`, asked for side by side. Its agent dials before it answers, so
/// hardly any of them is not there.
fn streams(
    control: &Control,
    ports: Stdio<Option<u32>>,
) -> Result<Stdio<Option<OwnedFd>>, Failure> {
    let ask = |port: u32| control.begin(&WorkerRequest::TakeStdio(port), None);
    let asked = ports.try_map(|port| port.map(ask).transpose())?;
    let answers = asked.try_map(|asked| asked.map(Asked::answer).transpose())?;
    Ok(answers.map(|answer| match answer {
        Some((WorkerAnswer::Done, stream)) => stream,
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::fd::AsFd as _, path::Path, thread::JoinHandle};

    use rustix::net::{SocketFlags, accept_with, listen};

    use super::*;
    use crate::{machine::control::bind_in, protocol};

    /// Far longer than anything takes.
    const LIMIT: Duration = Duration::from_secs(60);

    /// What a worker does next.
    enum Next {
        /// It takes this request, and answers by this.
        Answers(WorkerRequest, WorkerAnswer),
        /// It takes this request and ends.
        Ends(WorkerRequest),
    }
    use Next::{Answers, Ends};

    /// The listening socket of a worker.
    fn socket(directory: &Path) -> OwnedFd {
        let socket = bind_in(directory).unwrap();
        rustix::io::ioctl_fionbio(&socket, false).unwrap();
        listen(&socket, 8).unwrap();
        socket
    }

    /// The next request to a worker, and the connection that waits for its answer.
    fn request(socket: &OwnedFd) -> (WorkerRequest, OwnedFd) {
        let connection = accept_with(socket, SocketFlags::CLOEXEC).unwrap();
        let (request, _) = protocol::receive(connection.as_fd(), LIMIT).unwrap();
        (request, connection)
    }

    fn worker(directory: &Path, plan: Vec<Next>) -> JoinHandle<()> {
        let socket = socket(directory);
        std::thread::spawn(move || {
            for next in plan {
                let (came, connection) = request(&socket);
                match next {
                    Answers(expected, answer) => {
                        assert_eq!(came, expected);
                        protocol::send(connection.as_fd(), &answer, None).unwrap();
                    }
                    Ends(expected) => assert_eq!(came, expected),
                }
            }
        })
    }

    #[test]
    fn a_worker_is_asked_for_the_agent_again_when_it_has_dialled() {
        let place = tempfile::tempdir().unwrap();
        let plan = vec![
            Answers(WorkerRequest::HasAgent, WorkerAnswer::NotThere),
            Answers(WorkerRequest::AwaitAgent, WorkerAnswer::Done),
            // It hung up again, and dials once more.
            Answers(WorkerRequest::HasAgent, WorkerAnswer::NotThere),
            Answers(WorkerRequest::HasAgent, WorkerAnswer::NotThere),
            Answers(WorkerRequest::AwaitAgent, WorkerAnswer::Done),
            Answers(WorkerRequest::HasAgent, WorkerAnswer::Done),
        ];
        let worker = worker(place.path(), plan);
        let control = Control::of_own(place.path(), true);
        assert!(agent(&control, false, LIMIT, |_| false).unwrap().is_none());
        worker.join().unwrap();
    }

    #[test]
    fn a_worker_that_does_not_tell_is_asked_again_and_again() {
        let place = tempfile::tempdir().unwrap();
        let plan = vec![
            Answers(WorkerRequest::TakeAgent, WorkerAnswer::NotThere),
            Answers(WorkerRequest::TakeAgent, WorkerAnswer::NotThere),
            Answers(WorkerRequest::TakeAgent, WorkerAnswer::Done),
        ];
        let worker = worker(place.path(), plan);
        let control = Control::of_own(place.path(), false);
        agent(&control, true, LIMIT, |_| false).unwrap();
        worker.join().unwrap();
    }

    #[test]
    fn an_agent_that_does_not_dial_in_time_is_told_with_the_fault() {
        let place = tempfile::tempdir().unwrap();
        let fault = WorkerAnswer::Fault(Some("a broken ring".to_owned()));
        let plan = vec![
            Answers(WorkerRequest::HasAgent, WorkerAnswer::NotThere),
            Answers(WorkerRequest::Fault, fault),
        ];
        let worker = worker(place.path(), plan);
        let control = Control::of_own(place.path(), true);
        let failure = agent(&control, false, Duration::ZERO, |_| false).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_CONNECTION_TIMEOUT);
        assert_eq!(failure.causes[0].message, "a broken ring", "{failure:?}");
        worker.join().unwrap();
    }

    #[test]
    fn a_worker_that_ends_while_the_agent_is_awaited_ends_its_machine() {
        for (gone, expected) in [
            (true, HResult::HCS_E_TERMINATED_DURING_START),
            (false, HResult::HCS_E_CONNECTION_CLOSED),
        ] {
            let place = tempfile::tempdir().unwrap();
            let plan = vec![
                Answers(WorkerRequest::HasAgent, WorkerAnswer::NotThere),
                Ends(WorkerRequest::AwaitAgent),
            ];
            let worker = worker(place.path(), plan);
            let control = Control::of_own(place.path(), true);
            let waited = Cell::new(Duration::ZERO);
            let is_gone = |within| {
                waited.set(within);
                gone
            };
            let failure = agent(&control, false, LIMIT, is_gone).unwrap_err();
            assert_eq!((failure.hresult, waited.get()), (expected, END));
            worker.join().unwrap();
        }
    }

    #[test]
    fn streams_of_a_process_are_asked_for_side_by_side() {
        let place = tempfile::tempdir().unwrap();
        let socket = socket(place.path());
        let worker = std::thread::spawn(move || {
            // None is answered before all were asked for.
            let asked = [(); 3].map(|()| request(&socket));
            for (request, connection) in asked {
                let stream = tempfile::tempfile().unwrap();
                let answer = match request {
                    WorkerRequest::TakeStdio(2) => (WorkerAnswer::NotThere, None),
                    _ => (WorkerAnswer::Done, Some(stream.as_fd())),
                };
                protocol::send(connection.as_fd(), &answer.0, answer.1).unwrap();
            }
            // What was not there is asked for again, and nothing else.
            let (again, connection) = request(&socket);
            assert_eq!(again, WorkerRequest::TakeStdio(2));
            let stream = tempfile::tempfile().unwrap();
            let stream = Some(stream.as_fd());
            protocol::send(connection.as_fd(), &WorkerAnswer::Done, stream).unwrap();
        });
        let offer = VsockStdio {
            control: Arc::new(Control::of_own(place.path(), true)),
            ports: Stdio {
                stdin: Some(1),
                stdout: Some(2),
                stderr: Some(3),
            },
        };
        let ends = Box::new(offer).into_host_ends(LIMIT).unwrap();
        assert!(ends.into_array().iter().all(Option::is_some));
        worker.join().unwrap();
    }

    #[test]
    fn ports_are_in_range_and_differ() {
        let ports = Ports(AtomicU32::new(u32::MAX - 1));
        let named: Vec<u32> = (0..4).map(|_| ports.next()).collect();
        assert!(
            named.iter().all(|port| STDIO_PORTS.contains(port)),
            "{named:?}"
        );
        assert!(
            named[0] + 1 == named[1] && named[2] + 1 == named[3],
            "{named:?}"
        );
    }
}
