//! [`Watcher`]: a program is told of what happens to networks.
//!
//! A thread of its own asks the service for what happened since the last answer, and gives that to the callback itself.
//! So a callback that takes long delays no other one, and nothing piles up for it in this program. The service keeps
//! what happened for a while, for all readers together.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::network::{NetworkCall, NetworkNews, NetworkNotification};

use crate::{
    operation::read,
    raw,
    reading::{
        hub::{Drain, Hub},
        inquiry::Inquiry,
        sync::thread,
    },
};

/// `HcnNotificationServiceDisconnect`.
pub const SERVICE_DISCONNECT: u32 = 0x0100_0000;

/// The pause before a service that cannot be reached is tried again, which is twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Something that happened to networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkEvent {
    /// `HCN_NOTIFICATIONS`.
    pub kind: u32,
    /// `S_OK`, or why the connection is lost for [`SERVICE_DISCONNECT`].
    pub status: HResult,
    /// A document that names the object; none for [`SERVICE_DISCONNECT`].
    pub data: Option<String>,
}

type Told = Arc<dyn Fn(&NetworkEvent) + Send + Sync>;

/// `HCN_CALLBACK`: calls a function of the program for what happens to the networks of the service, until it is dropped
/// or ended. What happens from its making on is told, whichever program brings it about. That comes in the order in
/// which it happens, one at a time, by a thread of the library that holds no lock. The function may block and call
/// everything.
///
/// Where something may have happened that is not told, the function is told [`SERVICE_DISCONNECT`]. Its status is the
/// reason: the service was lost (`HCS_E_SERVICE_DISCONNECT`), or the function was so slow that the service does not
/// keep what comes next any more (`ERROR_JOURNAL_ENTRY_DELETED`). Then the program asks what there is; what happens
/// afterwards is told as before.
pub struct Watcher {
    shared: Arc<Shared>,
    place: Place,
    /// A child of `fork(2)` has not got the thread.
    pid: u32,
}

struct Shared {
    hub: Hub<(), NetworkEvent, Told>,
    inquiry: Inquiry<raw::Operation>,
}

/// Up to where it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    life: String,
    since: u64,
    /// That the service is lost was told.
    is_lost: bool,
}

impl Place {
    /// What is to be told of an answer.
    fn follow(&mut self, news: NetworkNews) -> Vec<NetworkEvent> {
        let is_other = news.life != self.life;
        let why = match is_other {
            true => HResult::HCS_E_SERVICE_DISCONNECT,
            false => HResult::ENTRY_DELETED,
        };
        let is_told = is_other && self.is_lost;
        let gap = (news.missed && !is_told).then(|| lost(why));
        *self = Self {
            life: news.life,
            since: news.next,
            is_lost: false,
        };
        let happened = news.notifications.into_iter().map(happened);
        gap.into_iter().chain(happened).collect()
    }

    /// What is to be told when no service can be reached.
    fn lose(&mut self, why: HResult) -> Option<NetworkEvent> {
        let is_told = std::mem::replace(&mut self.is_lost, true);
        (!is_told).then(|| lost(why))
    }

    fn call(&self) -> NetworkCall {
        NetworkCall::Watch {
            life: self.life.clone(),
            since: self.since,
        }
    }
}

const fn lost(status: HResult) -> NetworkEvent {
    NetworkEvent {
        kind: SERVICE_DISCONNECT,
        status,
        data: None,
    }
}

fn happened(notification: NetworkNotification) -> NetworkEvent {
    NetworkEvent {
        kind: notification.kind,
        status: HResult::S_OK,
        data: Some(notification.data),
    }
}

impl Watcher {
    /// Finds the place from which on the function is to be told. It is called after [`Watcher::begin`].
    ///
    /// # Errors
    /// `E_NOTIMPL` where the service is an ordinary user's, or why the service cannot be reached.
    pub fn new(told: impl Fn(&NetworkEvent) + Send + Sync + 'static) -> Result<Self, Failure> {
        let mut place = Place::default();
        let answer = raw::run_network(place.call()).map_err(|error| Failure::from(&error));
        place.follow(read("place among notifications", answer?.as_deref())?);
        let shared = Shared {
            hub: Hub::new(),
            inquiry: Inquiry::new(),
        };
        let told: Told = Arc::new(told);
        let registered = shared.hub.set_callback(Some(told), false);
        let _nothing_is_queued =
            registered.map_err(|code| Failure::new(code, "no callback can be registered"))?;
        Ok(Self {
            shared: Arc::new(shared),
            place,
            pid: std::process::id(),
        })
    }

    /// From now on the function is called.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`: no thread can be started.
    pub fn begin(&self) -> Result<(), Failure> {
        let (shared, place) = (Arc::clone(&self.shared), self.place.clone());
        let started = thread::Builder::new()
            .name("hcs-networks".to_owned())
            .spawn(move || shared.follow(place));
        started.map(drop).map_err(|error| {
            let message = "no thread can be started for callbacks";
            Failure::new(HResult::E_OUTOFMEMORY, message).because(&error)
        })
    }

    /// The function is not called any more. Where it runs, this waits until it has returned, unless called from within
    /// it. A child of `fork(2)` only gives its copy up.
    pub fn end(&self) {
        if self.pid != std::process::id() {
            return;
        }
        let _ended_before = self.shared.hub.close();
        if let Some(question) = self.shared.inquiry.end() {
            let _answered_meanwhile = question.cancel();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn follow(&self, mut place: Place) {
        let mut pause = PAUSE;
        while let Some(answer) = self.ask(&place) {
            match answer {
                Ok(news) => {
                    pause = PAUSE;
                    place
                        .follow(news)
                        .into_iter()
                        .for_each(|event| self.tell(event));
                }
                Err(failure) => {
                    place
                        .lose(failure.hresult)
                        .into_iter()
                        .for_each(|event| self.tell(event));
                    if !self.inquiry.rest(pause) {
                        return;
                    }
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    /// Asks what happened, and waits for the answer; `None` after the end.
    fn ask(&self, place: &Place) -> Option<Result<NetworkNews, Failure>> {
        let mut refused = None;
        let question = self.inquiry.ask(|| {
            let question = raw::Operation::new();
            refused = raw::network(place.call(), &question).err();
            question
        })?;
        let answer = match refused {
            Some(code) => Err(code.into()),
            None => question.wait(None),
        };
        if !self.inquiry.answered() {
            return None;
        }
        let answer = answer.map_err(|error| Failure::from(&error));
        Some(answer.and_then(|text| read("page of notifications", text.as_deref())))
    }

    fn tell(&self, event: NetworkEvent) {
        if self.hub.post(event) == Drain::Needed {
            // There is no end of networks that would be told.
            let end = |()| lost(HResult::S_OK);
            self.hub.drain(end, |told, event, _| {
                // The panic was reported where it happened; it must not end this thread.
                let _reported = catch_unwind(AssertUnwindSafe(|| told(&event)));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(life: &str, next: u64, missed: bool, kinds: &[u32]) -> NetworkNews {
        let notification = |kind: &u32| NetworkNotification {
            kind: *kind,
            data: String::new(),
        };
        NetworkNews {
            life: life.to_owned(),
            next,
            missed,
            notifications: kinds.iter().map(notification).collect(),
        }
    }

    fn kinds(events: &[NetworkEvent]) -> Vec<u32> {
        events.iter().map(|event| event.kind).collect()
    }

    #[test]
    fn a_gap_is_told_once_and_before_what_comes_next() {
        let mut place = Place::default();
        assert!(place.follow(news("a", 5, false, &[])).is_empty());
        assert_eq!(kinds(&place.follow(news("a", 7, false, &[1, 2]))), [1, 2]);
        assert!(matches!(place.call(), NetworkCall::Watch { since: 7, .. }));
        // The reader was too slow.
        let told = place.follow(news("a", 9, true, &[3]));
        assert_eq!(kinds(&told), [SERVICE_DISCONNECT, 3]);
        assert_eq!(told[0].status, HResult::ENTRY_DELETED);
        // The service was lost, and another came.
        let told = place.follow(news("b", 2, true, &[4]));
        assert_eq!(kinds(&told), [SERVICE_DISCONNECT, 4]);
        assert_eq!(told[0].status, HResult::HCS_E_SERVICE_DISCONNECT);
        // No service could be reached for a while, which is told at once and not again with the next answer.
        let why = HResult::HCS_E_SERVICE_NOT_AVAILABLE;
        assert_eq!(place.lose(why), Some(lost(why)));
        assert_eq!(place.lose(why), None);
        assert_eq!(kinds(&place.follow(news("c", 2, true, &[5]))), [5]);
        // It was the same service after all, and nothing is missing.
        assert!(place.lose(why).is_some());
        assert_eq!(kinds(&place.follow(news("c", 3, false, &[6]))), [6]);
        assert!(place.lose(why).is_some());
    }
}
