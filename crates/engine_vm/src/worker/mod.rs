//! The worker: one process per machine, which owns QEMU, its monitor and the host's ends of its serial ports.
//!
//! The service executes it from the sealed copy of its own program, with a socket as standard input. It puts the worker
//! into the machine's control groups before it says what to run. It outlives the service. QEMU ends with it, and it
//! ends with QEMU, after it has written down how (`exit`).
//!
//! 1. [`main_if_worker`]: the beginning; sets up and reports.
//! 2. `qemu`: starts QEMU. `jail`: what QEMU's process gives up first.
//! 3. `serve`: the loop. `serial`: one serial port. `control`: a request of the service. `disks`, `cards`: those that
//!    come and go. `picture`: what the screen shows. `crash_memory`: the memory of a guest that crashed.
//!    `hot_memory`: that which comes and goes. `leases`: addresses of its cards.
//! 4. `vsock`: the device that the guest dials. `switchboard`: the streams that it has dialled. `left`: what its agent
//!    leaves.
//! 5. `hv_socket`: programs of the host that connect to the guest, and those that it connects to.
//! 6. `shares`: directories of the host. `share_server`: the process that serves them.

mod cards;
mod control;
mod covered;
mod crash_memory;
mod disks;
mod hot_memory;
mod hv_socket;
mod jail;
mod leases;
mod left;
mod picture;
mod qemu;
mod serial;
mod serve;
mod share_server;
mod shares;
mod switchboard;
mod vsock;

use std::{
    collections::VecDeque,
    fs::File,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    process::exit,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, listen, sockopt},
    process::{DumpableBehavior, set_dumpable_behavior},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};

use crate::{
    hot_memory::Granted,
    protocol::{self, Report, Setup},
    sys::{descriptors, process::ignore_hangups},
};
use cards::Cards;
use crash_memory::CrashMemory;
use disks::HeldFiles;
use hv_socket::HvSocket;
use leases::Leases;
use left::Left;
use picture::Pictures;
use serial::SerialLine;
use serve::Worker;
use shares::Shares;
use switchboard::{Dialled, Switchboard};

/// What the worker calls itself in `argv[0]`.
pub(crate) const NAME: &str = "hcsd-vm";

/// How long the service may take to say what to run.
const SETUP_LIMIT: Duration = Duration::from_secs(30);

/// Calls of the service that may wait for their turn.
const QUEUE: i32 = 16;

/// The worker has its socket as standard input, and the other standard descriptors.
const FIRST_UNUSED: u32 = 3;

/// Exit code of a worker that met an error.
const FAILED: i32 = 70;

/// Runs a worker and never returns, when the calling process was started as one; returns at once otherwise.
///
/// Must come first in `main`, before there are threads.
pub fn main_if_worker() {
    share_server::main_if_share_server();
    let named = std::env::args_os()
        .next()
        .is_some_and(|name| name.as_bytes() == NAME.as_bytes());
    if !named || !stdin_is_service() {
        return;
    }
    let service = descriptors::take_stdin();
    exit(match run(&service) {
        Ok(()) => 0,
        Err(_) => FAILED,
    });
}

/// Only the service makes such a standard input.
fn stdin_is_service() -> bool {
    let stdin = rustix::stdio::stdin();
    sockopt::socket_domain(stdin) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(stdin) == Ok(SocketType::SEQPACKET)
}

fn run(service: &OwnedFd) -> Result<(), Errno> {
    descriptors::close_from(FIRST_UNUSED)?;
    ignore_hangups()?;
    rustix::thread::set_name(c"hcsd-vm")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let (setup, inputs) = receive(service)?;
    let ready = start(&setup, inputs);
    let report = match &ready {
        Ok(_) => Report::Ready,
        Err(failure) => Report::Failed(failure.step.clone(), failure.causes.clone()),
    };
    // A service that is gone has written nothing down: QEMU ends with this process.
    protocol::send(service.as_fd(), &report, None)?;
    if let Ok(worker) = ready {
        worker.serve();
    }
    Ok(())
}

/// Descriptors from the service.
#[derive(Debug)]
struct ReceivedInputs {
    exit: File,
    control: OwnedFd,
    /// For QEMU.
    files: qemu::Files,
    ports: Vec<(u8, OwnedFd)>,
    /// In the order of the virtio serial ports; whether each carries data, and is no console.
    virtio_ports: Vec<(OwnedFd, bool)>,
    /// The folder of sockets of programs, and the listening one in it.
    sockets: Option<(OwnedFd, OwnedFd)>,
    /// For the memory of a guest that crashed.
    crash: Option<File>,
    /// For what the agent leaves.
    left: Option<File>,
}

/// Waits for what to run.
fn receive(service: &OwnedFd) -> Result<(Setup, ReceivedInputs), Errno> {
    let (setup, _) = protocol::receive::<Setup>(service.as_fd(), SETUP_LIMIT)?;
    let mut descriptors = VecDeque::new();
    for _ in 0..setup.descriptors() {
        let ((), descriptor) = protocol::receive(service.as_fd(), SETUP_LIMIT)?;
        descriptors.push_back(descriptor.ok_or(Errno::BADMSG)?);
    }
    let mut next = || descriptors.pop_front().ok_or(Errno::BADMSG);
    let inputs = ReceivedInputs {
        exit: next()?.into(),
        control: next()?,
        files: qemu::Files {
            kernel: next()?.into(),
            initrd: match setup.has_initrd {
                true => Some(next()?.into()),
                false => None,
            },
            disks: (setup.board.disks.iter())
                .map(|_| next())
                .collect::<Result<_, Errno>>()?,
            persistent: match setup.board.persistent {
                Some(_) => Some(next()?.into()),
                None => None,
            },
        },
        ports: setup
            .ports
            .iter()
            .map(|number| Ok((*number, next()?)))
            .collect::<Result<_, Errno>>()?,
        virtio_ports: (setup.board.virtio_ports.iter().flatten())
            .map(|port| Ok((next()?, !port.is_console)))
            .collect::<Result<_, Errno>>()?,
        sockets: match &setup.hv_socket {
            Some(_) => Some((next()?, next()?)),
            None => None,
        },
        crash: match setup.board.keeps_crashed {
            true => Some(next()?.into()),
            false => None,
        },
        left: match setup.has_agent {
            true => Some(next()?.into()),
            false => None,
        },
    };
    Ok((setup, inputs))
}

/// Why there is no QEMU.
#[derive(Debug)]
struct Unstarted {
    step: String,
    causes: Vec<String>,
}

impl Unstarted {
    fn at(step: &str, cause: &dyn ToString) -> Self {
        Self {
            step: step.to_owned(),
            causes: vec![cause.to_string()],
        }
    }
}

fn start(setup: &Setup, inputs: ReceivedInputs) -> Result<Worker, Unstarted> {
    let ReceivedInputs {
        exit,
        control,
        files,
        ports,
        virtio_ports,
        sockets,
        crash,
        left,
    } = inputs;
    let numbers: Vec<u8> = ports.iter().map(|(number, _)| *number).collect();
    let (folder, door) = sockets.unzip();
    let sockets = folder.zip(setup.hv_socket.clone());
    let sockets = sockets.map(|(folder, rules)| HvSocket::new(folder, rules));
    // While there are capabilities.
    let shares = start_shares(setup)?;
    let from_any_port = setup.agent_dials_from_any_port;
    let agent = left.map(|left| Switchboard::new(from_any_port, Some(Left::new(left))));
    let dialled = Dialled::new(agent, sockets.clone(), shares.clone());
    let running = qemu::start(setup, files, &numbers, &dialled)?;
    if let Some(vsock) = &running.vsock {
        dialled.switchboard().set_device(vsock.handle().clone());
    }
    if let (Some(sockets), Some(door), Some(vsock)) = (&sockets, door, &running.vsock) {
        let opened = sockets.open_door(door, vsock.handle().clone());
        opened.map_err(|e| Unstarted::at("programs of the host cannot be accepted", &e))?;
    }
    listen(&control, QUEUE).map_err(|e| Unstarted::at("the worker cannot listen", &e))?;
    let listeners = ports.into_iter().map(|(_, listener)| (listener, false));
    let ports = running.ports.into_iter().zip(listeners.chain(virtio_ports));
    Ok(Worker {
        qemu: running.process,
        monitor: Some(running.monitor),
        dialled: dialled.switchboard().clone(),
        sockets,
        shares,
        vsock: running.vsock,
        output: Some(running.output),
        ports: ports
            .map(|(stream, (listener, waits))| SerialLine::new(stream, listener, waits))
            .collect(),
        control,
        wants_proof: setup.wants_proof,
        exit,
        held: HeldFiles::new(setup.board.storage_limits.is_some()),
        granted: Granted::default(),
        cards: Cards::new(setup.board.network_ports),
        leases: Leases::default(),
        pictures: Pictures::default(),
        crash: crash.map(|file| CrashMemory::new(file, setup.board.crash_bytes())),
    })
}

fn start_shares(setup: &Setup) -> Result<Option<Shares>, Unstarted> {
    let shares = setup.shares_of.map(Shares::start).transpose();
    shares.map_err(|e| Unstarted::at("directories of the host cannot be shared", &e))
}

/// All but the power to signal QEMU, which is another user.
fn give_up_capabilities() -> Result<(), Errno> {
    let kept = CapabilitySets {
        effective: CapabilitySet::KILL,
        permitted: CapabilitySet::KILL,
        inheritable: CapabilitySet::empty(),
    };
    set_no_new_privs(true)?;
    set_capabilities(None, kept)
}
