//! [`ContainerMachine`]: one running container, as the service holds it.

pub(crate) mod agent_socket;
mod boot;
mod clock;
mod figures;
mod gone;
mod held_up;
pub(crate) mod job;
mod kept_files;
mod kept_scratch;
pub(crate) mod left_record;
pub(crate) mod modify;

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hcs_engine::{
    engine::{
        CreateRequest, Exit, Guest, Machine, MemoryKills, Outside, ProcessRefusals, StdioOffer,
    },
    modification::HostChange,
};
use hcs_schema::{
    Failure, HResult, Stdio,
    documents::{PauseOptions, Properties, SystemPropertyType},
};
use hcs_storage::image::give_back;
use rustix::{
    fs::{Gid, Uid},
    io::Errno,
    process::{Signal, pidfd_send_signal},
};

use crate::{
    cgroup::limits,
    closer::Closing,
    failure::StepError,
    launcher::Launcher,
    outside::{self, Namespaces},
    parts::{network, own_places::OwnPlaces},
    record::{self, Record},
    stdio::{self, Pipes},
    steps::done,
    user_namespace::IdRangeSlot,
    waiting::is_readable,
};
use boot::BootFailure;

pub(crate) use boot::Boot;
pub(crate) use figures::property;
pub(crate) use gone::GoneGuest;
pub(crate) use kept_scratch::KeptScratch;

/// How long an adoption waits for an agent that does not listen yet.
const MOMENT: Duration = Duration::from_secs(2);

/// One container.
#[derive(Debug)]
pub(crate) struct ContainerMachine {
    /// The id clients know it by, for messages.
    pub(crate) id: String,
    /// The user who asked for it.
    pub(crate) user: u32,
    /// Runs jobs.
    pub(crate) launcher: Arc<Launcher>,
    /// What it must not see of the host.
    pub(crate) own_places: Arc<OwnPlaces>,
    /// What a later service is told.
    pub(crate) record: Record,
    /// The pidfd of its pid 1.
    pub(crate) process: OwnedFd,
    /// The directory that the agent's socket is in.
    pub(crate) directory: OwnedFd,
    /// How far its pid 1 is.
    pub(crate) boot: Mutex<Boot>,
    /// Holds the lock of a scratch that is kept, until the machine is gone.
    pub(crate) scratch: KeptScratch,
    /// Mounts that its child was handed.
    pub(crate) handed: Closing,
    /// Whether it may be frozen, and would have to be thawed to die.
    pub(crate) paused: AtomicBool,
    /// Of an ordinary user's container that has not begun to run: what a network of its own takes.
    pub(crate) namespaces: Mutex<Option<Namespaces>>,
    /// Holds its ids on the host, if it has some of its own, until it is released: clients may have handles of it for
    /// as long as they like.
    pub(crate) slot: Mutex<Option<IdRangeSlot>>,
}

impl ContainerMachine {
    /// A machine of an earlier service; `None` when its process is gone. Nothing is recorded before its child has been
    /// told all it needs, so that has become an agent or does so without help, unless it ends.
    ///
    /// # Errors
    /// It cannot be found out, or what it holds cannot be held again.
    pub(crate) fn adopted(
        request: &CreateRequest,
        record: Record,
        launcher: &Arc<Launcher>,
        own_places: &Arc<OwnPlaces>,
    ) -> Result<Option<Self>, StepError> {
        let found = record::find(record.pid, record.start_time, &record.boot_id)?;
        let Some(process) = found else {
            return Ok(None);
        };
        let directory = agent_socket::open_directory(&request.directory)?;
        let scratch = KeptScratch::again(record.kept_scratch.clone())?;
        Ok(Some(Self {
            id: request.id.clone(),
            user: request.user,
            launcher: Arc::clone(launcher),
            own_places: Arc::clone(own_places),
            record,
            process,
            directory,
            boot: Mutex::new(Boot::Unheard),
            scratch,
            handed: Closing::default(),
            // By the service that ran it before.
            paused: AtomicBool::new(true),
            namespaces: Mutex::default(),
            slot: Mutex::default(),
        }))
    }

    /// Why its living process is not the one that a service has written down. In control groups no other program can
    /// have put it; where the record names none, as those of an ordinary user, its agent has to be that process.
    ///
    /// # Errors
    /// It cannot be told for now.
    pub(crate) fn doubt(&self) -> Result<Option<&'static str>, StepError> {
        let doubt = self.record.doubt_of_process();
        if doubt.is_some() || !self.record.groups.is_empty() {
            return Ok(doubt);
        }
        let is_agent = match agent_socket::is_of(self.directory.as_fd(), self.record.pid, MOMENT) {
            Err(_) if self.is_ending() => return Ok(None),
            answer => answer?,
        };
        let doubt = (!is_agent && !self.is_gone())
            .then_some("its process does not listen at the socket of its agent");
        Ok(doubt)
    }

    fn fail(&self, what: &str, error: StepError) -> Failure {
        error.into_failure(format!("the container {:?} could not be {what}", self.id))
    }

    /// The owner of pipes for its processes: its root, where that is not the host's.
    fn pipe_owner(&self) -> Option<(Uid, Gid)> {
        self.record.pipe_owner()
    }

    fn take_namespaces(&self) -> Option<Namespaces> {
        let namespaces = self.namespaces.lock();
        namespaces.unwrap_or_else(PoisonError::into_inner).take()
    }

    fn take_slot(&self) -> Option<IdRangeSlot> {
        let slot = self.slot.lock();
        slot.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the service that made it was an ordinary user's.
    fn is_of_user(&self) -> bool {
        self.record
            .user_namespace
            .is_some_and(|user| user.slot.is_none())
    }

    /// Gives back its lease on an image.
    fn end_lease(&self) {
        if let Some(lease) = &self.record.lease {
            give_back(lease);
        }
    }

    /// Whether its pid 1 has ended.
    pub(crate) fn is_gone(&self) -> bool {
        is_readable(self.process.as_fd())
    }

    /// The same, or it is about to be gone, which is waited for.
    pub(crate) fn is_ending(&self) -> bool {
        record::is_ending(self.process.as_fd(), self.record.pid)
    }
}

impl Guest for ContainerMachine {
    fn wait_ready(&self, limit: Duration) -> Result<(), Failure> {
        // A descriptor would keep the network when the container is gone.
        drop(self.take_namespaces());
        let (process, directory) = (self.process.as_fd(), self.directory.as_fd());
        boot::wait(&self.boot, limit, process, directory).map_err(|error| {
            let failure = match error {
                BootFailure::Step(error) => {
                    let late = error.errno == Errno::TIMEDOUT;
                    let held_up = late.then(|| held_up::look(self.record.pid)).flatten();
                    let failure = self.fail("started", error);
                    held_up.into_iter().fold(failure, Failure::cause)
                }
                BootFailure::Ended(how) => {
                    let summary = format!("the container {:?} could not be started", self.id);
                    Failure::new(HResult::HCS_E_TERMINATED_DURING_START, summary)
                        .cause(how.to_string())
                }
            };
            if self.memory_kills().count > 0 {
                return failure.cause_at(limits::MEMORY, "its memory limit was reached");
            }
            failure
        })
    }

    fn connect_guest(&self, limit: Duration) -> Result<OwnedFd, Failure> {
        let Record { pid, proof, .. } = self.record;
        let connected = agent_socket::connect_to(self.directory.as_fd(), pid, proof, limit);
        connected.map_err(|error| {
            let mut failure = self.fail("connected to", error);
            if failure.hresult != HResult::HCS_E_CONNECTION_TIMEOUT {
                failure.hresult = HResult::HCS_E_CONNECT_FAILED;
            }
            failure
        })
    }

    fn open_stdio(&self, wanted: Stdio<bool>) -> Result<Box<dyn StdioOffer>, Failure> {
        let pipes = Pipes::open(wanted, self.pipe_owner());
        pipes.map(|pipes| -> Box<dyn StdioOffer> { Box::new(pipes) })
    }

    fn take_pipes(&self, ends: &[OwnedFd], user: u32) -> Result<bool, Failure> {
        stdio::take(ends, self.pipe_owner(), Uid::from_raw(user))
    }

    fn had_pipes(&self, ends: &[OwnedFd], user: u32) -> Result<bool, Failure> {
        stdio::were_taken(ends, self.pipe_owner(), Uid::from_raw(user))
    }

    fn left(&self) -> Result<Vec<u8>, Failure> {
        let read = left_record::read_in(self.directory.as_fd());
        read.map_err(|error| self.fail("asked for what its agent has left", error))
    }

    fn make_files(&self, count: usize) -> Result<Vec<OwnedFd>, Failure> {
        let kept = self.scratch.directory();
        let files = kept_files::make(self.record.scratch.as_deref(), kept.as_deref(), count);
        files.map_err(|error| self.fail("given files for kept output", error))
    }
}

impl Machine for ContainerMachine {
    fn guest(&self) -> Option<&dyn Guest> {
        Some(self)
    }

    fn stop_signal(&self) -> Option<u8> {
        self.record.stop_signal
    }

    fn pause(&self, _options: &PauseOptions) -> Result<(), Failure> {
        if !self.record.groups.can_freeze() {
            let message = format!(
                "the container {:?} cannot be paused: it has no control group to be frozen by, as a service that runs as \
                 an ordinary user can give it none; containers of a service of root can be paused",
                self.id
            );
            return Err(Failure::new(HResult::NOT_SUPPORTED, message));
        }
        self.paused.store(true, Ordering::SeqCst);
        self.record.groups.freeze(true).map_err(|error| {
            // Half frozen is neither one thing nor the other.
            let _thawed = self.record.groups.freeze(false);
            self.fail("paused", error)
        })
    }

    fn resume(&self) -> Result<(), Failure> {
        self.record
            .groups
            .freeze(false)
            .map_err(|error| self.fail("resumed", error))
    }

    fn is_paused(&self) -> Option<bool> {
        self.record.groups.is_frozen()
    }

    fn kill(&self) -> Result<(), Failure> {
        // The kernel ends all other processes of the pid namespace with its pid 1.
        match pidfd_send_signal(&self.process, Signal::KILL) {
            Ok(()) if self.paused.load(Ordering::SeqCst) => self.record.groups.thaw(),
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(self.fail("killed", StepError::new("killing its pid 1", errno)));
            }
        }
        Ok(())
    }

    fn exit_descriptor(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    fn exit(&self) -> Exit {
        boot::how_ended(self.process.as_fd()).into()
    }

    fn let_go(&self) {
        self.scratch.let_go();
        // A client that hears of the end may unmount what it was made from. They were closed long ago, usually.
        self.handed.wait();
        // A client that hears of the end may remove the image at once.
        self.end_lease();
    }

    fn release(&self) -> Result<(), Failure> {
        if !self.is_gone() {
            let message = format!(
                "the container {:?} still runs and cannot be released",
                self.id
            );
            return Err(Failure::new(HResult::HCS_E_INVALID_STATE, message));
        }
        self.scratch.let_go();
        self.end_lease();
        let removed = self.record.groups.remove();
        let groups = removed.inspect(|()| done("removed the control groups"));
        let scratch = self.record.scratch.as_deref();
        let scratch = scratch.map_or(Ok(()), |path| {
            job::remove_scratch((&self.launcher, self.user), path)
                .inspect(|()| done("removed the scratch"))
        });
        groups
            .and(scratch)
            .map_err(|error| self.fail("released", error))?;
        // Nothing of it has these ids any more.
        drop(self.take_slot());
        Ok(())
    }

    fn record(&self) -> String {
        serde_json::to_string(&self.record).unwrap_or_default()
    }

    fn network(&self) -> Result<OwnedFd, Failure> {
        network::of_process(self.record.pid, || self.is_gone())
            .map_err(|error| self.fail("attached to a network", error))
    }

    fn connect(&self, outside: &Outside) -> Result<(), Failure> {
        let Some(namespaces) = self.take_namespaces() else {
            let message = "only a container of an ordinary user, which has not begun to run, is connected in this way";
            return Err(Failure::new(HResult::HCS_E_INVALID_STATE, message));
        };
        outside::connect(&self.launcher, &namespaces, self.process.as_fd(), outside)
    }

    fn property(&self, kind: SystemPropertyType) -> Result<Option<Properties>, Failure> {
        Ok(property(&self.record.groups, self.record.made, kind))
    }

    fn memory_kills(&self) -> MemoryKills {
        self.record.groups.memory_kills()
    }

    fn process_refusals(&self) -> ProcessRefusals {
        self.record.groups.process_refusals()
    }

    /// A user namespace decides which marks the overlay of the container has.
    fn complete_document(&self, document: &mut serde_json::Value) {
        let container = document.get_mut("Container");
        let container = container.and_then(serde_json::Value::as_object_mut);
        if let Some(container) = container.filter(|_| self.record.user_namespace.is_some()) {
            container.insert("UserNamespace".to_owned(), true.into());
        }
    }

    fn modify(&self, change: &HostChange) -> Result<(), Failure> {
        modify::apply(self, change)
    }
}
