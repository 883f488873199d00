//! The one thread of the service: what its tasks take turns of, wait for and are bounded by.
//!
//! 1. [`share`]: turns of the thread, and lanes for what is worked on at one time.
//! 2. [`readiness`]: descriptors that a task waits for.
//! 3. [`outgoing`]: messages that wait until the other end of a stream takes them.
//! 4. [`closing`]: descriptors of others, whose close may wait.
//! 5. [`limits`]: counts per user.

pub(crate) mod closing;
pub(crate) mod limits;
pub(crate) mod outgoing;
pub(crate) mod readiness;
pub(crate) mod share;
