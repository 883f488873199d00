//! Calls by name, as far as this service knows: which go on, and which were done though their clients do not know.
//!
//! A call of a client that gave its instance has a name that no other call has, of whatever client and whenever (see
//! [`hcs_wire::service`]). A client whose connection was lost makes its unanswered calls again under the same names.
//! Then this service is either the one that was asked before, and knows here; or it is a later one, and asks where the
//! call was done: the agent of its system, or what was written down.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use hcs_schema::Failure;
use hcs_wire::subordinate::holder;
use tokio::sync::Notify;

use crate::record::failures::unknown;

#[cfg(test)]
use hcs_wire::guest::MAX_NAME_BYTES;

/// Calls of one user that are remembered though they were answered to a connection that was gone.
const MOST_UNTOLD: usize = 1024;
/// Clients of one user that are remembered as having left calls unanswered.
const MOST_LOST: usize = 4096;
/// The longest instance of a client, in bytes: a GUID has 36.
pub(crate) const MAX_INSTANCE: usize = 48;

/// Calls of one user that were done though their clients do not know.
#[derive(Debug, Default)]
struct Untold {
    /// Since when, oldest first.
    calls: VecDeque<(Instant, Rc<str>)>,
    /// The last one that had to be forgotten, since when it was there.
    forgot: Option<Instant>,
}

/// A client, before and after it lost its connection: its user and its instance.
pub(crate) type Instance = Rc<str>;

/// The client of the user `uid` that gave `instance`; `None` for what is no instance.
pub(crate) fn instance(uid: u32, instance: &str) -> Option<Instance> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let fits = (16..=MAX_INSTANCE).contains(&instance.len()) && instance.bytes().all(is_plain);
    fits.then(|| format!("{uid}.{instance}").into())
}

/// The name of request `request` of a client.
pub(crate) fn name(instance: &Instance, request: u64) -> Rc<str> {
    format!("{instance}.{request:x}").into()
}

/// The calls of one service. Belongs to its thread.
#[derive(Debug)]
pub(crate) struct Calls {
    going: RefCell<HashMap<Rc<str>, Rc<Life>>>,
    /// By user; subordinate ids of a user are that user, here and below.
    untold: RefCell<HashMap<u32, Untold>>,
    /// When a client was lost that had unanswered calls, by user, oldest first.
    lost: RefCell<HashMap<u32, VecDeque<(Instant, Instance)>>>,
    began: Instant,
    /// How long clients have to come back.
    limit: Cell<Duration>,
}

#[derive(Debug, Default)]
struct Life {
    over: Cell<bool>,
    changed: Notify,
}

/// A call that goes on, until this is dropped.
#[derive(Debug)]
pub(crate) struct Going {
    calls: Weak<Calls>,
    name: Rc<str>,
    life: Rc<Life>,
}

impl Going {
    /// The name of the call.
    pub(crate) const fn name(&self) -> &Rc<str> {
        &self.name
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.life.over.set(true);
        self.life.changed.notify_waiters();
        if let Some(calls) = self.calls.upgrade() {
            let mut going = calls.going.borrow_mut();
            // The same call made again may have taken its place.
            let known = going.get(&self.name);
            if known.is_some_and(|known| Rc::ptr_eq(known, &self.life)) {
                going.remove(&self.name);
            }
        }
    }
}

/// What a call that is made again has to know.
#[derive(Debug)]
pub(crate) struct Repeat {
    /// It goes on for an earlier connection.
    earlier: Option<Rc<Life>>,
    /// Its client came back in time: what is not known was not done.
    in_time: bool,
}

impl Repeat {
    /// Returns when the call does not go on for an earlier connection any more.
    pub(crate) async fn alone(&self) {
        let Some(earlier) = &self.earlier else {
            return;
        };
        while !earlier.over.get() {
            earlier.changed.notified().await;
        }
    }

    /// Whether what is not known to be done was not done.
    ///
    /// # Errors
    /// Unknown.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.in_time {
            true => Ok(()),
            false => Err(unknown("its client took too long to come back")),
        }
    }
}

impl Calls {
    /// Clients that were lost have `limit` to come back.
    pub(crate) fn new(limit: Duration) -> Rc<Self> {
        Rc::new(Self {
            going: RefCell::default(),
            untold: RefCell::default(),
            lost: RefCell::default(),
            began: Instant::now(),
            limit: Cell::new(limit),
        })
    }

    /// [`Calls::new`] from now on.
    pub(crate) fn set_limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// Whether the client `instance` of the user `uid` has come back in time: whatever it asked for before is
    /// remembered, here or where it was done.
    pub(crate) fn is_in_time(&self, uid: u32, instance: &Instance) -> bool {
        let lost = self.lost.borrow();
        let own = lost.get(&holder(uid));
        let lost = own.and_then(|own| own.iter().rev().find(|(_, lost)| lost == instance));
        let since = lost.map_or(self.began, |(when, _)| *when);
        since.elapsed() < self.limit.get()
    }

    /// A client of the user `uid` is gone that had unanswered calls.
    pub(crate) fn lose(&self, uid: u32, instance: &Instance) {
        let mut lost = self.lost.borrow_mut();
        // Those whose clients will not come back any more are of no use to any user.
        lost.retain(|_, own| !self.has_passed(own.back()));
        let own = lost.entry(holder(uid)).or_default();
        while own.len() >= MOST_LOST || self.has_passed(own.front()) {
            own.pop_front();
        }
        own.push_back((Instant::now(), Rc::clone(instance)));
    }

    fn has_passed<T>(&self, first: Option<&(Instant, T)>) -> bool {
        first.is_some_and(|(when, _)| self.is_past(*when))
    }

    /// Whether no client comes back that was lost then.
    fn is_past(&self, when: Instant) -> bool {
        when.elapsed() > self.limit.get() * 2
    }

    /// The call `name` begins; `again` says that an earlier connection may have brought it, and whether its client came
    /// back in time.
    pub(crate) fn begin(
        self: &Rc<Self>,
        name: Rc<str>,
        again: Option<bool>,
    ) -> (Going, Option<Repeat>) {
        let life = Rc::<Life>::default();
        let mut going = self.going.borrow_mut();
        let earlier = going.insert(Rc::clone(&name), Rc::clone(&life));
        drop(going);
        let begun = Going {
            calls: Rc::downgrade(self),
            name,
            life,
        };
        (begun, again.map(|in_time| Repeat { earlier, in_time }))
    }

    /// The call `name` of the user `uid` was done, and its client does not know.
    pub(crate) fn remember_untold(&self, uid: u32, name: Rc<str>) {
        let mut untold = self.untold.borrow_mut();
        // A user who does not come back has none.
        untold.retain(|_, own| {
            let last = own.calls.back().map(|(when, _)| *when).max(own.forgot);
            last.is_some_and(|when| !self.is_past(when))
        });
        let own = untold.entry(holder(uid)).or_default();
        while self.has_passed(own.calls.front()) {
            own.calls.pop_front();
        }
        if own.calls.len() >= MOST_UNTOLD {
            own.forgot = own.calls.pop_front().map(|(when, _)| when);
        }
        own.calls.push_back((Instant::now(), name));
    }

    /// For a call of the user `uid` that is not among those that were done: whether it is certain that it was not.
    ///
    /// # Errors
    /// Unknown: so many clients of the user were lost with calls that some had to be forgotten.
    pub(crate) fn check_memory(&self, uid: u32) -> Result<(), Failure> {
        let untold = self.untold.borrow();
        let forgot = untold.get(&holder(uid)).and_then(|own| own.forgot);
        match forgot.is_some_and(|when| !self.is_past(when)) {
            true => Err(unknown("the service had to forget calls of this user")),
            false => Ok(()),
        }
    }

    /// Whether the call `name` of the user `uid` was done; from now on its client knows.
    pub(crate) fn take_untold(&self, uid: u32, name: &str) -> bool {
        let mut untold = self.untold.borrow_mut();
        let Some(own) = untold.get_mut(&holder(uid)) else {
            return false;
        };
        let before = own.calls.len();
        own.calls.retain(|(_, untold)| **untold != *name);
        own.calls.len() < before
    }
}

#[cfg(test)]
mod tests {
    use hcs_schema::HResult;

    use super::*;

    fn calls() -> Rc<Calls> {
        Calls::new(Duration::from_secs(60))
    }

    #[test]
    fn an_instance_is_its_users_alone() {
        let guid = "c0ffee00-0000-4000-8000-000000000001";
        let (mine, yours) = (instance(1, guid).unwrap(), instance(2, guid).unwrap());
        assert_ne!(mine, yours);
        assert_ne!(name(&mine, 7), name(&yours, 7));
        assert!(
            name(
                &instance(u32::MAX, &"a".repeat(MAX_INSTANCE)).unwrap(),
                u64::MAX
            )
            .len()
                <= MAX_NAME_BYTES
        );
        for text in [
            "",
            "short",
            "sixteen or more, not plain",
            &"a".repeat(MAX_INSTANCE + 1),
        ] {
            assert!(instance(1, text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_repeat_waits_for_the_call_it_repeats() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let calls = calls();
            let named: Rc<str> = "1.a.7".into();
            let (first, none) = calls.begin(Rc::clone(&named), None);
            assert!(none.is_none());
            let (second, repeat) = calls.begin(Rc::clone(&named), Some(true));
            let repeat = repeat.unwrap();
            let mut alone = std::pin::pin!(repeat.alone());
            let pending = futures_poll(alone.as_mut());
            assert!(pending, "the first one goes on");
            drop(first);
            alone.await;
            assert!(
                calls.going.borrow().contains_key(&named),
                "that is the second one"
            );
            drop(second);
            assert!(calls.going.borrow().is_empty());
        });
    }

    fn futures_poll(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        future.poll(&mut context).is_pending()
    }

    #[test]
    fn what_was_done_for_one_that_was_gone_is_told_once() {
        let calls = calls();
        calls.remember_untold(1, "1.a.7".into());
        assert!(!calls.take_untold(2, "1.a.7"));
        assert!(calls.take_untold(1, "1.a.7"));
        assert!(!calls.take_untold(1, "1.a.7"));
    }

    #[test]
    fn what_had_to_be_forgotten_is_not_taken_for_what_was_never_begun() {
        let calls = calls();
        for number in 0..MOST_UNTOLD {
            calls.remember_untold(1, format!("1.a.{number}").into());
        }
        assert!(calls.check_memory(1).is_ok());
        calls.remember_untold(1, "1.a.last".into());
        assert!(!calls.take_untold(1, "1.a.0") && calls.take_untold(1, "1.a.1"));
        let failure = calls.check_memory(1).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_SERVICE_DISCONNECT);
        assert!(calls.check_memory(2).is_ok());
        calls.set_limit(Duration::ZERO);
        assert!(calls.check_memory(1).is_ok(), "no client asks any more");
    }

    #[test]
    fn what_one_user_loses_lets_no_other_user_be_late() {
        let calls = calls();
        let guid = |number: usize| format!("c0ffee00-0000-4000-8000-{number:012}");
        let mine = instance(1, &guid(0)).unwrap();
        calls.lose(1, &mine);
        for number in 0..20_000 {
            calls.lose(2, &instance(2, &guid(number)).unwrap());
        }
        assert_eq!(calls.lost.borrow()[&2].len(), MOST_LOST);
        let known = calls.lost.borrow()[&1].iter().any(|(_, one)| *one == mine);
        assert!(known, "its time counts from when it was lost");
    }

    #[test]
    fn who_comes_back_too_late_is_not_believed() {
        let calls = Calls::new(Duration::ZERO);
        let late = instance(1, "c0ffee00-0000-4000-8000-000000000001").unwrap();
        assert!(!calls.is_in_time(1, &late));
        let (_going, repeat) = calls.begin(name(&late, 1), Some(calls.is_in_time(1, &late)));
        let failure = repeat.unwrap().check().unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_SERVICE_DISCONNECT);
    }
}
