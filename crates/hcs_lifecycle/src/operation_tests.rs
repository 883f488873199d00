//! Random sequences of calls against a model that only remembers the calls and their results.

use proptest::prelude::*;

use super::*;

/// One call on the machine.
#[derive(Clone, Copy, Debug)]
enum ModelCall {
    Start { kind: OperationKind, taken: bool },
    Sent,
    Complete { success: bool },
    CompleteOld,
    Cancel,
    Close,
    Outcome,
    Information { take: bool },
    SetCallback { present: bool, conflict: bool },
    CallbackBegins,
    CallbackEnds,
}

fn step() -> impl Strategy<Value = ModelCall> {
    let kind = prop::sample::select(&OperationKind::ALL[1..]);
    let process = prop::sample::select(vec![
        OperationKind::CreateProcess,
        OperationKind::GetProcessInfo,
    ]);
    let kind = prop_oneof![kind, process];
    prop_oneof![
        4 => (kind, prop::bool::weighted(0.2)).prop_map(|(kind, taken)| ModelCall::Start { kind, taken }),
        3 => Just(ModelCall::Sent),
        4 => any::<bool>().prop_map(|success| ModelCall::Complete { success }),
        1 => Just(ModelCall::CompleteOld),
        3 => Just(ModelCall::Cancel),
        1 => Just(ModelCall::Close),
        2 => Just(ModelCall::Outcome),
        4 => any::<bool>().prop_map(|take| ModelCall::Information { take }),
        2 => any::<(bool, bool)>()
            .prop_map(|(present, conflict)| ModelCall::SetCallback { present, conflict }),
        1 => Just(ModelCall::CallbackBegins),
        1 => Just(ModelCall::CallbackEnds),
    ]
}

/// The calls and results so far.
#[derive(Debug, Default)]
struct Model {
    /// The calls started, with their kinds.
    calls: Vec<OperationKind>,
    /// The result of each call that ended.
    ended: Vec<Result<usize, usize>>,
    sent: bool,
    cancelled: bool,
    given: bool,
    closed: bool,
    callback: bool,
    running: u32,
}

impl Model {
    fn pending(&self) -> bool {
        self.calls.len() > self.ended.len()
    }

    fn has_information(&self) -> bool {
        matches!(
            self.calls.last(),
            Some(OperationKind::CreateProcess | OperationKind::GetProcessInfo)
        )
    }

    /// The first refusal that applies, in the order the pages and decisions give.
    fn refusal(&self, information: bool) -> Option<Refusal> {
        [
            (self.closed, Refusal::Closed),
            (self.calls.is_empty(), Refusal::NotStarted),
            (
                information && !self.has_information(),
                Refusal::NoProcessInformation,
            ),
            (self.pending(), Refusal::Pending),
        ]
        .into_iter()
        .find_map(|(applies, refusal)| applies.then_some(refusal))
    }
}

type Machine = Operation<usize, usize>;

fn start(machine: &mut Machine, model: &mut Model, kind: OperationKind, taken: bool) {
    let expected = if model.closed {
        Some(Refusal::Closed)
    } else if model.pending() {
        Some(Refusal::AlreadyStarted)
    } else if model.callback && taken {
        Some(Refusal::CallbackConflict)
    } else {
        None
    };
    let started = machine.start(kind, taken);
    assert_eq!(started.as_ref().err(), expected.as_ref());
    if let Ok(started) = started {
        assert_eq!(started.former.as_ref(), model.ended.last());
        model.calls.push(kind);
        assert_eq!(started.call, CallNumber(model.calls.len() as u64));
        (model.sent, model.cancelled, model.given) = (false, false, false);
    }
}

fn complete(machine: &mut Machine, model: &mut Model, success: bool) {
    let number = model.calls.len();
    let outcome = if success { Ok(number) } else { Err(number) };
    let wanted = model.pending() && !model.closed;
    let completed = machine.complete(CallNumber(number as u64), outcome);
    assert_eq!(completed, if wanted { Ok(()) } else { Err(outcome) });
    if wanted {
        model.ended.push(outcome);
    }
}

fn cancel(machine: &mut Machine, model: &mut Model) {
    let expected = match model.refusal(false) {
        Some(refusal @ (Refusal::Closed | Refusal::NotStarted)) => Err(refusal),
        None => Ok(Cancel::Finished),
        Some(_) if model.sent && !model.cancelled => {
            Ok(Cancel::Tell(CallNumber(model.calls.len() as u64)))
        }
        Some(_) => Ok(Cancel::Noted),
    };
    assert_eq!(machine.cancel(), expected);
    model.cancelled |= expected.is_ok() && model.pending();
}

fn information(machine: &mut Machine, model: &mut Model, take: bool) {
    let answer = machine.process_information(take);
    if let Some(refusal) = model.refusal(true) {
        assert_eq!(answer, Err(refusal));
        return;
    }
    let outcome = &model.ended[model.ended.len() - 1];
    let gives = take && !model.given && outcome.is_ok();
    let streams = if gives {
        Streams::Given
    } else {
        Streams::Withheld
    };
    assert_eq!(answer, Ok((outcome, streams)));
    model.given |= gives;
}

fn set_callback(machine: &mut Machine, model: &mut Model, present: bool, conflict: bool) {
    let expected = if model.closed {
        Err(Refusal::Closed)
    } else if present && conflict && model.pending() {
        Err(Refusal::CallbackConflict)
    } else {
        Ok(())
    };
    assert_eq!(machine.set_callback(present, conflict), expected);
    if expected.is_ok() {
        model.callback = present;
    }
}

fn close(machine: &mut Machine, model: &mut Model) {
    let expected = if model.closed {
        Err(Refusal::Closed)
    } else if model.pending() {
        Ok(None)
    } else {
        Ok(model.ended.last().copied())
    };
    assert_eq!(machine.close(), expected);
    model.closed = true;
}

fn apply(machine: &mut Machine, model: &mut Model, step: ModelCall) {
    match step {
        ModelCall::Start { kind, taken } => start(machine, model, kind, taken),
        ModelCall::Sent => {
            let pending = model.pending();
            let tells = machine.sent(CallNumber(model.calls.len() as u64));
            assert_eq!(tells, pending && model.cancelled);
            model.sent |= pending;
        }
        ModelCall::Complete { success } => complete(machine, model, success),
        ModelCall::CompleteOld => {
            let old = CallNumber((model.calls.len() as u64).wrapping_sub(1));
            assert_eq!(machine.complete(old, Ok(0)), Err(Ok(0)));
        }
        ModelCall::Cancel => cancel(machine, model),
        ModelCall::Close => close(machine, model),
        ModelCall::Outcome => {
            let expected = model
                .refusal(false)
                .map_or_else(|| Ok(&model.ended[model.ended.len() - 1]), Err);
            assert_eq!(machine.outcome(), expected);
        }
        ModelCall::Information { take } => information(machine, model, take),
        ModelCall::SetCallback { present, conflict } => {
            set_callback(machine, model, present, conflict);
        }
        ModelCall::CallbackBegins => {
            assert_eq!(machine.callback_begins(), !model.closed);
            model.running += u32::from(!model.closed);
        }
        ModelCall::CallbackEnds => {
            if model.running > 0 {
                machine.callback_ends();
                model.running -= 1;
            }
        }
    }
    let kind = model.calls.last().copied().unwrap_or_default();
    assert_eq!(machine.kind(), kind);
    assert_eq!(machine.callbacks_running(), model.running);
    assert_eq!(machine.is_closed(), model.closed);
}

proptest! {
    #[test]
    fn any_sequence_ends_as_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let (mut machine, mut model) = (Machine::default(), Model::default());
        for step in steps {
            apply(&mut machine, &mut model, step);
        }
    }
}

#[test]
fn a_cancellation_is_told_once_and_after_the_request() {
    let mut machine = Machine::default();
    let call = machine.start(OperationKind::Start, false).unwrap().call;
    assert_eq!(machine.cancel(), Ok(Cancel::Noted));
    assert!(machine.sent(call));
    assert_eq!(machine.cancel(), Ok(Cancel::Noted));
    machine.complete(call, Err(1)).unwrap();
    let call = machine.start(OperationKind::Start, false).unwrap().call;
    assert!(
        !machine.sent(call),
        "the cancellation was of the call before"
    );
    assert_eq!(machine.cancel(), Ok(Cancel::Tell(call)));
    assert_eq!(machine.cancel(), Ok(Cancel::Noted));
}

#[test]
fn every_refusal_has_the_hresult_of_its_page() {
    let table = [
        (Refusal::Closed, HResult::E_HANDLE),
        (Refusal::NotStarted, HResult::HCS_E_OPERATION_NOT_STARTED),
        (
            Refusal::AlreadyStarted,
            HResult::HCS_E_OPERATION_ALREADY_STARTED,
        ),
        (Refusal::Pending, HResult::HCS_E_OPERATION_PENDING),
        (Refusal::NoProcessInformation, HResult::E_INVALIDARG),
        (
            Refusal::CallbackConflict,
            HResult::HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET,
        ),
    ];
    for (refusal, hresult) in table {
        assert_eq!(refusal.hresult(), hresult);
    }
}

#[test]
fn kinds_have_the_numbers_of_their_page() {
    for (kind, number) in OperationKind::ALL.into_iter().zip(-1..) {
        assert_eq!(kind.number(), number);
    }
}

#[test]
fn a_call_tells_how_many_were_before_it() {
    let mut machine = Machine::default();
    for earlier in 0..3 {
        let call = machine.start(OperationKind::Pause, false).unwrap().call;
        assert_eq!(call.earlier(), earlier);
        machine.complete(call, Ok(0)).unwrap();
    }
}

#[test]
fn what_is_late_of_the_call_before_is_no_news_of_this_one() {
    let mut machine = Machine::default();
    let former = machine.start(OperationKind::Pause, false).unwrap().call;
    machine.complete(former, Ok(0)).unwrap();
    let call = machine.start(OperationKind::Resume, false).unwrap().call;
    assert!(!machine.sent(former));
    assert_eq!(machine.cancel(), Ok(Cancel::Noted), "nothing was sent yet");
    assert!(!machine.sent(former));
    assert!(machine.sent(call));
}
