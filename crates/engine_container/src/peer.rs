//! Where a client of the service lives: in the service's own pid namespace, or in a container.
//!
//! A process in a container that reaches a service's socket could have it make a container with the whole host mapped.
//! No mount and no mode of the socket keeps such a process out for certain: the file may be mapped, inherited or passed
//! along. The pid namespace tells ([`Whereabouts`]).
//!
//! A service may be in such a namespace itself: in a container, a sandbox, `unshare --pid`. Then a container of another
//! service can lie beside it, and its processes have no number for this one; nor have those of the host around it. They
//! cannot be told apart, so neither is let in.

use std::os::fd::BorrowedFd;

use hcs_engine::engine::Origin;
use hcs_wire::peer::Whereabouts;

/// Where the process lives that connected by `socket`, as the service sees it from its own `/proc`.
pub(crate) fn origin(socket: BorrowedFd<'_>) -> Origin {
    match Whereabouts::of(socket) {
        Whereabouts::Here => Origin::Host,
        Whereabouts::Below => Origin::Container,
        // Perhaps in a container of another service.
        Whereabouts::Elsewhere => Origin::Elsewhere,
        Whereabouts::Unknown => Origin::Unknown,
    }
}
