//! Starting a program: `clone(2)` with the agent's memory shared, and the agent waiting until the program runs.
//!
//! `CLONE_VM` copies no page tables, and the kernel tells when a child has left the agent's memory
//! (`CLONE_CHILD_CLEARTID`): then it has either become the program or left its errno in a [`Report`] and exits. No
//! pidfd is asked for: the agent is the only one who reaps its children, so a pid it has not reaped cannot be another
//! process.
//!
//! It is as with `CLONE_VFORK`, but for one thing: a child may be stopped before its program runs, by a process of the
//! system that has its user, and nothing forbids that. The agent sees it, ends the child and says so. A child that
//! takes longer than [`LIMIT`], as its program is on a file system that does not answer, is ended too.
#![expect(unsafe_code, reason = "clone(2)")]

use std::{
    ffi::{CStr, CString, c_char},
    iter, mem,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use hcs_schema::privileges::{Capabilities, Privileges};
use rustix::{
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid},
    thread::futex,
    time::Timespec,
};

use super::{
    child::{self, Keep, Limit, Orders, Report},
    signals,
    stack::Stack,
};

/// How long a child may take until its program runs.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked whether it was stopped.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// How long a child that was killed may take to be gone. A child held up in the kernel is left to itself then.
const END: Duration = Duration::from_secs(1);

/// A program to be started, everything about it decided.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Paths of the program, tried in this order as `execvp(3)` does. Not empty.
    pub(crate) candidates: &'a [CString],
    /// The program itself, opened, in place of those.
    pub(crate) program: Option<BorrowedFd<'a>>,
    /// `argv`.
    pub(crate) arguments: &'a [CString],
    /// `NAME=value`.
    pub(crate) environment: &'a [CString],
    /// Working directory, entered as the new user.
    pub(crate) directory: &'a CStr,
    /// Become descriptors 0, 1 and 2; each must be above 2.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// Whether the first of `stdio` is a terminal that becomes the controlling one.
    pub(crate) terminal: bool,
    /// User id.
    pub(crate) user: u32,
    /// Group id.
    pub(crate) group: u32,
    /// Supplementary groups; `None` leaves the agent's.
    pub(crate) groups: Option<&'a [u32]>,
    /// The directory of procfs by which to reset the OOM score, if the agent has one that the program must not inherit.
    pub(crate) reset_oom_score: Option<BorrowedFd<'a>>,
    /// What it may do beside that, and use.
    pub(crate) privileges: &'a Privileges,
    /// What the agent could hand on.
    pub(crate) bounding: Capabilities,
}

impl Launch<'_> {
    /// Which capabilities it is to have, and how it comes to have them.
    fn keep(&self) -> (Capabilities, Keep) {
        let Privileges { root, others, .. } = self.privileges;
        match self.user {
            0 if self.bounding == *root => (*root, Keep::Nothing),
            0 => (*root, Keep::Now),
            _ if others.is_empty() => (*others, Keep::Nothing),
            _ => (*others, Keep::Ambient),
        }
    }
}

/// What was being done when a launch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum SpawnStage {
    /// `clone`.
    Clone = 1,
    /// A session of its own.
    Session,
    /// The controlling terminal.
    Terminal,
    /// Descriptors 0, 1 and 2.
    Stdio,
    /// The OOM score.
    OomScore,
    /// Supplementary groups.
    Groups,
    /// Group id.
    Group,
    /// User id.
    User,
    /// A limit.
    Limit,
    /// Capabilities.
    Capabilities,
    /// `no_new_privs`.
    NoNewPrivileges,
    /// Working directory.
    Directory,
    /// Signal mask.
    SignalMask,
    /// `execve`.
    Execute,
    /// Anything: a signal stopped it on its way.
    Stopped,
    /// Anything: it did not get there in time.
    Late,
}

impl SpawnStage {
    const ALL: [Self; 16] = [
        Self::Clone,
        Self::Session,
        Self::Terminal,
        Self::Stdio,
        Self::OomScore,
        Self::Groups,
        Self::Group,
        Self::User,
        Self::Limit,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Directory,
        Self::SignalMask,
        Self::Execute,
        Self::Stopped,
        Self::Late,
    ];
}

/// Why no program was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaunchError {
    /// What was being done.
    pub(crate) step: SpawnStage,
    /// What the kernel said.
    pub(crate) errno: Errno,
    /// For [`SpawnStage::Execute`] which candidate that is about, for [`SpawnStage::Limit`] which limit.
    pub(crate) candidate: usize,
}

/// When the new process of a launch got how far: moments of `CLOCK_MONOTONIC`; `None` for what it did not reach.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// It ran.
    pub(crate) cloned: Option<Timespec>,
    /// It had its session, its streams and its user.
    pub(crate) became: Option<Timespec>,
    /// It had entered its working directory.
    pub(crate) entered: Option<Timespec>,
}

/// Starts programs, one after the other on the same stack.
#[derive(Debug)]
pub(crate) struct Spawner {
    stack: Stack,
    report: Box<Report>,
    times: Times,
}

/// Why a child never was what it was to become.
enum Stuck {
    Stopped,
    Late,
}

impl Spawner {
    /// Maps the stack that children begin on.
    ///
    /// # Errors
    /// The errno of `mmap(2)`.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            stack: Stack::new()?,
            report: Box::default(),
            times: Times::default(),
        })
    }

    /// How far the process of the last launch got, and when.
    pub(crate) const fn times(&self) -> Times {
        self.times
    }

    /// Starts `launch` and answers its pid once `execve` has succeeded. All signals must be blocked
    /// ([`super::signals::prepare`]): the child begins with the agent's mask and shares its memory.
    ///
    /// # Errors
    /// What failed; no process is left then, but one that the kernel does not let go of yet.
    pub(crate) fn spawn(&mut self, launch: &Launch<'_>) -> Result<Pid, LaunchError> {
        let candidates = pointers(launch.candidates);
        let arguments = pointers(launch.arguments);
        let environment = pointers(launch.environment);
        let groups = launch.groups;
        let limits = limits(launch.privileges);
        let (capabilities, keep) = launch.keep();
        *self.report = Report::default();
        self.report.present.store(1, Ordering::Relaxed);
        let orders = Orders {
            candidates: candidates.as_ptr(),
            program: launch.program.map_or(-1, |program| program.as_raw_fd()),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            directory: launch.directory.as_ptr(),
            stdio: launch.stdio.map(|descriptor| descriptor.as_raw_fd()),
            terminal: launch.terminal,
            proc: launch.reset_oom_score.map_or(-1, |proc| proc.as_raw_fd()),
            groups: groups.map_or(ptr::null(), <[u32]>::as_ptr),
            group_count: groups.map_or(-1, |list| i32::try_from(list.len()).unwrap_or(i32::MAX)),
            group: launch.group,
            user: launch.user,
            limits: limits.as_ptr(),
            limit_count: limits.len(),
            dropped: launch.bounding.difference(launch.privileges.root).bits(),
            capabilities: capabilities.bits(),
            keep,
            no_new_privileges: launch.privileges.no_new_privileges,
            report: &raw const *self.report,
        };
        let pid = self.clone_child(&orders)?;
        let arrived = self.wait(pid, LIMIT);
        self.times = Times {
            cloned: self.report.cloned.moment(),
            became: self.report.became.moment(),
            entered: self.report.entered.moment(),
        };
        if let Err(stuck) = arrived {
            return Err(self.give_up(pid, &stuck));
        }
        match failure(&self.report) {
            None => Ok(pid),
            Some(error) => {
                // The child has exited; it may still be on its way to being a zombie, so this waits for that.
                while let Err(Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
                Err(error)
            }
        }
    }

    fn clone_child(&mut self, orders: &Orders) -> Result<Pid, LaunchError> {
        let flags = libc::CLONE_VM | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
        let none = ptr::null_mut::<libc::c_void>();
        // SAFETY: the child runs `enter` on a stack that no other child uses: `spawn` waits until this one has left our
        // memory, and gives up the stack and the report of one that will not leave. `orders` and all it points to live
        // until then, or until the child has been killed and runs no more of our code. No signal handler can run in it.
        // The kernel writes one word, in the report.
        let raw = unsafe {
            libc::clone(
                child::enter,
                self.stack.top(),
                flags,
                (&raw const *orders).cast_mut().cast(),
                none,
                none,
                self.report.present.as_ptr(),
            )
        };
        // A negative number is none that a pid can be made of.
        let pid = (raw > 0).then(|| Pid::from_raw(raw)).flatten();
        pid.ok_or_else(|| {
            let error = std::io::Error::last_os_error();
            self.times = Times::default();
            LaunchError {
                step: SpawnStage::Clone,
                errno: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
                candidate: 0,
            }
        })
    }

    /// Waits until the child has left our memory. Uses neither errno nor anything else that is the child's meanwhile:
    /// these are bare system calls.
    fn wait(&self, pid: Pid, limit: Duration) -> Result<(), Stuck> {
        let began = Instant::now();
        let present = &self.report.present;
        while present.load(Ordering::Acquire) != 0 {
            // Not a private one: the kernel does not wake those.
            match futex::wait(present, futex::Flags::empty(), 1, Some(&LOOK)) {
                Err(Errno::TIMEDOUT) => {}
                _ => continue,
            }
            if is_stopped(pid) {
                return Err(Stuck::Stopped);
            }
            if began.elapsed() >= limit {
                return Err(Stuck::Late);
            }
        }
        Ok(())
    }

    /// Ends a child that did not arrive. A child that does not end either is in the kernel, where it can do nothing
    /// but end: it may keep what it stands on.
    fn give_up(&mut self, pid: Pid, stuck: &Stuck) -> LaunchError {
        let _gone_already = signals::send(pid.as_raw_nonzero().get(), libc::SIGKILL);
        let began = Instant::now();
        while self.report.present.load(Ordering::Acquire) != 0 && began.elapsed() < END {
            let present = &self.report.present;
            let _looked_at_again = futex::wait(present, futex::Flags::empty(), 1, Some(&LOOK));
        }
        if self.report.present.load(Ordering::Acquire) == 0 {
            while let Err(Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
        } else {
            mem::forget(mem::take(&mut self.report));
            if let Ok(stack) = Stack::new() {
                mem::forget(mem::replace(&mut self.stack, stack));
            }
        }
        let (step, errno) = match stuck {
            Stuck::Stopped => (SpawnStage::Stopped, Errno::CANCELED),
            Stuck::Late => (SpawnStage::Late, Errno::TIMEDOUT),
        };
        LaunchError {
            step,
            errno,
            candidate: 0,
        }
    }
}

/// Whether a signal has stopped a child of ours.
fn is_stopped(pid: Pid) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(pid), options), Ok(Some(status)) if status.stopped())
}

/// The limits to be set, as the kernel takes them.
fn limits(privileges: &Privileges) -> Vec<Limit> {
    let limits = privileges.limits.iter().map(|limit| Limit {
        number: limit.number.cast_signed(),
        values: libc::rlimit64 {
            rlim_cur: limit.soft,
            rlim_max: limit.hard,
        },
    });
    limits.collect()
}

fn failure(report: &Report) -> Option<LaunchError> {
    let step = report.step.load(Ordering::Acquire);
    let step = SpawnStage::ALL.into_iter().find(|s| *s as u32 == step)?;
    Some(LaunchError {
        step,
        errno: Errno::from_raw_os_error(report.errno.load(Ordering::Relaxed)),
        candidate: report.candidate.load(Ordering::Relaxed),
    })
}

/// The addresses of `strings`, ended by null.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let addresses = strings.iter().map(|string| string.as_ptr());
    addresses.chain(iter::once(ptr::null())).collect()
}
