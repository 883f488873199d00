//! Counters that keep one user from taking everything.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use hcs_schema::{Failure, HResult, win32};
use hcs_wire::subordinate::holder;
use rustix::process::geteuid;

/// The failure of a call that would pass a limit.
pub(crate) fn reached(what: &str, limit: usize) -> Failure {
    refused(what, limit, "it is set under [limits] in hcsd.toml")
}

fn refused(what: &str, limit: usize, set_by: &str) -> Failure {
    Failure::new(
        HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
        format!("the limit of {limit} {what} is reached; {set_by}"),
    )
}

/// Whether a user is root, or the service's own: those could do all that the service can.
pub(crate) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Of the descriptors that the service may have: what those other than root and its own user have each.
const SHARE_OF_DESCRIPTORS: u64 = 16;

/// Which part of them is for root and the service's own user alone: many users have as much as there is.
const KEPT_OF_DESCRIPTORS: u64 = 8;

/// Counts one kind of thing per user. A user's subordinate ids are that user.
#[derive(Debug)]
pub(crate) struct Quota {
    what: &'static str,
    limit: Cell<usize>,
    used: RefCell<HashMap<u32, usize>>,
    /// Where its limit comes from, for those that reach it.
    set_by: &'static str,
    /// Root and the service's own user have no limit.
    spares_trusted: bool,
    /// How many all users have who are not spared, and may have: the rest is for root.
    common: Option<(Cell<usize>, usize)>,
    /// What each thing is counted as in another quota, too.
    also: Option<(Rc<Quota>, usize)>,
}

/// One counted thing, or several; dropping it uncounts them.
#[derive(Debug)]
pub(crate) struct QuotaShare {
    quota: Rc<Quota>,
    uid: u32,
    count: usize,
    /// Counted in [`Quota::common`]. The user and the number that was counted are not always the same one.
    is_common: bool,
    _also: Option<Box<QuotaShare>>,
}

impl Quota {
    /// At most `limit` of `what` per user.
    pub(crate) fn new(what: &'static str, limit: usize) -> Rc<Self> {
        Rc::new(Self::of(what, limit))
    }

    fn of(what: &'static str, limit: usize) -> Self {
        Self {
            what,
            limit: Cell::new(limit),
            used: RefCell::default(),
            set_by: "it is set under [limits] in hcsd.toml",
            spares_trusted: false,
            common: None,
            also: None,
        }
    }

    /// [`Quota::new`] for things that the service keeps `each` descriptors of.
    pub(crate) fn with_descriptors(
        what: &'static str,
        limit: usize,
        each: usize,
        descriptors: &Rc<Self>,
    ) -> Rc<Self> {
        Rc::new(Self {
            also: Some((Rc::clone(descriptors), each)),
            ..Self::of(what, limit)
        })
    }

    /// The descriptors that the service keeps for users, of `all` that it may have: so a user who may connect leaves
    /// enough for root and for others, whatever else is configured.
    pub(crate) fn descriptors(all: Option<u64>) -> Rc<Self> {
        let part = |of: u64| {
            all.map_or(usize::MAX, |all| {
                usize::try_from(of.min(all)).unwrap_or(usize::MAX)
            })
        };
        let all = all.unwrap_or(u64::MAX);
        let limit = part(all / SHARE_OF_DESCRIPTORS);
        Rc::new(Self {
            set_by: "each user has a sixteenth of the descriptors of the service, LimitNOFILE= of its unit",
            spares_trusted: true,
            common: Some((Cell::new(0), part(all - all / KEPT_OF_DESCRIPTORS))),
            ..Self::of("descriptors of one user in the service", limit)
        })
    }

    /// Allows `limit` from now on. What is counted stays.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// Counts one for `uid`.
    ///
    /// # Errors
    /// The user has as many as are allowed.
    pub(crate) fn take(self: &Rc<Self>, uid: u32) -> Result<QuotaShare, Failure> {
        self.take_many(uid, 1)
    }

    /// Counts `count` for `uid`.
    ///
    /// # Errors
    /// The user would have more than are allowed.
    pub(crate) fn take_many(
        self: &Rc<Self>,
        uid: u32,
        count: usize,
    ) -> Result<QuotaShare, Failure> {
        self.check(uid, count)?;
        if let Some((also, each)) = &self.also {
            also.check(uid, count.saturating_mul(*each))?;
        }
        Ok(self.count_many(uid, count))
    }

    fn check(&self, uid: u32, count: usize) -> Result<(), Failure> {
        if self.spares_trusted && is_trusted(uid) {
            return Ok(());
        }
        if let Some((used, limit)) = &self.common
            && count > limit.saturating_sub(used.get())
        {
            let what = format!("{}, for all but root together,", self.what);
            return Err(refused(&what, *limit, "the rest is kept for root"));
        }
        let uid = holder(uid);
        let used = self.used.borrow().get(&uid).copied().unwrap_or(0);
        let limit = self.limit.get();
        match count > limit.saturating_sub(used) {
            true => Err(refused(self.what, limit, self.set_by)),
            false => Ok(()),
        }
    }

    /// Counts one for `uid`, whatever the limit: for what is already there.
    pub(crate) fn count(self: &Rc<Self>, uid: u32) -> QuotaShare {
        self.count_many(uid, 1)
    }

    fn count_many(self: &Rc<Self>, uid: u32, count: usize) -> QuotaShare {
        let is_common = self.common.is_some() && !is_trusted(uid);
        if let (Some((used, _)), true) = (&self.common, is_common) {
            used.set(used.get() + count);
        }
        let uid = holder(uid);
        *self.used.borrow_mut().entry(uid).or_default() += count;
        let also = self.also.as_ref();
        QuotaShare {
            quota: Rc::clone(self),
            uid,
            count,
            is_common,
            _also: also
                .map(|(also, each)| Box::new(also.count_many(uid, count.saturating_mul(*each)))),
        }
    }
}

impl Drop for QuotaShare {
    fn drop(&mut self) {
        if let (Some((used, _)), true) = (&self.quota.common, self.is_common) {
            used.set(used.get() - self.count);
        }
        let mut used = self.quota.used.borrow_mut();
        if let Some(count) = used.get_mut(&self.uid) {
            *count -= self.count;
            if *count == 0 {
                used.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_per_user_and_given_back() {
        let quota = Quota::new("systems", 2);
        let first = quota.take(1).unwrap();
        let _second = quota.take(1).unwrap();
        assert!(
            quota
                .take(1)
                .unwrap_err()
                .message
                .contains("limit of 2 systems")
        );
        let _other = quota.take(2).unwrap();
        drop(first);
        assert!(quota.take_many(1, 2).is_err());
        assert!(quota.take_many(1, 1).is_ok());
        assert!(quota.take(1).is_ok());
        assert!(quota.take_many(3, 2).is_ok());
        quota.set_limit(1);
        assert!(quota.take(2).unwrap_err().message.contains("limit of 1 "));
        quota.set_limit(3);
        assert!(quota.take(2).is_ok());
    }

    #[test]
    fn what_was_counted_for_all_is_given_back_whoever_the_service_is_then() {
        const OTHER: u32 = 64_001;
        if !geteuid().is_root() {
            return;
        }
        let counting = std::thread::spawn(|| {
            let quota = Quota::descriptors(Some(160));
            let share = quota.count(OTHER);
            // As where the service's own number lies in the range of another user.
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(OTHER)).unwrap();
            assert!(is_trusted(OTHER));
            drop(share);
            quota.common.as_ref().unwrap().0.get()
        });
        assert_eq!(counting.join().unwrap(), 0);
    }

    #[test]
    fn descriptors_are_shared_by_all_kinds_of_things_and_spare_root() {
        let descriptors = Quota::descriptors(Some(16 * 10));
        let processes = Quota::with_descriptors("processes", 100, 3, &descriptors);
        let systems = Quota::with_descriptors("systems", 100, 4, &descriptors);
        let other = geteuid().as_raw() + 1;
        let held = (processes.take(other).unwrap(), systems.take(other).unwrap());
        let _last = processes.take(other).unwrap();
        let refused = processes.take(other).unwrap_err();
        assert!(refused.message.contains("LimitNOFILE"), "{refused:?}");
        assert!(systems.take(other).is_err());
        assert!(processes.take_many(0, 100).is_ok());
        assert!(processes.take(other + 1).is_ok());
        drop(held);
        assert!(systems.take(other).is_ok());
        // However many users there are, some stay for root.
        let users = other + 1..other + 100;
        let taken: Vec<_> = users
            .map_while(|uid| descriptors.take_many(uid, 10).ok())
            .collect();
        assert!((11..14).contains(&taken.len()), "{}", taken.len());
        let refused = descriptors.take_many(other + 200, 10).unwrap_err();
        assert!(refused.message.contains("kept for root"), "{refused:?}");
        assert!(descriptors.take_many(0, 100).is_ok());
        drop(taken);
        // What is there already counts, whatever the limit.
        let _adopted: Vec<_> = (0..5).map(|_| systems.count(other)).collect();
        assert!(processes.take(other).is_err());
    }
}
