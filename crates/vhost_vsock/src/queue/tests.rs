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
    let memory = Plain::new(vec![0; 0x1000]);
    let queue = Queue::resume(&memory, RING, direction, 0).unwrap();
    (Driver::new(memory, RING), queue)
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
    assert!(queue.publish(&memory).unwrap());
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
    assert!(!queue.publish(&driver.memory).unwrap());
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
    assert!(Queue::resume(&memory, RING, Direction::FromGuest, 0).is_err());
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
    assert!(!queue.publish(&memory).unwrap());
    driver.set_flags(0);
    driver.offer(&[(BUFFERS, 1)], false);
    assert_eq!(first(&driver, &mut queue), Ok(true));
    queue.complete(0);
    assert!(queue.publish(&memory).unwrap());
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
    queue.be_notified(&memory).unwrap();
    assert_eq!(driver.used_word(), (0, 1));
    // A ring that starts again does not keep the flag.
    queue.be_quiet();
    queue.write_index(&memory).unwrap();
    let queue = Queue::resume(&memory, RING, Direction::ToGuest, 1).unwrap();
    assert_eq!(driver.used_word(), (0, 1));
    assert_eq!(queue.next(), 1);
}

proptest! {
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
    fn any_bytes_are_chains_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0x600), to_guest: bool) {
        let direction = if to_guest { Direction::ToGuest } else { Direction::FromGuest };
        let memory = Plain::new(bytes);
        let mut queue = Queue::resume(&memory, RING, direction, 0).unwrap();
        let mut chain = Chain::default();
        for _ in 0..64 {
            let Ok(true) = queue.refill(&memory).and_then(|_| queue.peek(&mut chain)) else { break };
            let mut byte = [0; 100];
            let _may_be_outside = chain.read(&memory, 0, &mut byte);
            queue.complete(0);
        }
        prop_assert!(queue.publish(&memory).is_ok());
    }
}
