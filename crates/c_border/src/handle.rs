//! The handles C holds: numbers that name an entry of a table, never pointers that are followed.
//!
//! ```text
//!  63    60 59                         32 31                          4 3     0
//! +--------+-----------------------------+-----------------------------+-------+
//! |  kind  |         generation          |       slot in the shard     | shard |
//! +--------+-----------------------------+-----------------------------+-------+
//! ```
//!
//! A slot's generation goes up each time it is emptied, and a slot whose generations are used up is not filled again:
//! so a value that was closed is never valid again, and one of another kind never fits. Sixteen shards, each with its
//! own lock, keep threads apart; a lock is held for a look-up only, never while anything else is called.

use std::{
    mem,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use hcs_schema::HResult;

use crate::types::Handle;

const SHARD_BITS: u32 = 4;
const SHARDS: usize = 1 << SHARD_BITS;
const SLOT_BITS: u32 = 28;
const GENERATIONS: u32 = 1 << 28;

const _: () = assert!(usize::BITS == 64, "a handle needs 64 bits");

/// The kind of object that a handle stands for; kept in its topmost bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `HCS_OPERATION`.
    Operation = 1,
    /// `HCS_SYSTEM`.
    System = 2,
    /// `HCS_PROCESS`.
    Process = 3,
    /// `HCN_NETWORK`.
    Network = 4,
    /// `HCN_ENDPOINT`.
    Endpoint = 5,
    /// `HCN_NAMESPACE`.
    Namespace = 6,
    /// `HCN_LOADBALANCER`.
    LoadBalancer = 7,
    /// `HCN_CALLBACK`.
    Callback = 8,
}

/// All handles of one kind.
#[derive(Debug)]
pub struct Table<T> {
    kind: Kind,
    shards: [RwLock<Shard<T>>; SHARDS],
    next: AtomicUsize,
    /// Slots of a shard at most.
    room: usize,
}

#[derive(Debug)]
struct Shard<T> {
    slots: Vec<TableSlot<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct TableSlot<T> {
    generation: u32,
    entry: Option<Arc<T>>,
}

/// A handle taken apart.
#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    slot: usize,
    generation: u32,
}

impl<T> Table<T> {
    /// An empty one.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self::with_room(kind, 1 << SLOT_BITS)
    }

    /// One whose shards have at most `room` slots, which fit into [`SLOT_BITS`].
    const fn with_room(kind: Kind, room: usize) -> Self {
        Self {
            kind,
            room,
            shards: [const {
                RwLock::new(Shard {
                    slots: Vec::new(),
                    free: Vec::new(),
                })
            }; SHARDS],
            next: AtomicUsize::new(0),
        }
    }

    /// Makes a handle for the entry that `make` returns; `make` gets the value of the handle.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY` when 2^28 handles are open in the shard whose turn it is.
    pub fn insert_with(&self, make: impl FnOnce(Handle) -> T) -> Result<(Handle, Arc<T>), HResult> {
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let place = self.reserve(shard)?;
        let handle = self.pack(place);
        let entry = Arc::new(make(handle));
        if let Some(slot) = self.write(shard).slots.get_mut(place.slot) {
            slot.entry = Some(Arc::clone(&entry));
        }
        Ok((handle, entry))
    }

    /// Returns the entry that `handle` stands for.
    ///
    /// # Errors
    /// `E_INVALIDARG` for NULL, `E_HANDLE` when it stands for nothing or for something else.
    pub fn get(&self, handle: Handle) -> Result<Arc<T>, HResult> {
        let place = self.unpack(handle)?;
        let shard = self.read(place.shard);
        let slot = shard.slots.get(place.slot).ok_or(HResult::E_HANDLE)?;
        match &slot.entry {
            Some(entry) if slot.generation == place.generation => Ok(Arc::clone(entry)),
            _ => Err(HResult::E_HANDLE),
        }
    }

    /// Takes `handle` out of the table; calls that run with it keep its entry.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn remove(&self, handle: Handle) -> Result<Arc<T>, HResult> {
        let place = self.unpack(handle)?;
        let mut shard = self.write(place.shard);
        let slot = shard.slots.get_mut(place.slot).ok_or(HResult::E_HANDLE)?;
        if slot.generation != place.generation {
            return Err(HResult::E_HANDLE);
        }
        let entry = mem::take(&mut slot.entry).ok_or(HResult::E_HANDLE)?;
        slot.generation += 1;
        if slot.generation < GENERATIONS {
            shard.free.push(place.slot);
        }
        Ok(entry)
    }

    /// Reserves a slot that no other thread will fill; its entry is still empty.
    fn reserve(&self, shard: usize) -> Result<Place, HResult> {
        let mut slots = self.write(shard);
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None if slots.slots.len() < self.room => {
                slots.slots.push(TableSlot {
                    generation: 0,
                    entry: None,
                });
                slots.slots.len() - 1
            }
            None => return Err(HResult::E_OUTOFMEMORY),
        };
        let generation = slots.slots.get(slot).map_or(0, |slot| slot.generation);
        Ok(Place {
            shard,
            slot,
            generation,
        })
    }

    fn pack(&self, place: Place) -> Handle {
        let kind = (self.kind as usize) << 60;
        let generation = (place.generation as usize) << 32;
        let value = kind | generation | place.slot << SHARD_BITS | place.shard;
        std::ptr::without_provenance_mut(value)
    }

    fn unpack(&self, handle: Handle) -> Result<Place, HResult> {
        if handle.is_null() {
            return Err(HResult::E_INVALIDARG);
        }
        let value = handle.addr();
        if value >> 60 != self.kind as usize {
            return Err(HResult::E_HANDLE);
        }
        Ok(Place {
            shard: value & (SHARDS - 1),
            slot: value >> SHARD_BITS & ((1 << SLOT_BITS) - 1),
            generation: u32::try_from(value >> 32 & (GENERATIONS as usize - 1))
                .map_err(|_| HResult::E_HANDLE)?,
        })
    }

    // A panic cannot happen while one of these locks is held; should it, the table is still whole.
    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard<T>> {
        self.shards[shard]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard<T>> {
        self.shards[shard]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, ptr, thread};

    use super::*;

    #[test]
    fn a_handle_finds_its_entry_until_it_is_removed() {
        let table = Table::new(Kind::System);
        let (handle, _) = table.insert_with(|_| 7).unwrap();
        assert_eq!(table.get(handle).as_deref(), Ok(&7));
        assert_eq!(table.remove(handle).as_deref(), Ok(&7));
        assert_eq!(table.get(handle), Err(HResult::E_HANDLE));
        assert_eq!(table.remove(handle), Err(HResult::E_HANDLE));
    }

    #[test]
    fn the_entry_is_told_its_own_handle() {
        let table = Table::new(Kind::Operation);
        let (handle, entry) = table.insert_with(|handle| handle.addr()).unwrap();
        assert_eq!(*entry, handle.addr());
    }

    #[test]
    fn a_closed_value_never_comes_back() {
        let table = Table::new(Kind::Process);
        let mut seen = HashSet::new();
        for round in 0..1000 {
            let (handle, _) = table.insert_with(|_| round).unwrap();
            assert!(seen.insert(handle.addr()));
            table.remove(handle).unwrap();
        }
        let slots: usize = (0..SHARDS).map(|s| table.read(s).slots.len()).sum();
        assert_eq!(slots, SHARDS, "slots are filled again");
    }

    #[test]
    fn a_slot_without_generations_left_is_retired() {
        let table = Table::new(Kind::Process);
        for _ in 0..SHARDS {
            let (handle, _) = table.insert_with(|_| ()).unwrap();
            let place = table.unpack(handle).unwrap();
            table.write(place.shard).slots[place.slot].generation = GENERATIONS - 1;
            assert_eq!(table.get(handle), Err(HResult::E_HANDLE));
            let last = table.pack(Place {
                generation: GENERATIONS - 1,
                ..place
            });
            table.remove(last).unwrap();
        }
        let (fresh, _) = table.insert_with(|_| ()).unwrap();
        assert_eq!(table.unpack(fresh).unwrap().slot, 1);
    }

    #[test]
    fn a_full_shard_refuses_another() {
        let table = Table::with_room(Kind::Operation, 1);
        let handles: Vec<_> = (0..SHARDS)
            .map(|_| table.insert_with(|_| ()).unwrap().0)
            .collect();
        assert_eq!(
            table.insert_with(|_| ()).err(),
            Some(HResult::E_OUTOFMEMORY)
        );
        // The refused attempt used up the turn of the first shard.
        table.remove(handles[1]).unwrap();
        assert!(table.insert_with(|_| ()).is_ok());
    }

    #[test]
    fn null_other_kinds_and_nonsense_are_refused() {
        let systems = Table::new(Kind::System);
        let processes: Table<u8> = Table::new(Kind::Process);
        let (system, _) = systems.insert_with(|_| 1_u8).unwrap();
        assert_eq!(systems.get(ptr::null_mut()), Err(HResult::E_INVALIDARG));
        assert_eq!(processes.get(system), Err(HResult::E_HANDLE));
        for value in [1, 0x10, usize::MAX, 2 << 60, system.addr() | 1 << 20] {
            let handle: Handle = ptr::without_provenance_mut(value);
            if value != system.addr() {
                assert_eq!(systems.get(handle), Err(HResult::E_HANDLE), "{value:#x}");
            }
        }
    }

    #[test]
    fn threads_do_not_mix_up_each_others_handles() {
        let table = Table::new(Kind::Operation);
        thread::scope(|scope| {
            for thread in 0..8_usize {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..2000_usize {
                        let mine = (thread, round);
                        let (handle, _) = table.insert_with(|_| mine).unwrap();
                        assert_eq!(*table.get(handle).unwrap(), mine);
                        assert_eq!(*table.remove(handle).unwrap(), mine);
                    }
                });
            }
        });
    }
}
