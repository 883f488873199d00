//! Clients: their connections, their calls, and the answers.
//!
//! 1. [`connection`]: one client's socket, handles and unanswered calls.
//! 2. [`router`]: from calls to the code that does them.
//! 3. [`calls`]: calls by name, for clients that make them again. [`kept`]: those that may be made again.
//! 4. [`properties`], [`enumerate`], [`service_properties`]: answers about systems and the service. `picture_size`: how
//!    large a picture of a screen is to be.
//! 5. [`about`]: the property `Service`.
//! 6. [`service`]: what all connections share.

pub(crate) mod about;
pub(crate) mod calls;
pub(crate) mod connection;
pub(crate) mod enumerate;
pub(crate) mod kept;
mod picture_size;
pub(crate) mod properties;
pub(crate) mod router;
pub(crate) mod service;
pub(crate) mod service_properties;
