//! An engine of plain process trees, small but real: a machine is a supervisor and what it runs.
//!
//! A document with `GuestConnection` asks for a machine with a guest agent, which is the real one. It has a pid
//! namespace, because a shutdown signals everything that the agent can see; nothing else of the machine is apart from
//! the host. Any other document asks for a guest without an agent: the program that it names as its kernel. The
//! supervisor begins with [`Machine::start`], waits for the guest and leaves its last word in the machine's directory.

use std::{
    fs,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{self, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use hcs_engine::{
    engine::{
        CreateRequest, Engine, Exit, Found, GoneGuest, Guest, Machine, MemoryKills, Offers,
        StdioOffer, Summary, Swept,
    },
    modification::HostChange,
};
use hcs_schema::{
    Failure, HResult, Stdio,
    coverage::{
        CONTAINER,
        Coverage::{Refused, Supported},
        Entries, Table,
    },
    documents::{
        ComputeSystem, IntegrationComponentStatus, OsType, PauseOptions, Properties,
        ShutdownOptions, StartOptions, Statistics, SystemPropertyType, SystemType,
    },
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, FileType, Mode, OFlags, mknodat, open},
    io::{Errno, write},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};
use serde_json::json;

/// Name of the agent's socket in a machine's directory.
const SOCKET: &str = "agent.sock";
/// Name of the supervisor's last word.
const LAST_WORD: &str = "exit";
/// Where its agent leaves what a later service may not know.
pub(crate) const LEFT: &str = "left";
/// Name of a file: as long as it is there, the machine does not say whether it is paused.
pub(crate) const SILENT: &str = "silent";
/// Exit codes by which a guest without an agent says how it ends.
pub(crate) const POWER_OFF: i32 = 10;
pub(crate) const RESET: i32 = 11;

/// Name of the pipe by which the supervisor is told to start.
const GO: &str = "go";

/// The supervisor: `$0` is the machine's directory, and `$1` says whether a guest that ends badly boots again. A
/// SIGTERM for the guest is not for it. It has both ends of its standard input, so that it waits for the start through
/// the deaths of services.
const SUPERVISOR: &str = r#"
trap : TERM
read -r go || exit 1
boots=$1
shift
while "$@"; code=$?; [ "$boots" = again ] && [ "$code" != 0 ]; do :; done
echo "$code" > "$0/exit.new"
mv "$0/exit.new" "$0/exit"
"#;

static TABLE: Table = Table {
    about: "a process tree",
    entries: &[
        OWN,
        CONTAINER.entries[0],
        CONTAINER.entries[1],
        CONTAINER.entries[2],
    ],
    resources: &[],
};

const OWN: &[(&str, Entries)] = &[
    (
        "ModifySettingRequest",
        &[
            ("ResourcePath", Supported),
            ("RequestType", Supported),
            ("Settings", Supported),
            ("GuestRequest", Supported),
        ],
    ),
    (
        "ComputeSystem",
        &[
            ("Owner", Supported),
            ("SchemaVersion", Supported),
            ("HostingSystemId", Refused("there is nothing to host it")),
            ("VirtualMachine", Supported),
            ("ShouldTerminateOnLastHandleClosed", Supported),
        ],
    ),
    (
        "System_PropertyType",
        &[
            ("Basic", Supported),
            ("Memory", Supported),
            ("Statistics", Supported),
            ("ProcessList", Supported),
            ("TerminateOnLastHandleClosed", Supported),
            ("SharedMemoryRegion", Supported),
            ("GuestConnection", Supported),
            ("GuestMemory", Supported),
            ("ICHeartbeatStatus", Supported),
            ("Document", Supported),
        ],
    ),
];

/// The engine.
#[derive(Debug)]
pub(crate) struct ProcessEngine;

impl Engine for ProcessEngine {
    fn name(&self) -> &'static str {
        "process"
    }

    fn accepts(&self, document: &ComputeSystem) -> bool {
        document.virtual_machine.is_some()
    }

    fn summary(&self, _document: &ComputeSystem) -> Summary {
        Summary {
            system_type: SystemType::VirtualMachine,
            os_type: Some(OsType::Linux),
            image: None,
            process_defaults: None,
        }
    }

    fn coverage(&self) -> &'static Table {
        &TABLE
    }

    fn create(&self, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        let guest = guest_command(request)?;
        let go = request.directory.join(GO);
        let stdin = mknodat(CWD, &go, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .and_then(|()| open(&go, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()))
            .map_err(|e| failed("no pipe for the start").because(&e))?;
        let spawned = Command::new("/bin/sh")
            .args(["-c", SUPERVISOR])
            .arg(&request.directory)
            .arg(if boots_again(&request.document) {
                "again"
            } else {
                "once"
            })
            .args(guest)
            .process_group(0)
            .stdin(stdin)
            .stdout(process::Stdio::null())
            .stderr(process::Stdio::null())
            .spawn();
        let mut child = spawned.map_err(|e| failed("no supervisor").because(&e))?;
        let pid = i32::try_from(child.id()).unwrap_or(0);
        let tree = Tree::find(request, pid)?;
        // Its parent has to take note of its end.
        std::thread::spawn(move || child.wait());
        let tree = tree.ok_or_else(|| failed("the supervisor ended at once"))?;
        Ok(Arc::new(tree))
    }

    fn adopt(&self, request: &CreateRequest, record: &str) -> Result<Found, Failure> {
        let record: serde_json::Value = serde_json::from_str(record).unwrap_or_default();
        let pid = record["Pid"].as_i64().and_then(|pid| pid.try_into().ok());
        let found = Tree::find(request, pid.unwrap_or(0))?;
        let same = |tree: &Tree| record["StartTime"] == tree.start_time;
        Ok(match found.filter(same) {
            Some(tree) => Found::Living(Arc::new(tree)),
            None => Found::Gone {
                why: failed("its supervisor is gone"),
                exit: last_word(&request.directory),
                guest: Some(Arc::new(GoneTree(request.directory.clone()))),
            },
        })
    }

    fn offers(&self) -> Offers {
        let mut offers = Offers::default();
        let members = &mut offers.members;
        members.insert("Processes".to_owned(), json!({ "Plain": true }));
        offers
    }

    fn sweep(&self, _keep: &[String]) -> Swept {
        // A machine has nothing outside of its directory but its processes, which end with it.
        Swept::default()
    }
}

/// The program and the arguments that the supervisor runs.
fn guest_command(request: &CreateRequest) -> Result<Vec<String>, Failure> {
    let machine = request.document.virtual_machine.as_ref();
    if has_agent(&request.document) {
        let program = std::env::current_exe().map_err(|e| failed("no program").because(&e))?;
        let words = "unshare --pid --fork --mount-proc --kill-child --";
        let mut command: Vec<String> = words.split(' ').map(str::to_owned).collect();
        command.push(program.display().to_string());
        command.push("--agent".to_owned());
        command.push(request.directory.join(SOCKET).display().to_string());
        return Ok(command);
    }
    let kernel = machine
        .and_then(|machine| machine.chipset.as_ref()?.linux_kernel_direct.as_ref())
        .and_then(|direct| direct.kernel_file_path.clone());
    let place = "/VirtualMachine/Chipset/LinuxKernelDirect/KernelFilePath";
    let kernel = kernel.ok_or_else(|| failed("no program is named").cause_at(place, "missing"))?;
    Ok(vec!["/bin/sh".to_owned(), kernel])
}

/// The owner of machines that are a container of their agent begins so; its GUID follows.
pub(crate) const CONTAINER_OF_AGENT: &str = "container ";

fn container(document: &ComputeSystem) -> Option<String> {
    let owner = document.owner.as_deref()?;
    owner.strip_prefix(CONTAINER_OF_AGENT).map(str::to_owned)
}

fn has_agent(document: &ComputeSystem) -> bool {
    let machine = document.virtual_machine.as_ref();
    machine.is_some_and(|machine| machine.guest_connection.is_some())
}

/// Whether a guest that is killed has been reset, and boots again.
fn boots_again(document: &ComputeSystem) -> bool {
    let machine = document.virtual_machine.as_ref();
    machine.is_some_and(|machine| machine.stop_on_reset == Some(false))
}

fn failed(what: &'static str) -> Failure {
    Failure::new(HResult::E_FAIL, what)
}

/// How the machine of that directory ended. A supervisor without a last word was killed itself.
fn last_word(directory: &Path) -> Exit {
    /// What `sh` makes of the death of the guest by a signal.
    const BY_SIGNAL: i32 = 128;
    let word = fs::read_to_string(directory.join(LAST_WORD));
    let code = word.ok().and_then(|word| word.trim().parse::<i32>().ok());
    match code {
        Some(POWER_OFF) => Exit::PowerOff,
        Some(RESET) => Exit::Reset,
        Some(code) if code == BY_SIGNAL + Signal::KILL.as_raw() => Exit::Killed,
        Some(code) if code > BY_SIGNAL => Exit::Crash,
        Some(code) => Exit::Ended(code),
        None => Exit::Killed,
    }
}

/// A machine.
#[derive(Debug)]
struct Tree {
    /// The supervisor, which leads the process group of the machine.
    pid: Pid,
    start_time: String,
    process: OwnedFd,
    directory: PathBuf,
    has_agent: bool,
    container: Option<String>,
}

impl Tree {
    /// The machine of a supervisor, if that lives.
    fn find(request: &CreateRequest, pid: i32) -> Result<Option<Self>, Failure> {
        let Some(pid) = Pid::from_raw(pid) else {
            return Ok(None);
        };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return Ok(None),
            Err(e) => return Err(failed("no descriptor of the supervisor").because(&e)),
        };
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        let Ok(stat) = stat else {
            return Ok(None);
        };
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let tree = Self {
            pid,
            start_time: behind_name
                .split(' ')
                .nth(20)
                .unwrap_or_default()
                .to_owned(),
            process,
            directory: request.directory.clone(),
            has_agent: has_agent(&request.document),
            container: container(&request.document),
        };
        Ok(Some(tree).filter(|tree| !tree.is_gone()))
    }

    fn is_gone(&self) -> bool {
        let mut polled = [PollFd::new(&self.process, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        if self.is_gone() {
            return Ok(());
        }
        match kill_process_group(self.pid, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(e) => Err(failed("the processes cannot be signalled").because(&e)),
        }
    }

    fn dial(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.directory.join(SOCKET))
    }
}

/// A machine that is gone.
#[derive(Debug)]
struct GoneTree(PathBuf);

/// What the agent of the machine of that directory has left.
fn left(directory: &Path) -> Vec<u8> {
    fs::read(directory.join(LEFT)).unwrap_or_default()
}

impl GoneGuest for GoneTree {
    fn left(&self) -> Result<Vec<u8>, Failure> {
        Ok(left(&self.0))
    }
}

impl Guest for Tree {
    fn left(&self) -> Result<Vec<u8>, Failure> {
        Ok(left(&self.directory))
    }

    fn wait_ready(&self, limit: Duration) -> Result<(), Failure> {
        /// How often it is looked whether the agent listens.
        const LOOK: Duration = Duration::from_millis(5);
        let deadline = Instant::now() + limit;
        while let Err(e) = self.dial() {
            if self.is_gone() {
                let hresult = HResult::HCS_E_TERMINATED_DURING_START;
                return Err(Failure::new(
                    hresult,
                    "the machine ended before it was ready",
                ));
            }
            if Instant::now() >= deadline {
                let hresult = HResult::HCS_E_CONNECTION_TIMEOUT;
                return Err(Failure::new(hresult, "the agent does not listen").because(&e));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn connect_guest(&self, _limit: Duration) -> Result<OwnedFd, Failure> {
        let stream = self.dial().map_err(|e| {
            let hresult = HResult::HCS_E_CONNECT_FAILED;
            Failure::new(hresult, "the agent cannot be connected to").because(&e)
        })?;
        Ok(stream.into())
    }

    fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    fn open_stdio(&self, wanted: Stdio<bool>) -> Result<Box<dyn StdioOffer>, Failure> {
        let mut pipes = Pipes::default();
        let pair = |wanted: bool| {
            let pipe = wanted.then(|| pipe_with(PipeFlags::CLOEXEC)).transpose();
            pipe.map_err(|e| failed("no pipes are left").because(&e))
        };
        if let Some((read, write)) = pair(wanted.stdin)? {
            pipes.host.stdin = Some(write);
            pipes.guest.push(read);
        }
        if let Some((read, write)) = pair(wanted.stdout)? {
            pipes.host.stdout = Some(read);
            pipes.guest.push(write);
        }
        if let Some((read, write)) = pair(wanted.stderr)? {
            pipes.host.stderr = Some(read);
            pipes.guest.push(write);
        }
        Ok(Box::new(pipes))
    }
}

#[derive(Debug, Default)]
struct Pipes {
    guest: Vec<OwnedFd>,
    host: Stdio<Option<OwnedFd>>,
}

impl StdioOffer for Pipes {
    fn take_guest_ends(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.guest)
    }

    fn ports(&self) -> Option<Stdio<Option<u32>>> {
        None
    }

    fn into_host_ends(
        self: Box<Self>,
        _limit: Duration,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        Ok(self.host)
    }
}

fn not_so<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::new(
        HResult::NOT_SUPPORTED,
        format!("a process tree cannot be {what}"),
    ))
}

impl Machine for Tree {
    fn start(&self, _options: &StartOptions) -> Result<(), Failure> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let told = open(self.directory.join(GO), flags, Mode::empty())
            .and_then(|go| write(&go, b"go\n").map(drop));
        told.map_err(|e| {
            let hresult = HResult::HCS_E_TERMINATED_DURING_START;
            Failure::new(hresult, "the supervisor is gone").because(&e)
        })
    }

    fn guest(&self) -> Option<&dyn Guest> {
        self.has_agent.then_some(self)
    }

    fn pause(&self, _options: &PauseOptions) -> Result<(), Failure> {
        not_so("paused")
    }

    fn resume(&self) -> Result<(), Failure> {
        not_so("resumed")
    }

    fn is_paused(&self) -> Option<bool> {
        while self.directory.join(SILENT).exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(false)
    }

    fn shut_down(&self, _options: &ShutdownOptions) -> Result<bool, Failure> {
        if !self.has_agent {
            self.signal(Signal::TERM)?;
        }
        Ok(!self.has_agent)
    }

    fn kill(&self) -> Result<(), Failure> {
        self.signal(Signal::KILL)
    }

    fn exit_descriptor(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    fn exit(&self) -> Exit {
        last_word(&self.directory)
    }

    fn release(&self) -> Result<(), Failure> {
        if self.is_gone() {
            return Ok(());
        }
        Err(Failure::new(HResult::HCS_E_INVALID_STATE, "it still runs"))
    }

    fn record(&self) -> String {
        let pid = self.pid.as_raw_nonzero().get();
        json!({ "Pid": pid, "StartTime": self.start_time }).to_string()
    }

    fn property(&self, kind: SystemPropertyType) -> Result<Option<Properties>, Failure> {
        // It lives, as far as anything here is asked.
        if kind == SystemPropertyType::ICHeartbeatStatus {
            return Ok(Some(Properties {
                ic_heartbeat_status: Some(IntegrationComponentStatus {
                    is_enabled: Some(!self.is_gone()),
                    ..IntegrationComponentStatus::default()
                }),
                ..Properties::default()
            }));
        }
        if kind != SystemPropertyType::Statistics {
            return Ok(None);
        }
        let made = fs::metadata(&self.directory).and_then(|directory| directory.modified());
        let made = made.map_err(|e| failed("its age is not known").because(&e))?;
        let ticks = made.elapsed().unwrap_or_default().as_nanos() / 100;
        let statistics = Statistics {
            uptime100ns: u64::try_from(ticks).ok(),
            ..Statistics::default()
        };
        Ok(Some(Properties {
            statistics: Some(statistics),
            ..Properties::default()
        }))
    }

    fn memory_kills(&self) -> MemoryKills {
        MemoryKills::default()
    }

    fn modify(&self, change: &HostChange) -> Result<(), Failure> {
        Err(TABLE.refuse_resource(&change.resource))
    }
}
