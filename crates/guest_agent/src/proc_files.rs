//! What `/proc` says about a process (`proc_pid_stat(5)`, `proc_pid_status(5)`). The parsers are pure.

use crate::own::Own;

/// What a process has used so far and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time in user mode, in units of 100 ns.
    pub(crate) user_100ns: u64,
    /// Time in the kernel, in units of 100 ns.
    pub(crate) kernel_100ns: u64,
    /// Private writable memory promised to it: data and stack.
    pub(crate) commit_bytes: u64,
    /// Resident memory that is its own.
    pub(crate) private_bytes: u64,
    /// Resident memory of files and shared memory.
    pub(crate) shared_bytes: u64,
}

/// Linux counts process times in hundredths of a second whatever the kernel's own clock is (`USER_HZ`).
const TICK_100NS: u64 = 100_000;
const KIB: u64 = 1024;

/// Reads the usage of `pid`; `None` when it is gone or its `/proc` is hidden.
pub(crate) fn usage(own: &Own, pid: u32) -> Option<Usage> {
    let read = |name| own.read(&format!("{pid}/{name}")).ok();
    let (user_100ns, kernel_100ns) = times(&read("stat")?)?;
    let status = read("status")?;
    let bytes = |key| field(&status, key).unwrap_or_default().saturating_mul(KIB);
    Some(Usage {
        user_100ns,
        kernel_100ns,
        commit_bytes: bytes("VmData").saturating_add(bytes("VmStk")),
        private_bytes: bytes("RssAnon"),
        shared_bytes: bytes("RssFile").saturating_add(bytes("RssShmem")),
    })
}

/// User and kernel time of a `stat` line: the 14th and 15th field, counted behind the program's name, which may contain
/// anything.
fn times(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (user, kernel) = (next()?, next()?);
    Some((
        user.saturating_mul(TICK_100NS),
        kernel.saturating_mul(TICK_100NS),
    ))
}

/// The session of a `stat` line, its 6th field; `None` for what has ended and is not reaped yet.
pub(crate) fn living_session(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let session = fields.nth(2)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(session)
}

/// The number behind `key:` in a `status` file.
fn field(status: &str, key: &str) -> Option<u64> {
    let value = |line: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(':')?;
        value.split_ascii_whitespace().next()?.parse().ok()
    };
    status.lines().find_map(value)
}

/// Reads `text` as either file.
#[cfg(fuzzing)]
pub(crate) fn read_only(text: &str) {
    let _times = times(text);
    let _session = living_session(text);
    let _field = field(text, "VmData");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 1 0 100 5000 300";
        assert_eq!(times(stat), Some((1_200_000, 3_400_000)));
        assert_eq!(times("7 (x"), None);
        assert_eq!(times("7 (x) S 1"), None);
    }

    #[test]
    fn a_session_is_that_of_what_lives() {
        let stat = |state| format!("7 (a) b (c) {state} 1 5 6 0 -1");
        assert_eq!(living_session(&stat("S")), Some(6));
        assert_eq!(living_session(&stat("Z")), None);
        assert_eq!(living_session("7 (x) S 1"), None);
    }

    #[test]
    fn status_fields_are_found_by_whole_name() {
        let status = "Name:\tVmData: 5\nVmDataX:\t9 kB\nVmData:\t  128 kB\n";
        assert_eq!(field(status, "VmData"), Some(128));
        assert_eq!(field(status, "RssAnon"), None);
    }

    #[test]
    fn a_living_process_has_used_memory() {
        let own = Own::at_usual_places();
        let usage = usage(&own, std::process::id()).unwrap();
        assert!(usage.private_bytes > 0 && usage.commit_bytes > 0);
        assert_eq!(super::usage(&own, u32::MAX), None);
    }
}
