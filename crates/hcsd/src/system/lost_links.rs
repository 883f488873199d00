//! How often an agent may end its link before it counts as broken.
//!
//! A guest may reboot as often as its user wants, and each time its link ends. An agent that ends one link after the
//! other does nothing else, and its system is better ended. So the losses of the last [`WINDOW`] are counted.

use std::{
    cell::RefCell,
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Links that may be lost within the window.
const MOST: usize = 8;
/// How long a loss counts: longer than the rests between the attempts to reach an agent that ends each link at once.
const WINDOW: Duration = Duration::from_secs(120);

/// The losses of one system that count.
#[derive(Debug, Default)]
pub(super) struct LostLinks {
    /// When each was, oldest first.
    losses: RefCell<VecDeque<Instant>>,
}

impl LostLinks {
    /// Notes that a link was lost at `now`. Returns whether there have been too many.
    pub(super) fn lose(&self, now: Instant) -> bool {
        let mut losses = self.losses.borrow_mut();
        losses.retain(|loss| now.saturating_duration_since(*loss) < WINDOW);
        losses.push_back(now);
        losses.len() > MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_may_reboot_for_ever_but_not_hang_up_again_and_again() {
        let begun = Instant::now();
        let rebooting = LostLinks::default();
        let reboots = (0..100).map(|n| begun + Duration::from_secs(20) * n);
        assert!(!reboots.into_iter().any(|when| rebooting.lose(when)));
        let broken = LostLinks::default();
        for n in 0..8 {
            assert!(!broken.lose(begun + Duration::from_secs(5) * n));
        }
        assert!(broken.lose(begun + Duration::from_secs(40)));
        // Each loss counts for the window only.
        assert!(!broken.lose(begun + Duration::from_secs(40) + WINDOW));
    }
}
