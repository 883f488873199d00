//! What the fuzz targets (`fuzz/`) reach: messages of a front end with its memory, and packets of a guest.
//!
//! Compiled with `--cfg fuzzing`, and for a test that runs the seeds with a few bytes changed: so the targets stay
//! sound where no fuzzer runs.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a fuzz target reports by panicking"
)]

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fs::MemfdFlags,
};

use crate::{
    config::{Config, Limits, Memory, Services},
    device::Device,
    exchange::Exchange,
    handle::Shared,
    packet::{HEADER, Header},
    poll::{Poll, Token},
    queue::{Direction, Queue, Ring},
    table::Table,
    testing::{Guest, Plain},
};

const LIMITS: Limits = Limits {
    connections: 4,
    reserve: 1,
    buffer: 4096,
    memory: 1 << 20,
};
const CID: u64 = 3;
/// Bytes of guest memory.
const MEMORY: u64 = 1 << 20;

/// Keeps the host's ends of the connections.
#[derive(Default)]
struct Ends(Vec<UnixStream>);

impl Services for Ends {
    fn connect(&mut self, port: u32, _from: u32) -> Option<OwnedFd> {
        let (ours, theirs) = UnixStream::pair().expect("there are descriptors left");
        ours.set_nonblocking(true)
            .expect("a socket can be made non-blocking");
        if self.0.len() >= 2 * LIMITS.connections {
            self.0.remove(0);
        }
        self.0.push(ours);
        (port % 4 != 3).then(|| theirs.into())
    }
}

/// What a front end sends, with its descriptors, and what its guest does with the memory meanwhile.
///
/// The input is a list of steps: what to do, a number, a length, and so many bytes.
pub fn front_end(data: &[u8]) {
    let (front_end, theirs) = UnixStream::pair().expect("there are descriptors left");
    front_end
        .set_nonblocking(true)
        .expect("a socket can be made non-blocking");
    let config = Config {
        cid: CID,
        memory: Memory::Shared,
        services: Box::new(Ends::default()),
        limits: LIMITS,
    };
    let (mut device, _handle) = Device::new(theirs, config).expect("the device is possible");
    let memory = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).expect("there is memory");
    rustix::fs::ftruncate(&memory, MEMORY).expect("there is memory");
    let event = eventfd(0, EventfdFlags::CLOEXEC).expect("there are descriptors left");
    let mut rest = data;
    while let [plan, number, length, tail @ ..] = rest {
        let (bytes, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let descriptor = if plan & 0x10 == 0 {
            event.as_fd()
        } else {
            memory.as_fd()
        };
        let descriptors = vec![descriptor; usize::from(plan & 3)];
        let sent = match plan >> 6 {
            0 => send(&front_end, u32::from(*number), 1, bytes, &descriptors),
            1 => send(&front_end, u32::from(*number), 9, bytes, &descriptors),
            2 => hcs_wire::socket::send(&front_end, bytes, &descriptors).is_ok(),
            _ => {
                let at = u64::from(*number) << 8;
                rustix::io::pwrite(&memory, bytes, at).is_ok()
            }
        };
        if !sent || !matches!(device.turn(false), Ok(None)) {
            return;
        }
        let _replies = (&front_end).read(&mut [0; 4096]);
    }
}

/// Sends a message.
fn send(
    to: &UnixStream,
    request: u32,
    flags: u32,
    body: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> bool {
    let mut message = Vec::new();
    let size = u32::try_from(body.len()).expect("a body is short");
    for field in [request, flags, size] {
        message.extend(field.to_ne_bytes());
    }
    message.extend(body);
    hcs_wire::socket::send(to, &message, descriptors).is_ok()
}

/// What a guest puts into its rings, and what the host does with its streams meanwhile.
///
/// The first bytes become the rings themselves, if the first of all is odd; the rest is packets. The next bit of the
/// first byte says whether the driver uses event indexes.
pub fn rings(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let memory = Plain::new(vec![0; Guest::<Plain>::MEMORY]);
    let poll = Arc::new(Poll::new().expect("there are descriptors left"));
    let (_handle, shared, _commands) = Shared::new(Vec::new()).expect("there are descriptors left");
    let table = Table::new(CID, LIMITS, Arc::clone(&poll), Arc::clone(&shared));
    let mut bench = Bench {
        memory,
        table,
        poll,
        shared,
        exchange: Exchange::new(),
        ends: Ends::default(),
    };
    let indexed = kind & 2 != 0;
    if kind & 1 == 1 {
        bench.raw(data, indexed);
    } else {
        bench.packets(data, indexed);
    }
}

struct Bench {
    memory: Plain,
    table: Table,
    poll: Arc<Poll>,
    shared: Arc<Shared>,
    exchange: Exchange,
    ends: Ends,
}

impl Bench {
    /// The input is the memory of both rings.
    fn raw(&mut self, data: &[u8], indexed: bool) {
        use crate::memory::GuestMemory as _;
        let data = &data[..data.len().min(0x8000)];
        self.memory.write(0, data).expect("it fits");
        let queues =
            [(0, Direction::ToGuest), (0x1000, Direction::FromGuest)].map(|(at, direction)| {
                let ring = Ring {
                    size: 16,
                    descriptors: at,
                    available: at + 0x100,
                    used: at + 0x200,
                };
                Queue::resume(&self.memory, ring, direction, 0, indexed)
            });
        let [Ok(mut to_guest), Ok(mut from_guest)] = queues else {
            return;
        };
        for _ in 0..8 {
            self.pump(&mut to_guest, &mut from_guest);
        }
    }

    /// The input is packets of the guest, and what the host does.
    fn packets(&mut self, data: &[u8], indexed: bool) {
        let mut guest = Guest::new(&self.memory, CID);
        let [mut to_guest, mut from_guest] = guest.queues(indexed);
        let mut rest = data;
        while let [plan, tail @ ..] = rest {
            match plan % 4 {
                0 => {
                    guest.take_back();
                    guest.give_room();
                }
                1 => {
                    let index = usize::from(plan >> 2);
                    if let Some(mut end) = self.ends.0.get(index % 8) {
                        let _is_full = end.write(&[*plan; 3000]);
                    }
                }
                2 => {
                    let index = usize::from(plan >> 2) % 8;
                    if plan & 0x80 != 0 && index < self.ends.0.len() {
                        self.ends.0.remove(index);
                    } else if let Some(mut end) = self.ends.0.get(index) {
                        let _is_empty = end.read(&mut [0; 4096]);
                    }
                }
                _ => {
                    let Some((header, after)) = tail.split_first_chunk::<HEADER>() else {
                        return;
                    };
                    let header = Header::decode(header);
                    let data = vec![1; usize::try_from(header.length).unwrap_or(0).min(9000)];
                    if guest.from_guest.free() >= 8 {
                        guest.send(&header, &data, usize::from(plan >> 2) % 6);
                    }
                    rest = after;
                    self.pump(&mut to_guest, &mut from_guest);
                    continue;
                }
            }
            rest = tail;
            self.pump(&mut to_guest, &mut from_guest);
            while let Some((header, _)) = guest.receive() {
                assert_eq!(header.destination_cid, guest.cid);
            }
        }
    }

    fn pump(&mut self, to_guest: &mut Queue, from_guest: &mut Queue) {
        for event in self
            .poll
            .wait(Some(Duration::ZERO))
            .expect("events can be had")
        {
            if let Token::Stream(number) = event.token {
                self.table.event(number, event.flags);
            }
        }
        let taken =
            self.exchange
                .receive(from_guest, &self.memory, &mut self.table, &mut self.ends);
        let given = self.exchange.send(to_guest, &self.memory, &mut self.table);
        if taken.is_err() || given.is_err() {
            self.table.clear();
        }
        let connections = self.shared.tally.connections.load(Ordering::Relaxed);
        assert!(connections <= LIMITS.connections as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;

    use super::*;

    /// The seeds of a target.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let mut paths: Vec<_> = fs::read_dir(corpus.join(target))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }

    /// A seed, what of it is written over, and what of another one comes behind it.
    fn inputs(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
        let seeds = seeds(target);
        let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
        let seed = prop::sample::select(seeds.clone());
        let other = prop::sample::select(seeds);
        (seed, edits, other, any::<prop::sample::Index>()).prop_map(
            |(mut seed, edits, other, cut)| {
                for (place, byte) in edits {
                    let place = place.index(seed.len());
                    seed[place] = byte;
                }
                seed.extend(&other[cut.index(other.len())..]);
                seed
            },
        )
    }

    proptest! {
        #[test]
        fn no_front_end_stops_the_program(data in inputs("vsock_front_end")) {
            front_end(&data);
        }

        #[test]
        fn no_guest_stops_the_program(data in inputs("vsock_rings")) {
            rings(&data);
        }
    }
}
