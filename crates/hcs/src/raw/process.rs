//! `HCS_PROCESS`: a handle to a process in a compute system.

use std::{
    os::fd::{OwnedFd, RawFd},
    sync::Arc,
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::service::Call;
use serde_json::Value;

use super::{
    Document, EventCallback, Operation, OperationKind, System, event_options, option,
    request::PendingCall,
};
use crate::{raw::handle::Handle, reading::sync::Deadline};

/// A handle to a process in a compute system. All clones are the same handle; the last one dropped closes it.
#[derive(Clone, Debug)]
pub struct Process {
    handle: Arc<Handle>,
}

impl Process {
    /// `HcsCreateProcess`. The handle is usable at once; calls on it are done after the creation.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn create(
        system: &System,
        parameters: &str,
        operation: &Operation,
    ) -> Result<Self, HResult> {
        let process = Self::new(system, None);
        let call = Call::CreateProcess {
            system: system.number(),
            process: process.number(),
            parameters: parameters.to_owned(),
            pipes: None,
        };
        PendingCall::on_system(system, OperationKind::CreateProcess, call)
            .making_process(&process)
            .checking(parameters)
            .start(operation)?;
        Ok(process)
    }

    /// `HcsOpenProcess`. Every access is granted; `access` is there for the signature.
    ///
    /// # Errors
    /// `E_HANDLE` when `system` is closed, `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)` when there is no such process (any
    /// more), or why the service could not be asked.
    pub fn open(system: &System, process_id: u32, _access: u32) -> Result<Self, Failure> {
        let (process, request) = Self::opening(system, process_id);
        request.run().map_err(|error| Failure::from(&error))?;
        Ok(process)
    }

    /// [`Process::open`] tracked by an operation.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn open_by(
        system: &System,
        process_id: u32,
        operation: &Operation,
    ) -> Result<Self, HResult> {
        let (process, request) = Self::opening(system, process_id);
        request.start(operation)?;
        Ok(process)
    }

    fn opening(system: &System, process_id: u32) -> (Self, PendingCall) {
        let process = Self::new(system, Some(process_id));
        let call = Call::OpenProcess {
            system: system.number(),
            process: process.number(),
            process_id,
            again: false,
        };
        let request =
            PendingCall::on_system(system, OperationKind::None, call).making_process(&process);
        (process, request)
    }

    fn new(system: &System, process_id: Option<u32>) -> Self {
        Self {
            handle: Handle::of_process(system.handle(), process_id),
        }
    }

    /// A number that names this handle in the process; never 0, never used again.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.handle.number()
    }

    /// Pid inside the compute system, once it is known.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.handle.process_id()
    }

    /// Gives the write end of standard input away to a holder outside Rust, which owns the returned number from now on
    /// and has to close it. The number is remembered, so that a `CloseHandle` of `StdIn` ([`Process::modify`]) can end
    /// the child's input although the holder still has it open: then the number is made to mean a pipe without a
    /// reader. Copies that the holder made of it (`dup(2)`, `fork(2)`) are the holder's business.
    #[must_use]
    pub fn lend_stdin(&self, stdin: OwnedFd) -> RawFd {
        match self.handle.stdio() {
            Some(stdio) => stdio.lend(stdin),
            None => std::os::fd::IntoRawFd::into_raw_fd(stdin),
        }
    }

    /// `HcsCloseProcess`: for all clones. The process lives on. Streams not yet taken are closed. Waits for an event
    /// callback that is running, unless called from within it; no event comes afterwards.
    ///
    /// # Errors
    /// `E_HANDLE` when closed before.
    pub fn close(&self) -> Result<(), HResult> {
        self.handle.close()
    }

    /// `HcsTerminateProcess`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn terminate(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::TerminateProcess {
            process: self.number(),
            options: option(options),
        };
        self.request(OperationKind::SignalProcess, call)
            .checking(options.unwrap_or_default())
            .start(operation)
    }

    /// `HcsSignalProcess`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn signal(&self, operation: &Operation, options: Option<&str>) -> Result<(), HResult> {
        let call = Call::SignalProcess {
            process: self.number(),
            options: option(options),
        };
        self.request(OperationKind::SignalProcess, call)
            .checking(options.unwrap_or_default())
            .start(operation)
    }

    /// `HcsGetProcessProperties`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn properties(&self, operation: &Operation, query: Option<&str>) -> Result<(), HResult> {
        let call = Call::GetProcessProperties {
            process: self.number(),
            query: option(query),
        };
        self.request(OperationKind::GetProcessProperties, call)
            .checking(query.unwrap_or_default())
            .start(operation)
    }

    /// `HcsGetProcessInfo`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn info(&self, operation: &Operation) -> Result<(), HResult> {
        let call = Call::GetProcessInfo {
            process: self.number(),
        };
        self.request(OperationKind::GetProcessInfo, call)
            .start(operation)
    }

    /// `HcsModifyProcess`. A `CloseHandle` of `StdIn` also ends the stdin that [`Process::lend_stdin`] gave away.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn modify(&self, operation: &Operation, settings: &str) -> Result<(), HResult> {
        let call = Call::ModifyProcess {
            process: self.number(),
            settings: settings.to_owned(),
        };
        self.request(OperationKind::ModifyProcess, call)
            .ending_stdin(closes_stdin(settings))
            .checking(settings)
            .start(operation)
    }

    fn request(&self, kind: OperationKind, call: Call) -> PendingCall {
        PendingCall::on_process(self, kind, call)
    }

    /// `HcsSetProcessCallback`; as [`System::set_callback`].
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

    /// `HcsWaitForProcessExit`: the `ProcessStatus`; `None` waits without limit.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HRESULT_FROM_WIN32(ERROR_TIMEOUT)`, why there is no such process, or, when the service
    /// was lost and cannot be reached again, why not.
    pub fn wait_exit(&self, limit: Option<Duration>) -> Result<Document, HResult> {
        self.handle.wait_exit(Deadline::after(limit))
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

/// Whether a `ProcessModifyRequest` closes standard input. The service reports errors in the document.
fn closes_stdin(settings: &str) -> bool {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    settings["Operation"] == "CloseHandle"
        && (settings["CloseHandle"]["Handle"] == "StdIn"
            || settings["CloseHandle"]["Handle"] == "All")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_of_stdin_ends_stdin() {
        let closing = |handle| {
            closes_stdin(&format!(
                r#"{{"Operation":"CloseHandle","CloseHandle":{{"Handle":"{handle}"}}}}"#
            ))
        };
        assert!(closing("StdIn") && closing("All"));
        assert!(!closing("StdOut") && !closing("StdErr"));
        assert!(!closes_stdin(
            r#"{"Operation":"ConsoleSize","ConsoleSize":{"Height":1,"Width":2}}"#
        ));
        assert!(!closes_stdin("nonsense"));
    }
}
