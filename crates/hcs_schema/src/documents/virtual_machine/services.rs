//! [`Services`].

use crate::documents::{Heartbeat, KvpExchange, Shutdown, Timesync};

document! {
    /// Services between host and guest.
    Services {
        /// The guest's heartbeat.
        heartbeat: Heartbeat = "Heartbeat", 2.3;
        /// Shutdown on request.
        shutdown: Shutdown = "Shutdown", 2.5;
        /// The guest's clock.
        timesync: Timesync = "Timesync", 2.5;
        /// Keys and values.
        kvp_exchange: KvpExchange = "KvpExchange", 2.5;
    }
}
