//! Removing what containers left behind that no service knows any more.
//!
//! Processes and control groups go at once. What containers have written may be millions of files: it is removed later,
//! while clients are served. By then it is known by its names, which no later container has: runtime ids are made anew.
//! A service that is killed meanwhile leaves the rest to the next one, which finds it by these names.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hcs_engine::engine::{Removal, Swept};
use hcs_schema::Failure;
use rustix::io::Errno;

use crate::{
    cgroup::{ControlGroups, detect::Hierarchies, owner, remove_root},
    config::EngineConfig,
    failure::StepError,
    launcher::{Launcher, SERVICE},
    machine::job,
    record::is_guid,
};

/// How long processes may take to end, all together.
const PATIENCE: Duration = Duration::from_secs(2);

const SUMMARY: &str = "leftovers of containers could not be removed";

/// Clears every container's groups and scratch below the configured roots whose runtime id is not in `keep`. What is
/// not named like one is not ours: another service may have its root inside ours. Nor is what belongs to a service of
/// the same name with another state root. With nothing to keep, the roots of the groups go as well, if they are empty
/// then; the next container makes them again.
pub(super) fn sweep(
    hierarchies: &Hierarchies,
    config: &EngineConfig,
    launcher: &Arc<Launcher>,
    keep: &[String],
) -> Swept {
    let root = config.cgroup_root.trim_matches('/');
    let places = hierarchies.mounts().map(|mount| mount.join(root));
    let left = |mut names: BTreeSet<String>| {
        names.retain(|name| !keep.contains(name) && !is_of_another(hierarchies, root, name));
        names
    };
    let mut scratches = left(runtime_ids(&config.scratch_root).collect());
    scratches.retain(|name| !owner::is_scratch_of_another(&config.scratch_root.join(name)));
    let groups = left(places.flat_map(|place| runtime_ids(&place)).collect());
    let groups = groups.iter();
    let groups = groups.map(|name| ControlGroups::named(hierarchies, root, name));
    let mut swept = Swept::default();
    // A group that is removed later holds the roots until then.
    let roots = keep
        .is_empty()
        .then(|| (hierarchies.clone(), root.to_owned()));
    clear(groups.collect(), roots.as_ref(), &mut swept);
    if keep.is_empty()
        && let Err(error) = remove_root(hierarchies, root)
    {
        note(&mut swept.failure, error);
    }
    let scratches = scratches.iter();
    swept.later.extend(scratches.map(|name| -> Removal {
        let (launcher, scratch) = (Arc::clone(launcher), config.scratch_root.join(name));
        Arc::new(move || {
            let removed = job::remove_scratch((&launcher, SERVICE), &scratch);
            removed.map_err(|error| error.into_failure(SUMMARY))
        })
    }));
    swept
}

/// Ends what lives in the groups and removes them. A process may wait in the kernel and not end: its group is removed
/// later, and after it the groups of `roots`, as far as nothing is in them then.
fn clear(groups: Vec<ControlGroups>, roots: Option<&(Hierarchies, String)>, swept: &mut Swept) {
    for group in &groups {
        if let Err(error) = group.end() {
            note(&mut swept.failure, error);
        }
    }
    let end = Instant::now() + PATIENCE;
    for group in groups {
        match group.remove_by(end) {
            Ok(()) => {}
            Err(error) if error.errno == Errno::BUSY => {
                let roots = roots.cloned();
                let removal = move || {
                    let cleared = group.clear().and_then(|()| match &roots {
                        Some((hierarchies, root)) => remove_root(hierarchies, root),
                        None => Ok(()),
                    });
                    cleared.map_err(|error| error.into_failure(SUMMARY))
                };
                swept.later.push(Arc::new(removal));
            }
            Err(error) => note(&mut swept.failure, error),
        }
    }
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
        None => *failure = Some(error.into_failure(SUMMARY)),
    }
}

/// Names in a directory that are runtime ids; a missing directory has none.
fn runtime_ids(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_guid(name))
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
