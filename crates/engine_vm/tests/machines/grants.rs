//! Users of machines, and files that are granted to them.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use engine_vm::Users;
use hcs_engine::engine::{Engine as _, Exit, Found};
use hcs_schema::HResult;
use hcs_wire::access::{self, Holder, READ, WRITE};
use serde_json::{Value, json};

use crate::{
    cases::Case,
    disks::add,
    host::{Host, adopt},
};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases![
    a_disk_is_refused_until_it_is_granted,
    a_machine_cannot_reach_another_ones_files_or_qemu,
    a_grant_outlives_the_service_and_the_machine,
    users_that_others_have_are_refused,
];

fn disk_of(machine: &mut Value, path: &Path) {
    machine["Devices"]["Scsi"] = json!({"0": {"Attachments": {
        "0": {"Type": "VirtualDisk", "Path": path},
    }}});
}

/// A disk of root's that no other user may use.
fn private_disk(host: &Host, name: &str) -> std::path::PathBuf {
    let path = host.place.path().join(name);
    fs::write(&path, [0; 4096]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn a_disk_is_refused_until_it_is_granted() {
    let host = Host::new();
    let disk = private_disk(&host, "disk.raw");
    let refused = host.refused(&host.document(|machine| disk_of(machine, &disk)));
    assert_eq!(refused.hresult, HResult::E_ACCESSDENIED, "{refused}");
    let user = host.user("a machine");
    let cause = &refused.causes[0];
    assert_eq!(
        cause.pointer.as_deref(),
        Some("/VirtualMachine/Devices/Scsi/0/Attachments/0/Path")
    );
    let command = format!("setfacl -m u:{user}:rw {}", disk.display());
    assert!(cause.message.contains("HcsGrantVmAccess"), "{refused}");
    assert!(cause.message.contains(&command), "{refused}");

    // What may only be read is no disk to be written.
    access::grant(&disk, Holder::User(user), READ).unwrap();
    host.refused(&host.document(|machine| disk_of(machine, &disk)));
    host.grant("another machine", &disk);
    host.refused(&host.document(|machine| disk_of(machine, &disk)));

    let running = host.start_with(|machine| machine["Devices"]["Scsi"] = json!({"0": {}}));
    host.com().booted();
    let refused = add(&*running.machine, &disk).unwrap_err();
    assert_eq!(refused.hresult, HResult::E_ACCESSDENIED, "{refused}");
    let pointer = refused.causes[0].pointer.as_deref();
    assert_eq!(pointer, Some("/Settings/Path"));
    host.grant("a machine", &disk);
    add(&*running.machine, &disk).unwrap();
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
    access::revoke(&disk, Holder::User(user)).unwrap();
    host.refused(&host.document(|machine| disk_of(machine, &disk)));

    // All machines may use it.
    let group = host.engine.identity("x").unwrap().unwrap().group;
    access::grant(&disk, Holder::Group(group), READ | WRITE).unwrap();
    let running = host.start_with(|machine| disk_of(machine, &disk));
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

/// Whether a shell of that user and group, and no other group, can do it.
fn can(user: u32, script: &str) -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).uid(user).gid(user);
    let shell = shell.stdout(Stdio::null()).stderr(Stdio::null());
    shell.current_dir("/").status().unwrap().success()
}

fn a_machine_cannot_reach_another_ones_files_or_qemu() {
    let host = Host::new();
    // The folder is no wall here: the files are.
    fs::set_permissions(host.place.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let [one, other] = ["one.raw", "other.raw"].map(|name| private_disk(&host, name));
    host.grant("a machine", &one);
    host.grant("other", &other);
    let first = host.start_with(|machine| disk_of(machine, &one));
    let second = {
        let document = host.document(|machine| {
            disk_of(machine, &other);
            machine["Devices"]["ComPorts"] = json!({});
        });
        let mut request = host.request(&document);
        request.id = "other".to_owned();
        host.running(request)
    };
    let user_of = |pid: i32| fs::metadata(format!("/proc/{pid}/status")).unwrap().uid();
    let machines = [(&first, &one, "a machine"), (&second, &other, "other")];
    for (running, _, id) in machines {
        assert_eq!(user_of(running.qemu()), host.user(id));
    }
    assert_ne!(host.user("a machine"), host.user("other"));
    for (running, disk, id) in machines {
        for (owner, _, name) in machines {
            let user = host.user(name);
            assert_eq!(owner.qemu() == running.qemu(), name == id);
            let its = name == id;
            let qemu = running.qemu();
            let disk = disk.display();
            assert_eq!(can(user, &format!("cat {disk}")), its, "{name}: {disk}");
            assert_eq!(can(user, &format!(": >> {disk}")), its, "{name}: {disk}");
            assert_eq!(can(user, &format!("kill -0 {qemu}")), its, "{name}: {qemu}");
            // What a debugger needs, too.
            let memory = format!("head -c 0 /proc/{qemu}/mem && cat /proc/{qemu}/maps");
            assert_eq!(can(user, &memory), its, "{name}: {qemu}");
        }
    }
    for running in [&first, &second] {
        running.machine.kill().unwrap();
    }
    first.wait();
    second.wait();
    assert_eq!(first.end(), Exit::Killed);
    assert_eq!(second.end(), Exit::Killed);
}

fn a_grant_outlives_the_service_and_the_machine() {
    let mut host = Host::new();
    let disk = private_disk(&host, "disk.raw");
    host.grant("a machine", &disk);
    let before = host.user("a machine");
    host.restart();
    assert_eq!(host.user("a machine"), before);
    for _ in 0..2 {
        let running = host.start_with(|machine| disk_of(machine, &disk));
        running.machine.kill().unwrap();
        assert_eq!(running.end(), Exit::Killed);
    }

    // A machine that is taken over keeps its user: no machine of another id gets it, and its files stay granted.
    let request = host.request(&host.document(|machine| {
        machine["Devices"]["Scsi"] = json!({"0": {}});
    }));
    let machine = host.engine.create(&request).unwrap();
    machine
        .start(&hcs_schema::documents::StartOptions::default())
        .unwrap();
    let record = machine.record();
    drop(machine);
    host.restart();
    let Found::Living(machine) = adopt(&host, &request, &record) else {
        panic!("it is gone");
    };
    add(&*machine, &disk).unwrap();
    machine.kill().unwrap();
    crate::host::wait_for_end(&*machine);
    machine.release().unwrap();
    host.nothing_is_left(&request.runtime_id);
}

fn users_that_others_have_are_refused() {
    let mut host = Host::new();
    // The one of root's group is taken, whatever the accounts of this host are.
    host.config.users = Users {
        first: u32::MAX - 1,
        count: 2,
    };
    host.restart();
    let refused = host.refused(&host.document(|_| ()));
    assert!(refused.message.contains("users, in [vm]"), "{refused}");

    // Of one user for all machines one machine has it.
    host.config.users = Users {
        count: 2,
        ..Users::UNUSED
    };
    host.restart();
    let running = host.start();
    let mut request = host.request(&host.document(|machine| {
        machine["Devices"]["ComPorts"] = json!({});
    }));
    request.id = "other".to_owned();
    let refused = host.engine.create(&request).unwrap_err();
    assert!(refused.message.contains("\"a machine\""), "{refused}");
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
    let second = host.running(request);
    second.machine.kill().unwrap();
    assert_eq!(second.end(), Exit::Killed);
}
