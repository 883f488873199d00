//! The verbs, and what `hcs --help` says.

use clap::{Parser, Subcommand};

use crate::{
    failure::Stop,
    verbs::{
        create::Create, events::Events, exec::Exec, explain::Explain, inspect::Inspect, list::List,
        pause::Pause, ps::Ps, resume::Resume, run::Run, service::Service, shutdown::Shutdown,
        signal::Signal, start::Start, stats::Stats, terminate::Terminate, validate::Validate,
        wait::Wait,
    },
};

/// Containers and processes by the Host Compute Service.
#[derive(Debug, Parser)]
#[command(
    name = "hcs",
    version,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  hcs run -- sh -c 'echo hello from $(hostname)'      a throw-away view of this machine
  hcs run -it --layer ./rootfs -- sh                  a shell in a root file system of yours
  hcs run --memory 512 --cpus 0.5 --mount .:/src:ro -w /src -- make test
  hcs create --id box && hcs start box && hcs exec box -- uname -a && hcs terminate box
  hcs list --format json
  hcs events --since 100 --follow                      what happened, also while nobody looked

Exit codes:
  that of the process for run, exec and wait ID PID (128 + N when signal N killed it);
  125 when hcs itself failed, 126 when the command cannot be run, 127 when it was not found

Environment:
  HCS_ENDPOINT  the service's socket [/run/hcs/hcs.sock; for users other than root hcs/hcs.sock in
                $XDG_RUNTIME_DIR or ~/.local/state]
  HCS_DAEMON    the service's program, started when nobody listens there [hcsd beside hcs, or in PATH]"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(Run),
    Create(Create),
    Start(Start),
    Exec(Exec),
    List(List),
    Ps(Ps),
    Inspect(Inspect),
    Stats(Stats),
    Signal(Signal),
    Wait(Wait),
    Pause(Pause),
    Resume(Resume),
    Shutdown(Shutdown),
    Terminate(Terminate),
    Validate(Validate),
    Service(Service),
    Events(Events),
    Explain(Explain),
}

impl Verb {
    /// Does what was asked; the exit code.
    ///
    /// # Errors
    /// Why it could not be done.
    pub(crate) fn run(self) -> Result<u8, Stop> {
        match self {
            Self::Run(verb) => verb.run(),
            Self::Create(verb) => verb.run(),
            Self::Start(verb) => verb.run(),
            Self::Exec(verb) => verb.run(),
            Self::List(verb) => verb.run(),
            Self::Ps(verb) => verb.run(),
            Self::Inspect(verb) => verb.run(),
            Self::Stats(verb) => verb.run(),
            Self::Signal(verb) => verb.run(),
            Self::Wait(verb) => verb.run(),
            Self::Pause(verb) => verb.run(),
            Self::Resume(verb) => verb.run(),
            Self::Shutdown(verb) => verb.run(),
            Self::Terminate(verb) => verb.run(),
            Self::Validate(verb) => verb.run(),
            Self::Service(verb) => verb.run(),
            Self::Events(verb) => verb.run(),
            Self::Explain(verb) => verb.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_does() {
        for verb in Cli::command().get_subcommands() {
            assert!(
                verb.get_about().is_some(),
                "{} has no help",
                verb.get_name()
            );
        }
    }

    #[test]
    fn the_documented_lines_are_understood() {
        for line in [
            "hcs run -- sh -c true",
            "hcs run -it --layer ./rootfs -- sh",
            "hcs run --layer a --layer b --mount /a:/b:ro --memory 5 --cpus 1 --env K=V --workdir / --user u -i -t --id x --keep -- sh",
            "hcs run sh -c -x",
            "hcs create --id box",
            "hcs start box",
            "hcs exec -i -t box -- uname -a",
            "hcs exec box uname -a",
            "hcs list --format json",
            "hcs enumerate",
            "hcs ps box",
            "hcs signal box 12 TERM",
            "hcs wait box",
            "hcs wait box 12",
            "hcs wait box --timeout 1.5",
            "hcs shutdown box --timeout 5",
            "hcs terminate box other",
            "hcs validate -",
            "hcs events",
            "hcs explain 4711-17",
            "hcs events --since 12 --follow --system box --format json",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        for line in [
            "hcs",
            "hcs run",
            "hcs exec box",
            "hcs list --format xml",
            "hcs run --memory x -- sh",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
