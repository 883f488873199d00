//! A container that gets no user namespace because of an owner that a container may have made: the caller is told.
//!
//! `PreferUserNamespace` gives one where the owners of what is shared have ids in it. An earlier container without one
//! may have given a directory to a user that no namespace has. Then the next one would do without, and be root of the
//! host, without any option that says so.

use std::{fs, os::unix::fs::MetadataExt as _};

use hcs::Endpoint;
use hcs_schema::documents::{ComputeSystem, Container};
use hcs_wire::environment::is_root;
use rustix::process::{getegid, geteuid};

use crate::{complain, output::printable};

/// The first id of a user or group that no container has in its namespace.
const ABOVE: u32 = 65_535;

/// Tells of the first thing that the container of `document` shares whose owner keeps it from a user namespace.
pub(crate) fn tell(document: &ComputeSystem) {
    let Some(container) = &document.container else {
        return;
    };
    if container.prefer_user_namespace != Some(true) || !is_service_of_root() {
        return;
    }
    let own = (geteuid().as_raw(), getegid().as_raw());
    let found = shared(container).find_map(|path| {
        let found = fs::metadata(path).ok()?;
        foreign((found.uid(), found.gid()), own).map(|whose| (path, whose))
    });
    if let Some((path, whose)) = found {
        complain(&format!(
            "hcs: the container gets no user namespace, so root in it is root of the host: {} belongs to {whose}, which \
             no namespace has; if a container gave it away, chown it; --userns insists on a namespace, and --userns=no \
             asks for none\n",
            printable(path)
        ));
    }
}

/// What no option of this caller says: the owner that no namespace has, unless it is the caller.
fn foreign((user, group): (u32, u32), own: (u32, u32)) -> Option<String> {
    match (
        user >= ABOVE && user != own.0,
        group >= ABOVE && group != own.1,
    ) {
        (true, _) => Some(format!("user {user}")),
        (false, true) => Some(format!("group {group}")),
        (false, false) => None,
    }
}

/// The paths of the host that the document shares, whose owners count.
fn shared(container: &Container) -> impl Iterator<Item = &str> {
    let storage = container.storage.as_ref();
    let tree = storage.and_then(|storage| storage.host_directory.as_deref());
    let mapped = container.mapped_directories.iter().flatten();
    let mapped = mapped.filter(|directory| directory.shift_owners != Some(false));
    tree.into_iter()
        .chain(mapped.filter_map(|directory| directory.host_path.as_deref()))
}

/// Whether the service is root's, or will be: each container of an ordinary user's has a user namespace.
pub(crate) fn is_service_of_root() -> bool {
    let Ok(endpoint) = Endpoint::from_environment() else {
        return false;
    };
    fs::metadata(endpoint.path()).map_or_else(|_| is_root(), |found| found.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_no_namespace_has_is_told_unless_it_is_the_caller() {
        let own = (70_000, 70_001);
        for known in [(0, 0), (65_534, 65_534), own, (70_000, 0), (0, 70_001)] {
            assert_eq!(foreign(known, own), None, "{known:?}");
        }
        for (owner, whose) in [
            ((65_535, 0), "user 65535"),
            ((70_001, 70_001), "user 70001"),
            ((0, 70_000), "group 70000"),
        ] {
            assert_eq!(foreign(owner, own).as_deref(), Some(whose));
        }
    }
}
