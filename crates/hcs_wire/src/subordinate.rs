//! Ids of users and groups that the host's administrator has granted to a user (`subuid(5)`).

use std::fs;

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
    const LEAST: u32 = 1000;
    let entries = || {
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
    };
    names.iter().find_map(|name| {
        let mut entries = entries();
        entries
            .find(|(found, _)| found == name)
            .map(|(_, range)| range)
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

/// The name of a user, from `/etc/passwd`.
fn user_name(user: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
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
