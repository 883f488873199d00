//! One request of the service.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use hcs_schema::HResult;
use hcs_wire::{errno, peer::Peer, proof};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::geteuid,
};

use super::{
    cards::{CardError, Cards},
    disks::{self, DiskError, HeldFiles},
    hot_memory,
    hv_socket::HvSocket,
    leases::Leases,
    picture::Pictures,
    shares::Shares,
    switchboard::Switchboard,
    vsock::VsockServer,
};
use crate::{
    dhcp::Lease,
    hot_memory::Granted,
    hv_socket::Service,
    protocol::{self, WorkerAnswer, WorkerRequest},
    qmp::{
        Client, QmpError,
        command::{Cont, InjectNmi, QueryStatus, SetLimits, Stop, SystemPowerdown},
    },
};

/// How long the service may take to say what it asks for after it has connected.
const REQUEST_LIMIT: Duration = Duration::from_secs(1);
/// How long QEMU may take for one command.
const COMMAND_LIMIT: Duration = Duration::from_secs(4);

/// What a request may be about.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// None after QEMU has closed it.
    pub(super) monitor: Option<&'a mut Client>,
    pub(super) held: &'a mut HeldFiles,
    pub(super) granted: &'a mut Granted,
    pub(super) cards: &'a mut Cards,
    pub(super) leases: &'a mut Leases,
    pub(super) pictures: &'a mut Pictures,
    pub(super) dialled: &'a Switchboard,
    pub(super) sockets: Option<&'a HvSocket>,
    pub(super) shares: Option<&'a Shares>,
    pub(super) vsock: Option<&'a VsockServer>,
}

/// Receives a request on a connection, does it and answers. The connection ends with that. Only the user that this
/// process runs as may ask, and has to prove that it is no process of a container where the service can. A change of
/// shares is answered by another thread, and the wait for the agent when that dials.
pub(super) fn answer(connection: OwnedFd, wants_proof: bool, parts: Parts<'_>) {
    let Parts {
        monitor,
        held,
        granted,
        cards,
        leases,
        pictures,
        dialled,
        sockets,
        shares,
        vsock,
    } = parts;
    if !is_service(&connection, wants_proof) {
        return;
    }
    let Ok((request, file)) = protocol::receive(connection.as_fd(), REQUEST_LIMIT) else {
        return;
    };
    let (answer, stream) = match (request, monitor) {
        (WorkerRequest::AwaitAgent, _) => return dialled.await_agent(connection),
        (WorkerRequest::HasAgent, _) if dialled.has_agent() => (WorkerAnswer::Done, None),
        (WorkerRequest::HasAgent, _) => (WorkerAnswer::NotThere, None),
        (WorkerRequest::TakeAgent, _) => found(dialled.take_agent()),
        (WorkerRequest::TakeStdio(port), _) => found(dialled.take_stdio(port)),
        (WorkerRequest::Fault, _) => (
            WorkerAnswer::Fault(vsock.and_then(VsockServer::fault)),
            None,
        ),
        (WorkerRequest::HasSockets, _) if sockets.is_some() => (WorkerAnswer::Done, None),
        (WorkerRequest::HasSockets, _) => (WorkerAnswer::NotThere, None),
        (WorkerRequest::SetService(port, service), _) => (set(sockets, port, service), None),
        (WorkerRequest::AddShare(share) | WorkerRequest::AddFiles(share), _) => {
            return on(shares, connection, |shares| shares.add(share));
        }
        (WorkerRequest::RemoveShare(name), _) => {
            return on(shares, connection, move |shares| shares.remove(&name));
        }
        (WorkerRequest::Plug(name, mac), Some(monitor)) => {
            (plug(cards, monitor, (&name, mac), file.as_ref()), None)
        }
        (WorkerRequest::TakePicture, Some(monitor)) => picture(pictures, monitor),
        (WorkerRequest::Lease(name, mac, lease), _) => {
            (give(leases, (name, mac), lease, file), None)
        }
        (WorkerRequest::Unplug(name), Some(monitor)) => {
            (unplug(cards, leases, monitor, &name), None)
        }
        (request, Some(monitor)) => {
            let done = act(&request, file.as_ref(), monitor, (held, granted));
            (done.unwrap_or_else(|e| failed(&e)), None)
        }
        (_, None) => (
            WorkerAnswer::Failed("QEMU has closed its monitor".to_owned()),
            None,
        ),
    };
    send(&connection, &answer, stream.as_ref());
}

/// Whether the service has connected. A process of a container may run as the same user, where the container has no
/// user namespace and sees the socket of another service.
fn is_service(connection: &OwnedFd, wants_proof: bool) -> bool {
    let own = geteuid().as_raw();
    let is_same_user = Peer::of(connection).is_ok_and(|peer| peer.user == own);
    is_same_user && (!wants_proof || has_proof(connection).is_ok())
}

/// Takes the proof of the service, for which it has as long as for a request.
fn has_proof(connection: &OwnedFd) -> Result<(), Errno> {
    proof::expect(connection)?;
    let deadline = Instant::now() + REQUEST_LIMIT;
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let rest = Timespec::try_from(rest).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(connection, PollFlags::IN)], Some(&rest)) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => return proof::receive(connection),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn failed(why: &dyn ToString) -> WorkerAnswer {
    WorkerAnswer::Failed(why.to_string())
}

fn picture(pictures: &mut Pictures, monitor: &mut Client) -> (WorkerAnswer, Option<OwnedFd>) {
    match pictures.take(monitor) {
        Ok(picture) => (WorkerAnswer::Done, Some(picture)),
        Err(why) => (failed(&why), None),
    }
}

fn give(
    leases: &mut Leases,
    card: (String, [u8; 6]),
    lease: Lease,
    socket: Option<OwnedFd>,
) -> WorkerAnswer {
    match socket {
        Some(socket) => {
            leases.give(card, lease, socket);
            WorkerAnswer::Done
        }
        None => failed(&"no socket came along"),
    }
}

fn send(connection: &OwnedFd, answer: &WorkerAnswer, stream: Option<&OwnedFd>) {
    let stream = stream.map(|stream| stream.as_fd());
    let sent = protocol::send(connection.as_fd(), answer, stream);
    // A service that is gone asks again, or its successor does. The guest dials again for a stream that is lost.
    let _gone = match sent {
        Err(errno @ Errno::TOOMANYREFS) => {
            let why = errno::failed("its stream cannot be handed over", errno).message;
            protocol::send(connection.as_fd(), &WorkerAnswer::Failed(why), None)
        }
        sent => sent,
    };
}

fn set(sockets: Option<&HvSocket>, port: u32, service: Option<Service>) -> WorkerAnswer {
    match sockets.map(|sockets| sockets.set(port, service)) {
        Some(Ok(())) => WorkerAnswer::Done,
        Some(Err(why)) => WorkerAnswer::Failed(why),
        None => WorkerAnswer::NotThere,
    }
}

/// Changes shares, where the machine can have some, and answers.
fn on(
    shares: Option<&Shares>,
    connection: OwnedFd,
    change: impl FnOnce(&Shares) -> WorkerAnswer + Send + 'static,
) {
    if let Some(shares) = shares {
        return shares.aside(change, move |answer| send(&connection, answer, None));
    }
    let none =
        "the virtual machine has no shares: its document has no VirtualMachine/Devices/Plan9";
    let refused = WorkerAnswer::Refused(HResult::HCS_E_INVALID_STATE.0, none.to_owned());
    send(&connection, &refused, None);
}

fn plug(
    cards: &mut Cards,
    monitor: &mut Client,
    which: (&str, [u8; 6]),
    link: Option<&OwnedFd>,
) -> WorkerAnswer {
    match link {
        Some(link) => card(cards.plug(monitor, which, link)),
        None => WorkerAnswer::Failed("no link came along".to_owned()),
    }
}

/// Takes a card out. One that stays keeps its address.
fn unplug(
    cards: &mut Cards,
    leases: &mut Leases,
    monitor: &mut Client,
    name: &str,
) -> WorkerAnswer {
    let unplugged = cards.unplug(monitor, name);
    if unplugged.is_ok() {
        leases.take(name);
    }
    card(unplugged)
}

fn card(done: Result<(), CardError>) -> WorkerAnswer {
    match done {
        Ok(()) => WorkerAnswer::Done,
        Err(CardError::Qmp(error)) => WorkerAnswer::Failed(error.to_string()),
        Err(other) => WorkerAnswer::Refused(HResult::HCS_E_INVALID_STATE.0, other.to_string()),
    }
}

fn found(stream: Option<OwnedFd>) -> (WorkerAnswer, Option<OwnedFd>) {
    match stream {
        Some(stream) => (WorkerAnswer::Done, Some(stream)),
        None => (WorkerAnswer::NotThere, None),
    }
}

fn act(
    request: &WorkerRequest,
    file: Option<&OwnedFd>,
    monitor: &mut Client,
    (held, granted): (&mut HeldFiles, &mut Granted),
) -> Result<WorkerAnswer, QmpError> {
    let changed = match (request, file) {
        (WorkerRequest::Attach(disk), Some(file)) => disks::attach(monitor, held, disk, file),
        (WorkerRequest::Detach(place), _) => disks::detach(monitor, held, *place),
        (WorkerRequest::LimitStorage(limits), _) => {
            monitor.execute(&SetLimits(*limits), COMMAND_LIMIT)?;
            return let_go(monitor).map(|()| WorkerAnswer::Done);
        }
        (WorkerRequest::ResizeMemory(megabytes, most), _) => {
            return hot_memory::resize(monitor, granted, *megabytes, *most);
        }
        (WorkerRequest::AddedMemory, _) => {
            return hot_memory::size(monitor, granted).map(WorkerAnswer::AddedMemory);
        }
        _ => return steer(request, monitor, held),
    };
    Ok(match changed {
        Ok(()) => WorkerAnswer::Done,
        Err(still @ (DiskError::StandsStill | DiskError::StillOpen)) => {
            WorkerAnswer::StandsStill(still.to_string())
        }
        Err(other) => WorkerAnswer::Failed(other.to_string()),
    })
}

/// Lets requests to disks go that wait by a former limit: QEMU does so when it stops a machine. One that stands still
/// is left alone: its requests went when it was stopped.
fn let_go(monitor: &mut Client) -> Result<(), QmpError> {
    if !monitor.execute(&QueryStatus, COMMAND_LIMIT)?.running {
        return Ok(());
    }
    // It may take long where the disks do. Whatever comes of it, QEMU goes on afterwards.
    let _stopped_or_will = monitor.execute(&Stop, COMMAND_LIMIT);
    match monitor.execute(&Cont, COMMAND_LIMIT) {
        Ok(_) | Err(QmpError::Late(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets the processors run or stand still.
fn steer(
    request: &WorkerRequest,
    monitor: &mut Client,
    held: &mut HeldFiles,
) -> Result<WorkerAnswer, QmpError> {
    let status = monitor.execute(&QueryStatus, COMMAND_LIMIT)?;
    let has_begun = status.status != "prelaunch";
    match request {
        WorkerRequest::IsPaused => return Ok(WorkerAnswer::Paused(status.status == "paused")),
        // It may run because an earlier answer was late, or because the guest woke up by itself.
        WorkerRequest::Start | WorkerRequest::Resume if status.running => held.let_go(monitor),
        WorkerRequest::Start if has_begun => {}
        WorkerRequest::Pause if !status.running => {}
        WorkerRequest::Start | WorkerRequest::Resume => {
            let continued = monitor.execute(&Cont, COMMAND_LIMIT);
            if matches!(continued, Ok(_) | Err(QmpError::Late(_))) {
                held.let_go(monitor);
            }
            continued?;
        }
        WorkerRequest::Pause => drop(monitor.execute(&Stop, COMMAND_LIMIT)?),
        WorkerRequest::PowerDown => drop(monitor.execute(&SystemPowerdown, COMMAND_LIMIT)?),
        // Processors that stand still would take it when they run again, if at all.
        WorkerRequest::Crash if !status.running => {
            return Ok(WorkerAnswer::StandsStill(
                "the machine stands still, so its guest cannot crash: resume it first".to_owned(),
            ));
        }
        WorkerRequest::Crash => drop(monitor.execute(&InjectNmi, COMMAND_LIMIT)?),
        // They are not for QEMU, or were done above.
        WorkerRequest::HasAgent
        | WorkerRequest::AwaitAgent
        | WorkerRequest::HasSockets
        | WorkerRequest::TakeAgent
        | WorkerRequest::TakeStdio(_)
        | WorkerRequest::Fault
        | WorkerRequest::SetService(..)
        | WorkerRequest::AddShare(_)
        | WorkerRequest::AddFiles(_)
        | WorkerRequest::RemoveShare(_)
        | WorkerRequest::Plug(..)
        | WorkerRequest::Lease(..)
        | WorkerRequest::Unplug(_)
        | WorkerRequest::TakePicture
        | WorkerRequest::ResizeMemory(..)
        | WorkerRequest::AddedMemory
        | WorkerRequest::LimitStorage(_)
        | WorkerRequest::Detach(_) => {}
        WorkerRequest::Attach(_) => {
            return Ok(WorkerAnswer::Failed("no file came along".to_owned()));
        }
    }
    Ok(WorkerAnswer::Done)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::UnixStream,
        thread::{self, JoinHandle},
    };

    use rustix::{
        net::{AddressFamily, SocketFlags, SocketType, socketpair},
        process::getpid,
    };

    use super::*;
    use crate::{qmp::command::RemoveFd, storage::StorageLimits};

    /// A monitor that gives these answers one after the other, and then the commands that it heard.
    fn monitor(answers: &'static [&'static str]) -> (Client, JoinHandle<Vec<String>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let heard = thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}"#;
            writeln!(writer, "{greeting}").unwrap();
            let mut answers = ["{}"].iter().chain(answers);
            let mut heard = Vec::new();
            for command in BufReader::new(theirs).lines() {
                let command: serde_json::Value = serde_json::from_str(&command.unwrap()).unwrap();
                let value = answers.next().unwrap();
                let id = &command["id"];
                heard.push(command["execute"].as_str().unwrap().to_owned());
                writeln!(writer, "{{\"return\": {value}, \"id\": {id}}}").unwrap();
            }
            heard
        });
        let limit = Duration::from_secs(20);
        (Client::greet(ours, limit).unwrap().0, heard)
    }

    #[test]
    fn only_a_service_that_proves_itself_is_heard_where_it_has_to() {
        let connected = || {
            let flags = SocketFlags::CLOEXEC;
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
        };
        // A process of the same user that asks at once, as root of a container without ids of its own.
        let (stranger, connection) = connected();
        let request = WorkerRequest::TakeAgent;
        protocol::send(stranger.as_fd(), &request, None).unwrap();
        assert!(!is_service(&connection, true));
        // One that says nothing.
        let (_stranger, connection) = connected();
        assert!(!is_service(&connection, true));
        // The service of an ordinary user cannot prove itself.
        let (service, connection) = connected();
        protocol::send(service.as_fd(), &request, None).unwrap();
        assert!(is_service(&connection, false));
        let (service, connection) = connected();
        proof::send(&service, getpid()).unwrap();
        protocol::send(service.as_fd(), &request, None).unwrap();
        assert!(is_service(&connection, true));
        let (heard, _) =
            protocol::receive::<WorkerRequest>(connection.as_fd(), REQUEST_LIMIT).unwrap();
        assert_eq!(heard, request);
    }

    #[test]
    fn requests_to_disks_do_not_wait_by_a_former_limit() {
        for (status, and_then) in [
            (
                r#"{"running": true, "status": "running"}"#,
                vec!["stop", "cont"],
            ),
            (r#"{"running": false, "status": "paused"}"#, Vec::new()),
        ] {
            let answers = Vec::leak(vec!["{}", status, "{}", "{}"]);
            let (mut monitor, heard) = monitor(answers);
            let request = WorkerRequest::LimitStorage(StorageLimits::default());
            let state = (&mut HeldFiles::default(), &mut Granted::default());
            let answer = act(&request, None, &mut monitor, state).unwrap();
            assert_eq!(answer, WorkerAnswer::Done);
            drop(monitor);
            let heard = heard.join().unwrap();
            assert_eq!(heard[1..3], ["qom-set", "query-status"]);
            assert_eq!(heard[3..], and_then);
        }
    }

    #[test]
    fn a_size_of_memory_that_qemu_makes_up_is_not_passed_on() {
        let huge = "18446744073708503040";
        let answers = Vec::leak(vec![
            r#"{"running": true, "status": "running"}"#,
            "{}",
            huge,
        ]);
        let (mut monitor, heard) = monitor(answers);
        let (mut held, mut granted) = (HeldFiles::default(), Granted::default());
        let mut ask = |request| act(&request, None, &mut monitor, (&mut held, &mut granted));
        let asked = ask(WorkerRequest::ResizeMemory(64, 512)).unwrap();
        assert_eq!(asked, WorkerAnswer::Done);
        let told = ask(WorkerRequest::AddedMemory).unwrap();
        assert_eq!(told, WorkerAnswer::AddedMemory(64));
        drop(monitor);
        heard.join().unwrap();
    }

    #[test]
    fn files_are_let_go_of_when_the_machine_runs_already() {
        for request in [WorkerRequest::Start, WorkerRequest::Resume] {
            let (mut monitor, heard) =
                monitor(&[r#"{"running": true, "status": "running"}"#, "{}", "[]"]);
            let mut held = HeldFiles::default();
            held.keep(RemoveFd { set: 1, fd: None });
            let answer = steer(&request, &mut monitor, &mut held).unwrap();
            assert_eq!(answer, WorkerAnswer::Done);
            drop(monitor);
            let heard = heard.join().unwrap();
            assert_eq!(heard[1..], ["query-status", "remove-fd", "query-fdsets"]);
        }
    }
}
