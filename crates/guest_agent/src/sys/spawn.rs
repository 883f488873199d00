//! Starting a program: `clone(2)` with the agent's memory shared and the agent stopped until the program runs.
//!
//! `CLONE_VM | CLONE_VFORK` copies no page tables and tells exactly whether `execve` worked: when `clone` returns, the
//! child has either become the program or left its errno in a [`Report`] and exited. No pidfd is asked for: the agent is
//! the only one who reaps its children, so a pid it has not reaped cannot be another process.
//!
//! The price: an `execve` that hangs (a file system that does not answer) holds the agent up with it. Such a file system
//! is either the host's, or the system's own, which then delays nobody but itself.
#![expect(unsafe_code, reason = "clone(2)")]

use std::{
    ffi::{CStr, CString, c_char},
    iter,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr,
    sync::atomic::Ordering,
};

use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, waitpid},
    time::Timespec,
};

use super::{
    child::{self, Orders, Report},
    stack::Stack,
};

/// A program to be started, everything about it decided.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Paths of the program, tried in this order as `execvp(3)` does. Not empty.
    pub(crate) candidates: &'a [CString],
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
    /// Whether the agent has an OOM score that the program must not inherit.
    pub(crate) reset_oom_score: bool,
}

/// What was being done when a launch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Step {
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
    /// Working directory.
    Directory,
    /// Signal mask.
    SignalMask,
    /// `execve`.
    Execute,
}

impl Step {
    const ALL: [Self; 11] = [
        Self::Clone,
        Self::Session,
        Self::Terminal,
        Self::Stdio,
        Self::OomScore,
        Self::Groups,
        Self::Group,
        Self::User,
        Self::Directory,
        Self::SignalMask,
        Self::Execute,
    ];
}

/// Why no program was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaunchError {
    /// What was being done.
    pub(crate) step: Step,
    /// What the kernel said.
    pub(crate) errno: Errno,
    /// For [`Step::Execute`] which candidate that is about.
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
    times: Times,
}

impl Spawner {
    /// Maps the stack that children begin on.
    ///
    /// # Errors
    /// The errno of `mmap(2)`.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            stack: Stack::new()?,
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
    /// What failed; no process is left then.
    pub(crate) fn spawn(&mut self, launch: &Launch<'_>) -> Result<Pid, LaunchError> {
        let candidates = pointers(launch.candidates);
        let arguments = pointers(launch.arguments);
        let environment = pointers(launch.environment);
        let groups = launch.groups;
        let report = Report::default();
        let orders = Orders {
            candidates: candidates.as_ptr(),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            directory: launch.directory.as_ptr(),
            stdio: launch.stdio.map(|descriptor| descriptor.as_raw_fd()),
            terminal: launch.terminal,
            reset_oom_score: launch.reset_oom_score,
            groups: groups.map_or(ptr::null(), <[u32]>::as_ptr),
            group_count: groups.map_or(-1, |list| i32::try_from(list.len()).unwrap_or(i32::MAX)),
            group: launch.group,
            user: launch.user,
            report: &raw const report,
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the child runs `enter` on a stack that no other child uses, because CLONE_VFORK stops us until it has
        // left our memory; `orders` and all it points to live longer than that; no signal handler can run in it.
        let raw = unsafe {
            libc::clone(
                child::enter,
                self.stack.top(),
                flags,
                (&raw const orders).cast_mut().cast(),
            )
        };
        let Some(pid) = Pid::from_raw(raw).filter(|_| raw > 0) else {
            let error = std::io::Error::last_os_error();
            self.times = Times::default();
            return Err(LaunchError {
                step: Step::Clone,
                errno: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
                candidate: 0,
            });
        };
        self.times = Times {
            cloned: report.cloned.moment(),
            became: report.became.moment(),
            entered: report.entered.moment(),
        };
        match failure(&report) {
            None => Ok(pid),
            Some(error) => {
                // The child has exited; it may still be on its way to being a zombie, so this waits for that.
                while let Err(Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
                Err(error)
            }
        }
    }
}

fn failure(report: &Report) -> Option<LaunchError> {
    let step = report.step.load(Ordering::Acquire);
    let step = Step::ALL.into_iter().find(|s| *s as u32 == step)?;
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
