//! What is written down about a machine so that a later service finds it again.

use std::{
    fs,
    io::Read as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{Gid, Uid},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

use crate::{
    cgroup::ControlGroups,
    failure::{Attempt, StepError},
    spec::Owners,
    waiting::{ends_within, is_readable},
};

/// Clock ticks of a second in files of `/proc`: `USER_HZ`, which is the same on each architecture that there still is.
const TICKS: i64 = 100;

/// A machine. The fields are the state file's, so they only ever gain optional ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    /// Pid of its pid 1 on the host.
    pub(crate) pid: i32,
    /// When that process was started, in clock ticks since boot: tells it from a later one of the same pid.
    pub(crate) start_time: u64,
    /// Which boot of the host that was.
    pub(crate) boot_id: String,
    /// When it was made.
    #[serde(flatten)]
    pub(crate) made: Made,
    /// Its control groups.
    pub(crate) groups: ControlGroups,
    /// Its scratch directory, to be removed with it.
    pub(crate) scratch: Option<PathBuf>,
    /// Its scratch directory, to be kept.
    pub(crate) kept_scratch: Option<PathBuf>,
    /// The file of its lease on an image, to be removed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<PathBuf>,
    /// Its user namespace, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_namespace: Option<UserRecord>,
    /// Whether files that it makes in something mapped give no power on the host.
    #[serde(default)]
    pub(crate) guarded: bool,
    /// Whether owners in what is mapped are shifted unless a request says otherwise.
    #[serde(default)]
    pub(crate) shifts_owners: bool,
    /// Whether its agent wants a proof of who connects ([`hcs_wire::proof`]).
    #[serde(default)]
    pub(crate) proof: bool,
    /// The signal that asks its processes to end, where that is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop_signal: Option<u8>,
}

/// The user that a container with a user namespace is on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UserRecord {
    /// Which range of ids it has, where it is one of its own.
    pub(crate) slot: Option<u32>,
    /// The host's id of its root.
    pub(crate) user: u32,
    /// And of its root group.
    pub(crate) group: u32,
}

impl Record {
    /// Why this is not what a service has written of the container `runtime_id`, as far as its names tell. Another
    /// program may have written it: a container to which the directory was mapped before it was that of a service. What
    /// a record names is removed in the end.
    pub(crate) fn doubt(&self, runtime_id: &str) -> Option<&'static str> {
        if !is_guid(runtime_id) {
            return Some("its directory has no name that a service gives one");
        }
        let is_own = |path: &PathBuf| path.file_name().is_some_and(|name| name == runtime_id);
        let is_lease = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_suffix(".json")) == Some(runtime_id)
        };
        if !self.groups.are_named(runtime_id) {
            return Some("it names control groups of another container");
        }
        if !self.groups.are_groups() {
            return Some("it names control groups where there are none");
        }
        if self.groups.are_of_another() {
            return Some("it names control groups of another service");
        }
        if !self.scratch.iter().all(is_own) {
            return Some("it names a scratch directory of another container");
        }
        if !self.lease.iter().all(is_lease) {
            return Some("it names a lease of another container");
        }
        None
    }

    /// The same of the process that it names, which lives: it has to be the first one of a pid namespace, and in the
    /// control groups of the container, where that has some. Where it has none, its socket has to tell.
    pub(crate) fn doubt_of_process(&self) -> Option<&'static str> {
        if !is_first(self.pid) {
            return Some("its process is not the first one of a container");
        }
        // What is gone by now does no harm.
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).ok()?;
        (!self.groups.hold(&groups))
            .then_some("its process is not in the control groups of the container")
    }

    /// The owner of pipes for its processes: its root, where that is not the host's.
    pub(crate) fn pipe_owner(&self) -> Option<(Uid, Gid)> {
        let owner = self.user_namespace.filter(|user| user.slot.is_some())?;
        Some((Uid::from_raw(owner.user), Gid::from_raw(owner.group)))
    }

    /// The owners of mapped files where a request does not say.
    pub(crate) const fn owners(&self) -> Owners {
        match self.shifts_owners {
            true => Owners::Shifted,
            false => Owners::AsOnTheHost,
        }
    }
}

/// When a machine was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Milliseconds since 1970, by the clock as it was set then.
    #[serde(rename = "Created")]
    at: u64,
    /// Milliseconds since the host has booted. Earlier versions have not written that down.
    #[serde(rename = "CreatedUp", default, skip_serializing_if = "Option::is_none")]
    up: Option<u64>,
}

impl Made {
    /// At this moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            at: now(),
            up: Some(up()),
        }
    }

    /// When that was, by the clock as it was set then.
    #[must_use]
    pub fn time(self) -> SystemTime {
        time(self.at)
    }

    /// How long ago that was, however the clock was set since.
    #[must_use]
    pub fn age(self) -> Duration {
        match self.up {
            Some(then) => Duration::from_millis(up().saturating_sub(then)),
            None => SystemTime::now()
                .duration_since(self.time())
                .unwrap_or_default(),
        }
    }
}

/// Milliseconds since the host has booted, whatever time namespace this process is in.
fn up() -> u64 {
    let since = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default();
    let shown = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    shown.saturating_add_signed(-time_offset().saturating_mul(1000 / TICKS))
}

/// The time so many milliseconds after 1970 began.
fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The kernel's name for this boot.
pub(crate) fn boot_id() -> Result<String, StepError> {
    static KNOWN: OnceLock<String> = OnceLock::new();
    let path = "/proc/sys/kernel/random/boot_id";
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let text = fs::read_to_string(path).step_at("reading", path)?;
    Ok(KNOWN.get_or_init(|| text.trim().to_owned()).clone())
}

/// When process `pid` was started, in clock ticks since boot, whatever time namespace this process is in; `None` when
/// there is no such process.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let shown = shown_start_time(pid)?;
    shown.checked_add_signed(-time_offset())
}

/// The same as the kernel shows it to this process: with the offset of its time namespace.
fn shown_start_time(pid: i32) -> Option<u64> {
    // One read: it is on the way of every container, and the whole file is shorter.
    let mut text = [0; 1024];
    let mut file = fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    let read = file.read(&mut text).ok()?;
    parse_start_time(&String::from_utf8_lossy(&text[..read]))
}

/// What the time namespace of this process adds to times since boot, in clock ticks.
fn time_offset() -> i64 {
    // A child may be in another namespace than the process that has looked.
    static KNOWN: OnceLock<(u32, i64)> = OnceLock::new();
    let own = std::process::id();
    match KNOWN.get() {
        Some((process, offset)) if *process == own => *offset,
        _ => {
            let offset = read_time_offset();
            KNOWN.get_or_init(|| (own, offset));
            offset
        }
    }
}

fn read_time_offset() -> i64 {
    // The file is about the namespace of children to be, which is that of the process but after unshare(2).
    let namespace = |name| fs::read_link(format!("/proc/self/ns/{name}")).ok();
    if namespace("time") != namespace("time_for_children") {
        return 0;
    }
    // There is none in a kernel without such namespaces.
    let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    parse_time_offset(&text).unwrap_or_default()
}

/// The offset of `boottime` in `time_namespaces(7)`: seconds, then nanoseconds.
fn parse_time_offset(text: &str) -> Option<i64> {
    let mut lines = text.lines().map(str::split_whitespace);
    let mut words =
        lines.find_map(|mut words| (words.next() == Some("boottime")).then_some(words))?;
    let seconds: i64 = words.next()?.parse().ok()?;
    let nanoseconds: i64 = words.next()?.parse().ok()?;
    let part = nanoseconds / (1_000_000_000 / TICKS);
    seconds.checked_mul(TICKS)?.checked_add(part)
}

/// A pidfd of the process `pid` that was started at `time` of that boot; `None` when it is gone.
///
/// # Errors
/// Whether it lives cannot be found out.
pub(crate) fn find(pid: i32, time: u64, boot: &str) -> Result<Option<OwnedFd>, StepError> {
    let step = "finding a recorded process";
    let Some(number) = Pid::from_raw(pid) else {
        return Ok(None);
    };
    if boot_id()? != boot {
        return Ok(None);
    }
    let process = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(StepError::new(step, errno)),
    };
    // Held by its descriptor now, so the number cannot change hands between the two looks.
    match start_time(pid) {
        // An earlier version has written what the kernel showed it.
        Some(found) => {
            Ok((found == time || shown_start_time(pid) == Some(time)).then_some(process))
        }
        None if is_readable(process.as_fd()) => Ok(None),
        None => Err(StepError::new(step, Errno::IO).at(format!("/proc/{pid}/stat"))),
    }
}

/// Whether a process has ended, or is about to by itself, which is waited for. The kernel tells other things of one
/// that is about to than of one that lives: of the first version of control groups, that it is in those above all.
pub(crate) fn is_ending(process: BorrowedFd<'_>, pid: i32) -> bool {
    /// What is left to do for the kernel, which frees the memory of the process and closes its files.
    const LIMIT: Duration = Duration::from_secs(2);
    is_readable(process) || (is_exiting(pid) && ends_within(process, LIMIT))
}

fn is_exiting(pid: i32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    parse_is_exiting(&String::from_utf8_lossy(&stat))
}

/// Field 9 of `proc_pid_stat(5)`, in which the kernel notes that a process ends (`PF_EXITING`).
fn parse_is_exiting(stat: &str) -> bool {
    const EXITING: u64 = 4;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let flags = fields.and_then(|fields| fields.split(' ').nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & EXITING != 0)
}

/// Whether `name` is written as services write the runtime ids of systems.
pub(crate) fn is_guid(name: &str) -> bool {
    let lengths: Vec<usize> = name.split('-').map(str::len).collect();
    let digits = name.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    digits && lengths == [8, 4, 4, 4, 12]
}

/// Whether a process is the first one of a pid namespace below this one. One that is gone counts as such.
pub(crate) fn is_first(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.map_or(true, |status| is_first_by(&status))
}

fn is_first_by(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let mut numbers = numbers.unwrap_or_default().split_whitespace();
    numbers.next().is_some() && numbers.next_back() == Some("1")
}

/// Field 22 of `proc_pid_stat(5)`. The name in field 2 may hold anything, so counting begins after its last
/// parenthesis.
pub(crate) fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) (b) R) S 1 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time("7 (x"), None);
        assert!(!parse_is_exiting(stat));
        let stat = stat.replace("4194560", "4194564");
        assert!(parse_is_exiting(&stat));
        assert!(!parse_is_exiting("7 (x"));
    }

    /// One whose first thread has ended, as that of a process which the kernel takes apart has.
    #[test]
    fn a_process_that_is_about_to_end_is_waited_for() {
        const FIRST_THREAD_ENDS: &str = "
import ctypes, threading, time
threading.Thread(target=lambda: time.sleep(1000)).start()
ctypes.CDLL(None).syscall(60, 0)
";
        let mut child = std::process::Command::new("python3")
            .args(["-c", FIRST_THREAD_ENDS])
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let number = Pid::from_raw(pid).unwrap();
        let process = pidfd_open(number, PidfdFlags::empty()).unwrap();
        assert!(!is_ending(pidfd_of_this().as_fd(), own_pid()));
        while !is_exiting(pid) {
            std::thread::yield_now();
        }
        assert!(!is_readable(process.as_fd()), "it is not gone");
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            rustix::process::kill_process(number, rustix::process::Signal::KILL).unwrap();
        });
        assert!(is_ending(process.as_fd(), pid));
        killer.join().unwrap();
        child.wait().unwrap();
        assert!(is_ending(process.as_fd(), pid), "it is gone");
    }

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    fn pidfd_of_this() -> OwnedFd {
        pidfd_open(Pid::from_raw(own_pid()).unwrap(), PidfdFlags::empty()).unwrap()
    }

    #[test]
    fn the_age_of_a_machine_does_not_follow_the_clock() {
        const YEARS: u64 = 10 * 365 * 24 * 3600 * 1000;
        for at in [now() - YEARS, now(), now() + YEARS] {
            let up = up();
            let made = Made {
                at,
                up: Some(up.saturating_sub(5000)),
            };
            let age = made.age();
            let expected = Duration::from_millis(up.min(5000))..Duration::from_secs(3600);
            assert!(expected.contains(&age), "{age:?}");
            assert_eq!(made.time(), time(at));
        }
        // What an earlier version has written down.
        let earlier: Made =
            serde_json::from_str(&format!(r#"{{"Created":{}}}"#, now() + YEARS)).unwrap();
        assert_eq!((earlier.up, earlier.age()), (None, Duration::ZERO));
    }

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        let text = "monotonic           7         0\nboottime       100000         0\n";
        assert_eq!(parse_time_offset(text), Some(100_000 * TICKS));
        let negative = "boottime -5 500000000\n";
        assert_eq!(parse_time_offset(negative), Some(-5 * TICKS + TICKS / 2));
        assert_eq!(parse_time_offset(""), None);
        assert_eq!(parse_time_offset("boottime x 0"), None);
    }

    /// A service in another one ends no living containers.
    #[test]
    fn a_process_is_found_from_another_time_namespace() {
        const LOOKED_FOR: &str = "HCS_TEST_LOOKED_FOR";
        if let Ok(text) = std::env::var(LOOKED_FOR) {
            let (pid, time) = text.split_once(' ').unwrap();
            let (pid, time) = (pid.parse().unwrap(), time.parse().unwrap());
            assert_ne!(shown_start_time(pid), Some(time), "no other namespace");
            assert!(find(pid, time, &boot_id().unwrap()).unwrap().is_some());
            let shown = shown_start_time(pid).unwrap();
            assert!(find(pid, shown, &boot_id().unwrap()).unwrap().is_some());
            assert!(find(pid, time + 1, &boot_id().unwrap()).unwrap().is_none());
            return;
        }
        let own = i32::try_from(std::process::id()).unwrap();
        let name = "record::tests::a_process_is_found_from_another_time_namespace";
        let looked = std::process::Command::new("unshare")
            .args(["--time", "--boottime", "100000", "--fork"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(LOOKED_FOR, format!("{own} {}", start_time(own).unwrap()))
            .output()
            .unwrap();
        assert!(looked.status.success(), "{looked:?}");
        assert!(
            String::from_utf8_lossy(&looked.stdout).contains("1 passed"),
            "{looked:?}"
        );
    }

    #[test]
    fn this_process_has_a_start_time_and_pid_0_has_none() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(start_time(own).is_some());
        assert_eq!(start_time(0), None);
    }
}
