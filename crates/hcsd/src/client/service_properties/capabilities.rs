//! The capability answer, which is ours: what this service and this host honour of the documents that clients send, and
//! why they do not honour the rest. Made of the tables that also refuse documents (`Engine::coverage`), and of what
//! the host turned out to have.

use std::{collections::BTreeMap, sync::Arc};

use hcs_engine::engine::Engine;
use hcs_schema::coverage::{Coverage, Resource, SERVICE, Table};
use serde_json::{Value, json};

use crate::{
    engines::{HostView, Profile},
    upkeep::host::{self, Kernel},
};

/// The answer, of a service that makes containers without layers with `view`, all of them in that AppArmor profile or, for
/// that reason, in none.
pub(super) fn answer(
    engines: &[Arc<dyn Engine>],
    view: &HostView,
    confinement: &Result<Profile, String>,
) -> Value {
    let kernel = host::kernel();
    let tables: Vec<&Table> = engines.iter().map(|engine| engine.coverage()).collect();
    let privileged = rustix::process::geteuid().is_root();
    json!({
        "AppArmor": match confinement {
            Ok(profile) => json!({ "Applied": true, "Profile": profile.name() }),
            Err(why) => json!({ "Applied": false, "Reason": why }),
        },
        "Host": of_host(&kernel),
        "HostView": {
            "Empty": view.empty,
            "Hidden": view.hidden,
            "FileSystems": HostView::file_systems(),
        },
        "Limits": limits(&kernel, privileged),
        "Properties": properties(&tables),
        "ModifyPaths": modify_paths(&tables),
    })
}

fn of_host(kernel: &Kernel) -> Value {
    json!({
        "ControlGroups": {
            "Version1Controllers": kernel.v1,
            "Version2": kernel.unified,
            "Version2Controllers": kernel.v2,
        },
        "OverlayFilesystem": kernel.overlayfs,
        "UserNamespaces": kernel.user_namespaces,
    })
}

/// Whether processor time can be limited.
pub(super) fn limits_processors(kernel: &Kernel) -> bool {
    let mut all = kernel.v1.iter().chain(&kernel.v2);
    all.any(|controller| controller == "cpu")
}

/// Which limits this service can have the kernel enforce, each with the reason where not.
fn limits(kernel: &Kernel, privileged: bool) -> Value {
    if !privileged {
        let reason = "this service runs as an ordinary user, who has no control groups of the host";
        let none = json!({ "Supported": false, "Reason": reason });
        return json!({ "Memory": none, "Processor": none, "Processes": none, "CpuGroups": none });
    }
    let has = |v1: &str, v2: &str| {
        kernel.v1.iter().any(|name| name == v1) || kernel.v2.iter().any(|name| name == v2)
    };
    let one = |v1: &str, v2: &str| {
        if has(v1, v2) {
            json!({ "Supported": true })
        } else {
            let reason = format!("this host mounts no control group controller \"{v2}\"");
            json!({ "Supported": false, "Reason": reason })
        }
    };
    json!({
        "Memory": one("memory", "memory"),
        "Processor": one("cpu", "cpu"),
        "Processes": one("pids", "pids"),
        "CpuGroups": one("cpuset", "cpuset"),
    })
}

fn described(coverage: Coverage) -> Value {
    let support = match coverage {
        Coverage::Supported => "Supported",
        Coverage::WithoutEffect(_) => "WithoutEffect",
        Coverage::Refused(_) => "Refused",
    };
    match coverage.reason() {
        Some(reason) => json!({ "Support": support, "Reason": reason }),
        None => json!({ "Support": support }),
    }
}

/// By function, then by JSON pointer (`*` stands for any index or key); what a property above decides is left out.
fn properties(engines: &[&Table]) -> Value {
    let mut functions: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    let tables = [&SERVICE].into_iter().chain(engines.iter().copied());
    let rows = tables.flat_map(Table::rows);
    for row in rows.filter(|row| !row.inherited) {
        let place = match row.value {
            Some(value) => format!("{}={value}", row.pointer),
            None => row.pointer,
        };
        let function = functions.entry(row.call).or_default();
        function
            .entry(place)
            .or_insert_with(|| described(row.coverage));
    }
    json!(functions)
}

/// What `HcsModifyComputeSystem` can change, by resource path.
fn modify_paths(engines: &[&Table]) -> Value {
    let all = engines.iter().flat_map(|table| table.resources);
    let paths = all.map(|resource: &Resource| {
        let mut described = described(resource.coverage);
        if let Some(object) = described.as_object_mut() {
            let requests: Vec<&str> = resource.requests.iter().map(|r| r.name()).collect();
            object.insert("Requests".to_owned(), json!(requests));
        }
        (resource.path, described)
    });
    json!(paths.collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use hcs_schema::coverage::CONTAINER;

    use super::*;

    #[test]
    fn what_is_honoured_is_said_and_why_not() {
        let answer = answer(&[], &HostView::default(), &Err("no AppArmor".to_owned()));
        let none = json!({ "Applied": false, "Reason": "no AppArmor" });
        assert_eq!(answer["AppArmor"], none);
        let hidden = answer["HostView"]["Hidden"].as_array().unwrap();
        assert!(hidden.contains(&json!("/etc/shadow")));
        let create = &properties(&[&CONTAINER])["HcsCreateComputeSystem"];
        assert_eq!(create["/Container/Memory/SizeInMB"]["Support"], "Supported");
        let refused = &create["/Container/AssignedDevices"];
        assert_eq!(refused["Support"], "Refused");
        assert!(
            refused["Reason"]
                .as_str()
                .is_some_and(|why| !why.is_empty())
        );
        let paths = modify_paths(&[&CONTAINER]);
        assert_eq!(
            paths["Container/MappedPipes"]["Requests"],
            json!(["Add", "Remove"])
        );
        assert_eq!(
            paths["Container/Networking/Namespace"]["Support"],
            "Refused"
        );
    }

    #[test]
    fn limits_follow_from_the_controllers_there_are() {
        let nothing = limits(&Kernel::default(), true);
        assert_eq!(nothing["Memory"]["Supported"], false);
        assert!(
            nothing["CpuGroups"]["Reason"]
                .as_str()
                .is_some_and(|why| why.contains("cpuset"))
        );
        let kernel = Kernel {
            v2: vec!["memory".to_owned()],
            unified: true,
            ..Kernel::default()
        };
        assert_eq!(limits(&kernel, true)["Memory"]["Supported"], true);
        assert_eq!(limits(&kernel, false)["Memory"]["Supported"], false);
    }
}
