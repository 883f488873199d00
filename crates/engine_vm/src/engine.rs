//! [`VmEngine`]: makes, adopts and sweeps virtual machines.

use std::{
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{
            fs::{DirBuilderExt as _, OpenOptionsExt as _},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use engine_container::shared::{MachineGroups, Made, ProcessName, make_left, open_file};
use hcs_engine::{
    engine::{CreateRequest, Engine, Found, Identity, Machine, Summary, Swept},
    steps::{Step, note},
};
use hcs_schema::{
    Failure, HResult,
    coverage::{Table, VIRTUAL_MACHINE},
    documents::{ComputeSystem, OsType, SystemType},
};
use hcs_wire::{errno::words, proof};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{Pid, PidfdFlags, geteuid, pidfd_open},
};

use crate::{
    argv::{Accelerator, Board, BoardBoot},
    config::{Acceleration, EngineConfig},
    crash_memory,
    disk::{self, Attached},
    exit, firmware,
    grants::Grantee,
    host, hv_socket,
    identity::Living,
    machine::{self, VmMachine, control},
    persistent_memory::{self, PersistentMemory},
    pipe,
    plan::{BACKING, Boot, GROUP, Plan, plan, processor_group},
    protocol::{self, Report, Setup},
    record::Record,
    worker,
};

/// How long a worker may take to have QEMU ready. It gives QEMU less.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Megabytes that a worker takes from the host in a second at least, where it holds the machine's memory: the kernel
/// writes zeros to all of it.
const HELD_PER_SECOND: u64 = 256;

/// Name of the empty directory in a machine's directory that QEMU's root is mounted on.
const ROOT: &str = "root";

/// The engine for virtual machines. Wants root.
#[derive(Debug)]
pub struct VmEngine {
    /// A copy of the service's program that no process can change; workers are executed from it.
    executable: OwnedFd,
    config: EngineConfig,
    /// The users of its machines.
    living: Arc<Living>,
    /// The memory of machines that are being made.
    promised: host::Promised,
}

impl VmEngine {
    /// An engine that executes its workers from `executable`, whose `main` must begin with
    /// [`worker::main_if_worker`].
    #[must_use]
    pub fn new(executable: OwnedFd, config: EngineConfig) -> Self {
        Self {
            executable,
            config,
            living: Arc::default(),
            promised: host::Promised::default(),
        }
    }

    fn identity_of(&self, id: &str) -> Identity {
        Identity {
            user: self.config.users.of(&self.config.pipes, id),
            group: self.config.users.group(),
        }
    }

    fn accelerator(&self) -> Accelerator {
        match self.config.acceleration {
            Acceleration::Translate => Accelerator::Tcg,
            Acceleration::Kvm => Accelerator::Kvm,
        }
    }

    fn make(&self, request: &CreateRequest) -> Result<VmMachine, Failure> {
        as_root()?;
        let mut plan = plan(&request.document, self.accelerator())?;
        let program = host::qemu(&self.config)?;
        // Until the worker has taken it, or has failed.
        let _promise = (plan.holds_memory)
            .then(|| self.promised.promise(plan.whole_mb(), BACKING))
            .transpose()?;
        self.config.users.check(&self.config.others)?;
        let identity = self.identity_of(&request.id);
        let held = self.living.hold(identity.user, &request.id)?;
        let grantee = Grantee::new(identity, &request.id, Some(held));
        let mut inputs = Inputs::open(request, &plan, &grantee, &self.config.pipes)?;
        done("opened the files of the document and made the sockets of serial ports");
        plan.add_memory(inputs.persistent.map_or(0, PersistentMemory::size));
        let made = self.launch(request, &plan, &program, &inputs, grantee);
        made.inspect_err(|_| inputs.undo())
    }

    /// Makes the control groups and the worker in them, and has it start QEMU.
    fn launch(
        &self,
        request: &CreateRequest,
        plan: &Plan,
        program: &Path,
        inputs: &Inputs,
        grantee: Grantee,
    ) -> Result<VmMachine, Failure> {
        let root = &self.config.cgroup_root;
        let groups = MachineGroups::make(root, &request.runtime_id, &plan.limits)?;
        let mut worker = match Launched::start(&self.executable) {
            Ok(worker) => worker,
            Err(e) => {
                let _left = groups.remove();
                return Err(failed(
                    "the worker of the virtual machine cannot be started",
                    &e,
                ));
            }
        };
        let mut setup = self.setup(request, plan, program, grantee.user());
        setup.board.persistent = inputs.persistent;
        setup.wants_proof = proof::is_possible(worker.pid);
        let made = worker
            .join(&groups, root)
            .and_then(|()| worker.join_processors(&groups, root, plan))
            .and_then(|()| worker.instruct(&setup, inputs, &plan.disks))
            .and_then(|()| {
                let made_of = (plan, &groups, setup.wants_proof);
                worker.machine(request, made_of, inputs.pipes.clone(), grantee)
            })
            .and_then(|machine| {
                machine
                    .share(plan.shares.iter().flatten())
                    .map(|()| machine)
            });
        made.inspect_err(|_| {
            // What resists is found by the next sweep; the failure that led here is the one to report.
            let _killed = groups.kill();
            let _left = groups.remove();
        })
    }

    fn setup(
        &self,
        request: &CreateRequest,
        plan: &Plan,
        program: &Path,
        user: Option<u32>,
    ) -> Setup {
        Setup {
            board: Board {
                name: request.runtime_id.clone(),
                accelerator: self.accelerator(),
                memory_mb: plan.memory_mb,
                most_added_mb: plan.most_added_mb,
                processors: plan.processors,
                boot: match &plan.boot {
                    Boot::Kernel { command_line, .. } => BoardBoot::Kernel(command_line.clone()),
                    Boot::Firmware(firmware) => BoardBoot::Firmware(firmware.order.clone()),
                },
                stops_on_reset: plan.stops_on_reset,
                controllers: plan.controllers.clone(),
                disks: plan.disks.iter().map(|attached| attached.disk).collect(),
                network_ports: plan.network_ports,
                screen: plan.screen,
                holds_memory: plan.holds_memory,
                keeps_crashed: plan.crash_memory.is_some(),
                storage_limits: plan.storage_limits,
                virtio_ports: plan.virtio_ports.as_ref().map(|ports| {
                    let ports = ports.iter().map(|port| port.port.clone());
                    ports.collect()
                }),
                persistent: None,
            },
            program: program.display().to_string(),
            user: user.unwrap_or(self.config.users.first),
            root: request.directory.join(ROOT).display().to_string(),
            has_initrd: match &plan.boot {
                Boot::Kernel { initrd, .. } => initrd.is_some(),
                Boot::Firmware(_) => true,
            },
            ports: plan.ports.iter().map(|port| port.number).collect(),
            has_agent: machine::has_agent(&request.document),
            agent_dials_from_any_port: machine::agent_dials_from_any_port(&request.document),
            hv_socket: plan.hv_socket.clone(),
            wants_proof: false,
            shares_of: plan.shares.is_some().then(|| host::owner(request.user)),
        }
    }
}

/// What a worker is given.
#[derive(Debug)]
struct Inputs {
    /// In the order of [`Setup::descriptors`].
    descriptors: Vec<OwnedFd>,
    /// The sockets of serial ports.
    pipes: Vec<PathBuf>,
    /// What is to be seen of the file of persistent memory.
    persistent: Option<PersistentMemory>,
}

impl Inputs {
    fn open(
        request: &CreateRequest,
        plan: &Plan,
        grantee: &Grantee,
        pipes: &Path,
    ) -> Result<Self, Failure> {
        let directory = &request.directory;
        let own = |e: std::io::Error| {
            Failure::new(HResult::E_FAIL, "the machine's directory cannot be used").because(&e)
        };
        let exit = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(exit::FILE));
        let mut root = fs::DirBuilder::new();
        root.mode(0o700).create(directory.join(ROOT)).map_err(own)?;
        let control = control::bind_in(directory).map_err(|e| own(e.into()))?;
        let mut inputs = Self {
            descriptors: vec![exit.map_err(own)?.into(), control],
            pipes: Vec::new(),
            persistent: None,
        };
        match &plan.boot {
            Boot::Kernel { kernel, initrd, .. } => {
                for file in [Some(kernel), initrd.as_ref()].into_iter().flatten() {
                    let opened = open_file(&file.path, file.pointer)?;
                    inputs.descriptors.push(opened);
                }
            }
            Boot::Firmware(firmware) => inputs
                .descriptors
                .extend(firmware::open(firmware, grantee)?),
        }
        inputs.open_images(plan, grantee)?;
        let ports = plan.ports.iter().map(|port| (&port.pipe, &port.pointer));
        let virtio = plan.virtio_ports.iter().flatten();
        let virtio = virtio.map(|port| (&port.pipe, &port.pointer));
        for (pipe, pointer) in ports.chain(virtio) {
            match pipe::listen_on(pipe, pipes, pointer) {
                Ok(listener) => inputs.descriptors.push(listener),
                Err(failure) => {
                    inputs.undo();
                    return Err(failure);
                }
            }
            inputs.pipes.push(pipe.path(pipes));
        }
        if plan.hv_socket.is_some() {
            let sockets = open_sockets(directory).inspect_err(|_| inputs.undo())?;
            inputs.descriptors.extend(sockets);
        }
        match inputs.open_last(request, plan, grantee) {
            Ok(()) => Ok(inputs),
            Err(failure) => {
                inputs.undo();
                Err(failure)
            }
        }
    }

    /// Opens what the end of the machine is written into.
    fn open_last(
        &mut self,
        request: &CreateRequest,
        plan: &Plan,
        grantee: &Grantee,
    ) -> Result<(), Failure> {
        if let Some(file) = &plan.crash_memory {
            self.descriptors.push(crash_memory::open(file, grantee)?);
        }
        if machine::has_agent(&request.document) {
            self.descriptors.push(make_left(&request.directory)?);
        }
        Ok(())
    }

    fn open_images(&mut self, plan: &Plan, grantee: &Grantee) -> Result<(), Failure> {
        for attached in &plan.disks {
            self.descriptors.push(disk::open(attached, grantee)?);
        }
        if let Some(image) = &plan.persistent {
            let (file, memory) = persistent_memory::open(image, grantee)?;
            self.descriptors.push(file);
            self.persistent = Some(memory);
        }
        Ok(())
    }

    /// Removes what is outside of the machine's directory.
    fn undo(&mut self) {
        // Nothing listens any more.
        self.descriptors.clear();
        for path in &self.pipes {
            pipe::remove(path);
        }
    }
}

/// The folder of sockets of programs, with that which they connect to. It goes with the machine's directory.
fn open_sockets(directory: &Path) -> Result<[OwnedFd; 2], Failure> {
    let path = directory.join(hv_socket::FOLDER);
    let failed = |e: std::io::Error| {
        Failure::new(HResult::E_FAIL, "the machine's sockets cannot be made").because(&e)
    };
    // The users who may enter it are those who may reach the guest.
    let mut folder = fs::DirBuilder::new();
    folder.mode(0o700).create(&path).map_err(failed)?;
    let folder = fs::File::open(&path).map_err(failed)?;
    let name = pipe::PipeName::Path(path.join(hv_socket::SOCKET).display().to_string());
    Ok([folder.into(), pipe::listen_on(&name, &path, "")?])
}

/// A worker that was just started. A drop kills it.
#[derive(Debug)]
struct Launched {
    child: Option<Child>,
    pid: Pid,
    process: OwnedFd,
    socket: OwnedFd,
}

impl Launched {
    fn start(executable: &OwnedFd) -> std::io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let mut child = Command::new(format!("/proc/self/fd/{}", executable.as_raw_fd()))
            .arg0(worker::NAME)
            .env_clear()
            .current_dir("/")
            // A terminal's Ctrl-C is for the service.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // The service's own may be a pipe of the program that started it.
            .stderr(Stdio::null())
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = pid
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match (pid, process) {
            (Some(pid), Ok(process)) => Ok(Self {
                child: Some(child),
                pid,
                process,
                socket: ours,
            }),
            (_, process) => {
                let _ended_already = child.kill();
                let _reaped = child.wait();
                Err(process.err().unwrap_or(Errno::SRCH).into())
            }
        }
    }

    /// Puts it into its groups, and into the order of the kernel's kills where any program is: the service is better.
    fn join(&self, groups: &MachineGroups, root: &str) -> Result<(), Failure> {
        let score = format!("/proc/{}/oom_score_adj", self.pid.as_raw_nonzero());
        fs::write(score, "0").map_err(|e| {
            failed(
                "the worker cannot be made one of the first to be killed",
                &e,
            )
        })?;
        groups.join(root, self.pid)
    }

    /// Puts it into the group of processors that its document names.
    fn join_processors(
        &self,
        groups: &MachineGroups,
        root: &str,
        plan: &Plan,
    ) -> Result<(), Failure> {
        match &plan.processor_group {
            Some(id) => groups.join_processors(root, (id, GROUP), self.pid),
            None => Ok(()),
        }
    }

    /// Says what to run, and waits until QEMU is there.
    fn instruct(&self, setup: &Setup, inputs: &Inputs, disks: &[Attached]) -> Result<(), Failure> {
        let lost = |errno: Errno| {
            let what = "the worker of the virtual machine cannot be reached";
            Failure::new(HResult::E_FAIL, what).cause(words(errno))
        };
        let send = |descriptor: BorrowedFd<'_>| {
            protocol::send(self.socket.as_fd(), &(), Some(descriptor)).map_err(lost)
        };
        protocol::send(self.socket.as_fd(), setup, None).map_err(lost)?;
        for descriptor in &inputs.descriptors {
            send(descriptor.as_fd())?;
        }
        done("told the worker what to run");
        match protocol::receive(self.socket.as_fd(), start_limit(&setup.board)).map_err(lost)? {
            (Report::Ready, _) => {
                done("QEMU has made the machine");
                Ok(())
            }
            (Report::Failed(step, causes), _) => {
                let failure = Failure::new(HResult::E_FAIL, step);
                let told = |failure: Failure, cause: String| match faulty(disks, &cause) {
                    Some((pointer, why)) => failure.cause_at(pointer, why),
                    None => failure.cause(cause),
                };
                Err(causes.into_iter().fold(failure, told))
            }
        }
    }

    fn machine(
        &mut self,
        request: &CreateRequest,
        (plan, groups, proof): (&Plan, &MachineGroups, bool),
        pipes: Vec<PathBuf>,
        grantee: Grantee,
    ) -> Result<VmMachine, Failure> {
        let record = Record {
            worker: ProcessName::of(self.pid.as_raw_nonzero().get())?,
            made: Made::now(),
            groups: groups.clone(),
            pipes,
            user: grantee.user(),
            memory: plan.hot_memory(),
            leases: true,
            tells_of_agent: true,
            proof,
        };
        let process = rustix::io::fcntl_dupfd_cloexec(&self.process, 3);
        let process = process.map_err(|e| failed("no descriptors are left", &e.into()))?;
        VmMachine::new(request, record, process, self.child.take(), grantee)
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended_already = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// How long the worker of a machine may take to have QEMU ready.
fn start_limit(board: &Board) -> Duration {
    match board.holds_memory {
        true => START_LIMIT + Duration::from_secs(board.memory_mb / HELD_PER_SECOND),
        false => START_LIMIT,
    }
}

fn as_root() -> Result<(), Failure> {
    if geteuid().is_root() {
        return Ok(());
    }
    let message = "virtual machines need a service that runs as root; this one runs as an ordinary user, who can have \
                   containers";
    Err(Failure::new(HResult::NOT_SUPPORTED, message))
}

fn failed(what: &'static str, why: &std::io::Error) -> Failure {
    Failure::new(HResult::E_FAIL, what).because(why)
}

/// The pointer of the disk that QEMU complains of, and its words without the description of the disk.
fn faulty<'a>(disks: &'a [Attached], complaint: &str) -> Option<(&'a str, String)> {
    let named = |attached: &&Attached| {
        let quoted = [attached.disk.place.node(), attached.disk.place.device()]
            .map(|name| format!("\"{name}\""));
        quoted.iter().any(|name| complaint.contains(name))
    };
    let attached = disks.iter().find(named)?;
    let words = complaint.rsplit("}: ").next().unwrap_or(complaint);
    Some((
        &attached.pointer,
        format!("QEMU cannot use {}: {words}", attached.path),
    ))
}

/// Notes a step for the time line of the operation.
fn done(what: &'static str) {
    note(|| Step {
        at: Instant::now(),
        what: what.into(),
    });
}

impl Engine for VmEngine {
    fn name(&self) -> &'static str {
        "vm"
    }

    fn accepts(&self, document: &ComputeSystem) -> bool {
        document.virtual_machine.is_some()
    }

    fn summary(&self, document: &ComputeSystem) -> Summary {
        let machine = document.virtual_machine.as_ref();
        let chipset = machine.and_then(|machine| machine.chipset.as_ref());
        let linux = chipset.is_some_and(|chipset| chipset.linux_kernel_direct.is_some());
        Summary {
            system_type: SystemType::VirtualMachine,
            os_type: linux.then_some(OsType::Linux),
            image: None,
            process_defaults: None,
        }
    }

    fn coverage(&self) -> &'static Table {
        &VIRTUAL_MACHINE
    }

    fn processor_group<'a>(&self, document: &'a ComputeSystem) -> Option<&'a str> {
        processor_group(document.virtual_machine.as_ref()?)
    }

    fn identity(&self, id: &str) -> Result<Option<Identity>, Failure> {
        as_root()?;
        Ok(Some(self.identity_of(id)))
    }

    fn create(&self, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        match self.make(request) {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(failure) => Err(failure.while_doing("Construct")),
        }
    }

    fn adopt(&self, request: &CreateRequest, record: &str) -> Result<Found, Failure> {
        let adopted = VmMachine::adopt(request, record, |user| {
            // Only one of an earlier configuration may have a user that another machine has: it goes on.
            let held = user.and_then(|user| self.living.hold(user, &request.id).ok());
            Grantee::new(self.identity_of(&request.id), &request.id, held)
        });
        Ok(match adopted? {
            Ok(machine) => Found::Living(Arc::new(machine)),
            Err(gone) => gone,
        })
    }

    fn sweep(&self, _keep: &[String]) -> Swept {
        // Control groups have the names of those of containers and are swept with them.
        pipe::sweep(&self.config.pipes);
        Swept::default()
    }
}
