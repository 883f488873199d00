//! Taking the events of some users out of a segment that has those of others.
//!
//! The lines of events that go become empty, but for the last of each user: an event of the kind `EventsLeftOut` takes
//! its place and its number, and says how many of the segment went. So the other lines keep their places, and a reader
//! who comes to any of them misses nothing unawares.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use hcs_wire::{log::LogEntry, subordinate::holder};
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
    let user = serde_json::from_slice::<Owned>(line).ok()?.user_id;
    user.map(holder)
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

    /// Bytes of the events of that user.
    pub(super) fn of_user(&self, user: u32) -> u64 {
        self.users.get(&user).copied().unwrap_or(0)
    }

    /// Whether there is no event of another user.
    pub(super) fn is_of_no_other(&self, users: &[u32]) -> bool {
        self.users.keys().all(|of| users.contains(of))
    }

    /// Those of the segment that is left, with this text, without the events of `users`.
    pub(super) fn thinned(&self, users: &HashSet<u32>, text: &[u8]) -> Self {
        let mut left = self.users.clone();
        left.retain(|user, _| !users.contains(user));
        let bytes = text.len() as u64;
        Self { users: left, bytes }
    }

    /// The users who have more in all of these than their share of `most` bytes, the heaviest first. Shares are equal;
    /// the part of a share that a user does not need is for the others.
    pub(super) fn heavy<'a>(all: impl Iterator<Item = &'a Self>, most: u64) -> Vec<u32> {
        let mut sums = HashMap::<u32, u64>::new();
        // What belongs to no user takes room, too.
        let mut of_none = 0;
        for weights in all {
            of_none += weights.bytes;
            for (user, bytes) in &weights.users {
                *sums.entry(*user).or_default() += bytes;
                of_none = of_none.saturating_sub(*bytes);
            }
        }
        let mut room = most.saturating_sub(of_none);
        let mut sums: Vec<(u64, u32)> = sums.into_iter().map(|(user, sum)| (sum, user)).collect();
        sums.sort_unstable();
        let mut heavy = Vec::new();
        for (at, (sum, user)) in sums.iter().enumerate() {
            let share = room / (sums.len() - at) as u64;
            if heavy.is_empty() && *sum <= share {
                room -= sum;
            } else {
                heavy.push(*user);
            }
        }
        heavy.reverse();
        heavy
    }
}

/// The text of a segment that begins with the event `first`, without the events of `users`.
///
/// # Errors
/// What takes their place cannot be written.
pub(super) fn without(text: &[u8], first: u64, users: &HashSet<u32>) -> io::Result<Vec<u8>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let gone = |line| user_of(line).filter(|user| users.contains(user));
    let lines: Vec<(&[u8], Option<u32>)> = lines.map(|line| (line, gone(line))).collect();
    let mut counts = HashMap::<u32, u64>::new();
    for user in lines.iter().filter_map(|(_, gone)| *gone) {
        *counts.entry(user).or_default() += 1;
    }
    let mut still = counts.clone();
    let mut left = Vec::with_capacity(text.len());
    for (number, (line, gone)) in (first..).zip(lines) {
        let Some(user) = gone else {
            left.extend_from_slice(line);
            continue;
        };
        let more = still.entry(user).or_default();
        *more = more.saturating_sub(1);
        if *more == 0 {
            let time = serde_json::from_slice::<LogEntry>(line).map(|entry| entry.time);
            let told = LogEntry {
                number,
                time: time.unwrap_or_default(),
                data: Some(json!({ "UserId": user, "Count": counts.get(&user) })),
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
        let gone = HashSet::from([1]);
        let left = without(&text, 5, &gone).unwrap();
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
        assert!(weights.of_user(1) == 0 && weights.of_user(2) > 0);
        assert!(weights.is_of_no_other(&[2]) && !weights.is_of_no_other(&[3]));
        assert_eq!(weights.bytes(), left.len() as u64);
        assert_eq!(Weights::of(&text).thinned(&gone, &left), weights);
    }

    #[test]
    fn the_events_of_several_users_go_at_once_and_each_is_told() {
        let text = segment(&[Some(1), Some(3), Some(2), Some(3), Some(1)]);
        let left = without(&text, 5, &HashSet::from([1, 3])).unwrap();
        let kept: Vec<_> = entries(&left).collect();
        let numbers: Vec<u64> = kept.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [7, 8, 9]);
        assert_eq!(kept[1].data, Some(json!({ "UserId": 3, "Count": 2 })));
        assert_eq!(kept[2].data, Some(json!({ "UserId": 1, "Count": 2 })));
    }

    #[test]
    fn the_users_who_have_more_than_their_share_are_found() {
        let weights = [
            Weights::of(&segment(&[Some(1), Some(1), Some(2)])),
            Weights::of(&segment(&[Some(2), Some(2), Some(3), None])),
        ];
        let all: u64 = weights.iter().map(Weights::bytes).sum();
        let heavy = |most| Weights::heavy(weights.iter(), most);
        assert!(heavy(all).is_empty());
        assert_eq!(heavy(all - 1), [2]);
        // Of seven events there is room for four: one of no user, and one of each user.
        assert_eq!(heavy(all / 7 * 4 + 6), [2, 1]);
        assert_eq!(heavy(0).len(), 3);
        assert!(Weights::heavy([Weights::default()].iter(), 0).is_empty());
    }
}
