//! The handle table of a connection: numbers the client chose, and what they stand for.
//!
//! ```text
//!   (free) ──reserve──▶ Opening ──open──▶ System or Process ──remove──▶ (free)
//!                          └──fail──▶ (free)
//! ```
//! While a handle is opening, calls on it wait in its slot, in the order they came. When it is there they are taken up
//! one by one, and what comes meanwhile waits behind them. Clients send calls on a handle before they know that it
//! could not be made; so the last few that could not be are remembered, with the reason.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, VecDeque, btree_map::Entry},
    rc::Rc,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::service::Call;

use super::Connection;
use crate::{
    system::{System, process::Process},
    thread::limits::{self, Quota},
};

/// Handles of a connection that could not be made and are remembered.
const MOST_UNMADE: usize = 64;

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    /// A compute system.
    System(Rc<System>),
    /// A process.
    Process(Rc<Process>),
}

impl Object {
    /// Lets the handle `number` hear of what happens to it. The call that makes the handle has been answered.
    pub(crate) fn attach(&self, connection: &Rc<Connection>, number: u64) {
        match self {
            Self::System(system) => system.attach(connection, number),
            Self::Process(process) => {
                process.attach(connection, number);
                process.answered();
            }
        }
    }
}

/// A handle taken out of the table, to be released.
#[derive(Debug)]
pub(crate) struct Released {
    number: u64,
    object: Object,
}

impl Released {
    /// The handle of a client that had left before it was made.
    pub(crate) const fn at_once(number: u64, object: Object) -> Self {
        Self { number, object }
    }

    /// Ends what the handle held: events, and the system's count of handles.
    pub(crate) fn release(self, connection: &Rc<Connection>) {
        match self.object {
            Object::System(system) => system.detach(connection, self.number),
            Object::Process(process) => process.detach(connection, self.number),
        }
    }
}

/// Calls that wait, with the numbers of their requests, in the order they came.
pub(super) type WaitingCalls = BTreeMap<u64, (u64, Call)>;

#[derive(Debug)]
enum HandleEntry {
    Opening(WaitingCalls),
    /// With the calls that came before it was there, and those behind them.
    Open(Object, WaitingCalls),
}

/// An entry, counted for its user.
#[derive(Debug)]
struct Slot {
    entry: HandleEntry,
    _share: limits::QuotaShare,
}

impl HandleEntry {
    const fn waiting(&mut self) -> &mut WaitingCalls {
        match self {
            Self::Opening(waiting) | Self::Open(_, waiting) => waiting,
        }
    }
}

/// What was in a table whose connection is gone.
#[derive(Debug)]
pub(super) struct Rest(BTreeMap<u64, Slot>);

impl Rest {
    /// Takes the next of it: an open handle, or the number of a call that waits for one.
    pub(super) fn next(&mut self) -> Option<Result<Released, u64>> {
        loop {
            let mut first = self.0.first_entry()?;
            if let Some((_, (request, _))) = first.get_mut().entry.waiting().pop_first() {
                return Some(Err(request));
            }
            let number = *first.key();
            if let HandleEntry::Open(object, _) = first.remove().entry {
                return Some(Ok(Released { number, object }));
            }
        }
    }
}

/// The handles of one connection.
#[derive(Debug)]
pub(crate) struct Handles {
    slots: RefCell<BTreeMap<u64, Slot>>,
    /// Where calls wait: the handle and the place in its slot, by the number of the request.
    places: RefCell<HashMap<u64, (u64, u64)>>,
    /// Calls that have waited.
    waited: Cell<u64>,
    /// Why a handle is not there, the latest last.
    unmade: RefCell<VecDeque<(u64, Failure)>>,
    limit: usize,
    /// Counts those of all connections of the user.
    quota: Rc<Quota>,
    uid: u32,
}

impl Handles {
    /// An empty table for at most `limit` handles of the user `uid`, who may have as many as `quota` says.
    pub(crate) fn new(limit: usize, quota: &Rc<Quota>, uid: u32) -> Self {
        Self {
            quota: Rc::clone(quota),
            uid,
            slots: RefCell::default(),
            places: RefCell::default(),
            waited: Cell::new(0),
            unmade: RefCell::default(),
            limit,
        }
    }

    /// Takes a number for a handle that is about to be made by way of the handle `by`, if by one.
    ///
    /// # Errors
    /// The number is 0, taken, or `by` itself, or there are too many handles.
    pub(crate) fn reserve(&self, number: u64, by: Option<u64>) -> Result<(), Failure> {
        let mut slots = self.slots.borrow_mut();
        if slots.len() >= self.limit {
            return Err(limits::reached(
                "open handles of one connection",
                self.limit,
            ));
        }
        match slots.entry(number) {
            Entry::Vacant(slot) if number != 0 && by != Some(number) => {
                slot.insert(Slot {
                    _share: self.quota.take(self.uid)?,
                    entry: HandleEntry::Opening(WaitingCalls::new()),
                });
                self.forget_unmade(number);
                Ok(())
            }
            _ => Err(Failure::new(
                HResult::E_INVALIDARG,
                format!("the handle number {number} cannot be used: numbers are new and not 0"),
            )),
        }
    }

    /// Whether calls on `number` have to wait: for the handle, or for those that have waited for it.
    pub(crate) fn is_opening(&self, number: u64) -> bool {
        match self.slots.borrow().get(&number).map(|slot| &slot.entry) {
            Some(HandleEntry::Opening(_)) => true,
            Some(HandleEntry::Open(_, waiting)) => !waiting.is_empty(),
            None => false,
        }
    }

    /// Lets a call wait for the handle. Only while it [is opening](Self::is_opening).
    pub(crate) fn wait(&self, number: u64, request: u64, call: Call) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(&number) {
            let place = self.waited.get();
            self.waited.set(place + 1);
            slot.entry.waiting().insert(place, (request, call));
            self.places.borrow_mut().insert(request, (number, place));
        }
    }

    /// The handle is there. The calls that waited for it are [to be taken up](Self::next_waiting). Returns false where
    /// its place, which was reserved before, went with its client: the handle is to be released at once.
    #[must_use]
    pub(crate) fn open(&self, number: u64, object: Object) -> bool {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(&number) else {
            return false;
        };
        let waiting = std::mem::take(slot.entry.waiting());
        slot.entry = HandleEntry::Open(object, waiting);
        true
    }

    /// Takes the first call out that waits for a handle that is there.
    pub(super) fn next_waiting(&self, number: u64) -> Option<(u64, Call)> {
        let mut slots = self.slots.borrow_mut();
        let HandleEntry::Open(_, waiting) = &mut slots.get_mut(&number)?.entry else {
            return None;
        };
        let (_, (request, call)) = waiting.pop_first()?;
        self.has_waited(request);
        Some((request, call))
    }

    /// A call does not wait any more.
    pub(super) fn has_waited(&self, request: u64) {
        self.places.borrow_mut().remove(&request);
    }

    /// The handle will never be there, because of `why`. Returns the calls that waited for it; each [has
    /// waited](Self::has_waited) when it is answered.
    pub(crate) fn fail(&self, number: u64, why: &Failure) -> WaitingCalls {
        let mut slots = self.slots.borrow_mut();
        let Entry::Occupied(slot) = slots.entry(number) else {
            return WaitingCalls::new();
        };
        if matches!(slot.get().entry, HandleEntry::Open(..)) {
            return WaitingCalls::new();
        }
        let mut unmade = self.unmade.borrow_mut();
        if unmade.len() >= MOST_UNMADE {
            unmade.pop_front();
        }
        unmade.push_back((number, never_made(why)));
        std::mem::take(slot.remove().entry.waiting())
    }

    /// Forgets why a handle could not be made; whether it was known.
    pub(crate) fn forget_unmade(&self, number: u64) -> bool {
        let mut unmade = self.unmade.borrow_mut();
        let known = unmade.len();
        unmade.retain(|(other, _)| *other != number);
        unmade.len() < known
    }

    /// Why there is no such handle, where it could not be made.
    pub(crate) fn why_unmade(&self, number: u64) -> Option<Failure> {
        let unmade = self.unmade.borrow();
        let (_, why) = unmade.iter().find(|(other, _)| *other == number)?;
        Some(why.clone())
    }

    /// Takes a waiting call out of whatever slot it waits in.
    pub(crate) fn withdraw(&self, request: u64) -> Option<Call> {
        let (number, place) = self.places.borrow_mut().remove(&request)?;
        let mut slots = self.slots.borrow_mut();
        let (_, call) = slots.get_mut(&number)?.entry.waiting().remove(&place)?;
        Some(call)
    }

    /// The system behind a handle.
    ///
    /// # Errors
    /// `E_HANDLE`, or why it could not be made.
    pub(crate) fn system(&self, number: u64) -> Result<Rc<System>, Failure> {
        match self.slots.borrow().get(&number).map(|slot| &slot.entry) {
            Some(HandleEntry::Open(Object::System(system), _)) => Ok(Rc::clone(system)),
            other => Err(self.wrong(number, "compute system", other)),
        }
    }

    /// The process behind a handle.
    ///
    /// # Errors
    /// `E_HANDLE`, or why it could not be made.
    pub(crate) fn process(&self, number: u64) -> Result<Rc<Process>, Failure> {
        match self.slots.borrow().get(&number).map(|slot| &slot.entry) {
            Some(HandleEntry::Open(Object::Process(process), _)) => Ok(Rc::clone(process)),
            other => Err(self.wrong(number, "process", other)),
        }
    }

    /// The system that an open handle is of, or is in.
    pub(crate) fn system_of(&self, number: u64) -> Option<Rc<System>> {
        match &self.slots.borrow().get(&number)?.entry {
            HandleEntry::Open(Object::System(system), _) => Some(Rc::clone(system)),
            HandleEntry::Open(Object::Process(process), _) => process.system().ok(),
            HandleEntry::Opening(_) => None,
        }
    }

    /// Takes an open handle out. Returns it and the calls that still waited.
    pub(crate) fn remove(&self, number: u64) -> Option<(Released, WaitingCalls)> {
        let mut slots = self.slots.borrow_mut();
        let Entry::Occupied(slot) = slots.entry(number) else {
            return None;
        };
        if matches!(slot.get().entry, HandleEntry::Opening(_)) {
            return None;
        }
        match slot.remove().entry {
            HandleEntry::Open(object, waiting) => Some((Released { number, object }, waiting)),
            HandleEntry::Opening(_) => None,
        }
    }

    /// Takes everything out. Calls that still wait are dropped: no client is there to hear their answers.
    pub(super) fn take_all(&self) -> Rest {
        Rest(std::mem::take(&mut *self.slots.borrow_mut()))
    }

    /// Why `number`, with `slot` in it, does not stand for what is `wanted`.
    fn wrong(&self, number: u64, wanted: &str, slot: Option<&HandleEntry>) -> Failure {
        let found = match slot {
            None => {
                if let Some(why) = self.why_unmade(number) {
                    return why;
                }
                "is not open"
            }
            Some(HandleEntry::Opening(_)) => "is still being made",
            Some(HandleEntry::Open(Object::System(_), _)) => "is of a compute system",
            Some(HandleEntry::Open(Object::Process(_), _)) => "is of a process",
        };
        Failure::new(
            HResult::E_HANDLE,
            format!("a handle of a {wanted} was expected, but handle {number} {found}"),
        )
    }
}

/// What a call ends with whose handle could not be made because of `why`.
pub(crate) fn never_made(why: &Failure) -> Failure {
    const BECAUSE: &str = "the handle was never made: ";
    let message = if why.message.starts_with(BECAUSE) {
        why.message.clone()
    } else {
        format!("{BECAUSE}{}", why.message)
    };
    Failure {
        message,
        ..why.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit: usize) -> Handles {
        Handles::new(limit, &Quota::new("handles", 8), 0)
    }

    fn why(message: &'static str) -> Failure {
        Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, message)
    }

    #[test]
    fn a_handle_that_could_not_be_made_says_why_until_it_is_closed_or_its_number_used_again() {
        let handles = table(8);
        handles.reserve(2, None).unwrap();
        assert!(handles.fail(2, &why("no box")).is_empty());
        let failure = handles.system(2).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
        assert_eq!(failure.message, "the handle was never made: no box");
        // The handle of a process in that system fails for the same reason.
        handles.reserve(3, None).unwrap();
        assert!(handles.fail(3, &failure).is_empty());
        assert_eq!(handles.process(3).unwrap_err(), failure);
        assert!(handles.forget_unmade(3));
        assert!(!handles.forget_unmade(3));
        let closed = handles.process(3).unwrap_err();
        assert_eq!(closed.hresult, HResult::E_HANDLE);
        handles.reserve(2, None).unwrap();
        assert!(handles.is_opening(2));
        assert!(!handles.forget_unmade(2));
    }

    #[test]
    fn the_number_of_failures_that_are_remembered_is_bounded() {
        let handles = table(1);
        let most = MOST_UNMADE as u64;
        for number in 1..=most + 1 {
            handles.reserve(number, None).unwrap();
            assert!(handles.fail(number, &why("no box")).is_empty());
        }
        let hresult = |number| handles.system(number).unwrap_err().hresult;
        assert_eq!(hresult(1), HResult::E_HANDLE);
        assert_eq!(hresult(2), HResult::HCS_E_SYSTEM_NOT_FOUND);
        assert_eq!(handles.unmade.borrow().len(), MOST_UNMADE);
    }

    const CALL: Call = Call::CloseSystem { system: 7 };

    #[test]
    fn the_handles_of_a_user_are_bounded_over_all_connections() {
        let quota = Quota::new("open handles of one user", 3);
        let [one, other] = [(); 2].map(|()| Handles::new(2, &quota, 5));
        one.reserve(1, None).unwrap();
        one.reserve(2, None).unwrap();
        other.reserve(1, None).unwrap();
        let refused = other.reserve(2, None).unwrap_err().message;
        assert!(refused.contains("limit of 3 open handles"), "{refused}");
        assert!(one.fail(1, &why("no box")).is_empty());
        other.reserve(2, None).unwrap();
        drop((one, other));
        Handles::new(2, &quota, 5).reserve(1, None).unwrap();
    }

    #[test]
    fn a_call_that_waits_is_withdrawn_by_its_number_alone() {
        const MANY: u64 = 100_000;
        let handles = table(2);
        for handle in [1, 2] {
            handles.reserve(handle, None).unwrap();
            for request in (0..MANY).filter(|request| request % 2 == handle % 2) {
                handles.wait(handle, request, CALL);
            }
        }
        // A look at all that waits for each of them would take minutes.
        for request in (0..MANY).rev() {
            assert!(handles.withdraw(request).is_some());
            assert!(handles.withdraw(request).is_none());
        }
        assert!(handles.fail(1, &why("no box")).is_empty());
        assert!(handles.places.borrow().is_empty());
    }

    #[test]
    fn what_is_left_of_a_table_is_taken_one_by_one() {
        let handles = table(3);
        for handle in [1, 2, 3] {
            handles.reserve(handle, None).unwrap();
        }
        handles.wait(2, 10, CALL);
        handles.wait(2, 11, CALL);
        let mut rest = handles.take_all();
        assert!(!handles.is_opening(2));
        let mut next = || rest.next().map(Result::unwrap_err);
        assert_eq!([next(), next(), next()], [Some(10), Some(11), None]);
    }
}
