//! Calls on processes.

use std::{os::fd::OwnedFd, rc::Rc};

use crate::document::{parse, parse_long, parse_optional};
use hcs_lifecycle::{engine::HostStdio, process::Call};
use hcs_schema::{
    Failure, HResult,
    documents::{
        ModifyOperation, ProcessModifyRequest, ProcessParameters, ProcessStatus,
        SignalProcessOptions, StdHandle,
    },
};
use hcs_wire::service::ProcessInformation;

use super::{Errand, systems};
use crate::{
    connection::{Answer, handles::Object},
    launch,
    process::Process,
    system::{Creating, Request, System},
};

/// `SIGKILL`.
const KILL: i32 = 9;

/// `HcsCreateProcess`.
pub(super) fn create(errand: Errand, system: u64, handle: u64, parameters: String) {
    let system = match errand.connection.handles.system(system) {
        Ok(system) => system,
        Err(failure) => {
            created(&errand, handle, Err(failure));
            return;
        }
    };
    let connection = Rc::clone(&errand.connection);
    connection.spawn(async move {
        let launched = launch_in_turn(&errand, &system, parameters);
        // Kept until the creation is answered: the end of the system waits for that.
        let (_creating, launched) = match errand.until_cancelled(launched).await {
            Ok((creating, process, stdio)) => (Some(creating), Ok((process, stdio))),
            Err(failure) => (None, Err(failure)),
        };
        created(&errand, handle, launched);
    });
}

async fn launch_in_turn(
    errand: &Errand,
    system: &Rc<System>,
    parameters: String,
) -> Result<(Creating, Rc<Process>, HostStdio), Failure> {
    system.alive()?;
    let lane = errand.connection.share.processes_of(&system.runtime_id);
    let _place = errand.place(&lane).await?;
    let (document, parameters) = parse_long::<ProcessParameters>(parameters).await?;
    if !system.process_may_begin() {
        system
            .perform(errand.behalf(), Request::CreateProcess)
            .await?;
    }
    let share = errand
        .connection
        .service
        .process_quota
        .take(errand.connection.peer.uid)?;
    let creating = system.begin_creating();
    let (process, stdio) =
        launch::launch(system, errand.behalf(), parameters, &document, share).await?;
    Ok((creating, process, stdio))
}

/// Answers a creation or an opening.
fn created(errand: &Errand, handle: u64, launched: Result<(Rc<Process>, HostStdio), Failure>) {
    let made =
        launched.map(|(process, stdio)| (information(&process, stdio), Object::Process(process)));
    systems::settle(errand, handle, made);
}

/// The answer that carries a process's pid and stdio.
fn information(process: &Process, stdio: HostStdio) -> Answer {
    let mut answer = Answer::done();
    answer.reply.process = Some(ProcessInformation {
        process_id: process.pid(),
        stdin: stdio.stdin.is_some(),
        stdout: stdio.stdout.is_some(),
        stderr: stdio.stderr.is_some(),
    });
    let ends: [Option<OwnedFd>; 3] = [stdio.stdin, stdio.stdout, stdio.stderr];
    answer.descriptors = ends.into_iter().flatten().collect();
    answer
}

/// `HcsOpenProcess`.
pub(super) fn open(errand: Errand, system: u64, handle: u64, pid: u32, again: bool) {
    let system = match errand.connection.handles.system(system) {
        Ok(system) => system,
        Err(failure) => {
            created(&errand, handle, Err(failure));
            return;
        }
    };
    if system.processes.get(pid).is_some() || system.link().is_some() || system.alive().is_err() {
        created(&errand, handle, find(&system, pid, again));
        return;
    }
    // A system that was taken over just now: its agent may know of more processes than were written down.
    let connection = Rc::clone(&errand.connection);
    connection.spawn(async move {
        let linked = find_when_linked(&system, pid, again);
        let found = errand.until_cancelled(linked).await;
        created(&errand, handle, found);
    });
}

/// [`find`], once the agent can be asked. Who had a handle would take a failure for the end of the process, and learn of
/// an exit in any case only when the agent tells it, so it is not answered before that.
async fn find_when_linked(
    system: &Rc<System>,
    pid: u32,
    again: bool,
) -> Result<(Rc<Process>, HostStdio), Failure> {
    loop {
        match system.guest().await {
            Err(failure) if failure.hresult == HResult::HCS_E_CONNECTION_CLOSED => {
                if !again {
                    return Err(failure);
                }
            }
            // A paused system cannot be asked.
            Ok(_) | Err(_) => return find(system, pid, again),
        }
    }
}

/// The process to open. For a handle that was there `again`, that may be one that has exited and whose status others
/// have been told, or one that only its agent remembers.
fn find(system: &Rc<System>, pid: u32, again: bool) -> Result<(Rc<Process>, HostStdio), Failure> {
    let found = |process| Ok((process, HostStdio::default()));
    if let Some(process) = system.processes.get(pid) {
        process.judge(Call::Open)?;
        return found(process);
    }
    if again && let Some(process) = system.processes.told(pid) {
        return found(process);
    }
    system.alive()?;
    if again && let Some(process) = system.remembered_by_agent(pid) {
        return found(process);
    }
    Err(Failure::new(
        HResult::NOT_FOUND,
        format!(
            "'{0}' has no process {pid}, or its exit status was already delivered; the event log has it then \
             (hcs events --system {0})",
            system.id
        ),
    ))
}

/// `HcsCloseProcess`.
pub(super) fn close(errand: &Errand, handle: u64) {
    systems::release(errand, handle, |handles| handles.process(handle).map(drop));
}

/// The process behind a handle, if `call` is let in.
fn judged(errand: &Errand, handle: u64, call: Call) -> Result<Rc<Process>, Failure> {
    let process = errand.connection.handles.process(handle)?;
    process.judge(call)?;
    Ok(process)
}

/// `HcsTerminateProcess`.
pub(super) fn terminate(errand: Errand, handle: u64, options: Option<&str>) {
    let ready =
        systems::no_options(options).and_then(|()| judged(&errand, handle, Call::Terminate));
    match ready {
        Ok(process) => errand.run(async move {
            send_signal(&process, KILL, Call::Terminate).await?;
            process.terminated();
            Ok(Answer::done())
        }),
        Err(failure) => errand.answer(Err(failure)),
    }
}

/// `HcsSignalProcess`.
pub(super) fn signal(errand: Errand, handle: u64, options: Option<&str>) {
    let ready = parse_optional::<SignalProcessOptions>(options).and_then(|options| {
        let number = options
            .signal
            .map_or(KILL, |signal| i32::from(signal.number()));
        Ok((judged(&errand, handle, Call::Signal)?, number))
    });
    match ready {
        Ok((process, number)) => errand.run(async move {
            send_signal(&process, number, Call::Signal).await?;
            Ok(Answer::done())
        }),
        Err(failure) => errand.answer(Err(failure)),
    }
}

async fn send_signal(process: &Rc<Process>, number: i32, call: Call) -> Result<(), Failure> {
    let system = process.system()?;
    let limit = system.service()?.config.times.guest();
    if number == KILL {
        process.is_asked_to_die();
    }
    let sent = system
        .guest()
        .await?
        .signal(process.pid(), number, limit)
        .await;
    let Err(failure) = sent else {
        return Ok(());
    };
    let failure = system.explain(failure).await;
    // Its exit may have been reported while the agent was asked; that is the better reason.
    let failure = process.judge(call).err().unwrap_or(failure);
    Err(failure.while_doing("SignalProcess"))
}

/// `HcsGetProcessInfo`. Fresh stdio is given only when nobody holds any of the old.
pub(super) fn info(errand: Errand, handle: u64) {
    match judged(&errand, handle, Call::GetInfo) {
        Ok(process) if process.stdio_is_unknown() => errand.run(async move {
            let stdio = process.recall_and_reattach().await;
            // Its exit may have been reported while the agent was asked; that is the better reason.
            let stdio =
                stdio.map_err(|failure| process.judge(Call::GetInfo).err().unwrap_or(failure));
            told(&process, stdio)
        }),
        Ok(process) => errand.answer(told(&process, process.reattach())),
        Err(failure) => errand.answer(Err(failure)),
    }
}

fn told(process: &Process, stdio: Result<HostStdio, Failure>) -> Result<Answer, Failure> {
    let stdio = stdio.map_err(|failure| failure.while_doing("GetProcessInfo"))?;
    Ok(information(process, stdio))
}

/// `HcsGetProcessProperties`.
pub(super) fn properties(
    errand: &Errand,
    handle: u64,
    query: Option<&str>,
) -> Result<Answer, Failure> {
    parse_optional::<ProcessStatus>(query)?;
    let process = judged(errand, handle, Call::GetProperties)?;
    Ok(Answer::document(Some(process.status())))
}

/// `HcsModifyProcess`.
pub(super) fn modify(errand: Errand, handle: u64, settings: &str) {
    let ready = parse::<ProcessModifyRequest>(settings)
        .and_then(|request| Ok((judged(&errand, handle, Call::Modify)?, request)));
    match ready {
        Ok((process, request)) => errand.run(async move {
            apply(&process, &request)
                .await
                .map_err(|f| f.while_doing("ModifyProcess"))?;
            Ok(Answer::done())
        }),
        Err(failure) => errand.answer(Err(failure)),
    }
}

async fn apply(process: &Rc<Process>, request: &ProcessModifyRequest) -> Result<(), Failure> {
    match (
        request.operation,
        &request.console_size,
        &request.close_handle,
    ) {
        (Some(ModifyOperation::ConsoleSize), Some(size), _) => {
            let system = process.system()?;
            let limit = system.service()?.config.times.guest();
            let (height, width) = (size.height.unwrap_or(0), size.width.unwrap_or(0));
            let link = system.guest().await?;
            match link.resize(process.pid(), height, width, limit).await {
                Ok(()) => Ok(()),
                Err(failure) => Err(system.explain(failure).await),
            }
        }
        (Some(ModifyOperation::CloseHandle), _, Some(close)) => {
            // The client's library closes the client's descriptor; what is left to do here is never to give out a
            // new one. The service itself holds no end of the pipes.
            if matches!(close.handle, Some(StdHandle::StdIn | StdHandle::All)) {
                process.close_stdin();
            }
            Ok(())
        }
        _ => Err(Failure::new(
            HResult::HCS_E_INVALID_JSON,
            "expected Operation \"ConsoleSize\" with ConsoleSize, or \"CloseHandle\" with CloseHandle",
        )),
    }
}
