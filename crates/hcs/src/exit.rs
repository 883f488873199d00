//! [`Exit`]: waiting for the end of a system or process, and [`ExitStatus`].

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hcs_schema::{Failure, HResult, documents::ProcessStatus};
use serde::de::DeserializeOwned;

use crate::{
    operation::read,
    raw::Document,
    raw::client::{Client, Watch},
    raw::handle::Handle,
    reading::hub::Mark,
    reading::sync::Deadline,
};

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExitStatus {
    /// The exit code; 128 + N when signal N killed it.
    pub code: u32,
    /// The kernel killed it because its system had no memory left.
    pub out_of_memory: Option<OutOfMemory>,
    /// It failed, and its system, which may have this many processes and threads, was refused another one before.
    pub process_limit: Option<u64>,
}

/// Why a process had no memory left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutOfMemory {
    /// How much its system might have, in megabytes. Without a limit of its own the host had no more.
    pub limit_in_mb: Option<u64>,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")?;
        match self.limit_in_mb {
            Some(limit) => write!(f, " (limit {limit} MB)"),
            None => Ok(()),
        }
    }
}

impl ExitStatus {
    /// Whether the code is 0.
    #[must_use]
    pub const fn success(self) -> bool {
        self.code == 0
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.code)?;
        if let Some(limit) = self.process_limit {
            write!(f, ", at the limit of {limit} processes")?;
        }
        match self.out_of_memory {
            Some(why) => write!(f, ", killed: {why}"),
            None => Ok(()),
        }
    }
}

/// The end of a system or process, to be waited for or awaited, as often as one likes.
#[must_use = "nothing is waited for before `wait` or `.await`"]
pub struct Exit<T> {
    handle: Arc<Handle>,
    mark: Option<Mark>,
    /// From the first time on that it was not ready.
    watch: Option<Watch>,
    read: fn(&str) -> Result<T, Failure>,
}

impl<T> Exit<T> {
    pub(crate) fn new(handle: &Arc<Handle>, read: fn(&str) -> Result<T, Failure>) -> Self {
        Self {
            handle: Arc::clone(handle),
            mark: None,
            watch: None,
            read,
        }
    }

    /// Blocks until it has exited.
    ///
    /// # Errors
    /// The handle was closed, the thing was never made, or the service is gone and cannot be reached again.
    pub fn wait(self) -> Result<T, Failure> {
        self.wait_within(None)
    }

    /// Blocks until it has exited, at most for `limit`.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_TIMEOUT)` when it has not by then; otherwise as [`Exit::wait`].
    pub fn wait_for(&self, limit: Duration) -> Result<T, Failure> {
        self.wait_within(Some(limit))
    }

    /// [`Exit::wait_for`], or without a limit [`Exit::wait`].
    ///
    /// # Errors
    /// As those.
    pub fn wait_within(&self, limit: Option<Duration>) -> Result<T, Failure> {
        self.result(self.handle.wait_exit(Deadline::after(limit)))
    }

    fn result(&self, exit: Result<Document, HResult>) -> Result<T, Failure> {
        let document = exit.map_err(|hresult| {
            let of = &self.handle;
            match hresult {
                HResult::TIMEOUT => Failure::new(hresult, format!("{of} has not exited in time")),
                HResult::E_HANDLE => {
                    Failure::new(hresult, format!("the handle of {of} was closed"))
                }
                _ => Failure::new(hresult, format!("it is not known whether {of} has exited"))
                    .cause(hresult.message()),
            }
        })?;
        (self.read)(&document)
    }
}

impl<T> Future for Exit<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let first = self.mark.is_none();
        let mark = self.mark.unwrap_or_else(|| self.handle.hub().mark());
        self.mark = Some(mark);
        let polled = self.handle.hub().poll_exit(mark, context.waker());
        if first && polled.is_pending() {
            // In this order: a connection that is lost from here on is made again.
            self.handle.watch();
            self.watch = Some(Watch::new(&Client::of(self.handle.endpoint())));
        }
        let exit = ready!(polled);
        self.watch = None;
        Poll::Ready(self.result(exit))
    }
}

impl<T> fmt::Debug for Exit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exit")
            .field("of", &self.handle)
            .finish_non_exhaustive()
    }
}

/// The status in a `ProcessStatus`.
pub(crate) fn process_exit(document: &str) -> Result<ExitStatus, Failure> {
    let status: ProcessStatus = read("ProcessStatus", Some(document))?;
    let result = HResult(status.last_wait_result.unwrap_or_default());
    if !result.is_success() {
        let process_id = status.process_id.unwrap_or_default();
        let message = format!("process {process_id} has exited; its exit code is not known");
        return Err(Failure::new(result, message).cause(result.message()));
    }
    match status.exit_code {
        Some(code) => Ok(ExitStatus {
            code,
            out_of_memory: (status.out_of_memory == Some(true)).then_some(OutOfMemory {
                limit_in_mb: status.memory_limit_in_mb,
            }),
            process_limit: status.reached_process_limit,
        }),
        None => {
            let message = "the service sent a ProcessStatus without an exit code";
            Err(Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message))
        }
    }
}

/// The `SystemExitStatus`.
pub(crate) fn system_exit<T: DeserializeOwned>(document: &str) -> Result<T, Failure> {
    read("SystemExitStatus", Some(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_counts_only_when_the_wait_worked() {
        let good = r#"{"ProcessId":7,"Exited":true,"ExitCode":42,"LastWaitResult":0}"#;
        assert_eq!(process_exit(good).unwrap().code, 42);
        let killed = r#"{"ProcessId":7,"Exited":true,"ExitCode":137,"LastWaitResult":0,"OutOfMemory":true,"MemoryLimitInMB":64}"#;
        let said = process_exit(killed).unwrap().to_string();
        assert_eq!(said, "exit code 137, killed: out of memory (limit 64 MB)");
        let refused = r#"{"ProcessId":7,"Exited":true,"ExitCode":2,"LastWaitResult":0,"ReachedProcessLimit":32}"#;
        let said = process_exit(refused).unwrap().to_string();
        assert_eq!(said, "exit code 2, at the limit of 32 processes");
        let lost = r#"{"ProcessId":7,"Exited":true,"ExitCode":0,"LastWaitResult":-2147023728}"#;
        let failure = process_exit(lost).unwrap_err();
        assert_eq!(failure.hresult, HResult::NOT_FOUND);
        assert!(failure.message.contains('7'));
        assert!(process_exit("{}").is_err() && process_exit("nonsense").is_err());
    }
}
