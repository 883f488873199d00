//! [`VmMachine`]: one virtual machine, as the service holds it.

mod cards;
pub(crate) mod control;
mod gone;
mod guest;
mod modify;
mod picture;
mod resize;
mod saving;

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    process::Child,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engine_container::shared::{look_at, read_left};
use hcs_engine::{
    engine::{Card, CreateRequest, Exit, Found, Guest, Machine, MemoryKills, StdioOffer},
    modification::HostChange,
};
use hcs_schema::{
    Failure, HResult, Stdio,
    documents::{
        ComputeSystem, CrashOptions, CrashReport, GuestCrashSaveInfo, PauseOptions, Properties,
        ShutdownOptions, StartOptions, SystemPropertyType,
    },
};
use hcs_wire::peer::is_open;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Signal, pidfd_send_signal},
};

use crate::{
    crash_memory,
    disk::{self, Controllers},
    exit::{self, Ended},
    grants::Grantee,
    pipe,
    protocol::{SOCKET, WorkerAnswer, WorkerRequest},
    record::Record,
    shares::Share,
};
use control::{Control, is_listened_at};
use gone::GoneGuest;
use guest::{Ports, VsockStdio};
use modify::Change;

/// One virtual machine.
#[derive(Debug)]
pub(crate) struct VmMachine {
    /// The id clients know it by, for messages.
    id: String,
    directory: PathBuf,
    record: Record,
    /// The pidfd of its worker.
    process: OwnedFd,
    control: Arc<Control>,
    /// Whether its document says that a guest agent dials.
    has_agent: bool,
    /// Numbers for the streams of its processes.
    stdio_ports: Ports,
    /// The worker, where this service is its parent and has to take note of its end.
    child: Mutex<Option<Child>>,
    /// What files are granted to.
    grantee: Grantee,
    /// Whether its document has a screen.
    has_screen: bool,
    /// The user who asked for it.
    owner: u32,
    /// The names of its SCSI controllers.
    controllers: Controllers,
    /// Whether its document has limits on input and output.
    has_limits: bool,
    /// Why it cannot be saved.
    saving: Failure,
    /// The memory that it began with, in megabytes.
    boot_mb: u64,
    /// The path of the file for the memory of a guest that crashed.
    crash_memory: Option<String>,
}

impl VmMachine {
    /// The machine of a worker that lives.
    ///
    /// # Errors
    /// Its directory cannot be opened.
    pub(crate) fn new(
        request: &CreateRequest,
        record: Record,
        process: OwnedFd,
        child: Option<Child>,
        grantee: Grantee,
    ) -> Result<Self, Failure> {
        Ok(Self {
            id: request.id.clone(),
            control: Arc::new(Control::new(&request.directory, &record)?),
            has_agent: has_agent(&request.document),
            stdio_ports: Ports::new(),
            directory: request.directory.clone(),
            record,
            process,
            child: Mutex::new(child),
            grantee,
            has_screen: has_screen(&request.document),
            owner: request.user,
            controllers: controllers(&request.document),
            has_limits: has_limits(&request.document),
            saving: saving::refusal(&request.document),
            boot_mb: boot_mb(&request.document),
            crash_memory: crash_memory_of(&request.document),
        })
    }

    /// What became of a machine that an earlier service made.
    ///
    /// # Errors
    /// Whether it lives is unknown for now.
    pub(crate) fn adopt(
        request: &CreateRequest,
        record: &str,
        grantee: impl FnOnce(Option<u32>) -> Grantee,
    ) -> Result<Result<Self, Found>, Failure> {
        let is_gone = || gone(request, "the worker of the virtual machine is gone");
        let Ok(record) = serde_json::from_str::<Record>(record) else {
            return Ok(Err(is_gone()));
        };
        match record.worker.find()? {
            Some(process) if !is_readable(process.as_fd()) => {
                let mut doubt = record.doubt(&request.runtime_id);
                // That of another machine, of another service say, is ended by no record of this one.
                if doubt.is_none() && !is_listened_at(&request.directory, record.worker.pid)? {
                    doubt = Some("its process is not the worker of this machine");
                }
                if let Some(why) = doubt {
                    return Ok(Err(match record.worker.is_ending(process.as_fd()) {
                        true => is_gone(),
                        false => not_believed(why),
                    }));
                }
                let grantee = grantee(record.user);
                Self::new(request, record, process, None, grantee).map(Ok)
            }
            // The number says nothing in another pid namespace, and the socket is the same in all.
            None if is_open(&request.directory.join(SOCKET)) => Err(Failure::new(
                HResult::E_FAIL,
                format!(
                    "the virtual machine {:?} lives in another pid namespace than this service: only one in that can have it",
                    request.id
                ),
            )),
            _ => Ok(Err(is_gone())),
        }
    }

    fn ask(&self, what: &str, request: &WorkerRequest) -> Result<WorkerAnswer, Failure> {
        self.done(what, self.control.ask(request))
    }

    fn done(
        &self,
        what: &str,
        asked: Result<WorkerAnswer, Failure>,
    ) -> Result<WorkerAnswer, Failure> {
        let asked = asked.and_then(|answer| match answer {
            WorkerAnswer::Failed(why) => {
                Err(Failure::new(HResult::E_FAIL, "QEMU did not do it").cause(why))
            }
            WorkerAnswer::StandsStill(why) => Err(Failure::new(HResult::HCS_E_INVALID_STATE, why)),
            WorkerAnswer::Refused(code, why) => Err(Failure::new(HResult(code), why)),
            answer => Ok(answer),
        });
        asked.map_err(|mut failure| {
            let message = format!("the virtual machine {:?} could not be {what}", self.id);
            let mut outer = Failure::new(failure.hresult, message);
            outer = outer.cause(std::mem::take(&mut failure.message));
            outer.causes.append(&mut failure.causes);
            outer
        })
    }

    fn ask_sockets(&self, request: &WorkerRequest) -> Result<WorkerAnswer, Failure> {
        match self.ask("told who may use a socket", request)? {
            WorkerAnswer::NotThere => Err(no_sockets()),
            answer => Ok(answer),
        }
    }

    /// Shares directories, in the name of the user who has asked for the machine.
    ///
    /// # Errors
    /// One cannot be shared; by its pointer.
    pub(crate) fn share<'a>(
        &self,
        shares: impl Iterator<Item = &'a (Share, String)>,
    ) -> Result<(), Failure> {
        for (share, pointer) in shares {
            self.add_share(share.clone(), &format!("{pointer}/Path"))?;
        }
        Ok(())
    }

    fn add_share(&self, mut share: Share, pointer: &str) -> Result<WorkerAnswer, Failure> {
        share.seen = look_at(&share.path, pointer, self.owner)?;
        let request = match share.only {
            Some(_) => WorkerRequest::AddFiles(share),
            None => WorkerRequest::AddShare(share),
        };
        let answer = self.ask("given a share", &request);
        answer.map_err(|mut failure| {
            if let Some(cause) = failure.causes.first_mut() {
                cause.pointer = Some(pointer.to_owned());
            }
            failure
        })
    }

    fn remove_share(&self, name: &str) -> Result<WorkerAnswer, Failure> {
        match self.ask(
            "relieved of a share",
            &WorkerRequest::RemoveShare(name.to_owned()),
        )? {
            WorkerAnswer::NotThere => {
                let message = format!("the virtual machine {:?} has no share {name:?}", self.id);
                let failure = Failure::new(HResult::E_INVALIDARG, message.clone());
                Err(failure.cause_at("/Settings/Name", message))
            }
            answer => Ok(answer),
        }
    }

    fn is_gone(&self) -> bool {
        is_readable(self.process.as_fd())
    }

    /// The same, or that it ends within a time.
    fn is_gone_within(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).unwrap_or_default();
        is_readable_within(self.process.as_fd(), &limit)
    }

    /// Takes note of the worker's end.
    fn reap(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = &mut *child
            && !matches!(worker.try_wait(), Ok(None))
        {
            *child = None;
        }
    }
}

/// Whether a descriptor is readable now: a readable pidfd means that the process has ended.
pub(crate) fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    is_readable_within(descriptor, &Timespec::default())
}

fn is_readable_within(descriptor: BorrowedFd<'_>, limit: &Timespec) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    poll(&mut polled, Some(limit)).is_ok_and(|ready| ready > 0)
}

/// How a machine ended whose worker is gone.
fn gone(request: &CreateRequest, why: &'static str) -> Found {
    let Ended { exit, fault, .. } = ended(&request.directory);
    let why = Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, why);
    Found::Gone {
        why: fault.into_iter().fold(why, Failure::cause),
        exit,
        guest: GoneGuest::of(request),
    }
}

/// A record that another program has written. What it names of the host is left alone.
fn not_believed(why: &'static str) -> Found {
    let message = "the record of the virtual machine is not one that a service wrote";
    Found::Gone {
        why: Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, message).cause(why),
        exit: Exit::Unknown,
        guest: None,
    }
}

/// Whether a document says that a guest agent dials the service.
pub(crate) fn has_agent(document: &ComputeSystem) -> bool {
    let machine = document.virtual_machine.as_ref();
    machine.is_some_and(|machine| machine.guest_connection.is_some())
}

/// Whether a document says that this agent is one that dials from any port.
pub(crate) fn agent_dials_from_any_port(document: &ComputeSystem) -> bool {
    let machine = document.virtual_machine.as_ref();
    let connection = machine.and_then(|machine| machine.guest_connection.as_ref());
    connection.and_then(|connection| connection.use_vsock) == Some(true)
}

fn has_screen(document: &ComputeSystem) -> bool {
    let machine = document.virtual_machine.as_ref();
    let devices = machine.and_then(|machine| machine.devices.as_ref());
    devices.is_some_and(|devices| devices.video_monitor.is_some())
}

/// The SCSI controllers of a document that a machine was made from.
fn controllers(document: &ComputeSystem) -> Controllers {
    let machine = document.virtual_machine.as_ref();
    let controllers = machine.and_then(|machine| Controllers::of_machine(machine).ok());
    controllers.unwrap_or_default()
}

fn has_limits(document: &ComputeSystem) -> bool {
    let machine = document.virtual_machine.as_ref();
    machine.is_some_and(|machine| machine.storage_qos.is_some())
}

/// Nothing limits the disks of a machine.
fn no_limits() -> Failure {
    let message = "nothing can limit the disks of the virtual machine: its document has no VirtualMachine/StorageQoS; an \
                   empty one is enough";
    Failure::new(HResult::HCS_E_INVALID_STATE, message).cause_at("/ResourcePath", message)
}

/// A machine has no sockets of programs.
fn no_sockets() -> Failure {
    let message =
        "the virtual machine has no sockets: its document has no VirtualMachine/Devices/HvSocket";
    Failure::new(HResult::HCS_E_INVALID_STATE, message).cause_at("/ResourcePath", message)
}

fn boot_mb(document: &ComputeSystem) -> u64 {
    let machine = document.virtual_machine.as_ref();
    let topology = machine.and_then(|machine| machine.compute_topology.as_ref());
    let memory = topology.and_then(|topology| topology.memory.as_ref());
    memory
        .and_then(|memory| memory.size_in_mb)
        .unwrap_or_default()
}

fn crash_memory_of(document: &ComputeSystem) -> Option<String> {
    let machine = document.virtual_machine.as_ref()?;
    crash_memory::of_machine(machine).map(|file| file.path)
}

/// How a machine ended. A worker without a last word was killed itself.
fn ended(directory: &std::path::Path) -> Ended {
    exit::read(directory).unwrap_or(Ended::KILLED)
}

impl Guest for VmMachine {
    fn wait_ready(&self, limit: Duration) -> Result<(), Failure> {
        guest::agent(&self.control, false, limit, |within| {
            self.is_gone_within(within)
        })
        .map(drop)
    }

    fn connect_guest(&self, limit: Duration) -> Result<OwnedFd, Failure> {
        let stream = guest::agent(&self.control, true, limit, |within| {
            self.is_gone_within(within)
        })?;
        stream.ok_or_else(|| {
            let message = "the worker of the virtual machine handed no stream over";
            Failure::new(HResult::HCS_E_CONNECT_FAILED, message)
        })
    }

    fn open_stdio(&self, wanted: Stdio<bool>) -> Result<Box<dyn StdioOffer>, Failure> {
        let offer = VsockStdio::offer(&self.control, &self.stdio_ports, wanted);
        Ok(Box::new(offer))
    }

    fn needs_renewal(&self) -> bool {
        true
    }

    fn left(&self) -> Result<Vec<u8>, Failure> {
        read_left(&self.directory)
    }

    fn make_files(&self, _count: usize) -> Result<Vec<OwnedFd>, Failure> {
        // The agent keeps output in files of the guest.
        Ok(Vec::new())
    }
}

impl Machine for VmMachine {
    fn start(&self, _options: &StartOptions) -> Result<(), Failure> {
        self.ask("started", &WorkerRequest::Start).map(drop)
    }

    fn guest(&self) -> Option<&dyn Guest> {
        self.has_agent.then_some(self)
    }

    fn pause(&self, _options: &PauseOptions) -> Result<(), Failure> {
        self.ask("paused", &WorkerRequest::Pause).map(drop)
    }

    fn resume(&self) -> Result<(), Failure> {
        self.ask("resumed", &WorkerRequest::Resume).map(drop)
    }

    fn is_paused(&self) -> Option<bool> {
        match self.control.ask(&WorkerRequest::IsPaused) {
            Ok(WorkerAnswer::Paused(paused)) => Some(paused),
            _ => None,
        }
    }

    fn shut_down(&self, _options: &ShutdownOptions) -> Result<bool, Failure> {
        if self.has_agent {
            return Ok(false);
        }
        self.ask("shut down", &WorkerRequest::PowerDown)
            .map(|_| true)
    }

    fn crash(&self, _options: &CrashOptions) -> Result<(), Failure> {
        self.ask("made to crash", &WorkerRequest::Crash).map(drop)
    }

    fn can_be_saved(&self) -> Result<(), Failure> {
        Err(self.saving.clone())
    }

    fn kill(&self) -> Result<(), Failure> {
        // QEMU ends with its worker, even where there are no control groups.
        let killed = match pidfd_send_signal(&self.process, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => {
                let message = format!("the virtual machine {:?} could not be killed", self.id);
                Err(Failure::new(HResult::E_FAIL, message).because(&std::io::Error::from(errno)))
            }
        };
        self.record.groups.kill().and(killed)
    }

    fn exit_descriptor(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    fn exit(&self) -> Exit {
        self.reap();
        ended(&self.directory).exit
    }

    fn fault(&self) -> Option<String> {
        ended(&self.directory).fault
    }

    fn crash_report(&self) -> CrashReport {
        let is_written = ended(&self.directory).memory_is_written;
        let file = self.crash_memory.clone();
        let failed = file.is_some() && !is_written;
        CrashReport {
            status: Some(if failed { HResult::E_FAIL.0 } else { 0 }),
            guest_crash_save_info: file.filter(|_| is_written).map(|path| GuestCrashSaveInfo {
                save_state_file: Some(path),
            }),
            ..CrashReport::default()
        }
    }

    fn release(&self) -> Result<(), Failure> {
        if !self.is_gone() {
            let message = format!(
                "the virtual machine {:?} still runs and cannot be released",
                self.id
            );
            return Err(Failure::new(HResult::HCS_E_INVALID_STATE, message));
        }
        self.reap();
        let removed = self.record.groups.remove();
        for path in &self.record.pipes {
            pipe::remove(path);
        }
        removed
    }

    fn record(&self) -> String {
        serde_json::to_string(&self.record).unwrap_or_default()
    }

    fn has_cards(&self) -> bool {
        true
    }

    fn plug(&self, card: &Card) -> Result<(), Failure> {
        cards::plug(self, card)
    }

    fn lease(&self, card: &Card) -> Result<(), Failure> {
        cards::lease(self, card)
    }

    fn unplug(&self, link: &str) -> Result<(), Failure> {
        cards::unplug(self, link)
    }

    fn property(&self, kind: SystemPropertyType) -> Result<Option<Properties>, Failure> {
        match kind {
            SystemPropertyType::ConsoleImage => picture::of(self).map(Some),
            SystemPropertyType::Memory => resize::property(self),
            _ => Ok(self.record.groups.property(self.record.made, kind)),
        }
    }

    fn memory_kills(&self) -> MemoryKills {
        self.record.groups.memory_kills()
    }

    fn modify(&self, change: &HostChange) -> Result<(), Failure> {
        match modify::read(change, &self.controllers)? {
            Change::Limit(_) if !self.has_limits => return Err(no_limits()),
            Change::Limit(limits) => {
                self.ask("given other limits", &WorkerRequest::LimitStorage(limits))
            }
            Change::Attach(mut attached) => {
                attached.disk.limited = self.has_limits;
                let file = disk::open(&attached, &self.grantee)?;
                let asked = self
                    .control
                    .ask_with(&WorkerRequest::Attach(attached.disk), &file);
                self.done("given a disk", asked)
            }
            Change::Detach(place) => self.done(
                "relieved of a disk",
                self.control.ask(&WorkerRequest::Detach(place)),
            ),
            Change::Service(port, service) => {
                self.ask_sockets(&WorkerRequest::SetService(port, service))
            }
            Change::Resize(megabytes) => return resize::to(self, megabytes),
            Change::Share(share) => self.add_share(share, "/Settings/Path"),
            Change::Unshare(name) => self.remove_share(&name),
            Change::NoPort => self.ask_sockets(&WorkerRequest::HasSockets),
        }
        .map(drop)
    }
}
