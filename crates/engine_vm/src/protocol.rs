//! The messages between the service and a worker. Both ends come from this crate, but maybe from two versions of it.
//!
//! All sockets are `SOCK_SEQPACKET`, each message is one JSON value of at most [`LONGEST`] bytes.
//!
//! | socket | messages |
//! |---|---|
//! | the worker's standard input | [`Setup`], then one message per descriptor in the order of [`Setup::descriptors`]; a
//! [`Report`] back, and the end |
//! | `worker.sock` in the machine's directory | a connection for each call: the proof of who asks, where
//! [`Setup::wants_proof`] says so; a [`WorkerRequest`], a [`WorkerAnswer`], the end |

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::sockopt::{Timeout, set_socket_timeout},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    argv::Board,
    dhcp::Lease,
    disk::{Disk, Place},
    hv_socket::{Rules, Service},
    shares::{Owner, Share},
    storage::StorageLimits,
};

/// Name of the worker's socket in the machine's directory.
pub(crate) const SOCKET: &str = "worker.sock";

/// Ports of the host for the standard streams of processes in the guest.
pub(crate) const STDIO_PORTS: RangeInclusive<u32> = 0x4001_0000..=0x7fff_ffff;

/// The largest picture of a screen, in bytes: a client gets it in one message, in longer words.
pub(crate) const LARGEST_PICTURE: u64 = 8 << 20;

/// The longest message, in bytes.
const LONGEST: usize = 64 << 10;

/// What a worker is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The machine.
    pub(crate) board: Board,
    /// QEMU's program.
    pub(crate) program: String,
    /// The user that QEMU runs as, and the group of the same number.
    pub(crate) user: u32,
    /// An empty directory, which QEMU's root is mounted on in its own namespace.
    pub(crate) root: String,
    /// Whether there is an initial RAM disk, or variables of firmware.
    pub(crate) has_initrd: bool,
    /// The numbers of the serial ports.
    pub(crate) ports: Vec<u8>,
    /// Whether the guest's agent dials the service.
    pub(crate) has_agent: bool,
    /// Whether it may dial from any port of the guest.
    #[serde(default)]
    pub(crate) agent_dials_from_any_port: bool,
    /// The rules of sockets between programs of the host and of the guest.
    pub(crate) hv_socket: Option<Rules>,
    /// Whether the service proves, on each connection, that it is no process of a container ([`hcs_wire::proof`]).
    #[serde(default)]
    pub(crate) wants_proof: bool,
    /// The user with whose rights the guest opens directories of the host, if it may have some.
    pub(crate) shares_of: Option<Owner>,
}

impl Setup {
    /// How many descriptors follow: the file for the end; the worker's socket (bound, not listening); the kernel or
    /// the code of firmware; the initial RAM disk if there is one, or the variables of firmware; the file of each disk;
    /// that of persistent memory; the listening socket of each serial port, and of each virtio serial port; the folder
    /// of sockets of programs, and the listening one in it; the file for the memory of a guest that crashed; the file
    /// for what the agent leaves.
    pub(crate) fn descriptors(&self) -> usize {
        let boot = 3 + usize::from(self.has_initrd);
        let sockets = if self.hv_socket.is_some() { 2 } else { 0 };
        let ports = self.ports.len() + self.board.virtio_ports.iter().flatten().count();
        let crash = usize::from(self.board.keeps_crashed);
        let persistent = usize::from(self.board.persistent.is_some());
        let left = usize::from(self.has_agent);
        boot + self.board.disks.len() + persistent + ports + sockets + crash + left
    }

    /// Whether the guest has a device for sockets.
    pub(crate) const fn has_vsock(&self) -> bool {
        self.has_agent || self.hv_socket.is_some() || self.shares_of.is_some()
    }
}

/// How the start of QEMU went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The machine is there and stands still.
    Ready,
    /// It is not; a sentence for the step, and the sentences behind it. The worker ends.
    Failed(String, Vec<String>),
}

/// What a service asks of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WorkerRequest {
    /// Let the processors run for the first time. Again is fine.
    Start,
    /// Stop the processors. Again is fine.
    Pause,
    /// Let stopped processors run. Again is fine.
    Resume,
    /// Whether they are stopped.
    IsPaused,
    /// Press the power button.
    PowerDown,
    /// Interrupt the guest in a way that it cannot mask, so that it crashes.
    Crash,
    /// Whether the guest agent has dialled.
    HasAgent,
    /// Whether the guest has sockets with programs of the host.
    HasSockets,
    /// Answer when the guest agent has dialled. The worker of an earlier release hangs up on this.
    AwaitAgent,
    /// Hand over the stream that the guest agent has dialled.
    TakeAgent,
    /// Hand over the stream that the guest has dialled to this port, one of [`STDIO_PORTS`].
    TakeStdio(u32),
    /// What went wrong at the device for sockets between guest and host, last.
    Fault,
    /// Plug this disk in, whose file comes along.
    Attach(Disk),
    /// Pull the disk at this place out.
    Detach(Place),
    /// Give its disks these limits.
    LimitStorage(StorageLimits),
    /// Give this port of sockets rules of its own, or take them.
    SetService(u32, Option<Service>),
    /// Share this directory.
    AddShare(Share),
    /// Share some files of a directory. The worker of an earlier release, which would share all, does not know this.
    AddFiles(Share),
    /// Take the share of this name away.
    RemoveShare(String),
    /// Plug a network card with this name and hardware address in; the descriptor of its link comes along.
    Plug(String, [u8; 6]),
    /// Answer what the guest asks by DHCP from the card with this name and hardware address; the socket that hears it
    /// comes along.
    Lease(String, [u8; 6], Lease),
    /// Take the network card of this name away.
    Unplug(String),
    /// Have the guest take so many megabytes on top of what it began with, or give back what it has beyond; and the
    /// most that it can have.
    ResizeMemory(u64, u64),
    /// How many megabytes it has on top.
    AddedMemory,
    /// Hand over a picture of the screen.
    TakePicture,
}

/// What a worker says to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WorkerAnswer {
    /// It was done; a stream or file that was asked for comes along.
    Done,
    /// The guest has not dialled.
    NotThere,
    /// Whether the processors were stopped after they had run.
    Paused(bool),
    /// The answer to [`WorkerRequest::Fault`].
    Fault(Option<String>),
    /// The answer to [`WorkerRequest::AddedMemory`].
    AddedMemory(u64),
    /// It was not done, for this reason.
    Failed(String),
    /// It cannot be done while the processors stand still.
    StandsStill(String),
    /// It was not done, with this HRESULT and for this reason.
    Refused(i32, String),
}

/// Sends one message, with a descriptor if there is one.
///
/// # Errors
/// The errno of `sendmsg(2)`; `EMSGSIZE` for a message that is too long.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let text = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    if text.len() > LONGEST {
        return Err(Errno::MSGSIZE);
    }
    hcs_wire::socket::send(socket, &text, descriptor.as_slice()).map(drop)
}

/// Receives one message with its descriptor, if it has one, and waits at most for `limit`.
///
/// # Errors
/// The errno of `recvmsg(2)`; `ETIMEDOUT` without a message in time, `ECONNRESET` at the end, `EBADMSG` for one that is
/// too long, no such message, or has several descriptors.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    limit: Duration,
) -> Result<(T, Option<OwnedFd>), Errno> {
    // A limit of zero would be none.
    let limit = limit.max(Duration::from_millis(1));
    set_socket_timeout(socket, Timeout::Recv, Some(limit))?;
    let mut buffer = vec![0; LONGEST + 1];
    let mut descriptors = VecDeque::new();
    let received = hcs_wire::socket::receive(socket.as_fd(), &mut buffer, &mut descriptors);
    let length = received.map_err(|errno| match errno {
        Errno::AGAIN => Errno::TIMEDOUT,
        errno => errno,
    })?;
    let descriptor = descriptors.pop_front();
    match length {
        0 => Err(Errno::CONNRESET),
        _ if length > LONGEST || !descriptors.is_empty() => Err(Errno::BADMSG),
        _ => {
            let message = serde_json::from_slice(&buffer[..length]);
            Ok((message.map_err(|_| Errno::BADMSG)?, descriptor))
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use hcs_schema::documents::VirtualMachine;

    use super::*;
    use crate::{
        argv::{Accelerator, BoardBoot},
        disk::format::Format,
        hv_socket::MOST_SERVICES,
        persistent_memory::PersistentMemory,
        screen::Screen,
        virtio_serial::{MOST_PORTS, VirtioPort},
    };

    const LIMIT: Duration = Duration::from_secs(20);

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    }

    #[test]
    fn messages_arrive_with_their_descriptors() {
        let (one, other) = pair();
        let file = tempfile::tempfile().unwrap();
        send(one.as_fd(), &WorkerRequest::Pause, Some(file.as_fd())).unwrap();
        send(one.as_fd(), &WorkerRequest::Start, None).unwrap();
        let (request, descriptor) = receive::<WorkerRequest>(other.as_fd(), LIMIT).unwrap();
        assert!(request == WorkerRequest::Pause && descriptor.is_some());
        let (request, descriptor) = receive::<WorkerRequest>(other.as_fd(), LIMIT).unwrap();
        assert!(request == WorkerRequest::Start && descriptor.is_none());
        let late = receive::<WorkerRequest>(other.as_fd(), Duration::from_millis(1));
        assert_eq!(late.unwrap_err(), Errno::TIMEDOUT);
        drop(one);
        assert_eq!(
            receive::<WorkerRequest>(other.as_fd(), LIMIT).unwrap_err(),
            Errno::CONNRESET
        );
    }

    #[test]
    fn the_largest_machine_fits_into_a_message() {
        let places: Vec<Place> = (0..4)
            .flat_map(|controller| (0..64).map(move |slot| Place { controller, slot }))
            .collect();
        let disks = places.iter().map(|place| Disk {
            place: *place,
            format: Format::Qcow2,
            optical: false,
            read_only: false,
            ignores_flushes: false,
            limited: true,
            device: false,
        });
        let ports = u32::MAX - u32::try_from(MOST_SERVICES).unwrap()..u32::MAX;
        let closed =
            serde_json::json!({"BindSecurityDescriptor": "D:", "ConnectSecurityDescriptor": "D:"});
        let table: serde_json::Map<_, _> = ports
            .map(|port| {
                (
                    format!("{port:08x}-facb-11e6-bd58-64006a7986d3"),
                    closed.clone(),
                )
            })
            .collect();
        let machine = serde_json::json!({"Devices": {"HvSocket": {"HvSocketConfig": {"ServiceTable": table}}}});
        let machine: VirtualMachine = hcs_schema::parse(&machine.to_string()).unwrap();
        let mut setup = Setup {
            board: Board {
                name: "x".repeat(64),
                accelerator: Accelerator::Tcg,
                memory_mb: u64::MAX,
                processors: u32::MAX,
                boot: BoardBoot::Firmware(places.clone()),
                stops_on_reset: false,
                controllers: vec![0, 1, 2, 3],
                disks: disks.collect(),
                network_ports: 8,
                screen: Some(Screen {
                    width: u16::MAX,
                    height: u16::MAX,
                }),
                holds_memory: true,
                most_added_mb: u64::MAX,
                keeps_crashed: true,
                storage_limits: Some(StorageLimits {
                    operations: u64::MAX,
                    bytes: u64::MAX,
                }),
                virtio_ports: Some(vec![
                    VirtioPort {
                        number: u8::MAX,
                        name: "x".repeat(64),
                        is_console: false,
                    };
                    usize::from(MOST_PORTS)
                ]),
                persistent: Some(PersistentMemory::of_tests(u64::MAX)),
            },
            program: "x".repeat(256),
            user: u32::MAX,
            root: "x".repeat(1024),
            has_initrd: true,
            ports: vec![0, 1, 2, 3],
            has_agent: true,
            agent_dials_from_any_port: true,
            wants_proof: true,
            hv_socket: Rules::of_machine(&machine).unwrap(),
            shares_of: Some(Owner {
                user: u32::MAX,
                group: u32::MAX,
            }),
        };
        let (one, _other) = pair();
        send(one.as_fd(), &setup, None).unwrap();
        setup.board.boot = BoardBoot::Kernel("\\".repeat(2047));
        send(one.as_fd(), &setup, None).unwrap();
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (one, other) = pair();
        let file = tempfile::tempfile().unwrap();
        let two = [file.as_fd(), file.as_fd()];
        hcs_wire::socket::send(&one, b"\"Start\"", &two).unwrap();
        hcs_wire::socket::send(&one, b"\"Begin\"", &[]).unwrap();
        hcs_wire::socket::send(&one, &vec![b' '; LONGEST + 1], &[]).unwrap();
        for _ in 0..3 {
            assert_eq!(
                receive::<WorkerRequest>(other.as_fd(), LIMIT).unwrap_err(),
                Errno::BADMSG
            );
        }
        let long = WorkerAnswer::Failed("x".repeat(LONGEST));
        assert_eq!(send(one.as_fd(), &long, None), Err(Errno::MSGSIZE));
    }
}
