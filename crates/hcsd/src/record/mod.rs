//! What is written down of the life of systems and calls, in memory and on disk.
//!
//! 1. [`event_log`]: what happened, numbered, for all readers.
//! 2. [`timeline`]: the steps of a call; [`operations`]: the time lines of all calls.
//! 3. [`state`]: what the next service has to know of each system, and [`ledger`]: which calls have changed it;
//!    [`ended`]: which calls created systems that have ended; [`call_names`]: the names of calls, written down.
//! 4. [`ending`]: how a process ended; [`failures`]: what calls end with in several parts of the service.
//! 5. [`blocking`]: work on other threads, told in the time line of the call that it is done for.
//! 6. [`files`]: how files and directories of the service are made and removed.

pub(crate) mod blocking;
pub(crate) mod call_names;
pub(crate) mod ended;
pub(crate) mod ending;
pub(crate) mod event_log;
pub(crate) mod failures;
pub(crate) mod files;
pub(crate) mod ledger;
pub(crate) mod operations;
pub(crate) mod state;
pub(crate) mod timeline;
