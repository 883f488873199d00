//! Users of the host that stand for machines: QEMU of each runs as one of its own, and files are granted to it.
//!
//! 1. [`Users`]: the range that they are from. [`Users::of`]: that of a machine, which follows from its id. So files
//!    can be granted to a machine that is not there yet, and the grants hold after the next boot as well.
//! 2. [`Users::check`]: the range belongs to no other: neither accounts, nor subordinate ids of users.
//! 3. [`Living`]: the users of living machines. Two ids that come to the same user cannot live at one time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use hcs_schema::{Failure, HResult, fnv, win32};

/// Users of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Users {
    /// The first one. The group of this number is the group of all machines.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Users {
    /// Ids that no other program takes: above those of containers (`IdRange::UNUSED` of the other engine) and those
    /// that sssd maps domains to (up to 2,000,200,000), below those that systemd uses. So many that among a thousand
    /// machines two come to the same one in six of a thousand hosts.
    pub const UNUSED: Self = Self {
        first: 0x7740_0000,
        count: 0x04c0_0000,
    };

    /// Whether all of them are ids, none is below those of ordinary users, and there is one for the group and a
    /// machine.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        let end = self.first as u64 + self.count as u64;
        self.first >= 1000 && self.count > 1 && end <= u32::MAX as u64
    }

    /// Whether one of them is among `count` ids from `first` on.
    #[must_use]
    pub const fn meets(self, first: u32, count: u32) -> bool {
        let (end, other) = (
            self.first as u64 + self.count as u64,
            first as u64 + count as u64,
        );
        (first as u64) < end && (self.first as u64) < other
    }

    /// The group of all machines.
    #[must_use]
    pub const fn group(self) -> u32 {
        self.first
    }

    /// The user of the machine that is called `id` by the service whose pipes are in `service`.
    pub(crate) fn of(self, service: &Path, id: &str) -> u32 {
        let parts = [service.as_os_str().as_encoded_bytes(), b"\0", id.as_bytes()];
        let mut hash = parts.into_iter().fold(fnv::BASIS, fnv::hash);
        // A last mix: the low bits alone are close for close names.
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        let machines = u64::from(self.count.max(2) - 1);
        let number = u32::try_from(hash % machines).unwrap_or_default();
        self.first + 1 + number
    }

    /// Makes sure that no other user of the host is among them, nor one of `others`.
    ///
    /// # Errors
    /// One is, or the host does not let this service use them; told with the setting that helps.
    pub(crate) fn check(self, others: &[Self]) -> Result<(), Failure> {
        let failure = |why: String| {
            let message = format!(
                "the users {} to {}, which virtual machines run as, cannot be used: {why}; name others in the configuration \
                 (users, in [vm])",
                self.first,
                u64::from(self.first) + u64::from(self.count) - 1
            );
            Failure::new(HResult::E_FAIL, message)
        };
        if let Some(other) = self.met(others) {
            let why = format!(
                "containers with user namespaces have {} to {} (user_namespace_ids, in [container])",
                other.first,
                u64::from(other.first) + u64::from(other.count) - 1
            );
            return Err(failure(why));
        }
        for (path, find) in FILES {
            let text = match fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failure(format!("{path} cannot be read: {error}"))),
            };
            if let Some(line) = find(self, &text) {
                return Err(failure(format!("{path} gives one of them to {line:?}")));
            }
        }
        for path in ["/proc/self/uid_map", "/proc/self/gid_map"] {
            let text = fs::read_to_string(path)
                .map_err(|error| failure(format!("{path} cannot be read: {error}")))?;
            if !self.is_mapped(&text) {
                let why = format!("the user namespace of the service has not all of them ({path})");
                return Err(failure(why));
            }
        }
        Ok(())
    }

    /// The first of `others` that has one of them.
    fn met(self, others: &[Self]) -> Option<Self> {
        let mut others = others.iter().copied();
        others.find(|other| self.meets(other.first, other.count))
    }

    /// The name of an account (`passwd(5)`, `group(5)`) that is one of them.
    fn account(self, text: &str) -> Option<String> {
        let mut lines = text.lines().map(|line| line.split(':'));
        lines.find_map(|mut fields| {
            let name = fields.next()?;
            let number = fields.nth(1)?.parse().ok()?;
            self.meets(number, 1).then(|| name.to_owned())
        })
    }

    /// The name of a user who has been granted one of them (`subuid(5)`).
    fn subordinate(self, text: &str) -> Option<String> {
        let mut lines = text.lines().map(|line| line.trim().split(':'));
        lines.find_map(|mut fields| {
            let name = fields.next()?;
            let first = fields.next()?.parse().ok()?;
            let count = fields.next()?.parse().ok()?;
            self.meets(first, count).then(|| name.to_owned())
        })
    }

    /// Whether a map of a user namespace (`user_namespaces(7)`) has all of them.
    fn is_mapped(self, text: &str) -> bool {
        let ranges = text.lines().filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u64>);
            let (inside, _outside) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            Some((inside, numbers.next()?.ok()?))
        });
        let (first, count) = (u64::from(self.first), u64::from(self.count));
        let mut ranges: Vec<(u64, u64)> = ranges.collect();
        ranges.sort_unstable();
        // Ranges may follow one another.
        let end = ranges.iter().fold(first, |end, (start, length)| {
            if *start <= end {
                end.max(start + length)
            } else {
                end
            }
        });
        end >= first + count
    }
}

/// Finds who has one of the users by a file of the host.
type Find = fn(Users, &str) -> Option<String>;

const FILES: [(&str, Find); 4] = [
    ("/etc/passwd", Users::account),
    ("/etc/group", Users::account),
    ("/etc/subuid", Users::subordinate),
    ("/etc/subgid", Users::subordinate),
];

/// The users of the machines that live, with the ids of those machines.
#[derive(Debug, Default)]
pub(crate) struct Living(Mutex<BTreeMap<u32, (String, usize)>>);

/// A user, as long as its machine lives.
#[derive(Debug)]
pub(crate) struct HeldUser {
    all: Arc<Living>,
    user: u32,
}

impl Living {
    /// Holds `user` for the machine `id`. A machine of the same id may have it, too: its predecessor that is being
    /// removed.
    ///
    /// # Errors
    /// A machine of another id has it.
    pub(crate) fn hold(self: &Arc<Self>, user: u32, id: &str) -> Result<HeldUser, Failure> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (holder, count) = all.entry(user).or_insert_with(|| (id.to_owned(), 0));
        if holder != id {
            let message = format!(
                "the virtual machine {id:?} would run as the user {user}, as the virtual machine {holder:?} does: give it another \
                 id, or end that one first"
            );
            return Err(Failure::new(
                HResult::from_win32(win32::ERROR_BUSY),
                message,
            ));
        }
        *count += 1;
        Ok(HeldUser {
            all: Arc::clone(self),
            user,
        })
    }
}

impl HeldUser {
    /// Which one.
    pub(crate) const fn user(&self) -> u32 {
        self.user
    }
}

impl Drop for HeldUser {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = all.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FEW: Users = Users {
        first: 2000,
        count: 11,
    };

    #[test]
    fn a_machine_has_the_same_user_whenever_it_is_asked_for() {
        let user = |service: &str, id: &str| Users::UNUSED.of(Path::new(service), id);
        // Files are granted to these numbers: they never change.
        assert_eq!(user("/run/hcs/pipes", "box"), 2_057_201_435);
        assert_ne!(user("/run/hcs/pipes", "box"), user("/tmp/x.d/pipes", "box"));
        let users: BTreeSet<u32> = (0..1000)
            .map(|number| user("/run/hcs/pipes", &format!("box-{number}")))
            .collect();
        assert!(users.len() >= 998, "{}", users.len());
        assert!(users.iter().all(|user| Users::UNUSED.meets(*user, 1)));
        let few: BTreeSet<u32> = (0..1000)
            .map(|number| FEW.of(Path::new("/x"), &number.to_string()))
            .collect();
        assert_eq!(few, (2001..2011).collect(), "2000 is the group's");
    }

    #[test]
    fn users_that_others_have_are_found() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nme:x:2010:2010::/home/me:/bin/sh\n";
        assert_eq!(FEW.account(passwd).as_deref(), Some("me"));
        assert_eq!(FEW.account("root:x:0:0::/:\nme:x:2011:1::/:\n"), None);
        assert_eq!(
            FEW.subordinate("a:1000:500\nme:1500:501\n").as_deref(),
            Some("me")
        );
        assert_eq!(FEW.subordinate("a:1000:1000\nb:2011:65536\n\n"), None);
        assert!(FEW.is_mapped("         0          0 4294967295\n"));
        assert!(FEW.is_mapped("0 0 2005\n2005 9000 100\n"));
        assert!(!FEW.is_mapped("0 0 2005\n2006 9000 100\n"));
        assert!(!FEW.is_mapped("0 100000 2010\n") && !FEW.is_mapped(""));
        let (first, count) = (2010, 5);
        let (apart, meeting) = (Users { first: 2011, count }, Users { first, count });
        assert_eq!(FEW.met(&[apart, meeting]), Some(meeting));
        assert_eq!(FEW.met(&[apart]), None);
        let refused = FEW.check(&[meeting]).unwrap_err();
        assert!(refused.message.contains("2010 to 2014"), "{refused}");
        assert!(FEW.is_sound() && Users::UNUSED.is_sound());
        for (first, count) in [(0, 9), (2000, 1), (u32::MAX, 2), (u32::MAX - 1, 2)] {
            assert!(!Users { first, count }.is_sound(), "{first} {count}");
        }
    }

    #[test]
    fn two_machines_that_live_have_two_users() {
        let living = Arc::new(Living::default());
        let first = living.hold(5, "a").unwrap();
        let again = living.hold(5, "a").unwrap();
        drop(first);
        let refused = living.hold(5, "b").unwrap_err();
        assert!(refused.message.contains("\"a\""), "{refused}");
        drop(again);
        drop(living.hold(5, "b").unwrap());
    }
}
