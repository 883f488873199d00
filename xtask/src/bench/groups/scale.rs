//! Hundreds of containers at once: how long they take to make and to end, and whether their number slows anything.

use std::time::{Duration, Instant};

use super::{Context, Outcome};
use crate::bench::{
    bundle::Bundles,
    floor::spawn_and_wait,
    interleave::{Regime, Subject, interleave},
    ours::{Container, children, memory_kb},
    peers::Runtime,
    report::Table,
    series::Series,
};

const FLOOR: &str = "vfork+exec+wait";

pub(super) fn scale(context: &mut Context<'_>) -> Outcome {
    let count = if context.quick { 10 } else { 300 };
    let ours = hundreds(context, count)?;
    match crun(context.bundles, count) {
        Ok(theirs) => {
            let report = &mut context.report;
            let seconds = theirs.0.as_secs_f64();
            report.add(format!("{count} containers, crun"), seconds, "s");
            let seconds = theirs.1.as_secs_f64();
            report.add(format!("{count} containers teardown, crun"), seconds, "s");
            let ratio = theirs.0.as_secs_f64() / ours.0.as_secs_f64();
            report.add(format!("{count} containers, crun / hcs"), ratio, "");
            let ratio = theirs.1.as_secs_f64() / ours.1.as_secs_f64();
            report.add(
                format!("{count} containers teardown, crun / hcs"),
                ratio,
                "",
            );
        }
        Err(reason) => context.report.miss(reason),
    }
    thousand(context)
}

/// Makes `count` containers with a process each and ends them all; answers both times.
fn hundreds(context: &mut Context<'_>, count: usize) -> Result<(Duration, Duration), String> {
    let alone = Container::start("bench-scale-alone", context.bundles)?;
    let mut exec = exec_beside_floor(context, &alone, "1 running")?;
    let mut each = Series::new("hcs");
    let mut containers = Vec::new();
    let begin = Instant::now();
    for number in 0..count {
        let one = Instant::now();
        let container = Container::start(&format!("bench-scale-{number}"), context.bundles)?;
        container.idle_process()?;
        each.push(one.elapsed());
        containers.push(container);
    }
    let created = begin.elapsed();
    exec.extend(exec_beside_floor(
        context,
        &alone,
        &format!("{count} running"),
    )?);
    let begin = Instant::now();
    containers.iter().try_for_each(Container::terminate)?;
    containers.iter().try_for_each(Container::gone)?;
    let removed = begin.elapsed();
    alone.end()?;
    let ratio = each.around(count - 1) / each.around(10);
    let report = &mut context.report;
    report.add(
        format!("{count} containers, hcs"),
        created.as_secs_f64(),
        "s",
    );
    let name = format!("{count} containers teardown, hcs");
    report.add(name, removed.as_secs_f64(), "s");
    report.add(format!("{count}th / 10th container"), ratio, "");
    let medians: Vec<f64> = exec.iter().map(Series::median).collect();
    if let [floor, process, floor_then, process_then] = medians[..] {
        let name = format!("exec with {count} running / with 1, each beside its floor");
        let ratio = (process_then / floor_then) / (process / floor);
        report.add(name, ratio, "");
    }
    report.tables.push(Table {
        name: "scale",
        title: "a process in one container, through the API, with more and more of them running"
            .to_owned(),
        regime: Regime::Hot.name(),
        base: "vfork+exec+wait, 1 running",
        series: exec,
    });
    Ok((created, removed))
}

/// A process in `container` and its floor, in turn; the names say how many containers are running.
fn exec_beside_floor(
    context: &Context<'_>,
    container: &Container,
    running: &str,
) -> Result<Vec<Series>, String> {
    let program = context.bundles.program("true");
    let mut subjects = vec![
        Subject::new(format!("{FLOOR}, {running}"), || spawn_and_wait(&program)),
        Subject::new(format!("hcs API process, {running}"), || {
            container.process("/bin/true")
        }),
    ];
    let measured = interleave(&mut subjects, Regime::Hot, context.rounds(300))?;
    Ok(measured.series)
}

/// The same with crun, whose bundles are written beforehand.
fn crun(bundles: &Bundles, count: usize) -> Result<(Duration, Duration), String> {
    let crun = Runtime::start("crun", bundles)?;
    let prepared: Vec<String> = (0..count)
        .map(|number| crun.prepare_idle(bundles, number))
        .collect::<Result<_, _>>()?;
    let begin = Instant::now();
    for (number, bundle) in prepared.iter().enumerate() {
        crun.create_idle(bundle, number)?;
    }
    let created = begin.elapsed();
    let begin = Instant::now();
    (0..count).try_for_each(|number| crun.delete_idle(number))?;
    Ok((created, begin.elapsed()))
}

/// A thousand containers at once, each of which runs a process.
fn thousand(context: &mut Context<'_>) -> Outcome {
    let count = if context.quick { 20 } else { 1000 };
    let begin = Instant::now();
    let mut containers = Vec::new();
    for number in 0..count {
        let container = Container::start(&format!("bench-thousand-{number}"), context.bundles)?;
        container.process("/bin/true")?;
        containers.push(container);
    }
    let created = begin.elapsed().as_secs_f64();
    // The first still answers.
    containers[0].process("/bin/true")?;
    let service = context.service.pid();
    let own: Vec<u32> = children(service).into_iter().chain([service]).collect();
    let resident = memory_kb(&own, "status", "VmRSS")? / 1024.0;
    let begin = Instant::now();
    containers.iter().try_for_each(Container::terminate)?;
    containers.iter().try_for_each(Container::gone)?;
    let removed = begin.elapsed().as_secs_f64();
    let report = &mut context.report;
    let works = containers.len() as f64;
    report.add(
        format!("{count} containers, each has run a process"),
        works,
        "",
    );
    report.add(format!("{count} containers, created and run"), created, "s");
    report.add(format!("{count} containers, teardown"), removed, "s");
    let name = format!("service and launcher with {count} containers, resident");
    report.add(name, resident, "MB");
    Ok(())
}
