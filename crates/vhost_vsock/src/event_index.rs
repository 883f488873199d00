//! Event indexes of a ring (virtio 1.2, sections 2.7.7 and 2.7.10): each side writes down which position of the other
//! it wants to be told of. Pure.
//!
//! What the other side writes there is any number: it decides when that side is told, and nothing else.

/// Whether a side is to be told: it asked to be told of the position `event`, and the index has gone from `old` to
/// `new` since it was last decided. So the positions that are new are `old` up to the one before `new`, and `event` has
/// to be among them. This is `vring_need_event` of the specification.
pub(crate) const fn need_event(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_position_that_was_asked_for_is_the_first_or_the_last_of_the_new_ones() {
        for old in [0, 7, u16::MAX - 1, u16::MAX] {
            let new = old.wrapping_add(3);
            assert!(!need_event(old.wrapping_sub(1), new, old));
            assert!(need_event(old, new, old));
            assert!(need_event(old.wrapping_add(2), new, old));
            assert!(!need_event(new, new, old));
            assert!(!need_event(old, old, old), "nothing is new");
        }
    }

    proptest! {
        #[test]
        fn a_side_is_told_of_what_it_asked_for(event: u16, old: u16, count in 0..=1024_u16) {
            let new = old.wrapping_add(count);
            let is_new = (0..count).any(|step| old.wrapping_add(step) == event);
            prop_assert_eq!(need_event(event, new, old), is_new);
        }

        /// It does not matter in how many pieces the index moves.
        #[test]
        fn pieces_tell_once_what_the_whole_tells(event: u16, old: u16, pieces in prop::collection::vec(0..200_u16, 0..8)) {
            let (mut at, mut told) = (old, 0);
            for piece in &pieces {
                let next = at.wrapping_add(*piece);
                told += u32::from(need_event(event, next, at));
                at = next;
            }
            prop_assert_eq!(told, u32::from(need_event(event, at, old)));
        }
    }
}
