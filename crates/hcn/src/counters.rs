//! [`Counters`]: what went through an endpoint, and the document that tells it.

use serde_json::json;

use crate::guid::Guid;

/// What went through an endpoint since its link was made, as the endpoint sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that it received.
    pub bytes_received: u64,
    /// Bytes that it sent.
    pub bytes_sent: u64,
    /// Packets that it received.
    pub packets_received: u64,
    /// Packets that it sent.
    pub packets_sent: u64,
    /// Packets to it that were dropped.
    pub dropped_incoming: u64,
    /// Packets from it that were dropped.
    pub dropped_outgoing: u64,
}

impl Counters {
    /// The same of the other end of a link, where what one end sends the other receives.
    #[must_use]
    pub const fn of_the_other_end(self) -> Self {
        Self {
            bytes_received: self.bytes_sent,
            bytes_sent: self.bytes_received,
            packets_received: self.packets_sent,
            packets_sent: self.packets_received,
            dropped_incoming: self.dropped_outgoing,
            dropped_outgoing: self.dropped_incoming,
        }
    }

    /// The document of the endpoint `id`, which is the same in both versions.
    #[must_use]
    pub fn document(&self, id: Guid) -> String {
        json!({
            "EndpointId": id,
            "BytesReceived": self.bytes_received,
            "BytesSent": self.bytes_sent,
            "PacketsReceived": self.packets_received,
            "PacketsSent": self.packets_sent,
            "DroppedPacketsIncoming": self.dropped_incoming,
            "DroppedPacketsOutgoing": self.dropped_outgoing,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_names_that_clients_read() {
        let counters = Counters {
            bytes_received: u64::MAX,
            dropped_outgoing: 1,
            ..Counters::default()
        };
        let document = counters.document(Guid(1));
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["EndpointId"], Guid(1).to_string());
        assert_eq!(document["BytesReceived"], u64::MAX);
        assert_eq!(document["DroppedPacketsOutgoing"], 1);
        assert_eq!(document["PacketsSent"], 0);
    }
}
