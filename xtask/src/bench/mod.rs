//! `cargo xtask bench`: this project side by side with what a user would take instead, in one interleaved run.
//!
//! 1. [`service`] builds and installs the release; [`isolate`] runs the bench in namespaces of its own.
//! 2. [`groups`] hold what is measured: tables of subjects in turn ([`interleave`]), and figures. The subjects are
//!    [`ours`], the [`peers`] and the [`floor`]; [`flood`] is another client beside them. Virtual machines boot
//!    [`guests`], beside [`bare`] ones.
//! 3. [`profile`] tells where the time goes, by the kernel's tracer.
//! 4. [`report`], [`svg`] print it; [`targets`] compares it with the ratios the project means to reach.
//!
//! The service runs its shipped defaults. A peer that is not installed, or fails, is named, not hidden.

mod bare;
mod bundle;
mod command;
mod docs;
mod flood;
mod floor;
mod groups;
mod guests;
mod image;
mod interleave;
mod isolate;
mod machine;
mod ours;
mod peers;
mod processor;
mod profile;
mod report;
mod series;
mod service;
mod svg;
mod targets;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::builder::PossibleValuesParser;

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
    /// Measure what is installed below this prefix with this very program, and build nothing
    #[arg(long, value_name = "PREFIX")]
    installed: Option<PathBuf>,
    /// Put the tables into docs/PERFORMANCE.md and the picture beside it
    #[arg(long)]
    docs: bool,
    /// Where the raw samples go as JSON
    #[arg(long, default_value = "target/bench/report.json")]
    json: PathBuf,
    /// Where the picture goes
    #[arg(long, default_value = "target/bench/report.svg")]
    svg: PathBuf,
    /// Only these groups (default: all)
    #[arg(value_parser = PossibleValuesParser::new(groups::names()))]
    names: Vec<String>,
}

/// Prints a warning that does not end the bench.
fn warn(text: &str) {
    eprintln!("bench: {text}");
}

/// Runs the bench.
///
/// # Errors
/// The build failed, or something of ours did not work.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> crate::Result<ExitCode> {
    let Some(place) = isolate::Place::here() else {
        return outside(repository, arguments);
    };
    let report = measure(&place, arguments)?;
    for path in [&arguments.json, &arguments.svg] {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
    }
    let picture = svg::draw(&report);
    fs::write(&arguments.json, serde_json::to_string(&report)?)?;
    fs::write(&arguments.svg, &picture)?;
    if arguments.docs {
        docs::write(repository, &report, &picture)?;
    }
    println!("{}", report.markdown());
    let (json, svg) = (arguments.json.display(), arguments.svg.display());
    println!("samples: {json}; picture: {svg}");
    let missed = report.targets.iter().any(|v| v.met == Some(false));
    Ok(ExitCode::from(u8::from(arguments.check && missed)))
}

/// The first program: builds, then runs the second one in a place of its own.
fn outside(repository: &Repository, arguments: &Arguments) -> crate::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("hcs-bench-").tempdir()?;
    let (program, prefix) = if let Some(prefix) = &arguments.installed {
        if cfg!(debug_assertions) {
            warn("this is a debug build, and so is the client library it measures");
        }
        (std::env::current_exe()?, fs::canonicalize(prefix)?)
    } else {
        let prefix = folder.path().join("installed");
        (service::install(repository, &prefix)?, prefix)
    };
    isolate::enter(&program, folder.path(), &prefix)
}

fn measure(place: &isolate::Place, arguments: &Arguments) -> crate::Result<report::Report> {
    let bundles = bundle::Bundles::make(place)?;
    let service = service::Service::start(place)?;
    let report = report::Report {
        machine: machine::describe(&place.folder),
        peers: peers::versions(),
        command: command_line(arguments),
        load: [machine::load(), String::new()],
        ..report::Report::default()
    };
    let mut context = groups::Context::new(&bundles, place, &service, arguments.quick, report);
    let outcome = groups::run_all(&mut context, &arguments.names);
    let mut report = context.into_report();
    outcome.map_err(|error| service.explain(&error))?;
    drop(service);
    report.load[1] = machine::load();
    report.targets = targets::check(&report);
    Ok(report)
}

/// What was asked for, to ask for it again.
fn command_line(arguments: &Arguments) -> String {
    let mut words = vec!["cargo xtask bench"];
    if arguments.quick {
        words.push("--quick");
    }
    words.extend(arguments.names.iter().map(String::as_str));
    words.join(" ")
}
