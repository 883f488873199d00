//! All processes of a session: what a process that the agent started leads, with what it started and left there.
//!
//! 1. [`kill`] reaches those that made groups of their own, as the jobs of an interactive shell are.
//! 2. [`pids`]: which processes there are.

use rustix::{
    fs::{Dir, OFlags},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::{
    own::Own,
    proc_files::{self, Stat},
};

/// How often all processes are looked at: those that came meanwhile are found by the next look.
const ROUNDS: usize = 3;

/// The most processes that are looked at, so that a system full of them holds the agent up for no longer than a
/// fraction of a second.
const MOST: usize = 32_768;

/// Kills what is left of the session that `leader` leads or led. Best effort: what makes processes faster than they are
/// counted keeps some, and what has made a session of its own belongs to another.
pub(crate) fn kill(own: &Own, leader: i32) {
    for _ in 0..ROUNDS {
        let Ok(pids) = pids(own, MOST) else {
            return;
        };
        let members = pids.into_iter().filter(|pid| is_member(own, *pid, leader));
        // Each that was there has been looked at; no further round finds more than that.
        if members.filter(|pid| kill_member(own, *pid, leader)).count() == 0 {
            return;
        }
    }
}

/// Whether a process that lives is of the session.
fn is_member(own: &Own, pid: i32, leader: i32) -> bool {
    let text = proc_files::stat(own, pid.cast_unsigned());
    Stat::parse(&text).is_some_and(|stat| stat.lives && stat.session == leader)
}

/// Kills one process, if it still is one of the session; whether it did. The process is held by a descriptor before it
/// is looked at, so that no other one of the same number is killed.
fn kill_member(own: &Own, pid: i32, leader: i32) -> bool {
    let Some(process) = Pid::from_raw(pid) else {
        return false;
    };
    let Ok(process) = pidfd_open(process, PidfdFlags::empty()) else {
        return false;
    };
    is_member(own, pid, leader) && pidfd_send_signal(&process, Signal::KILL).is_ok()
}

/// The numbers of at most `most` processes of the system, the agent's own left out.
///
/// # Errors
/// There is no procfs, or it cannot be read.
pub(crate) fn pids(own: &Own, most: usize) -> Result<Vec<i32>, Errno> {
    let directory = own.open(".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut pids = Vec::new();
    for entry in Dir::new(directory)? {
        let name = entry?;
        let number = name.file_name().to_str().ok();
        match number.and_then(|number| number.parse().ok()) {
            Some(1) | None => {}
            Some(pid) if pids.len() < most => pids.push(pid),
            Some(_) => break,
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read as _,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn processes_are_listed_up_to_a_number() {
        let own = Own::at_usual_places();
        let this = std::process::id().cast_signed();
        let all = pids(&own, usize::MAX).unwrap();
        assert!(all.contains(&this) && !all.contains(&1), "{all:?}");
        assert_eq!(pids(&own, 1).unwrap().len(), 1);
    }

    #[test]
    fn what_leads_a_session_is_of_it() {
        let own = Own::at_usual_places();
        // The session of this test may be one outside of its PID namespace, which has no number here.
        let mut leader = Command::new("setsid")
            .args(["sh", "-c", "echo; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        leader.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let pid = leader.id().cast_signed();
        assert!(is_member(&own, pid, pid));
        assert!(!is_member(&own, std::process::id().cast_signed(), pid));
        drop(leader.stdin.take());
        leader.wait().unwrap();
        assert!(!is_member(&own, pid, pid));
    }
}
