//! Host ids that containers may have.

use std::{
    collections::HashMap,
    fs,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hcs_wire::subordinate::{self, Granted, granted, holder};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::claims::{Claims, Hold};
use crate::failure::StepError;

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
    /// Ids that no other program takes: above those that systemd gives to users, services and its own containers, below
    /// those that other numbers are mistaken for (`UIDS-GIDS.md` of systemd). Room for 1024 containers.
    pub const UNUSED: Self = Self {
        first: 0x7000_0000,
        count: 1024 * Self::EACH,
    };

    /// How many a container gets, where there are as many: all that files of a usual system belong to.
    pub const EACH: u32 = 65_536;

    /// How many of them a container has inside: the last one is the owner of its user namespace.
    pub(crate) const MAPPED: u32 = Self::EACH - 1;

    /// The last one, if there are more.
    pub(crate) const fn owner(self) -> u32 {
        self.first + (self.count - 1)
    }

    /// Those that the container has inside: all but [`IdRange::owner`]. A process of one of them, that of a
    /// set-user-ID program say, would have all rights over a namespace that it owned.
    pub(crate) const fn mapped(self) -> Self {
        Self {
            first: self.first,
            count: if self.count > 1 { self.count - 1 } else { 1 },
        }
    }

    /// Whether `id` is one of them.
    pub(crate) const fn has(self, id: u32) -> bool {
        id >= self.first && id - self.first < self.count
    }

    /// Whether all of them are ids, and none is below those of ordinary users.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        self.first >= 1000 && self.count > 0 && self.first.checked_add(self.count).is_some()
    }

    /// The ids that the administrator has granted.
    pub(super) const fn of_grant(granted: Granted) -> Self {
        Self {
            first: granted.first,
            count: granted.count,
        }
    }
}

/// With fewer ranges none is held by a container that is only kept ready.
const PLENTY: u32 = 64;

/// Which part of all ranges is one user's at most.
const SHARE: u32 = 4;
/// Ranges that a user may have of a few, where they are not more than the half.
const FEW: u32 = 4;

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
    /// What the host's administrator has granted in `/etc/subuid` and `/etc/subgid` to the user `hcs`, else to root,
    /// else [`IdRange::UNUSED`].
    #[must_use]
    pub fn of_host() -> Self {
        let look = |path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let granted = granted(&text, &["hcs", "root"]);
            granted.map_or(IdRange::UNUSED, IdRange::of_grant)
        };
        Self {
            by_default: false,
            users: look(subordinate::USERS),
            groups: look(subordinate::GROUPS),
        }
    }

    /// How many containers have room.
    fn slots(self) -> u32 {
        (self.users.count.min(self.groups.count) / IdRange::EACH).max(1)
    }

    /// How many containers one user may have with them, of those who are not root or the service's own: the rest is for
    /// others. One at least.
    pub(crate) fn share(self) -> u32 {
        let slots = self.slots();
        (slots / SHARE).max(slots.div_ceil(2).min(FEW))
    }

    /// How many are for root and the service's own user alone: an eighth, and one where there are a few.
    fn kept(self) -> u32 {
        match self.slots() {
            1 => 0,
            slots => slots.div_ceil(8),
        }
    }

    /// Whether there are ids for containers that are only kept ready: what they hold no other container can have.
    pub(crate) fn are_plenty(self) -> bool {
        self.slots() >= PLENTY
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

/// Hands out ranges, each to one container of this host at a time.
#[derive(Debug)]
pub(crate) struct IdPool {
    claims: Claims,
    /// How many the containers of each user have.
    users: Mutex<HashMap<u32, u32>>,
}

/// A range that a container has, for as long as that lives.
#[derive(Debug)]
pub(crate) struct IdRangeSlot {
    pool: Arc<IdPool>,
    pub(crate) number: u32,
    ids: (IdRange, IdRange),
    /// Its container has it, too. None of one that an earlier service has made.
    hold: Option<Hold>,
    /// The user whose container it is, once it is of one.
    user: Option<u32>,
}

/// Too many containers have user namespaces for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Above {
    /// The user has so many, which are the share of one.
    OfUser(u32),
    /// All users have so many, but root and the service's own.
    OfAll(u32),
}

/// Whether the user is root or the service's own.
fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

impl IdPool {
    /// A pool of what `claims` says is free.
    pub(crate) fn new(claims: Claims) -> Self {
        Self {
            claims,
            users: Mutex::default(),
        }
    }

    /// The lowest free one; `None` when all are taken.
    ///
    /// # Errors
    /// It cannot be found out, or written down.
    pub(crate) fn take(
        self: &Arc<Self>,
        from: UserNamespaces,
    ) -> Result<Option<IdRangeSlot>, StepError> {
        let all = (0..from.slots()).map(|number| (number, from.of_slot(number)));
        let taken = self.claims.take(all)?;
        Ok(taken.map(|(number, ids, hold)| self.slot(number, ids, Some(hold))))
    }

    /// The one that a container of `user` has that an earlier service has made, whose pid 1 is `pid` and whose root on
    /// the host has the ids `root`. It counts, whatever the user's share is.
    ///
    /// # Errors
    /// It cannot be written down.
    pub(crate) fn keep(
        self: &Arc<Self>,
        number: u32,
        root: (u32, u32),
        pid: i32,
        user: u32,
    ) -> Result<IdRangeSlot, StepError> {
        let range = |first| IdRange {
            first,
            count: IdRange::EACH,
        };
        let mut slot = self.slot(number, (range(root.0), range(root.1)), None);
        slot.hold(pid)?;
        slot.count(&mut self.users(), holder(user));
        Ok(slot)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<u32, u32>> {
        // Numbers are right after a panic, too.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(
        self: &Arc<Self>,
        number: u32,
        ids: (IdRange, IdRange),
        hold: Option<Hold>,
    ) -> IdRangeSlot {
        IdRangeSlot {
            pool: Arc::clone(self),
            number,
            ids,
            hold,
            user: None,
        }
    }
}

impl IdRangeSlot {
    /// The users and groups.
    pub(crate) const fn ids(&self) -> (IdRange, IdRange) {
        self.ids
    }

    /// The owner of the user namespace.
    pub(crate) const fn owner(&self) -> u32 {
        self.ids.0.owner()
    }

    /// Counts it as one of `user`, where `from` has one for that user. Subordinate ids of a user are that user.
    ///
    /// # Errors
    /// How many are too many, and whose.
    pub(crate) fn charge(&mut self, user: u32, from: UserNamespaces) -> Result<(), Above> {
        let share = from.share();
        let of_all = from.slots() - from.kept();
        let user = holder(user);
        let pool = Arc::clone(&self.pool);
        let mut users = pool.users();
        let own = users.get(&user).copied().unwrap_or(0);
        let others = users.iter().filter(|(user, _)| !is_trusted(**user));
        let all: u32 = others.map(|(_, count)| count).sum();
        match is_trusted(user) {
            false if own >= share => return Err(Above::OfUser(share)),
            false if all >= of_all => return Err(Above::OfAll(of_all)),
            _ => self.count(&mut users, user),
        }
        Ok(())
    }

    fn count(&mut self, users: &mut HashMap<u32, u32>, user: u32) {
        if self.user.is_none() {
            *users.entry(user).or_default() += 1;
            self.user = Some(user);
        }
    }

    /// What the container is to have open for as long as it lives.
    pub(crate) fn held_open(&self) -> Option<BorrowedFd<'_>> {
        self.hold.as_ref().map(AsFd::as_fd)
    }

    /// Writes down that the process `pid` has them.
    ///
    /// # Errors
    /// It cannot be written down.
    pub(crate) fn hold(&self, pid: i32) -> Result<(), StepError> {
        self.pool.claims.hold(self.ids, pid)
    }
}

impl Drop for IdRangeSlot {
    fn drop(&mut self) {
        if let Some(user) = self.user {
            let mut users = self.pool.users();
            let count = users.get_mut(&user).map(|count| {
                *count -= 1;
                *count
            });
            if count == Some(0) {
                users.remove(&user);
            }
        }
        self.hold = None;
        // One of a container that lives stays; the next service that takes ids removes what is left.
        let _left_to_others = self.pool.claims.give_up(self.ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let place = tempfile::tempdir().unwrap();
        let pool = Arc::new(IdPool::new(Claims::at(place.path().join("ids"))));
        let first = pool.take(from).unwrap().unwrap();
        let second = pool.take(from).unwrap().unwrap();
        assert_eq!((first.number, second.number), (0, 1));
        assert!(pool.take(from).unwrap().is_none());
        let (users, groups) = from.of_slot(second.number);
        assert_eq!((users.first, groups.first), (165_536, 565_536));
        drop(first);
        assert_eq!(pool.take(from).unwrap().unwrap().number, 0);
    }

    #[test]
    fn a_user_has_a_part_of_them() {
        let from = UserNamespaces {
            users: IdRange {
                first: 100_000,
                count: 8 * 65_536,
            },
            groups: IdRange {
                first: 100_000,
                count: 8 * 65_536,
            },
            by_default: false,
        };
        let place = tempfile::tempdir().unwrap();
        let pool = Arc::new(IdPool::new(Claims::at(place.path().join("ids"))));
        let own = geteuid().as_raw();
        let take = |user| {
            let mut slot = pool.take(from).unwrap().unwrap();
            let user = if user == 0 { 0 } else { own + user };
            slot.charge(user, from).is_ok().then_some(slot)
        };
        let first = take(1).unwrap();
        let _others = [(); 3].map(|()| take(1).unwrap());
        assert!(take(1).is_none());
        let _other = take(2).unwrap();
        drop(first);
        let _first = take(1).unwrap();
        // However many users there are, one stays for root.
        let _others = [3, 4].map(|user| take(user).unwrap());
        let refused = pool.take(from).unwrap().unwrap().charge(own + 5, from);
        assert_eq!(refused, Err(Above::OfAll(7)));
        let _of_root = take(0).unwrap();
    }

    #[test]
    fn the_share_of_a_user_is_one_range_at_least() {
        let share = |count: u32| {
            let ids = IdRange {
                first: 100_000,
                count,
            };
            let from = UserNamespaces {
                users: ids,
                groups: ids,
                by_default: false,
            };
            from.share()
        };
        assert_eq!(share(10), 1);
        let ranges = [1, 2, 3, 4, 8, 15, 16, 64, 1024].map(|few| share(few * IdRange::EACH));
        assert_eq!(ranges, [1, 1, 2, 2, 4, 4, 4, 16, 256]);
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
        let place = tempfile::tempdir().unwrap();
        let pool = Arc::new(IdPool::new(Claims::at(place.path().join("ids"))));
        let slot = pool.take(from).unwrap().unwrap();
        assert_eq!(from.of_slot(slot.number).0.count, 10);
        assert!(pool.take(from).unwrap().is_none());
    }
}
