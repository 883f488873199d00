//! Networks with real traffic, in network namespaces that the tests make themselves: the host's own is never touched.
//!
//! 1. `world` makes a namespace in the host's place, one for the outside and one per container. 2. `traffic` sends TCP,
//!    UDP, ICMP and raw packets from any of them. 3. `cases` are the tests, and `upkeep` those of what goes on around
//!    networks: other programs, changes of what lives, hostile neighbours. `cards` are those of virtual machines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod adapters;
mod balancers;
mod balancers_6;
mod cards;
mod cases;
mod changes;
mod isolating;
mod judging;
mod lending;
mod loopback;
mod neighbours;
mod outbound;
mod overlays;
mod proxies;
mod repairs;
mod reports;
mod routes;
mod tiers;
mod traffic;
mod upkeep;
mod world;
