//! [`List`]: an access control list of a file (`acl(5)`). Pure.

use std::collections::BTreeMap;

/// The right to read.
pub const READ: u8 = 4;
/// The right to write.
pub const WRITE: u8 = 2;

/// All rights.
const ALL: u8 = 7;

/// The version of the format, which the attribute begins with.
const VERSION: u32 = 2;

/// Kinds of entries.
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;
/// The id of an entry that names none.
const NAMELESS: u32 = u32::MAX;

/// A user or group with an entry of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A user.
    User(u32),
    /// A group.
    Group(u32),
}

/// A list. What the mask takes away of an entry was taken away when it was read, so entries are what they permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    owner: u8,
    group: u8,
    others: u8,
    named: BTreeMap<Holder, u8>,
}

impl List {
    /// The list that a mode stands for.
    #[must_use]
    pub fn of_mode(mode: u32) -> Self {
        let rights = |shift: u32| (mode >> shift).to_le_bytes()[0] & ALL;
        Self {
            owner: rights(6),
            group: rights(3),
            others: rights(0),
            named: BTreeMap::new(),
        }
    }

    /// Reads the attribute's bytes. `None` for those that are no list.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk()?;
        let (entries, rest) = entries.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !rest.is_empty() {
            return None;
        }
        let (mut plain, mut named) = (BTreeMap::new(), BTreeMap::new());
        for [k0, k1, r0, r1, id @ ..] in entries {
            let (kind, id) = (u16::from_le_bytes([*k0, *k1]), u32::from_le_bytes(*id));
            let rights = u8::try_from(u16::from_le_bytes([*r0, *r1])).ok()?;
            let before = match kind {
                USER => named.insert(Holder::User(id), rights),
                GROUP => named.insert(Holder::Group(id), rights),
                OWNER | OWNING_GROUP | MASK | OTHERS => plain.insert(kind, rights),
                _ => return None,
            };
            if before.is_some() || rights > ALL {
                return None;
            }
        }
        let mask = plain.get(&MASK).copied();
        if mask.is_none() && !named.is_empty() {
            return None;
        }
        let mask = mask.unwrap_or(ALL);
        named.values_mut().for_each(|rights| *rights &= mask);
        Some(Self {
            owner: *plain.get(&OWNER)?,
            group: plain.get(&OWNING_GROUP)? & mask,
            others: *plain.get(&OTHERS)?,
            named,
        })
    }

    /// The attribute's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        let mut entry = |kind: u16, rights: u8, id: u32| {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(u16::from(rights).to_le_bytes());
            bytes.extend(id.to_le_bytes());
        };
        // In the order that the kernel asks for.
        entry(OWNER, self.owner, NAMELESS);
        for (holder, rights) in &self.named {
            if let Holder::User(id) = holder {
                entry(USER, *rights, *id);
            }
        }
        entry(OWNING_GROUP, self.group, NAMELESS);
        for (holder, rights) in &self.named {
            if let Holder::Group(id) = holder {
                entry(GROUP, *rights, *id);
            }
        }
        if !self.named.is_empty() {
            // No less than each entry has, and no more.
            let mask = self.named.values().fold(self.group, |mask, one| mask | one);
            entry(MASK, mask, NAMELESS);
        }
        entry(OTHERS, self.others, NAMELESS);
        bytes
    }

    /// Gives `holder` these rights beside those it has.
    pub fn grant(&mut self, holder: Holder, rights: u8) {
        *self.named.entry(holder).or_default() |= rights & ALL;
    }

    /// The rights that `holder` has by name; `None` without an entry.
    #[must_use]
    pub fn named(&self, holder: Holder) -> Option<u8> {
        self.named.get(&holder).copied()
    }

    /// Takes all that `holder` was given by name.
    pub fn revoke(&mut self, holder: Holder) {
        self.named.remove(&holder);
    }

    /// Whether a process of that user and these groups has all `wanted` rights to a file of such an owner and group, as
    /// the kernel decides it.
    #[must_use]
    pub fn permits(
        &self,
        user: u32,
        groups: &[u32],
        (owner, group): (u32, u32),
        wanted: u8,
    ) -> bool {
        let has = |rights: u8| rights & wanted == wanted;
        if user == owner {
            return has(self.owner);
        }
        if let Some(rights) = self.named.get(&Holder::User(user)) {
            return has(*rights);
        }
        let of_group = groups.contains(&group).then_some(self.group);
        let named = groups
            .iter()
            .map(|id| self.named.get(&Holder::Group(*id)).copied());
        let mut of_groups = named.chain([of_group]).flatten().peekable();
        // One of a group has what one of its groups has, and never what others have.
        match of_groups.peek() {
            Some(_) => of_groups.any(has),
            None => has(self.others),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_list() -> impl Strategy<Value = List> {
        let holder = prop_oneof![
            (0..6_u32).prop_map(Holder::User),
            (0..6_u32).prop_map(Holder::Group)
        ];
        let named = prop::collection::btree_map(holder, 0..=ALL, 0..5);
        (0..=ALL, 0..=ALL, 0..=ALL, named).prop_map(|(owner, group, others, named)| List {
            owner,
            group,
            others,
            named,
        })
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_it_was_written(list in any_list()) {
            prop_assert_eq!(List::parse(&list.bytes()), Some(list));
        }

        #[test]
        fn bytes_are_a_list_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(list) = List::parse(&bytes) {
                prop_assert_eq!(List::parse(&list.bytes()), Some(list));
            }
        }

        /// What one is granted changes nothing for the others, and is gone when it is revoked.
        #[test]
        fn grants_are_one_holders_alone(list in any_list(), rights in 0..=ALL, user in 6..9_u32, wanted in 0..=ALL) {
            let holder = Holder::User(7);
            let before = list.permits(user, &[user], (1, 1), wanted);
            let mut granted = list.clone();
            granted.grant(holder, rights);
            let expected = if user == 7 { rights & wanted == wanted } else { before };
            prop_assert_eq!(granted.permits(user, &[user], (1, 1), wanted), expected);
            granted.revoke(holder);
            prop_assert_eq!(granted, list);
        }
    }

    #[test]
    fn the_mask_takes_from_all_but_owner_and_others() {
        let mut list = List::of_mode(0o640);
        list.grant(Holder::User(5), ALL);
        list.grant(Holder::Group(6), READ | WRITE);
        let mut bytes = list.bytes();
        let mask = bytes.len() - 16;
        assert_eq!(bytes[mask], 0x10);
        bytes[mask + 2] = READ;
        let list = List::parse(&bytes).unwrap();
        let owner = (0, 0);
        assert!(list.permits(5, &[5], owner, READ) && !list.permits(5, &[5], owner, WRITE));
        assert!(list.permits(9, &[6], owner, READ) && !list.permits(9, &[6], owner, WRITE));
        assert!(list.permits(0, &[0], owner, READ | WRITE));
        assert!(!list.permits(9, &[9], owner, READ), "others have nothing");
    }

    #[test]
    fn one_of_a_group_is_none_of_the_others() {
        let list = List::of_mode(0o604);
        assert!(list.permits(5, &[5], (0, 0), READ));
        assert!(!list.permits(5, &[5, 0], (0, 0), READ));
        assert!(!List::of_mode(0o044).permits(0, &[0], (0, 0), READ));
    }

    #[test]
    fn what_is_no_list_is_none() {
        let good = List::of_mode(0o644).bytes();
        assert!(List::parse(&good).is_some());
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            List::parse(&bytes)
        };
        assert_eq!(List::parse(&good[..good.len() - 1]), None);
        assert_eq!(List::parse(&good[..good.len() - 8]), None, "no others");
        assert_eq!(changed(0, 1), None, "another version");
        assert_eq!(changed(4, 0x40), None, "an unknown kind");
        assert_eq!(changed(4, 0x20), None, "others twice");
        assert_eq!(changed(6, 8), None, "a right that is none");
        assert_eq!(changed(4, 0x02), None, "a named user without a mask");
    }
}
