//! A call that survives the service: client, socket, service and agent as a machine of few states, all of which are
//! visited, with the death of the service at every step.
//!
//! The machine describes the behaviour of each part:
//! - The client sends the call, and a repeat of it on each later connection. It reads all data from its socket before
//!   it treats the connection as lost.
//! - For a first request, the service asks the agent to do the call. For a repeat, it asks first whether the call was
//!   done. It tells the agent to forget the call once the client's socket has the answer, and never before.
//! - A new stream to the agent replaces the one before. Messages on the old stream that were not taken up are lost.
//! - The agent, as everything that remembers calls, may run out of room and forget the call. It remembers that it had
//!   to forget. For a repeat that it does not know it then answers that it cannot tell, and the call ends in that way.
//! - A client may cancel its call at any time, and says so behind the call on each connection. The service has undone
//!   what the agent had begun. It matters most for a call that lasts until it is cancelled, as a shutdown does that a
//!   process resists.
//!
//! The checks:
//! - The call is done at most once.
//! - A client with an answer has the answer of a call that was done, or hears that it is unknown.
//! - From every state, the client gets its answer once the service does not die any more. A call that lasts ends when
//!   it is cancelled.
//! - What was begun for a call that ends as cancelled was undone.
//! - The service never asks for a forgotten call.

use std::collections::{HashSet, VecDeque};

/// The client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    /// It has no connection; whether it has made the call before.
    Away {
        again: bool,
    },
    /// It waits for the answer.
    Waits,
    Answered(Outcome),
}

/// What a client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Done,
    /// Whether it was done cannot be told.
    Unknown,
    Cancelled,
}

/// Whether the client has cancelled the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cancel {
    No,
    Wished,
    /// The present service was told.
    Told,
    /// The client takes an earlier service's knowledge for the present one's.
    Lost,
}

/// The work of the service on the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Work {
    Nothing,
    /// The call is in its socket.
    Received {
        again: bool,
    },
    /// It has asked the agent whether the call was done.
    AskedWhether,
    /// It has asked the agent to do it.
    AskedFor,
    /// It has asked the agent to undo it.
    Undoing,
    /// It knows what to answer.
    Known(Outcome),
    /// The client's socket has the answer; the agent does not know yet.
    Told,
}

/// A request to the agent on the stream of the present service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ModelRequest {
    None,
    Do,
    Whether,
    Undo,
    Forget,
}

/// An answer of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ModelAnswer {
    None,
    Done,
    /// It was begun, and lasts.
    Begun,
    Undone,
    NotDone,
    CannotTell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    client: Client,
    /// The call lasts until it is cancelled.
    lasts: bool,
    cancel: Cancel,
    /// The answer is in the client's socket, which outlives the service.
    in_socket: Option<Outcome>,
    /// The service has ended and the client has not seen that yet.
    cut: bool,
    /// `None` while no service is there.
    service: Option<Work>,
    request: ModelRequest,
    answer: ModelAnswer,
    /// How often the call was done.
    done: u8,
    /// What was done for it was undone.
    undone: bool,
    /// The agent remembers it.
    remembered: bool,
    /// It did, and was told to forget.
    forgotten: bool,
    /// It ran out of room.
    ran_out: bool,
    /// It says that it ran out of room.
    forgetful: bool,
    /// Deaths that are still to come.
    deaths: u8,
}

/// A fault in one part of the machine, to show that the checks notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// A repeat is done without asking whether it was.
    NeverAsks,
    /// The agent is told to forget before the client's socket has the answer.
    ForgetsEarly,
    /// A client treats its connection as lost before it has read all data from its socket.
    LosesAnswers,
    /// Messages of an earlier service are taken up after requests of the present one.
    KeepsOldStreams,
    /// The agent does not remember that it had to forget.
    ForgetsSilently,
    /// A client does not tell the next service that it has cancelled the call.
    LosesCancel,
    /// A call that is cancelled ends, and what was begun goes on.
    UndoesNothing,
}

const DEATHS: u8 = 3;

const BEGIN: State = State {
    client: Client::Away { again: false },
    lasts: false,
    cancel: Cancel::No,
    in_socket: None,
    cut: false,
    service: None,
    request: ModelRequest::None,
    answer: ModelAnswer::None,
    done: 0,
    undone: false,
    remembered: false,
    forgotten: false,
    ran_out: false,
    forgetful: false,
    deaths: DEATHS,
};

impl State {
    /// The states that may follow, but for the death of the service.
    fn steps(self, fault: Fault) -> Vec<Self> {
        let parts = [
            self.client_step(fault),
            self.cancel_step(),
            self.service_step(fault),
            self.agent_step(),
            self.eviction(fault),
        ];
        parts.into_iter().flatten().collect()
    }

    fn client_step(self, fault: Fault) -> Option<Self> {
        match self.client {
            // A client that connects starts a service where none runs; that service has its own stream to the agent.
            Client::Away { again } => {
                let fresh = self.service.is_none();
                let kept = fault == Fault::KeepsOldStreams;
                Some(Self {
                    client: Client::Waits,
                    service: Some(Work::Received { again }),
                    request: if fresh && !kept {
                        ModelRequest::None
                    } else {
                        self.request
                    },
                    answer: if fresh && !kept {
                        ModelAnswer::None
                    } else {
                        self.answer
                    },
                    cut: false,
                    cancel: match (self.cancel, fault) {
                        (Cancel::Told, Fault::LosesCancel) => Cancel::Lost,
                        (Cancel::Told, _) => Cancel::Wished,
                        (cancel, _) => cancel,
                    },
                    ..self
                })
            }
            Client::Waits if self.cut && fault == Fault::LosesAnswers => Some(Self {
                client: Client::Away { again: true },
                in_socket: None,
                ..self
            }),
            Client::Waits => match self.in_socket {
                Some(outcome) => Some(Self {
                    client: Client::Answered(outcome),
                    in_socket: None,
                    ..self
                }),
                None => self.cut.then_some(Self {
                    client: Client::Away { again: true },
                    ..self
                }),
            },
            Client::Answered(_) => None,
        }
    }

    /// The client cancels, and tells the service behind the call.
    fn cancel_step(self) -> Option<Self> {
        let cancel = match (self.client, self.cancel) {
            (Client::Answered(_), _) | (_, Cancel::Told | Cancel::Lost) => return None,
            (_, Cancel::No) => Cancel::Wished,
            (Client::Away { .. }, Cancel::Wished) => return None,
            (Client::Waits, Cancel::Wished) => Cancel::Told,
        };
        Some(Self { cancel, ..self })
    }

    /// The service takes the call up.
    fn taken_up(self, again: bool, fault: Fault) -> Self {
        let asks = again && fault != Fault::NeverAsks;
        let (next, request) = match asks {
            true => (Work::AskedWhether, ModelRequest::Whether),
            false => (Work::AskedFor, ModelRequest::Do),
        };
        Self {
            request,
            service: Some(next),
            ..self
        }
    }

    fn service_step(self, fault: Fault) -> Option<Self> {
        let work = |work| Self {
            service: Some(work),
            ..self
        };
        let free = self.request == ModelRequest::None && self.answer == ModelAnswer::None;
        Some(match self.service? {
            Work::Received { again } if free => self.taken_up(again, fault),
            Work::AskedWhether if self.answer == ModelAnswer::NotDone => Self {
                request: ModelRequest::Do,
                answer: ModelAnswer::None,
                ..work(Work::AskedFor)
            },
            Work::AskedWhether if self.answer == ModelAnswer::Begun => Self {
                answer: ModelAnswer::None,
                ..work(Work::AskedFor)
            },
            Work::AskedFor if self.cancel == Cancel::Told && self.lasts && free => {
                match fault == Fault::UndoesNothing {
                    true => work(Work::Known(Outcome::Cancelled)),
                    false => Self {
                        request: ModelRequest::Undo,
                        ..work(Work::Undoing)
                    },
                }
            }
            Work::Undoing if self.answer == ModelAnswer::Undone => Self {
                answer: ModelAnswer::None,
                ..work(Work::Known(Outcome::Cancelled))
            },
            Work::AskedWhether if self.answer == ModelAnswer::CannotTell => Self {
                answer: ModelAnswer::None,
                ..work(Work::Known(Outcome::Unknown))
            },
            Work::AskedWhether | Work::AskedFor if self.answer == ModelAnswer::Done => Self {
                answer: ModelAnswer::None,
                request: match fault {
                    Fault::ForgetsEarly => ModelRequest::Forget,
                    _ => ModelRequest::None,
                },
                ..work(Work::Known(Outcome::Done))
            },
            Work::Known(outcome) => Self {
                in_socket: Some(outcome),
                ..work(Work::Told)
            },
            Work::Told if self.request == ModelRequest::None => Self {
                request: ModelRequest::Forget,
                ..work(Work::Nothing)
            },
            _ => return None,
        })
    }

    fn agent_step(self) -> Option<Self> {
        let taken = Self {
            request: ModelRequest::None,
            ..self
        };
        Some(match self.request {
            ModelRequest::None => return None,
            ModelRequest::Do => Self {
                done: self.done + 1,
                remembered: true,
                answer: match self.lasts {
                    true => ModelAnswer::None,
                    false => ModelAnswer::Done,
                },
                ..taken
            },
            ModelRequest::Whether => Self {
                answer: match (self.remembered, self.forgetful) {
                    (true, _) if self.lasts => ModelAnswer::Begun,
                    (true, _) => ModelAnswer::Done,
                    (false, true) => ModelAnswer::CannotTell,
                    (false, false) => ModelAnswer::NotDone,
                },
                ..taken
            },
            ModelRequest::Undo => Self {
                undone: true,
                answer: ModelAnswer::Undone,
                ..taken
            },
            ModelRequest::Forget => Self {
                remembered: false,
                forgotten: true,
                ..taken
            },
        })
    }

    /// The agent runs out of room, and this call is the oldest that it remembers.
    fn eviction(self, fault: Fault) -> Option<Self> {
        (self.remembered && !self.ran_out).then_some(Self {
            remembered: false,
            ran_out: true,
            forgetful: fault != Fault::ForgetsSilently,
            ..self
        })
    }

    /// The service is killed. Messages that the agent has not read yet may still be taken up, until the next service
    /// has a stream.
    fn death(self) -> Option<Self> {
        self.service?;
        let deaths = self.deaths.checked_sub(1)?;
        Some(Self {
            service: None,
            cut: self.client == Client::Waits,
            deaths,
            ..self
        })
    }

    fn check(self) -> Result<(), String> {
        if self.done > 1 {
            return Err(format!("done {} times: {self:?}", self.done));
        }
        let is_told =
            |outcome| self.client == Client::Answered(outcome) || self.in_socket == Some(outcome);
        if is_told(Outcome::Done) && self.done == 0 {
            return Err(format!("answered and not done: {self:?}"));
        }
        if is_told(Outcome::Cancelled) && (self.done > 0) != self.undone {
            return Err(format!("cancelled and not undone: {self:?}"));
        }
        if is_told(Outcome::Unknown) && !self.ran_out {
            return Err(format!("unknown without need: {self:?}"));
        }
        if self.forgotten && self.request == ModelRequest::Whether {
            return Err(format!("asked for what was forgotten: {self:?}"));
        }
        Ok(())
    }

    /// Checks that the client gets its answer once the service does not die any more, however fast each part is.
    fn ends(self, fault: Fault) -> Result<(), String> {
        let (mut seen, mut open) = (HashSet::new(), vec![self]);
        while let Some(state) = open.pop() {
            let next = state.steps(fault);
            if next.is_empty() && !matches!(state.client, Client::Answered(_)) {
                return Err(format!("nothing goes on: {state:?}"));
            }
            open.extend(next.into_iter().filter(|state| seen.insert(*state)));
        }
        Ok(())
    }
}

/// Visits all states and returns their number.
fn visit(fault: Fault) -> Result<usize, String> {
    let begins = [false, true].map(|lasts| State { lasts, ..BEGIN });
    let (mut seen, mut open) = (HashSet::from(begins), VecDeque::from(begins));
    while let Some(state) = open.pop_front() {
        state.check()?;
        state.ends(fault)?;
        let next = state.steps(fault).into_iter().chain(state.death());
        open.extend(next.filter(|state| seen.insert(*state)));
    }
    Ok(seen.len())
}

#[test]
fn a_call_is_done_once_whenever_the_service_dies() {
    let states = visit(Fault::None).unwrap();
    assert!(states > 100, "{states} states are hardly all");
}

#[test]
fn the_model_notices_what_would_do_a_call_twice() {
    for fault in [
        Fault::NeverAsks,
        Fault::ForgetsEarly,
        Fault::LosesAnswers,
        Fault::KeepsOldStreams,
        Fault::ForgetsSilently,
        Fault::LosesCancel,
        Fault::UndoesNothing,
    ] {
        assert!(visit(fault).is_err(), "{fault:?} goes unnoticed");
    }
}
