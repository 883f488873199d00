//! [`HvSocketAddress`].

use crate::shape::format::Guid;

document! {
    /// Addresses of a virtual machine's hypervisor sockets.
    HvSocketAddress {
        /// Its own.
        local_address: String as Guid = "LocalAddress", 2.1;
        /// That of its host.
        parent_address: String as Guid = "ParentAddress", 2.1;
    }
}
