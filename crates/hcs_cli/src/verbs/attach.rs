//! `hcs attach`: our terminal and streams for the command of a detached container.

use clap::Args;
use hcs::{Failure, HResult, KeptOutput, OutputAbout, OutputQuery, OutputRecord};

use crate::{
    clock::Clock,
    failure::Stop,
    options::{self, limit::Limit},
    session::{
        self,
        keys::{self, DetachKeys},
    },
};

const TIMEOUT: &str =
    "Detach, with exit code 124, when the command goes on for longer (0.5 is half a second)";

/// Attach to the command of a container that hcs run -d made, and exit as it does
///
/// What it writes from now on is shown; hcs logs has what it wrote before. With hcs run -di our standard input is
/// passed on, with -dit keys such as Ctrl-C too. Several may be attached at the same time. The keys that detach are
/// found on a terminal alone; HUP detaches, too, and so does the second INT, QUIT or TERM: the first of them is passed
/// on to the command.
#[derive(Args, Debug)]
#[command(
    mut_arg("timeout", |timeout| timeout.help(TIMEOUT)),
    after_help = "\
Examples:
  hcs attach web
  hcs attach --detach-keys ctrl-x,d web
  echo 'status' | hcs attach game                  after hcs run -di --id game
  hcs attach --no-stdin --detach-keys '' web"
)]
pub(crate) struct Attach {
    /// The container
    id: String,

    /// Keys that detach: each a character or ctrl- and one, with commas between them; empty for none
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = keys::parse)]
    detach_keys: DetachKeys,

    /// Do not pass our standard input on
    #[arg(long)]
    no_stdin: bool,

    /// The detached process, by its pid inside [default: the container's command]
    #[arg(long, value_name = "PID", value_parser = options::pid)]
    process: Option<u32>,

    #[command(flatten)]
    limit: Limit,
}

impl Attach {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("attach");
        let system = clock.open(&self.id)?;
        let query = OutputQuery {
            process_id: self.process.unwrap_or(0),
            tail: Some(0),
            follow: true,
            attach: true,
            ..OutputQuery::default()
        };
        let mut output = clock.wait(&self.id, system.output(&query))?;
        let about = about(&mut output, clock)?;
        let process = clock.wait(&self.id, system.open_process(output.process_id()));
        let process = process.map_err(|stop| ended(stop, &self.id))?;
        // Its handle ends with the connection, which ends with us: the service need not hear of it before.
        std::mem::forget(system);
        let input = output
            .take_input()
            .filter(|_| about.stdin && !self.no_stdin);
        let joined = session::Joined {
            process,
            output,
            input,
            terminal: about.terminal,
            keys: self.detach_keys,
        };
        session::join(joined, &self.id, clock)
    }
}

/// What it is attached to, which is told first.
fn about(output: &mut KeptOutput, clock: Clock) -> Result<OutputAbout, Failure> {
    match output.next_within(clock.left())? {
        Some((_, OutputRecord::About(about))) => Ok(about),
        _ => {
            let message =
                "the guest agent did not say what it attached us to: it is of another release";
            Err(Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message))
        }
    }
}

/// Says what is there of a command that has ended.
fn ended(mut stop: Stop, id: &str) -> Stop {
    if stop.failure.hresult == HResult::NOT_FOUND {
        let message = format!(
            "the command of {id:?} has ended: hcs logs {id} has what it wrote, hcs wait {id} its exit code"
        );
        stop.failure = Failure::new(HResult::HCS_E_PROCESS_ALREADY_STOPPED, message);
    }
    stop
}
