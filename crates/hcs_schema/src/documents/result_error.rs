//! [`ResultError`].

use crate::documents::{AttributionRecord, ErrorEvent};

document! {
    /// What a failed call says: the code, a sentence, and the causes.
    ResultError {
        /// The HRESULT.
        error: i32 = "Error", 2.1;
        /// What happened.
        error_message: String = "ErrorMessage", 2.1;
        /// The summary, then the causes, nearest first.
        error_events: Vec<ErrorEvent> = "ErrorEvents", 2.1;
        /// What brought it about.
        attribution: Vec<AttributionRecord> = "Attribution", 2.4;
    }
}
