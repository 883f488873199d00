//! A ring with its driver: what goes through, and what a driver cannot do.

use proptest::prelude::*;

use super::*;
use crate::testing::{Driver, Plain};

const SIZE: u16 = 8;
const RING: Ring = Ring {
    size: SIZE,
    descriptors: 0,
    available: 0x100,
    used: 0x200,
};
const BUFFERS: u64 = 0x400;

fn pair(direction: Direction) -> (Driver<Plain>, Queue) {
    pair_with(direction, 0, false)
}

/// The same from position `start` on, with event indexes if they are `indexed`.
fn pair_with(direction: Direction, start: u16, indexed: bool) -> (Driver<Plain>, Queue) {
    let memory = Plain::new(vec![0; 0x1000]);
    let driver = Driver::at(memory.clone(), RING, start);
    let queue = Queue::resume(&memory, RING, direction, start, indexed).unwrap();
    (driver, queue)
}

/// Publishes, and answers whether the driver wants an interrupt for it.
fn tell(queue: &mut Queue, memory: &Plain) -> bool {
    queue.publish(memory).unwrap();
    queue.wants_interrupt(memory).unwrap()
}

/// What the device finds in the chain that it is given next.
fn first(driver: &Driver<Plain>, queue: &mut Queue) -> Result<bool, Fault> {
    queue.refill(&driver.memory)?;
    queue.peek(&mut Chain::default())
}

#[test]
fn a_chain_of_several_buffers_is_one_piece() {
    let (mut driver, mut queue) = pair(Direction::FromGuest);
    let memory = driver.memory.clone();
    memory.write(BUFFERS, b"abcdef").unwrap();
    let head = driver.offer(&[(BUFFERS, 2), (BUFFERS + 9, 0), (BUFFERS + 2, 4)], false);
    let mut chain = Chain::default();
    assert!(queue.refill(&memory).unwrap() && queue.peek(&mut chain).unwrap());
    assert_eq!(chain.length(), 6);
    let mut bytes = [0; 4];
    chain.read(&memory, 1, &mut bytes).unwrap();
    assert_eq!(&bytes, b"bcde");
    queue.complete(0);
    assert_eq!(driver.take_used(), None);
    assert!(tell(&mut queue, &memory));
    assert_eq!(driver.take_used(), Some((head, 0)));
    assert!(!queue.refill(&memory).unwrap());
}

#[test]
fn what_is_written_fills_the_buffers_in_order() {
    let (mut driver, mut queue) = pair(Direction::ToGuest);
    let memory = driver.memory.clone();
    let head = driver.offer(&[(BUFFERS, 3), (BUFFERS + 0x10, 100)], true);
    let mut chain = Chain::default();
    assert!(queue.refill(&memory).unwrap() && queue.peek(&mut chain).unwrap());
    chain.write(&memory, b"abcdef").unwrap();
    queue.complete(6);
    queue.publish(&memory).unwrap();
    assert_eq!(driver.take_used(), Some((head, 6)));
    assert_eq!(&memory.read_array::<3>(BUFFERS).unwrap(), b"abc");
    assert_eq!(&memory.read_array::<4>(BUFFERS + 0x10).unwrap(), b"def\0");
}

#[test]
fn a_chain_stays_the_next_one_until_it_is_completed() {
    let (mut driver, mut queue) = pair(Direction::ToGuest);
    driver.offer(&[(BUFFERS, 3)], true);
    assert_eq!(first(&driver, &mut queue), Ok(true));
    assert_eq!(first(&driver, &mut queue), Ok(true));
    assert_eq!(queue.next(), 0);
    assert!(!tell(&mut queue, &driver.memory));
    queue.complete(0);
    assert_eq!(queue.next(), 1);
    assert_eq!(first(&driver, &mut queue), Ok(false));
}

#[test]
fn broken_chains_are_faults() {
    let cases: &[(u16, u32, u16, u16, Fault)] = &[
        (
            0,
            8,
            NEXT,
            SIZE,
            Fault::Index {
                index: SIZE,
                size: SIZE,
            },
        ),
        (0, 8, NEXT, 0, Fault::Loop { size: SIZE }),
        (0, 0, NEXT, 0, Fault::Loop { size: SIZE }),
        (0, 8, WRITE, 0, Fault::Direction { index: 0 }),
        (0, 16, INDIRECT, 0, Fault::Indirect { index: 0 }),
    ];
    for &(index, length, flags, next, fault) in cases {
        let (mut driver, mut queue) = pair(Direction::FromGuest);
        driver.describe(index, BUFFERS, length, flags, next);
        driver.offer_head(index);
        assert_eq!(first(&driver, &mut queue), Err(fault));
    }
    let (mut driver, mut queue) = pair(Direction::FromGuest);
    driver.offer_head(SIZE);
    assert_eq!(
        first(&driver, &mut queue),
        Err(Fault::Index {
            index: SIZE,
            size: SIZE
        })
    );
    let (mut driver, mut queue) = pair(Direction::ToGuest);
    driver.offer(&[(BUFFERS, 3)], false);
    assert_eq!(
        first(&driver, &mut queue),
        Err(Fault::Direction { index: 0 })
    );
}

#[test]
fn more_chains_than_the_ring_has_are_a_fault() {
    let (driver, mut queue) = pair(Direction::FromGuest);
    driver.set_available(SIZE + 1);
    let fault = Fault::Available {
        count: SIZE + 1,
        size: SIZE,
    };
    assert_eq!(first(&driver, &mut queue), Err(fault));
}

#[test]
fn buffers_outside_of_memory_are_errors_when_they_are_used() {
    for address in [0x0fff, 0x1000, u64::MAX, u64::MAX - 1] {
        let (mut driver, mut queue) = pair(Direction::FromGuest);
        driver.offer(&[(address, 2)], false);
        let mut chain = Chain::default();
        assert!(queue.refill(&driver.memory).unwrap() && queue.peek(&mut chain).unwrap());
        let read = chain.read(&driver.memory, 0, &mut [0; 2]);
        assert_eq!(read, Err(AccessError::Outside { address, length: 2 }));
        // An offset that goes beyond all addresses.
        assert!(chain.read(&driver.memory, 1, &mut [0; 1]).is_err() || address == 0x0ffe);
    }
}

#[test]
fn a_ring_has_to_be_in_memory() {
    let memory = Plain::new(vec![0; 0x200]);
    assert!(Queue::resume(&memory, RING, Direction::FromGuest, 0, false).is_err());
}

#[test]
fn only_possible_rings_are_taken() {
    assert!(RING.is_possible());
    for size in [0, 3, MAX_SIZE * 2] {
        assert!(!Ring { size, ..RING }.is_possible(), "{size}");
    }
    assert!(
        !Ring {
            descriptors: 8,
            ..RING
        }
        .is_possible()
    );
    assert!(
        !Ring {
            available: 1,
            ..RING
        }
        .is_possible()
    );
    assert!(!Ring { used: 2, ..RING }.is_possible());
}

#[test]
fn a_driver_without_need_is_not_interrupted() {
    let (mut driver, mut queue) = pair(Direction::FromGuest);
    let memory = driver.memory.clone();
    driver.set_flags(NO_INTERRUPT);
    driver.offer(&[(BUFFERS, 1)], false);
    assert_eq!(first(&driver, &mut queue), Ok(true));
    queue.complete(0);
    assert!(!tell(&mut queue, &memory));
    driver.set_flags(0);
    driver.offer(&[(BUFFERS, 1)], false);
    assert_eq!(first(&driver, &mut queue), Ok(true));
    queue.complete(0);
    assert!(tell(&mut queue, &memory));
    assert!(!tell(&mut queue, &memory), "it was told of all");
}

#[test]
fn the_driver_is_told_whether_to_notify() {
    let (mut driver, mut queue) = pair(Direction::ToGuest);
    let memory = driver.memory.clone();
    driver.offer(&[(BUFFERS, 1)], true);
    assert_eq!(first(&driver, &mut queue), Ok(true));
    queue.complete(1);
    queue.be_quiet();
    queue.publish(&memory).unwrap();
    assert_eq!(driver.used_word(), (NO_NOTIFY, 1));
    assert!(queue.be_notified(&memory).unwrap());
    assert_eq!(driver.used_word(), (0, 1));
    assert!(!queue.be_notified(&memory).unwrap(), "it was asked already");
    // A ring that starts again does not keep the flag.
    queue.be_quiet();
    queue.write_index(&memory).unwrap();
    let queue = Queue::resume(&memory, RING, Direction::ToGuest, 1, false).unwrap();
    assert_eq!(driver.used_word(), (0, 1));
    assert_eq!(queue.next(), 1);
}

#[test]
fn with_event_indexes_each_side_hears_of_what_it_asked_for() {
    for start in [0, u16::MAX] {
        let (mut driver, mut queue) = pair_with(Direction::FromGuest, start, true);
        let memory = driver.memory.clone();
        assert_eq!(driver.available_event(), start);
        let use_one = |queue: &mut Queue, driver: &mut Driver<Plain>| {
            driver.offer(&[(BUFFERS, 1)], false);
            assert_eq!(first(driver, queue), Ok(true));
            queue.complete(0);
            driver.take_used();
        };
        use_one(&mut queue, &mut driver);
        assert!(tell(&mut queue, &memory), "the first time");
        // The driver has looked away.
        driver.set_flags(NO_INTERRUPT);
        driver.set_used_event(start.wrapping_add(2));
        use_one(&mut queue, &mut driver);
        assert!(!tell(&mut queue, &memory), "it asked for the next one");
        use_one(&mut queue, &mut driver);
        use_one(&mut queue, &mut driver);
        assert!(tell(&mut queue, &memory), "flags are not looked at");
        use_one(&mut queue, &mut driver);
        assert!(!tell(&mut queue, &memory), "it has not asked again");
        // The device asks for what comes next, once, and never by flags.
        assert_eq!(driver.available_event(), start);
        assert!(queue.be_notified(&memory).unwrap());
        assert!(!queue.be_notified(&memory).unwrap());
        assert_eq!(driver.available_event(), queue.next());
        queue.be_quiet();
        use_one(&mut queue, &mut driver);
        queue.publish(&memory).unwrap();
        assert_eq!(driver.used_word().0, 0);
        assert_eq!(driver.available_event(), start.wrapping_add(5));
    }
}

#[test]
fn a_ring_that_goes_on_asks_and_tells_anew() {
    let (mut driver, mut queue) = pair_with(Direction::FromGuest, 0, true);
    let memory = driver.memory.clone();
    driver.set_used_event(9);
    driver.offer(&[(BUFFERS, 1)], false);
    assert_eq!(first(&driver, &mut queue), Ok(true));
    queue.complete(0);
    queue.publish(&memory).unwrap();
    let next = queue.next();
    let mut queue = Queue::resume(&memory, RING, Direction::FromGuest, next, true).unwrap();
    assert_eq!(driver.available_event(), 1);
    assert!(!tell(&mut queue, &memory), "there is nothing to tell");
    driver.offer(&[(BUFFERS, 1)], false);
    assert_eq!(first(&driver, &mut queue), Ok(true));
    queue.complete(0);
    assert!(
        tell(&mut queue, &memory),
        "it is not known what it was told"
    );
}

#[test]
fn a_driver_that_has_most_of_its_descriptors_can_wait() {
    for (pieces, waits) in [(1, true), (2, false), (5, false)] {
        let (mut driver, mut queue) = pair_with(Direction::FromGuest, 0, true);
        let memory = driver.memory.clone();
        assert!(queue.can_wait() && !queue.has_untold());
        driver.offer(&vec![(BUFFERS, 1); pieces], false);
        assert_eq!(first(&driver, &mut queue), Ok(true));
        queue.complete(0);
        assert_eq!((queue.can_wait(), queue.has_untold()), (waits, true));
        tell(&mut queue, &memory);
        assert!(queue.can_wait() && !queue.has_untold());
    }
    // Nothing can be looked up later that is told by flags.
    let (_driver, queue) = pair(Direction::FromGuest);
    assert!(!queue.can_wait());
}

/// What happens on a ring whose sides sleep until they are told of something.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// The driver makes so many chains available.
    Offers(usize),
    /// The device, if it is awake, takes so many chains, or sleeps where there is none.
    DeviceTakes(usize),
    /// The driver, if it is awake, takes so many used chains, or sleeps where there is none.
    DriverTakes(usize),
}

/// A ring with event indexes, both sides of which sleep until they are told.
struct Sleepers {
    driver: Driver<Plain>,
    queue: Queue,
    device_is_awake: bool,
    driver_is_awake: bool,
}

impl Sleepers {
    fn take(&mut self, turn: Turn) {
        let memory = self.driver.memory.clone();
        match turn {
            Turn::Offers(count) => {
                let old = self.driver.offered();
                for _ in 0..count.min(self.driver.free()) {
                    self.driver.offer(&[(BUFFERS, 1)], false);
                }
                let asked = self.driver.available_event();
                self.device_is_awake |= need_event(asked, self.driver.offered(), old);
            }
            Turn::DeviceTakes(count) if self.device_is_awake => {
                for _ in 0..count {
                    if first(&self.driver, &mut self.queue).unwrap() {
                        self.queue.complete(0);
                    } else if !self.queue.be_notified(&memory).unwrap() {
                        self.device_is_awake = false;
                    }
                }
                self.driver_is_awake |= tell(&mut self.queue, &memory);
            }
            Turn::DriverTakes(count) if self.driver_is_awake => {
                for _ in 0..count {
                    if self.driver.take_used().is_none() {
                        self.driver.set_used_event(self.driver.taken());
                        self.driver_is_awake = self.driver.used_word().1 != self.driver.taken();
                    }
                }
            }
            Turn::DeviceTakes(_) | Turn::DriverTakes(_) => {}
        }
    }
}

proptest! {
    /// Whatever the order, a side that sleeps is woken: nothing stays in the ring.
    #[test]
    fn no_side_sleeps_over_something(
        start in prop_oneof![Just(0), Just(u16::MAX - 20), any::<u16>()],
        turns in prop::collection::vec(
            prop_oneof![
                (0..5_usize).prop_map(Turn::Offers),
                (1..5_usize).prop_map(Turn::DeviceTakes),
                (1..5_usize).prop_map(Turn::DriverTakes),
            ],
            1..200,
        ),
    ) {
        let (driver, queue) = pair_with(Direction::FromGuest, start, true);
        driver.set_used_event(start);
        let mut sleepers = Sleepers { driver, queue, device_is_awake: false, driver_is_awake: false };
        for turn in turns {
            sleepers.take(turn);
        }
        while sleepers.device_is_awake || sleepers.driver_is_awake {
            sleepers.take(Turn::DeviceTakes(1));
            sleepers.take(Turn::DriverTakes(1));
        }
        prop_assert_eq!(sleepers.queue.next(), sleepers.driver.offered());
        prop_assert_eq!(sleepers.driver.taken(), sleepers.driver.offered());
    }

    /// Chains come back in order and complete, over many rounds of the ring and however they are batched.
    #[test]
    fn a_ring_is_a_queue(steps in prop::collection::vec((0..4_usize, 0..4_usize), 1..200)) {
        let (mut driver, mut queue) = pair(Direction::FromGuest);
        let memory = driver.memory.clone();
        let (mut waiting, mut completed) = (VecDeque::new(), VecDeque::new());
        for (offer, take) in steps {
            for _ in 0..offer.min(driver.free()) {
                waiting.push_back(driver.offer(&[(BUFFERS, 1)], false));
            }
            for _ in 0..take {
                let found = first(&driver, &mut queue).unwrap();
                prop_assert_eq!(found, !waiting.is_empty());
                if let Some(head) = waiting.pop_front() {
                    queue.complete(u32::from(head));
                    completed.push_back(head);
                }
            }
            queue.publish(&memory).unwrap();
            while let Some((head, written)) = driver.take_used() {
                prop_assert_eq!(completed.pop_front(), Some(head));
                prop_assert_eq!(written, u32::from(head));
            }
            prop_assert!(completed.is_empty());
        }
    }

    /// Whatever bytes a ring is made of, it ends in chains or in a fault.
    #[test]
    fn any_bytes_are_chains_or_a_fault(
        bytes in prop::collection::vec(any::<u8>(), 0x600), to_guest: bool, indexed: bool,
    ) {
        let direction = if to_guest { Direction::ToGuest } else { Direction::FromGuest };
        let memory = Plain::new(bytes);
        let mut queue = Queue::resume(&memory, RING, direction, 0, indexed).unwrap();
        let mut chain = Chain::default();
        for _ in 0..64 {
            let Ok(true) = queue.refill(&memory).and_then(|_| queue.peek(&mut chain)) else { break };
            let mut byte = [0; 100];
            let _may_be_outside = chain.read(&memory, 0, &mut byte);
            queue.complete(0);
        }
        prop_assert!(queue.publish(&memory).is_ok());
        prop_assert!(queue.wants_interrupt(&memory).is_ok());
        prop_assert!(queue.be_notified(&memory).is_ok());
    }
}
