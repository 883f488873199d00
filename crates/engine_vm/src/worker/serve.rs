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

use vhost_vsock::Handle;

use super::{control, serial::Port, switchboard::Switchboard};
use crate::{
    exit::{self, Heard},
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
    pub(super) ports: Vec<Port>,
    /// What the guest has dialled.
    pub(super) dialled: Switchboard,
    /// The device for that.
    pub(super) vsock: Option<Handle>,
    /// Where the service connects.
    pub(super) control: OwnedFd,
    /// Where the end is written down.
    pub(super) exit: File,
}

impl Worker {
    /// Serves until QEMU has ended, and writes down how.
    pub(super) fn serve(mut self) {
        let mut heard = Heard::default();
        let status = self.serve_until_end(&mut heard);
        // What was said between the last look and the end.
        self.listen(&mut heard);
        self.ports.iter_mut().for_each(Port::finish);
        if let Some(vsock) = &self.vsock {
            // A QEMU that was killed half-way may leave it waiting.
            vsock.stop();
        }
        let fault = control::fault(self.vsock.as_ref());
        exit::write(&mut self.exit, heard.exit(status), fault.as_deref());
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
            self.ports.iter_mut().for_each(Port::work);
            self.answer();
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
        let ports = self.ports.iter().flat_map(Port::polled);
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
            if event == Event::Reset
                && let Some(vsock) = &self.vsock
            {
                // Streams to the guest that was there end now, not when the next one has its driver.
                vsock.reset();
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

    fn answer(&mut self) {
        loop {
            let connection = accept_with(&self.control, SocketFlags::CLOEXEC);
            match connection {
                Ok(connection) => {
                    let vsock = self.vsock.as_ref();
                    control::answer(&connection, self.monitor.as_mut(), &self.dialled, vsock);
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
