//! How threads wait for answers, and which of them reads the connection.
//!
//! 1. [`cell`]: what one operation waits for, and its completion.
//! 2. [`hub`]: events of a handle, told one at a time.
//! 3. [`inquiry`]: a question that a thread asks again and again, and its end.
//! 4. [`turn`]: of the threads that wait, the one that reads for all.
//! 5. [`bell`]: how another thread interrupts that one.
//! 6. [`sync`]: the locks and threads of all this; `crate::model` puts others in their place.

pub(crate) mod bell;
pub(crate) mod cell;
pub(crate) mod hub;
pub(crate) mod inquiry;
pub(crate) mod sync;
pub(crate) mod turn;
