//! Repository tasks: the only scripting in the repository.
//!
//! - `cargo xtask tidy [--fix] [RULE]...`: the house rules, one file each in [`tidy`].
//! - `cargo xtask test [FILTER]`: installs what is missing, builds, runs every test, checks that nothing is left
//!   behind.
//! - `cargo xtask packages`: the first step of `test` alone.
//! - `cargo xtask sanitize [PROGRAM]...`: the C programs under the address and the thread sanitizer.
//! - `cargo xtask fuzz [--seconds N] [TARGET]...`: every reader that faces a peer, from its corpus.
//! - `cargo xtask mutants ROOM`: what the tests of a pure room do not notice.
//! - `cargo xtask cgroup2`: the container engine on control groups v2, in a virtual machine.
//! - `cargo xtask torture [--seed N] [--minutes M]`: the service under everything that may happen to it.
//! - `cargo xtask bench [--quick] [--check] [--docs] [NAME]...`: this project side by side with its peers.
//! - `cargo xtask install [--prefix DIR]`: programs, libraries, headers, pkg-config file, systemd units.
//! - `cargo xtask uninstall [--prefix DIR]`: removes what `install` has made there.
//! - `cargo xtask golden`: writes the generated documents anew.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod bench;
mod cgroup2;
mod conformance;
#[cfg(test)]
mod documents;
mod fuzz;
mod golden;
mod install;
mod mutants;
mod packages;
mod process;
mod repository;
mod sanitize;
mod test;
mod tidy;
mod torture;
mod uninstall;

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand, builder::PossibleValuesParser};

use repository::Repository;

/// What a task ends with; the message is for the person who ran it.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about = "Tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check the house rules: format, lints, layers, budget, exported symbols, headers, generated documents
    Tidy {
        /// Mend what a program can mend
        #[arg(long)]
        fix: bool,
        /// Only these rules (default: all)
        #[arg(value_parser = PossibleValuesParser::new(tidy::names()))]
        rules: Vec<String>,
    },
    /// Run every test, then check that no process, mount, cgroup, namespace, socket or directory of ours is left
    Test {
        /// Only tests whose name contains this
        filter: Option<String>,
    },
    /// Install the Debian packages that `tidy` and `test` use, and unpack a kernel for virtual machines
    Packages,
    /// Run the C programs under the address and the thread sanitizer
    Sanitize(sanitize::Arguments),
    /// Run the fuzz targets, each from its corpus
    Fuzz(fuzz::Arguments),
    /// Change a pure room in every place, and see that its tests notice
    Mutants(mutants::Arguments),
    /// Run the container engine on control groups v2, in a virtual machine
    Cgroup2,
    /// Stress the service: kill, stop, fill, refuse, damage and cut what there is, and see that nothing is lost
    Torture(torture::Arguments),
    /// Measure this project side by side with its peers
    Bench(bench::Arguments),
    /// Install programs, libraries, headers, the pkg-config file and the systemd units
    Install(install::Arguments),
    /// Remove what `install` has made below a directory, and nothing else
    Uninstall(install::Arguments),
    /// Write the generated documents anew
    Golden,
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    // Its clients have no use for a repository.
    if let Task::Torture(arguments) = task {
        return end(torture::run(arguments));
    }
    end(Repository::here().and_then(|repository| match task {
        Task::Tidy { fix, rules } => tidy::run(&repository, fix, &rules),
        Task::Test { filter } => test::run(&repository, filter.as_deref()),
        Task::Packages => packages::provide_all(&repository).map(|()| ExitCode::SUCCESS),
        Task::Sanitize(arguments) => sanitize::run(&repository, &arguments),
        Task::Fuzz(arguments) => fuzz::run(&repository, &arguments),
        Task::Mutants(arguments) => mutants::run(&repository, &arguments),
        Task::Cgroup2 => cgroup2::run(&repository),
        Task::Bench(arguments) => bench::run(&repository, &arguments),
        Task::Install(arguments) => install::run(&repository, &arguments),
        Task::Uninstall(arguments) => uninstall::run(&arguments),
        Task::Golden => golden::write(&repository).map(|()| ExitCode::SUCCESS),
        Task::Torture(arguments) => torture::run(arguments),
    }))
}

fn end(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("cargo xtask: {error}");
        ExitCode::FAILURE
    })
}
