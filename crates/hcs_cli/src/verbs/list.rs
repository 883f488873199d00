//! `hcs list`: all systems.

use clap::Args;
use hcs::{
    documents::{ComputeSystemProperties, State, SystemQuery},
    enumerate,
};

use crate::{
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, table},
};

/// List all systems: kind, state, id, owner
#[derive(Args, Debug)]
#[command(visible_alias = "enumerate", alias = "ls")]
pub(crate) struct List {
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
        match self.format.format {
            Format::Json => print_json(&systems)?,
            Format::Table => print(&text(&systems))?,
        }
        Ok(0)
    }
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
