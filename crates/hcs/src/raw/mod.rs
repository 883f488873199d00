//! The functions of `ComputeCore.h`, one to one: handles, one [`Operation`] per call, JSON documents as strings.
//!
//! Every handle is cheap to clone and may be used from several threads at once. A method that takes an `&Operation`
//! returns an error only for the *shape* of the call (closed handle, operation already pending, two takers of the
//! completion). It has left the operation as it was then. Everything else, an unreachable service included, is the
//! result of the operation.

mod access;
pub(crate) mod client;
pub(crate) mod handle;
pub(crate) mod link;
mod network;
mod operation;
mod process;
mod request;
mod service;
mod system;

use std::sync::Arc;

use hcs_schema::{Failure, HResult};

pub use access::{
    create_empty_state_file, grant_vm_access, grant_vm_group_access, revoke_vm_access,
    revoke_vm_group_access,
};
pub use hcs_lifecycle::operation_kind::OperationKind;
pub use hcs_wire::event_type;
pub use network::{network, run_network};
pub(crate) use operation::WeakOperation;
pub use operation::{Callback, Operation, ProcessInformation};
pub use process::Process;
pub use service::{
    enumerate, explain, modify_service_settings, read_events, reload_service,
    service_lacks_control_groups, service_properties, service_properties_by, stop_service,
    submit_wer_report,
};
pub use system::System;

/// A JSON document as the service sent it.
pub type Document = Arc<str>;

/// The reason why a function did not return `S_OK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The code that the function returns.
    pub hresult: HResult,
    /// A `ResultError` document, if the function that failed asked the service for something.
    pub document: Option<Document>,
}

impl From<HResult> for Error {
    fn from(hresult: HResult) -> Self {
        Self {
            hresult,
            document: None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self {
            hresult: failure.hresult,
            document: Some(failure.to_document().into()),
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match &error.document {
            Some(document) => Self::from_document(error.hresult, document),
            None => Self::new(error.hresult, ""),
        }
    }
}

/// Options or a query as they are sent: "" means none, as NULL does.
fn option(document: Option<&str>) -> Option<String> {
    document.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Something that happened to a system or process (`HCS_EVENT`).
#[derive(Clone, Debug)]
pub struct Event {
    /// `HCS_EVENT_TYPE`; see [`event_type`].
    pub event_type: u32,
    /// The document that goes with the type.
    pub data: Option<Document>,
    /// The completed operation, for [`event_type::OPERATION_CALLBACK`].
    pub operation: Option<Operation>,
}

/// Called for each event of a handle, on a thread of the library, with no lock held; one at a time for one handle. It
/// may block and call every function.
pub type EventCallback = Arc<dyn Fn(&Event) + Send + Sync>;

/// Values of `HCS_EVENT_OPTIONS`.
pub mod event_options {
    /// Nothing special.
    pub const NONE: u32 = 0;
    /// Completions of operations come as [`super::event_type::OPERATION_CALLBACK`] events.
    pub const ENABLE_OPERATION_CALLBACKS: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_go_between_threads() {
        fn shared<T: Send + Sync + Clone>() {}
        shared::<Operation>();
        shared::<System>();
        shared::<Process>();
        shared::<Event>();
    }

    #[test]
    fn no_options_and_empty_options_are_the_same() {
        assert_eq!(option(None), option(Some("")));
        assert_eq!(option(Some("{}")).as_deref(), Some("{}"));
    }
}
