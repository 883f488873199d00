//! A whole container: made for one process, by command line and through the API; and what an idle one takes.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{About, Context, Outcome};
use crate::bench::{
    interleave::{Regime, Subject},
    ours::{Container, children, create_to_first_exit, descendants, memory_kb},
    peers,
};

pub(super) fn run_cli(context: &mut Context<'_>) -> Outcome {
    let peers = context.peers();
    let mut subjects = vec![context.program.run(context.bundles)];
    subjects.extend(peers.iter().map(|peer| peer.once_subject()));
    let about = About {
        name: "run-cli",
        title: "a whole container for one process, by command line: made, run, removed".to_owned(),
        base: "hcs run",
    };
    context.compare(&about, &[(Regime::Hot, 40), (Regime::Spaced, 25)], subjects)
}

pub(super) fn create_api(context: &mut Context<'_>) -> Outcome {
    const OURS: &str = "hcs API create to first exit";
    let bundles = context.bundles;
    let mut number = 0;
    let mut subjects = vec![Subject::timed(OURS, || {
        number += 1;
        let (container, time) = create_to_first_exit(bundles, &format!("bench-create-{number}"))?;
        container.end()?;
        Ok(Some(time))
    })];
    match peers::bubblewrap(bundles) {
        Ok(peer) => subjects.push(peer.once_subject()),
        Err(reason) => context.report.miss(reason),
    }
    let about = About {
        name: "create-api",
        title:
            "container created, first process exited, through the API; its end is not in the time"
                .to_owned(),
        base: OURS,
    };
    context.compare(&about, &[(Regime::Hot, 60), (Regime::Spaced, 40)], subjects)?;
    if let Some(median) = context.report.median("create-api", "spaced", OURS) {
        let name = "create to first exit, spaced";
        context.report.add(name, median / 1e3, "ms");
    }
    Ok(())
}

/// The memory of everything that runs for a container: what service, launcher and agents have more with some of them
/// than with none.
pub(super) fn memory(context: &mut Context<'_>) -> Outcome {
    let count = if context.quick { 3 } else { 20 };
    let service = context.service.pid();
    // Once through everything, so that nothing is measured that is only made once.
    create_to_first_exit(context.bundles, "bench-memory-first")?
        .0
        .end()?;
    let family = settled(service);
    let before = memory_kb(&family, "smaps_rollup", "Pss")?;
    let own: Vec<u32> = children(service).into_iter().chain([service]).collect();
    let resident = memory_kb(&own, "status", "VmRSS")? / 1024.0;
    let name = "idle service and launcher, resident";
    context.report.add(name, resident, "MB");
    let containers: Vec<Container> = (0..count)
        .map(|n| Container::start(&format!("bench-memory-{n}"), context.bundles))
        .collect::<Result<_, _>>()?;
    let family = settled(service);
    let each = (memory_kb(&family, "smaps_rollup", "Pss")? - before) / f64::from(count);
    let name = "idle container, everything that runs for it";
    context.report.add(name, each, "kB");
    containers.iter().try_for_each(Container::terminate)?;
    containers.iter().try_for_each(Container::gone)
}

/// The service and all below it, once their number has stopped changing: containers are prepared in the background.
fn settled(service: u32) -> Vec<u32> {
    let end = Instant::now() + Duration::from_secs(10);
    let mut family = descendants(service);
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = descendants(service);
        if now.len() == family.len() || Instant::now() > end {
            return now;
        }
        family = now;
    }
}
