//! Ids of users and groups that the host's administrator has granted to a user (`subuid(5)`).

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::geteuid;

/// The files that grant ids of users and of groups.
pub const USERS: &str = "/etc/subuid";
/// As [`USERS`], of groups.
pub const GROUPS: &str = "/etc/subgid";

/// A range of ids of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The first one.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// What a file like [`USERS`] with this text grants to the first of `names` that it knows. Ids below those of ordinary
/// users are not taken.
#[must_use]
pub fn granted(text: &str, names: &[&str]) -> Option<Granted> {
    names.iter().find_map(|name| {
        let mut entries = entries(text);
        entries
            .find(|(found, _)| found == name)
            .map(|(_, range)| range)
    })
}

/// The first id of ordinary users.
const LEAST: u32 = 1000;

/// The names, and what each is granted.
fn entries(text: &str) -> impl Iterator<Item = (&str, Granted)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let range = Granted {
            first: fields.next()?.parse().ok()?,
            count: fields.next()?.parse().ok()?,
        };
        let is_sound = range.first >= LEAST
            && range.count > 0
            && range.first.checked_add(range.count).is_some();
        is_sound.then_some((name, range))
    })
}

/// What the file at `path` grants to the user with this number, by name or number.
#[must_use]
pub fn granted_to(user: u32, path: &str) -> Option<Granted> {
    let number = user.to_string();
    let name = user_name(user);
    let names = [name.as_deref().unwrap_or(&number), &number];
    granted(&fs::read_to_string(path).ok()?, &names)
}

/// The file of accounts.
const ACCOUNTS: &str = "/etc/passwd";

/// How long it is not asked whether the files of users have changed: each call of a client is counted for a user.
const FRESH: Duration = Duration::from_secs(1);

/// The user whose share of this host the user `id` takes part of: a number that [`USERS`] grants is one of many that
/// the same user has in user namespaces of its own. It is never a user who has all rights: without another one who has
/// the range, it is the first number of that. What an administrator changes counts within a second.
#[must_use]
pub fn holder(id: u32) -> u32 {
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    if id < LEAST {
        return id;
    }
    // What is there is whole, after a panic, too.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let is_fresh = |known: &Known| now.duration_since(known.looked) < FRESH;
    let known = match known.take_if(|known| !is_fresh(known)) {
        None => known.get_or_insert_with(|| Known::read(now)),
        Some(former) => known.insert(former.looked_at_again(now)),
    };
    known.holders.of(id, geteuid().as_raw())
}

/// What was read of the files of users.
#[derive(Debug)]
struct Known {
    /// When they were looked at last.
    looked: Instant,
    /// Which they were then.
    stamps: Stamps,
    holders: Holders,
}

impl Known {
    fn read(now: Instant) -> Self {
        // Before they are read: what changes meanwhile is seen the next time.
        let stamps = [USERS, ACCOUNTS].map(stamp);
        let [granted, accounts] = [USERS, ACCOUNTS].map(fs::read_to_string);
        Self {
            looked: now,
            stamps,
            holders: Holders::read(&granted.unwrap_or_default(), &accounts.unwrap_or_default()),
        }
    }

    /// The same, if the files are.
    fn looked_at_again(self, now: Instant) -> Self {
        match [USERS, ACCOUNTS].map(stamp) == self.stamps {
            true => Self {
                looked: now,
                ..self
            },
            false => Self::read(now),
        }
    }
}

/// Tells a file from what it was before: device, inode, size, and when it was changed.
type Stamps = [Option<(u64, u64, u64, i64, i64)>; 2];

fn stamp(path: &str) -> Option<(u64, u64, u64, i64, i64)> {
    let of = |found: fs::Metadata| {
        (
            found.dev(),
            found.ino(),
            found.size(),
            found.ctime(),
            found.ctime_nsec(),
        )
    };
    fs::metadata(path).ok().map(of)
}

/// Users and their ids.
#[derive(Debug)]
struct Holders {
    accounts: HashMap<String, u32>,
    /// The number is that of the user, where the host says it; else the first of the user's ids.
    ranges: Vec<(Granted, u32)>,
}

impl Holders {
    fn read(granted: &str, accounts: &str) -> Self {
        let account = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[..] {
                [name, _, number, ..] => Some((name.to_owned(), number.parse().ok()?)),
                _ => None,
            }
        };
        let accounts: HashMap<String, u32> = accounts.lines().filter_map(account).collect();
        let mut firsts = HashMap::new();
        let ranges = entries(granted).map(|(name, range)| {
            let first = *firsts.entry(name).or_insert(range.first);
            let number = accounts.get(name).copied();
            (range, number.or_else(|| name.parse().ok()).unwrap_or(first))
        });
        Self {
            ranges: ranges.collect(),
            accounts,
        }
    }

    fn of(&self, id: u32, own: u32) -> u32 {
        let has = |range: &Granted| id >= range.first && id - range.first < range.count;
        let found = self.ranges.iter().find(|(range, _)| has(range));
        match found {
            Some(_) if self.accounts.values().any(|account| *account == id) => id,
            Some((range, holder)) if *holder == 0 || *holder == own => range.first,
            Some((_, holder)) => *holder,
            None => id,
        }
    }
}

/// The name of a user, from `/etc/passwd`.
fn user_name(user: u32) -> Option<String> {
    let text = fs::read_to_string(ACCOUNTS).ok()?;
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find_map(|fields| match fields[..] {
        [name, _, number, ..] if number.parse() == Ok(user) => Some(name.to_owned()),
        _ => None,
    })
}

/// The effective user of this process; as root of a user namespace, the user whom that root is outside.
#[must_use]
pub fn user_outside() -> u32 {
    let user = geteuid().as_raw();
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outside(&map, user).unwrap_or(user)
}

/// Which id outside stands for `inside` in the text of a `uid_map`.
fn outside(map: &str, inside: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u32>);
        let (first, outer, count) = (
            fields.next()?.ok()?,
            fields.next()?.ok()?,
            fields.next()?.ok()?,
        );
        let at = inside.checked_sub(first).filter(|at| *at < count)?;
        outer.checked_add(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_the_first_name_that_has_one() {
        let text = "# none\nroot:100000:65536\nhcs:1000000:131072\nhcs:5:7\nbroken:x:1\n";
        let range = |first, count| Some(Granted { first, count });
        assert_eq!(granted(text, &["hcs", "root"]), range(1_000_000, 131_072));
        assert_eq!(granted(text, &["root"]), range(100_000, 65_536));
        assert_eq!(granted(text, &["broken", "me"]), None);
        // Ids of the system's users, and none at all.
        for odd in [
            "root:0:65536",
            "root:999:1",
            "root:1000:0",
            "root:4294967295:1",
        ] {
            assert_eq!(granted(odd, &["root"]), None, "{odd}");
        }
    }

    #[test]
    fn subordinate_ids_are_of_the_user_who_has_them() {
        let granted = "root:100000:65536\nme:165536:65536\nme:900000:10\n1002:300000:10\nelsewhere:400000:10\nelsewhere:500000:10\n";
        let accounts =
            "root:x:0:0::/:/bin/sh\nme:x:1001:1001::/:/bin/sh\nodd:x:165540:1::/:/bin/sh\n";
        let holders = Holders::read(granted, accounts);
        let of = |id| holders.of(id, 1003);
        assert_eq!([165_536, 231_071, 900_009].map(of), [1001; 3]);
        assert_eq!(
            [300_009, 0, 1001, 231_072].map(of),
            [1002, 0, 1001, 231_072]
        );
        // An account is a user of its own.
        assert_eq!(of(165_540), 165_540);
        // Accounts of other sources than files.
        assert_eq!([400_007, 500_007].map(of), [400_000; 2]);
        // No range has more rights than others.
        assert_eq!([100_000, 165_535].map(of), [100_000; 2]);
        assert_eq!(holders.of(165_537, 1001), 165_536);
        assert_eq!([0, 999].map(holder), [0, 999]);
    }

    #[test]
    fn ids_are_those_of_the_namespace_above() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(outside(map, 0), Some(1000));
        assert_eq!(outside(map, 1), Some(100_000));
        assert_eq!(outside(map, 65_536), Some(165_535));
        assert_eq!(outside(map, 65_537), None);
        assert_eq!(outside("0 0 4294967295\n", 7), Some(7));
        assert_eq!(outside("", 0), None);
    }
}
