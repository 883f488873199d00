//! `HCS_OPERATION`: tracks one call at a time.

use std::{fmt, os::fd::OwnedFd, sync::Arc, time::Duration};

use hcs_schema::HResult;

use super::{Document, Error, OperationKind, Process, System};

/// Called once for each completion, on a thread of the library, after the result can be read and with no lock held.
/// It may block and call every function, [`Operation::close`] of the same operation included.
pub type Callback = Arc<dyn Fn(&Operation) + Send + Sync>;

/// Pid and stdio of a process (`HCS_PROCESS_INFORMATION`).
///
/// The descriptors are the caller's, close-on-exec and not below 3.
#[derive(Debug, Default)]
pub struct ProcessInformation {
    /// Pid inside the compute system.
    pub process_id: u32,
    /// Write end of standard input.
    pub stdin: Option<OwnedFd>,
    /// Read end of standard output.
    pub stdout: Option<OwnedFd>,
    /// Read end of standard error.
    pub stderr: Option<OwnedFd>,
}

/// Tracks one call at a time, and may be used again once that has completed.
#[derive(Clone)]
pub struct Operation {}

impl Operation {
    /// `HcsCreateOperation`.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// `HcsSetOperationCallback`. Set while a call is pending, it is called for that call; set after, for the next.
    ///
    /// # Errors
    /// `E_HANDLE` when closed; `HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET` when the event callback of the handle
    /// that the pending call is made on takes completions; `E_OUTOFMEMORY` when no thread could be started.
    pub fn set_callback(&self, _callback: Option<Callback>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsGetOperationId`: unique in the process, never 0, the same for all calls of this operation.
    #[must_use]
    pub fn id(&self) -> u64 {
        0
    }

    /// Names the tracked call in the service's logs: the pid of this process and a number. `None` until a call is
    /// on its way.
    #[must_use]
    pub fn correlation_id(&self) -> Option<String> {
        None
    }

    /// `HcsGetOperationType`.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        OperationKind::None
    }

    /// `HcsGetComputeSystemFromOperation`: the system the tracked call is made on or makes.
    #[must_use]
    pub fn system(&self) -> Option<System> {
        None
    }

    /// `HcsGetProcessFromOperation`: the process the tracked call is made on or makes.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        None
    }

    /// `HcsGetOperationResult`.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HCS_E_OPERATION_NOT_STARTED`, `HCS_E_OPERATION_PENDING`, or what the call ended with.
    pub fn result(&self) -> Result<Option<Document>, Error> {
        Err(HResult::E_NOTIMPL.into())
    }

    /// `HcsGetOperationResultAndProcessInfo`. With `take` the streams are handed over, once; otherwise, and to every
    /// later caller, only the pid is given.
    ///
    /// # Errors
    /// In this order: `E_HANDLE`, `HCS_E_OPERATION_NOT_STARTED`, `E_INVALIDARG` when the call is neither
    /// `HcsCreateProcess` nor `HcsGetProcessInfo`, `HCS_E_OPERATION_PENDING`, then what the call ended with.
    pub fn result_and_process_info(
        &self,
        _take: bool,
    ) -> Result<(Option<Document>, ProcessInformation), Error> {
        Err(HResult::E_NOTIMPL.into())
    }

    /// `HcsWaitForOperationResult`; `None` waits without limit. After a timeout the operation stays tracked.
    ///
    /// # Errors
    /// Those of [`Operation::result`], `HCS_E_OPERATION_TIMEOUT` in place of pending.
    pub fn wait(&self, _limit: Option<Duration>) -> Result<Option<Document>, Error> {
        Err(HResult::E_NOTIMPL.into())
    }

    /// `HcsWaitForOperationResultAndProcessInfo`.
    ///
    /// # Errors
    /// Those of [`Operation::result_and_process_info`], `HCS_E_OPERATION_TIMEOUT` in place of pending.
    pub fn wait_and_process_info(
        &self,
        _limit: Option<Duration>,
        _take: bool,
    ) -> Result<(Option<Document>, ProcessInformation), Error> {
        Err(HResult::E_NOTIMPL.into())
    }

    /// `HcsCancelOperation`: asks the service to undo the pending call, which then ends with `ERROR_CANCELLED`, unless
    /// it finishes first. A finished one is left alone.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HCS_E_OPERATION_NOT_STARTED`.
    pub fn cancel(&self) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsGetOperationProperties`.
    ///
    /// # Errors
    /// `E_HANDLE` when closed.
    pub fn properties(&self, _query: Option<&str>) -> Result<Option<Document>, Error> {
        Err(HResult::E_NOTIMPL.into())
    }

    /// `HcsCloseOperation`: for all clones. A pending call goes on and its result is dropped; streams that nobody took
    /// are closed. Waits for a callback that is running, unless called from within it; none starts afterwards.
    ///
    /// # Errors
    /// `E_HANDLE` when closed before.
    pub fn close(&self) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }
}

impl Default for Operation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}
