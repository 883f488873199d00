//! [`NetworkStats`].

use crate::shape::format::Guid;

document! {
    /// What went through an endpoint of a system, as the system sees it. Version 1 of the schema has it.
    NetworkStats {
        /// The id of the endpoint.
        endpoint_id: String as Guid = "EndpointId", "extension";
        /// Bytes received.
        bytes_received: u64 = "BytesReceived", "extension";
        /// Bytes sent.
        bytes_sent: u64 = "BytesSent", "extension";
        /// Packets received.
        packets_received: u64 = "PacketsReceived", "extension";
        /// Packets sent.
        packets_sent: u64 = "PacketsSent", "extension";
        /// Packets to it that were dropped.
        dropped_packets_incoming: u64 = "DroppedPacketsIncoming", "extension";
        /// Packets from it that were dropped.
        dropped_packets_outgoing: u64 = "DroppedPacketsOutgoing", "extension";
    }
}
