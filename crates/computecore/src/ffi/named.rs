//! Handles of systems and processes, and the way back from one of `hcs` to the handle C knows it by.
//!
//! C's handle exists before the call that makes its system or process: a completion callback may run, and use the
//! handle, before that call has returned. So an entry is filled late, and a thread that looks it up early waits for it.
//! The wait is as short as the time that `hcs` needs to note the call.

use std::{
    collections::BTreeMap,
    ptr,
    sync::{OnceLock, PoisonError, RwLock},
};

use hcs::raw;
use hcs_schema::HResult;

use crate::{
    abi::Handle,
    ffi::{
        handle::{Kind, Table},
        out::Out,
    },
};

/// All handles of compute systems.
pub(crate) static SYSTEMS: Named<raw::System> = Named::new(Kind::System);
/// All handles of processes.
pub(crate) static PROCESSES: Named<raw::Process> = Named::new(Kind::Process);

/// The functions of a handle of `hcs` that are needed here.
pub(crate) trait Target: Clone {
    /// See [`raw::System::number`].
    fn number(&self) -> u64;
    /// See [`raw::System::close`].
    fn close(&self) -> Result<(), HResult>;
}

impl Target for raw::System {
    fn number(&self) -> u64 {
        Self::number(self)
    }

    fn close(&self) -> Result<(), HResult> {
        Self::close(self)
    }
}

impl Target for raw::Process {
    fn number(&self) -> u64 {
        Self::number(self)
    }

    fn close(&self) -> Result<(), HResult> {
        Self::close(self)
    }
}

/// From numbers that `hcs` gives to handles that C has.
#[derive(Debug)]
pub(crate) struct Numbers(RwLock<BTreeMap<u64, usize>>);

impl Numbers {
    pub(crate) const fn new() -> Self {
        Self(RwLock::new(BTreeMap::new()))
    }

    pub(crate) fn insert(&self, number: u64, handle: Handle) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, handle.addr());
    }

    pub(crate) fn remove(&self, number: u64) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }

    pub(crate) fn get(&self, number: u64) -> Option<Handle> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.get(&number)
            .map(|address| ptr::without_provenance_mut(*address))
    }
}

/// All handles of one kind.
#[derive(Debug)]
pub(crate) struct Named<T> {
    /// `None` inside: it was not made after all.
    table: Table<OnceLock<Option<T>>>,
    numbers: Numbers,
}

impl<T: Target> Named<T> {
    const fn new(kind: Kind) -> Self {
        Self {
            table: Table::new(kind),
            numbers: Numbers::new(),
        }
    }

    /// Puts a handle into `out`, then calls `make` to make its system or process. When that fails, `out` is empty again
    /// and the handle void.
    pub(crate) fn create(
        &self,
        out: &Out<Handle>,
        make: impl FnOnce() -> Result<T, HResult>,
    ) -> Result<(), HResult> {
        let (handle, entry) = self.table.insert_with(|_| OnceLock::new())?;
        // Runs also when `make` panics: others may be waiting for the entry.
        let _unmade = Unmade {
            all: self,
            entry: &entry,
            handle,
            out,
        };
        out.set(handle);
        let target = make()?;
        self.numbers.insert(target.number(), handle);
        // No other code fills it, so it is empty.
        drop(entry.set(Some(target)));
        Ok(())
    }

    /// Returns the system or process that `handle` stands for.
    ///
    /// # Errors
    /// `E_INVALIDARG` for NULL, `E_HANDLE` when it is closed, of another kind, or void.
    pub(crate) fn get(&self, handle: Handle) -> Result<T, HResult> {
        self.table
            .get(handle)?
            .wait()
            .clone()
            .ok_or(HResult::E_HANDLE)
    }

    /// Closes `handle`; a wrong one is ignored, as is one that another thread closes at the same time.
    pub(crate) fn close(&self, handle: Handle) {
        if let Ok(entry) = self.table.remove(handle)
            && let Some(target) = entry.wait()
        {
            self.numbers.remove(target.number());
            // The only error is that it is closed already.
            let _ = target.close();
        }
    }

    /// The open handle that stands for `target`.
    pub(crate) fn handle_of(&self, target: &T) -> Option<Handle> {
        self.numbers.get(target.number())
    }
}

/// Declares a handle void when dropped, unless its entry was filled.
struct Unmade<'a, T: Target> {
    all: &'a Named<T>,
    entry: &'a OnceLock<Option<T>>,
    handle: Handle,
    out: &'a Out<Handle>,
}

impl<T: Target> Drop for Unmade<'_, T> {
    fn drop(&mut self) {
        if self.entry.set(None).is_ok() {
            // Another thread may have closed it meanwhile.
            drop(self.all.table.remove(self.handle));
            self.out.set(ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{self, AssertUnwindSafe},
        ptr,
        sync::{
            Arc, Barrier,
            atomic::{AtomicU32, Ordering},
        },
        thread,
    };

    use super::*;

    #[derive(Clone, Debug)]
    struct Thing {
        number: u64,
        closed: Arc<AtomicU32>,
    }

    impl Target for Thing {
        fn number(&self) -> u64 {
            self.number
        }

        fn close(&self) -> Result<(), HResult> {
            self.closed.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    fn thing(number: u64) -> Thing {
        Thing {
            number,
            closed: Arc::default(),
        }
    }

    fn create(
        all: &Named<Thing>,
        make: impl FnOnce() -> Result<Thing, HResult>,
    ) -> (Handle, Result<(), HResult>) {
        let mut handle = ptr::null_mut();
        // SAFETY: the variable outlives it.
        let out = unsafe { Out::new(&raw mut handle) };
        let result = all.create(&out, make);
        (handle, result)
    }

    #[test]
    fn a_made_thing_is_found_both_ways_and_closed_once() {
        let all = Named::new(Kind::System);
        let it = thing(9);
        let (handle, result) = create(&all, || Ok(it.clone()));
        assert_eq!(result, Ok(()));
        assert_eq!(all.get(handle).map(|t| t.number), Ok(9));
        assert_eq!(all.handle_of(&it), Some(handle));
        all.close(handle);
        all.close(handle);
        assert_eq!(it.closed.load(Ordering::SeqCst), 1);
        assert_eq!(all.get(handle).err(), Some(HResult::E_HANDLE));
        assert_eq!(all.handle_of(&it), None);
    }

    #[test]
    fn what_was_not_made_leaves_no_handle() {
        let all = Named::new(Kind::System);
        let (handle, result) = create(&all, || Err(HResult::E_ABORT));
        assert_eq!(result, Err(HResult::E_ABORT));
        assert!(handle.is_null());
    }

    #[test]
    fn a_handle_can_be_used_before_its_creation_has_returned() {
        let all = Named::new(Kind::Process);
        let early = Barrier::new(2);
        let handed = AtomicU32::new(0);
        let mut handle: Handle = ptr::null_mut();
        let place = (&raw mut handle).expose_provenance();
        thread::scope(|scope| {
            let (all, early, handed) = (&all, &early, &handed);
            scope.spawn(move || {
                let pointer: *mut Handle = ptr::with_exposed_provenance_mut(place);
                // SAFETY: the variable outlives the scope; the other thread reads it only after the barrier.
                let out = unsafe { Out::new(pointer) };
                let result = all.create(&out, || {
                    early.wait();
                    handed.store(1, Ordering::SeqCst);
                    Ok(thing(3))
                });
                assert_eq!(result, Ok(()));
            });
            early.wait();
            let pointer: *mut Handle = ptr::with_exposed_provenance_mut(place);
            // SAFETY: it was written before the barrier.
            let seen = unsafe { pointer.read() };
            assert_eq!(all.get(seen).map(|t| t.number), Ok(3));
            assert_eq!(handed.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn a_panic_while_making_leaves_no_thread_waiting() {
        let all: Named<Thing> = Named::new(Kind::Process);
        let mut handle: Handle = ptr::null_mut();
        // SAFETY: the variable outlives it.
        let out = unsafe { Out::new(&raw mut handle) };
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            all.create(&out, || panic!("on purpose"))
        }));
        assert!(result.is_err());
        assert!(handle.is_null());
    }
}
