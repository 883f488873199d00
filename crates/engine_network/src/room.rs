//! Room in the kernel's table of neighbours, which is one for all network namespaces.
//!
//! Its limits are from a time of few neighbours: 1,024 entries, and each container with a network has some. They are
//! raised where they are the kernel's own, as other programs that run containers ask for by their manuals. What an
//! administrator has set stays, and a network namespace other than the first has no such settings.

use std::{fs, path::Path};

/// The settings: their names, what they are at first, and what they become. From the second on entries that no program
/// uses go after 5 seconds, and from the third on none is made.
const LIMITS: [(&str, &str, &str); 3] = [
    ("gc_thresh3", "1024", "16384"),
    ("gc_thresh2", "512", "8192"),
    ("gc_thresh1", "128", "2048"),
];

/// Raises the limits of both families, as far as they can be: networks work without it.
pub(crate) fn make() {
    for family in ["ipv4", "ipv6"] {
        let folder = format!("/proc/sys/net/{family}/neigh/default");
        raise(Path::new(&folder));
    }
}

fn raise(folder: &Path) {
    for (name, at_first, wanted) in LIMITS {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|value| value.trim() == at_first) {
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
        let folder = std::env::temp_dir().join(format!("hcs-room-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let file = |name: &str| folder.join(name);
        fs::write(file("gc_thresh1"), "128\n").unwrap();
        fs::write(file("gc_thresh2"), "700\n").unwrap();
        raise(&folder);
        let now = |name: &str| fs::read_to_string(file(name)).ok();
        assert_eq!(now("gc_thresh1").as_deref(), Some("2048"));
        assert_eq!(now("gc_thresh2").as_deref(), Some("700\n"));
        assert_eq!(now("gc_thresh3"), None, "none is made");
        fs::remove_dir_all(&folder).unwrap();
    }
}
