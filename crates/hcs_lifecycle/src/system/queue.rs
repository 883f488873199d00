//! The admission queue. Pure: its owner submits calls, asks [`Queue::next`] for steps until there are no more, does
//! them and reports back.

use std::collections::VecDeque;

use super::{Action, ExitType, Refusal, State, after, judge};

/// Names one submitted call until it is finished, refused or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The next step of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Do it now, then say [`Queue::finish`]. [`Action::CreateProcess`] is already finished for the queue.
    Begin(Ticket, Action),
    /// The call is not admitted; the ticket is spent.
    Refuse(Ticket, Refusal),
    /// The end of the system decides an action that was running: `Ok` for an action that wanted that end. The ticket is
    /// spent; the owner may drop its work for it.
    Settle(Ticket, Result<(), Refusal>),
}

/// The state of a cancelled ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It had not begun; nothing is to be undone and the ticket is spent.
    Waiting,
    /// It runs. The owner ends and undoes it, then says [`Queue::finish`] with `false`.
    Running(Action),
    /// There is no such ticket any more.
    Unknown,
}

/// Decides the order of actions. See the module above for the rules.
#[derive(Clone, Debug)]
pub struct Queue {
    state: State,
    next_ticket: u64,
    waiting: VecDeque<(Ticket, Action)>,
    /// The one action that occupies the system.
    running: Option<(Ticket, Action)>,
    /// That action was cancelled and is being undone.
    undoing: bool,
    /// The terminate that runs beside it.
    terminating: Option<Ticket>,
    /// A shutdown was begun and not undone: an end that comes now was asked for.
    asked_to_stop: bool,
    /// A terminate was begun.
    ordered_to_stop: bool,
    /// The results that the end of the system decided and that the owner has not got yet.
    settled: VecDeque<(Ticket, Result<(), Refusal>)>,
}

impl Queue {
    /// The queue of a system in `state`: [`State::Created`] for a new one, the recorded state for an adopted one.
    #[must_use]
    pub const fn new(state: State) -> Self {
        Self {
            state,
            next_ticket: 1,
            waiting: VecDeque::new(),
            running: None,
            undoing: false,
            terminating: None,
            asked_to_stop: false,
            ordered_to_stop: false,
            settled: VecDeque::new(),
        }
    }

    /// For an adopted system: whether an earlier service had asked it to shut down.
    #[must_use]
    pub const fn with_stop_asked(mut self, asked: bool) -> Self {
        self.asked_to_stop = asked;
        self
    }

    /// Whether it was asked to shut down, and may yet do so.
    #[must_use]
    pub const fn is_asked_to_stop(&self) -> bool {
        self.asked_to_stop
    }

    /// Where the system is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether a process created now would begin at once: nothing is before it and the state is right. The owner may
    /// then go ahead without a ticket.
    #[must_use]
    pub fn process_may_begin(&self) -> bool {
        self.waiting.is_empty()
            && self.running.is_none()
            && self.terminating.is_none()
            && judge(self.state, Action::CreateProcess).is_ok()
    }

    /// Takes a call in. Follow with [`Queue::next`].
    pub fn submit(&mut self, action: Action) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.push_back((ticket, action));
        ticket
    }

    /// The next thing to do, if there is one.
    #[expect(
        clippy::should_implement_trait,
        reason = "asking changes the queue; it is not a sequence of items"
    )]
    pub fn next(&mut self) -> Option<Decision> {
        if let Some((ticket, result)) = self.settled.pop_front() {
            return Some(Decision::Settle(ticket, result));
        }
        self.overtake().or_else(|| self.take_turn())
    }

    /// A terminate in the queue, wherever it stands, when none is running.
    fn overtake(&mut self) -> Option<Decision> {
        if self.terminating.is_some() {
            return None;
        }
        let position = self
            .waiting
            .iter()
            .position(|(_, action)| *action == Action::Terminate)?;
        let (ticket, action) = self.waiting.remove(position)?;
        if let Err(refusal) = judge(self.state, action) {
            return Some(Decision::Refuse(ticket, refusal));
        }
        self.terminating = Some(ticket);
        self.ordered_to_stop = true;
        Some(Decision::Begin(ticket, action))
    }

    /// The head of the queue, when its turn has come.
    fn take_turn(&mut self) -> Option<Decision> {
        let (ticket, action) = *self.waiting.front()?;
        let verdict = match (self.terminating, self.running, action) {
            // A second terminate waits for the first; only its end or its failure decides.
            (Some(_), _, Action::Terminate) => return self.take_turn_behind_terminate(),
            (Some(_), ..) => Err(Refusal::Terminating),
            (None, Some((_, Action::ShutDown)), Action::CreateProcess) if !self.undoing => {
                Err(Refusal::ShuttingDown)
            }
            (None, Some(_), _) => return None,
            (None, None, _) => judge(self.state, action),
        };
        self.waiting.pop_front();
        Some(self.answer(ticket, action, verdict))
    }

    /// While a terminate runs, everything but further terminates is refused at once.
    fn take_turn_behind_terminate(&mut self) -> Option<Decision> {
        let position = self
            .waiting
            .iter()
            .position(|(_, action)| *action != Action::Terminate)?;
        let (ticket, action) = self.waiting.remove(position)?;
        Some(self.answer(ticket, action, Err(Refusal::Terminating)))
    }

    fn answer(&mut self, ticket: Ticket, action: Action, verdict: Result<(), Refusal>) -> Decision {
        if let Err(refusal) = verdict {
            return Decision::Refuse(ticket, refusal);
        }
        match action {
            Action::CreateProcess => {}
            Action::ShutDown => {
                self.asked_to_stop = true;
                self.running = Some((ticket, action));
            }
            _ => self.running = Some((ticket, action)),
        }
        Decision::Begin(ticket, action)
    }

    /// Reports that the action of [`Decision::Begin`] is done (`true`), or failed or was undone (`false`). A spent
    /// ticket is ignored, so the end of the system and the end of the action may be reported in any order.
    ///
    /// A shutdown or terminate that is "done" does not stop the system: that is [`Queue::exited`].
    pub fn finish(&mut self, ticket: Ticket, done: bool) {
        if self.terminating == Some(ticket) {
            self.terminating = None;
            self.ordered_to_stop &= done;
            return;
        }
        let Some((_, action)) = self.running.filter(|(running, _)| *running == ticket) else {
            return;
        };
        self.running = None;
        self.undoing = false;
        // A shutdown that ran into its limit has still asked: the processes may yet go, one by one.
        if done && self.state != State::Stopped {
            self.state = after(self.state, action);
        }
    }

    /// Gives a ticket up.
    pub fn cancel(&mut self, ticket: Ticket) -> Cancelled {
        if let Some(position) = self.waiting.iter().position(|(t, _)| *t == ticket) {
            self.waiting.remove(position);
            return Cancelled::Waiting;
        }
        if self.terminating == Some(ticket) {
            return Cancelled::Running(Action::Terminate);
        }
        match self.running {
            Some((running, action)) if running == ticket => {
                self.undoing = true;
                Cancelled::Running(action)
            }
            _ => Cancelled::Unknown,
        }
    }

    /// Reports that the machine is gone, once. Running actions are settled, waiting ones will be refused.
    pub fn exited(&mut self) -> ExitType {
        let exit = if self.ordered_to_stop {
            ExitType::Forced
        } else if self.asked_to_stop {
            ExitType::Graceful
        } else {
            ExitType::Unexpected
        };
        self.state = State::Stopped;
        if let Some((ticket, action)) = self.running.take() {
            self.settled.push_back((ticket, settle(action)));
        }
        if let Some(ticket) = self.terminating.take() {
            self.settled.push_back((ticket, Ok(())));
        }
        exit
    }
}

/// How the end of the system decides an action that was running.
const fn settle(action: Action) -> Result<(), Refusal> {
    match action {
        Action::ShutDown | Action::Terminate => Ok(()),
        Action::Start => Err(Refusal::EndedDuringStart),
        Action::Pause
        | Action::Resume
        | Action::Save { .. }
        | Action::Modify
        | Action::CreateProcess => Err(Refusal::Stopped),
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
