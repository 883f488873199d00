//! The seam between the service and the things that run compute systems.
//!
//! An [`Engine`] makes [`Machine`]s: a container's namespaces, cgroup and file systems, or a virtual machine. Inside
//! most machines runs a guest agent ([`Guest`]); everything about processes goes over the guest bridge
//! (`hcs_wire::guest`), which the service speaks itself and which is the same for every engine. So an engine knows
//! nothing of processes, and the service nothing of namespaces or QEMU.
//!
//! Calls may block (each says for how long) and are made from threads that may wait; all types may be shared between
//! threads. `kill` may be called at any time from another thread and makes the other calls of that machine return:
//! that is how a stuck or cancelled call is ended.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hcs_schema::{
    Failure, HResult, Stdio,
    coverage::Table,
    documents::{
        ComputeSystem, CrashOptions, CrashReport, OsType, PauseOptions, ProcessDefaults,
        Properties, SaveOptions, ShutdownOptions, StartOptions, SystemPropertyType, SystemType,
    },
};

use crate::modification::HostChange;

/// The input from which a machine is made.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// The id that clients use: any non-empty string of up to 256 UTF-16 units. Never part of a path.
    pub id: String,
    /// A GUID made for this machine; names its directory, its cgroup and whatever else needs a name on the host.
    pub runtime_id: String,
    /// The document, already valid against the schema, and without properties that [`Engine::coverage`] refuses.
    pub document: ComputeSystem,
    /// An existing directory of the machine's own, mode 0700, removed by the service after [`Machine::release`].
    pub directory: PathBuf,
    /// The user who asked for it. What files it shares of the host are those of this user.
    pub user: u32,
}

/// The state of a machine that an earlier service made.
#[derive(Debug)]
pub enum Found {
    /// It lives.
    Living(Arc<dyn Machine>),
    /// It has ended; the caller then calls [`Engine::sweep`].
    Gone {
        /// The sign that it has, for the log.
        why: Failure,
        /// How it ended.
        exit: Exit,
        /// What can still be learnt of its guest.
        guest: Option<Arc<dyn GoneGuest>>,
    },
}

/// What can still be learnt of the guest of a machine that is gone.
pub trait GoneGuest: fmt::Debug + Send + Sync {
    /// The same as [`Guest::had_pipes`].
    ///
    /// # Errors
    /// They are no pipes.
    fn had_pipes(&self, _ends: &[OwnedFd], _user: u32) -> Result<bool, Failure> {
        Ok(false)
    }

    /// The same as [`Guest::left`].
    ///
    /// # Errors
    /// The host refused.
    fn left(&self) -> Result<Vec<u8>, Failure>;
}

/// How a machine ended, as far as its engine can tell. The service knows which client had asked for that end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exit {
    /// The engine cannot tell.
    #[default]
    Unknown,
    /// Its first process ended by itself, with this code; 0 is an orderly end.
    Ended(i32),
    /// Its guest powered it off.
    PowerOff,
    /// Its guest reset it, and it is not started again.
    Reset,
    /// Its guest crashed, or its first process did.
    Crash,
    /// It was killed from outside of it: by [`Machine::kill`], an administrator or the kernel.
    Killed,
}

/// What the service shows of a system and takes from its document, read by the engine that knows the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// `SystemType` of the system's properties.
    pub system_type: SystemType,
    /// `RuntimeOsType` of the system's properties, where it is known before the guest runs.
    pub os_type: Option<OsType>,
    /// The image that the system is made from, as its document names it.
    pub image: Option<String>,
    /// What processes have that say nothing else.
    pub process_defaults: Option<ProcessDefaults>,
}

/// What a host offers to the machines of an engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offers {
    /// Whether processor time can be limited.
    pub limits_processors: bool,
    /// What the capability answer has of this engine, by name.
    pub members: serde_json::Map<String, serde_json::Value>,
}

/// A network card to be plugged into a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The name of the host's link to it, at most 15 characters. The card has it, too: no other card of the host has
    /// this one.
    pub link: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// What a guest without an agent is told of its network, where that has IPv4.
    pub lease: Option<Lease>,
}

/// What a guest is told by DHCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its address.
    pub address: Ipv4Addr,
    /// How many bits of it are those of its network.
    pub length: u8,
    /// The way to other networks.
    pub router: Option<Ipv4Addr>,
    /// The servers that know names.
    pub resolvers: Vec<Ipv4Addr>,
    /// The largest packet, where the usual is not wanted.
    pub mtu: Option<u16>,
}

/// How a machine's network is connected with the outside where the service may make no links of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The name of its link inside.
    pub link: String,
    /// The hardware address of the link.
    pub mac: [u8; 6],
    /// Its address.
    pub address: Ipv4Addr,
    /// How many bits of it are those of its network.
    pub length: u8,
    /// The way to other networks.
    pub router: Ipv4Addr,
    /// The largest packet, where the usual is not wanted.
    pub mtu: Option<u32>,
    /// Ports of the host that lead to it.
    pub ports: Vec<OutsidePort>,
}

/// A port of the host that leads to one of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsidePort {
    /// Of UDP, else of TCP.
    pub is_udp: bool,
    /// The address of the host; `None` for all.
    pub address: Option<IpAddr>,
    /// The port of the host.
    pub external: u16,
    /// That of the machine.
    pub internal: u16,
}

/// Where a process lives that has connected to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Where the service itself lives.
    Host,
    /// In a container, of this service or of any other program.
    Container,
    /// Further out than the service, or in a container beside it: the service sees no more of it.
    Elsewhere,
    /// It has ended, or the host does not tell.
    Unknown,
}

/// What stands for a machine in the access control lists of the host's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user: no other machine that lives has it.
    pub user: u32,
    /// The group of all machines of the engine.
    pub group: u32,
}

/// One way to run compute systems. Its methods may be called from several threads at once.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Name for logs and state files: "container", "vm".
    fn name(&self) -> &'static str;

    /// Whether `document` asks for this engine's kind of system. What else the document asks for is looked at later, by
    /// [`Engine::coverage`] and [`Engine::create`].
    fn accepts(&self, document: &ComputeSystem) -> bool;

    /// The type of the system that `document` asks for, and what of it the service itself has to know. Pure.
    fn summary(&self, document: &ComputeSystem) -> Summary;

    /// The effects that the properties of documents about this engine's systems have.
    fn coverage(&self) -> &'static Table;

    /// Makes the machine; it may begin to boot, or wait for [`Machine::start`]. Takes milliseconds. On failure nothing
    /// is left behind.
    ///
    /// # Errors
    /// The refusal of the host, with a JSON pointer to the property of the document that asked for it, if there is one.
    fn create(&self, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure>;

    /// Prepares a machine of the kind that `document` asks for, as far as that is possible without the rest of it; it
    /// is not running. It ends with the calling process, however that ends, and is then swept like anything else of its
    /// `runtime_id`. `directory` is the machine's own, as in a [`CreateRequest`]. `None` where nothing that could be
    /// prepared would fit the document.
    ///
    /// # Errors
    /// The refusal of the host; nothing is left behind then.
    fn prepare(
        &self,
        _document: &ComputeSystem,
        _runtime_id: &str,
        _directory: &Path,
    ) -> Result<Option<Box<dyn WarmSlot>>, Failure> {
        Ok(None)
    }

    /// Takes over a machine that an earlier service made, from the text of its [`Machine::record`]. Asks nothing of the
    /// machine itself, which may be paused, still booting, or without processor time on a busy host.
    ///
    /// # Errors
    /// Whether the machine lives is unknown for now: the caller must leave it as it is.
    fn adopt(&self, request: &CreateRequest, record: &str) -> Result<Found, Failure>;

    /// The place of the process that connected by the unix socket `socket`. A process in a compute system must not use
    /// the service. Does not block.
    fn origin(&self, _socket: BorrowedFd<'_>) -> Origin {
        Origin::Host
    }

    /// What files are granted to that the machine `id` is to use, whether it is there or not, and always the same.
    /// `None` from an engine whose machines need no grant.
    ///
    /// # Errors
    /// No machine of this engine can be made here.
    fn identity(&self, _id: &str) -> Result<Option<Identity>, Failure> {
        Ok(None)
    }

    /// Groups of processors, from the engine that makes them.
    fn processor_groups(&self) -> Option<&dyn ProcessorGroups> {
        None
    }

    /// The id of the group of processors that a document asks for, as it stands there. An engine whose machines may be
    /// in one uses those that are made.
    fn processor_group<'a>(&self, _document: &'a ComputeSystem) -> Option<&'a str> {
        None
    }

    /// What the host offers to its machines. Reads some files.
    fn offers(&self) -> Offers {
        Offers::default()
    }

    /// Ends the machine that was made in `directory`, if an earlier service did not come to write down its record. What
    /// [`Engine::sweep`] finds need not be ended here.
    fn end_unrecorded(&self, _directory: &Path) {}

    /// Ends the remains of machines of this service on the host (processes, cgroups, mounts) and removes them, except
    /// those of machines whose `runtime_id` is in `keep`. All clients wait for this: what takes longer is given back.
    fn sweep(&self, keep: &[String]) -> Swept;
}

/// Removes something of a machine that is gone. It may be called again, also when it is done.
pub type Removal = Arc<dyn Fn() -> Result<(), Failure> + Send + Sync>;

/// What came of [`Engine::sweep`].
#[derive(Default)]
pub struct Swept {
    /// What is removed later, while clients are served: it takes as long as machines have written. None of it is of a
    /// machine that is made later.
    pub later: Vec<Removal>,
    /// The objects that could not be removed.
    pub failure: Option<Failure>,
}

impl Swept {
    /// Removes all the rest, for a caller who waits.
    ///
    /// # Errors
    /// What could not be removed; all else has been.
    pub fn finish(self) -> Result<(), Failure> {
        let mut failures: Vec<Failure> = self.failure.into_iter().collect();
        failures.extend(self.later.iter().filter_map(|removal| removal().err()));
        failures.into_iter().next().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Swept");
        shown.field("later", &self.later.len());
        shown.field("failure", &self.failure).finish()
    }
}

/// Groups of processors that several machines share, whichever engine has made them.
pub trait ProcessorGroups {
    /// Makes a group of these processors, or gives an existing group these.
    ///
    /// # Errors
    /// The host has no such groups, or refuses these processors.
    fn make(&self, id: &str, processors: &[u32]) -> Result<(), Failure>;

    /// Removes a group; one that is gone is fine.
    ///
    /// # Errors
    /// `ERROR_BUSY` while machines are in it.
    fn remove(&self, id: &str) -> Result<(), Failure>;
}

/// A machine that has been prepared ([`Engine::prepare`]). A drop ends it, but leaves its cgroups and mounts on the
/// host until the next sweep, so it should be used or discarded.
pub trait WarmSlot: fmt::Debug + Send {
    /// Whether a machine can be made from it as `document` wants. If not, [`Engine::create`] has to do it from scratch.
    fn fits(&self, document: &ComputeSystem) -> bool;

    /// As [`Engine::create`], and with the same result, from the prepared machine. The request has to have the runtime
    /// id of the slot; its directory may have been renamed since.
    ///
    /// # Errors
    /// As for [`Engine::create`], or the prepared machine is not usable any more; the slot has been discarded then.
    fn make(self: Box<Self>, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure>;

    /// The network that its machine will have, as [`Machine::network`] gives it.
    ///
    /// # Errors
    /// It has none that the host can reach, or it is gone.
    fn network(&self) -> Result<OwnedFd, Failure> {
        Err(out_of_reach())
    }

    /// Removes everything that was made for it outside its directory. May wait for some milliseconds.
    ///
    /// # Errors
    /// The objects that could not be removed; the next sweep finds them.
    fn discard(self: Box<Self>) -> Result<(), Failure>;
}

fn out_of_reach() -> Failure {
    let message = "its network cannot be reached from the host";
    Failure::new(HResult::NOT_SUPPORTED, message)
}

/// Stdio prepared for one process that is about to be created. Dropped unused, it leaves nothing.
pub trait StdioOffer: fmt::Debug + Send {
    /// The guest's ends, in the order stdin, stdout, stderr, to be sent with the request; empty over vsock.
    fn take_guest_ends(&mut self) -> Vec<OwnedFd>;

    /// The vsock ports to name in the request, which the guest is to dial; `None` where descriptors are passed.
    fn ports(&self) -> Option<Stdio<Option<u32>>>;

    /// The host's ends, once the guest has answered the request: a write end for stdin, read ends for the others.
    /// Blocks only where [`StdioOffer::ports`] is `Some`, at most for `limit`.
    ///
    /// # Errors
    /// The guest did not dial.
    fn into_host_ends(self: Box<Self>, limit: Duration) -> Result<Stdio<Option<OwnedFd>>, Failure>;
}

/// The processes that the kernel killed for lack of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryKills {
    /// How many processes.
    pub count: u64,
    /// The limit of the machine's memory, in bytes, where there is one.
    pub limit: Option<u64>,
}

/// The processes and threads that the kernel refused a machine, as it had as many as it may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessRefusals {
    /// How many.
    pub count: u64,
    /// The most it may have.
    pub limit: Option<u64>,
}

/// The way to the guest agent of a machine.
pub trait Guest: fmt::Debug {
    /// Blocks until the guest agent can be connected to, at most for `limit`. Starts nothing, and again is fine: each
    /// new stream to the agent is preceded by it.
    ///
    /// # Errors
    /// The step of the boot that failed, with its cause; the machine is then to be killed and released.
    fn wait_ready(&self, limit: Duration) -> Result<(), Failure>;

    /// A new stream to the guest agent, on which `NegotiateProtocol` must come first. The agent serves one stream at a
    /// time: a new one takes the place of the one before. Blocks at most for `limit`, while more streams wait for the
    /// agent than fit into its queue.
    ///
    /// # Errors
    /// The agent is not there, or does not take streams.
    fn connect_guest(&self, limit: Duration) -> Result<OwnedFd, Failure>;

    /// Prepares stdio for one process. Does not block.
    ///
    /// # Errors
    /// No descriptors or memory left.
    fn open_stdio(&self, wanted: Stdio<bool>) -> Result<Box<dyn StdioOffer>, Failure>;

    /// Takes pipes for one process that the client `user` made: `ends` are the process's. Does not block. Returns false
    /// where the machine or its host cannot use such pipes: the caller uses [`Guest::open_stdio`] then.
    ///
    /// # Errors
    /// The host refused.
    fn take_pipes(&self, _ends: &[OwnedFd], _user: u32) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Whether [`Guest::take_pipes`] took these pipes for a process that was made then, maybe for an earlier service.
    /// Changes nothing.
    ///
    /// # Errors
    /// They are no pipes.
    fn had_pipes(&self, _ends: &[OwnedFd], _user: u32) -> Result<bool, Failure> {
        Ok(false)
    }

    /// The GUID of the container that the machine is among those that its agent hosts. `None` where the agent belongs
    /// to the machine alone, and requests are about the agent's own system. Does not block, and is the same at any
    /// time.
    fn container(&self) -> Option<&str> {
        None
    }

    /// Whether the guest has a clock and random numbers of its own, as a virtual machine has. The service then sends
    /// the time and fresh random bytes with each stream to its agent, and after each resume.
    fn needs_renewal(&self) -> bool {
        false
    }

    /// What the guest agent has written down for a service that comes after its end, as it wrote it; empty where it
    /// left nothing. To be asked once the machine is gone. Reads a file, which the guest may have filled.
    ///
    /// # Errors
    /// The host refused.
    fn left(&self) -> Result<Vec<u8>, Failure> {
        Ok(Vec::new())
    }

    /// Makes `count` empty files for what the guest agent is to keep: for reading and writing, without a name, on a
    /// disk where what the machine writes goes. They are gone when the last process that holds them is. May wait for
    /// the disk.
    ///
    /// # Errors
    /// The host refused, or the machine has no use for files of the host.
    fn make_files(&self, _count: usize) -> Result<Vec<OwnedFd>, Failure> {
        Err(Failure::new(
            HResult::NOT_SUPPORTED,
            "the machine cannot keep the output of detached processes",
        ))
    }
}

/// One running container or virtual machine.
pub trait Machine: fmt::Debug + Send + Sync {
    /// Lets it boot, where [`Engine::create`] has not begun that; takes milliseconds. Again is fine, also for one that
    /// was taken over: a start may be given up and made again.
    ///
    /// # Errors
    /// What the host refused; the machine is then to be killed and released.
    fn start(&self, _options: &StartOptions) -> Result<(), Failure> {
        Ok(())
    }

    /// The way to its guest agent. `None` for a machine without one that the service could reach: its client speaks to
    /// the guest itself. Does not block, and is the same at any time.
    fn guest(&self) -> Option<&dyn Guest>;

    /// Stops all that runs in it without its knowledge (freezer, or vCPUs stopped), at most for some 100 ms. An option
    /// that would weaken what the caller asks for is refused before, by [`Engine::coverage`].
    ///
    /// # Errors
    /// The host refused.
    fn pause(&self, options: &PauseOptions) -> Result<(), Failure>;

    /// Undoes [`Machine::pause`].
    ///
    /// # Errors
    /// The host refused.
    fn resume(&self) -> Result<(), Failure>;

    /// Whether it is paused, or half-way there: for one that was taken over from a service that died while it paused or
    /// resumed it. `None` when the host cannot say.
    fn is_paused(&self) -> Option<bool>;

    /// Asks the machine itself to end, as by its power button, in the way that `options` say. Does not wait for the
    /// end, at most for some 100 ms. Returns false where only its guest agent can be asked, which the caller does then.
    ///
    /// # Errors
    /// The host refused, or there is no such way.
    fn shut_down(&self, _options: &ShutdownOptions) -> Result<bool, Failure> {
        Ok(false)
    }

    /// The signal by which its guest agent asks processes to end, 1 to 64, where [`Machine::shut_down`] leaves that to
    /// the agent; `None` for the usual one. Does not block.
    fn stop_signal(&self) -> Option<u8> {
        None
    }

    /// Whether machines of this kind can be saved at all.
    ///
    /// # Errors
    /// `E_NOTIMPL`: they cannot.
    fn can_be_saved(&self) -> Result<(), Failure> {
        let message = "machines of this kind cannot be saved";
        Err(Failure::new(HResult::E_NOTIMPL, message))
    }

    /// Saves the state of a paused machine. Takes as long as the disk takes.
    ///
    /// # Errors
    /// As [`Machine::can_be_saved`], or what the host refused.
    fn save(&self, _options: &SaveOptions) -> Result<(), Failure> {
        self.can_be_saved()?;
        let message = "the engine does not save machines";
        Err(Failure::new(HResult::E_NOTIMPL, message))
    }

    /// Makes the guest crash, as by a hardware fault, so that it writes a dump. Does not wait for the crash.
    ///
    /// # Errors
    /// `E_NOTIMPL` where the machine has no guest that could crash; else what the host refused.
    fn crash(&self, _options: &CrashOptions) -> Result<(), Failure> {
        let message = "machines of this kind have no guest system that could crash";
        Err(Failure::new(HResult::E_NOTIMPL, message))
    }

    /// Ends everything in it at once, paused or not. Returns when that has been ordered; [`Machine::exit_descriptor`]
    /// tells when it has happened. Again is fine.
    ///
    /// # Errors
    /// The host refused.
    fn kill(&self) -> Result<(), Failure>;

    /// Becomes readable (`poll(2)`) when the machine is gone.
    fn exit_descriptor(&self) -> BorrowedFd<'_>;

    /// How it ended, once [`Machine::exit_descriptor`] is readable. May wait for some milliseconds until the host
    /// tells.
    fn exit(&self) -> Exit {
        Exit::Unknown
    }

    /// What of it had failed before its end, as a device may have without an end of the machine: a sentence for the
    /// log. Known once [`Machine::exit`] was asked.
    fn fault(&self) -> Option<String> {
        None
    }

    /// What is known of the crash of its guest, once [`Machine::exit`] has told of one. The service adds the system's
    /// id.
    fn crash_report(&self) -> CrashReport {
        CrashReport::default()
    }

    /// Gives up what another machine or program may want next: locks on the files that a document names, leases. The
    /// machine must be gone, and [`Machine::release`] is still needed. May wait for the kernel; a second call is fine.
    fn let_go(&self) {}

    /// Removes all that was made for it outside its directory: cgroups, mounts, network. The machine must be gone.
    /// Takes as long as the host's file systems take. Again is fine.
    ///
    /// # Errors
    /// The objects that could not be removed.
    fn release(&self) -> Result<(), Failure>;

    /// The data that [`Engine::adopt`] needs to find it again, as JSON.
    fn record(&self) -> String;

    /// The network of its guest, for links to be put into: a network namespace, which lasts as long as the descriptor.
    /// So that is not to be kept for long after the machine's end.
    ///
    /// # Errors
    /// It has none that the host can reach, or it is gone.
    fn network(&self) -> Result<OwnedFd, Failure> {
        Err(out_of_reach())
    }

    /// Connects its network with the outside by a program with the rights of the service's own user; returns when that
    /// is done. The program ends with the machine, whether a service is there or not. Called once, before it is
    /// started.
    ///
    /// # Errors
    /// Machines of this kind, or this host, have no such way; or it failed.
    fn connect(&self, _outside: &Outside) -> Result<(), Failure> {
        let message = "its network cannot be connected by an ordinary user";
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// Whether its endpoints are network cards that are plugged into it ([`Machine::plug`]), and not links that are put
    /// into [`Machine::network`]. Does not block, and is the same at any time.
    fn has_cards(&self) -> bool {
        false
    }

    /// Makes a link of the host (`tun(4)`, in the network namespace of the calling thread), and plugs a card into the
    /// machine that sends and receives by it. The link is not up and no port of a bridge: that is for the caller to do.
    /// It goes with the card. A card of the same name is unplugged before. May be called before [`Machine::start`].
    ///
    /// # Errors
    /// It can have no cards, no place is left for one, or the host refused; no link is left then.
    fn plug(&self, _card: &Card) -> Result<(), Failure> {
        let message = "machines of this kind have no network cards";
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// Gives a card that is there its lease once more, as an earlier service may have ended before it gave it.
    ///
    /// # Errors
    /// The machine did not take it; the card stays as it is.
    fn lease(&self, _card: &Card) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes a card's link from it, which is gone then, and asks the guest to let the card go; the guest is not waited
    /// for. A card that is not there is no error.
    ///
    /// # Errors
    /// The machine did not do it; the link may be there.
    fn unplug(&self, _link: &str) -> Result<(), Failure> {
        let message = "machines of this kind have no network cards";
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// The document of a property that the machine knows, with nothing else in it: `Memory`, `Statistics`, and what
    /// only this kind of machine has. `None` for the others: the service answers them, or refuses them by the coverage
    /// table. Reads some files.
    ///
    /// # Errors
    /// The host's accounting could not be read.
    fn property(&self, kind: SystemPropertyType) -> Result<Option<Properties>, Failure>;

    /// The processes in it that the kernel has killed for lack of memory since it was made.
    fn memory_kills(&self) -> MemoryKills;

    /// The processes that it was refused since it was made, for a limit that the host keeps.
    fn process_refusals(&self) -> ProcessRefusals {
        ProcessRefusals::default()
    }

    /// Says in the document that the system was made from, as it is shown to clients, what the configuration or the
    /// host has decided for it. Does not block.
    fn complete_document(&self, _document: &mut serde_json::Value) {}

    /// Does the host's part of a modification; the guest's part is sent to its agent afterwards.
    ///
    /// # Errors
    /// A value is not supported, by JSON pointer, or the host refused the change; nothing has changed then.
    fn modify(&self, change: &HostChange) -> Result<(), Failure>;
}
