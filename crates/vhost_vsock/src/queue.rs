//! A split ring of virtio (virtio 1.2, section 2.7), seen from the device.
//!
//! ```text
//!  driver ──▶ available ring: heads of chains ──▶ device
//!  driver ◀── used ring: heads, bytes written ◀── device         descriptors: address, length, flags, next
//! ```
//!
//! 1. [`Ring`]: where the three parts are, checked once.
//! 2. [`Queue`]: the device's place in it. [`Queue::refill`], [`Queue::peek`], [`Queue::complete`], [`Queue::publish`]
//!    are called in this order.
//! 3. [`Chain`]: the buffers of one head.
//!
//! The driver owns the memory and changes it as it likes. So the descriptors are copied once per batch and checked in
//! the copy. The two words with the index are read and written as a part of eight aligned bytes: a kernel copies
//! smaller pieces byte by byte on some processors, and the other side would meet an index of two halves. The two event
//! indexes may have two halves: each side writes its own one, then looks at the other's index, which was written before
//! its event index is read. So a side that reads half of an event index has published before the other looks.

use std::{
    collections::VecDeque,
    sync::atomic::{Ordering, fence},
};

use crate::{
    event_index::need_event,
    memory::{AccessError, GuestMemory},
};

/// The most descriptors in a ring: QEMU allows no more.
pub(crate) const MAX_SIZE: u16 = 1024;

/// There is a next descriptor.
pub(crate) const NEXT: u16 = 1;
/// The device writes.
pub(crate) const WRITE: u16 = 2;
/// The buffer is a table of descriptors.
pub(crate) const INDIRECT: u16 = 4;
/// Used ring: the device needs no notification.
const NO_NOTIFY: u16 = 1;
/// Available ring: the driver needs no interrupt.
const NO_INTERRUPT: u16 = 1;
/// How often an index is read again before it counts as wrong.
const READS: usize = 16;

/// Where the parts of a ring are in the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ring {
    /// Number of descriptors: a power of two, at most [`MAX_SIZE`].
    pub(crate) size: u16,
    pub(crate) descriptors: u64,
    pub(crate) available: u64,
    pub(crate) used: u64,
}

/// The driver broke the ring. It has to start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Access(#[from] AccessError),
    /// More heads are available than the ring has.
    #[error("{count} chains are available in a ring of {size}")]
    Available { count: u16, size: u16 },
    /// A head or a link names a descriptor that the ring has not.
    #[error("descriptor {index} is named in a ring of {size}")]
    Index { index: u16, size: u16 },
    /// A chain has more descriptors than the ring: it is a loop.
    #[error("a chain is longer than its ring of {size}")]
    Loop { size: u16 },
    /// A descriptor is for the other direction.
    #[error("descriptor {index} has the wrong direction")]
    Direction { index: u16 },
    /// A descriptor is indirect, which was not offered.
    #[error("descriptor {index} is indirect, which was not offered")]
    Indirect { index: u16 },
}

/// Which side writes the buffers of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The driver writes, the device reads.
    FromGuest,
    /// The device writes, the driver reads.
    ToGuest,
}

/// The device's place in a ring.
#[derive(Debug)]
pub(crate) struct Queue {
    ring: Ring,
    direction: Direction,
    /// The next position of the available ring to be used.
    next: u16,
    /// The next position of the used ring to be written.
    used: u16,
    /// What the first entry of the used ring has: it is written along with the index.
    first_used: [u8; 4],
    /// Both sides use event indexes in place of flags.
    indexed: bool,
    /// The driver was told not to notify. With event indexes: it was not asked to notify of the next chain.
    quiet: bool,
    /// Descriptors of the chain that was looked at last.
    links: usize,
    /// Descriptors of completed chains for which it was not decided yet whether to interrupt the driver.
    untold: usize,
    /// The used ring's index when that was decided; none before the first time.
    told: Option<u16>,
    /// Heads that were read and not used yet.
    heads: VecDeque<u16>,
    /// A copy of the descriptors, made when the heads were read.
    table: Vec<u8>,
    /// Entries of the used ring that are not written yet.
    done: Vec<(u16, u32)>,
}

/// The buffers of one chain, as the driver gave them.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Address and length.
    buffers: Vec<(u64, u32)>,
    /// Bytes in all.
    length: usize,
}

impl Ring {
    /// Bytes of each part: descriptors, available ring, used ring. Each has the word for event indexes at its end, so
    /// there are always eight bytes from its beginning.
    pub(crate) fn lengths(size: u16) -> [usize; 3] {
        let size = usize::from(size);
        [16 * size, 6 + 2 * size, 6 + 8 * size]
    }

    /// Whether there may be a ring like this. The alignment is that of the specification; drivers for PCI have parts at
    /// multiples of eight, so the words with the index are read and written at once.
    pub(crate) const fn is_possible(&self) -> bool {
        self.size.is_power_of_two()
            && self.size <= MAX_SIZE
            && self.descriptors.is_multiple_of(16)
            && self.available.is_multiple_of(2)
            && self.used.is_multiple_of(4)
    }
}

impl Queue {
    /// Goes on in a ring whose next available position is `next`. `indexed` says that the driver uses event indexes.
    pub(crate) fn resume(
        memory: &impl GuestMemory,
        ring: Ring,
        direction: Direction,
        next: u16,
        indexed: bool,
    ) -> Result<Self, Fault> {
        let word: [u8; 8] = memory.read_array(ring.used)?;
        let mut queue = Self {
            ring,
            direction,
            next,
            used: u16::from_le_bytes([word[2], word[3]]),
            first_used: [word[4], word[5], word[6], word[7]],
            indexed,
            quiet: indexed,
            links: 0,
            untold: 0,
            told: None,
            heads: VecDeque::new(),
            table: Vec::new(),
            done: Vec::new(),
        };
        // The flags may be those of an earlier start.
        queue.write_index(memory)?;
        queue.be_notified(memory)?;
        Ok(queue)
    }

    /// The next available position: where the ring goes on later.
    pub(crate) const fn next(&self) -> u16 {
        self.next
    }

    /// Flags and index of the available ring.
    fn available(&self, memory: &impl GuestMemory) -> Result<(u16, u16), AccessError> {
        let word: [u8; 8] = memory.read_array(self.ring.available)?;
        Ok((
            u16::from_le_bytes([word[0], word[1]]),
            u16::from_le_bytes([word[2], word[3]]),
        ))
    }

    /// How many chains are available. An index whose high byte has changed is read until it is the same twice, as it
    /// may have been read between its two halves.
    fn count(&self, memory: &impl GuestMemory) -> Result<u16, Fault> {
        let size = self.ring.size;
        let mut index = self.available(memory)?.1;
        for _ in 0..READS {
            if index >> 8 == self.next >> 8 {
                break;
            }
            let again = self.available(memory)?.1;
            if again == index {
                break;
            }
            index = again;
        }
        match index.wrapping_sub(self.next) {
            count if count <= size => Ok(count),
            count => Err(Fault::Available { count, size }),
        }
    }

    /// Reads what the driver has made available, unless there is some left. Returns whether there is any.
    pub(crate) fn refill(&mut self, memory: &impl GuestMemory) -> Result<bool, Fault> {
        if !self.heads.is_empty() {
            return Ok(true);
        }
        let count = self.count(memory)?;
        if count == 0 {
            return Ok(false);
        }
        fence(Ordering::SeqCst);
        let size = self.ring.size;
        let start = self.next % size;
        let first = count.min(size - start);
        for (from, many) in [(start, first), (0, count - first)] {
            let mut bytes = vec![0; 2 * usize::from(many)];
            memory.read(self.ring.available + 4 + 2 * u64::from(from), &mut bytes)?;
            let heads = bytes
                .chunks_exact(2)
                .map(|head| u16::from_le_bytes([head[0], head[1]]));
            self.heads.extend(heads);
        }
        self.table.resize(Ring::lengths(size)[0], 0);
        memory.read(self.ring.descriptors, &mut self.table)?;
        Ok(true)
    }

    /// The chain that comes next, of those that [`Self::refill`] has read. It stays the next one until
    /// [`Self::complete`].
    pub(crate) fn peek(&mut self, chain: &mut Chain) -> Result<bool, Fault> {
        chain.buffers.clear();
        chain.length = 0;
        let Some(head) = self.heads.front() else {
            return Ok(false);
        };
        let size = self.ring.size;
        let mut index = *head;
        for place in 0..size {
            let (address, length, flags, next) = self.descriptor(index)?;
            if flags & INDIRECT != 0 {
                return Err(Fault::Indirect { index });
            }
            if (flags & WRITE != 0) != (self.direction == Direction::ToGuest) {
                return Err(Fault::Direction { index });
            }
            if length > 0 {
                chain.buffers.push((address, length));
                chain.length = chain.length.saturating_add(length as usize);
            }
            if flags & NEXT == 0 {
                self.links = usize::from(place) + 1;
                return Ok(true);
            }
            index = next;
        }
        Err(Fault::Loop { size })
    }

    /// Address, length, flags and link of a descriptor.
    fn descriptor(&self, index: u16) -> Result<(u64, u32, u16, u16), Fault> {
        let at = 16 * usize::from(index);
        let fields = self.table.get(at..at + 16).ok_or(Fault::Index {
            index,
            size: self.ring.size,
        })?;
        let mut address = [0; 8];
        address.copy_from_slice(&fields[..8]);
        let length = u32::from_le_bytes([fields[8], fields[9], fields[10], fields[11]]);
        let flags = u16::from_le_bytes([fields[12], fields[13]]);
        let next = u16::from_le_bytes([fields[14], fields[15]]);
        Ok((u64::from_le_bytes(address), length, flags, next))
    }

    /// The chain that came next is used; the device wrote `written` bytes into it.
    pub(crate) fn complete(&mut self, written: u32) {
        if let Some(head) = self.heads.pop_front() {
            self.next = self.next.wrapping_add(1);
            // The driver was asked for the chain before this one at most.
            self.quiet |= self.indexed;
            self.untold = self.untold.saturating_add(self.links);
            self.done.push((head, written));
        }
    }

    /// Tells the driver what was completed.
    pub(crate) fn publish(&mut self, memory: &impl GuestMemory) -> Result<(), Fault> {
        if self.done.is_empty() {
            return Ok(());
        }
        let size = self.ring.size;
        let mut bytes = Vec::with_capacity(8 * self.done.len());
        let mut start = self.used % size;
        for (head, written) in std::mem::take(&mut self.done) {
            let position = self.used % size;
            if position == 0 {
                memory.write(self.ring.used + 4 + 8 * u64::from(start), &bytes)?;
                bytes.clear();
                start = 0;
                self.first_used = u32::from(head).to_le_bytes();
            }
            bytes.extend(u32::from(head).to_le_bytes());
            bytes.extend(written.to_le_bytes());
            self.used = self.used.wrapping_add(1);
        }
        memory.write(self.ring.used + 4 + 8 * u64::from(start), &bytes)?;
        self.write_index(memory)?;
        Ok(())
    }

    /// Whether something was completed since [`Self::wants_interrupt`] was asked.
    pub(crate) const fn has_untold(&self) -> bool {
        self.untold > 0
    }

    /// Whether the driver may hear later of what was published. With event indexes it is seen then what the driver
    /// knows already. It has most of its descriptors until then, so it does not wait for any.
    pub(crate) fn can_wait(&self) -> bool {
        self.indexed && self.untold < usize::from(self.ring.size) / 4
    }

    /// Whether the driver wants an interrupt for what was published since this was last asked. What is completed has
    /// to be published before.
    pub(crate) fn wants_interrupt(&mut self, memory: &impl GuestMemory) -> Result<bool, Fault> {
        if std::mem::take(&mut self.untold) == 0 {
            return Ok(false);
        }
        if !self.indexed {
            return Ok(self.available(memory)?.0 & NO_INTERRUPT == 0);
        }
        let at = self.ring.available + 4 + 2 * u64::from(self.ring.size);
        let event = u16::from_le_bytes(memory.read_array(at)?);
        let told = self.told.replace(self.used);
        Ok(told.is_none_or(|told| need_event(event, self.used, told)))
    }

    /// The driver need not notify any more; it hears so when something is published. What it makes available is seen
    /// when the device looks. With event indexes it notifies only of what it was asked for, so there is nothing to say.
    pub(crate) const fn be_quiet(&mut self) {
        self.quiet = true;
    }

    /// Asks the driver to notify. Returns whether it was asked only now: the device looks once more then.
    pub(crate) fn be_notified(&mut self, memory: &impl GuestMemory) -> Result<bool, Fault> {
        if !self.quiet {
            return Ok(false);
        }
        self.quiet = false;
        if self.indexed {
            let at = self.ring.used + 4 + 8 * u64::from(self.ring.size);
            memory.write(at, &self.next.to_le_bytes())?;
            fence(Ordering::SeqCst);
        } else {
            self.write_index(memory)?;
        }
        Ok(true)
    }

    /// Writes flags and index of the used ring, and what the first entry has anyway.
    fn write_index(&self, memory: &impl GuestMemory) -> Result<(), AccessError> {
        let mut word = [0; 8];
        let flags = if self.quiet && !self.indexed {
            NO_NOTIFY
        } else {
            0
        };
        word[..2].copy_from_slice(&flags.to_le_bytes());
        word[2..4].copy_from_slice(&self.used.to_le_bytes());
        word[4..].copy_from_slice(&self.first_used);
        fence(Ordering::SeqCst);
        memory.write(self.ring.used, &word)?;
        fence(Ordering::SeqCst);
        Ok(())
    }
}

impl Chain {
    /// Bytes in all buffers.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// Copies `bytes.len()` bytes of the chain from `offset` on; the chain has to have them.
    pub(crate) fn read(
        &self,
        memory: &impl GuestMemory,
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), AccessError> {
        let mut rest = bytes;
        self.pieces(offset, rest.len(), |address, length| {
            let (piece, tail) = std::mem::take(&mut rest).split_at_mut(length);
            rest = tail;
            memory.read(address, piece)
        })
    }

    /// Copies `bytes` to the beginning of the chain, which has to have room for them.
    pub(crate) fn write(&self, memory: &impl GuestMemory, bytes: &[u8]) -> Result<(), AccessError> {
        let mut rest = bytes;
        self.pieces(0, bytes.len(), |address, length| {
            let (piece, tail) = rest.split_at(length);
            rest = tail;
            memory.write(address, piece)
        })
    }

    /// Visits the pieces of memory that `length` bytes from `offset` on are.
    fn pieces(
        &self,
        offset: usize,
        length: usize,
        mut visit: impl FnMut(u64, usize) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        let (mut skip, mut rest) = (offset, length);
        for &(address, size) in &self.buffers {
            let size = size as usize;
            let piece = size.saturating_sub(skip).min(rest);
            if piece > 0 {
                let at = address.checked_add(skip as u64);
                let at = at.ok_or(AccessError::Outside {
                    address,
                    length: piece,
                })?;
                visit(at, piece)?;
                rest -= piece;
            }
            skip = skip.saturating_sub(size);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
