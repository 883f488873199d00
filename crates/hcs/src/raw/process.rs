//! `HCS_PROCESS`: a handle to a process in a compute system.

use std::{
    fmt,
    os::fd::{OwnedFd, RawFd},
    time::Duration,
};

use hcs_schema::{Failure, HResult};

use super::{Document, EventCallback, Operation, System};

/// A handle to a process in a compute system. All clones are the same handle; the last one dropped closes it.
#[derive(Clone)]
pub struct Process {}

impl Process {
    /// `HcsCreateProcess`. The handle is usable at once; calls on it are done after the creation.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn create(
        _system: &System,
        _parameters: &str,
        _operation: &Operation,
    ) -> Result<Self, HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsOpenProcess`. Every access is granted.
    ///
    /// # Errors
    /// `E_HANDLE` when `system` is closed, `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)` when there is no such process (any
    /// more), or why the service could not be asked.
    pub fn open(_system: &System, _process_id: u32, _access: u32) -> Result<Self, Failure> {
        Err(Failure::new(HResult::E_NOTIMPL, ""))
    }

    /// A number that names this handle in the process; never 0, never used again.
    #[must_use]
    pub fn number(&self) -> u64 {
        0
    }

    /// Pid inside the compute system, once it is known.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        None
    }

    /// Gives the write end of standard input away to a holder outside Rust, which owns the returned number from now on
    /// and has to close it. The number is remembered, so that a `CloseHandle` of `StdIn` ([`Process::modify`]) can end
    /// the child's input although the holder still has it open: then the number is made to mean a pipe without a
    /// reader. Copies that the holder made of it (`dup(2)`, `fork(2)`) are the holder's business.
    #[must_use]
    pub fn lend_stdin(&self, _stdin: OwnedFd) -> RawFd {
        -1
    }

    /// `HcsCloseProcess`: for all clones. The process lives on. Streams that nobody took are closed. Waits for an event
    /// callback that is running, unless called from within it; no event comes afterwards.
    ///
    /// # Errors
    /// `E_HANDLE` when closed before.
    pub fn close(&self) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsTerminateProcess`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn terminate(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsSignalProcess`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn signal(&self, _operation: &Operation, _options: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsGetProcessInfo`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn info(&self, _operation: &Operation) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsGetProcessProperties`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn properties(&self, _operation: &Operation, _query: Option<&str>) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsModifyProcess`.
    ///
    /// # Errors
    /// As every call that takes an operation (see [`super`]).
    pub fn modify(&self, _operation: &Operation, _settings: &str) -> Result<(), HResult> {
        Err(HResult::E_NOTIMPL)
    }

    /// `HcsSetProcessCallback`; as [`System::set_callback`].
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

    /// `HcsWaitForProcessExit`: the `ProcessStatus`; `None` waits without limit.
    ///
    /// # Errors
    /// `E_HANDLE` when closed, `HRESULT_FROM_WIN32(ERROR_TIMEOUT)`, or why there is no such process.
    pub fn wait_exit(&self, _limit: Option<Duration>) -> Result<Document, HResult> {
        Err(HResult::E_NOTIMPL)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}
