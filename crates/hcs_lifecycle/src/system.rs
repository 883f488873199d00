//! The life of a compute system, and the calls that each state admits.
//!
//! ```text
//!                 Start                Pause
//!   Created ───────────────▶ Running ◀────────▶ Paused ─── Save (as template) ──▶ SavedAsTemplate
//!      │                        │      Resume     │                                     │
//!      │ Terminate              │ ShutDown        │ Terminate                           │ Terminate
//!      │                        │ Terminate       │                                     │
//!      ▼                        ▼                 ▼                                     ▼
//!   ┌──────────────────────────────────────────────────────────────────────────────────────┐
//!   │ Stopped: the machine is gone, whether asked for or not; nothing leads out of it       │
//!   └──────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Only the [`Queue`] may move it, and only when its owner reports that an action was done ([`Queue::finish`]) or that
//! the machine is gone ([`Queue::exited`]). A system that is still being made has no queue yet: no client holds a
//! handle of it.
//!
//! Admission. Calls are taken up in the order they came, one at a time, each judged against the state in which its
//! turn finds the system. So a client may send create, start and create process in one go, and a start that failed
//! makes the process that followed it fail with `HCS_E_INVALID_STATE` rather than run. Two things do not wait:
//!
//! - Terminate overtakes: it begins at once, beside whatever runs, so a stuck start or shutdown never delays it. A
//!   second one waits for the first, and then finds the system stopped (or, if the first failed, is tried).
//! - CreateProcess takes its turn but does not occupy it: any number run beside each other and beside what follows.
//!   While the system is being shut down it is refused rather than kept waiting for the shutdown's time limit; while a
//!   cancelled shutdown is being undone it waits.

mod queue;

use hcs_schema::HResult;

pub use queue::{Cancelled, Decision, Queue, Ticket};

/// Where a system is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Made, not started.
    Created,
    /// Processes may be created.
    Running,
    /// Frozen: nothing in it runs.
    Paused,
    /// Paused for ever, to make others from.
    SavedAsTemplate,
    /// Gone.
    Stopped,
}

impl State {
    /// The name the `State` property of the schema has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::SavedAsTemplate => "SavedAsTemplate",
            Self::Stopped => "Stopped",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Created,
            Self::Running,
            Self::Paused,
            Self::SavedAsTemplate,
            Self::Stopped,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }
}

/// A call that has to take its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `HcsStartComputeSystem`.
    Start,
    /// `HcsPauseComputeSystem`.
    Pause,
    /// `HcsResumeComputeSystem`.
    Resume,
    /// `HcsSaveComputeSystem`.
    Save {
        /// The system is to become a template.
        template: bool,
    },
    /// `HcsShutDownComputeSystem`: asks politely.
    ShutDown,
    /// `HcsTerminateComputeSystem`.
    Terminate,
    /// `HcsModifyComputeSystem`.
    Modify,
    /// `HcsCreateProcess`.
    CreateProcess,
}

impl Action {
    /// The function it stands for, in words: "start", "shut down", ...
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Save { .. } => "save",
            Self::ShutDown => "shut down",
            Self::Terminate => "terminate",
            Self::Modify => "modify",
            Self::CreateProcess => "create a process in",
        }
    }
}

/// The reason why a call is not admitted. A refusal is not a failure: nothing was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not valid in this state.
    #[error("this is not possible while the compute system is {}", .0.name())]
    State(State),
    /// A shutdown is under way.
    #[error("the compute system is being shut down")]
    ShuttingDown,
    /// A terminate is under way.
    #[error("the compute system is being terminated")]
    Terminating,
    /// The system is gone.
    #[error("the compute system has stopped")]
    Stopped,
    /// The system ended while this start was under way.
    #[error("the compute system ended while it was starting")]
    EndedDuringStart,
}

impl Refusal {
    /// The one table from refusals to result codes.
    #[must_use]
    pub const fn hresult(self) -> HResult {
        match self {
            Self::State(State::Stopped) | Self::Terminating | Self::Stopped => {
                HResult::HCS_E_SYSTEM_ALREADY_STOPPED
            }
            Self::State(
                State::Created | State::Running | State::Paused | State::SavedAsTemplate,
            )
            | Self::ShuttingDown => HResult::HCS_E_INVALID_STATE,
            Self::EndedDuringStart => HResult::HCS_E_TERMINATED_DURING_START,
        }
    }
}

/// Admits or refuses a call that goes to the guest beside the queue (signals, properties of processes, ...).
///
/// # Errors
/// Nothing in the system can answer in this state.
pub const fn judge_guest_call(state: State) -> Result<(), Refusal> {
    match state {
        State::Running => Ok(()),
        State::Stopped => Err(Refusal::Stopped),
        State::Created | State::Paused | State::SavedAsTemplate => Err(Refusal::State(state)),
    }
}

/// Whether `action` is valid in `state`: the table of the drawing above.
///
/// # Errors
/// The refusal.
pub const fn judge(state: State, action: Action) -> Result<(), Refusal> {
    let valid = match state {
        State::Created => matches!(action, Action::Start | Action::Terminate | Action::Modify),
        State::Running => matches!(
            action,
            Action::Pause
                | Action::ShutDown
                | Action::Terminate
                | Action::Modify
                | Action::CreateProcess
        ),
        State::Paused => matches!(
            action,
            Action::Resume | Action::Save { .. } | Action::Terminate | Action::Modify
        ),
        State::SavedAsTemplate => matches!(action, Action::Terminate),
        State::Stopped => return Err(Refusal::Stopped),
    };
    if valid {
        Ok(())
    } else {
        Err(Refusal::State(state))
    }
}

/// The state after `action` was done in `state`.
const fn after(state: State, action: Action) -> State {
    match action {
        Action::Start | Action::Resume => State::Running,
        Action::Pause => State::Paused,
        Action::Save { template: true } => State::SavedAsTemplate,
        // The end of a system is only ever reported by the machine itself.
        Action::Save { template: false }
        | Action::ShutDown
        | Action::Terminate
        | Action::Modify
        | Action::CreateProcess => state,
    }
}

/// How a system ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitType {
    /// It was asked to shut down, and did.
    Graceful,
    /// It was terminated.
    Forced,
    /// It ended without a request to do so.
    Unexpected,
}

impl ExitType {
    /// The name in the schema (`SystemExitStatus.ExitType`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graceful => "GracefulExit",
            Self::Forced => "ForcedExit",
            Self::Unexpected => "UnexpectedExit",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_states() {
        for state in [
            State::Created,
            State::Running,
            State::Paused,
            State::SavedAsTemplate,
            State::Stopped,
        ] {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(State::from_name("created"), None);
    }

    #[test]
    fn a_stopped_system_refuses_everything_in_the_same_way() {
        for action in [
            Action::Start,
            Action::Pause,
            Action::Resume,
            Action::Save { template: true },
            Action::ShutDown,
            Action::Terminate,
            Action::Modify,
            Action::CreateProcess,
        ] {
            let refusal = judge(State::Stopped, action).unwrap_err();
            assert_eq!(refusal.hresult(), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
        }
    }

    #[test]
    fn what_is_not_drawn_is_an_invalid_state() {
        for (state, action) in [
            (State::Created, Action::Pause),
            (State::Created, Action::CreateProcess),
            (State::Created, Action::ShutDown),
            (State::Running, Action::Start),
            (State::Running, Action::Resume),
            (State::Running, Action::Save { template: false }),
            (State::Paused, Action::CreateProcess),
            (State::Paused, Action::ShutDown),
            (State::SavedAsTemplate, Action::Resume),
        ] {
            let refusal = judge(state, action).unwrap_err();
            assert_eq!(
                refusal.hresult(),
                HResult::HCS_E_INVALID_STATE,
                "{action:?} in {state:?}"
            );
        }
    }

    #[test]
    fn a_guest_answers_while_its_system_runs() {
        assert_eq!(judge_guest_call(State::Running), Ok(()));
        let stopped = judge_guest_call(State::Stopped).unwrap_err();
        assert_eq!(stopped.hresult(), HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
        for state in [State::Created, State::Paused, State::SavedAsTemplate] {
            let refusal = judge_guest_call(state).unwrap_err();
            assert_eq!(refusal.hresult(), HResult::HCS_E_INVALID_STATE, "{state:?}");
        }
    }

    #[test]
    fn actions_and_ends_have_names_of_their_own() {
        for (action, verb) in [
            (Action::Start, "start"),
            (Action::Pause, "pause"),
            (Action::Resume, "resume"),
            (Action::Save { template: false }, "save"),
            (Action::Save { template: true }, "save"),
            (Action::ShutDown, "shut down"),
            (Action::Terminate, "terminate"),
            (Action::Modify, "modify"),
            (Action::CreateProcess, "create a process in"),
        ] {
            assert_eq!(action.verb(), verb);
        }
        for (exit, name) in [
            (ExitType::Graceful, "GracefulExit"),
            (ExitType::Forced, "ForcedExit"),
            (ExitType::Unexpected, "UnexpectedExit"),
        ] {
            assert_eq!(exit.name(), name);
        }
    }
}
