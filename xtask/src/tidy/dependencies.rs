//! Rule: one list of dependencies and one set of lints for the whole workspace.

use toml::{Table, Value};

use super::{Fault, Rule};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "dependencies",
    reason: "one version of everything, and no crate may turn a lint off for itself",
    check,
    fix: None,
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let root: Table = toml::from_str(&repository.read("Cargo.toml")?)?;
    let shared = root
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(Value::as_table)
        .ok_or("Cargo.toml has no [workspace.dependencies]")?;
    let mut used: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    for package in &repository.packages {
        let place = repository.relative(&package.manifest_path);
        let manifest: Table = toml::from_str(&repository.read(&place)?)?;
        faults.extend(manifest_faults(&place, &manifest, &mut used));
    }
    let ours = |value: &Value| value.get("path").is_some();
    for (name, _) in shared
        .iter()
        .filter(|(name, value)| !used.contains(name) && !ours(value))
    {
        faults.push(Fault::new(
            "Cargo.toml",
            format!("no crate uses the workspace dependency {name}"),
            "remove it",
        ));
    }
    Ok(faults)
}

/// What is wrong with one crate's manifest; appends the names of its dependencies to `used`.
fn manifest_faults(place: &str, manifest: &Table, used: &mut Vec<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for dependencies in sections(manifest) {
        for (name, value) in dependencies {
            used.push(name.clone());
            if !from_workspace(value) {
                faults.push(Fault::new(
                    place,
                    format!("{name} is not taken from the workspace"),
                    format!(
                        "write `{name}.workspace = true` and its version into the root Cargo.toml"
                    ),
                ));
            }
        }
    }
    if !manifest.get("lints").is_some_and(from_workspace) {
        faults.push(Fault::new(
            place,
            "does not take the workspace's lints",
            "add `[lints]` with `workspace = true`",
        ));
    }
    let package = manifest.get("package").and_then(Value::as_table);
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        if !package.and_then(|p| p.get(key)).is_some_and(from_workspace) {
            faults.push(Fault::new(
                place,
                format!("{key} is not taken from the workspace"),
                format!("write `{key}.workspace = true`"),
            ));
        }
    }
    faults
}

/// All tables of dependencies, those of `[target.*]` included.
fn sections(manifest: &Table) -> Vec<&Table> {
    let mut holders = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(Value::as_table) {
        holders.extend(targets.values().filter_map(Value::as_table));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    holders
        .into_iter()
        .flat_map(|holder| kinds.map(|kind| holder.get(kind).and_then(Value::as_table)))
        .flatten()
        .collect()
}

fn from_workspace(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
        [dependencies]\nserde.workspace = true\n[lints]\nworkspace = true\n";

    fn faults(text: &str) -> (usize, Vec<String>) {
        let mut used = Vec::new();
        let found = manifest_faults("x", &toml::from_str(text).unwrap(), &mut used);
        (found.len(), used)
    }

    #[test]
    fn a_manifest_takes_everything_from_the_workspace() {
        assert_eq!(faults(GOOD), (0, vec!["serde".to_owned()]));
        assert_eq!(
            faults(&GOOD.replace("serde.workspace = true", "serde = \"1\"")).0,
            1
        );
        assert_eq!(faults(&GOOD.replace("[lints]\nworkspace = true", "")).0, 1);
        assert_eq!(faults(&GOOD.replace("license.workspace = true", "")).0, 1);
        let target = format!("{GOOD}[target.'cfg(unix)'.dev-dependencies]\nlibc = \"1\"\n");
        assert_eq!(faults(&target).0, 1);
    }
}
