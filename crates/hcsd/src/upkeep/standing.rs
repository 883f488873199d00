//! Where a service stands: in which namespace of pids it has its number, and in which one of users its power.
//!
//! A service keeps what the one before it made: by the numbers of processes, which mean nothing in another pid
//! namespace, and with rights over them, which end at a user namespace. The first caller after the end of a service may
//! be in namespaces of its own, those of a sandbox say. A service there would take living systems for gone and remove
//! what is left of them, or have them and be unable to end them. So it does not start where another one's systems live.
//!
//! The lock of the state root says where its last holder stood ([`Standing::text`]). Whether systems live tell their
//! sockets, which are the same in all namespaces.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
    process,
};

use hcs_wire::{environment::is_root, peer::is_open};
use rustix::process::geteuid;

/// See the module. The numbers are inodes, as `readlink /proc/self/ns/pid` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its number in its pid namespace.
    pub(crate) process: i32,
    pub(crate) pids: u64,
    /// `None` where an earlier version did not say.
    users: Option<u64>,
}

/// What else decides whether this process can be a service.
#[derive(Clone, Copy, Debug)]
struct Place {
    standing: Standing,
    /// The user that its own is in the user namespace above, if it is any.
    user: Option<u32>,
    /// Whether it is root with the rights of root.
    is_root: bool,
    /// Whether `/proc` shows the namespace of pids that it is in.
    has_proc: bool,
}

impl Standing {
    /// That of the calling process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(crate) fn own() -> io::Result<Self> {
        let inode = |name: &str| fs::metadata(format!("/proc/self/ns/{name}")).map(|ns| ns.ino());
        Ok(Self {
            process: i32::try_from(process::id()).unwrap_or_default(),
            pids: inode("pid")?,
            users: Some(inode("user")?),
        })
    }

    /// A line for the file that the service has locked.
    pub(crate) fn text(self) -> String {
        let Self { process, pids, .. } = self;
        let users = self
            .users
            .map_or_else(String::new, |users| format!(" {users}"));
        format!("{process} {pids}{users}\n")
    }

    /// From such a line; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            process: words.next()?.parse().ok()?,
            pids: words.next()?.parse().ok()?,
            users: words.next().and_then(|users| users.parse().ok()),
        })
    }
}

impl Place {
    fn own() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let map = fs::read_to_string("/proc/self/uid_map")?;
        Ok(Self {
            standing: Standing::own()?,
            user: user_above(&map, geteuid().as_raw()),
            is_root: is_root(),
            has_proc: shows_own_numbers(&status),
        })
    }

    /// Why a service here could not do its work, with or without another one before it.
    fn fault(self) -> Option<&'static str> {
        if !self.has_proc {
            return Some(
                "/proc shows another pid namespace than that of this process, so a service here would take other \
                 processes for its own: mount it anew (unshare --mount-proc), or run the program outside",
            );
        }
        if self.user.is_none() {
            return Some(
                "this process has no user in its user namespace (unshare -U), so a service here could do nothing: give \
                 it one (unshare --map-root-user), or run the program outside",
            );
        }
        None
    }

    /// Why a service here may not follow one that stood `before`, of which systems live or not.
    fn no_successor_of(self, before: Standing, lives: impl Fn() -> bool) -> Option<&'static str> {
        let is_known = before.users.is_some();
        let other_pids = before.pids != self.standing.pids;
        let other_users = is_known && before.users != self.standing.users;
        if other_users && !self.is_root && self.user == Some(0) {
            return Some(
                "this is the place of a service of root, and the rights of root end at this user namespace: run the \
                 program outside, or name another socket by HCS_ENDPOINT for a service of your own",
            );
        }
        if !(other_pids || other_users) || !lives() {
            return None;
        }
        Some(match other_pids {
            true => {
                "compute systems live here that a service in another pid namespace has made (of the host around this \
                 one, a container, a sandbox), which a service in this one could not see: run the program there, or \
                 name another socket by HCS_ENDPOINT for a service of your own"
            }
            false => {
                "compute systems live here that a service in another user namespace has made, over which a service in \
                 this one has no power: run the program there, or name another socket by HCS_ENDPOINT for a service of \
                 your own"
            }
        })
    }
}

/// Looks whether this process may be the service of `root`, whose lock has the text `before`.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn check(root: &Path, before: &str) -> Result<(), String> {
    let own = Place::own().map_err(|e| format!("/proc cannot be read: {e}"))?;
    let lives = || has_living(&root.join("systems"));
    let before = Standing::parse(before);
    let fault = own
        .fault()
        .or_else(|| before.and_then(|before| own.no_successor_of(before, lives)));
    fault.map_or(Ok(()), |fault| Err(format!("{}: {fault}", root.display())))
}

/// Whether a system in one of these directories lives: its agent, or what runs it, has a socket open there.
fn has_living(systems: &Path) -> bool {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let mut inside = entries(systems).flat_map(|system| entries(&system.path()));
    inside
        .any(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()) && is_open(&entry.path()))
}

/// Whether the text of `/proc/self/status` has one number of the process, its own: in a `/proc` of a namespace further
/// out it has more.
fn shows_own_numbers(status: &str) -> bool {
    let mut lines = status.lines();
    // A kernel without such namespaces says nothing of them.
    let numbers = lines.find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_none_or(|numbers| numbers.split_whitespace().count() == 1)
}

/// Which user `user` is in the user namespace above, by the text of `uid_map` (`user_namespaces(7)`).
fn user_above(map: &str, user: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let offset = user.checked_sub(inside)?;
        (offset < count).then(|| outside.checked_add(offset))?
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const OWN: Standing = Standing {
        process: 7,
        pids: 1,
        users: Some(2),
    };

    fn place(user: Option<u32>, is_root: bool) -> Place {
        Place {
            standing: OWN,
            user,
            is_root,
            has_proc: true,
        }
    }

    #[test]
    fn a_standing_is_read_as_it_was_written_and_without_users_of_an_earlier_version() {
        let own = Standing::own().unwrap();
        assert_eq!(Standing::parse(&own.text()), Some(own));
        let earlier = Standing { users: None, ..OWN };
        assert_eq!(Standing::parse("7 1\n"), Some(earlier));
        assert_eq!(Standing::parse(&earlier.text()), Some(earlier));
        assert_eq!(Standing::parse("7"), None);
        assert_eq!(Standing::parse(""), None);
    }

    #[test]
    fn a_service_follows_another_one_where_it_sees_and_rules_what_lives() {
        let before = |pids, users| Standing {
            process: 9,
            pids,
            users,
        };
        let said = |place: Place, before, lives: bool| {
            let sentence = place.no_successor_of(before, || lives).unwrap_or_default();
            [
                "pid namespace",
                "user namespace has made",
                "service of root",
            ]
            .iter()
            .position(|words| sentence.contains(words))
        };
        let root = place(Some(0), true);
        let user = place(Some(1000), false);
        let root_of_its_own = place(Some(0), false);
        for (place, before, lives, expected) in [
            (root, before(1, Some(2)), true, None),
            (root, before(1, None), true, None),
            (root, before(3, Some(2)), true, Some(0)),
            (root, before(3, None), true, Some(0)),
            (root, before(3, Some(4)), false, None),
            (root, before(1, Some(4)), true, Some(1)),
            (user, before(1, Some(4)), true, Some(1)),
            (user, before(3, Some(4)), true, Some(0)),
            (user, before(3, Some(4)), false, None),
            (root_of_its_own, before(1, Some(2)), true, None),
            (root_of_its_own, before(1, Some(4)), false, Some(2)),
            (root_of_its_own, before(1, Some(4)), true, Some(2)),
        ] {
            assert_eq!(said(place, before, lives), expected, "{place:?} {before:?}");
        }
    }

    #[test]
    fn a_service_needs_a_user_and_its_own_processes() {
        assert_eq!(place(Some(5), false).fault(), None);
        assert!(place(None, false).fault().unwrap().contains("no user"));
        let elsewhere = Place {
            has_proc: false,
            ..place(Some(0), true)
        };
        assert!(elsewhere.fault().unwrap().contains("--mount-proc"));
        assert!(shows_own_numbers("Pid:\t7\nNSpid:\t7\n"));
        assert!(!shows_own_numbers("Pid:\t70\nNSpid:\t70\t7\n"));
        assert!(shows_own_numbers("Pid:\t7\n"));
        assert_eq!(Place::own().unwrap().fault(), None);
    }

    #[test]
    fn the_user_above_follows_from_the_map() {
        let all = "         0          0 4294967295\n";
        assert_eq!(user_above(all, 0), Some(0));
        assert_eq!(user_above(all, 65_534), Some(65_534));
        let some = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(user_above(some, 0), Some(1000));
        assert_eq!(user_above(some, 65_536), Some(165_535));
        assert_eq!(user_above(some, 65_537), None);
        assert_eq!(user_above("", 65_534), None);
    }

    #[test]
    fn a_system_lives_while_a_process_has_its_socket() {
        let root = tempfile::tempdir().unwrap();
        let systems = root.path().join("systems");
        assert!(!has_living(&systems));
        let own = systems.join("one");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("state.json"), "").unwrap();
        assert!(!has_living(&systems));
        let socket = UnixListener::bind(own.join("agent.sock")).unwrap();
        assert!(has_living(&systems));
        drop(socket);
        assert!(!has_living(&systems));
    }
}
