//! Calls on compute systems.

use std::{rc::Rc, sync::Arc};

use hcs_lifecycle::system::Action;
use hcs_schema::{
    Failure, HResult,
    documents::{CrashOptions, SaveOptions, SaveType, ShutdownOptions},
};
use serde_json::json;

use super::RoutedCall;
use crate::{
    client::{
        connection::{
            CallAnswer,
            handles::{Handles, Object, Released},
        },
        properties,
    },
    document::{parse, parse_optional},
    record::{blocking::blocking, event_log::Kind, failures::unknown, ledger::CallOutcome},
    system::{System, SystemRequest, making},
};

/// `HcsCreateComputeSystem`.
pub(super) fn create(routed: RoutedCall, handle: u64, id: String, document: String) {
    let connection = Rc::clone(&routed.connection);
    connection.spawn(async move {
        let service = Rc::clone(&routed.connection.service);
        let uid = routed.connection.peer.uid;
        let made = match created_before(&routed).await {
            Ok(None) => {
                let made = async {
                    let place = routed.connection.share.creation(&id);
                    let _place = routed.in_its_turn(place).await??;
                    making::create(&service.context, routed.initiator(), uid, id, document).await
                };
                routed.until_cancelled(made).await
            }
            Ok(Some(system)) => Ok(system),
            Err(failure) => Err(failure),
        };
        if let Ok(system) = &made {
            routed.pending.timeline.set_record(system);
        }
        opened(&routed, handle, made);
    });
}

/// For a call that is made again: the system that it has created, if it was begun. A client that has given it up
/// meanwhile has that ended.
///
/// # Errors
/// It is unknown whether it was begun, or the system has ended since.
async fn created_before(routed: &RoutedCall) -> Result<Option<Rc<System>>, Failure> {
    let Some(name) = routed.pending.timeline.repeated() else {
        return Ok(None);
    };
    let was_done = routed.was_done().await?;
    let Some(system) = routed.connection.service.context.registry.created_by(&name) else {
        return check_ended(routed, &name, was_done).map(|()| None);
    };
    routed.pending.timeline.step("had been created");
    let about = json!({ "SystemType": system.system_type });
    system.note_once(Kind::SystemCreated, None, routed.initiator(), Some(about));
    if routed.pending.is_cancelled() {
        system
            .perform(routed.initiator(), SystemRequest::Terminate)
            .await?;
        return Err(routed.pending.cancelled().await);
    }
    // Its last handle went with the earlier connection, and its document says that it ends with that.
    if system.is_leaving() {
        return Err(has_ended());
    }
    Ok(Some(system))
}

/// For a call that is made again under this name, where no system is there that it has created.
///
/// # Errors
/// It had created one, which has ended since; or this cannot be told.
fn check_ended(routed: &RoutedCall, name: &str, was_done: bool) -> Result<(), Failure> {
    let ended = &routed.connection.service.context.ended;
    routed.pending.timeline.set_record(ended);
    match ended.outcome(name) {
        CallOutcome::NotBegun if !was_done => Ok(()),
        CallOutcome::Uncertain | CallOutcome::Forgotten if !was_done => Err(unknown(
            "the service had to forget which systems were created and have ended",
        )),
        CallOutcome::Done
        | CallOutcome::NotBegun
        | CallOutcome::Uncertain
        | CallOutcome::Forgotten => Err(has_ended()),
    }
}

fn has_ended() -> Failure {
    Failure::new(
        HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
        "the compute system was created by this call, and has ended since",
    )
}

/// `HcsOpenComputeSystem`.
pub(super) fn open(routed: &RoutedCall, handle: u64, id: &str, runtime_id: Option<&str>) {
    let found = routed
        .connection
        .service
        .context
        .registry
        .find(id, runtime_id);
    opened(routed, handle, found);
}

fn opened(routed: &RoutedCall, handle: u64, made: Result<Rc<System>, Failure>) {
    let made = made.map(|system| {
        let mut answer = CallAnswer::done();
        answer.reply.runtime_id = Some(system.runtime_id.clone());
        (answer, Object::System(system))
    });
    settle(routed, handle, made);
}

/// Answers a call that makes a handle, and takes up what waited for it. The answer goes before every event of the
/// handle.
pub(super) fn settle(
    routed: &RoutedCall,
    handle: u64,
    made: Result<(CallAnswer, Object), Failure>,
) {
    let connection = &routed.connection;
    match made {
        Ok((answer, object)) => {
            routed.answer(Ok(answer));
            let is_kept = connection.handles.open(handle, object.clone());
            object.attach(connection, handle);
            connection.resume(handle);
            if !is_kept {
                Released::at_once(handle, object).release(connection);
            }
        }
        Err(failure) => {
            let waiting = connection.handles.fail(handle, &failure);
            routed.answer(Err(failure.clone()));
            connection.refuse(waiting, &failure);
        }
    }
}

/// `HcsCloseComputeSystem`.
pub(super) fn close(routed: &RoutedCall, handle: u64) {
    release(routed, handle, |handles| handles.system(handle).map(drop));
}

/// Closes a handle that is what `check` wants.
pub(super) fn release(
    routed: &RoutedCall,
    handle: u64,
    check: impl FnOnce(&Handles) -> Result<(), Failure>,
) {
    let handles = &routed.connection.handles;
    let checked = check(handles);
    routed.answer(checked.map(|()| {
        if let Some((released, waiting)) = handles.remove(handle) {
            released.release(&routed.connection);
            routed.connection.resume_closed(waiting);
        }
        CallAnswer::done()
    }));
}

/// Submits what `request` makes of the call for the system behind `handle`.
fn submit(
    routed: RoutedCall,
    handle: u64,
    request: impl FnOnce(&System) -> Result<SystemRequest, Failure>,
) {
    let found = routed.connection.handles.system(handle);
    let ready = found.and_then(|system| {
        let request = request(&system)?;
        Ok((system, request))
    });
    match ready {
        Ok((system, request)) => {
            let initiator = routed.initiator();
            let repeated = routed.pending.timeline.repeated();
            routed.pending.timeline.set_record(&system);
            let connection = Rc::clone(&routed.connection);
            routed.run_once(async move {
                let outcome = repeated.map_or(CallOutcome::NotBegun, |name| system.outcome(&name));
                match outcome {
                    CallOutcome::Done => {
                        if let Some(kind) = request.event() {
                            system.note_once(kind, None, initiator, None);
                        }
                    }
                    CallOutcome::Uncertain => {
                        return Err(unknown("the engine was just doing it"));
                    }
                    CallOutcome::Forgotten => {
                        return Err(unknown("the service had to forget calls on the system"));
                    }
                    CallOutcome::NotBegun => {
                        let turn = system.turn(&request);
                        let _turn = connection.in_its_turn(turn).await?;
                        system.perform(initiator, request).await?;
                    }
                }
                Ok(CallAnswer::done())
            });
        }
        Err(failure) => routed.answer(Err(failure)),
    }
}

/// `HcsTerminateComputeSystem`.
pub(super) fn terminate(routed: RoutedCall, handle: u64, options: Option<String>) {
    submit(routed, handle, move |_| {
        no_options(options.as_deref()).map(|()| SystemRequest::Terminate)
    });
}

/// `HcsResumeComputeSystem`.
pub(super) fn resume(routed: RoutedCall, handle: u64, options: Option<String>) {
    submit(routed, handle, move |_| {
        no_options(options.as_deref()).map(|()| SystemRequest::Resume)
    });
}

/// Options where the reference allows none: NULL, the empty string and `{}`.
pub(super) fn no_options(options: Option<&str>) -> Result<(), Failure> {
    let text = options.unwrap_or("").trim();
    let inside = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    if text.is_empty() || inside.is_some_and(|inside| inside.trim().is_empty()) {
        return Ok(());
    }
    Err(Failure::new(
        HResult::E_INVALIDARG,
        "the options of this call are reserved: expected NULL, an empty string or {}",
    ))
}

/// `HcsStartComputeSystem`.
pub(super) fn start(routed: RoutedCall, handle: u64, options: Option<&str>) {
    submit(routed, handle, |system| {
        parse_optional(system.coverage(), options).map(SystemRequest::Start)
    });
}

/// `HcsPauseComputeSystem`.
pub(super) fn pause(routed: RoutedCall, handle: u64, options: Option<&str>) {
    submit(routed, handle, |system| {
        parse_optional(system.coverage(), options).map(SystemRequest::Pause)
    });
}

/// `HcsSaveComputeSystem`. Where no state of the system would help, the refusal of its state says so.
pub(super) fn save(routed: RoutedCall, handle: u64, options: Option<&str>) {
    submit(routed, handle, |system| {
        let options = parse_optional::<SaveOptions>(system.coverage(), options);
        let template = options
            .as_ref()
            .is_ok_and(|options| options.save_type == Some(SaveType::AsTemplate));
        let can = system.machine.can_be_saved();
        system
            .may(Action::Save { template })
            .map_err(|failure| match &can {
                Ok(()) => failure,
                Err(reason) => Failure {
                    message: format!(
                        "{}; in other states neither: {}",
                        failure.message, reason.message
                    ),
                    ..failure
                },
            })?;
        let options = options?;
        can.map_err(|failure| failure.while_doing("Save"))?;
        Ok(SystemRequest::Save(options))
    });
}

/// `HcsCrashComputeSystem`: the guest is asked nothing, its machine is made to fail.
pub(super) fn crash(routed: RoutedCall, handle: u64, options: Option<&str>) {
    let ready = routed.connection.handles.system(handle).and_then(|system| {
        system.guest_may_be_asked()?;
        let options: CrashOptions = parse_optional(system.coverage(), options)?;
        Ok((Arc::clone(&system.machine), options))
    });
    match ready {
        Ok((machine, options)) => routed.run_once(async move {
            let crashed = blocking(move || machine.crash(&options)).await;
            crashed.map_err(|failure| failure.while_doing("Crash"))?;
            Ok(CallAnswer::done())
        }),
        Err(failure) => routed.answer(Err(failure)),
    }
}

/// `HcsShutDownComputeSystem`. With `Force`, what does not end in time is terminated.
pub(super) fn shut_down(routed: RoutedCall, handle: u64, options: Option<String>) {
    let found = routed.connection.handles.system(handle);
    let ready = found.and_then(move |system| {
        let options: ShutdownOptions = parse_optional(system.coverage(), options.as_deref())?;
        Ok((system, options))
    });
    match ready {
        Ok((system, options)) => {
            let force = options.force == Some(true);
            let initiator = routed.initiator();
            let connection = Rc::clone(&routed.connection);
            let asked = Rc::clone(&system);
            let take_back = async move { asked.take_back_shut_down().await };
            let work = async move {
                let request = SystemRequest::ShutDown(options);
                let turn = connection.in_its_turn(system.turn(&request)).await?;
                let ended = system.perform(initiator, request).await;
                drop(turn);
                match ended {
                    Err(failure)
                        if force && failure.hresult == HResult::HCS_E_CONNECTION_TIMEOUT =>
                    {
                        system.perform(initiator, SystemRequest::Terminate).await?;
                    }
                    ended => ended?,
                }
                Ok(CallAnswer::done())
            };
            routed.run_once_or_take_back(work, take_back);
        }
        Err(failure) => routed.answer(Err(failure)),
    }
}

/// `HcsModifyComputeSystem`.
pub(super) fn modify(routed: RoutedCall, handle: u64, settings: &str) {
    submit(routed, handle, |system| {
        parse(system.coverage(), settings).map(SystemRequest::Modify)
    });
}

/// `HcsGetComputeSystemProperties`.
pub(super) fn properties(routed: RoutedCall, handle: u64, query: Option<String>) {
    match routed.connection.handles.system(handle) {
        Ok(system) => {
            let request = routed.request;
            routed
                .look(async move { properties::answer(request, &system, query.as_deref()).await });
        }
        Err(failure) => routed.answer(Err(failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_options_may_be_said_in_several_ways() {
        for text in [
            None,
            Some(""),
            Some(" "),
            Some("{}"),
            Some("{ }"),
            Some(" {\n} "),
        ] {
            assert!(no_options(text).is_ok(), "{text:?}");
        }
        for text in ["{\"A\":1}", "[]", "null", "{{}}", "{"] {
            assert!(no_options(Some(text)).is_err(), "{text}");
        }
    }
}
