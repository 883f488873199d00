//! `hcs list`: all systems.

use clap::Args;
use hcs::{
    documents::{ComputeSystemProperties, State, SystemQuery},
    enumerate,
};

use crate::{
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, printable, table},
};

/// List all systems: kind, state, id, owner
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
        let mut systems = self
            .limit
            .begin("list")
            .wait("", enumerate(&SystemQuery::default()))?;
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
            Format::Table => print(&text(&systems))?,
        }
        Ok(0)
    }
}

/// Only who they are.
fn ids(systems: &[ComputeSystemProperties]) -> String {
    let ids = systems.iter().filter_map(|system| system.id.as_deref());
    ids.map(|id| printable(id) + "\n").collect()
}

/// In the order of `hcsdiag list`.
fn text(systems: &[ComputeSystemProperties]) -> String {
    let rows: Vec<[String; 4]> = systems
        .iter()
        .map(|system| {
            [
                system
                    .system_type
                    .map(|t| t.to_string())
                    .unwrap_or_default(),
                system.state.map(|s| s.to_string()).unwrap_or_default(),
                system.id.clone().unwrap_or_default(),
                system.owner.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(["TYPE", "STATE", "ID", "OWNER"], &rows)
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
            ..ComputeSystemProperties::default()
        };
        let expected = "TYPE       STATE    ID   OWNER\nContainer  Running  box  me\n";
        assert_eq!(text(&[system]), expected);
    }
}
