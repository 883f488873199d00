//! The one thread of the service: what its tasks take turns of, wait for and are bounded by.
//!
//! 1. [`share`]: turns of the thread, and lanes for what is worked on at one time.
//! 2. [`fair`]: places that several connections take in turn.
//! 3. [`readiness`]: descriptors that a task waits for.
//! 4. [`outgoing`]: messages that wait until the other end of a stream takes them.
//! 5. [`closing`]: descriptors of others, whose close may wait.
//! 6. [`limits`]: counts per user.

pub(crate) mod closing;
pub(crate) mod fair;
pub(crate) mod limits;
pub(crate) mod outgoing;
pub(crate) mod readiness;
pub(crate) mod share;
