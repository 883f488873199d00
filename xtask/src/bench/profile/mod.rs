//! Where the time goes: the kernel's tracer writes down every system call and every switch of client, service, launcher
//! and agent; each moment of a call is charged to the task that was at work.
//!
//! 1. [`trace`]: an instance of the tracer of the bench's own; it costs a microsecond or two for each system call.
//! 2. [`events`]: its text, read.
//! 3. [`charge`]: a sweep over the events. Where two work at once, the moment is charged to the one nearer to the
//!    process; where no task works, to a system call that is not a wait, or else to waiting.
//!
//! The share of each is what carries over; the times are those of calls that are being traced.

mod charge;
mod events;
mod trace;

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use charge::{Charges, Role};
use trace::Tracer;

use super::{
    ours::{children, tasks},
    series::{Series, human},
};

/// What is traced: its name, whether samples have idle time before them, and how one is made.
pub(crate) struct Traced<'a> {
    /// Name in the report.
    pub(crate) name: &'static str,
    /// 100 ms idle before each sample.
    pub(crate) spaced: bool,
    /// Does it once; what comes after the time it answers, if it answers one, is not charged.
    pub(crate) run: Box<dyn FnMut() -> Result<(), String> + 'a>,
    /// Clears up after it, untimed.
    pub(crate) after: Box<dyn FnMut() -> Result<(), String> + 'a>,
}

/// Less than this share of the time that is not waiting for a processor is not a line of its own.
const SMALL: f64 = 0.015;

/// Traces `rounds` samples of each and answers what came of it, as Markdown.
///
/// # Errors
/// There is no tracer here, or what is traced failed.
pub(crate) fn profile(
    service: u32,
    rounds: usize,
    subjects: Vec<Traced<'_>>,
) -> Result<String, String> {
    let mut text = String::new();
    for mut subject in subjects {
        let untraced = rounds_of(&mut subject, rounds, &mut |_| Ok(()))?;
        let roles = family(service);
        let mut tracer = Tracer::start(roles.iter().map(|(task, _)| *task))?;
        let traced = rounds_of(&mut subject, rounds, &mut |mark| tracer.mark(mark))?;
        let trace = tracer.finish()?;
        let charges = charge::of_all(&events::read(&trace), &roles);
        describe(&mut text, subject.name, &untraced, &traced, &charges);
    }
    Ok(text)
}

/// Every task that takes part, with its role.
fn family(service: u32) -> Vec<(u32, Role)> {
    let launchers = children(service);
    let agents: Vec<u32> = launchers.iter().flat_map(|pid| children(*pid)).collect();
    let processes: Vec<u32> = agents.iter().flat_map(|pid| children(*pid)).collect();
    let all = |pids: &[u32], role| -> Vec<(u32, Role)> {
        let found = pids.iter().flat_map(|pid| tasks(*pid));
        found.map(|task| (task, role)).collect()
    };
    [
        all(&[std::process::id()], Role::Client),
        all(&[service], Role::Service),
        all(&launchers, Role::Launcher),
        all(&agents, Role::Agent),
        all(&processes, Role::Process),
    ]
    .concat()
}

fn rounds_of(
    subject: &mut Traced<'_>,
    rounds: usize,
    mark: &mut dyn FnMut(&str) -> Result<(), String>,
) -> Result<Series, String> {
    let mut series = Series::new(subject.name);
    for _ in 0..rounds {
        if subject.spaced {
            thread::sleep(Duration::from_millis(100));
        }
        mark(events::BEGIN)?;
        let begin = Instant::now();
        (subject.run)().map_err(|e| format!("{}: {e}", subject.name))?;
        series.push(begin.elapsed());
        mark(events::END)?;
        (subject.after)().map_err(|e| format!("after {}: {e}", subject.name))?;
    }
    Ok(series)
}

fn describe(
    text: &mut String,
    name: &str,
    untraced: &Series,
    traced: &Series,
    charges: &[Charges],
) {
    let (untraced, traced) = (human(untraced.median()), human(traced.median()));
    let _ = writeln!(
        text,
        "\n### Where the time of {name} goes\n\n\
         Median {untraced}, while traced {traced}; means of the middle half of {} samples.\n\n\
         | who | at what | time | share |\n|---|---|---|---|",
        charges.len()
    );
    let (total, mut lines) = charge::middle(charges);
    lines.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut small = 0.0;
    let waiting = lines
        .iter()
        .find(|((_, what), _)| what == charge::WAITING)
        .map_or(0.0, |(_, time)| *time);
    for ((who, what), time) in lines {
        if time < SMALL * (total - waiting) {
            small += time;
            continue;
        }
        let share = 100.0 * time / total;
        let _ = writeln!(text, "| {who} | {what} | {} | {share:.0} % |", human(time));
    }
    let share = 100.0 * small / total;
    let _ = writeln!(
        text,
        "| all | what is less | {} | {share:.0} % |",
        human(small)
    );
}
