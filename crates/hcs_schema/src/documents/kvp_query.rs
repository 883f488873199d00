//! [`KvpQuery`].

use crate::documents::KvpSource;

document! {
    /// Asks for values that host and guest exchange.
    KvpQuery {
        /// Which of the stores.
        source: KvpSource = "Source", 2.5;
        /// Which keys.
        keys: Vec<String> = "Keys", 2.5;
    }
}
