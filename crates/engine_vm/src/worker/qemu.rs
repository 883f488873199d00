//! Starting QEMU: its memory, its descriptors, its process, and the first words with its monitor.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{
            fs::{MetadataExt as _, PermissionsExt as _, fchown},
            net::UnixStream,
            process::CommandExt as _,
        },
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    io::{FdFlags, fcntl_setfd, ioctl_fionbio},
    pipe::{PipeFlags, pipe_with},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    Unstarted, disks, give_up_capabilities, jail::Jail, switchboard::Dialled, vsock::VsockServer,
};
use crate::{
    argv::{self, Accelerator, BoardBoot, Numbers},
    protocol::Setup,
    qmp::{
        Client,
        message::{Version, plain},
    },
    sys::{memory, process},
};

/// How long QEMU may take to its greeting. It is 50 ms on an idle host.
const GREETING_LIMIT: Duration = Duration::from_secs(40);

/// The oldest version that is supported.
const OLDEST: Version = Version { major: 7, minor: 2 };

/// How much of QEMU's last output is told, in bytes.
const MOST_OUTPUT: u64 = 2048;

/// QEMU, standing still before the guest's first instruction.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Child,
    pub(super) monitor: Client,
    /// What QEMU writes to its standard error.
    pub(super) output: OwnedFd,
    /// Its serial ports, in the order of the numbers, and then its virtio serial ports.
    pub(super) ports: Vec<UnixStream>,
    /// The device that its guest dials.
    pub(super) vsock: Option<VsockServer>,
}

/// The files that QEMU is given.
#[derive(Debug)]
pub(super) struct Files {
    /// Or the code of firmware.
    pub(super) kernel: File,
    /// Or the variables of firmware.
    pub(super) initrd: Option<File>,
    /// In the order of the disks.
    pub(super) disks: Vec<OwnedFd>,
    pub(super) persistent: Option<File>,
}

/// Starts QEMU and waits for its monitor. QEMU ends with the calling process.
pub(super) fn start(
    setup: &Setup,
    files: Files,
    ports: &[u8],
    dialled: &Dialled,
) -> Result<Running, Unstarted> {
    let unprepared = |e: io::Error| Unstarted::at("what QEMU needs cannot be prepared", &e);
    let memory = guest_memory(setup.board.memory_mb, setup.user)
        .map_err(|e| Unstarted::at("the guest's memory cannot be made", &e))?;
    if setup.board.holds_memory {
        let length = usize::try_from(setup.board.memory_mb << 20).unwrap_or(usize::MAX);
        memory::hold(memory.as_fd(), length).map_err(|e| {
            Unstarted::at(
                "the guest's memory cannot be held (\"Backing\": \"Physical\")",
                &e,
            )
        })?;
    }
    let ends = Ends::make(setup, memory, files, ports).map_err(unprepared)?;
    let (output, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| unprepared(e.into()))?;
    let process = match spawn(setup, &ends.numbers, ends.given, theirs) {
        Ok(process) => process,
        Err(e) => {
            let why = format!("{} cannot be executed: {e}", setup.program);
            return Err(Unstarted {
                step: "QEMU cannot be started".to_owned(),
                causes: last_output(output).into_iter().chain([why]).collect(),
            });
        }
    };
    let given_up = give_up_capabilities().map_err(|e| e.to_string());
    let served = given_up.and_then(|()| {
        // Before its greeting QEMU waits for the device.
        let device = ends.device;
        let served = device
            .map(|end| VsockServer::serve(end, setup.board.most_memory_mb(), dialled.clone()));
        served.transpose()
    });
    match served.and_then(|vsock| Ok((vsock, greet(ends.monitor)?))) {
        Ok((vsock, monitor)) => {
            ioctl_fionbio(&output, true).map_err(|e| unprepared(e.into()))?;
            Ok(Running {
                process,
                monitor,
                output,
                ports: ends.ports,
                vsock,
            })
        }
        Err(why) => Err(unstarted(process, output, &why)),
    }
}

/// The ends of all that connects QEMU with this process.
#[derive(Debug)]
struct Ends {
    /// QEMU's.
    given: Given,
    numbers: Numbers,
    monitor: UnixStream,
    /// In the order of the ports' numbers, and then those of virtio serial ports.
    ports: Vec<UnixStream>,
    /// That of the device for vsock.
    device: Option<UnixStream>,
}

impl Ends {
    fn make(setup: &Setup, memory: OwnedFd, files: Files, ports: &[u8]) -> io::Result<Self> {
        let mut given = Given::default();
        let input = |file: File| match setup.board.boot {
            BoardBoot::Kernel(_) => readable(file),
            // Files of sets are not opened again.
            BoardBoot::Firmware(_) => Ok(file),
        };
        let (monitor, theirs) = UnixStream::pair()?;
        let mut numbers = Numbers {
            memory: given.add(memory),
            kernel: given.add(input(files.kernel)?),
            initrd: None,
            disks: Vec::new(),
            persistent: None,
            monitor: given.add(theirs),
            ports: Vec::new(),
            virtio_ports: Vec::new(),
            vsock: None,
        };
        if let Some(file) = files.initrd {
            numbers.initrd = Some(given.add(input(file)?));
        }
        numbers.disks = files
            .disks
            .into_iter()
            .map(|disk| given.add(disk))
            .collect();
        if let (Some(memory), Some(file)) = (setup.board.persistent, files.persistent) {
            let file = memory.mappable(file, setup.user)?;
            numbers.persistent = Some(given.add(file));
        }
        let mut streams = Vec::new();
        for number in ports {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            streams.push(ours);
            numbers.ports.push((*number, given.add(theirs)));
        }
        for _ in setup.board.virtio_ports.iter().flatten() {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            streams.push(ours);
            numbers.virtio_ports.push(given.add(theirs));
        }
        let mut device = None;
        if setup.has_vsock() {
            let (ours, theirs) = UnixStream::pair()?;
            numbers.vsock = Some(given.add(theirs));
            device = Some(ours);
        }
        Ok(Self {
            given,
            numbers,
            monitor,
            ports: streams,
            device,
        })
    }
}

fn greet(monitor: UnixStream) -> Result<Client, String> {
    let (mut client, version) =
        Client::greet(monitor, GREETING_LIMIT).map_err(|e| e.to_string())?;
    if version < OLDEST {
        let Version { major, minor } = version;
        return Err(format!(
            "QEMU {major}.{minor} is too old: 7.2 or newer is needed"
        ));
    }
    // The guest has not run yet.
    disks::check_files(&mut client).map_err(|e| e.to_string())?;
    Ok(client)
}

/// The descriptors that QEMU inherits.
#[derive(Debug, Default)]
struct Given(Vec<OwnedFd>);

impl Given {
    /// Returns the number under which QEMU has it: the same as here.
    fn add(&mut self, descriptor: impl Into<OwnedFd>) -> i32 {
        let descriptor = descriptor.into();
        let number = descriptor.as_raw_fd();
        self.0.push(descriptor);
        number
    }
}

/// Starts the process, which writes its errors to `output`: those of what it does before it executes QEMU, too.
fn spawn(setup: &Setup, numbers: &Numbers, given: Given, output: OwnedFd) -> io::Result<Child> {
    // Without links: the jail has no place that they lead through.
    let program = fs::canonicalize(&setup.program).unwrap_or_else(|_| setup.program.clone().into());
    let mut command = Command::new(&program);
    command
        .args(argv::argv(&setup.board, numbers))
        .env_clear()
        // QEMU ends by SIGHUP, which the kernel sends to the group of a stopped process whose parent ends.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output);
    let jail = Jail {
        root: setup.root.clone().into(),
        program,
        named: setup.program.clone().into(),
        user: setup.user,
        with_kvm: setup.board.accelerator == Accelerator::Kvm,
    };
    let own = File::open("/proc/self/ns/pid")?;
    process::new_pid_namespace_for_children()?;
    let spawned = process::spawn(command, move || {
        for descriptor in &given.0 {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        jail.enter()
    });
    // With children in another namespace there could be no threads here.
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
    spawned
}

/// Memory of the guest, of fixed size, which only QEMU's user and this process can open.
fn guest_memory(megabytes: u64, user: u32) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = memfd_create("guest-memory", flags)?;
    ftruncate(&memory, megabytes << 20)?;
    fcntl_add_seals(
        &memory,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    let memory = File::from(memory);
    memory.set_permissions(Permissions::from_mode(0o600))?;
    fchown(&memory, Some(user), Some(user))?;
    Ok(memory.into())
}

/// A file that QEMU can open by its descriptor: `file`, where every user may read that, or a copy of it in memory.
fn readable(mut file: File) -> io::Result<File> {
    if file.metadata()?.mode() & 0o004 != 0 {
        return Ok(file);
    }
    let copy = memfd_create("boot-file", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut file, &mut copy)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    hcs_wire::sealing::seal(&copy, seals)?;
    copy.set_permissions(Permissions::from_mode(0o444))?;
    Ok(copy)
}

/// Ends a QEMU that has not greeted; returns its last words.
fn unstarted(mut process: Child, output: OwnedFd, why: &str) -> Unstarted {
    let _ended_already = process.kill();
    let status = process.wait();
    let mut causes: Vec<String> = last_output(output).into_iter().collect();
    causes.push(why.to_owned());
    if let Ok(status) = status {
        causes.push(format!("QEMU ended with {status}"));
    }
    Unstarted {
        step: "QEMU could not make the machine".to_owned(),
        causes,
    }
}

/// What a QEMU that has ended wrote to its standard error.
fn last_output(output: OwnedFd) -> Option<String> {
    let mut words = Vec::new();
    // The only writer is gone, so there is an end.
    let _cut = File::from(output).take(MOST_OUTPUT).read_to_end(&mut words);
    let words = plain(&String::from_utf8_lossy(&words));
    (!words.is_empty()).then(|| format!("QEMU says: {words}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn a_file_that_others_may_not_read_is_copied_once() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        let inode = |file: &File| file.metadata().unwrap().ino();
        let own = inode(&file);
        for (mode, copied) in [(0o644, false), (0o600, true)] {
            file.set_permissions(Permissions::from_mode(mode)).unwrap();
            file.rewind().unwrap();
            let mut again = readable(file.try_clone().unwrap()).unwrap();
            assert_eq!(inode(&again) != own, copied);
            let mut text = String::new();
            again.rewind().unwrap();
            again.read_to_string(&mut text).unwrap();
            assert_eq!(text, "text");
            assert!(again.metadata().unwrap().mode() & 0o004 != 0);
        }
    }

    #[test]
    fn memory_keeps_its_size() {
        let own = rustix::process::geteuid().as_raw();
        let memory = guest_memory(4, own).unwrap();
        let file = File::from(memory);
        assert_eq!(file.metadata().unwrap().len(), 4 << 20);
        assert!(file.set_len(0).is_err() && file.set_len(8 << 20).is_err());
    }
}
