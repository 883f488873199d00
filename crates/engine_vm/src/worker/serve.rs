//! The worker's loop: requests of the service, events of QEMU, bytes of serial ports, and the end of QEMU.

use std::{
    fs::File,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    process::{Child, ExitStatus},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{SocketFlags, accept_with},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    cards::Cards,
    control::{self, Parts},
    crash_memory::CrashMemory,
    disks::HeldFiles,
    hv_socket::HvSocket,
    leases::Leases,
    picture::Pictures,
    serial::SerialLine,
    shares::Shares,
    switchboard::Switchboard,
    vsock::VsockServer,
};
use crate::{
    exit::{self, Ended, Heard},
    hot_memory::Granted,
    qmp::{Client, Event, QmpError},
};

/// A machine.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) qemu: Child,
    /// None after QEMU has closed it.
    pub(super) monitor: Option<Client>,
    /// What QEMU writes to its standard error, which does not block here; none after QEMU has closed it.
    pub(super) output: Option<OwnedFd>,
    pub(super) ports: Vec<SerialLine>,
    /// What the guest has dialled.
    pub(super) dialled: Switchboard,
    /// Programs of the host that the guest reaches, and that reach it.
    pub(super) sockets: Option<HvSocket>,
    /// Directories of the host that the guest reaches.
    pub(super) shares: Option<Shares>,
    /// The device for both.
    pub(super) vsock: Option<VsockServer>,
    /// Where the service connects.
    pub(super) control: OwnedFd,
    /// Whether the service proves itself there.
    pub(super) wants_proof: bool,
    /// Where the end is written down.
    pub(super) exit: File,
    /// Files that QEMU has not closed yet.
    pub(super) held: HeldFiles,
    /// The memory that its guest may have on top of what it began with.
    pub(super) granted: Granted,
    /// Its network cards.
    pub(super) cards: Cards,
    /// The addresses of some of them.
    pub(super) leases: Leases,
    /// What its screen shows.
    pub(super) pictures: Pictures,
    /// Where the memory of a guest goes that crashed.
    pub(super) crash: Option<CrashMemory>,
}

impl Worker {
    /// Serves until QEMU has ended, and writes down how.
    pub(super) fn serve(mut self) {
        let mut heard = Heard::default();
        let status = self.serve_until_end(&mut heard);
        // What was said between the last look and the end.
        self.listen(&mut heard);
        self.ports.iter_mut().for_each(SerialLine::finish);
        let fault = self.vsock.take().and_then(VsockServer::finish);
        let crash = self.crash.take().and_then(CrashMemory::end);
        let is_written = matches!(crash, Some(Ok(())));
        let unwritten = crash.and_then(Result::err);
        let faults: Vec<String> = fault.into_iter().chain(unwritten).collect();
        let ended = Ended {
            exit: heard.exit(status),
            memory_is_written: is_written,
            fault: (!faults.is_empty()).then(|| faults.join("; ")),
        };
        exit::write(&mut self.exit, &ended);
    }

    fn serve_until_end(&mut self, heard: &mut Heard) -> Option<ExitStatus> {
        let pid = i32::try_from(self.qemu.id()).ok().and_then(Pid::from_raw)?;
        // A child that was not waited for keeps its number.
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        loop {
            if let Ok(Some(status)) = self.qemu.try_wait() {
                return Some(status);
            }
            self.wait(process.as_fd());
            self.listen(heard);
            self.read_output();
            self.ports.iter_mut().for_each(SerialLine::work);
            self.leases.work();
            if let Some(crash) = &mut self.crash {
                crash.work(self.monitor.as_mut());
            }
            self.answer(heard);
        }
    }

    /// Waits until something has to be done.
    fn wait(&self, process: BorrowedFd<'_>) {
        let mut polled = vec![
            PollFd::from_borrowed_fd(process, PollFlags::IN),
            PollFd::new(&self.control, PollFlags::IN),
        ];
        if let Some(monitor) = &self.monitor {
            polled.push(PollFd::from_borrowed_fd(
                monitor.descriptor(),
                PollFlags::IN,
            ));
        }
        if let Some(output) = &self.output {
            polled.push(PollFd::new(output, PollFlags::IN));
        }
        if let Some(pipe) = self.crash.as_ref().and_then(CrashMemory::descriptor) {
            polled.push(PollFd::from_borrowed_fd(pipe, PollFlags::IN));
        }
        let asked = self.leases.descriptors();
        polled.extend(asked.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        let ports = self.ports.iter().flat_map(SerialLine::polled);
        polled.extend(ports.map(|(descriptor, flags)| PollFd::from_borrowed_fd(descriptor, flags)));
        let _again = poll(&mut polled, None);
    }

    /// Hears what QEMU has said. A QEMU that breaks the protocol is ended.
    fn listen(&mut self, heard: &mut Heard) {
        let Some(monitor) = &mut self.monitor else {
            return;
        };
        let read = monitor.read_events();
        while let Some(event) = monitor.next_event() {
            heard.hear(&event);
            match (&event, &mut self.crash) {
                (Event::Unplugged(device), _) => self.cards.has_left(device),
                (Event::Panicked, Some(crash)) => crash.begin(monitor, self.granted.most_bytes()),
                (Event::Dumped(why_not), Some(crash)) => {
                    crash.hear(monitor, why_not.as_deref());
                }
                _ => {}
            }
            if event == Event::Reset
                && let Some(vsock) = &self.vsock
            {
                // Streams to the guest that was there end now, not when the next one has its driver.
                vsock.handle().reset();
                self.dialled.restart();
            }
        }
        match read {
            Ok(()) => {}
            Err(QmpError::Closed) => self.monitor = None,
            Err(_) => {
                self.monitor = None;
                let _ended_already = self.qemu.kill();
            }
        }
    }

    /// What QEMU writes there after its start is of no use to any client, but QEMU must not wait for room.
    fn read_output(&mut self) {
        let mut buffer = [0_u8; 4096];
        if let Some(output) = &self.output
            && rustix::io::read(output, &mut buffer) == Ok(0)
        {
            self.output = None;
        }
    }

    fn answer(&mut self, heard: &mut Heard) {
        loop {
            let connection = accept_with(&self.control, SocketFlags::CLOEXEC);
            match connection {
                Ok(connection) => {
                    control::answer(connection, self.wants_proof, self.parts());
                    // What QEMU said before its answer is not announced by its descriptor any more.
                    self.listen(heard);
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// What a request may be about.
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            monitor: self.monitor.as_mut(),
            held: &mut self.held,
            granted: &mut self.granted,
            cards: &mut self.cards,
            leases: &mut self.leases,
            pictures: &mut self.pictures,
            dialled: &self.dialled,
            sockets: self.sockets.as_ref(),
            shares: self.shares.as_ref(),
            vsock: self.vsock.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        os::unix::net::UnixStream,
        process::Command,
        thread,
        time::Duration,
    };

    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, listen, socket_with};

    use super::*;
    use crate::{
        machine::control::bind_in,
        protocol::{self, SOCKET, WorkerAnswer, WorkerRequest},
    };

    const LIMIT: Duration = Duration::from_secs(20);

    /// A monitor that says what happened to the guest along with each answer.
    fn monitor(happened: &'static str) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}"#;
            writeln!(writer, "{greeting}").unwrap();
            let answers = [
                ("", "{}"),
                (happened, r#"{"running": true, "status": "running"}"#),
            ];
            for ((before, value), command) in answers.iter().zip(BufReader::new(theirs).lines()) {
                let command: serde_json::Value = serde_json::from_str(&command.unwrap()).unwrap();
                let id = &command["id"];
                let said = format!("{before}{{\"return\": {value}, \"id\": {id}}}\n");
                writer.write_all(said.as_bytes()).unwrap();
            }
        });
        Client::greet(ours, LIMIT).unwrap().0
    }

    #[test]
    fn a_reset_that_is_heard_during_a_request_ends_the_streams_of_the_guest() {
        let place = tempfile::tempdir().unwrap();
        let control = bind_in(place.path()).unwrap();
        listen(&control, 1).unwrap();
        let (ours, _front_end) = UnixStream::pair().unwrap();
        let mut qemu = Command::new("sleep").arg("1000").spawn().unwrap();
        let qemus_end = qemu.kill().and_then(|()| qemu.wait());
        let mut worker = Worker {
            qemu,
            monitor: Some(monitor("{\"event\": \"RESET\"}\n")),
            output: None,
            ports: Vec::new(),
            dialled: Switchboard::default(),
            sockets: None,
            shares: None,
            vsock: Some(VsockServer::serve(ours, 16, Switchboard::default()).unwrap()),
            control,
            wants_proof: false,
            exit: tempfile::tempfile().unwrap(),
            held: HeldFiles::default(),
            granted: Granted::default(),
            cards: Cards::default(),
            leases: Leases::default(),
            pictures: Pictures::default(),
            crash: None,
        };
        qemus_end.unwrap();
        let vsock = worker.vsock.as_ref().unwrap().handle();
        let mut stream = vsock.connect_at_once(1).unwrap();
        // Only so that a failure does not hang.
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let flags = SocketFlags::CLOEXEC;
        let service = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let address = SocketAddrUnix::new(place.path().join(SOCKET)).unwrap();
        connect(&service, &address).unwrap();
        protocol::send(service.as_fd(), &WorkerRequest::IsPaused, None).unwrap();
        worker.answer(&mut Heard::default());
        let (answer, _) = protocol::receive::<WorkerAnswer>(service.as_fd(), LIMIT).unwrap();
        assert_eq!(answer, WorkerAnswer::Paused(false));
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}
