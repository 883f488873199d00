//! What a service inherits from the program that started it, undone: a service that a client starts serves others as
//! well, so it has to be as if init had started it.
//!
//! | when | what |
//! |---|---|
//! | [`renew`], by the starter | signals, mask of modes, limits, scheduling, user and groups, personality, keyring,
//! namespaces, directory, inheritable capabilities, memory policy, slack of timers, what is in dumps of memory |
//! | [`settle`], by the service | control group of its own, all processors |
//! | [`protect`], by the service | its score for when memory runs out |
//! | [`outlive_limits`], by the service | the signal of files that are too large |
//! | [`give_up_capabilities`], by the service | those it has no use for |
//! | [`remaining()`], by the service | what could not be undone, in sentences for its log |
//!
//! Descriptors, environment, session and standard streams are the starter's own business: they change with `execve(2)`.
//!
//! All of it is for a process with one thread. What is refused is left as it is, for [`remaining()`] to tell: a service
//! of an ordinary user cannot have more than its user, and one in a container not more than the container.

mod capabilities;
mod limits;
mod namespaces;
mod remaining;

use std::{fs, num::NonZeroU64, path::Path};

use rustix::{
    fs::Mode,
    io::Errno,
    process::{getegid, geteuid, setpriority_process, umask},
    thread::{
        CpuSet, clear_ambient_capability_set, disable_transparent_huge_pages, sched_setaffinity,
        set_current_timer_slack,
    },
};

use crate::{
    cgroup::own,
    privilege::Privilege,
    sys::{inherited, process},
};

pub use capabilities::{give_up as give_up_capabilities, give_up_profiles};
pub use remaining::remaining;

/// Everything that is created has a mode of its own; this only keeps a mask of nothing, or of everything, away.
const MASK: Mode = Mode::from_raw_mode(0o022);

/// How likely the service is to be killed when the host's memory runs out, beside -1000 (never) and 1000: systems are
/// better ended before it.
const SCORE: &str = "-500";

/// How late a timer may be, in nanoseconds, where pid 1 does not say: the kernel's own value.
const SLACK: u64 = 50_000;

/// Which parts of its memory a process has in a dump, where pid 1 does not say: the kernel's own value (`core(5)`).
const DUMPED: &str = "0x33";

/// Undoes what the calling process inherited, as far as it may. The paths in `seen` have to be the same files in the
/// namespace of mounts of pid 1, or the process stays in its own.
pub fn renew(seen: &[&Path]) {
    // Signals and limits first: with those of a caller the rest might end this process.
    let _unchanged = process::default_signals();
    limits::renew();
    umask(MASK);
    let _unchanged = [
        setpriority_process(None, 0),
        inherited::ordinary_scheduling(),
        inherited::no_io_priority(),
        inherited::ordinary_personality(),
        inherited::ordinary_memory_policy(),
        ordinary_timers(),
        disable_transparent_huge_pages(false),
        clear_ambient_capability_set(),
        capabilities::inherit_none(),
        become_one_user(),
        process::new_session_keyring(),
    ];
    let _refused = [
        fs::write("/proc/self/oom_score_adj", "0"),
        fs::write("/proc/self/coredump_filter", parts_in_dumps()),
    ];
    namespaces::join(seen);
    let _unchanged = rustix::process::chdir("/");
}

/// Timers are as exact as those of pid 1. The value is said: to ask for the default would give that of the caller.
fn ordinary_timers() -> Result<(), Errno> {
    let of_init = fs::read_to_string("/proc/1/timerslack_ns").ok();
    let of_init = of_init.and_then(|text| text.trim().parse().ok());
    set_current_timer_slack(NonZeroU64::new(of_init.unwrap_or(SLACK)))
}

/// The parts of memory that are in a dump of pid 1.
fn parts_in_dumps() -> String {
    let of_init = fs::read_to_string("/proc/1/coredump_filter").unwrap_or_default();
    match of_init.trim() {
        "" => DUMPED.to_owned(),
        // The kernel writes it without the prefix by which it reads it.
        parts => format!("0x{parts}"),
    }
}

/// The real and saved ids become the effective ones: a set-user-ID program that starts a service would leave the
/// service to the signals of its caller. Root has no groups but its own.
fn become_one_user() -> Result<(), Errno> {
    let root = geteuid().is_root();
    if root {
        // Where it is not allowed, a user namespace forbids it, in which no group has any power over the host.
        let _kept = inherited::leave_groups();
    }
    let group = if root { 0 } else { getegid().as_raw() };
    inherited::set_group(group).or_else(|_| inherited::set_group(getegid().as_raw()))?;
    inherited::set_user(geteuid().as_raw())
}

/// Why the calling process should be no service, after [`renew`]: a service that a client has started serves others as
/// well. It must not be held to the few files that this client may have open, nor end by a limit of this client.
#[must_use]
pub fn unfit() -> Option<String> {
    let limits::TooLow {
        most,
        of,
        letter,
        least,
    } = limits::too_low()?;
    Some(format!(
        "a service that is started from here could have {most} {of}, for all of its clients, as the hard limit of this \
         process (ulimit -H{letter}) may not be raised: expected at least {least}; start the service from elsewhere, by hcsd --start, \
         and use it from here"
    ))
}

/// Lets writes past the limit on the size of files fail by `EFBIG`, which the call at fault is told, instead of ending
/// the service.
///
/// # Errors
/// The errno of `signal(2)`.
pub fn outlive_limits() -> Result<(), Errno> {
    process::ignore_signal_of_file_size()
}

/// Moves the calling process into a control group of its own, `service` below `cgroup_root` in each hierarchy, and lets
/// it run on every processor. Returns what was refused. For root only; others stay where they are.
#[must_use]
pub fn settle(cgroup_root: &str) -> Vec<String> {
    let mut refused = Vec::new();
    if Privilege::own() == Privilege::Root {
        refused.extend(
            own::join(cgroup_root).into_iter().map(|error| {
                format!("the service stays in a control group of its starter: {error}")
            }),
        );
    }
    let mut all = CpuSet::new();
    for index in 0..CpuSet::MAX_CPU {
        all.set(index);
    }
    if let Err(errno) = sched_setaffinity(None, &all) {
        refused.push(format!(
            "the service runs on the processors of its starter only: {errno}"
        ));
    }
    refused
}

/// Starts something outside of the group of [`settle`], for the launcher. A container has no
/// group of its own in every hierarchy; where it has none it would keep the service's in use after the service.
pub(crate) fn outside<T>(cgroup_root: &str, start: impl FnOnce() -> T) -> T {
    if Privilege::own() == Privilege::User {
        return start();
    }
    own::step_out(cgroup_root);
    let started = start();
    // What is refused has been told by then.
    let _refused = own::join(cgroup_root);
    started
}

/// Leaves the group of [`settle`] and removes it, and those above it as far as they are empty. The last thing before
/// the process ends: it is in the hierarchies' roots then.
pub fn leave(cgroup_root: &str) {
    if Privilege::own() == Privilege::Root {
        own::leave(cgroup_root);
    }
}

/// Makes the calling process, and no child it had before, one of the last to be killed when the host's memory runs out.
pub fn protect() {
    let _refused = fs::write("/proc/self/oom_score_adj", SCORE);
}
