//! The functions that concern the service as a whole.

use hcs_schema::{Failure, HResult};
use hcs_wire::{log::LogQuery, service::Call};

use super::{
    Document, Error, Operation, OperationKind, System, client::Client, option, request::PendingCall,
};
use crate::endpoint::Endpoint;

/// `HcsEnumerateComputeSystems`.
///
/// # Errors
/// As every call that takes an operation (see [`super`]).
pub fn enumerate(query: Option<&str>, operation: &Operation) -> Result<(), HResult> {
    let call = Call::EnumerateSystems {
        query: option(query),
    };
    start(OperationKind::Enumerate, call, query, operation)
}

/// `HcsGetServiceProperties`; waits for the answer.
///
/// # Errors
/// The failure that the service answered, or the reason why it could not be asked.
pub fn service_properties(query: Option<&str>) -> Result<Option<Document>, Error> {
    let call = Call::GetServiceProperties {
        query: option(query),
    };
    run(OperationKind::GetProperties, call, query)
}

/// [`service_properties`] tracked by an operation.
///
/// # Errors
/// As every call that takes an operation (see [`super`]).
pub fn service_properties_by(query: Option<&str>, operation: &Operation) -> Result<(), HResult> {
    let call = Call::GetServiceProperties {
        query: option(query),
    };
    start(OperationKind::GetProperties, call, query, operation)
}

/// Whether the service at the endpoint of the environment limits no container of root: it is root's, and has found no
/// control groups. It says so as a client connects; a process that has no connection to it gets `false`.
///
/// Thread-safe; asks nothing of the service.
#[must_use]
pub fn service_lacks_control_groups() -> bool {
    Endpoint::from_environment()
        .ok()
        .and_then(|endpoint| Client::of(&endpoint).current_link())
        .is_some_and(|link| link.lacks_groups())
}

/// `HcsModifyServiceSettings`; waits for the answer.
///
/// # Errors
/// The failure that the service answered, or the reason why it could not be asked.
pub fn modify_service_settings(settings: &str) -> Result<Option<Document>, Error> {
    let call = Call::ModifyServiceSettings {
        settings: settings.to_owned(),
    };
    run(OperationKind::Modify, call, Some(settings))
}

/// `HcsSubmitWerReport`; waits for the answer.
///
/// # Errors
/// The failure that the service answered, or the reason why it could not be asked.
pub fn submit_wer_report(settings: &str) -> Result<Option<Document>, Error> {
    let call = Call::SubmitCrashReport {
        settings: settings.to_owned(),
    };
    run(OperationKind::None, call, Some(settings))
}

/// Ours: a page of the service's event log, as a [`LogPage`](hcs_wire::log::LogPage).
///
/// # Errors
/// As every call that takes an operation (see [`super`]).
pub fn read_events(query: &LogQuery, operation: &Operation) -> Result<(), HResult> {
    let call = Call::ReadEvents(query.clone());
    start(OperationKind::None, call, None, operation)
}

/// Ours: the time line of an operation, as an [`OperationReport`](hcs_wire::explain::OperationReport).
///
/// # Errors
/// As every call that takes an operation (see [`super`]).
pub fn explain(name: &str, operation: &Operation) -> Result<(), HResult> {
    let call = Call::ExplainOperation {
        operation: name.to_owned(),
    };
    start(OperationKind::None, call, None, operation)
}

/// Ours: the service is to leave, as it does when idle; systems go on. Where none runs, one is started for that: see
/// [`Endpoint::is_served`]. A service without the property `Service` does not know this call.
///
/// # Errors
/// As every call that takes an operation (see [`super`]).
pub fn stop_service(operation: &Operation) -> Result<(), HResult> {
    start(OperationKind::None, Call::StopService, None, operation)
}

/// Has the service read its configuration again. The result says which settings have changed (`Changed`), and which
/// only the next service has (`NotChanged`).
///
/// # Errors
/// As every call that takes an operation (see [`super`]). The operation fails when the file cannot be used; the service
/// goes on as it was then.
pub fn reload_service(operation: &Operation) -> Result<(), HResult> {
    start(OperationKind::None, Call::ReloadService, None, operation)
}

/// Makes a call on no handle, with the endpoint of the environment.
fn start(
    kind: OperationKind,
    call: Call,
    document: Option<&str>,
    operation: &Operation,
) -> Result<(), HResult> {
    let endpoint = Endpoint::from_environment();
    let failure = endpoint.as_ref().err().cloned();
    let endpoint = endpoint.unwrap_or_else(|_| Endpoint::at(""));
    PendingCall::on_service(endpoint, kind, call)
        .checking(document.unwrap_or_default())
        .refusing(failure)
        .start(operation)
}

fn run(kind: OperationKind, call: Call, document: Option<&str>) -> Result<Option<Document>, Error> {
    let endpoint = Endpoint::from_environment()?;
    PendingCall::on_service(endpoint, kind, call)
        .checking(document.unwrap_or_default())
        .run()
}

/// The same functions for a service at a place of the caller's choice.
impl Endpoint {
    /// Connects this process to the service that listens there, without waiting for its answer and without starting
    /// one. Calls do that by themselves: a program that knows early that it will call, and has something to do before,
    /// has less to wait for then. Failures are left to the first call. May be called by any thread.
    pub fn begin(&self) {
        Client::of(self).begin();
    }

    /// [`System::create`] there.
    ///
    /// # Errors
    /// As [`System::create`].
    pub fn create_system(
        &self,
        id: &str,
        document: &str,
        operation: &Operation,
    ) -> Result<System, HResult> {
        System::create_at(self, id, document, None, operation)
    }

    /// [`System::open`] there.
    ///
    /// # Errors
    /// As [`System::open`].
    pub fn open_system(&self, id: &str) -> Result<System, Failure> {
        System::open_at(self, id, 0)
    }

    /// [`Endpoint::open_system`] tracked by an operation.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn open_system_by(&self, id: &str, operation: &Operation) -> Result<System, HResult> {
        System::open_by(self, id, operation)
    }

    /// [`enumerate`] there.
    ///
    /// # Errors
    /// As [`enumerate`].
    pub fn enumerate_systems(
        &self,
        query: Option<&str>,
        operation: &Operation,
    ) -> Result<(), HResult> {
        let call = Call::EnumerateSystems {
            query: option(query),
        };
        PendingCall::on_service(self.clone(), OperationKind::Enumerate, call)
            .checking(query.unwrap_or_default())
            .start(operation)
    }
}
