//! [`ResultError`].

use crate::documents::{AttributionRecord, ErrorEvent};

document! {
    /// The result of a failed call: the code, a sentence, and the causes.
    ResultError {
        /// The HRESULT.
        error: i32 = "Error", 2.1;
        /// A sentence about the failure.
        error_message: String = "ErrorMessage", 2.1;
        /// The summary, then the causes, nearest first.
        error_events: Vec<ErrorEvent> = "ErrorEvents", 2.1;
        /// The origins of the failure.
        attribution: Vec<AttributionRecord> = "Attribution", 2.4;
    }
}
