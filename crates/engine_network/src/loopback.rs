//! The loopback interface of a network namespace, which is down at first.

use hcs_schema::Failure;

use crate::{
    failure::failed,
    link,
    netlink::{Batch, NetlinkError, Socket},
};

/// Sets the interface `lo` of the calling thread's network namespace up; the kernel gives it its addresses then.
///
/// # Errors
/// The kernel has no netlink, or refuses: it takes the capability `CAP_NET_ADMIN`.
pub fn set_loopback_up() -> Result<(), Failure> {
    let done = || -> Result<(), NetlinkError> {
        let mut batch = Batch::default();
        link::set_up(&mut batch, "lo");
        Socket::route()?.run(batch)
    };
    done().map_err(|error| failed("setting up the loopback interface", "networks", &error))
}
