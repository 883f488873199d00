//! The handle table of a connection: numbers the client chose, and what they stand for.
//!
//! ```text
//!   (free) ──reserve──▶ Opening ──open──▶ System or Process ──remove──▶ (free)
//!                          └──fail──▶ (free)
//! ```
//! While a handle is opening, calls on it wait in its slot, in the order they came. Clients send calls on a handle
//! before they know that it could not be made; so the last few that could not be are remembered, with the reason.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque, hash_map::Entry},
    rc::Rc,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::service::Call;

use super::Connection;
use crate::system::{System, process::Process};

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
    /// Ends what the handle held: events, and the system's count of handles.
    pub(crate) fn release(self, connection: &Rc<Connection>) {
        match self.object {
            Object::System(system) => system.detach(connection, self.number),
            Object::Process(process) => process.detach(connection, self.number),
        }
    }
}

#[derive(Debug)]
enum HandleEntry {
    Opening(VecDeque<(u64, Call)>),
    Open(Object),
}

/// The handles of one connection.
#[derive(Debug)]
pub(crate) struct Handles {
    slots: RefCell<HashMap<u64, HandleEntry>>,
    /// Why a handle is not there, the latest last.
    unmade: RefCell<VecDeque<(u64, Failure)>>,
    limit: usize,
}

impl Handles {
    /// An empty table for at most `limit` handles.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slots: RefCell::default(),
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
            return Err(crate::thread::limits::reached(
                "open handles of one connection",
                self.limit,
            ));
        }
        match slots.entry(number) {
            Entry::Vacant(slot) if number != 0 && by != Some(number) => {
                slot.insert(HandleEntry::Opening(VecDeque::new()));
                self.forget_unmade(number);
                Ok(())
            }
            _ => Err(Failure::new(
                HResult::E_INVALIDARG,
                format!("the handle number {number} cannot be used: numbers are new and not 0"),
            )),
        }
    }

    /// Whether calls on `number` have to wait.
    pub(crate) fn is_opening(&self, number: u64) -> bool {
        matches!(
            self.slots.borrow().get(&number),
            Some(HandleEntry::Opening(_))
        )
    }

    /// Lets a call wait for the handle. Only while it [is opening](Self::is_opening).
    pub(crate) fn wait(&self, number: u64, request: u64, call: Call) {
        if let Some(HandleEntry::Opening(waiting)) = self.slots.borrow_mut().get_mut(&number) {
            waiting.push_back((request, call));
        }
    }

    /// The handle is there. Answers the calls that waited for it.
    pub(crate) fn open(&self, number: u64, object: Object) -> VecDeque<(u64, Call)> {
        match self
            .slots
            .borrow_mut()
            .insert(number, HandleEntry::Open(object))
        {
            Some(HandleEntry::Opening(waiting)) => waiting,
            _ => VecDeque::new(),
        }
    }

    /// The handle will never be there, because of `why`. Answers the calls that waited for it.
    pub(crate) fn fail(&self, number: u64, why: &Failure) -> VecDeque<(u64, Call)> {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.remove(&number) else {
            return VecDeque::new();
        };
        match slot {
            HandleEntry::Opening(waiting) => {
                let mut unmade = self.unmade.borrow_mut();
                if unmade.len() >= MOST_UNMADE {
                    unmade.pop_front();
                }
                unmade.push_back((number, never_made(why)));
                waiting
            }
            HandleEntry::Open(_) => {
                slots.insert(number, slot);
                VecDeque::new()
            }
        }
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

    /// The calls that wait for handles.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        let slots = self.slots.borrow();
        let waiting = slots.values().filter_map(|slot| match slot {
            HandleEntry::Opening(waiting) => Some(waiting.iter().map(|(request, _)| *request)),
            HandleEntry::Open(_) => None,
        });
        waiting.flatten().collect()
    }

    /// Takes a waiting call out of whatever slot it waits in.
    pub(crate) fn withdraw(&self, request: u64) -> Option<Call> {
        let mut slots = self.slots.borrow_mut();
        slots.values_mut().find_map(|slot| {
            let HandleEntry::Opening(waiting) = slot else {
                return None;
            };
            let position = waiting.iter().position(|(r, _)| *r == request)?;
            waiting.remove(position).map(|(_, call)| call)
        })
    }

    /// The system behind a handle.
    ///
    /// # Errors
    /// `E_HANDLE`, or why it could not be made.
    pub(crate) fn system(&self, number: u64) -> Result<Rc<System>, Failure> {
        match self.slots.borrow().get(&number) {
            Some(HandleEntry::Open(Object::System(system))) => Ok(Rc::clone(system)),
            other => Err(self.wrong(number, "compute system", other)),
        }
    }

    /// The process behind a handle.
    ///
    /// # Errors
    /// `E_HANDLE`, or why it could not be made.
    pub(crate) fn process(&self, number: u64) -> Result<Rc<Process>, Failure> {
        match self.slots.borrow().get(&number) {
            Some(HandleEntry::Open(Object::Process(process))) => Ok(Rc::clone(process)),
            other => Err(self.wrong(number, "process", other)),
        }
    }

    /// The system that an open handle is of, or is in.
    pub(crate) fn system_of(&self, number: u64) -> Option<Rc<System>> {
        match self.slots.borrow().get(&number)? {
            HandleEntry::Open(Object::System(system)) => Some(Rc::clone(system)),
            HandleEntry::Open(Object::Process(process)) => process.system().ok(),
            HandleEntry::Opening(_) => None,
        }
    }

    /// Takes an open handle out.
    pub(crate) fn remove(&self, number: u64) -> Option<Released> {
        match self.slots.borrow_mut().remove(&number)? {
            HandleEntry::Open(object) => Some(Released { number, object }),
            HandleEntry::Opening(_) => None,
        }
    }

    /// Takes everything out. Calls that still wait are dropped: no client is there to hear their answers.
    pub(crate) fn take_all(&self) -> Vec<Released> {
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        let mut released: Vec<_> = slots
            .into_iter()
            .filter_map(|(number, slot)| match slot {
                HandleEntry::Open(object) => Some(Released { number, object }),
                HandleEntry::Opening(_) => None,
            })
            .collect();
        released.sort_by_key(|handle| handle.number);
        released
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
            Some(HandleEntry::Open(Object::System(_))) => "is of a compute system",
            Some(HandleEntry::Open(Object::Process(_))) => "is of a process",
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

    fn why(message: &'static str) -> Failure {
        Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, message)
    }

    #[test]
    fn a_handle_that_could_not_be_made_says_why_until_it_is_closed_or_its_number_used_again() {
        let handles = Handles::new(8);
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
        let handles = Handles::new(1);
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
}
