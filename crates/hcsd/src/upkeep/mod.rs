//! The service's own house: its start, its configuration, and what it keeps ready or removes in the background.
//!
//! 1. [`start`], [`only`] with [`standing`], [`descriptors`], [`logging`], [`notify`]: how a service comes up, alone,
//!    with enough for what is recorded, and says so.
//! 2. [`config`] with [`container_section`], [`endpoint`], [`host`], [`processor_features`]: what it is told, and what
//!    its host is like.
//! 3. [`slots`]: machines made ready; [`removals`]: what ended systems leave.
//! 4. [`engine_settings`]: what the engines are told.
//! 5. [`cpu_groups`], [`crash_reports`]: settings and reports of the service as a whole.

pub mod config;
mod container_section;
pub(crate) mod cpu_groups;
pub(crate) mod crash_reports;
pub(crate) mod descriptors;
pub mod endpoint;
pub(crate) mod engine_settings;
pub(crate) mod host;

pub(crate) mod logging;
pub(crate) mod notify;
pub(crate) mod only;
pub(crate) mod processor_features;
pub(crate) mod reload;
pub(crate) mod removals;
pub(crate) mod slots;
pub(crate) mod standing;
pub(crate) mod start;
