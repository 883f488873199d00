//! The life of a process, and the calls that each state admits.
//!
//! ```text
//!   Running ──── terminate was obeyed ───▶ Terminated
//!      │                                       │
//!      │ exit                                  │ exit
//!      ▼                                       ▼
//!   Exited, status not delivered: may still be opened ─── a client held a handle, or opened one ───▶ Exited, delivered
//! ```
//!
//! The owner of the guest's answers reports [`Life::terminated`] and [`Life::exited`]; the owner of the handles reports
//! [`Life::delivered`]. A status once reported never changes. Open handles keep returning the status for as long as
//! they live; only *opening* ends with the first delivery (decision 13 of the design).

use hcs_schema::HResult;

/// A call on a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessCall {
    /// `HcsOpenProcess`.
    Open,
    /// `HcsTerminateProcess`.
    Terminate,
    /// `HcsSignalProcess`.
    Signal,
    /// `HcsModifyProcess`.
    Modify,
    /// `HcsGetProcessInfo`.
    GetInfo,
    /// `HcsGetProcessProperties`.
    GetProperties,
}

/// The reason why a call is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It has exited.
    #[error("the process has already exited")]
    Exited,
    /// It has been terminated, and its exit is about to be reported.
    #[error("the process has already been terminated")]
    Terminated,
    /// It has exited and its exit status was delivered; there is nothing left to open.
    #[error("no process has this id any more: its exit status was already delivered")]
    Gone,
}

impl Refusal {
    /// The one table from refusals to result codes.
    #[must_use]
    pub const fn hresult(self) -> HResult {
        match self {
            Self::Exited | Self::Terminated => HResult::HCS_E_PROCESS_ALREADY_STOPPED,
            Self::Gone => HResult::NOT_FOUND,
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExitStatus {
    /// Exit code; 128 + N for death by signal N.
    pub exit_code: u32,
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    terminated: bool,
    exit: Option<ExitStatus>,
    delivered: bool,
}

impl Life {
    /// A process that has just been created.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            terminated: false,
            exit: None,
            delivered: false,
        }
    }

    /// Whether `call` is admitted now.
    ///
    /// # Errors
    /// The refusal.
    pub const fn judge(&self, call: ProcessCall) -> Result<(), Refusal> {
        match call {
            ProcessCall::GetProperties => Ok(()),
            ProcessCall::Open if self.delivered => Err(Refusal::Gone),
            ProcessCall::Open => Ok(()),
            ProcessCall::Terminate
            | ProcessCall::Signal
            | ProcessCall::Modify
            | ProcessCall::GetInfo
                if self.exit.is_some() =>
            {
                Err(Refusal::Exited)
            }
            ProcessCall::Terminate if self.terminated => Err(Refusal::Terminated),
            ProcessCall::Terminate
            | ProcessCall::Signal
            | ProcessCall::Modify
            | ProcessCall::GetInfo => Ok(()),
        }
    }

    /// Reports that a terminate was obeyed: the process can only exit from now on.
    pub const fn terminated(&mut self) {
        self.terminated = true;
    }

    /// Reports the exit. Returns whether it was the first report; a later one is ignored.
    pub const fn exited(&mut self, status: ExitStatus) -> bool {
        if self.exit.is_some() {
            return false;
        }
        self.exit = Some(status);
        true
    }

    /// Reports that the exit status reached a client. Returns whether this was the first delivery of a status.
    pub const fn delivered(&mut self) -> bool {
        let news = self.exit.is_some() && !self.delivered;
        if self.exit.is_some() {
            self.delivered = true;
        }
        news
    }

    /// How it ended, if it has.
    #[must_use]
    pub const fn exit(&self) -> Option<ExitStatus> {
        self.exit
    }

    /// Whether it has exited and no client has received the status yet.
    #[must_use]
    pub const fn owes_status(&self) -> bool {
        self.exit.is_some() && !self.delivered
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_terminate_finds_the_process_stopped_even_before_its_exit_is_known() {
        let mut life = Life::new();
        assert_eq!(life.judge(ProcessCall::Terminate), Ok(()));
        life.terminated();
        assert_eq!(life.judge(ProcessCall::Terminate), Err(Refusal::Terminated));
        assert_eq!(
            life.judge(ProcessCall::Signal),
            Ok(()),
            "the signal race is the guest's to decide"
        );
    }

    #[test]
    fn an_exited_process_can_be_opened_until_its_status_was_delivered() {
        let mut life = Life::new();
        assert!(!life.delivered(), "nothing to deliver yet");
        assert!(life.exited(ExitStatus { exit_code: 7 }));
        assert!(life.owes_status());
        assert_eq!(life.judge(ProcessCall::Open), Ok(()));
        assert!(life.delivered());
        assert_eq!(life.judge(ProcessCall::Open), Err(Refusal::Gone));
        assert_eq!(Refusal::Gone.hresult(), HResult::NOT_FOUND);
        assert_eq!(
            life.judge(ProcessCall::GetProperties),
            Ok(()),
            "open handles still answer"
        );
    }

    proptest! {
        #[test]
        fn the_first_exit_stands_in_any_interleaving(events in prop::collection::vec((0_u8..4, 0_u32..300), 0..30)) {
            let mut life = Life::new();
            let (mut exit, mut deliveries) = (None, 0);
            for (event, code) in events {
                match event {
                    0 => life.terminated(),
                    1 => {
                        let first = life.exited(ExitStatus { exit_code: code });
                        prop_assert_eq!(first, exit.is_none());
                        exit.get_or_insert(code);
                    }
                    2 => deliveries += usize::from(life.delivered()),
                    _ => {
                        for call in [ProcessCall::Terminate, ProcessCall::Signal, ProcessCall::Modify, ProcessCall::GetInfo] {
                            if exit.is_some() {
                                prop_assert_eq!(life.judge(call), Err(Refusal::Exited));
                            }
                        }
                        prop_assert_eq!(life.judge(ProcessCall::Open).is_ok(), deliveries == 0);
                    }
                }
                prop_assert_eq!(life.exit().map(|s| s.exit_code), exit);
                prop_assert_eq!(life.owes_status(), exit.is_some() && deliveries == 0);
                prop_assert!(deliveries <= 1);
            }
        }
    }
}
