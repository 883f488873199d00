//! `hcs wait`: until a system or a process has ended.

use clap::Args;
use hcs::{
    ComputeSystem, Exit, ExitStatus, HResult, OutputQuery, OutputRecord, documents::ProcessStatus,
};

use crate::{
    client,
    clock::Clock,
    complain,
    failure::Stop,
    options::{self, limit::Limit},
    output::{print_json, printable},
};

/// The exit code of what SIGKILL ended.
const KILLED: u32 = 137;

const TIMEOUT: &str = "Give up with exit code 124 when it takes longer (0.5 is half a second); what is waited for goes on";

/// Wait until a system, or a process in it, has ended
///
/// With a PID the exit code is that of the process. Without one that of the command of a container that hcs run -d
/// made, as often as it is asked for, and 137 where the container ended before it; for other systems the status
/// document of the system is printed when it has ended.
#[derive(Args, Debug)]
#[command(
    mut_arg("timeout", |timeout| timeout.help(TIMEOUT)),
    after_help = "\
Examples:
  hcs wait web                     after hcs run -d --id web: exits as its command did
  hcs wait box                     prints the SystemExitStatus document
  hcs wait box 12 --timeout 1.5
  hcs wait box 12 --json"
)]
pub(crate) struct Wait {
    /// The system
    id: String,

    /// A process, by its pid inside
    #[arg(value_parser = options::pid)]
    pid: Option<u32>,

    /// Print the status of a process, too, as a ProcessStatus document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: Limit,
}

impl Wait {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("wait");
        let system = clock.open(&self.id)?;
        if let Some(pid) = self.pid {
            let process = match clock.wait(&self.id, system.open_process(pid)) {
                Ok(process) => process,
                // A detached process may have ended before.
                Err(stop) => {
                    return match self.command_exit(&system, pid, clock) {
                        Ok(Some(exit)) => Ok(client::code(exit)),
                        _ => Err(stop),
                    };
                }
            };
            let what = format!("process {pid} of {:?}", self.id);
            let exit = end(&process.exit(), clock, &what)?;
            if self.json {
                print_json(&status(pid, exit))?;
            }
            return Ok(client::code(exit));
        }
        if let Some(exit) = self.command_exit(&system, 0, clock)? {
            return Ok(client::code(exit));
        }
        let what = format!("compute system {:?}", self.id);
        print_json(&end(&system.exit(), clock, &what)?)?;
        Ok(0)
    }
}

impl Wait {
    /// Waits for a process of a container that was detached, 0 for its command: its agent has the exit code, with the
    /// output.
    fn command_exit(
        &self,
        system: &ComputeSystem,
        process_id: u32,
        clock: Clock,
    ) -> Result<Option<ExitStatus>, Stop> {
        let query = OutputQuery {
            process_id,
            exit_only: true,
            follow: true,
            ..OutputQuery::default()
        };
        let mut output = match clock.on(system.output(&query)).wait() {
            Ok(output) => output,
            Err(late) if late.hresult == HResult::HCS_E_OPERATION_TIMEOUT => {
                return Err(clock.stop(&self.id, late));
            }
            // No command was detached, or it cannot be asked for: what is waited for is the end of the system.
            Err(_) => return Ok(None),
        };
        loop {
            match output.next_within(clock.left()) {
                Ok(Some((_, OutputRecord::Exit(code)))) => {
                    let exit = ExitStatus {
                        code,
                        ..ExitStatus::default()
                    };
                    if self.json {
                        print_json(&status(output.process_id(), exit))?;
                    }
                    return Ok(Some(exit));
                }
                Ok(Some(_)) => {}
                Ok(None) => return self.killed(output.process_id()).map(Some),
                Err(late) if late.hresult == HResult::TIMEOUT => {
                    let what = format!("the command of {:?}", self.id);
                    return Err(clock.passed(&what, "goes on"));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

impl Wait {
    /// The end of a command whose container ended first, by a terminate for example: it was killed then.
    fn killed(&self, process_id: u32) -> Result<ExitStatus, Stop> {
        let exit = ExitStatus {
            code: KILLED,
            ..ExitStatus::default()
        };
        if self.json {
            print_json(&status(process_id, exit))?;
        }
        complain(&format!(
            "hcs: the container {} ended, and its command was killed\n",
            printable(&self.id)
        ));
        Ok(exit)
    }
}

/// How a process ended, as the service says it.
fn status(pid: u32, exit: ExitStatus) -> ProcessStatus {
    ProcessStatus {
        process_id: Some(pid),
        exited: Some(true),
        exit_code: Some(exit.code),
        out_of_memory: exit.out_of_memory.map(|_| true),
        memory_limit_in_mb: exit.out_of_memory.and_then(|why| why.limit_in_mb),
        reached_process_limit: exit.process_limit,
        ..ProcessStatus::default()
    }
}

/// Waits for the end of `what`.
fn end<T>(exit: &Exit<T>, clock: Clock, what: &str) -> Result<T, Stop> {
    match exit.wait_within(clock.left()) {
        Err(late) if late.hresult == HResult::TIMEOUT => Err(clock.passed(what, "goes on")),
        ended => Ok(ended?),
    }
}
