//! Where the service lives: what follows from the path of its socket.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// The socket of the machine's own service.
pub const DEFAULT_ENDPOINT: &str = hcs_wire::endpoint::SYSTEM;

/// The directory that holds the systems' directories, the lock and the log: `/run/hcs` for the machine's own service,
/// else the endpoint with `.sock` taken off and `.d` added.
#[must_use]
pub fn state_root(endpoint: &Path) -> PathBuf {
    if endpoint == Path::new(DEFAULT_ENDPOINT) {
        return PathBuf::from("/run/hcs");
    }
    let bytes = endpoint.as_os_str().as_bytes();
    let stem = bytes.strip_suffix(b".sock").unwrap_or(bytes);
    let mut root = OsString::from(std::ffi::OsStr::from_bytes(stem));
    root.push(".d");
    PathBuf::from(root)
}

/// The directory that the socket is in; `None` for one that all users put their files into, like `/tmp`.
#[must_use]
pub fn socket_directory(endpoint: &Path) -> Option<PathBuf> {
    let directory = endpoint.parent()?;
    let shared = fs::metadata(directory).is_ok_and(|found| found.mode() & 0o1002 == 0o1002);
    (!shared).then(|| directory.to_owned())
}

/// Where containers without a `Storage.Path` keep what they write.
#[must_use]
pub fn scratch_root(endpoint: &Path) -> PathBuf {
    if endpoint == Path::new(DEFAULT_ENDPOINT) {
        return PathBuf::from("/var/lib/hcs/scratch");
    }
    state_root(endpoint).join("scratch")
}

/// The cgroup under which every system of this service has its own, relative to each hierarchy: `hcs`, or below it a
/// name that no other endpoint shares.
#[must_use]
pub fn cgroup_root(endpoint: &Path) -> String {
    if endpoint == Path::new(DEFAULT_ENDPOINT) {
        return "hcs".to_owned();
    }
    format!("hcs/{:016x}", fnv1a(endpoint.as_os_str().as_bytes()))
}

/// FNV-1a, 64 bit: stable over versions and machines, which `std`'s hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_service_uses_the_systems_directories() {
        let endpoint = Path::new(DEFAULT_ENDPOINT);
        assert_eq!(state_root(endpoint), Path::new("/run/hcs"));
        assert_eq!(scratch_root(endpoint), Path::new("/var/lib/hcs/scratch"));
        assert_eq!(cgroup_root(endpoint), "hcs");
    }

    #[test]
    fn any_other_service_keeps_to_itself() {
        let endpoint = Path::new("/tmp/x/hcs.sock");
        assert_eq!(state_root(endpoint), Path::new("/tmp/x/hcs.d"));
        assert_eq!(scratch_root(endpoint), Path::new("/tmp/x/hcs.d/scratch"));
        assert_eq!(
            state_root(Path::new("/tmp/plain")),
            Path::new("/tmp/plain.d")
        );
        assert_ne!(
            cgroup_root(endpoint),
            cgroup_root(Path::new("/tmp/y/hcs.sock"))
        );
        assert!(cgroup_root(endpoint).starts_with("hcs/"));
    }
}
