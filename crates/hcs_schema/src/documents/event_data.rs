//! [`EventData`].

use crate::documents::EventDataType;

document! {
    /// One fact behind an error message.
    EventData {
        /// The kind of value.
        r#type: EventDataType = "Type", 2.1;
        /// The value, as text.
        value: String = "Value", 2.1;
    }
}
