//! What `/proc` says about a process (`proc_pid_stat(5)`, `proc_pid_status(5)`). The parsers are pure.

use rustix::{fs::OFlags, io::Errno};

use crate::own::Own;

/// The memory that a process has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
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
/// The flag of a thread of the kernel (`linux/sched.h`).
const PF_KTHREAD: u32 = 0x0020_0000;

/// The text of the file that [`Stat`] reads; empty when the process is gone.
pub(crate) fn stat(own: &Own, pid: u32) -> String {
    own.read(&format!("{pid}/stat")).unwrap_or_default()
}

/// The most bytes of arguments of one process that are read.
const MOST_ARGUMENTS: usize = 4096;

/// The arguments of `pid`, the first [`MOST_ARGUMENTS`] bytes of them; none when it is gone or about to be.
pub(crate) fn arguments(own: &Own, pid: u32) -> Vec<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut text = [0; MOST_ARGUMENTS];
    let read = own.open(&format!("{pid}/cmdline"), flags).and_then(|file| {
        let mut filled = 0;
        while filled < MOST_ARGUMENTS {
            match rustix::io::read(&file, &mut text[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(filled)
    });
    split(&text[..read.unwrap_or(0)])
}

/// Parts `text` at the zero byte behind each argument. A process that writes its own may leave out the last one.
fn split(text: &[u8]) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let arguments = text.split(|byte| *byte == 0);
    arguments
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect()
}

/// What `pid` holds; nothing when it is gone or its `/proc` is hidden.
pub(crate) fn memory(own: &Own, pid: u32) -> Memory {
    let status = own.read(&format!("{pid}/status")).unwrap_or_default();
    let bytes = |key| field(&status, key).unwrap_or_default().saturating_mul(KIB);
    Memory {
        commit_bytes: bytes("VmData").saturating_add(bytes("VmStk")),
        private_bytes: bytes("RssAnon"),
        shared_bytes: bytes("RssFile").saturating_add(bytes("RssShmem")),
    }
}

/// What a `stat` line says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat<'a> {
    /// Name of its program as the kernel has it: at most 15 bytes, any characters.
    pub(crate) name: &'a str,
    /// Whether it has not ended. A process that has ended is there until it is reaped.
    pub(crate) lives: bool,
    /// Whether it is a thread of the kernel, which a virtual machine has many of.
    pub(crate) is_kernel: bool,
    /// Its session.
    pub(crate) session: i32,
    /// Time in user mode, in units of 100 ns.
    pub(crate) user_100ns: u64,
    /// Time in the kernel, in units of 100 ns.
    pub(crate) kernel_100ns: u64,
    /// When it began, in units of 100 ns since the start of the machine.
    pub(crate) began_100ns: u64,
}

impl<'a> Stat<'a> {
    /// Reads a line. Fields are counted behind the program's name, which may contain anything: the 3rd is the state,
    /// the 6th the session, the 9th has flags, the 14th and 15th are times, the 22nd the start.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (before, rest) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let session = fields.nth(2)?.parse().ok()?;
        let flags: u32 = fields.nth(2)?.parse().ok()?;
        let mut ticks = |skipped| {
            Some(
                fields
                    .nth(skipped)?
                    .parse::<u64>()
                    .ok()?
                    .saturating_mul(TICK_100NS),
            )
        };
        Some(Self {
            name,
            lives: !matches!(state, "Z" | "X"),
            is_kernel: flags & PF_KTHREAD != 0,
            session,
            user_100ns: ticks(4)?,
            kernel_100ns: ticks(0)?,
            began_100ns: ticks(6)?,
        })
    }
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
    let _stat = Stat::parse(text);
    let _field = field(text, "VmData");
    let _arguments = split(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let text = "7 (a) b (c) S 1 7 9 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 1 0 100 5000 300";
        let stat = Stat {
            name: "a) b (c",
            lives: true,
            is_kernel: false,
            session: 9,
            user_100ns: 1_200_000,
            kernel_100ns: 3_400_000,
            began_100ns: 10_000_000,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        let ended = text.replace(") S ", ") Z ");
        assert!(!Stat::parse(&ended).unwrap().lives);
        let kernel = text.replace("4194560", "2129984");
        assert!(Stat::parse(&kernel).unwrap().is_kernel);
        for short in ["7 (x", "7 (x) S 1", "7 x) S 1 7 9"] {
            assert_eq!(Stat::parse(short), None);
        }
    }

    #[test]
    fn arguments_are_parted_at_zero_bytes() {
        let parted = |text: &[u8]| split(text).join("|");
        assert_eq!(parted(b"sh\0-c\0echo a b\0\0"), "sh|-c|echo a b|");
        assert_eq!(parted(b"nginx: master process"), "nginx: master process");
        assert_eq!(parted(b"\xff\0"), "\u{fffd}");
        assert!(split(b"").is_empty());
        let own = Own::at_usual_places();
        let first = std::env::args().next().unwrap();
        assert_eq!(arguments(&own, std::process::id())[0], first);
        assert!(arguments(&own, u32::MAX).is_empty());
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
        let memory = memory(&own, std::process::id());
        assert!(memory.private_bytes > 0 && memory.commit_bytes > 0);
        assert_eq!(super::memory(&own, u32::MAX), Memory::default());
        assert_eq!(Stat::parse(&stat(&own, u32::MAX)), None);
        let text = stat(&own, std::process::id());
        assert!(Stat::parse(&text).unwrap().began_100ns > 0);
    }
}
