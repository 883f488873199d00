//! Calls on processes.

use std::{os::fd::OwnedFd, rc::Rc, time::Duration};

use hcs_lifecycle::{process::ProcessCall, system::State};
use hcs_schema::{
    Failure, HResult, Stdio,
    documents::{
        ModifyOperation, ProcessModifyRequest, ProcessParameters, ProcessStatus,
        SignalProcessOptions, StdHandle,
    },
};
use hcs_wire::{
    guest::{RecallCallResponse, SignalOptions},
    service::ProcessInformation,
};

use super::{RoutedCall, systems};
use crate::{
    client::connection::{CallAnswer, handles::Object},
    document::{parse, parse_long, parse_optional},
    record::{blocking, failures::unknown, operations},
    system::{
        Creating, System, SystemRequest, defaults,
        launch::{self, Ends, StdioSource},
        process::Process,
    },
    thread::fair::FairPlace,
};

/// `SIGKILL`.
const KILL: i32 = 9;

/// `HcsCreateProcess`.
pub(super) fn create(
    routed: RoutedCall,
    (system, handle): (u64, u64),
    parameters: String,
    pipes: Option<Stdio<bool>>,
) {
    let pipes = pipes.unwrap_or_default();
    let system = match routed.connection.handles.system(system) {
        Ok(system) => system,
        Err(failure) => {
            created(&routed, handle, Err(failure));
            return;
        }
    };
    let connection = Rc::clone(&routed.connection);
    connection.spawn(async move {
        let begun = begun_before(&routed, &system, &parameters, pipes).await;
        let launched = match begun {
            Ok(Some(process)) => Ok((None, process, Ends::Own)),
            Ok(None) => {
                let launched = launch_in_turn(&routed, &system, parameters, pipes);
                routed.until_cancelled(launched).await
            }
            Err(failure) => Err(failure),
        };
        // Kept until the creation is answered: the end of the system waits for that.
        let (_creating, launched) = match launched {
            Ok((creating, process, ends)) => (creating, Ok((process, ends))),
            Err(failure) => (None, Err(failure)),
        };
        created(&routed, handle, launched);
    });
}

/// For a call that is made again: the process that it has made, if it was begun. A client that has given it up
/// meanwhile has that killed.
///
/// # Errors
/// It is unknown whether it was begun, or the process has pipes that its client does not know.
async fn begun_before(
    routed: &RoutedCall,
    system: &Rc<System>,
    parameters: &str,
    pipes: Stdio<bool>,
) -> Result<Option<Rc<Process>>, Failure> {
    let (Some(_), Some(name)) = (&routed.pending.repeat, routed.pending.timeline.name()) else {
        return Ok(None);
    };
    routed.is_in_time().await?;
    let (document, _) =
        parse_long::<ProcessParameters>(system.coverage(), parameters.to_owned()).await?;
    let asked = operations::carry(
        Some(Rc::clone(&routed.pending.timeline)),
        recall(routed, system, name),
    );
    let Some(recalled) = asked.await? else {
        return Ok(None);
    };
    if !(1..=i32::MAX.cast_unsigned()).contains(&recalled.process_id) {
        return Err(Failure::new(
            HResult::HCS_E_PROTOCOL_ERROR,
            format!(
                "the guest agent broke the protocol: the call made the impossible process {}",
                recalled.process_id
            ),
        ));
    }
    let process = system.recalled(&recalled, routed.initiator())?;
    if document.ends_system == Some(true) {
        process.set_ends_system();
    }
    routed
        .pending
        .timeline
        .step(format!("process {} had been made", recalled.process_id));
    if routed.pending.is_cancelled() {
        process.abandon();
        return Err(routed.pending.cancelled().await);
    }
    let had = |ends: &[OwnedFd], user| match system.machine.guest() {
        Some(guest) => guest.had_pipes(ends, user),
        None => Ok(false),
    };
    if streams(&document) != Stdio::default() && !are_used(routed, &document, pipes, had)? {
        return Err(unknown(
            "it had made a process, whose standard streams ended with the service",
        ));
    }
    Ok(Some(process))
}

/// How long to rest before an agent that cannot be reached is asked again.
const REST: Duration = Duration::from_millis(50);

/// What the agent of `system` knows of the call `name`, however long it takes to ask it.
async fn recall(
    routed: &RoutedCall,
    system: &Rc<System>,
    name: &str,
) -> Result<Option<RecallCallResponse>, Failure> {
    loop {
        if let Err(stopped) = system.alive() {
            let left = system.recalled_from_left(name).await?;
            return left.map_or(Err(stopped), |recalled| Ok(Some(recalled)));
        }
        match system.state() {
            State::Created => return Ok(None),
            State::Paused => return Err(unknown("the system is paused, so it cannot be asked")),
            _ => {}
        }
        let limit = system.context()?.config().times.guest();
        let asked = async { system.guest().await?.recall(name, limit).await };
        let failure = match asked.await {
            Ok(recalled) => return Ok(recalled),
            Err(failure) => failure,
        };
        let lost = [
            HResult::HCS_E_CONNECTION_CLOSED,
            HResult::HCS_E_CONNECTION_TIMEOUT,
        ];
        let may_know = lost.contains(&failure.hresult) || system.alive().is_err();
        if !may_know || routed.connection.is_closed() {
            return Err(failure);
        }
        tokio::time::sleep(REST).await;
    }
}

/// The standard streams that a process wants pipes for.
fn streams(document: &ProcessParameters) -> Stdio<bool> {
    let console = document.emulate_console == Some(true);
    if document.detached == Some(true) {
        // Its agent has them.
        return Stdio::default();
    }
    Stdio {
        stdin: document.create_std_in_pipe == Some(true),
        stdout: document.create_std_out_pipe == Some(true),
        // A console has one output.
        stderr: document.create_std_err_pipe == Some(true) && !console,
    }
}

/// Whether the process gets the pipes that came with the call; `fits` looks at them, for a client of that user.
fn are_used(
    routed: &RoutedCall,
    document: &ProcessParameters,
    pipes: Stdio<bool>,
    fits: impl FnOnce(&[OwnedFd], u32) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    if pipes == Stdio::default() || pipes != streams(document) {
        return Ok(false);
    }
    let user = routed.connection.peer.uid;
    routed.pending.with_pipes(|ends| fits(ends, user))
}

/// A place at the agent of the system, which may be asked for a process now; for a detached one, with the thread that
/// makes the files for what it writes.
async fn place_at_agent(
    routed: &RoutedCall,
    system: &Rc<System>,
    is_detached: bool,
) -> Result<(FairPlace, Option<impl Send + 'static + use<>>), Failure> {
    let mut has_had_turn = false;
    loop {
        // With neither in hand: what is before it in the queue may need a thread of the same client.
        if !system.process_may_begin() {
            system
                .perform(routed.initiator(), SystemRequest::CreateProcess)
                .await?;
            has_had_turn = true;
        }
        let thread = match is_detached {
            true => Some(routed.in_its_turn(blocking::thread()).await?),
            false => None,
        };
        let lane = system.creations.place(routed.connection.share.who);
        let place = routed.in_its_turn(lane).await?;
        // Later requests of the queue do not overtake it for ever.
        if has_had_turn || system.process_may_begin() {
            return Ok((place, thread));
        }
    }
}

async fn launch_in_turn(
    routed: &RoutedCall,
    system: &Rc<System>,
    parameters: String,
    pipes: Stdio<bool>,
) -> Result<(Option<Creating>, Rc<Process>, Ends), Failure> {
    system.alive()?;
    // Before its turn: a long document waits for a thread of its client, and others would wait for that.
    let (document, parameters) =
        parse_long::<ProcessParameters>(system.coverage(), parameters).await?;
    let is_detached = document.detached == Some(true);
    let place = place_at_agent(routed, system, is_detached).await?;
    let (document, parameters) =
        defaults::complete(system.defaults.as_ref(), document, parameters)?;
    let share = routed
        .connection
        .service
        .context
        .process_quota
        .take(routed.connection.peer.uid)?;
    let creating = system.begin_creating();
    let take = |ends: &[OwnedFd], user| match system.machine.guest() {
        Some(guest) => guest.take_pipes(ends, user),
        None => Ok(false),
    };
    let given = if is_detached {
        StdioSource::Kept
    } else if are_used(routed, &document, pipes, take)? {
        StdioSource::Given(routed.pending.take_pipes(), streams(&document))
    } else {
        StdioSource::Wanted(streams(&document))
    };
    let console = document.emulate_console == Some(true);
    let process = Process::new(system, console, share);
    process.set_initiator(routed.initiator());
    if document.ends_system == Some(true) {
        process.set_ends_system();
    }
    let ends = launch::launch(system, &process, parameters, given, place).await?;
    if is_detached {
        system.has_detached(&process, &document);
    }
    Ok((Some(creating), process, ends))
}

/// Answers a creation or an opening.
fn created(routed: &RoutedCall, handle: u64, launched: Result<(Rc<Process>, Ends), Failure>) {
    let made =
        launched.map(|(process, ends)| (information(&process, ends), Object::Process(process)));
    systems::settle(routed, handle, made);
}

/// The answer that carries a process's pid and stdio.
fn information(process: &Process, ends: Ends) -> CallAnswer {
    let mut answer = CallAnswer::done();
    let own_pipes = matches!(ends, Ends::Own);
    let stdio = match ends {
        Ends::Own => Stdio::default(),
        Ends::Made(stdio) => stdio,
    };
    let Stdio {
        stdin,
        stdout,
        stderr,
    } = stdio.present();
    answer.reply.process = Some(ProcessInformation {
        process_id: process.pid(),
        stdin,
        stdout,
        stderr,
        own_pipes,
    });
    answer.descriptors = stdio.into_array().into_iter().flatten().collect();
    answer
}

/// `HcsOpenProcess`.
pub(super) fn open(routed: RoutedCall, system: u64, handle: u64, pid: u32, again: bool) {
    let system = match routed.connection.handles.system(system) {
        Ok(system) => system,
        Err(failure) => {
            created(&routed, handle, Err(failure));
            return;
        }
    };
    let is_linked = system.link().is_some() || system.alive().is_err();
    if system.processes.get(pid).is_some() || (is_linked && system.has_learnt()) {
        created(&routed, handle, find(&system, pid, again));
        return;
    }
    // A system that was taken over just now: its agent may know of more processes than were written down.
    let connection = Rc::clone(&routed.connection);
    connection.spawn(async move {
        let linked = find_when_linked(&system, pid, again);
        let found = routed.until_cancelled(linked).await;
        created(&routed, handle, found);
    });
}

/// [`find`], once the agent can be asked. A client with a handle would take a failure for the end of the process. It
/// would learn of an exit in any case only when the agent tells it, so it is not answered before that.
async fn find_when_linked(
    system: &Rc<System>,
    pid: u32,
    again: bool,
) -> Result<(Rc<Process>, Ends), Failure> {
    loop {
        match system.guest().await {
            Err(failure) if failure.hresult == HResult::HCS_E_CONNECTION_CLOSED => {
                if !again {
                    return Err(failure);
                }
            }
            // A paused system cannot be asked.
            Ok(_) | Err(_) => {
                if !system.has_learnt() {
                    system.left().await;
                }
                return find(system, pid, again);
            }
        }
    }
}

/// The process to open. For a handle that was there `again`, that may be one that has exited and whose status others
/// have been told, or one that only its agent remembers.
fn find(system: &Rc<System>, pid: u32, again: bool) -> Result<(Rc<Process>, Ends), Failure> {
    let found = |process| Ok((process, Ends::Made(Stdio::default())));
    if let Some(process) = system.processes.get(pid) {
        process.judge(ProcessCall::Open)?;
        return found(process);
    }
    if again && let Some(process) = system.processes.told(pid) {
        return found(process);
    }
    if again && let Some(process) = system.remembered_by_left(pid) {
        return found(process);
    }
    system.alive()?;
    if again && let Some(process) = system.remembered_by_agent(pid) {
        return found(process);
    }
    Err(Failure::new(
        HResult::NOT_FOUND,
        format!(
            "'{0}' has no process {pid} that a client made, or its exit status was already delivered; the event log has \
             it then (hcs events --system {0})",
            system.id
        ),
    )
    .cause(format!(
        "a process that another one has made inside gets its signals inside: hcs exec {} -- sh -c 'kill {pid}'",
        system.id
    )))
}

/// `HcsCloseProcess`.
pub(super) fn close(routed: &RoutedCall, handle: u64) {
    systems::release(routed, handle, |handles| handles.process(handle).map(drop));
}

/// The process behind a handle, if `call` is let in.
fn judged(routed: &RoutedCall, handle: u64, call: ProcessCall) -> Result<Rc<Process>, Failure> {
    let process = routed.connection.handles.process(handle)?;
    process.judge(call)?;
    Ok(process)
}

/// `HcsTerminateProcess`.
pub(super) fn terminate(routed: RoutedCall, handle: u64, options: Option<&str>) {
    let ready =
        systems::no_options(options).and_then(|()| routed.connection.handles.process(handle));
    match ready {
        Ok(process) => routed.run_once(async move {
            let options = SignalOptions {
                signal: KILL,
                group: false,
            };
            send_signal(&process, options, ProcessCall::Terminate).await?;
            process.terminated();
            Ok(CallAnswer::done())
        }),
        Err(failure) => routed.answer(Err(failure)),
    }
}

/// `HcsSignalProcess`.
pub(super) fn signal(routed: RoutedCall, handle: u64, options: Option<String>) {
    let found = routed.connection.handles.process(handle);
    let ready = found.and_then(move |process| {
        let options: SignalProcessOptions = parse_optional(process.coverage, options.as_deref())?;
        let signal = options
            .signal
            .map_or(KILL, |signal| i32::from(signal.number()));
        let group = options.group == Some(true);
        Ok((process, SignalOptions { signal, group }))
    });
    match ready {
        Ok((process, options)) => routed.run_once(async move {
            send_signal(&process, options, ProcessCall::Signal).await?;
            Ok(CallAnswer::done())
        }),
        Err(failure) => routed.answer(Err(failure)),
    }
}

async fn send_signal(
    process: &Rc<Process>,
    options: SignalOptions,
    call: ProcessCall,
) -> Result<(), Failure> {
    if let Err(failure) = process.judge(call) {
        // A process may have ended of a call that is made again.
        return if was_sent(process).await {
            Ok(())
        } else {
            Err(failure)
        };
    }
    let system = process.system()?;
    let limit = system.context()?.config().times.guest();
    if options.signal == KILL {
        process.is_asked_to_die();
    }
    let sent = system.guest().await?.signal(process, options, limit).await;
    let Err(failure) = sent else {
        return Ok(());
    };
    let failure = system.explain(failure).await;
    if system.alive().is_err() && was_sent(process).await {
        return Ok(());
    }
    // Its exit may have been reported while the agent was asked; that is the better reason.
    let failure = process.judge(call).err().unwrap_or(failure);
    Err(failure.while_doing("SignalProcess"))
}

/// Whether the present call is made again, and has been done before.
async fn was_sent(process: &Process) -> bool {
    let name = operations::current().and_then(|timeline| timeline.repeated());
    let (Some(name), Some(system)) = (name, process.origin()) else {
        return false;
    };
    if system.alive().is_err() {
        return matches!(system.recalled_from_left(&name).await, Ok(Some(_)));
    }
    let asked = async {
        let limit = system.context()?.config().times.guest();
        system.guest().await?.recall(&name, limit).await
    };
    matches!(asked.await, Ok(Some(_)))
}

/// `HcsGetProcessInfo`. Fresh stdio is given only when no process holds any of the old.
pub(super) fn info(routed: RoutedCall, handle: u64) {
    match judged(&routed, handle, ProcessCall::GetInfo) {
        Ok(process) if process.stdio_is_unknown() => routed.run(async move {
            let stdio = process.recall_and_reattach().await;
            // Its exit may have been reported while the agent was asked; that is the better reason.
            let stdio = stdio
                .map_err(|failure| process.judge(ProcessCall::GetInfo).err().unwrap_or(failure));
            told(&process, stdio)
        }),
        Ok(process) => routed.answer(told(&process, process.reattach())),
        Err(failure) => routed.answer(Err(failure)),
    }
}

fn told(
    process: &Process,
    stdio: Result<Stdio<Option<OwnedFd>>, Failure>,
) -> Result<CallAnswer, Failure> {
    let stdio = stdio.map_err(|failure| failure.while_doing("GetProcessInfo"))?;
    Ok(information(process, Ends::Made(stdio)))
}

/// `HcsGetProcessProperties`.
pub(super) fn properties(
    routed: &RoutedCall,
    handle: u64,
    query: Option<&str>,
) -> Result<CallAnswer, Failure> {
    hcs_schema::parse_optional::<ProcessStatus>(query)?;
    let process = judged(routed, handle, ProcessCall::GetProperties)?;
    Ok(CallAnswer::document(Some(process.status())))
}

/// `HcsModifyProcess`.
pub(super) fn modify(routed: RoutedCall, handle: u64, settings: &str) {
    let found = routed.connection.handles.process(handle);
    let ready = found.and_then(|process| {
        let request: ProcessModifyRequest = parse(process.coverage, settings)?;
        process.judge(ProcessCall::Modify)?;
        Ok((process, request))
    });
    match ready {
        Ok((process, request)) => routed.run_once(async move {
            apply(&process, &request)
                .await
                .map_err(|f| f.while_doing("ModifyProcess"))?;
            Ok(CallAnswer::done())
        }),
        Err(failure) => routed.answer(Err(failure)),
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
            let limit = system.context()?.config().times.guest();
            let (height, width) = (size.height.unwrap_or(0), size.width.unwrap_or(0));
            let link = system.guest().await?;
            match link.resize(process, height, width, limit).await {
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
