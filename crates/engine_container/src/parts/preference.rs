//! Whether a container that prefers a user namespace (`PreferUserNamespace`) is to get one.
//!
//! It gets one where it has the same files and can do the same as without:
//!
//! 1. The document decides first, without a look at any file: a path may lead to a file system that does not answer,
//!    and a container that is kept ready is chosen on the service's only thread.
//! 2. The files are looked at when the document is checked.
//! 3. Whether each file system shifts owners is known only when it is tried ([`super::handed::UNSHIFTABLE`]).
//!
//! [`Declined`] remembers what came out of 2 and 3, so that the container that is kept ready is one that fits.

use std::sync::{Mutex, OnceLock, PoisonError};

use hcs_schema::{
    documents::Container,
    privileges::{Capabilities, Privileges},
};
use rustix::{
    fs::{stat, statfs},
    system::uname,
};

use super::nodes;
use crate::{
    steps,
    user_namespace::{IdRange, UserNamespaces},
};

/// Capabilities that act on the host as a whole or on other users of it. In a user namespace they have no effect, so a
/// container that is given one by name does without the namespace.
const OF_THE_HOST: Capabilities = Capabilities::AUDIT_CONTROL
    .union(Capabilities::AUDIT_READ)
    .union(Capabilities::BPF)
    .union(Capabilities::IPC_LOCK)
    .union(Capabilities::LINUX_IMMUTABLE)
    .union(Capabilities::MAC_ADMIN)
    .union(Capabilities::MAC_OVERRIDE)
    .union(Capabilities::MKNOD)
    .union(Capabilities::PERFMON)
    .union(Capabilities::SYSLOG)
    .union(Capabilities::SYS_BOOT)
    .union(Capabilities::SYS_MODULE)
    .union(Capabilities::SYS_NICE)
    .union(Capabilities::SYS_PACCT)
    .union(Capabilities::SYS_RAWIO)
    .union(Capabilities::SYS_RESOURCE)
    .union(Capabilities::SYS_TIME)
    .union(Capabilities::SYS_TTY_CONFIG)
    .union(Capabilities::WAKE_ALARM);

/// The first kernel whose overlayfs takes layers with shifted owners.
const KERNEL: (u32, u32) = (5, 19);

/// File systems that no kernel shifts owners of, by their magic numbers (`statfs(2)`): overlayfs, NFS, SMB, CIFS, 9p,
/// AFS. The list saves the attempt.
const UNSHIFTABLE: [i64; 7] = [
    0x794c_7630,
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x5346_414f,
];

/// Whether the document lets the container have a user namespace out of `ids` and be as it is without.
pub(super) fn is_possible(container: &Container, ids: UserNamespaces) -> bool {
    let enough = ids.users.count.min(ids.groups.count) >= IdRange::EACH;
    enough && document_allows(container) && kernel_allows()
}

/// Whether the files that the container sees let it. Looks at them.
///
/// The owner of a layer says nothing: an image decides that. The owner of what the document shares does.
pub(super) fn files_allow(container: &Container) -> bool {
    let may_shift = paths(container).all(may_shift);
    let mut devices = container.mapped_devices.iter().flatten();
    let allow =
        may_shift && shared(container).all(is_owned_below) && devices.all(nodes::is_open_to_all);
    if !allow {
        steps::warn(
            "the container gets no user namespace, though it prefers one: a file system cannot shift owners, or what is \
             shared belongs to a user or group that the namespace would not have, or not all users may use a device"
                .to_owned(),
        );
    }
    allow
}

/// The files that the last container saw which was made without the user namespace that it preferred.
#[derive(Debug, Default)]
pub(crate) struct Declined(Mutex<Vec<String>>);

impl Declined {
    /// Whether a container with such a document was made without.
    pub(crate) fn has(&self, container: &Container) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths(container).eq(last.iter().map(String::as_str))
    }

    /// Remembers whether `container` was made without.
    pub(crate) fn note(&self, container: &Container, without: bool) {
        if without != self.has(container) {
            let paths = paths(container).map(str::to_owned);
            let last = if without { paths.collect() } else { Vec::new() };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
        }
    }
}

/// Whether the document asks for nothing that a container with a user namespace cannot have.
fn document_allows(container: &Container) -> bool {
    let networking = container.networking.as_ref();
    let network = networking.and_then(|networking| networking.namespace.as_deref());
    let storage = container.storage.as_ref();
    let added = Privileges::of_container(container).map(|privileges| privileges.possible);
    let mut mapped = container.mapped_directories.iter().flatten();
    network.is_none_or(str::is_empty)
        // A scratch notes removed directories in another way in a user namespace, so it is of use in one of both only.
        && storage.is_none_or(|storage| storage.path.is_none())
        && added.is_ok_and(|added| added.intersection(OF_THE_HOST).is_empty())
        && mapped.all(|directory| directory.allow_set_id != Some(true))
}

/// The paths of the host whose files the container sees.
fn paths(container: &Container) -> impl Iterator<Item = &str> {
    let storage = container.storage.as_ref();
    let layers = storage.and_then(|storage| storage.layers.as_deref());
    let view = layers.is_none_or(<[_]>::is_empty).then_some("/");
    let layers = layers.unwrap_or_default().iter();
    let devices = container.mapped_devices.iter().flatten();
    view.into_iter()
        .chain(layers.filter_map(|layer| layer.path.as_deref()))
        .chain(shared(container))
        .chain(devices.filter_map(|device| device.host_path.as_deref()))
}

/// The paths of the host that the document shares with the container: the tree of the view, and what is mapped.
fn shared(container: &Container) -> impl Iterator<Item = &str> {
    let storage = container.storage.as_ref();
    let tree = storage.and_then(|storage| storage.host_directory.as_deref());
    let mapped = container.mapped_directories.iter().flatten();
    let mapped = mapped.filter(|directory| directory.shift_owners != Some(false));
    tree.into_iter()
        .chain(mapped.filter_map(|directory| directory.host_path.as_deref()))
}

/// Whether the file system at `path` may shift owners. A path that leads nowhere is refused later, with the reason.
fn may_shift(path: &str) -> bool {
    !statfs(path).is_ok_and(|system| UNSHIFTABLE.contains(&system.f_type))
}

/// Whether the file at `path`, if there is one, belongs to ids that the container has.
fn is_owned_below(path: &str) -> bool {
    let mapped = |id| id < IdRange::MAPPED;
    stat(path).map_or(true, |found| mapped(found.st_uid) && mapped(found.st_gid))
}

fn kernel_allows() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| release(&uname().release().to_string_lossy()) >= Some(KERNEL))
}

/// The first two numbers of a kernel's release.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    fn container(text: &str) -> Container {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_a_user_namespace_cannot_have_is_had_without() {
        for allowed in [
            "{}",
            r#"{ "Networking": { "Namespace": "" } }"#,
            r#"{ "AddCapabilities": ["NET_ADMIN", "SYS_ADMIN"], "DropCapabilities": ["ALL"] }"#,
            r#"{ "Storage": { "Layers": [{ "Path": "/x" }] }, "MappedDirectories": [{ "HostPath": "/y" }] }"#,
        ] {
            assert!(document_allows(&container(allowed)), "{allowed}");
        }
        for refused in [
            r#"{ "Networking": { "Namespace": "blue" } }"#,
            r#"{ "AddCapabilities": ["SYS_TIME"] }"#,
            r#"{ "AddCapabilities": ["ALL"] }"#,
            r#"{ "Storage": { "Path": "/kept" } }"#,
            r#"{ "MappedDirectories": [{ "HostPath": "/y", "AllowSetId": true }] }"#,
        ] {
            assert!(!document_allows(&container(refused)), "{refused}");
        }
    }

    #[test]
    fn each_path_is_looked_at() {
        let all = |text: &str| {
            paths(&container(text))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(all("{}"), ["/"]);
        let view = r#"{ "Storage": { "HostDirectory": "/home/me" } }"#;
        assert_eq!(all(view), ["/", "/home/me"]);
        let layers = r#"{ "Storage": { "Layers": [{ "Path": "/a" }, { "Path": "/b" }] }, "MappedDirectories": [
            { "HostPath": "/c" }, { "HostPath": "/d", "ShiftOwners": false }] }"#;
        assert_eq!(all(layers), ["/a", "/b", "/c"]);
        let shared: Vec<_> = shared(&container(layers)).map(str::to_owned).collect();
        assert_eq!(shared, ["/c"]);
    }

    #[test]
    fn files_belong_to_ids_that_the_container_has() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().to_str().unwrap();
        assert!(is_owned_below(path) && is_owned_below("/not/there"));
        chown(path, Some(65_535), Some(0)).unwrap();
        assert!(!is_owned_below(path) && may_shift(path));
        chown(path, Some(0), Some(100_000)).unwrap();
        assert!(!is_owned_below(path) && may_shift("/not/there"));
    }

    #[test]
    fn few_ids_are_not_enough() {
        let mut ids = UserNamespaces::default();
        assert_eq!(is_possible(&container("{}"), ids), kernel_allows());
        ids.groups.count = 1000;
        assert!(!is_possible(&container("{}"), ids));
    }

    #[test]
    fn what_was_declined_is_known_by_its_files() {
        let of = |path: &str| {
            container(&format!(
                r#"{{ "Storage": {{ "Layers": [{{ "Path": "{path}" }}] }} }}"#
            ))
        };
        let declined = Declined::default();
        let has = || ["/a", "/b"].map(|path| declined.has(&of(path)));
        assert_eq!(has(), [false, false]);
        declined.note(&of("/a"), true);
        assert_eq!(has(), [true, false]);
        // Another that was made with one says nothing about it.
        declined.note(&of("/b"), false);
        assert_eq!(has(), [true, false]);
        declined.note(&of("/b"), true);
        assert_eq!(has(), [false, true]);
        declined.note(&of("/b"), false);
        assert_eq!(has(), [false, false]);
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(release("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(release("5.19"), Some((5, 19)));
        assert!(release("5.9.1") < Some(KERNEL));
        assert_eq!(release("x"), None);
    }
}
