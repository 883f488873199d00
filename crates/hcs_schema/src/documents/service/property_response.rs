//! [`PropertyResponse`].

use serde_json::Value;

use crate::documents::ResultError;

document! {
    /// The answer to one property of a query.
    PropertyResponse {
        /// Why there is none.
        error: ResultError = "Error", 2.5;
        /// The property's document.
        response: Value = "Response", 2.5;
    }
}
