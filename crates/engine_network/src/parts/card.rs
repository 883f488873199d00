//! [`Card`]: an endpoint that is a network card of a virtual machine. Its link on the host is one of the driver `tun`,
//! whose frames are those of a descriptor that the machine has.
//!
//! The link goes with the last such descriptor, so it is made by what hands that to the machine. Here it becomes a port
//! of the bridge, as the end of a container's pair does. What is inside of the guest is the guest's: what it may send
//! and receive is decided at its port ([`crate::set_card_rules`]).

use hcn::intent::EndpointIntent;
use hcs_schema::Failure;

use super::{Part, port};
use crate::{host::Host, link, neighbours, netlink::Batch};

const NEEDS: &str = "links of the driver tun (module tun)";

/// An endpoint's card.
#[derive(Clone, Copy, Debug)]
pub struct Card<'a>(pub &'a EndpointIntent);

impl Card<'_> {
    /// Whether its link is there.
    ///
    /// # Errors
    /// A link of another program has its name.
    pub fn is_there(&self, host: &mut Host) -> Result<bool, Failure> {
        port::found(host, self.0).map(|found| found.is_some())
    }
}

impl Part for Card<'_> {
    fn check(&self, host: &mut Host) -> Result<(), Failure> {
        self.is_there(host).map(drop)
    }

    fn apply(&self, host: &mut Host) -> Result<(), Failure> {
        let endpoint = self.0;
        let bridge = port::bridge_of(host, endpoint)?;
        port::set_up(host, endpoint, bridge.index)?;
        let mut batch = Batch::default();
        link::look_at(&mut batch, &endpoint.link);
        link::look_at(&mut batch, &endpoint.bridge);
        for (address, _) in &endpoint.addresses {
            neighbours::tell(&mut batch, bridge.index, *address, endpoint.mac);
        }
        let doing = format!("setting up the link {}", endpoint.link);
        host.run(&doing, NEEDS, batch)
    }

    fn undo(&self, host: &mut Host) -> Result<(), Failure> {
        port::remove(host, self.0)
    }
}
