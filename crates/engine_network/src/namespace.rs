//! Sockets of other network namespaces. A thread of its own goes there and opens one; the caller's stays where it is.

use std::{os::fd::BorrowedFd, thread};

use hcs_schema::{Failure, HResult};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    failure::failed,
    netlink::{NetlinkError, Socket},
};

/// Sockets of `namespace`: one for links, addresses and routes, and one for rules.
pub(crate) fn sockets_in(namespace: BorrowedFd<'_>) -> Result<[Socket; 2], Failure> {
    let open = move || -> Result<[Socket; 2], NetlinkError> {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(namespace, kind).map_err(|errno| NetlinkError::Call {
            what: "entering the network namespace",
            errno,
        })?;
        Ok([Socket::route()?, Socket::netfilter()?])
    };
    let doing = "reaching the network of a container";
    let joined = thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, open);
        thread.map(thread::ScopedJoinHandle::join)
    });
    match joined {
        Ok(Ok(opened)) => opened.map_err(|error| failed(doing, "network namespaces", &error)),
        Ok(Err(_panic)) => Err(Failure::new(
            HResult::E_UNEXPECTED,
            "the thread for a network namespace ended early",
        )),
        Err(error) => Err(Failure::new(
            HResult::E_FAIL,
            format!("{doing} failed: no thread was made"),
        )
        .because(&error)),
    }
}
