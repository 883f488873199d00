//! `hcs list`: all systems.

use std::time::Duration;

use clap::Args;
use hcs::{
    Endpoint, OutputQuery, OutputRecord,
    documents::{ComputeSystemProperties, State, SystemQuery},
    enumerate,
};

use crate::{
    client,
    clock::Clock,
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, printable, table},
};

/// List all systems: kind, state, id, owner, image, command
///
/// The command is that of hcs run -d: running, or exited with this exit code. Its container stays until hcs terminate.
#[derive(Args, Debug)]
#[command(
    visible_alias = "enumerate",
    alias = "ls",
    after_help = "\
Examples:
  hcs list
  hcs list -q                      only the ids
  hcs list --json                  ComputeSystemProperties documents"
)]
pub(crate) struct List {
    /// Only the ids, one a line, for scripts
    #[arg(long, short, conflicts_with_all = ["format", "json"])]
    quiet: bool,

    /// All systems, as without this option
    #[arg(long, short, hide = true)]
    all: bool,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("list");
        let mut systems = clock.wait("", enumerate(&SystemQuery::default()))?;
        for system in &mut systems {
            // The service leaves the state out until a system has run.
            system.state.get_or_insert(State::Created);
        }
        if self.quiet {
            print(&ids(&systems))?;
            return Ok(0);
        }
        match self.format.chosen() {
            Format::Json => print_json(&systems)?,
            Format::Table => {
                let commands = commands(&systems, clock);
                print(&text(&systems, &commands))?;
            }
        }
        Ok(0)
    }
}

/// Only who they are.
fn ids(systems: &[ComputeSystemProperties]) -> String {
    let ids = systems.iter().filter_map(|system| system.id.as_deref());
    ids.map(|id| printable(id) + "\n").collect()
}

/// How many systems are asked at the same time: each takes a pipe.
const AT_ONCE: usize = 64;

/// How long a container may take to tell of its command.
const TELLING: Duration = Duration::from_secs(2);

/// What became of the commands that were detached (`hcs run -d`), in words; `-` for a system that has none, does not run, or
/// does not tell.
fn commands(systems: &[ComputeSystemProperties], clock: Clock) -> Vec<String> {
    let query = OutputQuery {
        exit_only: true,
        ..OutputQuery::default()
    };
    let limit = clock.left().map_or(TELLING, |left| left.min(TELLING));
    let ask = |system: &ComputeSystemProperties| {
        let id = system
            .id
            .as_deref()
            .filter(|_| system.state == Some(State::Running))?;
        let (system, _opened) =
            client::open(&Endpoint::from_environment().ok()?, id, clock).ok()?;
        let asked = system.output(&query).deadline(limit);
        Some((system, asked))
    };
    let mut told = Vec::with_capacity(systems.len());
    for some in systems.chunks(AT_ONCE) {
        let asked: Vec<_> = some.iter().map(ask).collect();
        let words = asked.into_iter().map(|asked| {
            let (_system, asked) = asked?;
            match asked.wait().ok()?.next_within(Some(limit)).ok()? {
                Some((_, OutputRecord::Exit(code))) => Some(format!("exited ({code})")),
                Some(_) => None,
                None => Some("running".to_owned()),
            }
        });
        told.extend(words.map(|word| word.unwrap_or_else(|| "-".to_owned())));
    }
    told
}

/// In the order of `hcsdiag list`, and what became of the commands.
fn text(systems: &[ComputeSystemProperties], commands: &[String]) -> String {
    let rows: Vec<[String; 6]> = systems
        .iter()
        .zip(commands)
        .map(|(system, command)| {
            [
                system
                    .system_type
                    .map(|t| t.to_string())
                    .unwrap_or_default(),
                system.state.map(|s| s.to_string()).unwrap_or_default(),
                system.id.clone().unwrap_or_default(),
                system.owner.clone().unwrap_or_default(),
                system.image.clone().unwrap_or_else(|| "-".to_owned()),
                command.clone(),
            ]
        })
        .collect();
    table(["TYPE", "STATE", "ID", "OWNER", "IMAGE", "COMMAND"], &rows)
}

#[cfg(test)]
mod tests {
    use hcs::documents::SystemType;

    use super::*;

    #[test]
    fn a_system_is_a_line() {
        let system = ComputeSystemProperties {
            id: Some("box".to_owned()),
            system_type: Some(SystemType::Container),
            state: Some(State::Running),
            owner: Some("me".to_owned()),
            image: Some("debian:12".to_owned()),
            ..ComputeSystemProperties::default()
        };
        let expected = "TYPE       STATE    ID   OWNER  IMAGE      COMMAND\n\
                        Container  Running  box  me     debian:12  exited (3)\n";
        assert_eq!(text(&[system], &["exited (3)".to_owned()]), expected);
    }
}
