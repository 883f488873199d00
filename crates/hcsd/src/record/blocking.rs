//! Calls that may block, on threads that may wait.

use std::time::Duration;

use hcs_schema::{Failure, HResult};

use super::timeline;

/// Runs `call` on a thread of its own; the steps it notes are those of the operation that waits for it. Dropping the
/// future does not stop the call, only the waiting.
///
/// # Errors
/// What `call` fails with; `E_UNEXPECTED` when it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    on(thread().await, call).await
}

/// A thread for a call that may block. No client takes all of them, so this may wait for others of the client: what is
/// held meanwhile is held against all clients.
pub(crate) async fn thread() -> impl Send + 'static {
    match timeline::share() {
        Some(share) => Some(share.thread().await),
        None => None,
    }
}

/// [`blocking`] on a [`thread`].
///
/// # Errors
/// As for that.
pub(crate) async fn on<T: Send + 'static>(
    place: impl Send + 'static,
    call: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let watch = timeline::watch();
    let call = move || {
        // Held for as long as the thread is, though no task may wait for it any more.
        let _place = place;
        match watch {
            Some(watch) => watch.over(call),
            None => call(),
        }
    };
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(e) => Err(Failure::new(HResult::E_UNEXPECTED, "an engine call broke off").because(&e)),
    }
}

/// [`blocking`], waited for at most for `limit`; `what` names it in the failure.
///
/// # Errors
/// As [`blocking`], and `HCS_E_CONNECTION_TIMEOUT` at the limit.
pub(crate) async fn blocking_within<T: Send + 'static>(
    limit: Duration,
    what: &str,
    call: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, blocking(call))
        .await
        .unwrap_or_else(|_| {
            Err(Failure::new(
                HResult::HCS_E_CONNECTION_TIMEOUT,
                format!("{what} took longer than {limit:?}"),
            ))
        })
}
