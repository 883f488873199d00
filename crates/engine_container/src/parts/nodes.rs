//! Devices of the host that the document names: which they are, and whether a container can use them.
//!
//! The container gets the host's own node, bound to its place like a file that is mapped, and read-only: data goes
//! through it all the same, but mode and owner are the host's affair. That makes it visible; the right to use it is a
//! rule of the control group ([`crate::cgroup::DeviceRule`]), and the owner and mode that the node has on the host.

use std::os::fd::{AsRawFd as _, OwnedFd};

use hcs_schema::{Failure, HResult, documents::MappedDevice};
use rustix::{
    fs::{Access, FileType, Stat, StatVfsMountFlags, fstat, fstatvfs, major, minor},
    io::Errno,
};

use super::mapped;
use crate::{
    cgroup::{DeviceControl, DeviceRule},
    failure::Attempt,
    privilege::Privilege,
    source::Source,
    spec::{MappedSpec, Owners},
    user_namespace,
};

/// What the host says of a device's use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host<'a> {
    /// What enforces rules for devices.
    pub(crate) control: &'a DeviceControl,
    pub(crate) privilege: Privilege,
    /// The container has ids that no user of the host has.
    pub(crate) own_ids: bool,
}

/// A device to be shown, and the rule that lets it be used.
pub(crate) type Node = (MappedSpec, DeviceRule);

/// Looks at what the document names.
///
/// # Errors
/// It is no device, or the container could not use it: why not.
pub(crate) fn check(devices: &[MappedDevice], host: Host<'_>) -> Result<Vec<Node>, Failure> {
    let each = devices.iter().enumerate();
    each.map(|(index, device)| {
        let at = format!("/Container/MappedDevices/{index}");
        check_one(device, &at, host)
    })
    .collect()
}

fn check_one(device: &MappedDevice, at: &str, host: Host<'_>) -> Result<Node, Failure> {
    let pointer = format!("{at}/HostPath");
    let path = device.host_path.as_deref().unwrap_or_default();
    let refuse = |hresult, message: String| {
        Failure::new(hresult, message.clone()).cause_at(pointer.as_str(), message)
    };
    let cannot = || format!("the device {path:?} cannot be shown");
    if !path.starts_with('/') {
        let message = format!("{path:?} is not an absolute path");
        return Err(refuse(HResult::E_INVALIDARG, message));
    }
    let (source, kind) = Source::look(path, &pointer).map_err(|e| e.into_failure(cannot()))?;
    let node = source.open().map_err(|e| e.into_failure(cannot()))?;
    let examined = fstat(&node).and_then(|found| Ok((found, fstatvfs(&node)?)));
    let (found, system) = examined
        .step_at("examining", path)
        .map_err(|error| error.asked_by(&pointer).into_failure(cannot()))?;
    let block = match kind {
        FileType::BlockDevice => true,
        FileType::CharacterDevice => false,
        other => return Err(refuse(HResult::E_INVALIDARG, no_device(path, other))),
    };
    if system.f_flag.contains(StatVfsMountFlags::NODEV) {
        let message = format!(
            "{path:?} is on a file system that is mounted without devices (nodev), so no process can use it there: name \
             the node in /dev"
        );
        return Err(refuse(HResult::NOT_SUPPORTED, message));
    }
    let rule = DeviceRule {
        block,
        major: major(found.st_rdev),
        minor: minor(found.st_rdev),
        access: DeviceRule::access_of(device.access.as_deref().unwrap_or("rwm")),
    };
    let access = rule.access;
    check_access(rule, path, at, host.control)?;
    check_mode(&node, Mode::of(&found), access, path, host)
        .map_err(|message| refuse(HResult::E_ACCESSDENIED, message))?;
    let target = device.container_path.as_deref().unwrap_or(path);
    let spec = MappedSpec {
        source,
        target: mapped::check_target(target, &format!("{at}/ContainerPath"))?,
        read_only: true,
        covered: Vec::new(),
        owners: Owners::AsOnTheHost,
        allow_set_id: false,
        device: true,
    };
    Ok((spec, rule))
}

/// Makes sure that less than all can be enforced where it is asked for.
fn check_access(
    rule: DeviceRule,
    path: &str,
    at: &str,
    control: &DeviceControl,
) -> Result<(), Failure> {
    if rule.access & DeviceRule::READ_WRITE == DeviceRule::READ_WRITE {
        return Ok(());
    }
    let message = if matches!(control, DeviceControl::None) {
        "the use of a device cannot be limited here: that takes control groups with the controller \"devices\" (version 1) \
         or programs for devices (version 2), and a service of root. Leave Access out, or give \"rw\""
            .to_owned()
    } else if rule.is_of_all() {
        format!(
            "{path:?} is a device that every container may read and write, by any node of it, so its use cannot be limited: \
             leave Access out, or give \"rw\""
        )
    } else {
        return Ok(());
    };
    let failure = Failure::new(HResult::NOT_SUPPORTED, message.clone());
    Err(failure.cause_at(format!("{at}/Access"), message))
}

fn no_device(path: &str, kind: FileType) -> String {
    let instead = match kind {
        FileType::Directory => "a directory: name each device in it",
        FileType::Socket | FileType::Fifo => "a socket or FIFO: map it (MappedPipes, or --mount)",
        _ => "a file: map it (MappedDirectories, or --mount)",
    };
    format!("{path:?} is no device, but {instead}")
}

/// Refuses a node that the processes of the container could not use: in words.
fn check_mode(
    node: &OwnedFd,
    mode: Mode,
    access: u32,
    path: &str,
    host: Host<'_>,
) -> Result<(), String> {
    // The same file, whatever is at its path by now.
    let same = format!("/proc/self/fd/{}", node.as_raw_fd());
    let may = rustix::fs::access(&*same, wanted(access));
    if host.own_ids && !mode.is_open_to_all(access) {
        return Err(mode.closed(path));
    }
    if host.privilege == Privilege::User && may == Err(Errno::ACCESS) {
        return Err(mode.closed_to_user(path));
    }
    if host.privilege == Privilege::User
        && mode.is_open_by_group_alone(access, &Own::of_process())
        && !has_access_list(&same)
        && user_namespace::sets_groups()
    {
        return Err(mode.closed_to_groups(path));
    }
    Ok(())
}

/// What a user of the node has to be allowed.
fn wanted(access: u32) -> Access {
    let mut wanted = Access::EXISTS;
    if access & DeviceRule::READ != 0 {
        wanted |= Access::READ_OK;
    }
    if access & DeviceRule::WRITE != 0 {
        wanted |= Access::WRITE_OK;
    }
    wanted
}

/// Whether users and groups are named for the file at `path`, besides its owner and group (`acl(5)`).
fn has_access_list(path: &str) -> bool {
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0][..])
        .is_ok_and(|size| size > 0)
}

/// The user and group of the service.
struct Own {
    user: u32,
    group: u32,
}

impl Own {
    fn of_process() -> Self {
        Self {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        }
    }
}

/// Whether every user of the host may use the node at `path` in this way. A missing node is refused later, with the
/// reason.
pub(crate) fn is_open_to_all(device: &MappedDevice) -> bool {
    let access = DeviceRule::access_of(device.access.as_deref().unwrap_or("rwm"));
    let found = device.host_path.as_deref().map(rustix::fs::stat);
    found.is_none_or(|found| found.map_or(true, |found| Mode::of(&found).is_open_to_all(access)))
}

/// The owner of a node, and the users that may open it.
#[derive(Clone, Copy, Debug)]
struct Mode {
    bits: u32,
    user: u32,
    group: u32,
}

impl Mode {
    fn of(found: &Stat) -> Self {
        Self {
            bits: found.st_mode & 0o7777,
            user: found.st_uid,
            group: found.st_gid,
        }
    }

    fn is_open_to_all(self, access: u32) -> bool {
        let readable = access & DeviceRule::READ == 0 || self.bits & 0o4 != 0;
        let writable = access & DeviceRule::WRITE == 0 || self.bits & 0o2 != 0;
        readable && writable
    }

    /// Whether, of all its rights, a user who may use it can have them by a further group only: not as its owner, not
    /// by the group that is the user's own, and not as every user.
    fn is_open_by_group_alone(self, access: u32, own: &Own) -> bool {
        self.user != own.user && self.group != own.group && !self.is_open_to_all(access)
    }

    fn belongs(self, path: &str) -> String {
        format!(
            "{path:?} belongs to user {} and group {} of the host, with mode {:04o}",
            self.user, self.group, self.bits
        )
    }

    fn closed(self, path: &str) -> String {
        format!(
            "{}: the container, which has a user namespace with ids of its own, could not use it. Leave the user namespace \
             out (UserNamespace, or --userns=no), or let others use the device",
            self.belongs(path)
        )
    }

    fn closed_to_groups(self, path: &str) -> String {
        format!(
            "{}: user {}, who runs this service, may use it as a member of that group, which no process of a container with \
             subordinate ids is in (/etc/subgid). Let the user use it by an access list (setfacl -m u:{}:rw), or have root run \
             the container",
            self.belongs(path),
            rustix::process::geteuid().as_raw(),
            rustix::process::geteuid().as_raw()
        )
    }

    fn closed_to_user(self, path: &str) -> String {
        format!(
            "{}, so user {}, who runs this service, may not use it, and no container of that user: have the user named in its access \
             list (setfacl -m u:{}:rw), or have root run the container",
            self.belongs(path),
            rustix::process::geteuid().as_raw(),
            rustix::process::geteuid().as_raw()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Host<'static> = Host {
        control: &DeviceControl::Controller,
        privilege: Privilege::Root,
        own_ids: false,
    };

    fn device(text: &str) -> MappedDevice {
        serde_json::from_str(text).unwrap()
    }

    fn refused(text: &str, host: Host<'_>) -> (HResult, String, String) {
        let failure = check(&[device(text)], host).unwrap_err();
        let pointer = failure.causes[0].pointer.clone().unwrap();
        (failure.hresult, pointer, failure.message)
    }

    #[test]
    fn a_device_is_shown_with_its_rule() {
        let named = [
            device(r#"{ "HostPath": "/dev/null" }"#),
            device(r#"{ "HostPath": "/dev/kmsg", "ContainerPath": "/dev/none", "Access": "r" }"#),
        ];
        let nodes = check(&named, HOST).unwrap();
        let rule = |minor, access| DeviceRule {
            block: false,
            major: 1,
            minor,
            access,
        };
        assert_eq!(
            (nodes[0].0.target.as_str(), nodes[0].1),
            ("/dev/null", rule(3, 7))
        );
        assert_eq!(
            (nodes[1].0.target.as_str(), nodes[1].1),
            ("/dev/none", rule(11, 2))
        );
        assert!(nodes[0].0.device && nodes[0].0.read_only);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        let at = "/Container/MappedDevices/0/HostPath";
        for (path, hresult, said) in [
            ("dev/null", HResult::E_INVALIDARG, "absolute"),
            ("/dev", HResult::E_INVALIDARG, "name each device"),
            ("/etc/passwd", HResult::E_INVALIDARG, "MappedDirectories"),
            (
                "/dev/no-such-device",
                HResult::FILE_NOT_FOUND,
                "cannot be shown",
            ),
        ] {
            let text = format!(r#"{{ "HostPath": "{path}" }}"#);
            let (found, pointer, message) = refused(&text, HOST);
            assert_eq!((found, pointer.as_str()), (hresult, at), "{path}");
            assert!(message.contains(said), "{message}");
        }
        // A rule for it would change nothing, as all containers have one.
        let reading = r#"{ "HostPath": "/dev/zero", "Access": "r" }"#;
        let (hresult, pointer, message) = refused(reading, HOST);
        assert_eq!(hresult, HResult::NOT_SUPPORTED);
        assert_eq!(pointer, "/Container/MappedDevices/0/Access");
        assert!(message.contains("every container"), "{message}");
        let uncontrolled = Host {
            control: &DeviceControl::None,
            ..HOST
        };
        let reading = r#"{ "HostPath": "/dev/null", "Access": "r" }"#;
        let (hresult, pointer, _) = refused(reading, uncontrolled);
        assert_eq!(hresult, HResult::NOT_SUPPORTED);
        assert_eq!(pointer, "/Container/MappedDevices/0/Access");
        check(
            &[device(r#"{ "HostPath": "/dev/null", "Access": "rw" }"#)],
            uncontrolled,
        )
        .unwrap();
    }

    #[test]
    fn rights_of_a_further_group_are_told_from_others() {
        let own = Own {
            user: 1000,
            group: 1000,
        };
        let mode = |bits, user, group| Mode { bits, user, group };
        for (mode, by_group) in [
            (mode(0o660, 0, 109), true),
            (mode(0o664, 0, 109), true),
            (mode(0o666, 0, 109), false),
            (mode(0o660, 1000, 109), false),
            (mode(0o660, 0, 1000), false),
        ] {
            assert_eq!(mode.is_open_by_group_alone(6, &own), by_group, "{mode:?}");
        }
        assert!(!mode(0o664, 0, 109).is_open_by_group_alone(2, &own));
    }

    #[test]
    fn a_node_that_not_all_may_use_is_closed_to_ids_of_its_own() {
        let own = Host {
            own_ids: true,
            ..HOST
        };
        let (hresult, _, message) = refused(r#"{ "HostPath": "/dev/kmsg" }"#, own);
        assert_eq!(hresult, HResult::E_ACCESSDENIED);
        assert!(message.contains("--userns=no"), "{message}");
        assert!(!is_open_to_all(&device(r#"{ "HostPath": "/dev/kmsg" }"#)));
        assert!(is_open_to_all(&device(r#"{ "HostPath": "/dev/null" }"#)));
        check(&[device(r#"{ "HostPath": "/dev/null" }"#)], own).unwrap();
    }
}
