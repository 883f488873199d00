//! `HcsCreateProcess`, from checked parameters to a process with its stdio.

use std::rc::Rc;

use hcs_lifecycle::engine::{HostStdio, Streams};
use hcs_schema::{Failure, documents::ProcessParameters};
use hcs_wire::guest::{ExecuteSteps, Rpc};

use crate::{
    blocking::blocking,
    guest_link::calls::{answered, check},
    limits::Share,
    operations,
    process::Process,
    stdio::Stdio,
    system::{Behalf, System},
};

/// Abandons a process unless somebody takes it.
struct Guard {
    process: Rc<Process>,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            self.process.abandon();
        }
    }
}

/// Puts what the agent did into the time line of the operation.
fn note(steps: &ExecuteSteps) {
    let told = [
        (steps.begun, "agent: took the request up"),
        (steps.identified, "agent: looked up the user"),
        (steps.decided, "agent: read what to run"),
        (steps.connected, "agent: has its standard streams ready"),
        (steps.cloned, "process: cloned from the agent"),
        (steps.became, "process: has its session, streams and user"),
        (steps.entered, "process: entered its working directory"),
        (steps.executed, "process: became the program (execve)"),
    ];
    operations::agents_steps(
        told.into_iter()
            .filter_map(|(ago, what)| Some((ago?, what))),
    );
}

/// Creates a process in a running system. Dropping the future cancels the call: a process that comes to be
/// nevertheless is killed, and nobody hears of it.
///
/// # Errors
/// What the agent reported, or why it could not be asked.
pub(crate) async fn launch(
    system: &Rc<System>,
    behalf: Behalf,
    parameters: String,
    document: &ProcessParameters,
    share: Share,
) -> Result<(Rc<Process>, HostStdio), Failure> {
    let limit = system.service()?.config.times.guest();
    let link = system.guest().await?;
    let console = document.emulate_console == Some(true);
    let mut offer = system.machine.open_stdio(Streams {
        stdin: document.create_std_in_pipe == Some(true),
        stdout: document.create_std_out_pipe == Some(true),
        // A console has one output.
        stderr: document.create_std_err_pipe == Some(true) && !console,
    })?;
    let process = Process::new(system, console, share);
    process.set_behalf(behalf);
    let mut guard = Guard {
        process: Rc::clone(&process),
        armed: true,
    };
    let ports = offer.ports();
    let guest_ends = offer.take_guest_ends();
    let created = async {
        let answer = link.execute(parameters, guest_ends, ports, &process, limit)?;
        let response = answered(answer, Rpc::ExecuteProcess).await?;
        if let Some(steps) = &response.steps {
            note(steps);
        }
        check(&response.base, "the process could not be created")
    };
    if let Err(failure) = created.await {
        return Err(system.explain(failure).await.while_doing("ExecuteProcess"));
    }
    let stdio = if ports.is_some() {
        blocking(move || offer.into_host_ends(limit)).await?
    } else {
        offer.into_host_ends(limit)?
    };
    process.set_stdio(Stdio::remember(&stdio));
    guard.armed = false;
    Ok((process, stdio))
}
