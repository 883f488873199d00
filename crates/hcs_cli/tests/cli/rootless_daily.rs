//! What `hcs` does every day, as an ordinary user: files in and out, roots that can only be read, directories in
//! memory, devices.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::PathBuf,
};

use crate::{
    common::ended,
    devices,
    rootless::{User, unprivileged},
};

/// Users that no host has, and none of the other tests.
const COPIES: u32 = 54_328;
const READS_ONLY: u32 = 54_329;
const USES_DEVICES: u32 = 54_330;
const ROOT_OF_ITS_OWN: u32 = 54_331;
const IN_A_GROUP: u32 = 54_332;
const IN_A_GROUP_WITH_GRANTS: u32 = 54_333;

/// A group that no host has.
const OF_DEVICES: u32 = 54_777;

/// A directory of the user's own.
fn own_directory(user: &User, name: &str, id: u32) -> PathBuf {
    let path = user.home().join(name);
    fs::create_dir(&path).unwrap();
    chown(&path, Some(id), Some(id)).unwrap();
    path
}

#[test]
fn files_of_an_ordinary_user_go_in_and_come_out() {
    if unprivileged() {
        return;
    }
    let user = User::new(COPIES);
    let here = own_directory(&user, "site", COPIES);
    let file = here.join("page");
    fs::write(&file, "page").unwrap();
    chown(&file, Some(COPIES), Some(COPIES)).unwrap();
    user.hcs(&["create", "--id", "box"]).fine();
    user.hcs(&["start", "box"]).fine();
    let path = here.to_str().unwrap();
    user.hcs(&["cp", path, "box:/tmp"]).fine();
    let inside = |script: &str| user.hcs(&["exec", "box", "--", "sh", "-c", script]);
    let seen = "stat -c '%u %F' /tmp/site/page; cat /tmp/site/page; echo out > /tmp/site/new";
    assert_eq!(inside(seen).fine(), "0 regular file\npage");
    user.hcs(&["cp", "box:/tmp/site/.", path]).fine();
    let new = here.join("new");
    assert_eq!(fs::read_to_string(&new).unwrap(), "out\n");
    assert_eq!(fs::metadata(&new).unwrap().uid(), COPIES);
    // Nothing is written where the user may not.
    let refused = user.hcs(&["cp", "box:/tmp/site/new", "/etc/new-of-a-user"]);
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(refused.err.contains("Permission denied"), "{refused:?}");
    user.hcs(&["terminate", "box"]).fine();
}

#[test]
fn a_root_of_an_ordinary_user_can_be_read_only_with_directories_in_memory() {
    if unprivileged() {
        return;
    }
    let user = User::new(READS_ONLY);
    let shared = own_directory(&user, "shared", READS_ONLY);
    let mount = format!("{}:/shared", shared.display());
    let options = [
        "--read-only",
        "--tmpfs",
        "/memory:size=1M,mode=750",
        "--mount",
        &mount,
        "--shm-size",
        "2",
    ];
    let script = "for d in / /etc /tmp /dev/none; do touch $d/new 2>/dev/null && echo written to $d; done
        echo kept > /shared/new && stat -c %a /memory && stat -f -c %T /memory
        head -c 900000 /dev/zero > /memory/fits && ! head -c 900000 /dev/zero > /memory/more 2>/dev/null && echo full
        stat -f -c %b /dev/shm";
    let run = user.script(&options, script);
    assert_eq!(run.fine(), "750\ntmpfs\nfull\n512\n");
    assert_eq!(fs::read_to_string(shared.join("new")).unwrap(), "kept\n");
    // A place that another part of the root is at, and one that has to be made.
    let run = user.script(
        &["--tmpfs", "/etc", "--tmpfs", "/a/b/c"],
        "ls -A /etc /a/b/c",
    );
    let listed = run.fine();
    assert!(
        !listed.contains("passwd") && listed.contains("/a/b/c"),
        "{listed}"
    );
}

#[test]
fn a_device_that_its_user_may_use_can_be_given_to_a_container() {
    if unprivileged() {
        return;
    }
    let user = User::new(USES_DEVICES);
    let script = "exec 3<>/dev/thing && echo open";
    let with = |node: &std::path::Path, more: &str| {
        let device = format!("{}:/dev/thing{more}", node.display());
        user.script(&["--device", &device], script)
    };
    let (_place, node) = devices::node(0o666);
    assert_eq!(with(&node, "").fine(), "open\n");
    // No control group of an ordinary user's says what may be done.
    let limited = with(&node, ":r");
    assert!(
        limited.err.contains("cannot be limited here"),
        "{limited:?}"
    );
    let (_place, node) = devices::node(0o600);
    let refused = with(&node, "");
    assert_eq!(refused.code, Some(125), "{refused:?}");
    for said in ["mode 0600", "may not use it"] {
        assert!(refused.err.contains(said), "{refused:?}");
    }
}

/// Processes keep the groups of the user where they cannot be given others: with one id alone.
#[test]
fn a_device_of_a_group_is_had_where_processes_are_in_it() {
    if unprivileged() {
        return;
    }
    let (_place, node) = devices::node(0o660);
    chown(&node, Some(0), Some(OF_DEVICES)).unwrap();
    let device = format!("{}:/dev/thing", node.display());
    let run = |user: &User| user.script(&["--device", &device], "exec 3<>/dev/thing && echo open");
    let alone = User::new(IN_A_GROUP).in_group(OF_DEVICES);
    assert_eq!(run(&alone).fine(), "open\n");
    let granted = User::new(IN_A_GROUP_WITH_GRANTS)
        .with_grants()
        .in_group(OF_DEVICES);
    let refused = run(&granted);
    assert_eq!(refused.code, Some(125), "{refused:?}");
    for said in ["member of that group", "setfacl -m u:", "/HostPath"] {
        assert!(refused.err.contains(said), "{refused:?}");
    }
}

/// Row F7: `unshare -Ur` makes a user root of a namespace, with all capabilities and no more rights than before.
#[test]
fn root_of_a_user_namespace_is_an_ordinary_user() {
    if unprivileged() {
        return;
    }
    let user = User::new(ROOT_OF_ITS_OWN).in_a_place_of_its_own();
    let program = user.program();
    let inside = |options: &[&str], script: &str| {
        let first = ["unshare", "-Ur", &program, "run"];
        let command = ["--", "sh", "-c", script];
        ended(&mut user.command(&[&first[..], options, &command].concat()))
    };
    let script = "id -u; cat /proc/self/uid_map; touch /etc/new";
    let map = "         0          0          1\n";
    assert_eq!(inside(&[], script).fine(), format!("0\n{map}"));
    // Of a root file system, too; as what the user may not do is told with the reason.
    let layer = own_directory(&user, "rootfs", ROOT_OF_ITS_OWN);
    let layer = layer.to_str().unwrap();
    let mounts = [
        "--mount",
        "/usr:/usr:ro",
        "--mount",
        "/lib:/lib:ro",
        "--mount",
        "/lib64:/lib64:ro",
    ];
    let options = [&["--layer", layer, "--mount", "/bin:/bin:ro"], &mounts[..]].concat();
    assert_eq!(inside(&options, script).fine(), format!("0\n{map}"));
    let limited = inside(&["--memory", "64"], "true");
    assert!(limited.err.contains("ordinary user"), "{limited:?}");
}
