//! Networks of Linux: what an intent of `hcn` asks for, made of bridges, pairs of links, addresses, routes and rules.
//!
//! 1. `netlink` speaks with the kernel; [`link`](Link), `nft` have its words. 2. [`Host`] is the network namespace that
//!    networks are made in. 3. [`Bridge`], [`Port`], [`Inside`], [`Card`], [`Forwarding`] and [`Rules`] are the parts,
//!    each with check, apply and undo. 4. [`make_network`], [`attach`] and their opposites put parts together;
//!    [`forget`] goes with an address that is given back, [`forget_misled`] with a port that leads elsewhere. 5.
//!    [`survey()`] compares what is there with an intent, after a restart or when others got in the way;
//!    [`forget_unused`] goes with a restart. 6. [`GuestNetwork`] is the other side of a card: inside of a virtual
//!    machine, for its agent.
//!
//! Everything a container needs hangs on its network namespace and goes with it: its links, addresses and routes. What
//! stays are bridges, tables and settings of the host: they are found by name and alias, and swept when no record asks
//! for them. Nothing is remembered here: an object's alias is on its links, and the intent says the rest.

//! # In which order
//!
//! Records are written before the kernel is changed, so that what was made is always asked for by a record, or swept:
//! - **A network**: the model creates it; its record; [`make_network`]; [`Forwarding::check`] tells former settings,
//!   which go into a record; [`Forwarding::apply`]; [`write_rules`].
//! - **An endpoint in a namespace**: the model attaches it; its record; [`write_rules`], as a port that no rule knows
//!   is held to nothing; [`set_card_rules`] for the card of a virtual machine; [`attach`].
//! - **An endpoint that goes with its namespace**: [`take_leave`]; the namespace ends; what comes is as for another
//!   one.
//! - **An endpoint that goes**: [`detach`], or [`detach_from_adapter`] where it is on one of the host, and
//!   [`clear_access`], unless its namespace ends anyway; the model deletes it; [`write_rules`]; [`forget`] with its
//!   addresses; its record is removed.
//! - **A network that goes**: its endpoints; [`remove_network`]; [`write_rules`]; with the last one
//!   [`Forwarding::undo`].
//! - **After a restart**: records make up the state; [`survey()`] of its intent; [`make_network`] for bridges that are
//!   missing; [`sweep`] of strays; [`write_rules`]. Endpoints whose link is missing belong to a container that ended.
//!
//! All of it takes the capability `CAP_NET_ADMIN`, and for [`attach`] `CAP_SYS_ADMIN` as well, by which a thread enters
//! the container's namespace. A [`Host`] belongs to the namespace of the thread that opened it; [`Forwarding`] to that
//! of the thread that calls it.

#![forbid(unsafe_code)]

mod assembly;
mod conntrack;
mod counters;
mod failure;
mod guest;
mod host;
mod link;
mod loopback;
mod namespace;
mod neighbours;
mod netlink;
mod nft;
mod parts;
mod queue;
mod room;
mod settings;
mod survey;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use assembly::{
    attach, attach_card, attach_new, card_rules_are_there, clear_access, detach, make_network,
    release, remove_network, set_card_rules, set_port, take_leave, write_rules,
};
pub use conntrack::{forget, forget_misled, forget_unused};
pub use counters::{counters, counters_on_adapter};
pub use guest::{GuestCard, GuestNetwork, GuestRoute};
pub use host::Host;
pub use link::{Link, Route};
pub use loopback::{keep_loopback_inside, set_loopback_up};
pub use netlink::NetlinkError;
pub use nft::Rules;
pub use parts::adapter::{adapters, detach_from_adapter, is_on_adapter};
pub use parts::{Bridge, Card, Former, Forwarding, Inside, Part, Port};
pub use survey::{Stray, Survey, strays, survey, sweep};
