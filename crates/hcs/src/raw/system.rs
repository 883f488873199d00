//! `HCS_SYSTEM`: a handle to a compute system.

use std::{fmt, time::Duration};

use hcs_schema::{Failure, HResult};

use super::{Document, EventCallback, Operation};

/// A handle to a compute system. All clones are the same handle; the last one dropped closes it.
#[derive(Clone)]
pub struct System {}

impl System {
    /// `HcsCreateComputeSystem`. The handle is usable at once; calls on it are done after the creation.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn create(_id: &str, _document: &str, _operation: &Operation) -> Result<Self, HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsOpenComputeSystem`. Every access is granted; `access` is there for the signature.
    ///
    /// # Errors
    /// `HCS_E_SYSTEM_NOT_FOUND`, or why the service could not be asked.
    pub fn open(_id: &str, _access: u32) -> Result<Self, Failure> {
        Err(Failure::new(HResult::E_NOTIMPL, ""))
    }

    /// A number that names this handle in the process; never 0, never used again.
    #[must_use]
    pub fn number(&self) -> u64 {
        0
    }

    /// The id it was created or opened with.
    #[must_use]
    pub fn id(&self) -> &str {
        ""
    }

    /// `HcsCloseComputeSystem`: for all clones. The system lives on (unless its document says otherwise). Waits for an
    /// event callback that is running, unless called from within it; no event comes afterwards.
    ///
    /// # Errors
    /// `E_HANDLE` when closed before.
    pub fn close(&self) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsStartComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn start(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsShutDownComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn shut_down(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsTerminateComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn terminate(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsPauseComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn pause(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsResumeComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn resume(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsSaveComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn save(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsCrashComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn crash(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsModifyComputeSystem`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn modify(&self, _operation: &Operation, _settings: &str) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsGetComputeSystemProperties`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn properties(&self, _operation: &Operation, _query: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsSetComputeSystemCallback`; `None` takes the callback away. Waits for one that is running, unless called from
    /// within it. A system that has exited already delivers its exit now, if no callback had it before.
    ///
    /// # Errors
    /// `E_HANDLE` when closed; `E_OUTOFMEMORY` when no thread could be started.
    pub fn set_callback(
        &self,
        _options: u32,
        _callback: Option<EventCallback>,
    ) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsWaitForComputeSystemExit`: the `SystemExitStatus`; `None` waits without limit.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HRESULT_FROM_WIN32(ERROR_TIMEOUT)`, or why there is no such system.
    pub fn wait_exit(&self, _limit: Option<Duration>) -> Result<Document, HResult> {
        Err(HResult::E_NOTIMPL)
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").finish_non_exhaustive()
    }
}
