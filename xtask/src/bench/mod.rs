//! `cargo xtask bench`: this project side by side with what a user would take instead, in one interleaved run.
//!
//! 1. [`isolate`] moves the bench into a mount namespace of its own (crun refuses the hybrid cgroup layout).
//! 2. [`groups`] hold what is measured: a table of subjects in turn, or a few figures.
//! 3. [`report`], [`svg`] print it; [`targets`] compares it with the ratios the project means to reach.
//!
//! The service runs its shipped defaults on a private endpoint. A peer that is not installed is named, not hidden.

mod bundle;
mod command;
mod floor;
mod groups;
mod interleave;
mod isolate;
mod machine;
mod ours;
mod peers;
mod report;
mod series;
mod service;
mod svg;
mod targets;

use std::{fs, path::PathBuf, process::ExitCode};

use crate::repository::Repository;

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Few rounds and small scale: shows that the bench works, not how fast anything is
    #[arg(long)]
    quick: bool,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
    /// Where the raw samples go as JSON
    #[arg(long, default_value = "target/bench/report.json")]
    json: PathBuf,
    /// Where the picture goes
    #[arg(long, default_value = "target/bench/report.svg")]
    svg: PathBuf,
    /// Only these groups (exec-api exec-cli run-cli create-api memory scale round-trip result stdio start-up)
    names: Vec<String>,
}

/// Prints a warning that does not end the bench.
fn warn(text: &str) {
    eprintln!("bench: {text}");
}

/// Runs the bench.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> crate::Result<ExitCode> {
    if let Some(code) = isolate::reenter()? {
        return Ok(code);
    }
    let folder = service::build(repository)?;
    let report = measure(&folder, arguments)?;
    for path in [&arguments.json, &arguments.svg] {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
    }
    fs::write(&arguments.json, serde_json::to_string(&report)?)?;
    fs::write(&arguments.svg, svg::draw(&report))?;
    println!("{}", report.markdown());
    let missed = print_verdicts(&report);
    println!(
        "\nsamples: {}; picture: {}",
        arguments.json.display(),
        arguments.svg.display()
    );
    let failed = arguments.check && missed > 0;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn measure(folder: &std::path::Path, arguments: &Arguments) -> crate::Result<report::Report> {
    let bundles = bundle::Bundles::make()?;
    let service = service::Service::start(folder)?;
    let mut context = groups::Context::new(&bundles, &service, folder, arguments.quick);
    let outcome = groups::run_all(&mut context, &arguments.names);
    let report = context.into_report();
    drop(service);
    peers::remove_cgroups();
    outcome?;
    Ok(report)
}

fn print_verdicts(report: &report::Report) -> usize {
    println!("### Targets\n\n| what | target | measured | |\n|---|---|---|---|");
    let mut missed = 0;
    for verdict in targets::check(report) {
        let measured = verdict
            .measured
            .map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
        let word = match verdict.met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        missed += usize::from(verdict.met == Some(false));
        println!(
            "| {} | {} | {measured} | {word} |",
            verdict.what, verdict.target
        );
    }
    missed
}
