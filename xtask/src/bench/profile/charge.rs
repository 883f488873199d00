//! Charges every moment of a sample to the task that was at work. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use super::events::{Event, Left, What};

/// The parties, the one nearest to the process last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// A child that is made ready for a container of later on.
    Spare,
    /// The program that calls: `hcs`, or the bench with the library in it.
    Client,
    /// `hcsd`, all its threads.
    Service,
    /// The helper that clones.
    Launcher,
    /// The child that builds a container's root and becomes its agent.
    Agent,
    /// What the container is for.
    Process,
}

impl Role {
    /// What a task is that one of this role starts.
    fn child(self) -> Self {
        match self {
            Self::Client => Self::Client,
            Self::Service => Self::Service,
            Self::Launcher => Self::Agent,
            Self::Spare | Self::Agent | Self::Process => Self::Process,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spare => "child for later",
            Self::Client => "client",
            Self::Service => "service",
            Self::Launcher => "launcher",
            Self::Agent => "child and agent",
            Self::Process => "process",
        })
    }
}

/// A party, and its work.
pub(super) type Line = (String, String);

/// Microseconds of one sample, by who was at what.
pub(super) type Charges = BTreeMap<Line, f64>;

/// Calls that wait for another task; a task that is in one, and not running, is not at work.
const WAITS: &[&str] = &[
    "accept4",
    "epoll_pwait",
    "epoll_wait",
    "clock_nanosleep",
    "futex",
    "nanosleep",
    "poll",
    "ppoll",
    "read",
    "recvfrom",
    "recvmsg",
    "select",
    "pselect6",
    "vfork",
    "clone",
    "wait4",
    "waitid",
];

/// What is known of a task at a moment.
#[derive(Debug)]
struct Task<'a> {
    role: Role,
    running: bool,
    /// It may run and does not yet.
    ready: bool,
    call: Option<&'a str>,
}

/// The charges of every sample between two marks.
pub(super) fn of_all(events: &[Event<'_>], roles: &[(u32, Role)]) -> Vec<Charges> {
    let mut tasks: HashMap<u32, Task<'_>> = HashMap::new();
    for (task, role) in roles {
        tasks.insert(*task, Task::new(*role));
    }
    let mut samples = Vec::new();
    let mut sample: Option<Charges> = None;
    let mut in_use = HashSet::new();
    let mut last = 0.0;
    for (number, event) in events.iter().enumerate() {
        if let Some(charges) = &mut sample {
            *charges.entry(at_work(&tasks, &in_use)).or_default() += event.time - last;
        }
        last = event.time;
        match event.what {
            What::Begin => {
                sample = Some(Charges::new());
                in_use = starters(&events[number..]);
            }
            What::End => samples.extend(sample.take()),
            _ => note(&mut tasks, event),
        }
    }
    samples
}

impl Task<'_> {
    fn new(role: Role) -> Self {
        Self {
            role,
            running: false,
            ready: false,
            call: None,
        }
    }
}

/// What an event says of the tasks.
fn note<'a>(tasks: &mut HashMap<u32, Task<'a>>, event: &Event<'a>) {
    match event.what {
        What::Fork { child } => {
            if let Some(role) = tasks.get(&event.task).map(|task| task.role.child()) {
                tasks.insert(child, Task::new(role));
            }
        }
        What::Switch { from, to, left } => {
            if left == Left::Dead {
                tasks.remove(&from);
            } else if let Some(task) = tasks.get_mut(&from) {
                (task.running, task.ready) = (false, left == Left::Ready);
            }
            if let Some(task) = tasks.get_mut(&to) {
                (task.running, task.ready) = (true, false);
            }
        }
        What::Wake { task } => {
            if let Some(task) = tasks.get_mut(&task) {
                task.ready = !task.running;
            }
        }
        What::Enter(name) => {
            if let Some(task) = tasks.get_mut(&event.task) {
                (task.running, task.call) = (true, Some(name));
            }
        }
        What::Leave => {
            if let Some(task) = tasks.get_mut(&event.task) {
                (task.running, task.call) = (true, None);
            }
        }
        What::Exec | What::Begin | What::End => {}
    }
}

/// The tasks that start something before the sample ends: an agent that does not is one for later.
fn starters(events: &[Event<'_>]) -> HashSet<u32> {
    events
        .iter()
        .take_while(|event| event.what != What::End)
        .filter(|event| matches!(event.what, What::Fork { .. }))
        .map(|event| event.task)
        .collect()
}

fn at_work(tasks: &HashMap<u32, Task<'_>>, in_use: &HashSet<u32>) -> Line {
    let role = |number: &u32, task: &Task<'_>| match task.role {
        Role::Agent if !in_use.contains(number) => Role::Spare,
        role => role,
    };
    let nearest = |wanted: &dyn Fn(&Task<'_>) -> bool| {
        let found = tasks.iter().filter(|(_, task)| wanted(task));
        let found = found.map(|(number, task)| (role(number, task), task.call));
        found.max()
    };
    if let Some((role, call)) = nearest(&|task| task.running) {
        let what = call.unwrap_or("its own code, page faults");
        return (role.to_string(), what.to_owned());
    }
    let waits = |(number, task): (&u32, &Task<'_>)| task.ready && role(number, task) != Role::Spare;
    if tasks.iter().any(waits) {
        return (NONE.to_owned(), WAITING.to_owned());
    }
    let working = |task: &Task<'_>| task.call.is_some_and(|call| !WAITS.contains(&call));
    match nearest(&working) {
        Some((role, call)) => (
            role.to_string(),
            format!("{}, blocked in the kernel", call.unwrap_or_default()),
        ),
        None => (
            NONE.to_owned(),
            "waiting for the kernel's own threads".to_owned(),
        ),
    }
}

/// The party that is charged when no task is at work.
const NONE: &str = "no task";

/// What a moment is charged to when all have to wait for a processor.
pub(super) const WAITING: &str = "on the way to a processor: wake-ups, other programs";

/// The mean total of the middle half of the samples, by their totals, and the mean of each line.
pub(super) fn middle(samples: &[Charges]) -> (f64, Vec<(Line, f64)>) {
    let total = |charges: &Charges| charges.values().sum::<f64>();
    let mut sorted: Vec<&Charges> = samples.iter().collect();
    sorted.sort_by(|a, b| total(a).total_cmp(&total(b)));
    let quarter = sorted.len() / 4;
    let kept = &sorted[quarter..sorted.len() - quarter];
    let mut sum = Charges::new();
    for (line, time) in kept.iter().flat_map(|charges| charges.iter()) {
        *sum.entry(line.clone()).or_default() += time / kept.len() as f64;
    }
    (total(&sum), sum.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: u32, task: u32, what: What<'_>) -> Event<'_> {
        Event {
            time: f64::from(time),
            task,
            what,
        }
    }

    fn switch(from: u32, to: u32) -> What<'static> {
        let left = Left::Asleep;
        What::Switch { from, to, left }
    }

    #[test]
    fn every_moment_is_charged_once() {
        let events = [
            event(0, 99, switch(99, 1)),
            event(0, 1, What::Begin),
            event(10, 1, What::Enter("sendmsg")),
            event(13, 1, switch(1, 2)),
            event(20, 2, What::Enter("mkdir")),
            // Blocked on the disk.
            event(25, 2, switch(2, 99)),
            event(38, 99, What::Wake { task: 2 }),
            event(40, 99, switch(99, 2)),
            event(41, 2, What::Leave),
            event(50, 2, What::Enter("epoll_wait")),
            event(52, 2, switch(2, 99)),
            event(60, 99, switch(99, 1)),
            event(61, 1, What::Leave),
            event(70, 1, What::End),
        ];
        let samples = of_all(&events, &[(1, Role::Client), (2, Role::Service)]);
        assert_eq!(samples.len(), 1);
        let (total, lines) = middle(&samples);
        assert!((total - 70.0).abs() < 1e-9);
        let time = |who: &str, what: &str| {
            let line = lines.iter().find(|((a, b), _)| a == who && b == what);
            line.map(|(_, time)| *time)
        };
        let own = "its own code, page faults";
        assert_eq!(time("client", own), Some(10.0 + 9.0));
        // The client's call was open while the service ran, and is what is left when the service waits.
        assert_eq!(time("client", "sendmsg"), Some(3.0 + 1.0));
        assert_eq!(time("client", "sendmsg, blocked in the kernel"), Some(8.0));
        assert_eq!(time("service", own), Some(7.0 + 9.0));
        assert_eq!(time("service", "mkdir"), Some(5.0 + 1.0));
        assert_eq!(time("service", "epoll_wait"), Some(2.0));
        assert_eq!(time("service", "mkdir, blocked in the kernel"), Some(13.0));
        assert_eq!(time(NONE, WAITING), Some(2.0));
    }

    #[test]
    fn a_child_that_starts_nothing_is_for_later() {
        let events = [
            event(0, 1, What::Begin),
            event(1, 3, What::Fork { child: 4 }),
            event(2, 4, What::Enter("mount")),
            event(5, 1, What::Enter("sendmsg")),
            event(9, 1, What::End),
            event(10, 1, What::Begin),
            event(11, 4, What::Leave),
            event(14, 4, What::Fork { child: 5 }),
            event(16, 1, What::End),
        ];
        let samples = of_all(&events, &[(1, Role::Client), (3, Role::Launcher)]);
        let line = |who: &str, what: &str| (who.to_owned(), what.to_owned());
        assert_eq!(
            samples[0].get(&line("child for later", "mount")),
            Some(&3.0)
        );
        // A task nearer to the process counts more.
        assert_eq!(samples[0].get(&line("client", "sendmsg")), Some(&4.0));
        assert_eq!(
            samples[1].get(&line("child and agent", "mount")),
            Some(&1.0)
        );
    }

    #[test]
    fn the_dead_do_not_work() {
        let left = Left::Dead;
        let (from, to) = (5, 99);
        let events = [
            event(0, 1, What::Begin),
            event(1, 5, What::Enter("exit_group")),
            event(4, 5, What::Switch { from, to, left }),
            event(9, 1, What::End),
        ];
        let samples = of_all(&events, &[(1, Role::Client), (5, Role::Process)]);
        let line = ("process".to_owned(), "exit_group".to_owned());
        assert_eq!(samples[0].get(&line), Some(&3.0));
        assert_eq!(samples[0].len(), 2, "{samples:?}");
    }

    #[test]
    fn what_an_agent_starts_is_the_process() {
        let events = [
            event(0, 1, What::Begin),
            event(1, 3, What::Fork { child: 4 }),
            event(2, 4, What::Fork { child: 5 }),
            event(3, 5, What::Enter("execve")),
            event(9, 1, What::End),
        ];
        let samples = of_all(&events, &[(1, Role::Client), (3, Role::Launcher)]);
        let line = ("process".to_owned(), "execve".to_owned());
        assert_eq!(samples[0].get(&line), Some(&6.0));
    }
}
