//! Life and ends of machines, faults, adoption, and what QEMU has of the host.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use engine_container::shared::MachineGroups;
use engine_vm::{EngineConfig, VmEngine};
use hcs_engine::engine::{Engine as _, Exit, Found};
use hcs_schema::{
    HResult,
    documents::{CrashOptions, PauseOptions, ShutdownOptions, StartOptions, SystemPropertyType},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::host::{Com, Host, adopt, processes, wait_for_end};

/// A test: its name and its body, which fails by panicking.
pub(crate) type Case = (&'static str, fn());

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases![
    a_guest_is_read_and_written_by_its_serial_port,
    readers_come_one_after_the_other,
    a_pipe_may_be_a_path,
    ends_are_told_as_they_were,
    a_guest_that_may_reset_goes_on,
    a_machine_is_killed_at_any_time,
    pause_and_resume_stop_and_continue_the_guest,
    the_power_button_is_pressed,
    a_guest_is_made_to_crash,
    a_killed_qemu_or_worker_ends_its_machine_alone,
    a_qemu_that_stands_still_is_told_and_goes_on,
    a_machine_is_taken_over,
    a_record_that_is_forged_is_not_believed,
    ends_without_a_service_are_told_as_they_were,
    kernels_that_are_none_are_told,
    a_missing_qemu_is_told_with_the_package,
    memory_that_the_host_has_not_is_told,
    qemu_has_nothing_of_the_host,
    a_file_that_others_may_not_read_boots,
    use_of_resources_is_counted,
];

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn a_guest_is_read_and_written_by_its_serial_port() {
    let host = Host::new();
    fs::write(host.place.path().join("initrd"), "of the module\0").unwrap();
    let initrd = host.place.path().join("initrd");
    let running = host.start_with(|machine| {
        machine["Chipset"]["LinuxKernelDirect"]["InitRdPath"] = json!(initrd);
    });
    let mut com = host.com();
    let said = com.booted();
    assert!(said.ends_with(" a=1,bof the module"), "{said}");
    com.say("echo");
    assert_eq!(com.read_to("ech"), "");
    assert_eq!(running.end(), Exit::PowerOff);
}

fn readers_come_one_after_the_other() {
    let host = Host::new();
    let running = host.start();
    let mut first = host.com();
    first.booted();
    first.say("1\n");
    first.booted();
    let mut second = host.com();
    second.say("2\n");
    drop(first);
    assert_eq!(second.booted(), "2");
    second.say("o");
    assert_eq!(running.end(), Exit::PowerOff);
}

fn a_pipe_may_be_a_path() {
    let host = Host::new();
    let path = host.place.path().join("a pipe");
    let at = path.clone();
    let running = host.start_with(|machine| {
        machine["Devices"]["ComPorts"] =
            json!({"0": {"NamedPipe": at}, "1": {"NamedPipe": r"\\.\pipe\com"}});
    });
    let refused = {
        let request = host.request(&host.document(|_| ()));
        host.engine.create(&request).unwrap_err()
    };
    let pointer = refused.causes[0].pointer.as_deref();
    assert_eq!(
        pointer,
        Some("/VirtualMachine/Devices/ComPorts/0/NamedPipe"),
        "{refused}"
    );
    assert_eq!(
        fs::metadata(&path).unwrap().mode() & 0o022,
        0,
        "others may connect"
    );
    let mut com = Com::at(&path);
    com.booted();
    com.say("o");
    assert_eq!(running.end(), Exit::PowerOff);
    assert!(!path.exists());
}

/// Letters for the guest, and the ends that they bring about.
const ENDS: [(&str, Exit); 4] = [
    ("o", Exit::PowerOff),
    ("r", Exit::Reset),
    ("t", Exit::Reset),
    ("p", Exit::Crash),
];

fn ends_are_told_as_they_were() {
    let host = Host::new();
    for (letter, exit) in ENDS {
        let running = host.start();
        let mut com = host.com();
        com.booted();
        com.say(letter);
        assert_eq!(running.end(), exit, "{letter}");
    }
}

fn a_guest_that_may_reset_goes_on() {
    let host = Host::new();
    let running = host.start_with(|machine| machine["StopOnReset"] = json!(false));
    let mut com = host.com();
    for letter in ["r", "t", "o"] {
        com.booted();
        com.say(letter);
    }
    assert_eq!(running.end(), Exit::PowerOff);
}

fn a_machine_is_killed_at_any_time() {
    let host = Host::new();
    let request = host.request(&host.document(|_| ()));
    let machine = host.engine.create(&request).unwrap();
    assert!(machine.release().is_err(), "it still runs");
    machine.kill().unwrap();
    wait_for_end(&*machine);
    assert_eq!(machine.exit(), Exit::Killed);
    machine.kill().unwrap();
    assert!(machine.start(&StartOptions::default()).is_err());
    machine.release().unwrap();
    host.nothing_is_left(&request.runtime_id);
    let running = host.start();
    running.machine.pause(&PauseOptions::default()).unwrap();
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

fn pause_and_resume_stop_and_continue_the_guest() {
    let host = Host::new();
    let running = host.start();
    let mut com = host.com();
    com.booted();
    let machine = &running.machine;
    assert_eq!(machine.is_paused(), Some(false));
    for _ in 0..2 {
        machine.pause(&PauseOptions::default()).unwrap();
        assert_eq!(machine.is_paused(), Some(true));
    }
    let unsaved = machine.can_be_saved().unwrap_err();
    assert_eq!(unsaved.hresult, HResult::E_NOTIMPL);
    // It has no device that QEMU does not move.
    assert!(unsaved.message.contains("does not do it yet"), "{unsaved}");
    assert!(unsaved.causes.is_empty(), "{unsaved}");
    // Again is fine, and does not let a paused machine run.
    machine.start(&StartOptions::default()).unwrap();
    assert_eq!(machine.is_paused(), Some(true));
    com.say("x");
    for _ in 0..2 {
        machine.resume().unwrap();
        assert_eq!(machine.is_paused(), Some(false));
    }
    assert_eq!(com.read_to("x"), "");
    com.say("o");
    assert_eq!(running.end(), Exit::PowerOff);
}

fn the_power_button_is_pressed() {
    let host = Host::new();
    let running = host.start();
    host.com().booted();
    let pressed = running.machine.shut_down(&ShutdownOptions::default());
    assert!(pressed.unwrap());
    // This guest does not look at the button.
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

/// This guest cannot take an interrupt: it faults thrice, which resets it.
fn a_guest_is_made_to_crash() {
    let host = Host::new();
    let running = host.start();
    host.com().booted();
    let machine = &running.machine;
    machine.pause(&PauseOptions::default()).unwrap();
    let refused = machine.crash(&CrashOptions::default()).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCS_E_INVALID_STATE, "{refused}");
    machine.resume().unwrap();
    machine.crash(&CrashOptions::default()).unwrap();
    assert_eq!(running.end(), Exit::Reset);
}

fn a_killed_qemu_or_worker_ends_its_machine_alone() {
    let host = Host::new();
    let other = host.start_with(|machine| {
        machine["Devices"]["ComPorts"]["0"]["NamedPipe"] = json!(r"\\.\pipe\other");
    });
    for kill_worker in [false, true] {
        let running = host.start();
        let mut com = host.com();
        com.booted();
        let victim = if kill_worker {
            running.worker()
        } else {
            running.qemu()
        };
        signal(victim, Signal::KILL);
        wait_for_end(&*running.machine);
        assert_eq!(running.machine.exit(), Exit::Killed);
        running.machine.release().unwrap();
        assert!(processes(&running.request.runtime_id).is_empty());
        assert!(!host.config.pipes.join("com").exists());
    }
    let mut com = Com::at(&host.config.pipes.join("other"));
    com.booted();
    com.say("o");
    assert_eq!(other.end(), Exit::PowerOff);
}

fn a_qemu_that_stands_still_is_told_and_goes_on() {
    let host = Host::new();
    let running = host.start();
    let mut com = host.com();
    com.booted();
    let (qemu, machine) = (running.qemu(), &running.machine);
    signal(qemu, Signal::STOP);
    let refused = machine.pause(&PauseOptions::default()).unwrap_err();
    let said = refused.causes.iter().map(|cause| &*cause.message);
    assert!(
        said.clone().any(|text| text.contains("has not answered")),
        "{refused:?}"
    );
    signal(qemu, Signal::CONT);
    // What was late is no answer to what is asked now.
    machine.pause(&PauseOptions::default()).unwrap();
    assert_eq!(machine.is_paused(), Some(true));
    machine.resume().unwrap();
    com.say("x");
    assert_eq!(com.read_to("x"), "");
    signal(qemu, Signal::STOP);
    machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

fn a_machine_is_taken_over() {
    let mut host = Host::new();
    let (request, record) = {
        let running = host.start();
        host.com().booted();
        (running.request.clone(), running.machine.record())
    };
    for round in 0..2 {
        host.restart();
        let Found::Living(machine) = adopt(&host, &request, &record) else {
            panic!("it lives");
        };
        assert_eq!(machine.record(), record);
        machine.start(&StartOptions::default()).unwrap();
        let mut com = host.com();
        com.say("x\n");
        assert_eq!(com.booted(), "x");
        if round == 0 {
            machine.pause(&PauseOptions::default()).unwrap();
            machine.resume().unwrap();
            continue;
        }
        com.say("o");
        wait_for_end(&*machine);
        assert_eq!(machine.exit(), Exit::PowerOff);
        machine.release().unwrap();
    }
    host.nothing_is_left(&request.runtime_id);
    let Found::Gone { exit, .. } = adopt(&host, &request, &record) else {
        panic!("it is gone");
    };
    assert_eq!(exit, Exit::PowerOff);
}

/// A record that a container may have written, to which the state root was mapped before it was one: the process that
/// it names is not ended.
fn a_record_that_is_forged_is_not_believed() {
    let host = Host::new();
    let running = host.start();
    host.com().booted();
    let record: Value = serde_json::from_str(&running.machine.record()).unwrap();
    let mut victim = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    // The kernel tells that it has executed before it tells its command line.
    let line = format!("/proc/{}/cmdline", victim.id());
    while fs::read(&line).unwrap().is_empty() {
        std::thread::yield_now();
    }
    let stat = fs::read_to_string(format!("/proc/{}/stat", victim.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let start_time: u64 = fields.split(' ').nth(19).unwrap().parse().unwrap();
    let mut other = record.clone();
    other["Worker"]["Pid"] = json!(victim.id());
    other["Worker"]["StartTime"] = json!(start_time);
    let mut without_groups = other.clone();
    without_groups["Groups"] = json!({"v1": [], "unified": null});
    let named = record.to_string();
    let named = named.replace(&running.request.runtime_id, "another");
    // The worker of a machine of another service.
    let elsewhere = Host::new();
    let theirs = elsewhere.start();
    let mut of_theirs: Value = serde_json::from_str(&theirs.machine.record()).unwrap();
    of_theirs["Groups"] = json!({"v1": [], "unified": null});
    let forged = [other, without_groups, of_theirs].map(|record| record.to_string());
    for forged in forged.into_iter().chain([named]) {
        match adopt(&host, &running.request, &forged) {
            Found::Gone { why, .. } => {
                assert!(why.to_string().contains("not one that a service"), "{why}");
            }
            Found::Living(_) => panic!("it is believed: {forged}"),
        }
    }
    assert!(victim.try_wait().unwrap().is_none(), "it was ended");
    // Nor by a link to its socket.
    let own = running.request.directory.join("worker.sock");
    let aside = own.with_extension("aside");
    fs::rename(&own, &aside).unwrap();
    std::os::unix::fs::symlink(theirs.request.directory.join("worker.sock"), &own).unwrap();
    let mut linked: Value = serde_json::from_str(&theirs.machine.record()).unwrap();
    linked["Groups"] = json!({"v1": [], "unified": null});
    let found = adopt(&host, &running.request, &linked.to_string());
    assert!(matches!(found, Found::Gone { .. }), "a link is followed");
    fs::rename(&aside, &own).unwrap();
    let found = adopt(&host, &running.request, &record.to_string());
    assert!(matches!(found, Found::Living(_)), "it is ours");
    theirs.machine.kill().unwrap();
    assert_eq!(theirs.end(), Exit::Killed);
    victim.kill().unwrap();
    victim.wait().unwrap();
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

fn ends_without_a_service_are_told_as_they_were() {
    let mut host = Host::new();
    let mut ends: Vec<_> = ENDS.map(|(letter, exit)| (Some(letter), exit)).into();
    ends.push((None, Exit::Killed));
    for (letter, exit) in ends {
        let (request, record) = {
            let running = host.start();
            let mut com = host.com();
            com.booted();
            match letter {
                Some(letter) => com.say(letter),
                None => signal(running.worker(), Signal::KILL),
            }
            wait_for_end(&*running.machine);
            (running.request.clone(), running.machine.record())
        };
        host.restart();
        let Found::Gone { exit: found, .. } = adopt(&host, &request, &record) else {
            panic!("it is gone");
        };
        assert_eq!(found, exit);
        // A service has the groups removed with those of containers.
        host.engine.sweep(&[]).finish().unwrap();
        assert!(!host.config.pipes.exists());
        remove_groups(&record);
    }
}

/// Removes the control groups of a machine, after the end of its QEMU, which may outlive its worker for a moment.
fn remove_groups(record: &str) {
    let record: Value = serde_json::from_str(record).unwrap();
    let groups: MachineGroups = serde_json::from_value(record["Groups"].clone()).unwrap();
    groups.remove().unwrap();
}

fn kernels_that_are_none_are_told() {
    let host = Host::new();
    let kernel = host.place.path().join("kernel");
    let pointer = "/VirtualMachine/Chipset/LinuxKernelDirect/KernelFilePath";
    let with_kernel = |path: &Path| {
        host.document(|machine| {
            machine["Chipset"]["LinuxKernelDirect"]["KernelFilePath"] = json!(path);
        })
    };
    let missing = host.refused(&with_kernel(&host.place.path().join("missing")));
    assert_eq!(missing.hresult, HResult::FILE_NOT_FOUND);
    assert_eq!(missing.causes[0].pointer.as_deref(), Some(pointer));
    let directory = host.refused(&with_kernel(host.place.path()));
    assert_eq!(directory.causes[0].pointer.as_deref(), Some(pointer));
    for content in [
        &b"not a kernel"[..],
        b"",
        &[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 9, 9, 9],
    ] {
        fs::write(&kernel, content).unwrap();
        let corrupt = host.refused(&with_kernel(&kernel));
        let said = corrupt
            .causes
            .iter()
            .any(|cause| cause.message.starts_with("QEMU says: "));
        assert!(said, "{content:?}: {corrupt:?}");
    }
}

fn a_missing_qemu_is_told_with_the_package() {
    let host = Host::new();
    let config = EngineConfig {
        qemu: Some(PathBuf::from("/nowhere/qemu-system-x86_64")),
        ..host.config.clone()
    };
    let executable = fs::File::open("/proc/self/exe").unwrap();
    let engine = VmEngine::new(executable.into(), config);
    let request = host.request(&host.document(|_| ()));
    let failure = engine.create(&request).unwrap_err();
    assert_eq!(failure.hresult, HResult::HCS_E_HYPERV_NOT_INSTALLED);
    host.nothing_is_left(&request.runtime_id);
}

fn memory_that_the_host_has_not_is_told() {
    let host = Host::new();
    let document = host.document(|machine| {
        machine["ComputeTopology"]["Memory"]["SizeInMB"] = json!(4 << 20);
    });
    let failure = host.refused(&document);
    assert!(!failure.causes.is_empty(), "{failure:?}");
}

fn qemu_has_nothing_of_the_host() {
    let host = Host::new();
    let running = host.start();
    host.com().booted();
    let qemu = running.qemu();
    let status = fs::read_to_string(format!("/proc/{qemu}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let user = host.user("a machine");
    let four = format!("{user} {user} {user} {user}");
    assert_eq!((field("Uid:"), field("Gid:")), (four.clone(), four));
    assert_eq!(field("Groups:"), "");
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((&*field("NoNewPrivs:"), &*field("Seccomp:")), ("1", "2"));
    // QEMU's own filter looks at no socket family: another one lies below it.
    assert_eq!(field("Seccomp_filters:"), "2");
    assert_eq!(field("NSpid:").split(' ').nth(1), Some("1"), "{status}");
    for namespace in ["mnt", "net", "ipc", "uts", "pid", "cgroup"] {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/{namespace}")).unwrap();
        assert_ne!(of("self"), of(&qemu.to_string()), "{namespace}");
    }
    assert_eq!(fs::read(format!("/proc/{qemu}/environ")).unwrap(), b"");
    let root = PathBuf::from(format!("/proc/{qemu}/root"));
    for gone in [
        "root",
        "home",
        "var",
        "run",
        "tmp",
        "sys",
        "opt",
        "etc/passwd",
        "dev/kvm",
    ] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    assert!(
        fs::write(root.join("new"), "").is_err(),
        "its root can be written"
    );
    // Only the worker, which says nothing to others, holds the machine with it.
    let worker = fs::read_to_string(format!("/proc/{}/status", running.worker())).unwrap();
    let effective = worker
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:\t"));
    assert_eq!(effective, Some("0000000000000020"), "CAP_KILL alone");
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

fn a_file_that_others_may_not_read_boots() {
    let host = Host::new();
    let kernel = host.place.path().join("kernel");
    fs::set_permissions(&kernel, fs::Permissions::from_mode(0o600)).unwrap();
    let running = host.start();
    let mut com = host.com();
    com.booted();
    com.say("o");
    assert_eq!(running.end(), Exit::PowerOff);
}

fn use_of_resources_is_counted() {
    let host = Host::new();
    let running = host.start();
    host.com().booted();
    let property = |kind| running.machine.property(kind).unwrap().unwrap();
    let statistics = property(SystemPropertyType::Statistics).statistics.unwrap();
    let memory = statistics
        .memory
        .unwrap()
        .memory_usage_commit_bytes
        .unwrap();
    assert!(memory > 1 << 20, "{memory}");
    assert!(statistics.processor.unwrap().total_runtime100ns > Some(0));
    let memory = property(SystemPropertyType::Memory).memory.unwrap();
    let memory = memory.virtual_machine_memory.unwrap();
    assert_eq!(memory.assigned_memory, Some(16 * 256), "{memory:?}");
    assert!(memory.available_memory.unwrap() > 0, "{memory:?}");
    assert_eq!(running.machine.memory_kills().count, 0);
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}
