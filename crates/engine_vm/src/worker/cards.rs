//! Network cards that come and go.
//!
//! A card has two parts in QEMU: its connection with the host, which has the descriptor of the host's link, and the
//! device that the guest sees. The connection is taken away at once. The device goes when the guest lets it go, which a
//! hostile guest never does: until then its place is taken.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    argv::network_ports as names,
    qmp::{
        Client, Event, QmpError,
        command::{CloseFd, Command, DeviceAdd, DeviceDel, GetFd, NetdevAdd, NetdevDel},
    },
};

/// How long QEMU may take for all steps of one request: the service waits no longer than 10 s.
const LIMIT: Duration = Duration::from_secs(6);
/// How long it may take for a step at least, so that what others left no time for is still tidied up.
const LEAST: Duration = Duration::from_millis(100);
/// How long the news of a device that is gone may take.
const NEWS_LIMIT: Duration = Duration::from_millis(500);

/// What QEMU's refusal of a device that is not there says.
const NOT_THERE: &str = "not found";

/// Why a card was not plugged in or out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CardError {
    /// The machine was made without places.
    #[error(
        "the virtual machine has no network adapters: its document has no VirtualMachine/Devices/NetworkAdapters, for which an \
         empty object is enough"
    )]
    NoPlaces,
    /// All places have a card.
    #[error(
        "all {0} places for network adapters are taken, those included that the guest has not let go of yet"
    )]
    Full(usize),
    /// A step failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

/// What is at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum CardPlace {
    #[default]
    Free,
    /// The card of this name.
    Taken(String),
    /// The card of this name, whose device the guest has let go of by itself.
    Ejected(String),
    /// A card without a connection, which the guest could not be asked to let go of yet.
    Unasked,
    /// A card without a connection, which the guest has been asked to let go of.
    Leaving,
}

/// The steps of one request, which have one limit together.
#[derive(Debug)]
struct Steps<'a> {
    monitor: &'a mut Client,
    deadline: Instant,
}

impl<'a> Steps<'a> {
    fn new(monitor: &'a mut Client) -> Self {
        let deadline = Instant::now() + LIMIT;
        Self { monitor, deadline }
    }

    fn left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.max(LEAST)
    }

    fn execute<C: Command>(&mut self, command: &C) -> Result<C::Return, QmpError> {
        let left = self.left();
        self.monitor.execute(command, left)
    }

    /// Has the guest asked to let go of the device at `port`; what is there then.
    fn ask(&mut self, port: usize) -> CardPlace {
        let device = names::card(port);
        match self.execute(&DeviceDel(json!(device))) {
            Err(QmpError::Refused(_, why)) if why.contains(NOT_THERE) => {
                // The guest was faster. What says so must not be taken for news of the next device at this place.
                let limit = self.left().min(NEWS_LIMIT);
                let gone = Event::Unplugged(device);
                let _perhaps_never_there = self.monitor.wait_for(&gone, "device_del", limit);
                CardPlace::Free
            }
            Ok(_) => CardPlace::Leaving,
            // A guest that has not answered an earlier request is busy, as is one that starts. An answer that is late
            // may say so as well.
            Err(_) => CardPlace::Unasked,
        }
    }

    /// Connects a device with the host's link, and plugs it in at `port`.
    fn connect(&mut self, port: usize, mac: [u8; 6], link: &OwnedFd) -> Result<(), Unconnected> {
        let connection = names::netdev(port);
        let given = GetFd {
            name: connection.clone(),
            descriptor: link.as_fd(),
        };
        let free = |error| (CardPlace::Free, error);
        self.execute(&given).map_err(free)?;
        if let Err(error) = self.execute(&NetdevAdd(names::connection(port))) {
            let _perhaps_taken = self.execute(&CloseFd(json!(connection)));
            let _perhaps_there = self.execute(&NetdevDel(json!(connection)));
            return Err((CardPlace::Free, error));
        }
        if let Err(error) = self.execute(&DeviceAdd(names::device(port, mac))) {
            let place = match error {
                // It may be there by now.
                QmpError::Late(_) => self.ask(port),
                _ => CardPlace::Free,
            };
            let _disconnected = self.execute(&NetdevDel(json!(connection)));
            return Err((place, error));
        }
        Ok(())
    }
}

/// What is at the place of a card that was not plugged in, and why not.
type Unconnected = (CardPlace, QmpError);

/// The places of a machine for cards.
#[derive(Debug, Default)]
pub(super) struct Cards(Vec<CardPlace>);

impl Cards {
    /// So many, all of them free.
    pub(super) fn new(count: usize) -> Self {
        Self(vec![CardPlace::Free; count])
    }

    /// Plugs a card in, in place of one of the same name.
    pub(super) fn plug(
        &mut self,
        monitor: &mut Client,
        (name, mac): (&str, [u8; 6]),
        link: &OwnedFd,
    ) -> Result<(), CardError> {
        if self.0.is_empty() {
            return Err(CardError::NoPlaces);
        }
        let mut steps = Steps::new(monitor);
        self.take_out(&mut steps, name)?;
        let is_full = !self.0.contains(&CardPlace::Free);
        for (port, place) in self.0.iter_mut().enumerate() {
            // A guest that starts forgets what it was asked.
            if *place == CardPlace::Unasked || is_full && *place == CardPlace::Leaving {
                *place = steps.ask(port);
            }
        }
        let mut places = self.0.iter_mut().enumerate();
        let free = places.find(|(_, place)| **place == CardPlace::Free);
        let Some((port, place)) = free else {
            return Err(CardError::Full(self.0.len()));
        };
        match steps.connect(port, mac, link) {
            Ok(()) => *place = CardPlace::Taken(name.to_owned()),
            Err((left, error)) => {
                *place = left;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Takes a card away: its connection at once, and its device when the guest lets it go.
    pub(super) fn unplug(&mut self, monitor: &mut Client, name: &str) -> Result<(), CardError> {
        self.take_out(&mut Steps::new(monitor), name)
    }

    fn take_out(&mut self, steps: &mut Steps<'_>, name: &str) -> Result<(), CardError> {
        let is_it = |place: &CardPlace| match place {
            CardPlace::Taken(known) | CardPlace::Ejected(known) => known == name,
            CardPlace::Free | CardPlace::Unasked | CardPlace::Leaving => false,
        };
        let mut places = self.0.iter_mut().enumerate();
        let Some((port, place)) = places.find(|(_, place)| is_it(place)) else {
            return Ok(());
        };
        match steps.execute(&NetdevDel(json!(names::netdev(port)))) {
            // It was taken away by an earlier call.
            Ok(_) | Err(QmpError::Refused(..)) => {}
            Err(error) => return Err(error.into()),
        }
        *place = match place {
            CardPlace::Ejected(_) => CardPlace::Free,
            _ => steps.ask(port),
        };
        Ok(())
    }

    /// The guest has let a device go. The place of a card that is there stays its own, with its connection.
    pub(super) fn has_left(&mut self, device: &str) {
        let mut places = self.0.iter_mut().enumerate();
        let Some((_, place)) = places.find(|(port, _)| names::card(*port) == device) else {
            return;
        };
        *place = match std::mem::take(place) {
            CardPlace::Taken(name) | CardPlace::Ejected(name) => CardPlace::Ejected(name),
            CardPlace::Free | CardPlace::Unasked | CardPlace::Leaving => CardPlace::Free,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::UnixStream,
        thread::{self, JoinHandle},
    };

    use super::*;

    const MAC: [u8; 6] = [0, 0x15, 0x5d, 1, 2, 3];

    /// A monitor that refuses commands of these names, for the reason that stands behind, and then the names of those
    /// that it heard. Where a card is not found, it says first that it has gone.
    fn monitor(refused: &'static [&'static str]) -> (Client, JoinHandle<Vec<String>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let heard = thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}"#;
            writeln!(writer, "{greeting}").unwrap();
            let mut heard = Vec::new();
            for command in BufReader::new(theirs).lines() {
                let command: serde_json::Value = serde_json::from_str(&command.unwrap()).unwrap();
                let (id, name) = (&command["id"], command["execute"].as_str().unwrap());
                let why = refused.iter().find_map(|one| one.strip_prefix(name));
                if why.is_some_and(|why| why.ends_with(NOT_THERE)) {
                    let gone = r#"{"event": "DEVICE_DELETED", "data": {"device": "nic0"}}"#;
                    writeln!(writer, "{gone}").unwrap();
                }
                let answer = match why {
                    Some(why) => format!(
                        r#"{{"error": {{"class": "GenericError", "desc": "no:{why}"}}, "id": {id}}}"#
                    ),
                    None => format!(r#"{{"return": {{}}, "id": {id}}}"#),
                };
                writeln!(writer, "{answer}").unwrap();
                heard.push(name.to_owned());
            }
            heard
        });
        let limit = Duration::from_secs(20);
        (Client::greet(ours, limit).unwrap().0, heard)
    }

    fn link() -> OwnedFd {
        tempfile::tempfile().unwrap().into()
    }

    #[test]
    fn a_place_is_free_again_when_the_guest_has_let_go() {
        let (mut monitor, heard) = monitor(&[]);
        let mut cards = Cards::new(1);
        cards.plug(&mut monitor, ("a", MAC), &link()).unwrap();
        cards.unplug(&mut monitor, "b").unwrap();
        cards.unplug(&mut monitor, "a").unwrap();
        let full = cards.plug(&mut monitor, ("a", MAC), &link());
        assert!(matches!(full, Err(CardError::Full(1))), "{full:?}");
        cards.has_left("nic1");
        cards.has_left("nic0");
        cards.plug(&mut monitor, ("b", MAC), &link()).unwrap();
        // The guest cannot free the place of a card that is there.
        cards.has_left("nic0");
        assert!(matches!(
            cards.plug(&mut monitor, ("c", MAC), &link()),
            Err(CardError::Full(1))
        ));
        drop(monitor);
        let plug = ["getfd", "netdev_add", "device_add"];
        // Each card that finds no place has the guest asked again.
        let expected = [
            &plug[..],
            &["netdev_del", "device_del", "device_del"],
            &plug,
        ]
        .concat();
        assert_eq!(heard.join().unwrap()[1..], expected);
    }

    #[test]
    fn a_guest_that_was_busy_is_asked_again_for_the_next_card() {
        let (mut busy, _heard) = monitor(&["device_del"]);
        let mut cards = Cards::new(1);
        cards.plug(&mut busy, ("a", MAC), &link()).unwrap();
        cards.unplug(&mut busy, "a").unwrap();
        assert_eq!(cards.0, [CardPlace::Unasked]);
        let (mut willing, heard) = monitor(&[]);
        for _ in 0..2 {
            let full = cards.plug(&mut willing, ("b", MAC), &link());
            assert!(matches!(full, Err(CardError::Full(1))), "{full:?}");
            assert_eq!(cards.0, [CardPlace::Leaving]);
        }
        drop(willing);
        assert_eq!(heard.join().unwrap()[1..], ["device_del"; 2]);
        cards.0 = vec![CardPlace::Unasked];
        let (mut late, _heard) = monitor(&["device_del not found"]);
        cards.plug(&mut late, ("b", MAC), &link()).unwrap();
        assert_eq!(cards.0, [CardPlace::Taken("b".to_owned())]);
        assert_eq!(
            late.next_event(),
            None,
            "it is no news of the card that is there now"
        );
    }

    #[test]
    fn an_answer_that_is_late_leaves_a_place_that_is_asked_for_again() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut writer = theirs;
        let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}"#;
        writeln!(writer, "{greeting}").unwrap();
        writeln!(writer, r#"{{"return": {{}}, "id": 1}}"#).unwrap();
        let mut monitor = Client::greet(ours, Duration::from_secs(20)).unwrap().0;
        let mut steps = Steps {
            monitor: &mut monitor,
            deadline: Instant::now(),
        };
        let mut cards = Cards(vec![steps.ask(0)]);
        // What comes too late is a refusal; the next request is heard.
        let late = r#"{"error": {"class": "GenericError", "desc": "busy"}, "id": 2}"#;
        let asked = r#"{"return": {}, "id": 3}"#;
        writeln!(writer, "{late}\n{asked}").unwrap();
        let full = cards.plug(&mut monitor, ("a", MAC), &link());
        assert!(matches!(full, Err(CardError::Full(1))), "{full:?}");
        assert_eq!(cards.0, [CardPlace::Leaving]);
    }

    #[test]
    fn a_card_that_the_guest_has_let_go_of_by_itself_is_taken_away() {
        let (mut monitor, heard) = monitor(&[]);
        let mut cards = Cards::new(1);
        cards.plug(&mut monitor, ("a", MAC), &link()).unwrap();
        cards.has_left("nic0");
        assert_eq!(cards.0, [CardPlace::Ejected("a".to_owned())]);
        cards.unplug(&mut monitor, "a").unwrap();
        assert_eq!(cards.0, [CardPlace::Free]);
        drop(monitor);
        let expected = ["getfd", "netdev_add", "device_add", "netdev_del"];
        assert_eq!(heard.join().unwrap()[1..], expected);
    }

    #[test]
    fn a_card_that_is_refused_leaves_nothing() {
        for (refused, expected) in [
            (
                &["netdev_add", "netdev_del"][..],
                &["getfd", "netdev_add", "closefd", "netdev_del"][..],
            ),
            (
                &["device_add"],
                &["getfd", "netdev_add", "device_add", "netdev_del"],
            ),
        ] {
            let (mut monitor, heard) = monitor(refused);
            let mut cards = Cards::new(1);
            let refused = cards.plug(&mut monitor, ("a", MAC), &link());
            assert!(matches!(refused, Err(CardError::Qmp(_))), "{refused:?}");
            assert_eq!(cards.0, [CardPlace::Free]);
            drop(monitor);
            assert_eq!(heard.join().unwrap()[1..], *expected);
        }
        let (mut monitor, _heard) = monitor(&[]);
        let none = Cards::default().plug(&mut monitor, ("a", MAC), &link());
        assert!(matches!(none, Err(CardError::NoPlaces)), "{none:?}");
    }
}
