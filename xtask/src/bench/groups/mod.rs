//! What is measured: one function per group, each adding tables or figures to the report.
//!
//! 1. [`processes`]: a process in a running container, by API and by command line, and what comes out of its stdout.
//! 2. [`containers`]: a whole container; what an idle one takes.
//!    [`networks`]: what a network costs it.
//! 3. [`calls`]: small calls, results, the start of the program.
//! 4. [`scale`]: hundreds of containers at once.
//! 5. [`sharing`]: what another client's calls cost a client.
//! 6. [`images`]: images unpacked, run, shared, pulled.
//! 7. [`machines`]: virtual machines, beside bare ones.
//! 8. [`profile`]: where the time goes.

mod calls;
mod containers;
mod images;
mod machines;
mod networks;
mod processes;
mod profile;
mod scale;
mod sharing;

use super::{
    bundle::Bundles,
    interleave::{Regime, Subject, interleave},
    isolate::Place,
    ours::Program,
    peers::{self, Peer},
    report::{Report, Table},
    service::Service,
};

type Outcome = Result<(), String>;

/// The body of a group.
type Body = fn(&mut Context<'_>) -> Outcome;

/// Every group: name and body.
const GROUPS: &[(&str, Body)] = &[
    ("exec-api", processes::exec_api),
    ("exec-cli", processes::exec_cli),
    ("run-cli", containers::run_cli),
    ("create-api", containers::create_api),
    ("networks", networks::networks),
    ("memory", containers::memory),
    ("round-trip", calls::round_trip),
    ("pipelining", calls::pipelining),
    ("result", calls::result),
    ("start-up", calls::start_up),
    ("stdio", processes::stdio),
    ("scale", scale::scale),
    ("sharing", sharing::sharing),
    ("images", images::images),
    ("machines", machines::machines),
    ("profile", profile::profile),
];

/// What every group needs.
pub(crate) struct Context<'a> {
    bundles: &'a Bundles,
    place: &'a Place,
    service: &'a Service,
    program: Program,
    quick: bool,
    report: Report,
}

/// What a table is of.
struct About {
    name: &'static str,
    title: String,
    /// The subject that ratios refer to.
    base: &'static str,
}

/// The names of all groups.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|(name, _)| *name)
}

/// Runs the groups named, or all.
///
/// # Errors
/// Something of ours failed.
pub(crate) fn run_all(context: &mut Context<'_>, names: &[String]) -> Outcome {
    for (name, group) in GROUPS {
        if names.is_empty() || names.iter().any(|n| n == name) {
            eprintln!("bench: {name}");
            group(context).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    Ok(())
}

impl<'a> Context<'a> {
    /// A context that adds to `report`.
    pub(crate) fn new(
        bundles: &'a Bundles,
        place: &'a Place,
        service: &'a Service,
        quick: bool,
        report: Report,
    ) -> Self {
        Self {
            bundles,
            place,
            service,
            program: Program::at(&place.prefix),
            quick,
            report,
        }
    }

    /// The report so far.
    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    fn rounds(&self, full: usize) -> usize {
        if self.quick { full.min(3) } else { full }
    }

    /// Runs `subjects` in turn, in one table for each regime with its rounds.
    fn compare(
        &mut self,
        about: &About,
        regimes: &[(Regime, usize)],
        mut subjects: Vec<Subject<'_>>,
    ) -> Outcome {
        for (regime, rounds) in regimes {
            let measured = interleave(&mut subjects, *regime, self.rounds(*rounds))?;
            for reason in measured.failed {
                self.report.miss(reason);
            }
            self.report.tables.push(Table {
                name: about.name,
                title: about.title.clone(),
                regime: regime.name(),
                base: about.base,
                series: measured.series,
            });
        }
        Ok(())
    }

    /// Every peer that runs here; the others go into the report.
    fn peers(&mut self) -> Vec<Box<dyn Peer>> {
        let mut ready = Vec::new();
        for peer in peers::start_all(self.bundles) {
            match peer {
                Ok(peer) => ready.push(peer),
                Err(reason) => self.report.miss(reason),
            }
        }
        ready
    }
}
