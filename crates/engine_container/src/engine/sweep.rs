//! Removing what containers left behind that no service knows any more.

use std::{collections::BTreeSet, fs, path::Path};

use hcs_schema::Failure;

use crate::{
    cgroup::{ControlGroups, detect::Hierarchies, owner, remove_root},
    config::EngineConfig,
    failure::StepError,
    launcher::{Launcher, SERVICE},
    machine::job,
};

/// Clears every container's groups and scratch below the configured roots whose runtime id is not in `keep`. What is
/// not named like one is not ours: another service may have its root inside ours. Nor is what belongs to a service of
/// the same name with another state root. With nothing to keep, the roots of the groups go as well, if they are empty
/// then; the next container makes them again.
///
/// # Errors
/// What could not be removed; everything else has been.
pub(super) fn sweep(
    hierarchies: &Hierarchies,
    config: &EngineConfig,
    launcher: &Launcher,
    keep: &[String],
) -> Result<(), Failure> {
    let root = config.cgroup_root.trim_matches('/');
    let places = hierarchies.mounts().map(|mount| mount.join(root));
    let mut names: BTreeSet<String> = places.flat_map(|place| runtime_ids(&place)).collect();
    names.extend(runtime_ids(&config.scratch_root));
    names.retain(|name| !keep.contains(name) && !is_of_another(hierarchies, root, name));
    let mut failure: Option<Failure> = None;
    for name in names {
        let groups = ControlGroups::named(hierarchies, root, &name).clear();
        let scratch = job::remove_scratch((launcher, SERVICE), &config.scratch_root.join(&name));
        for error in [groups, scratch].into_iter().filter_map(Result::err) {
            note(&mut failure, error);
        }
    }
    if keep.is_empty()
        && let Err(error) = remove_root(hierarchies, root)
    {
        note(&mut failure, error);
    }
    failure.map_or(Ok(()), Err)
}

fn is_of_another(hierarchies: &Hierarchies, root: &str, name: &str) -> bool {
    let mut groups = hierarchies
        .mounts()
        .map(|mount| mount.join(root).join(name));
    groups.any(|group| owner::is_of_another(&group))
}

fn note(failure: &mut Option<Failure>, error: StepError) {
    match failure {
        Some(failure) => failure.causes.push(error.into_cause()),
        None => {
            *failure = Some(error.into_failure("leftovers of containers could not be removed"));
        }
    }
}

/// Names in a directory that are runtime ids; a missing directory has none.
fn runtime_ids(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_guid(name))
        .collect()
}

/// Whether `name` looks like `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub(super) fn is_guid(name: &str) -> bool {
    let lengths: Vec<usize> = name.split('-').map(str::len).collect();
    let digits = name.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    digits && lengths == [8, 4, 4, 4, 12]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_guids_are_ours() {
        assert!(is_guid("3f2504e0-4f89-11d3-9a0c-0305e82c3301"));
        let others = [
            "",
            "..",
            "0123456789abcdef",
            "3f2504e0-4f89-11d3-9a0c-0305e82c330",
            "3f2504e0/4f89",
        ];
        for name in others {
            assert!(!is_guid(name), "{name:?}");
        }
    }
}
