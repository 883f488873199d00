//! The parts, each with its own check, apply and undo.
//!
//! 1. [`Bridge`] is a network; one on an adapter of the host has none ([`adapter`]), and one over other hosts has a
//!    port to them ([`tunnel`]). 2. [`Port`] is an endpoint's pair of links, seen from the host. 3. [`Inside`] is its
//!    far end, seen from the container. [`Card`] is an endpoint that is a card of a virtual machine. 4. [`Forwarding`]
//!    is what the host has to be set to. Rules are a part, too, but of all networks together: see `crate::nft`.

pub(crate) mod adapter;
mod bridge;
mod card;
mod forwarding;
mod inside;
pub(crate) mod port;
pub(crate) mod tunnel;

pub use bridge::Bridge;
pub use card::Card;
pub use forwarding::{Former, Forwarding};
pub(crate) use inside::Before;
pub use inside::Inside;
pub use port::Port;

use hcs_schema::Failure;
use rustix::io::Errno;

use crate::{
    failure::failed,
    host::Host,
    link::{self, Link},
    netlink::{Batch, Socket},
};

/// Removes a link of ours. One that has gone meanwhile, with its namespace or by another program, is removed.
fn remove_link(
    socket: &mut Socket,
    found: &Link,
    (doing, needs): (&str, &str),
) -> Result<(), Failure> {
    let mut batch = Batch::default();
    link::remove(&mut batch, &found.name, found.index);
    match socket.run(batch) {
        Err(error) if error.errno() == Some(Errno::NODEV) => Ok(()),
        done => done.map_err(|error| failed(doing, needs, &error)),
    }
}

/// Something that is made in the host's network.
pub trait Part {
    /// Whether it can be made: what has its name is of this service, or not there. Changes nothing.
    ///
    /// # Errors
    /// What is in the way, or what the kernel lacks.
    fn check(&self, host: &mut Host) -> Result<(), Failure>;

    /// Makes it, or what is missing of it. What is there already is left as it is.
    ///
    /// # Errors
    /// The step that failed. What was made until then stays, for [`Part::undo`].
    fn apply(&self, host: &mut Host) -> Result<(), Failure>;

    /// Removes it, or what there is of it.
    ///
    /// # Errors
    /// The step that failed.
    fn undo(&self, host: &mut Host) -> Result<(), Failure>;
}
