//! The vocabulary and the model of the Host Compute Network service. Pure: no I/O, no clock, no chance.
//!
//! 1. [`documents`] has the JSON documents of schema 2 and of version 1; [`coverage`] says which of their properties
//!    have an effect on Linux, and refuses the others by pointer.
//! 2. [`State`] holds networks, endpoints, namespaces and load balancers. Its functions are the calls of the API: each
//!    reads a document and either changes the state and says how ([`Changes`]), or refuses and changes nothing.
//! 3. [`plan`] gives addresses: a subnet for a network without one, an address and a hardware address for an endpoint.
//! 4. [`intent`] says what a state asks of the kernel: links, addresses, routes, rules. An engine makes it so.
//! 5. [`ErrorRecord`](error_record) is what a client gets with a refusal, in place of `ResultError`. [`hns`]: requests
//!    of version 1, by method and path.
//!
//! ```
//! use hcn::{Guid, State, Surroundings};
//!
//! let mut state = State::default();
//! let settings = r#"{"SchemaVersion": {"Major": 2, "Minor": 0}, "Name": "nat", "Type": "NAT"}"#;
//! let made = state.create_network(Guid(1), settings, &Surroundings::default())?;
//! let asked = state.query_network(made.id, r#"{"SchemaVersion": {"Major": 2}}"#)?;
//! assert!(asked.contains("IpAddressPrefix"));
//!
//! let settings = r#"{"SchemaVersion": {"Major": 2, "Minor": 0}, "Name": "far", "Type": "L2Tunnel"}"#;
//! let failure = state.create_network(Guid(2), settings, &Surroundings::default()).unwrap_err();
//! assert_eq!(failure.causes[0].pointer.as_deref(), Some("/Type"));
//! # Ok::<(), hcs_schema::Failure>(())
//! ```

#![forbid(unsafe_code)]

mod access;
pub mod address;
mod counters;
pub mod coverage;
pub mod documents;
pub mod error_record;
mod guid;
pub mod hns;
pub mod intent;
mod model;
pub mod plan;
mod reading;
mod sets;
mod version1;

pub use access::{AccessRule, Action, Addresses, Tier};
pub use address::{Mac, Prefix};
pub use counters::Counters;
pub use guid::{Guid, NotAGuid};
pub use model::{
    BalancedPort, Changes, DEFAULT_SWITCH, Endpoint, Fabric, Lease, LoadBalancer,
    MOST_ACCESS_RULES_OF_ALL, MOST_BALANCED_PORTS, MOST_BALANCERS, MOST_ENDPOINTS,
    MOST_MAPPINGS_OF_ALL, MOST_MEMBERS_OF_ALL, MOST_OBJECTS, MOST_PEERS_OF_ALL, Mapping, Namespace,
    Network, Notification, NotificationType, Object, Outbound, Protocol, Proxy, Record,
    RemoteSubnet, Spread, State, Surroundings, Terms, Tunnel,
};
pub use sets::Range;
