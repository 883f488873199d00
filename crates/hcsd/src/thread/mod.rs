//! The one thread of the service: what its tasks take turns of, wait for and are bounded by.
//!
//! 1. [`rounds`]: who is next, of users and their connections.
//! 2. [`share`]: turns of the thread, and lanes for what is worked on at one time.
//! 3. [`fair`]: places that several connections take in turn.
//! 4. [`underway`]: what has those places, for a call that waits in vain.
//! 5. [`steps`]: work of which there may be very much, in turns with all else.
//! 6. [`readiness`]: descriptors that a task waits for.
//! 7. [`outgoing`]: messages that wait until the other end of a stream takes them.
//! 8. [`closing`]: descriptors of others, whose close may wait.
//! 9. [`limits`]: counts per user.

pub(crate) mod closing;
pub(crate) mod fair;
pub(crate) mod limits;
pub(crate) mod outgoing;
pub(crate) mod readiness;
pub(crate) mod rounds;
pub(crate) mod share;
pub(crate) mod steps;
pub(crate) mod underway;
