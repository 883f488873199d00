//! [`Operation`]: a call under way, to be waited for or awaited.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use serde::{Serialize, de::DeserializeOwned};

use crate::raw::{self, Document};

/// Makes the value of a call from the result of its operation.
type Finish<T> = Box<dyn FnOnce(&raw::Operation, Option<Document>) -> Result<T, Failure> + Send>;

/// A call under way.
///
/// It has been made already and goes on by itself: [`Operation::wait`] blocks until it is done, `.await` suspends the
/// task, on any executor. After a drop, the call still goes on and its result is lost. A handle in that result is
/// closed again; the system or process behind it lives on.
///
/// ```
/// use std::time::Duration;
///
/// use hcs::{HResult, documents::SystemQuery};
///
/// # fn main() -> Result<(), hcs::Failure> {
/// let mut enumeration = hcs::enumerate(&SystemQuery::default());
/// let systems = match enumeration.wait_for(Duration::from_secs(10)) {
///     Err(failure) if failure.hresult == HResult::HCS_E_OPERATION_TIMEOUT => {
///         enumeration.cancel();
///         enumeration.wait()?
///     }
///     result => result?,
/// };
/// for system in systems {
///     println!("{:?}", system.id);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "whether the call succeeded is known only from its operation"]
pub struct Operation<T> {
    raw: raw::Operation,
    finish: Option<Finish<T>>,
    /// Why the call was not even made.
    refused: Option<Failure>,
}

impl<T> Operation<T> {
    /// Makes a call by `start`, and its value by `finish`, which gets the result of `start`.
    pub(crate) fn new<S: Send + 'static>(
        start: impl FnOnce(&raw::Operation) -> Result<S, Failure>,
        finish: impl FnOnce(S, &raw::Operation, Option<Document>) -> Result<T, Failure> + Send + 'static,
    ) -> Self {
        let raw = raw::Operation::new();
        match start(&raw) {
            Ok(started) => Self {
                raw,
                finish: Some(Box::new(move |raw, document| {
                    finish(started, raw, document)
                })),
                refused: None,
            },
            Err(failure) => Self {
                raw,
                finish: None,
                refused: Some(failure),
            },
        }
    }

    /// The call has to be done within `limit` from now on. Otherwise it ends with `HCS_E_OPERATION_TIMEOUT` and is
    /// undone, as by [`Operation::cancel`].
    pub fn deadline(self, limit: Duration) -> Self {
        // Without a thread the service alone keeps the time; a call that was refused has ended already.
        let _unwatched = self.raw.set_deadline(Some(limit));
        self
    }

    /// Blocks until the call is done.
    ///
    /// # Errors
    /// Why the call failed.
    pub fn wait(mut self) -> Result<T, Failure> {
        let result = self.raw.wait(None);
        self.end(result)
    }

    /// Blocks until the call is done, at most for `limit`.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_TIMEOUT` when it is not done by then: it goes on, and may be waited for again. Otherwise why
    /// the call failed. `HCS_E_OPERATION_NOT_STARTED` when its value was taken before.
    pub fn wait_for(&mut self, limit: Duration) -> Result<T, Failure> {
        let result = self.raw.wait(Some(limit));
        if let Err(error) = &result
            && error.hresult == HResult::HCS_E_OPERATION_TIMEOUT
            && error.document.is_none()
        {
            let seconds = limit.as_secs_f64();
            return Err(Failure::new(
                error.hresult,
                format!("the call was not done within {seconds} seconds and goes on"),
            ));
        }
        self.end(result)
    }

    /// Asks the service to undo the call, which then fails with `HRESULT_FROM_WIN32(ERROR_CANCELLED)`, unless it
    /// finishes first. A call that is done is left alone.
    pub fn cancel(&self) {
        // Refused only for a call that was not made, and that is the result then.
        let _not_made = self.raw.cancel();
    }

    /// The operation underneath.
    #[must_use]
    pub const fn raw(&self) -> &raw::Operation {
        &self.raw
    }

    fn end(&mut self, result: Result<Option<Document>, raw::Error>) -> Result<T, Failure> {
        if let Some(failure) = self.refused.take() {
            return Err(failure);
        }
        let taken = || {
            Failure::new(
                HResult::HCS_E_OPERATION_NOT_STARTED,
                "the result was taken before",
            )
        };
        let finish = self.finish.take().ok_or_else(taken)?;
        let document = result.map_err(|error| Failure::from(&error))?;
        finish(&self.raw, document)
    }
}

impl<T> Future for Operation<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.raw.poll_done(context));
        let result = self.raw.result();
        Poll::Ready(self.end(result))
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        // Nothing else closes it.
        let _first = self.raw.close();
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// The text of a document to send.
pub(crate) fn write<T: Serialize + ?Sized>(document: &T) -> Result<String, Failure> {
    serde_json::to_string(document).map_err(|error| {
        Failure::new(
            HResult::HCS_E_INVALID_JSON,
            "the document cannot be written",
        )
        .because(&error)
    })
}

/// Reads a document the service sent; properties this library does not know are passed over.
pub(crate) fn read<T: DeserializeOwned>(name: &str, document: Option<&str>) -> Result<T, Failure> {
    let unusable = |message| Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message);
    let document = document.ok_or_else(|| unusable(format!("the service sent no {name}")))?;
    serde_json::from_str(document).map_err(|error| {
        unusable(format!("the service sent a {name} that cannot be read")).because(&error)
    })
}

/// A refusal of the raw layer as a failure.
pub(crate) fn refused(hresult: HResult) -> Failure {
    Failure::new(hresult, "")
}
