//! The service property `Service`: which service this is, since when, and by which configuration.
//!
//! The configuration is read when the service starts, and when it is told to read it again. What the file says beyond
//! that is told here.

use std::{
    fs, process,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hcs_schema::timestamp::rfc3339;
use serde_json::{Value, json};

use crate::{
    client::service::Service,
    engines::lacks_groups,
    upkeep::{config::Config, reload::Difference},
};

/// When the service began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since {
    wall: SystemTime,
    running: Instant,
}

impl Since {
    pub(crate) fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            running: Instant::now(),
        }
    }
}

/// The answer to a query for `Service`.
pub(crate) fn answer(service: &Service) -> Value {
    let uptime = service.since.running.elapsed().as_nanos() / 100;
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ProtocolVersion": hcs_wire::service::VERSION,
        "ProcessId": process::id(),
        "StateRoot": service.context.root.to_string_lossy(),
        "StartedAt": rfc3339(since_1970(service.since.wall)),
        "ReloadedAt": service.reloaded.get().map(|time| rfc3339(since_1970(time))),
        "Uptime100ns": u64::try_from(uptime).unwrap_or(u64::MAX),
        "ComputeSystems": service.context.registry.count(),
        "Configuration": configuration(&service.context.config()),
        "Limits": limits(&service.context.config()),
        // An ordinary user has none, and knows it.
        "ControlGroups": !lacks_groups(),
    })
}

/// Which file it is, and whether the service would be another one if it read it now.
fn configuration(config: &Config) -> Value {
    let Some(file) = &config.file else {
        return Value::Null;
    };
    let mut told = json!({ "File": file.to_string_lossy(), "Found": config.found });
    let changed = match Config::load(config.named.then_some(file)) {
        Ok(now) if now.is_as(config) => return told,
        Ok(now) => Ok(Difference::between(config, &now)),
        Err(fault) => Err(fault.to_string()),
    };
    // A file that is gone has no time.
    let modified = fs::metadata(file).and_then(|file| file.modified()).ok();
    told["Changed"] = true.into();
    if let Some(time) = modified {
        told["ChangedAt"] = rfc3339(since_1970(time)).into();
    }
    match changed {
        Ok(difference) => {
            told["ByReload"] = difference.possible.into();
            told["ByRestart"] = difference.impossible.into();
        }
        Err(fault) => told["Fault"] = fault.into(),
    }
    told
}

fn limits(config: &Config) -> Value {
    let limits = &config.limits;
    json!({
        "Connections": limits.connections,
        "ConnectionsPerClient": limits.connections_per_client,
        "SystemsPerClient": limits.systems_per_client,
        "ProcessesPerClient": limits.processes_per_client,
        "HandlesPerClient": limits.handles_per_client,
        "HandlesPerConnection": limits.handles_per_connection,
        "PendingPerConnection": limits.pending_per_connection,
    })
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn told(file: &Path, config: &Config) -> Value {
        let mut told = configuration(config);
        assert_eq!(told["File"], file.to_str().unwrap());
        told.as_object_mut().unwrap().remove("File");
        told
    }

    #[test]
    fn a_configuration_is_changed_when_it_says_something_else() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("hcsd.toml");
        fs::write(&file, "warm_slots = 1\n").unwrap();
        let config = Config::load(Some(&file)).unwrap();
        assert_eq!(told(&file, &config), json!({"Found": true}));
        fs::write(&file, "# another comment\nwarm_slots = 1\n").unwrap();
        assert_eq!(told(&file, &config), json!({"Found": true}));
        fs::write(&file, "warm_slots = 2\nuser_namespaces = true\n").unwrap();
        let changed = told(&file, &config);
        assert_eq!(changed["Changed"], true);
        assert!(changed["ChangedAt"].is_string(), "{changed}");
        assert!(changed["Fault"].is_null(), "{changed}");
        assert_eq!(changed["ByReload"], json!(["container.warm_slots"]));
        assert_eq!(changed["ByRestart"], json!(["container.user_namespaces"]));
        fs::write(&file, "warm_slots = many\n").unwrap();
        let fault = told(&file, &config)["Fault"].to_string();
        assert!(fault.contains("line 1"), "{fault}");
        fs::remove_file(&file).unwrap();
        let gone = told(&file, &config);
        assert_eq!(gone["Changed"], true);
        assert!(gone["Fault"].is_string(), "{gone}");
    }
}
