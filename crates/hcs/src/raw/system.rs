//! `HCS_SYSTEM`: a handle to a compute system.

use std::{sync::Arc, time::Duration};

use hcs_schema::{Failure, HResult};
use hcs_wire::{output::OutputQuery, service::Call};

use super::{
    Document, EventCallback, Operation, OperationKind, event_options, option, request::PendingCall,
};
use crate::{endpoint::Endpoint, raw::handle::Handle, reading::sync::Deadline};

/// A handle to a compute system. All clones are the same handle; the last one dropped closes it.
#[derive(Clone, Debug)]
pub struct System {
    handle: Arc<Handle>,
}

impl System {
    /// `HcsCreateComputeSystem`. The handle is usable at once; calls on it are done after the creation.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn create(id: &str, document: &str, operation: &Operation) -> Result<Self, HResult> {
        let endpoint = Endpoint::from_environment();
        let failure = endpoint.as_ref().err().cloned();
        let endpoint = endpoint.unwrap_or_else(|_| Endpoint::at(""));
        Self::create_at(&endpoint, id, document, failure, operation)
    }

    pub(super) fn create_at(
        endpoint: &Endpoint,
        id: &str,
        document: &str,
        failure: Option<Failure>,
        operation: &Operation,
    ) -> Result<Self, HResult> {
        let system = Self::new(endpoint, id);
        let call = Call::CreateSystem {
            system: system.number(),
            id: id.to_owned(),
            document: document.to_owned(),
        };
        PendingCall::on_service(endpoint.clone(), OperationKind::Create, call)
            .making_system(&system)
            .checking(document)
            .refusing(failure)
            .start(operation)?;
        Ok(system)
    }

    /// `HcsOpenComputeSystem`. Every access is granted; `access` is there for the signature.
    ///
    /// # Errors
    /// `HCS_E_SYSTEM_NOT_FOUND`, or why the service could not be asked.
    pub fn open(id: &str, access: u32) -> Result<Self, Failure> {
        Self::open_at(&Endpoint::from_environment()?, id, access)
    }

    pub(super) fn open_at(endpoint: &Endpoint, id: &str, _access: u32) -> Result<Self, Failure> {
        let (system, request) = Self::opening(endpoint, id);
        request.run().map_err(|error| Failure::from(&error))?;
        Ok(system)
    }

    pub(super) fn open_by(
        endpoint: &Endpoint,
        id: &str,
        operation: &Operation,
    ) -> Result<Self, HResult> {
        let (system, request) = Self::opening(endpoint, id);
        request.start(operation)?;
        Ok(system)
    }

    fn opening(endpoint: &Endpoint, id: &str) -> (Self, PendingCall) {
        let system = Self::new(endpoint, id);
        let call = Call::OpenSystem {
            system: system.number(),
            id: id.to_owned(),
            runtime_id: None,
        };
        let request = PendingCall::on_service(endpoint.clone(), OperationKind::None, call)
            .making_system(&system);
        (system, request)
    }

    fn new(endpoint: &Endpoint, id: &str) -> Self {
        Self {
            handle: Handle::of_system(endpoint.clone(), id),
        }
    }

    /// A number that names this handle in the process; never 0, never used again.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.handle.number()
    }

    /// The id it was created or opened with.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.handle.identity().id
    }

    /// The service's GUID for this very system, once it is known.
    #[must_use]
    pub fn runtime_id(&self) -> Option<&str> {
        self.handle.identity().runtime_id.get().map(String::as_str)
    }

    /// `HcsCloseComputeSystem`: for all clones. The system lives on (unless its document says otherwise). Waits for an
    /// event callback that is running, unless called from within it; no event comes afterwards.
    ///
    /// # Errors
    /// `E_HANDLE` when closed before.
    pub fn close(&self) -> Result<(), HResult> {
        self.handle.close()
    }

    /// `HcsStartComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn start(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::StartSystem {
            system: self.number(),
            options: option(options),
        };
        self.call(OperationKind::Start, call, options, operation)
    }

    /// `HcsShutDownComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn shut_down(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::ShutDownSystem {
            system: self.number(),
            options: option(options),
        };
        self.call(OperationKind::Shutdown, call, options, operation)
    }

    /// `HcsTerminateComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn terminate(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::TerminateSystem {
            system: self.number(),
            options: option(options),
        };
        self.call(OperationKind::Terminate, call, options, operation)
    }

    /// `HcsPauseComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn pause(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::PauseSystem {
            system: self.number(),
            options: option(options),
        };
        self.call(OperationKind::Pause, call, options, operation)
    }

    /// `HcsResumeComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn resume(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::ResumeSystem {
            system: self.number(),
            options: option(options),
        };
        self.call(OperationKind::Resume, call, options, operation)
    }

    /// `HcsSaveComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn save(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::SaveSystem {
            system: self.number(),
            options: option(options),
        };
        self.call(OperationKind::Save, call, options, operation)
    }

    /// `HcsCrashComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn crash(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::CrashSystem {
            system: self.number(),
            options: option(options),
        };
        self.call(OperationKind::Crash, call, options, operation)
    }

    /// `HcsModifyComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn modify(&self, operation: &Operation, settings: &str) -> Result<(), HResult> {
        let call = Call::ModifySystem {
            system: self.number(),
            settings: settings.to_owned(),
        };
        self.call(OperationKind::Modify, call, Some(settings), operation)
    }

    /// `HcsGetComputeSystemProperties`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn properties(&self, operation: &Operation, query: Option<&str>) -> Result<(), HResult> {
        let call = Call::GetSystemProperties {
            system: self.number(),
            query: option(query),
        };
        self.call(OperationKind::GetProperties, call, query, operation)
    }

    /// Ours: has the kept output of a detached process come through a pipe; that is the standard output in the
    /// operation's process information, as is the standard input for a query that attaches; the pid there is that of
    /// the process. What comes through is in [`hcs_wire::output`].
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn read_output(&self, operation: &Operation, query: &OutputQuery) -> Result<(), HResult> {
        let call = Call::ReadOutput {
            system: self.number(),
            query: query.clone(),
            pipes: None,
        };
        PendingCall::on_system(self, OperationKind::GetProcessInfo, call).start(operation)
    }

    fn call(
        &self,
        kind: OperationKind,
        call: Call,
        document: Option<&str>,
        operation: &Operation,
    ) -> Result<(), HResult> {
        PendingCall::on_system(self, kind, call)
            .checking(document.unwrap_or_default())
            .start(operation)
    }

    /// `HcsSetComputeSystemCallback`; `None` takes the callback away. Waits for one that is running, unless called from
    /// within it. A system that has exited already delivers its exit now, if no callback had it before. `options` are
    /// those of [`event_options`]; unknown ones are accepted without effect.
    ///
    /// # Errors
    /// `E_HANDLE` when closed; `E_OUTOFMEMORY` when no thread could be started.
    pub fn set_callback(
        &self,
        options: u32,
        callback: Option<EventCallback>,
    ) -> Result<(), HResult> {
        let completions = options & event_options::ENABLE_OPERATION_CALLBACKS != 0;
        self.handle.set_callback(completions, callback)
    }

    /// `HcsWaitForComputeSystemExit`: the `SystemExitStatus`; `None` waits without limit.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HRESULT_FROM_WIN32(ERROR_TIMEOUT)`, why there is no such system, or, when the service
    /// was lost and cannot be reached again, why not.
    pub fn wait_exit(&self, limit: Option<Duration>) -> Result<Document, HResult> {
        self.handle.wait_exit(Deadline::after(limit))
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}
