//! What is measured: one function per group, each adding tables or figures to the report.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    bundle::Bundles,
    floor::{PingPong, pipe_throughput, spawn_and_wait},
    interleave::{Regime, Subject, interleave},
    ours::{Container, Program, children, create_to_first_exit, memory_kb},
    peers::{Runtime, bubblewrap, podman_run},
    report::{Report, Table},
    series::Series,
    service::Service,
    warn,
};

type Outcome = Result<(), String>;

/// The body of a group.
type Body = fn(&mut Context<'_>) -> Outcome;

/// What every group needs.
pub(crate) struct Context<'a> {
    bundles: &'a Bundles,
    service: &'a Service,
    program: Program,
    quick: bool,
    report: Report,
}

/// Every group: name and body.
const GROUPS: &[(&str, Body)] = &[
    ("exec-api", exec_api),
    ("exec-cli", exec_cli),
    ("run-cli", run_cli),
    ("create-api", create_api),
    ("memory", memory),
    ("round-trip", round_trip),
    ("result", result),
    ("stdio", stdio),
    ("start-up", start_up),
    ("scale", scale),
];

/// Runs the groups named, or all.
pub(crate) fn run_all(context: &mut Context<'_>, names: &[String]) -> crate::Result<()> {
    if let Some(unknown) = names
        .iter()
        .find(|n| !GROUPS.iter().any(|(name, _)| name == n))
    {
        let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no group \"{unknown}\"; the groups are {}",
            known.join(", ")
        )
        .into());
    }
    for (name, group) in GROUPS {
        if names.is_empty() || names.iter().any(|n| n == name) {
            eprintln!("bench: {name}");
            group(context).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    Ok(())
}

impl<'a> Context<'a> {
    /// A context with an empty report.
    pub(crate) fn new(
        bundles: &'a Bundles,
        service: &'a Service,
        binaries: &Path,
        quick: bool,
    ) -> Self {
        let report = Report {
            machine: super::machine::describe(),
            ..Report::default()
        };
        Self {
            bundles,
            service,
            program: Program::at(binaries),
            quick,
            report,
        }
    }

    /// The report so far.
    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    fn rounds(&self, full: usize) -> usize {
        if self.quick { 3 } else { full }
    }

    fn table(&mut self, name: &'static str, title: &str, regime: Regime, series: Vec<Series>) {
        self.report.tables.push(Table {
            name,
            title: title.to_owned(),
            regime: regime.name(),
            base: 0,
            series,
        });
    }

    /// Keeps what is there; what is missing goes into the report, once.
    fn present<T>(&mut self, peer: Result<T, String>) -> Option<T> {
        match peer {
            Ok(peer) => Some(peer),
            Err(reason) => {
                if !self.report.missing.contains(&reason) {
                    warn(&reason);
                    self.report.missing.push(reason);
                }
                None
            }
        }
    }

    fn runtimes(&mut self) -> Vec<Runtime> {
        let bundles = self.bundles;
        ["crun", "runc"]
            .into_iter()
            .filter_map(|name| self.present(Runtime::start(name, bundles)))
            .collect()
    }
}

fn exec_api(context: &mut Context<'_>) -> Outcome {
    let container = Container::start("bench-exec-api", context.bundles)?;
    let program = context.bundles.root().join("bin/true");
    for (regime, rounds) in [
        (Regime::Hot, context.rounds(500)),
        (Regime::Spaced, context.rounds(50)),
    ] {
        let mut subjects = [
            Subject::new("vfork+exec+wait", || spawn_and_wait(&program)),
            Subject::new("hcs API process", || container.process("/bin/true")),
        ];
        let series = interleave(&mut subjects, regime, rounds)?;
        context.table(
            "exec-api",
            "a process in a running container, through the API",
            regime,
            series,
        );
    }
    container.terminate()?;
    container.gone()
}

fn exec_cli(context: &mut Context<'_>) -> Outcome {
    let container = Container::start("bench-exec-cli", context.bundles)?;
    let runtimes = context.runtimes();
    let program = context.bundles.root().join("bin/true");
    for (regime, rounds) in [
        (Regime::Hot, context.rounds(60)),
        (Regime::Spaced, context.rounds(25)),
    ] {
        let mut subjects = vec![
            Subject::new("vfork+exec+wait", || spawn_and_wait(&program)),
            context.program.exec("bench-exec-cli"),
        ];
        subjects.extend(runtimes.iter().map(Runtime::exec));
        let series = interleave(&mut subjects, regime, rounds)?;
        drop(subjects);
        context.table(
            "exec-cli",
            "a process in a running container, by command line",
            regime,
            series,
        );
    }
    container.terminate()?;
    container.gone()
}

fn run_cli(context: &mut Context<'_>) -> Outcome {
    let runtimes = context.runtimes();
    let bundles = context.bundles;
    let podman = context.present(podman_run(bundles)).is_some();
    let sandbox = context.present(bubblewrap(bundles)).is_some();
    for (regime, rounds) in [
        (Regime::Hot, context.rounds(40)),
        (Regime::Spaced, context.rounds(25)),
    ] {
        let mut subjects = vec![context.program.run(bundles)];
        subjects.extend(runtimes.iter().map(Runtime::run));
        if sandbox {
            subjects.push(bubblewrap(bundles)?);
        }
        if podman {
            subjects.push(podman_run(bundles)?);
        }
        let series = interleave(&mut subjects, regime, rounds)?;
        drop(subjects);
        context.table(
            "run-cli",
            "a whole container for one process, by command line",
            regime,
            series,
        );
    }
    Ok(())
}

fn create_api(context: &mut Context<'_>) -> Outcome {
    for (regime, rounds) in [
        (Regime::Hot, context.rounds(60)),
        (Regime::Spaced, context.rounds(40)),
    ] {
        let mut series = Series::new("hcs API create to first exit");
        for number in 0..rounds + 2 {
            if regime == Regime::Spaced {
                std::thread::sleep(Duration::from_millis(100));
            }
            let (container, time) =
                create_to_first_exit(context.bundles, &format!("bench-create-{number}"))?;
            container.terminate()?;
            container.gone()?;
            if number >= 2 {
                series.push(time);
            }
        }
        if regime == Regime::Spaced {
            context.report.add(
                "create to first exit, spaced (ms)",
                series.median() / 1e3,
                "ms",
            );
        }
        context.table(
            "create-api",
            "container created, first process exited, through the API",
            regime,
            vec![series],
        );
    }
    Ok(())
}

fn memory(context: &mut Context<'_>) -> Outcome {
    let containers: Vec<Container> = (0..if context.quick { 2 } else { 5 })
        .map(|n| Container::start(&format!("bench-memory-{n}"), context.bundles))
        .collect::<Result<_, _>>()?;
    let service = context.service.pid();
    let launchers = children(service);
    let agents: Vec<u32> = launchers.iter().flat_map(|pid| children(*pid)).collect();
    if agents.len() < containers.len() {
        return Err(format!(
            "{} agents for {} containers",
            agents.len(),
            containers.len()
        ));
    }
    let pss = memory_kb(&agents, "smaps_rollup", "Pss")? / agents.len() as f64;
    let own: Vec<u32> = launchers.into_iter().chain([service]).collect();
    let rss = memory_kb(&own, "status", "VmRSS")? / 1024.0;
    context.report.add("idle container PSS (kB)", pss, "kB");
    context
        .report
        .add("service and launcher RSS (MB)", rss, "MB");
    for container in &containers {
        container.terminate()?;
        container.gone()?;
    }
    Ok(())
}

fn round_trip(context: &mut Context<'_>) -> Outcome {
    let container = Container::start("bench-round-trip", context.bundles)?;
    let process = container.idle_process()?;
    let mut raw = PingPong::start(200)?;
    let mut subjects = [
        Subject::new("raw SOCK_SEQPACKET", || raw.round_trip()),
        Subject::new("HcsGetProcessInfo", || container.process_info(&process)),
    ];
    let series = interleave(&mut subjects, Regime::Hot, context.rounds(5000))?;
    drop(subjects);
    context.table(
        "round-trip",
        "a small call and its answer",
        Regime::Hot,
        series,
    );
    container.terminate()?;
    container.gone()
}

fn result(context: &mut Context<'_>) -> Outcome {
    let container = Container::start("bench-result", context.bundles)?;
    let process = container.idle_process()?;
    let ns = container.completed_result_ns(&process)?;
    context.report.add("completed result (ns)", ns, "ns");
    container.terminate()?;
    container.gone()
}

fn stdio(context: &mut Context<'_>) -> Outcome {
    let bytes = if context.quick { 16 << 20 } else { 512 << 20 };
    let container = Container::start("bench-stdio", context.bundles)?;
    let busybox = context.bundles.root().join("bin/busybox");
    let mut rates: Vec<(f64, f64)> = Vec::new();
    for _ in 0..context.rounds(7) {
        rates.push((
            pipe_throughput(&busybox, bytes)?,
            container.throughput(bytes)?,
        ));
    }
    let median = |pick: fn(&(f64, f64)) -> f64| {
        Series {
            subject: String::new(),
            samples: rates.iter().map(pick).collect(),
        }
        .median()
    };
    let (host, ours) = (median(|r| r.0), median(|r| r.1));
    context.report.add("stdout, host pipe", host / 1e6, "MB/s");
    context.report.add("stdout, container", ours / 1e6, "MB/s");
    context
        .report
        .add("stdout, container / host pipe", ours / host, "");
    container.terminate()?;
    container.gone()
}

fn start_up(context: &mut Context<'_>) -> Outcome {
    let program = context.bundles.root().join("bin/true");
    let mut subjects = [
        Subject::new("static true", || spawn_and_wait(&program)),
        context.program.list(),
    ];
    let series = interleave(&mut subjects, Regime::Hot, context.rounds(100))?;
    drop(subjects);
    context.table(
        "start-up",
        "a trivial verb of the program",
        Regime::Hot,
        series,
    );
    Ok(())
}

fn scale(context: &mut Context<'_>) -> Outcome {
    let count = if context.quick { 10 } else { 300 };
    let ours = scale_ours(context, count)?;
    let bundles = context.bundles;
    let Some(crun) = context.present(Runtime::start("crun", bundles)) else {
        return Ok(());
    };
    let begin = Instant::now();
    for number in 0..count {
        crun.create_idle(bundles, number)?;
    }
    let created = begin.elapsed();
    let begin = Instant::now();
    for number in 0..count {
        crun.delete_idle(number)?;
    }
    let removed = begin.elapsed();
    context.report.add(
        format!("{count} containers, crun"),
        created.as_secs_f64(),
        "s",
    );
    context.report.add(
        "300 containers, crun / hcs",
        created.as_secs_f64() / ours.0.as_secs_f64(),
        "",
    );
    context.report.add(
        "300 containers teardown, crun / hcs",
        removed.as_secs_f64() / ours.1.as_secs_f64(),
        "",
    );
    Ok(())
}

/// Makes `count` containers with a process each and ends them all; answers both times.
fn scale_ours(context: &mut Context<'_>, count: usize) -> Result<(Duration, Duration), String> {
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
    let mut exec = Series::new("exec");
    for _ in 0..20 {
        let one = Instant::now();
        containers[0].process("/bin/true")?;
        exec.push(one.elapsed());
    }
    let begin = Instant::now();
    containers.iter().try_for_each(Container::terminate)?;
    containers.iter().try_for_each(Container::gone)?;
    let removed = begin.elapsed();
    let around = |at: usize| {
        let window = each.samples[at.saturating_sub(5)..(at + 5).min(count)].to_vec();
        Series {
            subject: String::new(),
            samples: window,
        }
        .median()
    };
    context.report.add(
        format!("{count} containers, hcs"),
        created.as_secs_f64(),
        "s",
    );
    context.report.add(
        format!("{count} containers teardown, hcs"),
        removed.as_secs_f64(),
        "s",
    );
    context.report.add(
        "300th / 10th container",
        around(count - 1) / around(10.min(count - 1)),
        "",
    );
    context.report.add(
        format!("exec with {count} containers (us)"),
        exec.median(),
        "us",
    );
    Ok((created, removed))
}
