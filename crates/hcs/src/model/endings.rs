//! The end of a command that its system ends with (`hcs run`), as a machine of few states. All are visited, with
//! the death of the service at every step.
//!
//! The machine describes the behaviour of each part:
//! - The client makes the command, and hears of its exit by a handle. On each later connection it makes the call again,
//!   or opens its handle again. It reads all data from its socket before it treats the connection as lost.
//! - The service asks the agent. It writes down what it hears, in a journal that the next service reads, and tells the
//!   client. When the container is gone it takes in what the agent has said before, then what the agent has left, and
//!   tells the end. Then it removes what was written down: where clients may come back, when they have had their time.
//! - The agent leaves by itself when the command has ended. Before it tells any host, it writes the exit into a file
//!   that is there as long as the journal. That of a virtual machine has its worker write it, and goes on when it is
//!   written. What it has said to a service that died is lost.
//!
//! The checks:
//! - The command runs at most once.
//! - A client hears the exit code, and once: no state tells it that the code is not known.
//! - From every state the client gets the exit code once the service does not die any more, and the container is gone
//!   then. A client that does not come back holds no container either.

use std::collections::{HashSet, VecDeque};

/// What the client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Want {
    /// That the command is made; whether it has asked for that before.
    Making { again: bool },
    /// The exit, by its handle.
    Exit,
    /// Nothing: it has heard the exit code.
    Nothing,
    /// It was told that this is not known, or that there is no such command.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Connection {
    Away,
    /// To the present service, or to one that has ended while the client has not seen that yet.
    There,
}

/// What the present service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Service {
    /// It has taken the system over, so clients may come back for what is written down.
    adopted: bool,
    /// The call that it works on.
    work: Work,
    /// The exit of the command.
    exit: Exit,
    /// The present client has a handle on the command.
    handle: bool,
    /// It has told the end of the system.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Work {
    Nothing,
    Making {
        again: bool,
    },
    Opening,
    /// It has asked the agent to make the command, or whether it has.
    Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Exit {
    /// No command is known.
    NoCommand,
    /// It has not exited, as far as is known.
    Awaited,
    Known,
    /// Its agent is gone without a word.
    Unknown,
}

/// What the journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Journal {
    Nothing,
    Made,
    /// It has exited, and the client is to be told.
    Owed,
    /// The client was told, so there is nothing to tell of it.
    Told,
    /// What was written down of the system is removed.
    Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Agent {
    Idle,
    Runs,
    /// The command has ended.
    Ended,
    Gone,
}

/// A message on the stream between the present service and the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Nothing,
    Make,
    Whether,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    want: Want,
    connection: Connection,
    /// The client comes back, and hears what it wants.
    comes_back: bool,
    /// What its socket holds, which outlives the service: that the command is made, its exit, that it is lost.
    made_in_socket: bool,
    exits_in_socket: u8,
    loss_in_socket: bool,
    /// `None` while there is none.
    service: Option<Service>,
    /// The client's connection was to a service that has died.
    cut: bool,
    journal: Journal,
    agent: Agent,
    /// The agent has a stream that it takes for one to a living service.
    stream: bool,
    asked: Asked,
    /// What it has said to the present service, in this order.
    said_made: bool,
    said_exit: bool,
    /// It has told some service of the exit.
    told: bool,
    /// What it has left has the exit.
    left: bool,
    runs: u8,
    deaths: u8,
}

/// A fault in one part of the machine, to show that the checks notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The agent leaves nothing: the protocol before there was such a file.
    LeavesNothing,
    /// The agent writes when it leaves, after it has told its host, and may be killed before.
    LeavesLate,
    /// The next service does not read what the agent has left.
    ReadsNothing,
    /// What is left is looked at for the handles of clients, and not for calls that are made again.
    ForgetsCalls,
    /// What is written down is removed as soon as the end is told, though clients may come back.
    RemovesEarly,
    /// The agent waits for a host that knows the exit, though it has left it.
    WaitsForWord,
}

const DEATHS: u8 = 3;

const BEGIN: State = State {
    want: Want::Making { again: false },
    connection: Connection::Away,
    comes_back: true,
    made_in_socket: false,
    exits_in_socket: 0,
    loss_in_socket: false,
    service: None,
    cut: false,
    journal: Journal::Nothing,
    agent: Agent::Idle,
    stream: false,
    asked: Asked::Nothing,
    said_made: false,
    said_exit: false,
    told: false,
    left: false,
    runs: 0,
    deaths: DEATHS,
};

impl State {
    /// The states that may follow, but for deaths.
    fn steps(self, fault: Fault) -> Vec<Self> {
        let mut steps = Vec::new();
        steps.extend(self.client_step());
        steps.extend(self.service_step(fault));
        steps.extend(self.remove(fault));
        steps.extend(self.stream_step());
        steps.extend(self.agent_step(fault));
        steps
    }

    fn client_step(self) -> Option<Self> {
        if self.connection == Connection::Away {
            if !self.comes_back || matches!(self.want, Want::Nothing | Want::Lost) {
                return None;
            }
            // A service that begins has a stream of its own to the agent; what came on the one before is not done.
            let fresh = self.service.is_none();
            let mut service = self.service.unwrap_or_else(|| self.next_service());
            service.handle = false;
            service.work = match self.want {
                Want::Making { again } => Work::Making { again },
                _ => Work::Opening,
            };
            return Some(Self {
                connection: Connection::There,
                service: Some(service),
                cut: false,
                stream: self.stream && !fresh,
                asked: match fresh {
                    true => Asked::Nothing,
                    false => self.asked,
                },
                ..self
            });
        }
        if self.made_in_socket {
            return Some(Self {
                want: Want::Exit,
                made_in_socket: false,
                ..self
            });
        }
        if self.exits_in_socket > 0 {
            return Some(Self {
                want: Want::Nothing,
                exits_in_socket: self.exits_in_socket - 1,
                ..self
            });
        }
        if self.loss_in_socket {
            return Some(Self {
                want: Want::Lost,
                loss_in_socket: false,
                ..self
            });
        }
        let again = match self.want {
            Want::Making { .. } => Want::Making { again: true },
            want => want,
        };
        self.cut.then_some(Self {
            want: again,
            connection: Connection::Away,
            cut: false,
            ..self
        })
    }

    /// A service that begins: what it knows is what is written down.
    fn next_service(self) -> Service {
        Service {
            adopted: self.runs > 0,
            work: Work::Nothing,
            exit: match self.journal {
                Journal::Made => Exit::Awaited,
                Journal::Owed => Exit::Known,
                Journal::Nothing | Journal::Told | Journal::Removed => Exit::NoCommand,
            },
            handle: false,
            ended: false,
        }
    }

    /// The agent sees that its stream has ended, or gets a new one.
    fn stream_step(self) -> Option<Self> {
        let lives = !matches!(self.agent, Agent::Gone);
        match (self.stream, self.service) {
            (true, None) => Some(Self {
                stream: false,
                asked: Asked::Nothing,
                ..self
            }),
            (false, Some(_)) if lives => Some(Self {
                stream: true,
                ..self
            }),
            _ => None,
        }
    }

    fn with(self, service: Service) -> Self {
        Self {
            service: Some(service),
            ..self
        }
    }

    fn service_step(self, fault: Fault) -> Option<Self> {
        let service = self.service?;
        if self.said_made {
            return Some(Self {
                said_made: false,
                ..self.heard_of_the_command(service)
            });
        }
        if self.said_exit {
            let next = Self {
                said_exit: false,
                ..self
            };
            return Some(next.heard_the_exit(service));
        }
        let knows_end = self.agent == Agent::Gone && !self.stream;
        if knows_end && !service.ended {
            return Some(self.end(service, fault));
        }
        match service.work {
            Work::Making { .. } | Work::Asked if service.ended => {
                Some(self.answer_at_the_end(service, fault))
            }
            Work::Making { again } if self.stream && self.asked == Asked::Nothing => Some(Self {
                asked: match again {
                    true => Asked::Whether,
                    false => Asked::Make,
                },
                ..self.with(Service {
                    work: Work::Asked,
                    ..service
                })
            }),
            Work::Opening => self.open(service),
            // Adopted, it asks for the exit of what is written down.
            _ if service.exit == Exit::Awaited && self.agent == Agent::Ended && self.stream => {
                (!self.told || service.adopted).then_some(Self {
                    said_exit: true,
                    told: true,
                    ..self
                })
            }
            _ => None,
        }
    }

    /// The command is there; its client gets the answer and a handle.
    fn heard_of_the_command(self, service: Service) -> Self {
        let exit = match service.exit {
            Exit::NoCommand => Exit::Awaited,
            known => known,
        };
        let answers = service.work == Work::Asked && self.connection == Connection::There;
        let next = Self {
            journal: match self.journal {
                Journal::Nothing => Journal::Made,
                journal => journal,
            },
            made_in_socket: self.made_in_socket || answers,
            ..self.with(Service {
                work: Work::Nothing,
                exit,
                handle: service.handle || answers,
                ..service
            })
        };
        match next.service {
            Some(service) if service.exit == Exit::Known => next.tell(service),
            _ => next,
        }
    }

    fn heard_the_exit(self, service: Service) -> Self {
        if service.exit == Exit::Known {
            // The first report stands.
            return self;
        }
        let service = Service {
            exit: Exit::Known,
            ..service
        };
        Self {
            journal: Journal::Owed,
            ..self
        }
        .tell(service)
    }

    /// Tells the client that has a handle.
    fn tell(self, service: Service) -> Self {
        let next = self.with(service);
        if !service.handle || self.cut {
            return next;
        }
        match service.exit {
            Exit::Known if self.journal == Journal::Owed => Self {
                exits_in_socket: self.exits_in_socket + 1,
                journal: Journal::Told,
                ..next
            },
            Exit::Unknown => Self {
                loss_in_socket: true,
                ..next
            },
            _ => next,
        }
    }

    /// What the agent has left, for a service that reads it.
    fn has_left(self, fault: Fault) -> bool {
        let is_there = self.journal != Journal::Removed;
        self.left && is_there && fault != Fault::ReadsNothing
    }

    /// The container is gone: what the agent has left says what it has not told.
    fn end(self, service: Service, fault: Fault) -> Self {
        let exit = match service.exit {
            Exit::Awaited if self.has_left(fault) => Exit::Known,
            Exit::Awaited => Exit::Unknown,
            known => known,
        };
        let is_news = exit == Exit::Known && service.exit == Exit::Awaited;
        Self {
            journal: if is_news { Journal::Owed } else { self.journal },
            ..self
        }
        .tell(Service {
            exit,
            ended: true,
            ..service
        })
    }

    /// Answers a creation in a system that has ended.
    fn answer_at_the_end(self, service: Service, fault: Fault) -> Self {
        let service = Service {
            work: Work::Nothing,
            ..service
        };
        let is_known = self.has_left(fault) && fault != Fault::ForgetsCalls;
        if self.connection == Connection::Away {
            return self.with(service);
        }
        if !is_known {
            return Self {
                loss_in_socket: true,
                ..self.with(service)
            };
        }
        Self {
            made_in_socket: true,
            exits_in_socket: self.exits_in_socket + 1,
            journal: Journal::Told,
            ..self.with(service)
        }
    }

    /// Opens a handle of the client again. One that is not known is asked of the agent, or looked for in what it left.
    fn open(self, service: Service) -> Option<Self> {
        let opened = Service {
            work: Work::Nothing,
            handle: true,
            ..service
        };
        match (service.exit, service.ended) {
            (Exit::NoCommand, true) if self.left && self.journal != Journal::Removed => {
                Some(Self {
                    exits_in_socket: self.exits_in_socket + 1,
                    ..self.with(opened)
                })
            }
            (Exit::NoCommand, true) => Some(Self {
                loss_in_socket: true,
                ..self.with(opened)
            }),
            (Exit::NoCommand, false) if self.stream => Some(self.with(Service {
                exit: Exit::Awaited,
                ..opened
            })),
            (Exit::NoCommand, false) => None,
            // It was told to a connection that is gone.
            (Exit::Known, _) if self.journal == Journal::Told => Some(Self {
                exits_in_socket: self.exits_in_socket + 1,
                ..self.with(opened)
            }),
            _ => Some(self.tell(opened)),
        }
    }

    /// Removes what is written down, when the clients that may come back have had their time.
    fn remove(self, fault: Fault) -> Option<Self> {
        let service = self.service.filter(|service| service.ended)?;
        let is_done = matches!(self.want, Want::Nothing | Want::Lost) || !self.comes_back;
        let may = is_done || !service.adopted || fault == Fault::RemovesEarly;
        (self.journal != Journal::Removed && may).then_some(Self {
            journal: Journal::Removed,
            ..self
        })
    }

    fn agent_step(self, fault: Fault) -> Option<Self> {
        if self.stream && self.asked != Asked::Nothing && self.agent != Agent::Gone {
            return Some(self.obey());
        }
        match self.agent {
            Agent::Runs => Some(Self {
                agent: Agent::Ended,
                left: !matches!(fault, Fault::LeavesNothing | Fault::LeavesLate),
                // A host that waits is told at once; what is said to one that has died is lost.
                said_exit: self.stream && self.service.is_some(),
                told: self.stream,
                ..self
            }),
            Agent::Ended => {
                let needs_no_host = self.left && fault != Fault::WaitsForWord;
                let leaves = needs_no_host || (self.told && self.stream);
                leaves.then_some(Self {
                    agent: Agent::Gone,
                    left: self.left || fault == Fault::LeavesLate,
                    asked: Asked::Nothing,
                    stream: false,
                    ..self
                })
            }
            Agent::Idle | Agent::Gone => None,
        }
    }

    /// The agent takes a request up, also one of a service that has died: what it says to that is lost.
    fn obey(self) -> Self {
        let is_heard = self.service.is_some();
        let is_done = self.agent != Agent::Idle;
        let ended = self.agent == Agent::Ended && self.asked == Asked::Whether;
        let runs = u8::from(!is_done || self.asked == Asked::Make);
        Self {
            agent: match is_done {
                true => self.agent,
                false => Agent::Runs,
            },
            runs: self.runs + runs,
            said_made: is_heard,
            said_exit: self.said_exit || (ended && is_heard),
            asked: Asked::Nothing,
            ..self
        }
    }

    /// The service is killed. What it was told goes with it.
    fn death(self) -> Option<Self> {
        self.service?;
        let deaths = self.deaths.checked_sub(1)?;
        Some(Self {
            service: None,
            cut: self.connection == Connection::There,
            said_made: false,
            said_exit: false,
            deaths,
            ..self
        })
    }

    /// Something in the container, or an administrator, kills the agent after it has told its host.
    fn kill(self, fault: Fault) -> Option<Self> {
        let may = fault == Fault::LeavesLate && self.agent == Agent::Ended && self.told;
        may.then_some(Self {
            agent: Agent::Gone,
            asked: Asked::Nothing,
            stream: false,
            ..self
        })
    }

    /// The client goes for good.
    fn leave(self) -> Option<Self> {
        self.comes_back.then_some(Self {
            comes_back: false,
            connection: Connection::Away,
            made_in_socket: false,
            exits_in_socket: 0,
            loss_in_socket: false,
            cut: false,
            service: self.service.map(|service| Service {
                work: match service.work {
                    Work::Asked => Work::Asked,
                    _ => Work::Nothing,
                },
                handle: false,
                ..service
            }),
            ..self
        })
    }

    fn check(self) -> Result<(), String> {
        if self.runs > 1 {
            return Err(format!("run {} times: {self:?}", self.runs));
        }
        if self.want == Want::Lost || self.loss_in_socket {
            return Err(format!("the exit code is lost: {self:?}"));
        }
        if self.exits_in_socket > 1 || (self.want == Want::Nothing && self.exits_in_socket > 0) {
            return Err(format!("told twice: {self:?}"));
        }
        Ok(())
    }

    /// Checks the end that every part comes to when no service dies any more.
    fn ends(self, fault: Fault) -> Result<(), String> {
        let (mut seen, mut open) = (HashSet::new(), vec![self]);
        while let Some(state) = open.pop() {
            let next = state.steps(fault);
            let hears = state.comes_back && state.connection == Connection::There;
            let is_done = state.want == Want::Nothing || !hears;
            let holds = matches!(state.agent, Agent::Ended);
            if next.is_empty() && (!is_done || holds) {
                return Err(format!("nothing goes on: {state:?}"));
            }
            open.extend(next.into_iter().filter(|state| seen.insert(*state)));
        }
        Ok(())
    }
}

/// Visits all states and returns their number.
fn visit(fault: Fault) -> Result<usize, String> {
    let (mut seen, mut open) = (HashSet::from([BEGIN]), VecDeque::from([BEGIN]));
    while let Some(state) = open.pop_front() {
        state.check()?;
        state.ends(fault)?;
        let next = state.steps(fault).into_iter();
        let next = next
            .chain(state.death())
            .chain(state.kill(fault))
            .chain(state.leave());
        open.extend(next.filter(|state| seen.insert(*state)));
    }
    Ok(seen.len())
}

#[test]
fn the_exit_code_of_hcs_run_is_told_once_whenever_the_service_dies() {
    let states = visit(Fault::None).unwrap();
    assert!(states > 300, "{states} states are hardly all");
}

#[test]
fn the_model_notices_what_would_lose_an_exit_code_or_hold_a_container() {
    for fault in [
        Fault::LeavesNothing,
        Fault::LeavesLate,
        Fault::ReadsNothing,
        Fault::ForgetsCalls,
        Fault::RemovesEarly,
        Fault::WaitsForWord,
    ] {
        assert!(visit(fault).is_err(), "{fault:?} goes unnoticed");
    }
}
