//! [`LogicalProcessor`].

use crate::documents::Subnode;

document! {
    /// One processor of the host.
    LogicalProcessor {
        /// Its index.
        lp_index: u32 = "LpIndex", 2.1;
        /// Its NUMA node.
        node_number: u8 = "NodeNumber", 2.1;
        /// Its socket.
        package_id: u32 = "PackageId", 2.1;
        /// Its core.
        core_id: u32 = "CoreId", 2.1;
        /// Its index in the root partition; -1 is none.
        root_vp_index: i32 = "RootVpIndex", 2.1;
        /// Groups below the node that it is in.
        subnodes: Vec<Subnode> = "Subnodes", 2.4;
    }
}
