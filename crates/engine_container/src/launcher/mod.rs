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
mod turns;

use std::{
    fs, mem,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{self, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use hcs_schema::Failure;
use rustix::{
    io::Errno,
    net::{AddressFamily, Shutdown, SocketFlags, SocketType, socketpair, sockopt},
    process::{Pid, Resource, Rlimit, getrlimit, prlimit},
};

use crate::{
    cgroup::own,
    channel,
    failure::{Attempt, StepError},
    surroundings,
};
use protocol::{Child, LauncherAnswer};
use turns::Turns;

pub(crate) use executable::path_of;

pub use crate::child::{AgentEntry, AgentFiles};
pub use serve::main_if_launcher;

/// For a program that starts a service in the background: makes all descriptors but the standard ones stay behind at
/// the next `execve(2)`. A service that kept a pipe of the program that started it would keep that pipe open for ever.
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

/// Stands for the service itself among users: no user has this number.
pub(crate) const SERVICE: u32 = u32::MAX;

/// How long a clone may take. It is milliseconds; the limit only ends a hang.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The service's end of the launcher. May be used from several threads; requests take their turn, those of a user after
/// those of the others ([`turns`]).
///
/// When dropped, the launcher exits.
#[derive(Debug)]
pub struct Launcher {
    executable: OwnedFd,
    origin: Origin,
    turns: Turns,
    running: Mutex<Running>,
}

/// What the first launcher inherited and containers get. The service changes its own later, so a launcher that replaces
/// another does not inherit it.
#[derive(Debug)]
struct Origin {
    /// The limit on open files.
    open_files: Rlimit,
    /// The score for when memory runs out, as `/proc` has it.
    score: String,
    /// The root of the control groups; the launcher is not in the service's own group below it.
    outside: Option<String>,
}

impl Origin {
    fn here() -> Self {
        Self {
            open_files: getrlimit(Resource::Nofile),
            score: fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default(),
            outside: None,
        }
    }

    /// Gives it to a launcher that was just started.
    fn give(&self, launcher: Pid) -> Result<(), StepError> {
        if let Some(root) = &self.outside {
            own::put_out(root, launcher);
        }
        if !self.score.is_empty() {
            let path = format!("/proc/{}/oom_score_adj", launcher.as_raw_nonzero());
            fs::write(&path, &self.score).step_at("setting the launcher's score", path)?;
        }
        prlimit(Some(launcher), Resource::Nofile, self.open_files)
            .step("setting the launcher's limit on open files")?;
        Ok(())
    }
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
            let running = Mutex::new(Running::start(&executable)?);
            Ok(Self {
                executable,
                origin: Origin::here(),
                turns: Turns::default(),
                running,
            })
        };
        start()
            .map_err(|error| error.into_failure("the launcher of containers could not be started"))
    }

    /// [`Launcher::spawn`] for a service that is in the group of [`surroundings::settle`]: this launcher, and each that
    /// replaces it, is outside of that group.
    ///
    /// # Errors
    /// As for [`Launcher::spawn`].
    pub fn spawn_outside(cgroup_root: &str) -> Result<Self, Failure> {
        let mut launcher = surroundings::outside(cgroup_root, Self::spawn)?;
        launcher.origin.outside = Some(cgroup_root.to_owned());
        Ok(launcher)
    }

    /// Another descriptor of the sealed copy of the calling executable, for helpers of other engines.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn executable(&self) -> Result<OwnedFd, Failure> {
        let again = rustix::io::fcntl_dupfd_cloexec(&self.executable, 3);
        again
            .step("holding the copy of this program")
            .map_err(|error| error.into_failure("the service's helpers cannot be executed"))
    }

    /// Clones one child for `user`; answers our end of its channel and what it is. A launcher that has died is replaced
    /// first. It may have cloned before, so each attempt has a channel of its own: a child that no service knows ends
    /// with that.
    pub(crate) fn launch(&self, child: &Child<BorrowedFd<'_>>, user: u32) -> Launched {
        let _turn = self.turns.take(user);
        let mut running = self.lock();
        match running.ask(child) {
            Ok(launched) => launched,
            Err(error) if launcher_is_gone(error.errno) => {
                *running = self.replacement()?;
                running.ask(child).unwrap_or_else(Err)
            }
            Err(error) => {
                // If no other can be started now, the next request finds this one gone and starts one.
                let old = mem::replace(&mut *running, self.replacement()?);
                // One that hangs in the kernel is waited for by no other request.
                let _reaped = thread::Builder::new().spawn(move || drop(old));
                Err(error)
            }
        }
    }

    /// Another launcher, which has what the first one had before it is asked for anything.
    fn replacement(&self) -> Result<Running, StepError> {
        let running = Running::start(&self.executable)?;
        self.origin.give(running.pid()?)?;
        Ok(running)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // A panic elsewhere leaves the socket between two requests or broken; both are noticed by the next request.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an errno of the socket says that no process serves its other end.
fn launcher_is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN)
}

/// Our end of the channel of a child, and what that is; or why there is none.
type Launched = Result<(OwnedFd, LauncherAnswer), StepError>;

impl Running {
    fn start(executable: &OwnedFd) -> Result<Self, StepError> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .step("making a socket pair for the launcher")?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(ANSWER_LIMIT))
            .step("setting a time limit on the launcher's socket")?;
        let process = Command::new(path_of(executable))
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            // A terminal's Ctrl-C is for the service, which ends the launcher when it is time.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .step("executing the sealed copy of this program")?;
        Ok(Self {
            process,
            socket: ours,
        })
    }

    fn pid(&self) -> Result<Pid, StepError> {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        pid.ok_or_else(|| StepError::new("looking at the launcher's pid", Errno::SRCH))
    }

    /// Asks for `child`; answers it, or why there is none.
    ///
    /// # Errors
    /// Its answer was not received. No other request can be made, as that would get this answer.
    fn ask(&self, child: &Child<BorrowedFd<'_>>) -> Result<Launched, StepError> {
        let (ours, theirs) = match channel::open() {
            Ok(channel) => channel,
            Err(error) => return Ok(Err(error)),
        };
        match child.request(theirs.as_fd(), self.socket.as_fd()) {
            Err(error) if launcher_is_gone(error.errno) => return Err(error),
            // It was not sent: no answer to it comes.
            Err(error) => return Ok(Err(error)),
            Ok(()) => {}
        }
        // The child has its own: when it dies, the channel has to end.
        drop(theirs);
        let answer = protocol::receive_answer(self.socket.as_fd());
        let answer = answer.inspect_err(|_| {
            let _gone_already = rustix::net::shutdown(&self.socket, Shutdown::Both);
        })?;
        Ok(answer.map(|answer| (ours, answer)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It leaves by itself when the socket closes, but may still be in a clone; it has nothing to lose.
        let _already_gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{SendFlags, send};

    use super::*;

    /// Row J4. An answer that comes after all would be taken for that to the next request.
    #[test]
    fn a_launcher_whose_answer_was_not_received_is_asked_nothing_more() {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let running = Running {
            process: Command::new("true").spawn().unwrap(),
            socket: ours,
        };
        let child = Child::Job { new_user: false };
        // What it refuses is an answer.
        protocol::send_answer(theirs.as_fd(), Err(Errno::NOSPC)).unwrap();
        let refused = running.ask(&child).unwrap().unwrap_err();
        assert_eq!(refused.errno, Errno::NOSPC);
        send(&theirs, b"odd", SendFlags::empty()).unwrap();
        protocol::send_answer(theirs.as_fd(), Err(Errno::NOSPC)).unwrap();
        running.ask(&child).unwrap_err();
        let next = running.ask(&child).unwrap_err();
        assert!(launcher_is_gone(next.errno), "{next:?}");
    }
}
