//! Networks of Linux: what an intent of `hcn` asks for, made of bridges, pairs of links, addresses, routes and rules.
//!
//! 1. `netlink` speaks with the kernel; [`link`](Link), `nft` have its words. 2. [`Host`] is the network namespace that
//!    networks are made in. 3. [`Bridge`], [`Port`], [`Inside`], [`Forwarding`] and [`Rules`] are the parts, each with
//!    check, apply and undo. 4. [`make_network`], [`attach`] and their opposites put parts together; [`forget`] goes with
//!    an address that is given back. 5. [`survey`] compares what is there with an intent, after a restart or when rules of
//!    others got in the way.
//!
//! Everything a container needs hangs on its network namespace and goes with it: its links, addresses and routes. What
//! stays are bridges, tables and settings of the host: they are found by name and alias, and swept when no record asks
//! for them. Nothing is remembered here: an object's alias is on its links, and the intent says the rest.

#![forbid(unsafe_code)]

mod assembly;
mod conntrack;
mod failure;
mod host;
mod link;
mod namespace;
mod netlink;
mod nft;
mod parts;
mod survey;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use assembly::{attach, detach, make_network, remove_network, write_rules};
pub use conntrack::forget;
pub use host::Host;
pub use link::{Link, Route};
pub use netlink::NetlinkError;
pub use nft::Rules;
pub use parts::{Bridge, Former, Forwarding, Inside, Part, Port};
pub use survey::{Stray, Survey, survey, sweep};
