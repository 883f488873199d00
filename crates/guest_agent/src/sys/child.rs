//! The child's side of a launch: it runs in the agent's memory, on a stack of its own, while the agent waits for it in
//! one system call.
//!
//! So it may do system calls and write its [`Report`], nothing else: no allocation, no lock, no panic, no drop of
//! anything. The C functions used here are bare system calls; where the C library does more (changing ids in all
//! threads), the system call is made directly. `errno` is the agent's: that one does not use it meanwhile.
#![expect(unsafe_code, reason = "system calls between clone and execve")]

use std::{
    ffi::{c_char, c_int, c_long, c_void},
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicUsize, Ordering},
};

use rustix::time::Timespec;

use super::spawn::SpawnStage;

/// What the child needs, as plain pointers and numbers. All pointers outlive the child's stay in the agent's memory.
#[derive(Debug)]
pub(super) struct Orders {
    /// Paths to try, ended by null.
    pub(super) candidates: *const *const c_char,
    /// The program as a descriptor, in place of those; -1 for none.
    pub(super) program: c_int,
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
    /// The directory of procfs by which the OOM score goes back to 0; -1 when it stays.
    pub(super) proc: c_int,
    /// Supplementary groups, when they are to be set.
    pub(super) groups: *const libc::gid_t,
    /// Their number; negative for "leave as they are".
    pub(super) group_count: c_int,
    /// Real, effective and saved group.
    pub(super) group: libc::gid_t,
    /// Real, effective and saved user.
    pub(super) user: libc::uid_t,
    /// Limits to be set.
    pub(super) limits: *const Limit,
    /// Their number.
    pub(super) limit_count: usize,
    /// Capabilities to be taken out of the bounding set, a bit for each.
    pub(super) dropped: u64,
    /// Capabilities to have; where [`Keep::Nothing`] is to be done, `execve` works them out.
    pub(super) capabilities: u64,
    /// How they come to be had.
    pub(super) keep: Keep,
    /// Whether no `execve` gives more.
    pub(super) no_new_privileges: bool,
    /// Where the child says what failed.
    pub(super) report: *const Report,
}

/// How a process comes to have its capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// By its user: root has what is in the bounding set, another none.
    Nothing,
    /// By the bounding set, and right now.
    Now,
    /// Although its user is not root: they are handed on (`ambient`).
    Ambient,
}

/// One limit, as `prlimit(2)` takes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// `RLIMIT_*`.
    pub(super) number: c_int,
    /// Its values.
    pub(super) values: libc::rlimit64,
}

/// What the child tells the agent through their common memory. Untouched when `execve` succeeded, but for the first.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Not 0 while the child is in the agent's memory. The kernel clears it, and wakes who waits for that.
    pub(super) present: AtomicU32,
    /// [`SpawnStage`] as a number; 0 for none.
    pub(super) step: AtomicU32,
    /// errno of that step.
    pub(super) errno: AtomicI32,
    /// Which candidate, limit or capability the errno is about.
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
    // SAFETY: `spawn` passes a pointer to an Orders that lives until this process is gone or past returning to this
    // code.
    let orders = unsafe { &*orders.cast::<Orders>() };
    // SAFETY: as for `orders`.
    let report = unsafe { &*orders.report };
    report.cloned.set();
    let (step, candidate) = match prepare(orders, report) {
        Err(failed) => failed,
        Ok(()) => (SpawnStage::Execute, execute(orders)),
    };
    report.errno.store(errno(), Ordering::Relaxed);
    report.candidate.store(candidate, Ordering::Relaxed);
    report.step.store(step as u32, Ordering::Release);
    // SAFETY: ends this process only, without running anything of the agent's.
    unsafe { libc::_exit(127) }
}

/// The descriptor of a program that is no file of the system; it closes on exec.
const PROGRAM: c_int = 3;

/// A step that failed, with errno set, and which of several things it was about.
type Failed = (SpawnStage, usize);

/// Everything before `execve`.
fn prepare(orders: &Orders, report: &Report) -> Result<(), Failed> {
    // SAFETY: no memory involved.
    done(unsafe { libc::setsid() }, SpawnStage::Session)?;
    if orders.terminal {
        // SAFETY: TIOCSCTTY takes a number, no memory involved.
        let result = unsafe { libc::ioctl(orders.stdio[0], libc::TIOCSCTTY, 0) };
        done(result, SpawnStage::Terminal)?;
    }
    for (number, descriptor) in (0..).zip(orders.stdio) {
        // SAFETY: this child has a descriptor table of its own.
        done(unsafe { libc::dup2(descriptor, number) }, SpawnStage::Stdio)?;
    }
    if orders.proc >= 0 {
        reset_oom_score(orders.proc)?;
    }
    let mut others = 3;
    if orders.program >= 0 {
        if orders.program != PROGRAM {
            // SAFETY: as for dup2.
            let result = unsafe { libc::dup3(orders.program, PROGRAM, libc::O_CLOEXEC) };
            done(result, SpawnStage::Execute)?;
        }
        others = PROGRAM + 1;
    }
    // All of the agent's descriptors close on exec; this is a second lock on that door. Kernels before 5.9 lack it.
    // SAFETY: as for dup2.
    unsafe { libc::syscall(libc::SYS_close_range, others, c_int::MAX, 0) };
    limit(orders)?;
    become_user(orders)?;
    keep_capabilities(orders)?;
    if orders.no_new_privileges {
        control(libc::PR_SET_NO_NEW_PRIVS, 1, 0, SpawnStage::NoNewPrivileges)?;
    }
    report.became.set();
    // After the user was set: a directory this user may not enter must refuse.
    // SAFETY: `directory` is a C string of the agent, which leaves it alone.
    let entered = unsafe { libc::chdir(orders.directory) };
    done(entered, SpawnStage::Directory)?;
    report.entered.set();
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset writes the whole set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: written just above; a null old set is allowed.
    let result = unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
    done(result, SpawnStage::SignalMask)
}

fn limit(orders: &Orders) -> Result<(), Failed> {
    for index in 0..orders.limit_count {
        // SAFETY: `limits` points to `limit_count` of them, which the agent leaves alone.
        let Limit { number, values } = unsafe { *orders.limits.wrapping_add(index) };
        // SAFETY: reads the new values, which are on this stack, and writes no old ones.
        let result = unsafe {
            libc::syscall(
                libc::SYS_prlimit64,
                0,
                number,
                &raw const values,
                ptr::null_mut::<libc::rlimit64>(),
            )
        };
        if result == -1 {
            return Err((SpawnStage::Limit, index));
        }
    }
    Ok(())
}

fn become_user(orders: &Orders) -> Result<(), Failed> {
    for number in numbers(orders.dropped) {
        control(libc::PR_CAPBSET_DROP, number, 0, SpawnStage::Capabilities)?;
    }
    if orders.keep == Keep::Ambient {
        control(libc::PR_SET_KEEPCAPS, 1, 0, SpawnStage::Capabilities)?;
    }
    if orders.group_count >= 0 {
        // SAFETY: `groups` points to `group_count` ids of the agent, which leaves them alone.
        let result =
            unsafe { libc::syscall(libc::SYS_setgroups, orders.group_count, orders.groups) };
        done_long(result, SpawnStage::Groups)?;
    }
    let group = orders.group;
    // SAFETY: numbers only; the bare call changes this process alone.
    let result = unsafe { libc::syscall(libc::SYS_setresgid, group, group, group) };
    done_long(result, SpawnStage::Group)?;
    let user = orders.user;
    // SAFETY: as above.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, user, user, user) };
    done_long(result, SpawnStage::User)
}

/// `struct __user_cap_header_struct` and `struct __user_cap_data_struct` of version 3.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}
#[repr(C)]
struct CapabilityWords {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}
const CAPABILITY_VERSION: u32 = 0x2008_0522;

fn keep_capabilities(orders: &Orders) -> Result<(), Failed> {
    let inherited = match orders.keep {
        Keep::Nothing => return Ok(()),
        Keep::Now => 0,
        Keep::Ambient => orders.capabilities,
    };
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let low = |set: u64| (set & 0xffff_ffff) as u32;
    let words = [0, 32].map(|shift| CapabilityWords {
        effective: low(orders.capabilities >> shift),
        permitted: low(orders.capabilities >> shift),
        inheritable: low(inherited >> shift),
    });
    // SAFETY: the kernel reads a header and two sets of words, which are on this stack.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    done_long(result, SpawnStage::Capabilities)?;
    for number in numbers(inherited) {
        let raise = libc::PR_CAP_AMBIENT_RAISE as c_long;
        control(
            libc::PR_CAP_AMBIENT,
            raise,
            number,
            SpawnStage::Capabilities,
        )?;
    }
    Ok(())
}

/// The numbers whose bits are set.
fn numbers(set: u64) -> impl Iterator<Item = c_long> {
    (0..64).filter(move |number| set & (1_u64 << number) != 0)
}

/// `prctl(2)` with numbers only.
fn control(option: c_int, first: c_long, second: c_long, step: SpawnStage) -> Result<(), Failed> {
    let none: c_long = 0;
    // SAFETY: none of the options used here takes an address.
    let result = unsafe { libc::syscall(libc::SYS_prctl, option, first, second, none, none) };
    done_long(result, step)
}

fn reset_oom_score(proc: c_int) -> Result<(), Failed> {
    // SAFETY: the path is a constant C string; the agent holds the directory open.
    let file = unsafe {
        libc::openat(
            proc,
            c"self/oom_score_adj".as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW,
        )
    };
    done(file, SpawnStage::OomScore)?;
    // SAFETY: one readable byte is written. The descriptor is closed by exec at the latest.
    let written = unsafe { libc::write(file, c"0".as_ptr().cast(), 1) };
    if written == 1 {
        Ok(())
    } else {
        Err((SpawnStage::OomScore, 0))
    }
}

/// Tries each candidate as `execvp(3)` does; returns only on failure, with errno set and the index it is about.
fn execute(orders: &Orders) -> usize {
    if orders.program >= 0 {
        // SAFETY: null-ended lists of the agent, which leaves them alone; the path is a constant C string.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                PROGRAM,
                c"".as_ptr(),
                orders.arguments,
                orders.environment,
                libc::AT_EMPTY_PATH,
            )
        };
        return 0;
    }
    let mut denied = None;
    let mut index = 0;
    loop {
        let place = orders.candidates.wrapping_add(index);
        // SAFETY: the list is ended by null, and `index` has not passed that yet.
        let candidate = unsafe { *place };
        if candidate.is_null() {
            break;
        }
        // SAFETY: C string and null-ended lists of the agent, which leaves them alone.
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

fn done(result: c_int, step: SpawnStage) -> Result<(), Failed> {
    done_long(result.into(), step)
}

fn done_long(result: c_long, step: SpawnStage) -> Result<(), Failed> {
    if result == -1 { Err((step, 0)) } else { Ok(()) }
}

fn errno() -> c_int {
    // SAFETY: answers an address and nothing else.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the errno of this thread, which is the agent's own; that one does not use it meanwhile.
    unsafe { *place }
}

fn set_errno(value: c_int) {
    // SAFETY: answers an address and nothing else.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as in `errno`.
    unsafe { *place = value };
}
