//! The driver of a split ring: what the guest does with it.

use crate::{
    memory::GuestMemory,
    queue::{NEXT, Ring, WRITE},
};

/// The driver of a ring that is in `memory`.
#[derive(Debug)]
pub(crate) struct Driver<M> {
    pub(crate) memory: M,
    pub(crate) ring: Ring,
    free: Vec<u16>,
    /// Descriptors of a chain, by its head.
    chains: Vec<Vec<u16>>,
    available: u16,
    used: u16,
}

impl<M: GuestMemory> Driver<M> {
    /// A new ring, whose memory is zero.
    pub(crate) fn new(memory: M, ring: Ring) -> Self {
        Self::at(memory, ring, 0)
    }

    /// An empty ring, `start` chains after it was new.
    pub(crate) fn at(memory: M, ring: Ring, start: u16) -> Self {
        let driver = Self {
            memory,
            ring,
            free: (0..ring.size).rev().collect(),
            chains: vec![Vec::new(); usize::from(ring.size)],
            available: start,
            used: start,
        };
        for index in [ring.available + 2, ring.used + 2] {
            driver.memory.write(index, &start.to_le_bytes()).unwrap();
        }
        driver
    }

    /// Asks to be interrupted for the used chain at `position`, with event indexes.
    pub(crate) fn set_used_event(&self, position: u16) {
        let at = self.ring.available + 4 + 2 * u64::from(self.ring.size);
        self.memory.write(at, &position.to_le_bytes()).unwrap();
    }

    /// The position of the available chain that the device wants to be notified of, with event indexes.
    #[cfg(test)]
    pub(crate) fn available_event(&self) -> u16 {
        let at = self.ring.used + 4 + 8 * u64::from(self.ring.size);
        u16::from_le_bytes(self.memory.read_array(at).unwrap())
    }

    /// How many descriptors are free.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// How many chains were made available, modulo 2^16.
    pub(crate) const fn offered(&self) -> u16 {
        self.available
    }

    /// How many used chains were taken, modulo 2^16.
    pub(crate) const fn taken(&self) -> u16 {
        self.used
    }

    /// Writes one descriptor.
    pub(crate) fn describe(&self, index: u16, address: u64, length: u32, flags: u16, next: u16) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        let at = self.ring.descriptors + 16 * u64::from(index);
        self.memory.write(at, &bytes).unwrap();
    }

    /// Makes a head available.
    pub(crate) fn offer_head(&mut self, head: u16) {
        let place = u64::from(self.available % self.ring.size);
        let at = self.ring.available + 4 + 2 * place;
        self.memory.write(at, &head.to_le_bytes()).unwrap();
        self.available = self.available.wrapping_add(1);
        self.set_available(self.available);
    }

    /// Sets the index of the available ring.
    pub(crate) fn set_available(&self, index: u16) {
        let at = self.ring.available + 2;
        self.memory.write(at, &index.to_le_bytes()).unwrap();
    }

    /// Sets the flags of the available ring.
    #[cfg(test)]
    pub(crate) fn set_flags(&self, flags: u16) {
        self.memory
            .write(self.ring.available, &flags.to_le_bytes())
            .unwrap();
    }

    /// Flags and index of the used ring.
    pub(crate) fn used_word(&self) -> (u16, u16) {
        let [flags, flags_high, index, index_high] =
            self.memory.read_array(self.ring.used).unwrap();
        (
            u16::from_le_bytes([flags, flags_high]),
            u16::from_le_bytes([index, index_high]),
        )
    }

    /// Makes a chain of buffers available; returns its head. There have to be free descriptors.
    pub(crate) fn offer(&mut self, buffers: &[(u64, u32)], write: bool) -> u16 {
        let indexes: Vec<u16> = buffers.iter().map(|_| self.free.pop().unwrap()).collect();
        for (place, &(address, length)) in buffers.iter().enumerate() {
            let next = indexes.get(place + 1);
            let flags = if write { WRITE } else { 0 } | if next.is_some() { NEXT } else { 0 };
            self.describe(
                indexes[place],
                address,
                length,
                flags,
                next.copied().unwrap_or(0),
            );
        }
        let head = indexes[0];
        self.chains[usize::from(head)] = indexes;
        self.offer_head(head);
        head
    }

    /// The next chain that the device has used: its head, and how many bytes were written.
    pub(crate) fn take_used(&mut self) -> Option<(u16, u32)> {
        if self.used_word().1 == self.used {
            return None;
        }
        let place = u64::from(self.used % self.ring.size);
        self.used = self.used.wrapping_add(1);
        let entry: [u8; 8] = self
            .memory
            .read_array(self.ring.used + 4 + 8 * place)
            .unwrap();
        let head = u16::from_le_bytes([entry[0], entry[1]]);
        let indexes = std::mem::take(&mut self.chains[usize::from(head)]);
        self.free.extend(indexes.into_iter().rev());
        Some((
            head,
            u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]),
        ))
    }
}
