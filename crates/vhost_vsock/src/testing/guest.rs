//! A guest that sends and receives packets, over rings in memory.

use super::Driver;
#[cfg(test)]
use crate::packet::{HOST, Operation, STREAM};
use crate::{
    memory::GuestMemory,
    packet::{HEADER, Header, MAX_DATA},
    queue::{Direction, Queue, Ring},
};

/// Descriptors of each ring.
const SIZE: u16 = 32;
/// Bytes of a buffer for packets to the guest, as Linux has them.
const BUFFER: u32 = 4096;
/// Where the rings are, each with its parts a page apart.
const RINGS: [u64; 2] = [0x0, 0x4000];
/// Where the buffers of both rings are.
const BUFFERS: [u64; 2] = [0x1_0000, 0x8_0000];

/// A guest with both rings.
#[derive(Debug)]
pub(crate) struct Guest<M> {
    pub(crate) cid: u64,
    pub(crate) to_guest: Driver<M>,
    pub(crate) from_guest: Driver<M>,
}

impl<M: GuestMemory + Clone> Guest<M> {
    /// Bytes of memory that a guest needs.
    pub(crate) const MEMORY: usize = 0x10_0000;

    /// A guest whose memory is zero, and which has given no room yet.
    pub(crate) fn new(memory: &M, cid: u64) -> Self {
        let [to_guest, from_guest] = RINGS.map(|at| Ring {
            size: SIZE,
            descriptors: at,
            available: at + 0x1000,
            used: at + 0x2000,
        });
        Self {
            cid,
            to_guest: Driver::new(memory.clone(), to_guest),
            from_guest: Driver::new(memory.clone(), from_guest),
        }
    }

    /// The device's side of both rings, to the guest and from it, with event indexes or without.
    pub(crate) fn queues(&self, indexed: bool) -> [Queue; 2] {
        let memory = &self.to_guest.memory;
        [
            (self.to_guest.ring, Direction::ToGuest),
            (self.from_guest.ring, Direction::FromGuest),
        ]
        .map(|(ring, direction)| Queue::resume(memory, ring, direction, 0, indexed).unwrap())
    }

    /// Gives all the room there is for packets to the guest. A header and its data have buffers of their own, as with
    /// Linux before 6.3.
    pub(crate) fn give_room(&mut self) {
        while self.to_guest.free() >= 2 {
            self.give_one();
        }
    }

    /// Gives room for one packet. Room is used in order, so the places go round.
    pub(crate) fn give_one(&mut self) {
        let at = place(self.to_guest.offered());
        self.to_guest.offer(&[(at, 44), (at + 64, BUFFER)], true);
    }

    /// A packet to `port` of the host from `from` of the guest.
    #[cfg(test)]
    pub(crate) fn header(&self, operation: Operation, port: u32, from: u32) -> Header {
        Header {
            source_cid: self.cid,
            destination_cid: HOST,
            source_port: from,
            destination_port: port,
            length: 0,
            kind: STREAM,
            operation,
            flags: 0,
            buffer: 1 << 16,
            forwarded: 0,
        }
    }

    /// Takes the packets back that the device has taken, and asks to be interrupted for the next one.
    pub(crate) fn take_back(&mut self) {
        while self.from_guest.take_used().is_some() {}
        self.from_guest.set_used_event(self.from_guest.taken());
    }

    /// Sends a packet whose data is in `pieces` buffers. The one before has to be used.
    pub(crate) fn send(&mut self, header: &Header, data: &[u8], pieces: usize) {
        while self.from_guest.take_used().is_some() {}
        let at = BUFFERS[1];
        self.from_guest.memory.write(at, &header.encode()).unwrap();
        let mut buffers = vec![(at, 44)];
        let mut place = at + 64;
        for piece in data.chunks(data.len().div_ceil(pieces.max(1)).max(1)) {
            self.from_guest.memory.write(place, piece).unwrap();
            buffers.push((place, u32::try_from(piece.len()).unwrap()));
            place += piece.len() as u64;
        }
        self.from_guest.offer(&buffers, false);
    }

    /// The next packet that the device has sent.
    pub(crate) fn receive(&mut self) -> Option<(Header, Vec<u8>)> {
        let at = place(self.to_guest.taken());
        let (_, length) = self.to_guest.take_used()?;
        let header: [u8; HEADER] = self.to_guest.memory.read_array(at).unwrap();
        let header = Header::decode(&header);
        let data = usize::try_from(header.length).unwrap();
        assert!(data <= MAX_DATA);
        assert_eq!(length as usize, HEADER + data);
        let mut bytes = vec![0; data];
        self.to_guest.memory.read(at + 64, &mut bytes).unwrap();
        Some((header, bytes))
    }
}

/// Where the room for a packet is that was given as the `number`th.
fn place(number: u16) -> u64 {
    BUFFERS[0] + u64::from(BUFFER + 64) * u64::from(number % (SIZE / 2))
}
