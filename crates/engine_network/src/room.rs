//! Room of the host's that all endpoints share.
//!
//! 1. The kernel's table of neighbours is one for all network namespaces. Its limits are from a time of few neighbours:
//!    1,024 entries, and each container with a network has some. 2. Packets that come in pieces wait in 4 MB for the
//!    rest.
//!
//! Both are raised where they are the kernel's own, as other programs that run containers ask for by their manuals.
//! What an administrator has set stays. A network namespace other than the first has no such settings of neighbours.

use std::{fs, path::Path};

/// The settings: their names, what they are at first, and what they become. From the second on entries that no program
/// uses go after 5 seconds, and from the third on none is made.
const OF_NEIGHBOURS: [(&str, &str, &str); 3] = [
    ("gc_thresh3", "1024", "16384"),
    ("gc_thresh2", "512", "8192"),
    ("gc_thresh1", "128", "2048"),
];

/// Bytes of packets in pieces: of IPv4, of IPv6, and of IPv6 where connections are told.
const OF_PIECES: [(&str, &str, &str); 3] = [
    ("ipv4/ipfrag_high_thresh", "4194304", "67108864"),
    ("ipv6/ip6frag_high_thresh", "4194304", "67108864"),
    (
        "netfilter/nf_conntrack_frag6_high_thresh",
        "4194304",
        "67108864",
    ),
];

/// Raises the limits, as far as they can be: networks work without it. Runs on a thread of the host's namespace.
pub(crate) fn make() {
    for family in ["ipv4", "ipv6"] {
        let folder = format!("/proc/sys/net/{family}/neigh/default");
        raise(Path::new(&folder), &OF_NEIGHBOURS);
    }
    raise(Path::new("/proc/sys/net"), &OF_PIECES);
}

fn raise(folder: &Path, settings: &[(&str, &str, &str)]) {
    for (name, at_first, wanted) in settings {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|value| value.trim() == *at_first) {
            // Where settings cannot be written, the administrator of the host has to.
            let _stays = fs::write(&path, wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_kernel_are_raised_and_those_of_an_administrator_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("gc_thresh1"), "128\n").unwrap();
        fs::write(file("gc_thresh2"), "700\n").unwrap();
        raise(folder.path(), &OF_NEIGHBOURS);
        let now = |name: &str| fs::read_to_string(file(name)).ok();
        assert_eq!(now("gc_thresh1").as_deref(), Some("2048"));
        assert_eq!(now("gc_thresh2").as_deref(), Some("700\n"));
        assert_eq!(now("gc_thresh3"), None, "none is made");
    }
}
