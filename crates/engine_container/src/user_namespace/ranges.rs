//! Which ids of the host containers may have.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// A range of ids of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdRange {
    /// The first one.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl IdRange {
    /// Where nobody else takes ids from: above those that systemd gives to users, services and its own containers, below
    /// those that other numbers are mistaken for (`UIDS-GIDS.md` of systemd). Room for 1024 containers.
    pub const UNUSED: Self = Self {
        first: 0x7000_0000,
        count: 1024 * Self::EACH,
    };

    /// How many a container gets, where there are as many: all that files of a usual system belong to.
    pub const EACH: u32 = 65_536;

    /// Whether all of them are ids, and none is that of a user who is somebody.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        self.first >= 1000 && self.count > 0 && self.first.checked_add(self.count).is_some()
    }

    /// What a file like `/etc/subuid` (`subuid(5)`) grants to the first of `names` that it knows.
    fn granted(text: &str, names: &[&str]) -> Option<Self> {
        let entries = || {
            text.lines().filter_map(|line| {
                let mut fields = line.trim().split(':');
                let name = fields.next()?;
                let range = Self {
                    first: fields.next()?.parse().ok()?,
                    count: fields.next()?.parse().ok()?,
                };
                range.is_sound().then_some((name, range))
            })
        };
        names.iter().find_map(|name| {
            entries()
                .find(|(found, _)| found == name)
                .map(|(_, range)| range)
        })
    }
}

/// How containers use user namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserNamespaces {
    /// Whether a container whose document does not say so gets one.
    pub by_default: bool,
    /// Ids of users for all containers together.
    pub users: IdRange,
    /// Ids of groups, likewise.
    pub groups: IdRange,
}

impl Default for UserNamespaces {
    fn default() -> Self {
        Self {
            by_default: false,
            users: IdRange::UNUSED,
            groups: IdRange::UNUSED,
        }
    }
}

impl UserNamespaces {
    /// What the host's administrator has granted in `/etc/subuid` and `/etc/subgid` to the user `hcs`, else to root, else
    /// [`IdRange::UNUSED`].
    #[must_use]
    pub fn of_host() -> Self {
        let look = |path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            IdRange::granted(&text, &["hcs", "root"]).unwrap_or(IdRange::UNUSED)
        };
        Self {
            by_default: false,
            users: look("/etc/subuid"),
            groups: look("/etc/subgid"),
        }
    }

    /// What it grants to an ordinary user, by name or number; `None` for none.
    pub(super) fn granted_to(path: &str, names: &[&str]) -> Option<IdRange> {
        IdRange::granted(&fs::read_to_string(path).ok()?, names)
    }

    /// How many containers have room.
    fn slots(self) -> u32 {
        (self.users.count.min(self.groups.count) / IdRange::EACH).max(1)
    }

    /// The users and groups of one slot.
    pub(crate) fn of_slot(self, number: u32) -> (IdRange, IdRange) {
        let part = |whole: IdRange| IdRange {
            first: whole.first.saturating_add(number * IdRange::EACH),
            count: whole.count.min(IdRange::EACH),
        };
        (part(self.users), part(self.groups))
    }
}

/// Hands out ranges, each to one container at a time.
#[derive(Debug, Default)]
pub(crate) struct IdPool {
    taken: Mutex<BTreeSet<u32>>,
}

/// A range that a container has, for as long as this is held.
#[derive(Debug)]
pub(crate) struct Slot {
    pool: Arc<IdPool>,
    pub(crate) number: u32,
}

impl IdPool {
    /// The lowest free one; `None` when all are taken.
    pub(crate) fn take(self: &Arc<Self>, from: UserNamespaces) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let number = (0..from.slots()).find(|number| !taken.contains(number))?;
        taken.insert(number);
        Some(self.slot(number))
    }

    /// The one that a container of an earlier service has. After a change of configuration two may overlap until the
    /// older ends.
    pub(crate) fn keep(self: &Arc<Self>, number: u32) -> Slot {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(number);
        self.slot(number)
    }

    fn slot(self: &Arc<Self>, number: u32) -> Slot {
        Slot {
            pool: Arc::clone(self),
            number,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.pool.taken.lock();
        let taken = taken.as_mut().map_err(|poisoned| poisoned.get_mut());
        match taken {
            Ok(taken) => taken.remove(&self.number),
            Err(taken) => taken.remove(&self.number),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dedicated_user_comes_before_root() {
        let text = "# none\nroot:100000:65536\nhcs:1000000:131072\nhcs:5:7\nbroken:x:1\n";
        let range = |first, count| Some(IdRange { first, count });
        assert_eq!(
            IdRange::granted(text, &["hcs", "root"]),
            range(1_000_000, 131_072)
        );
        assert_eq!(IdRange::granted(text, &["root"]), range(100_000, 65_536));
        assert_eq!(IdRange::granted(text, &["broken", "me"]), None);
        // Ids that somebody has.
        assert_eq!(IdRange::granted("root:0:65536", &["root"]), None);
    }

    #[test]
    fn each_container_has_a_range_of_its_own() {
        let from = UserNamespaces {
            users: IdRange {
                first: 100_000,
                count: 3 * 65_536,
            },
            groups: IdRange {
                first: 500_000,
                count: 2 * 65_536,
            },
            by_default: false,
        };
        let pool = Arc::new(IdPool::default());
        let first = pool.take(from).unwrap();
        let second = pool.take(from).unwrap();
        assert_eq!((first.number, second.number), (0, 1));
        assert!(pool.take(from).is_none());
        let (users, groups) = from.of_slot(second.number);
        assert_eq!((users.first, groups.first), (165_536, 565_536));
        drop(first);
        assert_eq!(pool.take(from).unwrap().number, 0);
    }

    #[test]
    fn few_ids_are_one_range() {
        let few = IdRange {
            first: 100_000,
            count: 10,
        };
        let from = UserNamespaces {
            users: few,
            groups: few,
            by_default: false,
        };
        let pool = Arc::new(IdPool::default());
        let slot = pool.take(from).unwrap();
        assert_eq!(from.of_slot(slot.number).0.count, 10);
        assert!(pool.take(from).is_none());
    }
}
