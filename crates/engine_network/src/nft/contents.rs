//! What a table holds, as one number: it is written with the table, and compared with what is there later.
//!
//! A name tells nothing: a table may have been flushed, or one of its rules replaced or removed, by an administrator or
//! by a program that takes all rules for its own. So each rule carries a digest of its expressions as its comment, and
//! each table one of all of its chains, rules and elements. The kernel gives them back as they were written.

use std::collections::{BTreeMap, BTreeSet};

use hcs_schema::fnv;
use rustix::io::Errno;

use super::{
    keeping::{Former, digest_of},
    tables::{BRIDGE, FILLED_BY_RULES, INET, SUBSYSTEM},
};
use crate::{
    netlink::{
        NetlinkError, Socket,
        parse::{Attributes, Message, number},
    },
    settings::{self, Family},
};

const GET_TABLE: u16 = SUBSYSTEM | 1;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const GET_RULE: u16 = SUBSYSTEM | 7;
const GET_SET: u16 = SUBSYSTEM | 10;
const GET_ELEMENTS: u16 = SUBSYSTEM | 13;

/// The verdict of a chain whose rules give none: packets pass.
const ACCEPT: [u8; 4] = [0, 0, 0, 1];

/// What a table holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Each with its length before its parts, in any order.
    items: BTreeSet<Vec<u8>>,
    /// Rules so far of each chain, whose order counts.
    rules: BTreeMap<Vec<u8>, u32>,
}

impl Contents {
    /// Those of an empty table. Whether the host forwards as a whole belongs to a table of connections: interfaces that
    /// forward because of us are guarded until another program has all of them forward.
    pub(super) fn new(family: u8) -> Self {
        let mut contents = Self::default();
        if family == INET {
            let forwards = settings::forwards_as_a_whole(Family::V4);
            contents.item(&[b"forwards", &[forwards.into()]]);
        }
        contents
    }

    fn item(&mut self, parts: &[&[u8]]) {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend(part.len().to_be_bytes());
            bytes.extend(*part);
        }
        self.items.insert(bytes);
    }

    pub(super) fn chain(&mut self, chain: &str) {
        self.item(&[b"chain", chain.as_bytes(), &ACCEPT]);
    }

    /// Adds a rule; gives the comment that it carries.
    pub(super) fn rule(&mut self, chain: &str, expressions: &[u8]) -> Vec<u8> {
        let comment = comment(fnv::hash(fnv::BASIS, expressions));
        self.commented(chain.as_bytes(), &comment);
        comment
    }

    fn commented(&mut self, chain: &[u8], comment: &[u8]) {
        let count = self.rules.entry(chain.to_owned()).or_default();
        *count += 1;
        let place = count.to_be_bytes();
        self.item(&[b"rule", chain, &place, comment]);
    }

    pub(super) fn element(&mut self, set: &str, key: &[u8], data: &[u8], is_end: bool) {
        self.item(&[b"element", set.as_bytes(), key, data, &[is_end.into()]]);
    }

    pub(super) fn digest(&self) -> u64 {
        self.items
            .iter()
            .fold(fnv::BASIS, |so_far, item| fnv::hash(so_far, item))
    }

    /// Those of a table that is there, without the elements of sets that rules fill.
    fn read(socket: &mut Socket, family: u8, table: &str) -> Result<Self, NetlinkError> {
        let mut contents = Self::new(family);
        let of_table = |kind: u16, what: &str, socket: &mut Socket| {
            of_table(socket, (family, table), kind, what)
        };
        for chain in of_table(GET_CHAIN, "listing chains of rules", socket)? {
            if digest_of(chain.name(3)).is_some() {
                continue;
            }
            let verdict = chain.find(5).unwrap_or(&ACCEPT);
            contents.item(&[b"chain", chain.name(3), verdict]);
        }
        for rule in of_table(GET_RULE, "listing rules", socket)? {
            contents.commented(rule.name(2), rule.find(7).unwrap_or_default());
        }
        for set in of_table(GET_SET, "listing sets of rules", socket)? {
            let flags = set.find(3).and_then(|flags| flags.try_into().ok());
            let flags = flags.map_or(0, u32::from_be_bytes);
            if flags & FILLED_BY_RULES != 0 {
                continue;
            }
            for element in elements(socket, family, table, set.name(2))? {
                let Element { key, data, is_end } = &element;
                contents.item(&[b"element", set.name(2), key, data, &[(*is_end).into()]]);
            }
        }
        Ok(contents)
    }
}

/// All of one kind that a table has.
fn of_table(
    socket: &mut Socket,
    (family, table): (u8, &str),
    kind: u16,
    what: &str,
) -> Result<Vec<Owned>, NetlinkError> {
    let name = [table.as_bytes(), &[0]].concat();
    socket.dump_of(
        what,
        kind,
        &[family, 0, 0, 0],
        |batch| {
            batch.text(1, table);
        },
        move |message| own(message, &name),
    )
}

/// What is to be removed from a table so that what rules have noted stays; `None` where it is not there, asleep, or has
/// noted nothing.
pub(super) fn former(
    socket: &mut Socket,
    family: u8,
    table: &str,
) -> Result<Option<Former>, NetlinkError> {
    if written(socket, family, table)?.is_none() {
        return Ok(None);
    }
    let place = (family, table);
    let chains = of_table(socket, place, GET_CHAIN, "listing chains of rules")?;
    let sets = of_table(socket, place, GET_SET, "listing sets of rules")?;
    Ok(Former::of(&chains, &sets))
}

/// The attributes of a message.
pub(super) struct Owned(Vec<u8>);

impl Owned {
    fn find(&self, kind: u16) -> Option<&[u8]> {
        Attributes::of(&self.0).find(kind)
    }

    /// A name, without the zero behind it.
    pub(super) fn name(&self, kind: u16) -> &[u8] {
        let name = self.find(kind).unwrap_or_default();
        name.strip_suffix(&[0]).unwrap_or(name)
    }
}

/// A message about something in the table `name`: kernels give that of all tables for some kinds.
fn own(message: &Message<'_>, name: &[u8]) -> Option<Owned> {
    let attributes = message.body.get(4..)?;
    let found = Attributes::of(attributes).find(1)?;
    (found == name).then(|| Owned(attributes.to_vec()))
}

/// An element of a set.
struct Element {
    key: Vec<u8>,
    data: Vec<u8>,
    is_end: bool,
}

fn elements(
    socket: &mut Socket,
    family: u8,
    table: &str,
    set: &[u8],
) -> Result<Vec<Element>, NetlinkError> {
    let all = socket.dump_of(
        "listing elements of a set of rules",
        GET_ELEMENTS,
        &[family, 0, 0, 0],
        |batch| {
            batch.text(1, table).bytes(2, &[set, &[0]].concat());
        },
        read_elements,
    )?;
    Ok(all.into_iter().flatten().collect())
}

fn read_elements(message: &Message<'_>) -> Option<Vec<Element>> {
    let list = Attributes::of(message.body.get(4..)?).find(3)?;
    let elements = Attributes::of(list).map_while(Result::ok);
    let value = |attributes: &Attributes<'_>, kind: u16| {
        let inner = attributes.find(kind).map(Attributes::of);
        inner.and_then(|inner| inner.find(1)).map(<[u8]>::to_vec)
    };
    let read = |(_, element): (u16, &[u8])| {
        let attributes = Attributes::of(element);
        let flags = attributes.find(3).unwrap_or_default();
        Some(Element {
            key: value(&attributes, 1)?,
            data: value(&attributes, 2).unwrap_or_default(),
            is_end: flags.last().is_some_and(|flags| flags & 1 != 0),
        })
    };
    Some(elements.filter_map(read).collect())
}

/// Whether both tables are there with all that was written into them.
pub(crate) fn are_there(socket: &mut Socket, table: &str) -> Result<bool, NetlinkError> {
    unless_gone(match is_there(socket, INET, table) {
        Ok(true) => is_there(socket, BRIDGE, table),
        other => other,
    })
}

/// `found`, where what went away while it was looked at is not there.
pub(super) fn unless_gone(found: Result<bool, NetlinkError>) -> Result<bool, NetlinkError> {
    found.or_else(|error| match error.errno() {
        Some(Errno::NOENT) => Ok(false),
        _ => Err(error),
    })
}

/// Whether a table is there, awake, and holds what `digest` tells, whatever it was written with.
pub(super) fn holds(
    socket: &mut Socket,
    family: u8,
    table: &str,
    digest: u64,
) -> Result<bool, NetlinkError> {
    if written(socket, family, table)?.is_none() {
        return Ok(false);
    }
    Ok(Contents::read(socket, family, table)?.digest() == digest)
}

/// The table of this name, if it is there.
fn found(socket: &mut Socket, family: u8, table: &str) -> Result<Option<Owned>, NetlinkError> {
    let name = [table.as_bytes(), &[0]].concat();
    let tables = socket.dump(
        "listing tables of rules",
        GET_TABLE,
        &[family, 0, 0, 0],
        |message| (message.body.first() == Some(&family)).then(|| own(message, &name))?,
    )?;
    Ok(tables.into_iter().next())
}

/// The names of tables that begin so.
pub(super) fn tables(
    socket: &mut Socket,
    family: u8,
    beginning: &str,
) -> Result<Vec<String>, NetlinkError> {
    let read = |message: &Message<'_>| {
        let (of, attributes) = (message.body.first()?, message.body.get(4..)?);
        let name = Owned(attributes.to_vec());
        let name = std::str::from_utf8(name.name(1)).ok()?;
        (*of == family && name.starts_with(beginning)).then(|| name.to_owned())
    };
    socket.dump(
        "listing tables of rules",
        GET_TABLE,
        &[family, 0, 0, 0],
        read,
    )
}

/// Interfaces that forward only because of other services' networks: their tables guard them.
pub(crate) fn guarded_by_others(
    socket: &mut Socket,
    own: &str,
) -> Result<BTreeSet<String>, NetlinkError> {
    // As the names of services begin.
    const SERVICES: &str = "hcs";
    let mut guarded = BTreeSet::new();
    for table in tables(socket, INET, SERVICES)? {
        if table == own {
            continue;
        }
        match elements(socket, INET, &table, b"guarded") {
            Ok(found) => guarded.extend(found.iter().map(|element| interface_of(&element.key))),
            // A table of single endpoints has no such set, and one may go meanwhile.
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(guarded)
}

/// The name that a key of an interface is.
fn interface_of(key: &[u8]) -> String {
    let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Whether a table of this name is there, with whatever in it.
pub(super) fn has_table(
    socket: &mut Socket,
    family: u8,
    table: &str,
) -> Result<bool, NetlinkError> {
    found(socket, family, table).map(|found| found.is_some())
}

fn is_there(socket: &mut Socket, family: u8, table: &str) -> Result<bool, NetlinkError> {
    let Some(written) = written(socket, family, table)? else {
        return Ok(false);
    };
    let there = Contents::read(socket, family, table)?.digest();
    Ok(written == comment(there))
}

/// Whether a table is there with all that it is to hold, which `digest` tells.
pub(super) fn is_as(
    socket: &mut Socket,
    family: u8,
    table: &str,
    digest: u64,
) -> Result<bool, NetlinkError> {
    if written(socket, family, table)? != Some(comment(digest)) {
        return Ok(false);
    }
    is_there(socket, family, table)
}

/// The comment of a table that is there and awake, or what it would be had it been made with what is in it.
fn written(socket: &mut Socket, family: u8, table: &str) -> Result<Option<Vec<u8>>, NetlinkError> {
    const FLAGS: u16 = 2;
    const COMMENT: u16 = 6;
    let Some(found) = found(socket, family, table)? else {
        return Ok(None);
    };
    // A table can be put to sleep.
    let awake = found
        .find(FLAGS)
        .and_then(|flags| number(flags, 0))
        .unwrap_or(0)
        == 0;
    let made_with = found.find(COMMENT).filter(|_| awake).map(<[u8]>::to_vec);
    if made_with.is_none() {
        return Ok(None);
    }
    let chains = of_table(
        socket,
        (family, table),
        GET_CHAIN,
        "listing chains of rules",
    )?;
    let digest = chains.iter().find_map(|chain| digest_of(chain.name(3)));
    Ok(digest.map(comment).or(made_with))
}

/// A comment, as the program `nft` shows it: a kind, a length, a text with a zero behind it.
pub(super) fn comment(digest: u64) -> Vec<u8> {
    const KIND: u8 = 0;
    let text = format!("hcs {digest:016x}\0");
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[KIND, length], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_tell_order_of_rules_and_not_of_elements() {
        let of = |rules: [&[u8]; 2], keys: [&[u8]; 2]| {
            let mut contents = Contents::default();
            contents.chain("chain");
            for rule in rules {
                contents.rule("chain", rule);
            }
            for key in keys {
                contents.element("set", key, b"", false);
            }
            contents.digest()
        };
        let usual = of([b"a", b"b"], [b"c", b"d"]);
        assert_eq!(usual, of([b"a", b"b"], [b"d", b"c"]));
        assert_ne!(usual, of([b"b", b"a"], [b"c", b"d"]));
        assert_ne!(usual, of([b"a", b"b"], [b"c", b"e"]));
        assert_ne!(usual, of([b"a", b"b"], [b"c", b"c"]));
    }
}
