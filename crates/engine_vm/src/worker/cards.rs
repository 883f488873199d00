//! Network cards that come and go.
//!
//! A card has two parts in QEMU: its connection with the host, which has the descriptor of the host's link, and the
//! device that the guest sees. The connection is taken away at once. The device goes when the guest lets it go, which a
//! hostile guest never does: until then its place is taken.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use serde_json::json;

use crate::{
    argv::network_ports as names,
    qmp::{
        Client, QmpError,
        command::{CloseFd, DeviceAdd, DeviceDel, GetFd, NetdevAdd, NetdevDel},
    },
};

/// How long QEMU may take for one step.
const LIMIT: Duration = Duration::from_secs(2);

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
enum Place {
    #[default]
    Free,
    /// The card of this name.
    Taken(String),
    /// A card without a connection, which the guest has been asked to let go of.
    Leaving,
}

/// The places of a machine for cards.
#[derive(Debug, Default)]
pub(super) struct Cards(Vec<Place>);

impl Cards {
    /// So many, all of them free.
    pub(super) fn new(count: usize) -> Self {
        Self(vec![Place::Free; count])
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
        self.unplug(monitor, name)?;
        let free = self.0.iter_mut().enumerate();
        let free = free.into_iter().find(|(_, place)| **place == Place::Free);
        let Some((port, place)) = free else {
            return Err(CardError::Full(self.0.len()));
        };
        let connection = names::netdev(port);
        let given = GetFd {
            name: connection.clone(),
            descriptor: link.as_fd(),
        };
        monitor.execute(&given, LIMIT)?;
        let connected = monitor.execute(&NetdevAdd(names::connection(port)), LIMIT);
        if let Err(error) = connected {
            let _perhaps_taken = monitor.execute(&CloseFd(json!(connection)), LIMIT);
            let _perhaps_there = monitor.execute(&NetdevDel(json!(connection)), LIMIT);
            return Err(error.into());
        }
        match monitor.execute(&DeviceAdd(names::device(port, mac)), LIMIT) {
            Ok(_) => *place = Place::Taken(name.to_owned()),
            Err(error) => {
                if matches!(error, QmpError::Late(_)) {
                    // It may be there by now.
                    *place = Place::Leaving;
                    let _perhaps_there =
                        monitor.execute(&DeviceDel(json!(names::card(port))), LIMIT);
                }
                let _disconnected = monitor.execute(&NetdevDel(json!(connection)), LIMIT);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Takes a card away: its connection at once, and its device when the guest lets it go.
    pub(super) fn unplug(&mut self, monitor: &mut Client, name: &str) -> Result<(), CardError> {
        let mut places = self.0.iter_mut().enumerate();
        let found = places.find(|(_, place)| matches!(place, Place::Taken(known) if known == name));
        let Some((port, place)) = found else {
            return Ok(());
        };
        match monitor.execute(&NetdevDel(json!(names::netdev(port))), LIMIT) {
            // It was taken away by an earlier call.
            Ok(_) | Err(QmpError::Refused(..)) => {}
            Err(error) => return Err(error.into()),
        }
        *place = Place::Leaving;
        // One that is refused is asked for again by no call: the place is lost, the host's side is gone all the same.
        let _asked = monitor.execute(&DeviceDel(json!(names::card(port))), LIMIT);
        Ok(())
    }

    /// The guest has let a device go.
    pub(super) fn has_left(&mut self, device: &str) {
        let places = self.0.iter_mut().enumerate();
        for (port, place) in places {
            if *place == Place::Leaving && names::card(port) == device {
                *place = Place::Free;
            }
        }
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

    /// A monitor that refuses commands of these names, and then the names of those that it heard.
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
                let answer = match refused.contains(&name) {
                    true => format!(
                        r#"{{"error": {{"class": "GenericError", "desc": "no"}}, "id": {id}}}"#
                    ),
                    false => format!(r#"{{"return": {{}}, "id": {id}}}"#),
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
        let expected = [&plug[..], &["netdev_del", "device_del"], &plug].concat();
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
            assert_eq!(cards.0, [Place::Free]);
            drop(monitor);
            assert_eq!(heard.join().unwrap()[1..], *expected);
        }
        let (mut monitor, _heard) = monitor(&[]);
        let none = Cards::default().plug(&mut monitor, ("a", MAC), &link());
        assert!(matches!(none, Err(CardError::NoPlaces)), "{none:?}");
    }
}
