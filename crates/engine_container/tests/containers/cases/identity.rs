//! The users of a container with a user namespace: root inside, no user outside.

use std::{fs, os::unix::fs::MetadataExt};

use hcs_engine::engine::Engine as _;
use serde_json::json;

use crate::host::{Container, Host};

super::cases![
    root_inside_is_nobody_outside,
    each_container_is_somebody_else,
    no_id_inside_owns_the_namespace,
    another_service_gives_out_other_ids,
    its_ids_are_held_as_long_as_it_lives,
    instances_of_the_hosts_root_are_its_own,
    no_capability_reaches_the_host,
    what_it_writes_has_its_own_ids,
    other_users_and_groups_work_inside,
    pipes_can_be_opened_again,
    what_cannot_be_had_is_refused,
];

fn start(host: &Host) -> Container {
    host.start(json!({ "UserNamespace": true }))
}

/// The ids of the container's pid 1 on the host.
fn ids(container: &Container) -> [u32; 2] {
    let status = fs::read_to_string(format!("/proc/{}/status", container.recorded("Pid"))).unwrap();
    ["Uid:", "Gid:"].map(|key| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        let ids: Vec<u32> = line
            .split_whitespace()
            .skip(1)
            .map(|id| id.parse().unwrap())
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{line}");
        ids[0]
    })
}

fn root_inside_is_nobody_outside() {
    let host = Host::new();
    let container = start(&host);
    assert_eq!(container.shell("id -u; id -g"), "0\n0");
    let range = host.config.user_namespaces.users;
    for id in ids(&container) {
        assert!(
            (range.first..range.first + range.count).contains(&id),
            "{id}"
        );
    }
    let map = container.shell("cat /proc/self/uid_map");
    let map: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(map, ["0", ids(&container)[0].to_string().as_str(), "65535"]);
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    assert_ne!(
        container.shell("readlink /proc/self/ns/user"),
        own.to_str().unwrap()
    );
    // No groups of the service's are left.
    assert_eq!(
        container.shell("sed -n 's/^Groups:\\s*//p' /proc/1/status"),
        ""
    );
}

/// A process of the host with the owner's id has all rights over a namespace: no set-user-ID program that a container
/// makes may lead there.
fn no_id_inside_owns_the_namespace() {
    let host = Host::new();
    let container = start(&host);
    let pid = container.recorded("Pid");
    let get_owner = 0xb704;
    let script = format!(
        "open N, '<', '/proc/{pid}/ns/user' or die; $b = pack('L', 0); ioctl(N, {get_owner}, $b) or die; print unpack('L', $b)"
    );
    let answer = std::process::Command::new("perl")
        .args(["-e", &script])
        .output()
        .unwrap();
    let owner: u32 = String::from_utf8_lossy(&answer.stdout).parse().unwrap();
    let first = ids(&container)[0];
    assert_eq!(owner, first + 65_535, "{answer:?}");
    // It is no other container's either.
    assert_ne!(ids(&start(&host))[0], owner);
}

fn each_container_is_somebody_else() {
    let host = Host::new();
    let (first, second) = (start(&host), start(&host));
    assert_ne!(ids(&first), ids(&second));
    assert_eq!(first.recorded("UserNamespace")["Slot"], 0);
    // What one has is free again when it is gone.
    drop(first);
    assert_eq!(start(&host).recorded("UserNamespace")["Slot"], 0);
}

fn another_service_gives_out_other_ids() {
    let host = Host::new();
    let other = Host::with(|config| config.ids_in_use.clone_from(&host.config.ids_in_use));
    let first = start(&host);
    let second = start(&other);
    assert_ne!(ids(&first), ids(&second));
    // A service that comes after the first finds them as they were, and so does the other.
    let record = first.machine.record();
    let request = first.request.clone();
    let adopted = host.engine.adopt(&request, &record).unwrap();
    drop(adopted);
    let third = start(&other);
    assert!(![ids(&first), ids(&second)].contains(&ids(&third)));
    let free = ids(&first);
    drop(first);
    assert_eq!(ids(&start(&other)), free);
}

/// A service in another pid namespace can tell a container that lives from one that is gone, when the service of that
/// one is gone: the first process has the claim open and locked.
fn its_ids_are_held_as_long_as_it_lives() {
    let host = Host::new();
    let container = start(&host);
    let pid = container.recorded("Pid");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let claim = host
        .config
        .ids_in_use
        .join(format!("{}-", ids(&container)[0]));
    assert!(maps.contains(claim.to_str().unwrap()), "{maps}");
    drop(container);
    assert_eq!(fs::read_dir(&host.config.ids_in_use).unwrap().count(), 0);
}

fn instances_of_the_hosts_root_are_its_own() {
    // Each user has so many instances of inotify, and what processes of a user namespace use counts for its owner as
    // well, who is not host's root: that one has all of its own while the container has none left.
    let host = Host::new();
    let container = start(&host);
    let number = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap();
    let instances: u32 = number.trim().parse().unwrap();
    let call = libc::SYS_inotify_init1;
    // A process in the background holds them, so that they are used up when the shell has ended.
    let script = format!(
        r#"ulimit -n $(ulimit -Hn); perl -e 'my $n = 0; while ($n < {instances} + 10 && syscall({call}, 0) >= 0) {{ $n++ }}
           open my $told, ">", "/tmp/told"; print $told "$n\n"; close $told; close STDOUT; close STDERR; sleep' &
           until [ -s /tmp/told ]; do :; done; cat /tmp/told"#
    );
    assert_eq!(container.shell(&script), instances.to_string());
    let own = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC);
    assert!(own.is_ok(), "{own:?}");
}

fn no_capability_reaches_the_host() {
    let host = Host::new();
    let container = start(&host);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        let found = container.shell(&format!("sed -n 's/^{set}:\\s*//p' /proc/self/status"));
        assert_eq!(found, "00000000800405fb", "{set}");
    }
    for (what, script) in [
        ("a node", "mknod /tmp/null c 1 3"),
        ("the clock", "date -s @0"),
        ("the host name", "hostname other"),
        ("a mount", "mount -t tmpfs none /mnt"),
        (
            "a setting of the kernel",
            "echo x > /proc/sys/kernel/core_pattern",
        ),
        ("a priority", "renice -n -20 $$"),
    ] {
        let outcome = container.run(&["sh", "-c", script]);
        assert_ne!(outcome.code, 0, "{what}: {outcome:?}");
    }
}

fn what_it_writes_has_its_own_ids() {
    let host = Host::new();
    let shared = host.files.path().join("shared");
    let scratch = host.files.path().join("kept");
    for directory in [&shared, &scratch] {
        fs::create_dir(directory).unwrap();
    }
    let document = json!({
        "UserNamespace": true,
        "Storage": { "Layers": [{ "Path": "/" }], "Path": scratch },
        "MappedDirectories": [{ "HostPath": shared, "ContainerPath": "/shared", "ShiftOwners": true }],
    });
    let container = host.start(document.clone());
    container
        .shell("echo mine > /shared/mine && echo theirs > /opt/theirs && chown 7:8 /opt/theirs");
    let owner = |path: &std::path::Path| {
        let found = fs::metadata(path).unwrap();
        (found.uid(), found.gid())
    };
    assert_eq!(owner(&shared.join("mine")), (0, 0));
    assert_eq!(owner(&scratch.join("upper/opt/theirs")), (7, 8));
    drop(container);
    // Whichever ids the next container has on the host, it finds what was kept as it was left.
    let _other = start(&host);
    let again = host.start(document);
    assert_eq!(
        again.shell("stat -c %u:%g /opt/theirs; cat /opt/theirs"),
        "7:8\ntheirs"
    );
}

fn other_users_and_groups_work_inside() {
    let host = Host::new();
    let container = start(&host);
    let script = "setpriv --reuid 1000 --regid 1000 --groups 5,7 id -u; cd /tmp && touch a && chown 1000 a && \
                  setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'echo x > a; cat a'";
    assert_eq!(container.shell(script), "1000\nx");
    // Ids past the range are none.
    assert_ne!(container.run(&["chown", "100000", "/tmp/a"]).code, 0);
}

fn pipes_can_be_opened_again() {
    use hcs_schema::Stdio;
    let host = Host::new();
    let container = start(&host);
    let wanted = Stdio {
        stdin: true,
        stdout: true,
        stderr: true,
    };
    let mut offer = container
        .machine
        .guest()
        .unwrap()
        .open_stdio(wanted)
        .unwrap();
    for end in offer.take_guest_ends() {
        assert_eq!(rustix::fs::fstat(&end).unwrap().st_uid, ids(&container)[0]);
    }
}

fn what_cannot_be_had_is_refused() {
    let host = Host::new();
    let failure = host.failure(json!({
        "UserNamespace": true,
        "Networking": { "Namespace": "/proc/self/ns/net" },
    }));
    assert_eq!(failure.hresult, hcs_schema::HResult::NOT_SUPPORTED);
    let pointer = failure.causes[0].pointer.as_deref();
    assert_eq!(pointer, Some("/Container/Networking/Namespace"));
}
