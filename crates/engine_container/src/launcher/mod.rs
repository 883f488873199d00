//! The launcher: a small single-threaded process that containers are cloned from.
//!
//! The service has threads and a large heap; cloning it would be slow and unsound. So it starts one helper from a
//! sealed copy of its own executable, and asks that one for each container:
//!
//! ```text
//! hcsd ── Launcher ──(SOCK_SEQPACKET, protocol.rs)──▶ serve.rs ──clone3──▶ child/ (builds its root, becomes the agent)
//!   └──────────────────── channel: specification there, report back (channel.rs) ──────────────▶
//! ```
//!
//! The launcher knows nothing of containers. It clones, hands the child's pidfd back and forgets it, so it never
//! waits for a container and does not grow. It leaves when the service does; the containers stay.

mod executable;
pub(crate) mod protocol;
mod serve;

use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{self, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hcs_schema::Failure;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
    process::{Pid, Resource, Rlimit, getrlimit, prlimit},
};

use crate::{
    channel,
    failure::{Attempt, StepError},
};
use protocol::{Answer, Child};

pub use serve::{AgentEntry, AgentFiles, main_if_launcher};

/// For a program that starts a service in the background: makes all descriptors but the standard ones stay behind at
/// the next `execve(2)`. A service that kept a pipe of whoever happened to start it would keep that pipe open for ever.
///
/// # Errors
/// The kernel is older than Linux 5.11.
pub fn leave_descriptors_behind() -> Result<(), Failure> {
    crate::sys::descriptors::close_on_exec_from(3)
        .step("leaving descriptors behind")
        .map_err(|error| error.into_failure("inherited descriptors cannot be left behind"))
}

/// What the launcher calls itself in `argv[0]`.
const NAME: &str = "hcsd-launcher";

/// How long a clone may take. It is milliseconds; the limit only ends a hang.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The service's end of the launcher. May be used from several threads; requests take their turn.
///
/// When dropped, the launcher exits.
#[derive(Debug)]
pub struct Launcher {
    executable: OwnedFd,
    /// The limit on open files that containers get: the service may raise its own later.
    open_files: Rlimit,
    running: Mutex<Running>,
}

/// One launcher process.
#[derive(Debug)]
struct Running {
    process: process::Child,
    socket: OwnedFd,
}

impl Launcher {
    /// Starts the launcher from a sealed copy of the calling executable, whose `main` must begin with
    /// [`main_if_launcher`]. Best called before the caller has threads and a heap.
    ///
    /// # Errors
    /// The copy could not be made or executed.
    pub fn spawn() -> Result<Self, Failure> {
        let start = || -> Result<Self, StepError> {
            let executable = executable::sealed_copy()?;
            let open_files = getrlimit(Resource::Nofile);
            let running = Mutex::new(Running::start(&executable, open_files)?);
            Ok(Self {
                executable,
                open_files,
                running,
            })
        };
        start()
            .map_err(|error| error.into_failure("the launcher of containers could not be started"))
    }

    /// Clones one child; answers our end of its channel and what it is. A launcher that has died is replaced first. It
    /// may have cloned before, so each attempt has a channel of its own: a child that nobody knows ends with that.
    pub(crate) fn launch(
        &self,
        child: &Child<BorrowedFd<'_>>,
    ) -> Result<(OwnedFd, Answer), StepError> {
        let mut running = self.lock();
        let launched = running.ask(child);
        match &launched {
            Err(error) if launcher_is_gone(error.errno) => {
                *running = Running::start(&self.executable, self.open_files)?;
                running.ask(child)
            }
            Err(error) if error.errno == Errno::TIMEDOUT => {
                // Its answer would be taken for that to the next request.
                *running = Running::start(&self.executable, self.open_files)?;
                launched
            }
            _ => launched,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // A panic elsewhere leaves the socket between two requests or broken; both are noticed by the next request.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an errno of the socket says that nobody serves its other end.
fn launcher_is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN)
}

impl Running {
    fn start(executable: &OwnedFd, open_files: Rlimit) -> Result<Self, StepError> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .step("making a socket pair for the launcher")?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(ANSWER_LIMIT))
            .step("setting a time limit on the launcher's socket")?;
        let process = Command::new(executable::path_of(executable))
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            // A terminal's Ctrl-C is for the service, which ends the launcher when it is time.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .step("executing the sealed copy of this program")?;
        let running = Self {
            process,
            socket: ours,
        };
        prlimit(Some(running.pid()?), Resource::Nofile, open_files)
            .step("setting the launcher's limit on open files")?;
        Ok(running)
    }

    fn pid(&self) -> Result<Pid, StepError> {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        pid.ok_or_else(|| StepError::new("looking at the launcher's pid", Errno::SRCH))
    }

    fn ask(&self, child: &Child<BorrowedFd<'_>>) -> Result<(OwnedFd, Answer), StepError> {
        let (ours, theirs) = channel::open()?;
        child.request(theirs.as_fd(), self.socket.as_fd())?;
        // The child has its own: when it dies, the channel has to end.
        drop(theirs);
        let answer = protocol::receive_answer(self.socket.as_fd())?;
        Ok((ours, answer))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It leaves by itself when the socket closes, but may still be in a clone; it has nothing to lose.
        let _already_gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}
