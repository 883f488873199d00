//! The order of calls: a user after the other, of each user a connection after the other, of each connection the
//! oldest first.
//!
//! So what one user waits for is one thing of each other user, by however many connections those ask. What a connection
//! waits for beyond that is one thing of each other connection of its user.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
};

use hcs_wire::subordinate::holder;

/// The owner of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    pub(crate) uid: u32,
    /// Its number among all connections there have been.
    pub(crate) connection: u64,
}

impl Who {
    /// The service itself, beside all users: no user has this number.
    pub(crate) const SERVICE: Self = Self {
        uid: u32::MAX,
        connection: 0,
    };

    /// The user `uid`, for what no connection asks for: none has this number.
    pub(crate) fn of_user(uid: u32) -> Self {
        Self {
            uid: holder(uid),
            connection: 0,
        }
    }
}

/// Owners in turn, each with what waits.
#[derive(Debug)]
struct Rounds<K, Q> {
    /// The next owner first. An owner that has nothing any more may still stand here.
    order: VecDeque<K>,
    of: HashMap<K, Q>,
}

impl<K, Q> Default for Rounds<K, Q> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            of: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, Q: Default> Rounds<K, Q> {
    /// What waits of `owner`, who is the last of this round if it has not been in it.
    fn enter(&mut self, owner: K) -> &mut Q {
        if !self.of.contains_key(&owner) {
            self.order.push_back(owner);
        }
        self.of.entry(owner).or_default()
    }

    /// Has `take` take of the owner whose turn it is; `is_over` says that nothing of it is left.
    fn next<T>(
        &mut self,
        take: impl FnOnce(&mut Q) -> Option<T>,
        is_over: impl FnOnce(&Q) -> bool,
    ) -> Option<T> {
        let owner = self.order.pop_front()?;
        let queue = self.of.get_mut(&owner)?;
        let taken = take(queue);
        match is_over(queue) {
            true => drop(self.of.remove(&owner)),
            false => self.order.push_back(owner),
        }
        taken
    }

    /// Forgets `owner`, of whom nothing is left. That takes a look at each owner.
    fn forget(&mut self, owner: K) {
        self.of.remove(&owner);
        self.order.retain(|other| *other != owner);
    }
}

/// What waits of one connection, in the order of asking.
type OfConnection<T> = BTreeMap<u64, T>;

/// What waits, in the order of the module.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    users: Rounds<u32, Rounds<u64, OfConnection<T>>>,
    asked: u64,
    count: usize,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            users: Rounds::default(),
            asked: 0,
            count: 0,
        }
    }
}

impl<T> Waiting<T> {
    /// Lets `what` wait; returns the number to take it out by.
    pub(crate) fn push(&mut self, who: Who, what: T) -> u64 {
        self.asked += 1;
        self.count += 1;
        let of_user = self.users.enter(who.uid);
        of_user.enter(who.connection).insert(self.asked, what);
        self.asked
    }

    /// Takes the next one out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let next = self.users.next(
            |connections| {
                connections.next(
                    |own| own.pop_first().map(|(_, what)| what),
                    BTreeMap::is_empty,
                )
            },
            |connections| connections.of.is_empty(),
        );
        self.count -= usize::from(next.is_some());
        next
    }

    /// Takes one out that does not wait any more.
    pub(crate) fn remove(&mut self, who: Who, number: u64) -> Option<T> {
        let of_user = self.users.of.get_mut(&who.uid)?;
        let own = of_user.of.get_mut(&who.connection)?;
        let removed = own.remove(&number)?;
        self.count -= 1;
        if own.is_empty() {
            of_user.forget(who.connection);
        }
        if of_user.of.is_empty() {
            self.users.forget(who.uid);
        }
        Some(removed)
    }

    /// How many of one owner wait.
    pub(crate) fn count_of(&self, who: Who) -> usize {
        let of_user = self.users.of.get(&who.uid);
        let own = of_user.and_then(|of_user| of_user.of.get(&who.connection));
        own.map_or(0, BTreeMap::len)
    }

    /// Whether anything waits of that connection.
    pub(crate) fn has(&self, who: Who) -> bool {
        self.count_of(who) > 0
    }

    /// How many wait.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn who(uid: u32, connection: u64) -> Who {
        Who { uid, connection }
    }

    #[test]
    fn a_user_of_many_connections_has_as_many_turns_as_one_of_a_single_one() {
        let mut waiting = Waiting::default();
        for call in 0..10 {
            for connection in 0..50 {
                waiting.push(who(1, connection), (1, connection, call));
            }
        }
        for call in 0..10 {
            waiting.push(who(2, 99), (2, 99, call));
        }
        let order: Vec<_> = std::iter::from_fn(|| waiting.pop()).collect();
        let of_other: Vec<usize> = (0..order.len()).filter(|at| order[*at].0 == 2).collect();
        assert_eq!(
            of_other,
            (0..10).map(|call| 2 * call + 1).collect::<Vec<_>>()
        );
        let of_first: Vec<_> = order.iter().filter(|(uid, ..)| *uid == 1).collect();
        for (at, (_, connection, call)) in of_first.iter().enumerate() {
            assert_eq!((at as u64 % 50, at as u64 / 50), (*connection, *call));
        }
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_behind() {
        let mut waiting = Waiting::default();
        for round in 0..1000_u64 {
            let number = waiting.push(who(1, round), round);
            assert_eq!(waiting.remove(who(1, round), number), Some(round));
            assert_eq!(waiting.remove(who(1, round), number), None);
        }
        assert!(
            waiting.is_empty() && waiting.users.of.is_empty() && waiting.users.order.is_empty()
        );
        assert_eq!(waiting.pop(), None);
    }

    /// What may happen.
    #[derive(Clone, Debug)]
    enum Happens {
        Push(u32, u64),
        Pop,
        Remove(usize),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            3 => (0..3_u32, 0..3_u64).prop_map(|(uid, connection)| Happens::Push(uid, connection)),
            2 => Just(Happens::Pop),
            1 => (0..64_usize).prop_map(Happens::Remove),
        ]
    }

    proptest! {
        /// Each comes out once, the oldest of its connection first, and no owner is counted twice.
        #[test]
        fn nothing_is_lost_or_given_twice(steps in prop::collection::vec(happens(), 1..200)) {
            let mut waiting = Waiting::default();
            let mut model: Vec<(Who, u64)> = Vec::new();
            let mut next = 0;
            for step in steps {
                match step {
                    Happens::Push(uid, connection) => {
                        next += 1;
                        let who = who(uid, connection);
                        prop_assert_eq!(waiting.push(who, (who, next)), next);
                        model.push((who, next));
                    }
                    Happens::Pop => match waiting.pop() {
                        Some((who, number)) => {
                            let first = model.iter().position(|(other, _)| *other == who).unwrap();
                            prop_assert_eq!(model.remove(first).1, number);
                        }
                        None => prop_assert!(model.is_empty()),
                    },
                    Happens::Remove(at) if !model.is_empty() => {
                        let (who, number) = model.remove(at % model.len());
                        prop_assert_eq!(waiting.remove(who, number), Some((who, number)));
                    }
                    Happens::Remove(_) => {}
                }
                prop_assert_eq!(waiting.is_empty(), model.is_empty());
                let of_one = model.iter().filter(|(other, _)| *other == who(1, 1)).count();
                prop_assert_eq!(waiting.count_of(who(1, 1)), of_one);
                prop_assert_eq!(waiting.users.order.len(), waiting.users.of.len());
            }
        }
    }
}
