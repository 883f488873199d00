//! The device for sockets between guest and host, on a thread of its own.

use std::{
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use vhost_vsock::{Config, Device, Handle, Limits, Memory, Services};

use crate::{argv::BOARD_MEMORY_MB, qmp::message::plain};

/// The guest's address. Each machine has a device of its own, so all have the same.
const GUEST_CID: u64 = 3;

/// Connections that are kept for the guest's agent: programs of the guest and of the host do not keep it out.
const RESERVE: usize = 128;

/// How long the thread may take to its end. It waits for nothing.
const LIMIT: Duration = Duration::from_secs(5);

/// A device that runs.
#[derive(Debug)]
pub(super) struct VsockServer {
    handle: Handle,
    /// Closed at the end of the thread.
    ended: Receiver<()>,
}

impl VsockServer {
    /// Runs the device behind `end`. It ends with QEMU.
    ///
    /// # Errors
    /// In words: there are no descriptors or threads left.
    pub(super) fn serve(
        end: UnixStream,
        memory_mb: u64,
        services: impl Services + Send + 'static,
    ) -> Result<Self, String> {
        let config = Config {
            cid: GUEST_CID,
            memory: Memory::Shared,
            services: Box::new(services),
            limits: Limits {
                // QEMU announces what it puts below the guest's own memory as well.
                memory: (memory_mb + BOARD_MEMORY_MB) << 20,
                reserve: RESERVE,
                ..Limits::default()
            },
        };
        let (device, handle) = Device::new(end, config).map_err(|e| e.to_string())?;
        let (ending, ended) = channel();
        let thread = thread::Builder::new().name("vsock".to_owned());
        let run = move || {
            let _ending: std::sync::mpsc::Sender<()> = ending;
            // A device that fails leaves the machine without sockets; its agent is then not reached. The handle tells
            // why.
            drop(device.run());
        };
        let spawned = thread.spawn(run);
        spawned
            .map(|_| Self { handle, ended })
            .map_err(|e| e.to_string())
    }

    /// What other threads ask of the device.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What went wrong, last.
    pub(super) fn fault(&self) -> Option<String> {
        self.handle.last_fault().map(|fault| plain(&fault))
    }

    /// Ends the device, and returns what had gone wrong at it until then.
    pub(super) fn finish(self) -> Option<String> {
        // A QEMU that was killed half-way may leave it waiting.
        self.handle.stop();
        match self.ended.recv_timeout(LIMIT) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => self.fault(),
            Err(RecvTimeoutError::Timeout) => {
                Some("the device for sockets of the guest did not end".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::worker::switchboard::Switchboard;

    #[test]
    fn what_went_wrong_at_the_very_end_is_told() {
        for _ in 0..20 {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let vsock = VsockServer::serve(ours, 16, Switchboard::default()).unwrap();
            theirs.write_all(&[0xff; 64]).unwrap();
            let fault = vsock.finish().unwrap();
            assert!(fault.contains("broke the protocol"), "{fault}");
        }
    }
}
