//! `HcsCreateProcess`, from checked parameters to a process with its stdio.

use std::{os::fd::OwnedFd, rc::Rc, sync::Arc};

use hcs_engine::engine::StdioOffer;
use hcs_schema::{Failure, Stdio};
use hcs_wire::guest::{ExecuteSteps, KEPT_FILES, Rpc};

use crate::{
    record::{
        blocking::{blocking, on},
        operations,
    },
    system::{
        System,
        guest_link::{
            GuestLink,
            calls::{answered, check},
        },
        no_guest,
        process::Process,
        stdio::Traces,
    },
};

/// What a process gets for its standard streams.
#[derive(Debug)]
pub(crate) enum StdioSource {
    /// Pipes that are to be made.
    Wanted(Stdio<bool>),
    /// Its ends of pipes that its client made.
    Given(Vec<OwnedFd>, Stdio<bool>),
    /// What its agent makes: the agent keeps what it writes.
    Kept,
}

/// The client's ends of those pipes.
#[derive(Debug)]
pub(crate) enum Ends {
    /// It has them.
    Own,
    Made(Stdio<Option<OwnedFd>>),
}

/// Abandons a process unless a client takes it.
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

/// Stdio that is ready for the request.
#[derive(Default)]
struct Prepared {
    /// What the host's ends come from, where the service makes them.
    offer: Option<Box<dyn StdioOffer>>,
    ports: Option<Stdio<Option<u32>>>,
    guest_ends: Vec<OwnedFd>,
}

/// Makes or takes the streams of a process that is about to be created.
async fn prepare(
    system: &Rc<System>,
    link: &GuestLink,
    process: &Process,
    stdio: StdioSource,
    thread: Option<impl Send + 'static>,
) -> Result<Prepared, Failure> {
    match stdio {
        StdioSource::Wanted(streams) => {
            let machine = &system.machine;
            let guest = machine.guest().ok_or_else(|| no_guest(&system.id))?;
            let mut offer = guest.open_stdio(streams)?;
            Ok(Prepared {
                ports: offer.ports(),
                guest_ends: offer.take_guest_ends(),
                offer: Some(offer),
            })
        }
        StdioSource::Given(guest_ends, streams) => {
            process.set_stdio(Traces::given(&guest_ends, streams));
            Ok(Prepared {
                guest_ends,
                ..Prepared::default()
            })
        }
        StdioSource::Kept => {
            link.check_detached()?;
            let (machine, id) = (Arc::clone(&system.machine), system.id.clone());
            let make = move || {
                let guest = machine.guest().ok_or_else(|| no_guest(&id))?;
                guest.make_files(KEPT_FILES)
            };
            let guest_ends = on(thread, make).await?;
            process.set_stdio(Traces::default());
            Ok(Prepared {
                guest_ends,
                ..Prepared::default()
            })
        }
    }
}

/// Creates a process in a running system. Dropping the future cancels the call: a process that comes to be
/// nevertheless is killed, and no client hears of it. `place` is the caller's turn at the agent, and is given back as
/// soon as the agent has answered: what comes then may wait for threads of this client alone. So may what comes before,
/// for which `thread` is therefore held already, where the agent keeps what the process writes.
///
/// # Errors
/// What the agent reported, or why it could not be asked.
pub(crate) async fn launch(
    system: &Rc<System>,
    process: &Rc<Process>,
    parameters: String,
    stdio: StdioSource,
    (place, thread): (impl Sized, Option<impl Send + 'static>),
) -> Result<Ends, Failure> {
    let limit = system.context()?.config().times.guest();
    let link = system.guest().await?;
    let Prepared {
        offer,
        ports,
        guest_ends,
    } = prepare(system, &link, process, stdio, thread).await?;
    let mut guard = Guard {
        process: Rc::clone(process),
        armed: true,
    };
    let created = async {
        let answer = link.execute(parameters, guest_ends, ports, process, limit)?;
        let response = answered(answer, Rpc::ExecuteProcess).await?;
        if let Some(steps) = &response.steps {
            note(steps);
        }
        check(&response.base, "the process could not be created")
    };
    let created = created.await;
    drop(place);
    if let Err(failure) = created {
        return Err(system.explain(failure).await.while_doing("ExecuteProcess"));
    }
    let ends = match offer {
        None => Ends::Own,
        Some(offer) => {
            let stdio = if ports.is_some() {
                blocking(move || offer.into_host_ends(limit)).await?
            } else {
                offer.into_host_ends(limit)?
            };
            process.set_stdio(Traces::remember(&stdio));
            Ends::Made(stdio)
        }
    };
    guard.armed = false;
    Ok(ends)
}
