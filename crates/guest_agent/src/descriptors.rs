//! Which received descriptors belong to which message. Pure.
//!
//! The kernel hands descriptors out with the first byte of what they were sent with, and ends a `recvmsg` with the
//! piece that carried some (`unix(7)`). A message with descriptors is sent on its own. So descriptors received together
//! with the bytes `start..end` of the stream belong to the last message that begins in there. Whatever becomes of one
//! message, the descriptors of the others stay where they belong.

use std::collections::VecDeque;

/// The most receipts that wait for their message; a host that keeps its side never comes near.
pub(crate) const MAX_BATCHES: usize = 64;

/// What came with the bytes `start..end` of the stream.
#[derive(Debug)]
struct DescriptorBatch<T> {
    start: u64,
    end: u64,
    content: Vec<T>,
}

/// Descriptors whose message has not been taken yet.
#[derive(Debug)]
pub(crate) struct DescriptorQueue<T> {
    waiting: VecDeque<DescriptorBatch<T>>,
}

impl<T> DescriptorQueue<T> {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }

    /// Adds what came with the bytes `start..end`; `false` when too many wait already.
    pub(crate) fn add(&mut self, start: u64, end: u64, content: Vec<T>) -> bool {
        if self.waiting.len() >= MAX_BATCHES {
            return false;
        }
        self.waiting.push_back(DescriptorBatch {
            start,
            end,
            content,
        });
        true
    }

    /// Takes what belongs to the message that is the bytes `start..end`; messages are asked for in order. What belongs
    /// to none is dropped.
    pub(crate) fn take(&mut self, start: u64, end: u64) -> Vec<T> {
        while let Some(front) = self.waiting.front() {
            if front.end <= start {
                self.waiting.pop_front();
                continue;
            }
            if front.start <= start && front.end <= end {
                let batch = self.waiting.pop_front();
                return batch.map_or_else(Vec::new, |batch| batch.content);
            }
            break;
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_belongs_to_no_message_is_dropped() {
        let mut batches = DescriptorQueue::new();
        assert!(batches.add(0, 10, vec!["first"]));
        assert!(batches.add(10, 20, vec!["in the middle"]));
        assert!(batches.add(20, 45, vec!["second"]));
        assert_eq!(batches.take(0, 30), ["first"]);
        assert_eq!(batches.take(30, 45), ["second"]);
        assert!(batches.waiting.is_empty());
    }

    #[test]
    fn waiting_batches_are_bounded() {
        let mut batches = DescriptorQueue::new();
        for _ in 0..MAX_BATCHES {
            assert!(batches.add(0, 1, vec![()]));
        }
        assert!(!batches.add(0, 1, vec![()]));
    }

    proptest! {
        /// Messages of any size, some with descriptors, received as the kernel hands them out, in any pieces.
        #[test]
        fn each_message_gets_its_own(
            messages in prop::collection::vec((1..40_u64, any::<bool>()), 1..30),
            cuts in prop::collection::vec(1..50_u64, 1..40),
        ) {
            let mut begins: Vec<(u64, u64, Option<usize>)> = Vec::new();
            let mut total = 0;
            for (index, (size, carries)) in messages.iter().enumerate() {
                begins.push((total, total + size, carries.then_some(index)));
                total += size;
            }
            let mut batches = DescriptorQueue::new();
            let mut received = 0;
            let mut taken = 0;
            let mut cuts = cuts.iter().cycle();
            while received < total {
                let start = received;
                let mut end = (received + cuts.next().unwrap()).min(total);
                // The kernel stops behind the first message that carries descriptors and begins in this piece.
                let carrier = begins.iter().find(|(s, _, d)| *s >= start && *s < end && d.is_some());
                if let Some((_, carrier_end, Some(index))) = carrier {
                    end = end.min(*carrier_end);
                    prop_assert!(batches.add(start, end, vec![*index]));
                }
                received = end;
                while let Some((s, e, expected)) = begins.get(taken).filter(|(_, e, _)| *e <= received) {
                    prop_assert_eq!(batches.take(*s, *e), expected.iter().copied().collect::<Vec<_>>());
                    taken += 1;
                }
            }
            prop_assert_eq!(taken, begins.len());
        }
    }
}
