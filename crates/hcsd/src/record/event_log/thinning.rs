//! Taking the events of one user out of a segment that has those of others. Pure.
//!
//! The lines of events that go become empty, but for the last: an event of the kind `EventsLeftOut` takes its place and
//! its number, and says how many of the segment went. So the other lines keep their places, and a reader who comes to
//! any of them misses nothing unawares.

use std::{collections::HashMap, io};

use hcs_wire::log::LogEntry;
use serde::Deserialize;
use serde_json::json;

use super::{Kind, event};

/// What a segment has, in bytes: of each user, and in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    users: HashMap<u32, u64>,
    bytes: u64,
}

/// As much of an event as says whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Owned {
    #[serde(default)]
    user_id: Option<u32>,
}

fn user_of(line: &[u8]) -> Option<u32> {
    serde_json::from_slice::<Owned>(line).ok()?.user_id
}

impl Weights {
    /// Those of the segment with this text.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut users = HashMap::<u32, u64>::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if let Some(user) = user_of(line) {
                *users.entry(user).or_default() += line.len() as u64;
            }
        }
        let bytes = text.len() as u64;
        Self { users, bytes }
    }

    /// Bytes of all of it.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is an event of that user.
    pub(super) fn has(&self, user: u32) -> bool {
        self.users.contains_key(&user)
    }

    /// Whether there is no event of another user.
    pub(super) fn is_of_no_other(&self, user: u32) -> bool {
        self.users.keys().all(|of| *of == user)
    }

    /// The user who has most in all of these.
    pub(super) fn heaviest<'a>(all: impl Iterator<Item = &'a Self>) -> Option<u32> {
        let mut sums = HashMap::<u32, u64>::new();
        for (user, bytes) in all.flat_map(|weights| &weights.users) {
            *sums.entry(*user).or_default() += bytes;
        }
        let heaviest = sums.into_iter().max_by_key(|(user, bytes)| (*bytes, *user));
        heaviest.map(|(user, _)| user)
    }
}

/// The text of a segment that begins with the event `first`, without the events of `user`.
///
/// # Errors
/// What takes their place cannot be written.
pub(super) fn without(text: &[u8], first: u64, user: u32) -> io::Result<Vec<u8>> {
    let lines = || text.split_inclusive(|byte| *byte == b'\n');
    let is_gone = |line: &&[u8]| user_of(line) == Some(user);
    let count = lines().filter(is_gone).count();
    let mut left = Vec::with_capacity(text.len());
    let mut gone = 0;
    for (number, line) in (first..).zip(lines()) {
        if !is_gone(&line) {
            left.extend_from_slice(line);
            continue;
        }
        gone += 1;
        if gone == count {
            let time = serde_json::from_slice::<LogEntry>(line).map(|entry| entry.time);
            let told = LogEntry {
                number,
                time: time.unwrap_or_default(),
                data: Some(json!({ "UserId": user, "Count": count })),
                ..event(Kind::EventsLeftOut)
            };
            serde_json::to_writer(&mut left, &told)?;
        }
        left.push(b'\n');
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::event_log::segments::entries;

    fn segment(users: &[Option<u32>]) -> Vec<u8> {
        let mut text = Vec::new();
        for (number, user_id) in (5..).zip(users) {
            let entry = LogEntry {
                number,
                user_id: *user_id,
                time: format!("at {number}"),
                ..event(Kind::ProcessCreated)
            };
            serde_json::to_writer(&mut text, &entry).unwrap();
            text.push(b'\n');
        }
        text
    }

    #[test]
    fn the_events_of_others_keep_their_places_and_what_went_is_told() {
        let text = segment(&[None, Some(1), Some(2), Some(1), None, Some(1)]);
        let left = without(&text, 5, 1).unwrap();
        assert_eq!(left.iter().filter(|byte| **byte == b'\n').count(), 6);
        let kept: Vec<_> = entries(&left).collect();
        let numbers: Vec<u64> = kept.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [5, 7, 9, 10]);
        let told = &kept[3];
        assert_eq!(
            (told.kind.as_str(), told.time.as_str()),
            ("EventsLeftOut", "at 10")
        );
        assert_eq!(told.data, Some(json!({ "UserId": 1, "Count": 3 })));
        let weights = Weights::of(&left);
        assert!(!weights.has(1) && weights.is_of_no_other(2) && !weights.is_of_no_other(3));
        assert_eq!(weights.bytes(), left.len() as u64);
    }

    #[test]
    fn the_user_who_has_most_in_all_is_found() {
        let weights = [
            Weights::of(&segment(&[Some(1), Some(1), Some(2)])),
            Weights::of(&segment(&[Some(2), Some(2), None, None, None, None])),
        ];
        assert_eq!(Weights::heaviest(weights.iter()), Some(2));
        assert_eq!(Weights::heaviest([Weights::default()].iter()), None);
    }
}
