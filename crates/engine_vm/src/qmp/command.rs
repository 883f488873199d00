//! The commands in use, each with the type of its return.

use serde::{Deserialize, de::DeserializeOwned};

/// A command without arguments.
pub(crate) trait Command {
    /// Its name.
    const NAME: &'static str;
    /// What it answers.
    type Return: DeserializeOwned;
}

/// The answer of a command that answers nothing: an empty object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Nothing {}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $wire:literal -> $return:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name;

            impl Command for $name {
                const NAME: &'static str = $wire;
                type Return = $return;
            }
        )*
    };
}

commands! {
    /// Ends the negotiation; no other command is allowed before.
    QmpCapabilities = "qmp_capabilities" -> Nothing;
    /// Lets the processors run.
    Cont = "cont" -> Nothing;
    /// Stops the processors.
    Stop = "stop" -> Nothing;
    /// Presses the power button.
    SystemPowerdown = "system_powerdown" -> Nothing;
    /// Asks whether the processors run.
    QueryStatus = "query-status" -> Status;
}

/// Whether the processors run, and the state of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Status {
    /// Whether they run.
    pub(crate) running: bool,
    /// `prelaunch` before the first run, then `running`, `paused`, `shutdown`, `guest-panicked` and others.
    pub(crate) status: String,
}
