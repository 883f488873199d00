//! The loopback interface of a network namespace, which is down at first.

use std::os::fd::BorrowedFd;

use hcs_schema::Failure;

use crate::{
    failure::failed,
    link,
    namespace::sockets_in,
    netlink::{Batch, NetlinkError, Socket},
    nft,
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

/// Has what is for 127.0.0.0/8 leave a network namespace by no link, whatever link a socket is bound to.
///
/// # Errors
/// The kernel has no nf_tables, or refuses: it takes the capability `CAP_NET_ADMIN` there.
pub fn keep_loopback_inside(namespace: BorrowedFd<'_>) -> Result<(), Failure> {
    let [_, mut filter] = sockets_in(namespace)?;
    nft::keep_loopback_inside(&mut filter).map_err(|error| {
        failed(
            "keeping loopback of a container inside",
            "nf_tables",
            &error,
        )
    })
}
