//! The life of an operation: the actions that each state of an `HCS_OPERATION` allows, and the names of refusals.
//!
//! ```text
//!                  start                       complete
//!   NotStarted ------------> Pending(call) ----------------> Completed(outcome)
//!                               ^  |  cancel: stays Pending,       |
//!                               |  +--- the service is told        |
//!                               |                                  |
//!                               +----------------------------------+
//!                                    start: the outcome is given up
//!
//!   close, from any state: --> Closed.  A Pending call goes on, its completion is ignored; no callback starts
//!   any more; the closer waits for callbacks that run, unless it is called from within one.
//! ```
//!
//! The threads of the program call `start`, `cancel`, `close` and read; only the connection calls `complete`, once for
//! each started call. The machine itself is a plain value: code that shares it puts a lock around it, and no method
//! needs to be called again because of another thread.
//!
//! Races thought through:
//! - *complete and close*: whichever comes second sees the other; a completion after close is dropped.
//! - *complete of an old call*: each start makes a new [`CallNumber`], a completion with another one is ignored.
//! - *cancel before the request is on its way*: [`Operation::sent`] tells the sender to send the cancellation after it.
//! - *callback and close*: [`Operation::callback_begins`] is refused once closed, so a closer that found no callback
//!   running knows that none will.

use hcs_schema::HResult;

use crate::operation_kind::OperationKind;

/// Tells the completions of one operation's successive calls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(u64);

impl CallNumber {
    /// How many calls the operation had tracked before this one.
    #[must_use]
    pub const fn earlier(self) -> u64 {
        self.0.saturating_sub(1)
    }
}

/// Why something may not be done with an operation now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The handle was closed.
    #[error("the operation is closed")]
    Closed,
    /// No call was ever tracked.
    #[error("the operation tracks no call yet")]
    NotStarted,
    /// A call is pending, so no other can start.
    #[error("the operation is tracking a call that has not completed")]
    AlreadyStarted,
    /// A call is pending, so there is no result.
    #[error("the call that the operation tracks has not completed")]
    Pending,
    /// The tracked call has no process information to give.
    #[error("the operation tracks a call that has no process information")]
    NoProcessInformation,
    /// The operation has a callback and so has the handle that takes completions.
    #[error("the operation has a callback, and the handle's event callback takes completions too")]
    CallbackConflict,
}

impl Refusal {
    /// The code that the refused function returns.
    #[must_use]
    pub const fn hresult(self) -> HResult {
        match self {
            Self::Closed => HResult::E_HANDLE,
            Self::NotStarted => HResult::HCS_E_OPERATION_NOT_STARTED,
            Self::AlreadyStarted => HResult::HCS_E_OPERATION_ALREADY_STARTED,
            Self::Pending => HResult::HCS_E_OPERATION_PENDING,
            Self::NoProcessInformation => HResult::E_INVALIDARG,
            Self::CallbackConflict => HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET,
        }
    }
}

/// A call that has begun to be tracked.
#[derive(Debug)]
pub struct Started<T, E> {
    /// Its number.
    pub call: CallNumber,
    /// The outcome of the call before, for the caller to drop where no lock is held.
    pub former: Option<Result<T, E>>,
}

/// Where the operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Tracks nothing yet.
    NotStarted,
    /// Tracks a call.
    Pending,
    /// Holds an outcome.
    Completed,
}

/// Whether a caller gets the stdio of a process along with its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// The caller gets it: the first that asked for it on a successful call.
    Given,
    /// The caller does not get it: not asked for, given before, or the call failed.
    Withheld,
}

/// The next step of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Tell the service to cancel this call.
    Tell(CallNumber),
    /// Nothing now: the request is not on its way yet, [`Operation::sent`] will say so, or it was told already.
    Noted,
    /// Nothing: the call is finished.
    Finished,
}

/// The state machine. `T` and `E` are the success and the error of a call; the machine only checks which one it is.
#[derive(Debug)]
pub struct Operation<T, E> {
    kind: OperationKind,
    state: State<T, E>,
    calls: u64,
    closed: bool,
    callback: bool,
    callbacks_running: u32,
}

#[derive(Debug)]
enum State<T, E> {
    NotStarted,
    Pending { sent: bool, cancelled: bool },
    Completed { outcome: Result<T, E>, given: bool },
}

impl<T, E> Default for Operation<T, E> {
    fn default() -> Self {
        Self {
            kind: OperationKind::None,
            state: State::NotStarted,
            calls: 0,
            closed: false,
            callback: false,
            callbacks_running: 0,
        }
    }
}

impl<T, E> Operation<T, E> {
    /// The kind of the tracked call; [`OperationKind::None`] until the first one. Also valid for a closed operation.
    #[must_use]
    pub const fn kind(&self) -> OperationKind {
        self.kind
    }

    /// Where it stands. Answered for a closed operation too.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::NotStarted => Phase::NotStarted,
            State::Pending { .. } => Phase::Pending,
            State::Completed { .. } => Phase::Completed,
        }
    }

    /// Whether it was closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Notes whether the operation has a callback of its own. `conflict` says that completions of the pending call go
    /// to an event callback. A callback set while a call is pending is called for that call.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::CallbackConflict`].
    pub const fn set_callback(&mut self, present: bool, conflict: bool) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        if present && conflict && matches!(self.state, State::Pending { .. }) {
            return Err(Refusal::CallbackConflict);
        }
        self.callback = present;
        Ok(())
    }

    /// Begins to track a call in place of a finished one. `completions_taken` says that the event callback of the
    /// handle the call is made on takes completions. A refused start changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::AlreadyStarted`], [`Refusal::CallbackConflict`], looked for in this order.
    pub fn start(
        &mut self,
        kind: OperationKind,
        completions_taken: bool,
    ) -> Result<Started<T, E>, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        if matches!(self.state, State::Pending { .. }) {
            return Err(Refusal::AlreadyStarted);
        }
        if self.callback && completions_taken {
            return Err(Refusal::CallbackConflict);
        }
        self.kind = kind;
        self.calls += 1;
        let pending = State::Pending {
            sent: false,
            cancelled: false,
        };
        let former = match std::mem::replace(&mut self.state, pending) {
            State::Completed { outcome, .. } => Some(outcome),
            State::NotStarted | State::Pending { .. } => None,
        };
        let call = CallNumber(self.calls);
        Ok(Started { call, former })
    }

    /// Notes that the request of `call` is on its way to the service. Returns true when it was cancelled before that,
    /// so that the cancellation has to follow it now.
    pub fn sent(&mut self, call: CallNumber) -> bool {
        match &mut self.state {
            State::Pending { sent, cancelled } if call.0 == self.calls => {
                *sent = true;
                *cancelled
            }
            _ => false,
        }
    }

    /// Ends the tracked call. The outcome is unwanted when the operation was closed meanwhile, or `call` is not the
    /// call it tracks.
    ///
    /// # Errors
    /// The unwanted outcome, for the caller to drop where no lock is held.
    pub fn complete(
        &mut self,
        call: CallNumber,
        outcome: Result<T, E>,
    ) -> Result<(), Result<T, E>> {
        if self.closed || call.0 != self.calls || !matches!(self.state, State::Pending { .. }) {
            return Err(outcome);
        }
        self.state = State::Completed {
            outcome,
            given: false,
        };
        Ok(())
    }

    /// The outcome of the tracked call, of any kind.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::NotStarted`], [`Refusal::Pending`], looked for in this order.
    pub const fn outcome(&self) -> Result<&Result<T, E>, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        match &self.state {
            State::NotStarted => Err(Refusal::NotStarted),
            State::Pending { .. } => Err(Refusal::Pending),
            State::Completed { outcome, .. } => Ok(outcome),
        }
    }

    /// Whether process information can be asked for at all, once the call has completed. The waiting form checks this
    /// before it waits.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::NotStarted`], [`Refusal::NoProcessInformation`], looked for in this order.
    pub const fn may_have_process_information(&self) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        if matches!(self.state, State::NotStarted) {
            return Err(Refusal::NotStarted);
        }
        if !self.kind.has_process_information() {
            return Err(Refusal::NoProcessInformation);
        }
        Ok(())
    }

    /// The outcome of a call that makes or describes a process, and whether this caller gets the streams. `take` says
    /// that it has a place to put them. They are given once.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::NotStarted`], [`Refusal::NoProcessInformation`], [`Refusal::Pending`], looked
    /// for in this order.
    pub fn process_information(&mut self, take: bool) -> Result<(&Result<T, E>, Streams), Refusal> {
        self.may_have_process_information()?;
        match &mut self.state {
            State::Completed { outcome, given } => {
                let streams = if take && !*given && outcome.is_ok() {
                    *given = true;
                    Streams::Given
                } else {
                    Streams::Withheld
                };
                Ok((outcome, streams))
            }
            State::NotStarted | State::Pending { .. } => Err(Refusal::Pending),
        }
    }

    /// Asks for the pending call to be cancelled. It stays pending until the service has undone it.
    ///
    /// # Errors
    /// [`Refusal::Closed`], [`Refusal::NotStarted`].
    pub const fn cancel(&mut self) -> Result<Cancel, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        match &mut self.state {
            State::NotStarted => Err(Refusal::NotStarted),
            State::Completed { .. } => Ok(Cancel::Finished),
            State::Pending { sent, cancelled } => {
                let first = !*cancelled;
                *cancelled = true;
                if first && *sent {
                    Ok(Cancel::Tell(CallNumber(self.calls)))
                } else {
                    Ok(Cancel::Noted)
                }
            }
        }
    }

    /// Asks whether a callback for a completion may begin; if so [`Operation::callback_ends`] must follow.
    pub const fn callback_begins(&mut self) -> bool {
        if !self.closed {
            self.callbacks_running += 1;
        }
        !self.closed
    }

    /// A callback has returned.
    pub const fn callback_ends(&mut self) {
        self.callbacks_running = self.callbacks_running.saturating_sub(1);
    }

    /// The number of callbacks that run now; a closer waits until it is 0.
    #[must_use]
    pub const fn callbacks_running(&self) -> u32 {
        self.callbacks_running
    }

    /// Closes the operation. Returns the outcome, which cannot be read any more, for the caller to drop where no lock
    /// is held.
    ///
    /// # Errors
    /// [`Refusal::Closed`].
    pub fn close(&mut self) -> Result<Option<Result<T, E>>, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        self.closed = true;
        match std::mem::replace(&mut self.state, State::NotStarted) {
            State::Completed { outcome, .. } => Ok(Some(outcome)),
            other => {
                self.state = other;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
#[path = "operation_tests.rs"]
mod tests;
