//! [`NumaProcessors`].

use crate::documents::NumaRange;

document! {
    /// How processors are spread over NUMA nodes.
    NumaProcessors {
        /// How many in a node.
        count_per_node: NumaRange = "count_per_node", 2.7;
        /// How many nodes in a socket.
        node_per_socket: u32 = "node_per_socket", 2.7;
    }
}
