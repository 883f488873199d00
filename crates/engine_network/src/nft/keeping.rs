//! What rules have noted in sets is kept where the rules are written anew.
//!
//! A table that is removed takes with it how many ports of the host each endpoint has ([`lending`]). Any user can bring
//! that about, by a network that comes and goes. So the table stays, with those sets, and all else in it is replaced.
//! The comment of a table is the one that it was made with: the digest of what it holds is the name of a chain then.

use super::{
    contents::Owned,
    lending,
    tables::{SUBSYSTEM, Table},
};
use crate::netlink::Batch;

const DELETE_CHAIN: u16 = SUBSYSTEM | 5;
const DELETE_RULE: u16 = SUBSYSTEM | 8;
const DELETE_SET: u16 = SUBSYSTEM | 11;

/// How the name of the chain begins that is the digest of its table.
const MARK: &str = "hcs-";

/// What is to be removed from a table that stays.
#[derive(Debug, Default)]
pub(super) struct Former {
    chains: Vec<String>,
    sets: Vec<String>,
}

/// The digest that a table with this chain was written with.
pub(super) fn digest_of(chain: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(chain.strip_prefix(MARK.as_bytes())?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

impl Former {
    /// Of a table with these chains and sets; `None` where there is nothing in it that is to be kept.
    pub(super) fn of(chains: &[Owned], sets: &[Owned]) -> Option<Self> {
        let names = |all: &[Owned], kind: u16| -> Vec<String> {
            let name = |one: &Owned| String::from_utf8_lossy(one.name(kind)).into_owned();
            all.iter().map(name).collect()
        };
        let (kept, sets): (Vec<_>, Vec<_>) = names(sets, 2)
            .into_iter()
            .partition(|set| lending::SETS.contains(&&**set));
        let chains = names(chains, 3);
        (!kept.is_empty()).then_some(Self { chains, sets })
    }
}

impl Table<'_> {
    /// Puts all of it in the place of what is there, but for what rules have noted.
    pub(super) fn replace_around(self, batch: &mut Batch, former: &Former) {
        let (header, table) = (self.header(), self.name());
        let what = |what: &str, name: &str| format!("removing the {what} {name} of rules");
        batch.message(
            what("contents of the table", table),
            DELETE_RULE,
            0,
            &header,
            |batch| {
                batch.text(1, table);
            },
        );
        for set in &former.sets {
            batch.message(what("set", set), DELETE_SET, 0, &header, |batch| {
                batch.text(1, table).text(2, set);
            });
        }
        for chain in &former.chains {
            batch.message(what("chain", chain), DELETE_CHAIN, 0, &header, |batch| {
                batch.text(1, table).text(3, chain);
            });
        }
        self.new_chain(batch, &format!("{MARK}{:016x}", self.digest()));
        batch.append(self.into_batch());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_a_table_is_its_digest() {
        for digest in [0, 0x1234, u64::MAX] {
            let mark = format!("{MARK}{digest:016x}");
            assert_eq!(digest_of(mark.as_bytes()), Some(digest));
        }
        for chain in ["lending", "hcs-", "hcs-x", "forwarding"] {
            assert_eq!(digest_of(chain.as_bytes()), None);
        }
    }
}
