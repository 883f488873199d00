//! `--device`: a device of the host in a container, and the right to use it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;

use crate::common::{Ended, ended, hcs};

/// A place with a node of a device that no container has by itself, and that does nothing when it is opened.
pub(crate) fn node(mode: u32) -> (TempDir, PathBuf) {
    let known = fs::read_to_string("/proc/misc").unwrap();
    let minor = known.lines().find_map(|line| {
        let (minor, name) = line.trim().split_once(' ')?;
        ["fuse", "tun", "loop-control"]
            .contains(&name)
            .then(|| minor.parse().unwrap())
    });
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let node = place.path().join("thing");
    let kind = FileType::CharacterDevice;
    let device = makedev(10, minor.unwrap());
    mknodat(CWD, &node, kind, Mode::from_raw_mode(mode), device).unwrap();
    fs::set_permissions(&node, fs::Permissions::from_mode(mode)).unwrap();
    (place, node)
}

/// Runs `script` with a device, which is told by the node's path and `more`.
fn with_device(options: &[&str], node: &Path, more: &str, script: &str) -> Ended {
    let device = format!("{}{more}", node.display());
    let first = ["run", "--device", &device];
    let command = ["--", "sh", "-c", script];
    ended(&mut hcs([&first[..], options, &command].concat()))
}

/// Row F15.
#[test]
fn a_device_can_be_used_where_it_was_asked_for() {
    let (_place, node) = node(0o666);
    for options in [&[][..], &["--userns"], &["--userns=no"], &["--read-only"]] {
        let script = "exec 3<>/dev/thing && echo open";
        let open = with_device(options, &node, ":/dev/thing", script);
        assert_eq!(open.fine(), "open\n", "{options:?}");
        // The node is the host's: neither mode nor owner can be changed.
        let script = "chmod 600 /dev/thing || chown 5:5 /dev/thing || rm /dev/thing";
        let changed = with_device(options, &node, ":/dev/thing", script);
        assert_ne!(changed.code, Some(0), "{changed:?}");
    }
    let mode = fs::metadata(&node).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    // At its own path, and with nothing else than was asked for.
    let path = node.display();
    let script = format!("exec 3<{path} && echo read; exec 4>{path} && echo written");
    let reading = with_device(&["--userns=no"], &node, ":r", &script);
    assert_eq!(reading.out, "read\n", "{reading:?}");
    assert!(reading.err.contains("not permitted"), "{reading:?}");
}

#[test]
fn a_node_without_its_rule_does_not_work() {
    let (place, node) = node(0o666);
    // As a part of something that is mapped, or of a layer.
    let mount = format!("{}:/seen", place.path().display());
    let script = ["--", "sh", "-c", "exec 3<>/seen/thing"];
    for options in [&[][..], &["--userns=no"]] {
        let line = [&["run", "--mount", &mount], options, &script].concat();
        assert_ne!(ended(&mut hcs(line)).code, Some(0));
        // A device that was asked for opens no other.
        let others = "mknod /dev/mem c 1 1; exec 3</dev/mem";
        let open = ["--cap-add", "MKNOD", "--userns=no"];
        let more = with_device(&open, &node, ":/dev/thing", others);
        assert!(more.err.contains("not permitted"), "{more:?}");
    }
}

#[test]
fn a_device_that_not_all_may_use_is_had_without_a_user_namespace() {
    let (_place, node) = node(0o600);
    let script = "exec 3<>/dev/thing && cat /proc/self/uid_map";
    let map = with_device(&[], &node, ":/dev/thing", script).fine();
    assert!(map.contains("4294967295"), "{map}");
    let refused = with_device(&["--userns"], &node, ":/dev/thing", script);
    assert_eq!(refused.code, Some(125), "{refused:?}");
    for said in [
        "mode 0600",
        "--userns=no",
        "/Container/MappedDevices/0/HostPath",
    ] {
        assert!(refused.err.contains(said), "{refused:?}");
    }
}

#[test]
fn what_is_no_device_is_refused_by_name() {
    for (path, said) in [
        ("/dev", "name each device"),
        ("/etc/passwd", "map it"),
        ("/dev/none-of-it", "No such file"),
    ] {
        let refused = with_device(&[], Path::new(path), "", "true");
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
}
