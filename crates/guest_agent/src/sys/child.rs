//! The child's side of a launch: it runs in the agent's memory, on a stack of its own, while the agent stands still.
//!
//! So it may do system calls and write its [`Report`], nothing else: no allocation, no lock, no panic, no drop of
//! anything. The C functions used here are bare system calls; where the C library does more (changing ids in all
//! threads), the system call is made directly.
#![expect(unsafe_code, reason = "system calls between clone and execve")]

use std::{
    ffi::{c_char, c_int, c_long, c_void},
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicUsize, Ordering},
};

use rustix::time::Timespec;

use super::spawn::Step;

/// What the child needs, as plain pointers and numbers. All pointers outlive the child's stay in the agent's memory.
#[derive(Debug)]
pub(super) struct Orders {
    /// Paths to try, ended by null.
    pub(super) candidates: *const *const c_char,
    /// `argv`, ended by null.
    pub(super) arguments: *const *const c_char,
    /// `envp`, ended by null.
    pub(super) environment: *const *const c_char,
    /// Working directory.
    pub(super) directory: *const c_char,
    /// Descriptors that become 0, 1 and 2; all of them above 2.
    pub(super) stdio: [c_int; 3],
    /// Whether `stdio[0]` becomes the controlling terminal.
    pub(super) terminal: bool,
    /// Whether the OOM score goes back to 0.
    pub(super) reset_oom_score: bool,
    /// Supplementary groups, when they are to be set.
    pub(super) groups: *const libc::gid_t,
    /// Their number; negative for "leave as they are".
    pub(super) group_count: c_int,
    /// Real, effective and saved group.
    pub(super) group: libc::gid_t,
    /// Real, effective and saved user.
    pub(super) user: libc::uid_t,
    /// Where the child says what failed.
    pub(super) report: *const Report,
}

/// What the child tells the agent through their common memory. Untouched when `execve` succeeded.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// [`Step`] as a number; 0 for none.
    pub(super) step: AtomicU32,
    /// errno of that step.
    pub(super) errno: AtomicI32,
    /// Which candidate the errno is about.
    pub(super) candidate: AtomicUsize,
    /// When it began.
    pub(super) cloned: Mark,
    /// When it had its session, its streams and its user.
    pub(super) became: Mark,
    /// When it had entered its directory.
    pub(super) entered: Mark,
}

/// A moment of `CLOCK_MONOTONIC`, once it is there.
#[derive(Debug, Default)]
pub(super) struct Mark {
    /// 0 until then: the host has been up for longer.
    seconds: AtomicI64,
    nanoseconds: AtomicI64,
}

impl Mark {
    /// Sets it to this moment.
    fn set(&self) {
        let mut now = MaybeUninit::<libc::timespec>::zeroed();
        // SAFETY: writes the whole of `now`; no lock and no memory of its own.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr()) };
        // SAFETY: all zeroes are a valid value, and so is what was written.
        let now = unsafe { now.assume_init() };
        self.nanoseconds.store(now.tv_nsec, Ordering::Relaxed);
        self.seconds.store(now.tv_sec, Ordering::Release);
    }

    /// The moment, for the agent.
    pub(super) fn moment(&self) -> Option<Timespec> {
        let tv_sec = self.seconds.load(Ordering::Acquire);
        let tv_nsec = self.nanoseconds.load(Ordering::Relaxed);
        (tv_sec != 0).then_some(Timespec { tv_sec, tv_nsec })
    }
}

/// Entry of the child: `orders` points to an [`Orders`]. Never returns to the agent's code.
pub(super) extern "C" fn enter(orders: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a pointer to an Orders that lives until the agent goes on, which is after this.
    let orders = unsafe { &*orders.cast::<Orders>() };
    // SAFETY: as for `orders`.
    let report = unsafe { &*orders.report };
    report.cloned.set();
    let (step, candidate) = match prepare(orders, report) {
        Err(step) => (step, 0),
        Ok(()) => (Step::Execute, execute(orders)),
    };
    report.errno.store(errno(), Ordering::Relaxed);
    report.candidate.store(candidate, Ordering::Relaxed);
    report.step.store(step as u32, Ordering::Release);
    // SAFETY: ends this process only, without running anything of the agent's.
    unsafe { libc::_exit(127) }
}

/// Everything before `execve`. On error errno is that of the step.
fn prepare(orders: &Orders, report: &Report) -> Result<(), Step> {
    // SAFETY: no memory involved.
    done(unsafe { libc::setsid() }, Step::Session)?;
    if orders.terminal {
        // SAFETY: TIOCSCTTY takes a number, no memory involved.
        let result = unsafe { libc::ioctl(orders.stdio[0], libc::TIOCSCTTY, 0) };
        done(result, Step::Terminal)?;
    }
    for (number, descriptor) in (0..).zip(orders.stdio) {
        // SAFETY: this child has a descriptor table of its own.
        done(unsafe { libc::dup2(descriptor, number) }, Step::Stdio)?;
    }
    if orders.reset_oom_score {
        reset_oom_score()?;
    }
    // All of the agent's descriptors close on exec; this is a second lock on that door. Kernels before 5.9 lack it.
    // SAFETY: as for dup2.
    unsafe { libc::syscall(libc::SYS_close_range, 3, c_int::MAX, 0) };
    become_user(orders)?;
    report.became.set();
    // After the user was set: a directory this user may not enter must refuse.
    // SAFETY: `directory` is a C string of the agent, which stands still.
    done(unsafe { libc::chdir(orders.directory) }, Step::Directory)?;
    report.entered.set();
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset writes the whole set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: written just above; a null old set is allowed.
    let result = unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
    done(result, Step::SignalMask)
}

fn become_user(orders: &Orders) -> Result<(), Step> {
    if orders.group_count >= 0 {
        // SAFETY: `groups` points to `group_count` ids of the agent, which stands still.
        let result =
            unsafe { libc::syscall(libc::SYS_setgroups, orders.group_count, orders.groups) };
        done_long(result, Step::Groups)?;
    }
    let group = orders.group;
    // SAFETY: numbers only; the bare call changes this process alone.
    let result = unsafe { libc::syscall(libc::SYS_setresgid, group, group, group) };
    done_long(result, Step::Group)?;
    let user = orders.user;
    // SAFETY: as above.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, user, user, user) };
    done_long(result, Step::User)
}

fn reset_oom_score() -> Result<(), Step> {
    // SAFETY: the path is a constant C string.
    let file = unsafe {
        libc::open(
            c"/proc/self/oom_score_adj".as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NONBLOCK,
        )
    };
    done(file, Step::OomScore)?;
    // SAFETY: one readable byte is written. The descriptor is closed by exec at the latest.
    let written = unsafe { libc::write(file, c"0".as_ptr().cast(), 1) };
    if written == 1 {
        Ok(())
    } else {
        Err(Step::OomScore)
    }
}

/// Tries each candidate as `execvp(3)` does; returns only on failure, with errno set and the index it is about.
fn execute(orders: &Orders) -> usize {
    let mut denied = None;
    let mut index = 0;
    loop {
        let place = orders.candidates.wrapping_add(index);
        // SAFETY: the list is ended by null, and `index` has not passed that yet.
        let candidate = unsafe { *place };
        if candidate.is_null() {
            break;
        }
        // SAFETY: C string and null-ended lists of the agent, which stands still.
        unsafe { libc::execve(candidate, orders.arguments, orders.environment) };
        match errno() {
            libc::EACCES => denied = denied.or(Some(index)),
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
            _ => return index,
        }
        index += 1;
    }
    let Some(denied) = denied else {
        return index.saturating_sub(1);
    };
    set_errno(libc::EACCES);
    denied
}

fn done(result: c_int, step: Step) -> Result<(), Step> {
    if result == -1 { Err(step) } else { Ok(()) }
}

fn done_long(result: c_long, step: Step) -> Result<(), Step> {
    if result == -1 { Err(step) } else { Ok(()) }
}

fn errno() -> c_int {
    // SAFETY: answers an address and nothing else.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the errno of this thread, which is the agent's own; the agent stands still.
    unsafe { *place }
}

fn set_errno(value: c_int) {
    // SAFETY: answers an address and nothing else.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as in `errno`.
    unsafe { *place = value };
}
