//! What a service takes over of a configuration that is read again while it lives (`hcs service reload`, SIGHUP). Pure.
//!
//! Limits, times, who is let in from containers and what is logged are looked at whenever they are needed. What the
//! engines, the socket and the event log were made by at the start stays: that takes another service, which finds all
//! systems again.

use serde_json::{Map, Value};

use super::{
    config::{Config, Limits},
    container_section::Container,
};

/// What a configuration that was read anew means for a service that goes by another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The settings that it can take over, by their names in the file: `log`, `limits.connections`.
    pub(crate) possible: Vec<String>,
    /// Those that only the next service has.
    pub(crate) impossible: Vec<String>,
}

impl Difference {
    /// Between what the service goes by and what the file says now.
    pub(crate) fn between(current: &Config, read: &Config) -> Self {
        let merged = merged(current, read);
        Self {
            possible: differing(current, &merged),
            impossible: differing(&merged, read),
        }
    }
}

/// `current` with everything of `read` that a service can change while it lives.
pub(crate) fn merged(current: &Config, read: &Config) -> Config {
    // Each setting is named, so that a new one has to be put on one of both sides.
    let Config {
        crash_report_directory,
        container: Container { warm_slots, .. },
        clients_in_containers,
        log,
        log_client_values,
        limits,
        times,
        found,
        moved,
        unused,
        cgroup_root: _,
        default_network: _,
        socket_group: _,
        socket_owner: _,
        socket_mode: _,
        vm: _,
        file: _,
        named: _,
        ..
    } = read.clone();
    Config {
        crash_report_directory,
        container: Container {
            warm_slots,
            ..current.container.clone()
        },
        clients_in_containers,
        log,
        log_client_values,
        limits: Limits {
            // The log is written in pieces of a size that follows from it.
            event_log_bytes: current.limits.event_log_bytes,
            ..limits
        },
        times,
        found,
        moved,
        unused,
        ..current.clone()
    }
}

/// The names of the settings that are not the same in both.
fn differing(one: &Config, other: &Config) -> Vec<String> {
    let settings = |config| match serde_json::to_value(config) {
        Ok(Value::Object(settings)) => settings,
        _ => Map::new(),
    };
    let (one, other) = (settings(one), settings(other));
    let mut names = Vec::new();
    for (name, value) in &one {
        match (value, other.get(name)) {
            (Value::Object(table), Some(Value::Object(others))) if is_table(name) => {
                let keys = table
                    .iter()
                    .filter(|(key, value)| others.get(*key) != Some(*value));
                names.extend(keys.map(|(key, _)| format!("{name}.{key}")));
            }
            (value, other) if other != Some(value) => names.push(name.clone()),
            _ => {}
        }
    }
    names
}

/// Whether a setting is a part of the file with settings of its own.
fn is_table(name: &str) -> bool {
    ["container", "vm", "limits", "times"].contains(&name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(Path::new("/c.toml"), text).unwrap()
    }

    #[test]
    fn what_can_change_changes_and_the_rest_is_named() {
        let current = config("log = \"info\"\nuser_namespace_ids = { first = 5000, count = 9 }\n");
        let read = config(
            "log = \"debug\"\nscratch_root = \"/x\"\nuser_namespace_ids = { first = 5000, count = 8 }\nwarm_slots = 0\n\
             [host_view]\nempty = [\"/y\"]\n[limits]\nconnections = 7\nevent_log_bytes = 100000\n[times]\nidle_seconds = 1\n",
        );
        let difference = Difference::between(&current, &read);
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names.join(" ")
        };
        assert_eq!(
            sorted(difference.possible),
            "container.warm_slots limits.connections log times.idle_seconds"
        );
        assert_eq!(
            sorted(difference.impossible),
            "container.host_view container.scratch_root container.user_namespace_ids limits.event_log_bytes"
        );
        let merged = merged(&current, &read);
        assert_eq!(merged.limits.connections, 7);
        assert_eq!(
            merged.limits.event_log_bytes,
            current.limits.event_log_bytes
        );
        assert_eq!(
            (merged.log.as_deref(), merged.container.warm_slots),
            (Some("debug"), Some(0))
        );
        assert_eq!(merged.container.scratch_root, None);
    }

    #[test]
    fn nothing_differs_from_itself() {
        let text = include_str!("../../../../packaging/hcsd.toml");
        let difference = Difference::between(&config(text), &Config::default());
        assert_eq!(difference, Difference::default());
    }

    #[test]
    fn tables_are_those_of_the_file() {
        let Ok(Value::Object(all)) = serde_json::to_value(config("")) else {
            panic!("no table");
        };
        let tables: Vec<_> = all.iter().filter(|(_, value)| value.is_object()).collect();
        assert!(tables.iter().all(|(name, _)| is_table(name)));
        assert_eq!(tables.len(), 4);
    }
}
