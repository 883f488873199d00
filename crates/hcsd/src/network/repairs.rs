//! What another program has taken away of endpoints, and how it is made again: at checks, and when a container needs
//! it.

use engine_network::{Card, Host, set_port};
use hcn::{Guid, intent::EndpointIntent};
use hcs_schema::Failure;
use tracing::warn;

use super::kernel::Change;

impl Change {
    /// Endpoints of `found`, whose links are not as they were, that are attached again. A machine may let a card that
    /// is plugged in wait for seconds, and others wait for their turn meanwhile: so of cards that are missing there is
    /// one, another one in each round.
    pub(super) fn to_be_repaired(
        &self,
        host: &mut Host,
        found: &[Guid],
        round: usize,
    ) -> Vec<&EndpointIntent> {
        let (mut links, mut missing) = (Vec::new(), Vec::new());
        for endpoint in &self.after.endpoints {
            let is_attached = self.attached.contains(&endpoint.id) && found.contains(&endpoint.id);
            let machine = self.machine_of(endpoint);
            // Of a container that has just ended nothing is made again.
            let lingers = self.lingering.contains(&endpoint.id);
            if lingers || !is_attached || (machine.is_none() && !self.is_spare(endpoint)) {
                continue;
            }
            let has_cards = machine.is_some_and(|machine| machine.has_cards());
            let is_missing = has_cards && !Card(endpoint).is_there(host).unwrap_or(true);
            match is_missing {
                true => missing.push(endpoint),
                false => links.push(endpoint),
            }
        }
        links.extend(in_turn(&missing, round).copied());
        links
    }

    /// Whether an endpoint is in the network namespace of a container that is kept ready, after the change.
    fn is_spare(&self, endpoint: &EndpointIntent) -> bool {
        let mut spaces = self.spaces.iter();
        spaces.any(|(namespace, _)| *namespace == endpoint.namespace)
    }

    /// Whether a container gets an endpoint by this change that was kept ready. Since it was made, another program may
    /// have removed its link or its bridge.
    pub(super) fn is_taken_spare(&self, endpoint: &EndpointIntent) -> bool {
        self.spares.contains(&endpoint.id) && !self.is_spare(endpoint)
    }

    /// Whether an endpoint was attached before and its card is missing, where another one is plugged in by this change
    /// already: checks plug in one each. A machine may let a card wait for seconds, and all who change networks wait
    /// meanwhile.
    pub(super) fn waits_for_a_check(
        &self,
        host: &mut Host,
        endpoint: &EndpointIntent,
        plugging: &mut Plugging,
    ) -> bool {
        let machine = self.machine_of(endpoint);
        let was_there = self.attached.contains(&endpoint.id)
            && machine.is_some_and(|machine| machine.has_cards());
        if !was_there || Card(endpoint).is_there(host).unwrap_or(true) || plugging.is_first() {
            return false;
        }
        warn!(
            "the network adapter of the endpoint {} is missing; it is plugged in later",
            endpoint.id
        );
        true
    }

    /// Sets how the port of an endpoint treats others, where nothing but that differs. One that another program has
    /// removed, or taken out of its network, is attached anew.
    pub(super) fn set_port(
        &self,
        host: &mut Host,
        endpoint: &EndpointIntent,
    ) -> Result<(), Failure> {
        match set_port(host, endpoint)? {
            true => Ok(()),
            false => self.attach(host, endpoint),
        }
    }
}

/// Which of the cards that are missing is plugged in by a change.
#[derive(Debug, Default)]
pub(super) struct Plugging {
    is_done: bool,
}

impl Plugging {
    /// Whether no other one was.
    fn is_first(&mut self) -> bool {
        !std::mem::replace(&mut self.is_done, true)
    }
}

/// The one of `all` whose turn it is in this round.
fn in_turn<T>(all: &[T], round: usize) -> Option<&T> {
    all.get(round.checked_rem(all.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_card_that_is_missing_is_plugged_in_by_a_change() {
        let mut plugging = Plugging::default();
        assert_eq!([(); 3].map(|()| plugging.is_first()), [true, false, false]);
    }

    #[test]
    fn each_card_that_is_missing_has_its_turn() {
        let turns = |all: &[char]| [0, 1, 2].map(|round| in_turn(all, round).copied());
        assert_eq!(turns(&['a', 'b']), [Some('a'), Some('b'), Some('a')]);
        assert_eq!(turns(&[]), [None; 3]);
    }
}
