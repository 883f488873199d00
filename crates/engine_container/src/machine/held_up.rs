//! What a process waits in that does not come on: a mount from a server that does not answer, say.

use std::fs;

/// Calls that a container's first process may be held up in on its way, by number.
const CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_openat2, "openat2"),
    (libc::SYS_newfstatat, "newfstatat"),
    (libc::SYS_statx, "statx"),
    (libc::SYS_fstatfs, "fstatfs"),
    (libc::SYS_readlinkat, "readlinkat"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_mount, "mount"),
    (libc::SYS_umount2, "umount2"),
    (libc::SYS_open_tree, "open_tree"),
    (libc::SYS_move_mount, "move_mount"),
    (libc::SYS_mount_setattr, "mount_setattr"),
    (libc::SYS_fsopen, "fsopen"),
    (libc::SYS_fsconfig, "fsconfig"),
    (libc::SYS_fsmount, "fsmount"),
    (libc::SYS_pivot_root, "pivot_root"),
    (libc::SYS_setns, "setns"),
    (libc::SYS_unshare, "unshare"),
];

/// The system call that `process` is in now, in words; `None` when it runs, is gone, or may not be looked at.
pub(super) fn look(process: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/syscall")).ok()?;
    in_words(&text)
}

/// The same from the text of `/proc/PID/syscall` (`proc_pid_syscall(5)`).
fn in_words(text: &str) -> Option<String> {
    let number: libc::c_long = text.split_whitespace().next()?.parse().ok()?;
    // -1: it waits, but not in a system call.
    let number = Some(number).filter(|number| *number >= 0)?;
    let known = CALLS.iter().find(|(known, _)| *known == number);
    let call = known.map_or_else(
        || format!("number {number}"),
        |(_, name)| (*name).to_owned(),
    );
    Some(format!(
        "the container's first process is held up in the system call {call}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_its_name() {
        let held_up = |call| {
            Some(format!(
                "the container's first process is held up in the system call {call}"
            ))
        };
        let text = format!(
            "{} 0x1 0x2 0x3 0x0 0x0 0x0 0x7ffd 0x7f00\n",
            libc::SYS_mount
        );
        assert_eq!(in_words(&text), held_up("mount"));
        assert_eq!(in_words("99999 0x0"), held_up("number 99999"));
        for nothing in ["running\n", "-1 0x7ffd 0x7f00\n", ""] {
            assert_eq!(in_words(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_not_held_up() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert_eq!(look(pid), None);
    }
}
