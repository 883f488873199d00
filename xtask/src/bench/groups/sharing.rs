//! What a client sees beside another one that has thousands of calls on the way, of each kind in turn.

use std::time::Instant;

use super::{Context, Outcome};
use crate::bench::{
    flood::{CALLS, FLOODED, Flood, KINDS},
    interleave::Regime,
    ours::Container,
    report::Table,
    series::Series,
};

const ALONE: &str = "alone";
/// What the processor time of a flooding client and of a busy server cost by themselves.
const ELSEWHERE: &str = "calls that another server answers";
/// Names that targets refer to.
const WORST_PROCESS: &str = "a process beside 10,000 calls of the worst kind / alone";
const WORST_CALL: &str = "a small call beside 10,000 calls of the worst kind / alone";

/// What the client that is measured does.
struct Measured<'a> {
    name: &'static str,
    title: String,
    figure: &'static str,
    samples: usize,
    act: Box<dyn Fn() -> Outcome + 'a>,
}

impl Measured<'_> {
    fn take(&self, samples: usize, series: &mut Series) -> Outcome {
        for _ in 0..samples {
            let begin = Instant::now();
            (self.act)()?;
            series.push(begin.elapsed());
        }
        Ok(())
    }

    /// Alone, and beside calls of each kind, in turn.
    fn table(&self) -> Result<Table, String> {
        let mut alone = Series::new(ALONE);
        self.take(2, &mut Series::new(""))?;
        let mut elsewhere = Series::new(ELSEWHERE);
        let flood = Flood::elsewhere()?;
        self.take(self.samples, &mut elsewhere)?;
        drop(flood);
        let mut beside = vec![elsewhere];
        for (kind, make) in KINDS {
            self.take(self.samples, &mut alone)?;
            let mut series = Series::new(*kind);
            let flood = Flood::begin(*make)?;
            self.take(self.samples, &mut series)
                .map_err(|e| format!("beside {kind}: {e}"))?;
            drop(flood);
            beside.push(series);
        }
        Ok(Table {
            name: self.name,
            title: self.title.clone(),
            regime: Regime::Hot.name(),
            base: ALONE,
            series: [vec![alone], beside].concat(),
        })
    }
}

/// The same user, whose share of threads and bytes both clients have: that of another user is not smaller.
pub(super) fn sharing(context: &mut Context<'_>) -> Outcome {
    let flooded = Container::start(FLOODED, context.bundles)?;
    let container = Container::start("bench-sharing", context.bundles)?;
    let process = container.idle_process()?;
    let measured = [
        Measured {
            name: "sharing-process",
            title: format!(
                "a process, created and seen to exit, beside another client with {CALLS} calls on the way"
            ),
            figure: WORST_PROCESS,
            samples: context.rounds(40),
            act: Box::new(|| container.process("/bin/true")),
        },
        Measured {
            name: "sharing-call",
            title: format!(
                "a small call and its answer, beside another client with {CALLS} calls on the way"
            ),
            figure: WORST_CALL,
            samples: context.rounds(200),
            act: Box::new(|| container.process_info(&process)),
        },
    ];
    for one in &measured {
        let table = one.table()?;
        let alone = table.median(ALONE).unwrap_or(f64::NAN);
        let elsewhere = table.median(ELSEWHERE).unwrap_or(f64::NAN);
        let beside = table.series.iter().skip(2).map(Series::median);
        let worst = beside.fold(f64::NAN, f64::max);
        context.report.add(one.figure, worst / alone, "");
        let beside_load = format!("{}, under that load", one.figure);
        context.report.add(&beside_load, worst / elsewhere, "");
        context.report.tables.push(table);
    }
    drop(measured);
    container.end()?;
    flooded.end()
}
