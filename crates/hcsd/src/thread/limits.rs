//! Counters that keep one user from taking everything.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use hcs_schema::{Failure, HResult, win32};

/// The failure of a call that would pass a limit.
pub(crate) fn reached(what: &str, limit: usize) -> Failure {
    Failure::new(
        HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
        format!("the limit of {limit} {what} is reached; it is set under [limits] in hcsd.toml"),
    )
}

/// Counts one kind of thing per user.
#[derive(Debug)]
pub(crate) struct Quota {
    what: &'static str,
    limit: Cell<usize>,
    used: RefCell<HashMap<u32, usize>>,
}

/// One counted thing, or several; dropping it uncounts them.
#[derive(Debug)]
pub(crate) struct QuotaShare {
    quota: Rc<Quota>,
    uid: u32,
    count: usize,
}

impl Quota {
    /// At most `limit` of `what` per user.
    pub(crate) fn new(what: &'static str, limit: usize) -> Rc<Self> {
        Rc::new(Self {
            what,
            limit: Cell::new(limit),
            used: RefCell::default(),
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
        let used = self.used.borrow().get(&uid).copied().unwrap_or(0);
        let limit = self.limit.get();
        if count > limit.saturating_sub(used) {
            return Err(reached(self.what, limit));
        }
        Ok(self.count_many(uid, count))
    }

    /// Counts one for `uid`, whatever the limit: for what is already there.
    pub(crate) fn count(self: &Rc<Self>, uid: u32) -> QuotaShare {
        self.count_many(uid, 1)
    }

    fn count_many(self: &Rc<Self>, uid: u32, count: usize) -> QuotaShare {
        *self.used.borrow_mut().entry(uid).or_default() += count;
        QuotaShare {
            quota: Rc::clone(self),
            uid,
            count,
        }
    }
}

impl Drop for QuotaShare {
    fn drop(&mut self) {
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
}
