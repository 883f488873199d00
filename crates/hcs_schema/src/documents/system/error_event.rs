//! [`ErrorEvent`].

use crate::{documents::EventData, shape::format::Guid};

document! {
    /// One link of the chain of causes of a failure.
    ErrorEvent {
        /// The cause, in words.
        message: String = "Message", 2.1;
        /// Where in the program it happened.
        stack_trace: String = "StackTrace", 2.1;
        /// The source of the report.
        provider: String as Guid = "Provider", 2.1;
        /// Its number among that provider's events.
        event_id: u16 = "EventId", 2.1;
        /// Flags of the provider.
        flags: u32 = "Flags", 2.1;
        /// The part at fault; this project puts the JSON pointer there.
        source: String = "Source", 2.1;
        /// The facts behind the message.
        data: Vec<EventData> = "Data", 2.1;
    }
}
