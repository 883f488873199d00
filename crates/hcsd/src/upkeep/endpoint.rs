//! Where the service lives: what follows from the path of its socket.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub use hcs_wire::endpoint::state_root;
use hcs_wire::endpoint::tag;

/// The socket of the machine's own service.
pub const DEFAULT_ENDPOINT: &str = hcs_wire::endpoint::SYSTEM;

/// The directory that the socket is in; `None` for one that all users put their files into, like `/tmp`.
#[must_use]
pub fn socket_directory(endpoint: &Path) -> Option<PathBuf> {
    let directory = endpoint.parent()?;
    let shared = fs::metadata(directory).is_ok_and(|found| found.mode() & 0o1002 == 0o1002);
    (!shared).then(|| directory.to_owned())
}

/// Where containers without a `Storage.Path` keep what they write. In a `configured` directory, a service of another
/// endpoint than the machine's own has a directory of its own: services read one file of configuration, and each
/// removes the containers that it does not know.
#[must_use]
pub fn scratch_root(endpoint: &Path, configured: Option<&Path>) -> PathBuf {
    match (tag(endpoint), configured) {
        (None, None) => PathBuf::from("/var/lib/hcs/scratch"),
        (None, Some(configured)) => configured.to_owned(),
        (Some(_), None) => state_root(endpoint).join("scratch"),
        (Some(tag), Some(configured)) => configured.join(tag),
    }
}

/// The cgroup under which every system of this service has its own, relative to each hierarchy: the `configured` one or
/// `hcs`, and for another endpoint than the machine's own a group below it whose name no other endpoint shares.
#[must_use]
pub fn cgroup_root(endpoint: &Path, configured: Option<&str>) -> String {
    let root = configured.unwrap_or("hcs");
    match tag(endpoint) {
        None => root.to_owned(),
        Some(tag) => format!("{root}/{tag}"),
    }
}

/// What tells the networks of this service from those of others on the host: in aliases of links, and as the name of
/// its tables of rules.
#[must_use]
pub fn network_owner(endpoint: &Path) -> String {
    match tag(endpoint) {
        None => "hcs".to_owned(),
        Some(tag) => format!("hcs-{tag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_service_uses_the_systems_directories() {
        let endpoint = Path::new(DEFAULT_ENDPOINT);
        assert_eq!(state_root(endpoint), Path::new("/run/hcs"));
        assert_eq!(
            scratch_root(endpoint, None),
            Path::new("/var/lib/hcs/scratch")
        );
        assert_eq!(cgroup_root(endpoint, None), "hcs");
        let configured = Path::new("/srv/scratch");
        assert_eq!(scratch_root(endpoint, Some(configured)), configured);
        assert_eq!(cgroup_root(endpoint, Some("a/b")), "a/b");
    }

    #[test]
    fn any_other_service_keeps_to_itself() {
        let endpoint = Path::new("/tmp/x/hcs.sock");
        assert_eq!(state_root(endpoint), Path::new("/tmp/x/hcs.d"));
        assert_eq!(
            scratch_root(endpoint, None),
            Path::new("/tmp/x/hcs.d/scratch")
        );
        assert_eq!(
            state_root(Path::new("/tmp/plain")),
            Path::new("/tmp/plain.d")
        );
        assert!(cgroup_root(endpoint, None).starts_with("hcs/"));
    }

    #[test]
    fn services_with_one_configuration_share_no_directory_and_no_control_group() {
        let [one, other] = ["/tmp/x/hcs.sock", "/tmp/y/hcs.sock"].map(Path::new);
        let configured = Path::new("/srv/scratch");
        let scratch = |endpoint| scratch_root(endpoint, Some(configured));
        let cgroup = |endpoint| cgroup_root(endpoint, Some("a/b"));
        let own = Path::new(DEFAULT_ENDPOINT);
        assert!(scratch(one).starts_with(configured) && cgroup(one).starts_with("a/b/"));
        for (a, b) in [(one, other), (one, own), (other, own)] {
            assert_ne!(scratch(a), scratch(b));
            assert_ne!(cgroup(a), cgroup(b));
            assert_ne!(cgroup_root(a, None), cgroup_root(b, None));
        }
    }
}
