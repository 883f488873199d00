//! Telling the kernel which ids of the host a child's user namespace has (`user_namespaces(7)`).

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    process::{Command, Stdio},
};

use hcs_wire::subordinate::{self, granted_to};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    process::{getegid, geteuid},
};

use super::ranges::IdRange;
use crate::{
    failure::{Attempt, StepError},
    privilege::Privilege,
};

/// Ids inside from 0 on, in the order of these ranges of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    users: Vec<IdRange>,
    groups: Vec<IdRange>,
}

impl Mapping {
    /// For a service that is root: these ids and no others.
    pub(crate) fn of_ranges((users, groups): (IdRange, IdRange)) -> Self {
        Self {
            users: vec![users.mapped()],
            groups: vec![groups.mapped()],
        }
    }

    /// For that of an ordinary user: the user is root inside; the others are those that the host grants.
    pub(crate) fn of_user() -> Self {
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        let ids = |own, path| {
            let own = IdRange {
                first: own,
                count: 1,
            };
            let granted = granted_to(user, path).map(IdRange::of_grant);
            [Some(own), granted].into_iter().flatten().collect()
        };
        Self {
            users: ids(user, subordinate::USERS),
            groups: ids(group, subordinate::GROUPS),
        }
    }

    /// The host's id of the container's root, and of its group.
    pub(crate) fn root(&self) -> Option<(u32, u32)> {
        Some((self.users.first()?.first, self.groups.first()?.first))
    }
}

/// Whether processes in containers of this ordinary user have groups of their own, and none of the user's: it takes
/// subordinate ids, and the programs that map them.
pub(crate) fn sets_groups() -> bool {
    let mapping = Mapping::of_user();
    let found = |program: &str| {
        std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|directory| directory.join(program).exists())
        })
    };
    mapping.users.len() > 1 && mapping.groups.len() > 1 && found(USERS.1) && found(GROUPS.1)
}

/// A child that waits in a user namespace of its own for its ids.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its directory in `/proc`.
    directory: OwnedFd,
    pid: i32,
}

/// The files of a namespace's ids, and the programs that may write them where the caller may not.
const USERS: (&str, &str) = ("uid_map", "newuidmap");
const GROUPS: (&str, &str) = ("gid_map", "newgidmap");

impl Child {
    /// The process `pid`, which `pidfd` is of.
    pub(crate) fn find(pid: i32, pidfd: BorrowedFd<'_>) -> Result<Self, StepError> {
        let step = "finding the container's first process";
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).step(step)?;
        // It lives, so the number was its own when the directory was opened.
        let mut events = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match poll(&mut events, Some(&now)).step(step)? {
            0 => Ok(Self { directory, pid }),
            _ => Err(StepError::new(step, Errno::SRCH)),
        }
    }

    /// Its user namespace.
    pub(crate) fn namespace(&self) -> Result<OwnedFd, StepError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(&self.directory, "ns/user", flags, Mode::empty())
            .step("opening the container's user namespace")
    }

    /// Its network namespace.
    pub(crate) fn network(&self) -> Result<OwnedFd, StepError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(&self.directory, "ns/net", flags, Mode::empty())
            .step("opening the container's network namespace")
    }

    /// Gives it its ids; returns whether it has more than one, which is what setting groups needs as well.
    pub(crate) fn map(&self, mapping: &Mapping) -> Result<bool, StepError> {
        if Privilege::own() == Privilege::Root {
            self.write(USERS.0, &lines(&mapping.users))?;
            self.write(GROUPS.0, &lines(&mapping.groups))?;
            return Ok(true);
        }
        if mapping.users.len() > 1
            && mapping.groups.len() > 1
            && self.by_helper(USERS, &mapping.users)
        {
            if self.by_helper(GROUPS, &mapping.groups) {
                return Ok(true);
            }
        } else {
            self.write(USERS.0, &lines(&mapping.users[..1]))?;
        }
        // With setgroups denied, a process cannot drop a group to dodge a deny rule.
        self.write("setgroups", "deny")?;
        self.write(GROUPS.0, &lines(&mapping.groups[..1]))?;
        Ok(false)
    }

    fn write(&self, file: &'static str, text: &str) -> Result<(), StepError> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&self.directory, file, flags, Mode::empty())
            .and_then(|opened| rustix::io::write(&opened, text.as_bytes()))
            .step_at("mapping ids of the container in", file)
            .map(drop)
    }

    /// Maps by `newuidmap` or `newgidmap`; false if the program is missing or refuses. Then one id has to do.
    fn by_helper(&self, (_, program): (&str, &str), ranges: &[IdRange]) -> bool {
        let arguments = extents(ranges)
            .flat_map(|extent| extent.map(|number| number.to_string()))
            .collect::<Vec<_>>();
        Command::new(program)
            .arg(self.pid.to_string())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// Inside, outside, how many: of each range.
fn extents(ranges: &[IdRange]) -> impl Iterator<Item = [u32; 3]> {
    ranges.iter().scan(0_u32, |inside, range| {
        let extent = [*inside, range.first, range.count];
        *inside = inside.checked_add(range.count)?;
        Some(extent)
    })
}

/// The text of a map file.
fn lines(ranges: &[IdRange]) -> String {
    extents(ranges)
        .map(|[inside, outside, count]| format!("{inside} {outside} {count}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_inside_go_on_where_the_last_range_ended() {
        let ranges = [
            IdRange {
                first: 1000,
                count: 1,
            },
            IdRange {
                first: 100_000,
                count: 65_536,
            },
        ];
        assert_eq!(lines(&ranges), "0 1000 1\n1 100000 65536\n");
        assert_eq!(lines(&ranges[..1]), "0 1000 1\n");
    }
}
