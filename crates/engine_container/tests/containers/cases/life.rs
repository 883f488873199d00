//! From birth to removal: kill, pause, adoption by a later service, sweeping, the launcher's death.

use std::{
    fs,
    io::{Read, Write},
    process::{Child, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use engine_container::{Claim, ContainerEngine, Launcher};
use hcs_engine::engine::{CreateRequest, Engine, Found, Machine};
use hcs_schema::{HResult, documents::PauseOptions};
use rustix::{
    fs::{XattrFlags, getxattr, setxattr},
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};

use crate::{
    host::{Container, Host, LIMIT, entries, statistics, wait_readable},
    mode::Mode,
};

super::cases![
    killing_ends_every_process,
    the_agents_end_is_the_machines_end,
    killing_again_is_fine,
    a_running_machine_is_not_released,
    pausing_stops_and_resuming_continues,
    a_paused_machine_can_be_killed,
    a_killed_machine_is_never_ready,
    one_that_is_not_ready_yet_is_adopted,
    a_machine_outlives_its_engine_and_is_adopted,
    one_that_was_not_written_down_is_ended_by_the_next_service,
    another_process_is_not_adopted,
    a_record_that_is_forged_is_not_believed,
    leftovers_are_swept_and_others_kept,
    a_scratch_of_a_user_says_whose_it_is,
    a_dead_launcher_is_replaced,
    many_are_made_at_once,
    paths_of_any_length_work,
];

/// Starts a process that runs until it is killed; answers when it runs.
fn start_sleeper(container: &Container) {
    container.shell("sleep 1000 > /dev/null 2>&1 & echo $!");
}

/// Pids on the host of everything in the container.
fn members(host: &Host, container: &Container) -> Vec<i32> {
    let files = host.groups().into_iter().map(|group| {
        group
            .join(&container.request.runtime_id)
            .join("cgroup.procs")
    });
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let mut pids: Vec<i32> = texts
        .flat_map(|text| {
            text.lines()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

pub(super) fn killing_ends_every_process() {
    let host = Host::new();
    let container = host.start(json!({}));
    start_sleeper(&container);
    let pids = members(&host, &container);
    assert_eq!(pids.len(), 2, "{pids:?}");
    container.machine.kill().unwrap();
    container.wait_gone();
    let alive: Vec<i32> = pids
        .into_iter()
        .filter(|pid| {
            // Its own pid 1 may still be waiting to be reaped by the launcher.
            fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z") && !stat.contains(") X"))
        })
        .collect();
    assert_eq!(alive, Vec::<i32>::new());
    assert_eq!(
        container
            .machine
            .guest()
            .unwrap()
            .connect_guest(LIMIT)
            .unwrap_err()
            .hresult,
        HResult::HCS_E_CONNECT_FAILED
    );
}

fn the_agents_end_is_the_machines_end() {
    let host = Host::new();
    let container = host.start(json!({}));
    let mut stream = container.connect();
    stream.write_all(b"[\"exit\", \"3\"]\n").unwrap();
    container.wait_gone();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

fn killing_again_is_fine() {
    let host = Host::new();
    let container = host.start(json!({}));
    container.machine.kill().unwrap();
    container.machine.kill().unwrap();
    container.wait_gone();
    container.machine.kill().unwrap();
    container.machine.release().unwrap();
    container.machine.release().unwrap();
}

fn a_running_machine_is_not_released() {
    let host = Host::new();
    let container = host.start(json!({}));
    let failure = container.machine.release().unwrap_err();
    assert_eq!(failure.hresult, HResult::HCS_E_INVALID_STATE);
    assert_eq!(container.shell("echo here"), "here");
}

pub(super) fn pausing_stops_and_resuming_continues() {
    let host = Host::new();
    let container = host.start(json!({}));
    let mut stream = container.connect();
    container
        .machine
        .pause(&PauseOptions::default())
        .unwrap_or_else(|f| panic!("{f:#?}"));
    container
        .machine
        .pause(&PauseOptions::default())
        .unwrap_or_else(|f| panic!("{f:#?}"));
    stream.write_all(b"[\"echo\", \"late\"]\n").unwrap();
    // Frozen, it cannot have answered; that it never would is not to be shown by waiting.
    stream.set_nonblocking(true).unwrap();
    assert_eq!(
        stream.read(&mut [0]).unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
    container
        .machine
        .resume()
        .unwrap_or_else(|f| panic!("{f:#?}"));
    stream.set_nonblocking(false).unwrap();
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).contains("late"));
    container
        .machine
        .resume()
        .unwrap_or_else(|f| panic!("{f:#?}"));
}

pub(super) fn a_paused_machine_can_be_killed() {
    let host = Host::new();
    let container = host.start(json!({}));
    start_sleeper(&container);
    container
        .machine
        .pause(&PauseOptions::default())
        .unwrap_or_else(|f| panic!("{f:#?}"));
    container.machine.kill().unwrap();
    container.wait_gone();
}

fn a_killed_machine_is_never_ready() {
    let host = Host::new();
    let request = host.request(json!({}));
    let machine = host.create(&request).unwrap_or_else(|f| panic!("{f:#?}"));
    let container = Container::new(machine, request);
    // Stopped before it is killed, so that it cannot have become ready in between.
    container
        .machine
        .pause(&PauseOptions::default())
        .unwrap_or_else(|f| panic!("{f:#?}"));
    let early = container
        .machine
        .guest()
        .unwrap()
        .wait_ready(Duration::ZERO);
    container.machine.kill().unwrap();
    match early {
        // It was faster than the pause.
        Ok(()) => {}
        Err(failure) => {
            assert_eq!(failure.hresult, HResult::HCS_E_CONNECTION_TIMEOUT);
            let failure = container.wait_ready().unwrap_err();
            assert!(
                failure.causes[0].message.contains("by signal 9"),
                "{failure:#?}"
            );
        }
    }
}

/// A second service on the same place.
fn second_engine(host: &Host) -> ContainerEngine {
    ContainerEngine::new(Launcher::spawn().unwrap(), host.config.clone())
}

fn adopt(engine: &ContainerEngine, request: &CreateRequest, record: &str) -> Arc<dyn Machine> {
    match engine.adopt(request, record) {
        Ok(Found::Living(machine)) => machine,
        other => panic!("{other:#?}"),
    }
}

fn one_that_is_not_ready_yet_is_adopted() {
    let mut host = Host::new();
    let request = host.request(json!({}));
    let machine = host.create(&request).unwrap_or_else(|f| panic!("{f:#?}"));
    let first = Container::new(machine, request.clone());
    // So that most often it does not listen yet when it is looked for.
    first
        .machine
        .pause(&PauseOptions::default())
        .unwrap_or_else(|f| panic!("{f:#?}"));
    let record = first.machine.record();
    host.engine = second_engine(&host);
    let adopted = Container::new(adopt(&host.engine, &request, &record), request);
    drop(adopted.machine.guest().unwrap().wait_ready(Duration::ZERO));
    adopted
        .machine
        .resume()
        .unwrap_or_else(|f| panic!("{f:#?}"));
    adopted.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(adopted.shell("echo here"), "here");
}

pub(super) fn a_machine_outlives_its_engine_and_is_adopted() {
    let mut host = Host::new();
    let first = host.start(json!({ "Memory": { "SizeInMB": 64 } }));
    let record = first.machine.record();
    let request = first.request.clone();
    host.engine = second_engine(&host);
    let adopted = Container::new(adopt(&host.engine, &request, &record), request);
    adopted.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(adopted.shell("echo here"), "here");
    assert_eq!(adopted.machine.record(), record);
    assert!(statistics(&*adopted.machine).memory.is_some());
    adopted.machine.kill().unwrap();
    wait_readable(&first.machine.exit_descriptor());
}

/// A service that is killed before it has written down what it made. Control groups name those of root.
fn one_that_was_not_written_down_is_ended_by_the_next_service() {
    let host = Host::new();
    let first = host.start(json!({}));
    let later = second_engine(&host);
    later.end_unrecorded(&first.request.directory);
    if Mode::get() != Mode::Rootless {
        later
            .sweep(&[])
            .finish()
            .unwrap_or_else(|f| panic!("{f:#?}"));
    }
    wait_readable(&first.machine.exit_descriptor());
}

fn another_process_is_not_adopted() {
    let host = Host::new();
    let container = host.start(json!({}));
    let record: Value = serde_json::from_str(&container.machine.record()).unwrap();
    let changed = |key: &str, value: Value| {
        let mut record = record.clone();
        record[key] = value;
        record.to_string()
    };
    let records = [
        changed("StartTime", json!(1)),
        changed("BootId", json!("another boot")),
        changed("Pid", json!(std::process::id())),
        "{}".to_owned(),
    ];
    let elsewhere = tempfile::tempdir().unwrap();
    let request = CreateRequest {
        directory: elsewhere.path().to_owned(),
        ..container.request.clone()
    };
    for record in &records {
        let found = host.engine.adopt(&request, record);
        assert!(
            matches!(found, Ok(Found::Gone { .. })),
            "{record}: {found:#?}"
        );
    }
    // Its number means nothing here, as in another pid namespace, and its agent still has the socket.
    for record in &records[..3] {
        let found = host.engine.adopt(&container.request, record);
        let left_alone = found.unwrap_err().to_string();
        assert!(left_alone.contains("pid namespace"), "{left_alone}");
    }
    assert_eq!(container.shell("echo unharmed"), "unharmed");
}

/// What makes the first process of a pid namespace, like that of a container of another engine.
fn another_engine() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork"]);
    command.args(["--kill-child", "sleep", "1000"]);
    command
}

/// The process that such a one has made.
fn first_process_of(engine: &Child) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", engine.id());
    let end = Instant::now() + LIMIT;
    loop {
        let made = fs::read_to_string(&children).unwrap();
        if let Ok(first) = made.trim().parse() {
            return first;
        }
        assert!(Instant::now() < end, "it has not begun");
        std::thread::yield_now();
    }
}

/// When a process was started, as a record says it.
fn start_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(19).unwrap().parse().unwrap()
}

/// A record that a container may have written, to which the state root was mapped before it was one: what it names of
/// the host is neither ended nor removed.
fn a_record_that_is_forged_is_not_believed() {
    let host = Host::new();
    let container = host.start(json!({}));
    let record: Value = serde_json::from_str(&container.machine.record()).unwrap();
    let (victim, other) = (tempfile::tempdir().unwrap(), host.start(json!({})));
    let path = |name: &str| victim.path().join(name).display().to_string();
    fs::write(path("file"), "kept").unwrap();
    let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut outer = another_engine().spawn().unwrap();
    let first = first_process_of(&outer);
    let none = json!({ "v1": [], "unified": null });
    let elsewhere = path(&container.request.runtime_id);
    fs::create_dir(&elsewhere).unwrap();
    let other: Value = serde_json::from_str(&other.machine.record()).unwrap();
    let mut forged = vec![
        vec![("Scratch", json!(victim.path()))],
        vec![("Lease", json!(path("file")))],
        vec![
            ("Pid", json!(sleeper.id())),
            ("StartTime", json!(start_time(sleeper.id()))),
        ],
        vec![
            ("Groups", none),
            ("Pid", json!(first)),
            ("StartTime", json!(start_time(first))),
        ],
        vec![(
            "Groups",
            json!({ "v1": [{ "directory": elsewhere, "controllers": [] }], "unified": null }),
        )],
    ];
    // An ordinary user's service has no control groups.
    if Mode::get() != Mode::Rootless {
        forged.push(vec![("Groups", other["Groups"].clone())]);
        forged.push(vec![
            ("Pid", other["Pid"].clone()),
            ("StartTime", other["StartTime"].clone()),
        ]);
    }
    for changes in forged {
        let mut record = record.clone();
        for (key, value) in &changes {
            record[*key] = value.clone();
        }
        let found = host.engine.adopt(&container.request, &record.to_string());
        let Ok(Found::Gone { why, .. }) = found else {
            panic!("{changes:?}: {found:#?}");
        };
        assert!(why.to_string().contains("not one that a service"), "{why}");
    }
    // A name of the forger's own, which is that of a directory of the host and part of the names of control groups.
    let named = CreateRequest {
        runtime_id: "hcs".to_owned(),
        ..container.request.clone()
    };
    let mut record = record;
    record["Groups"] =
        json!({ "v1": [{ "directory": "/x/hcs", "controllers": [] }], "unified": null });
    record["Scratch"] = json!(path("hcs"));
    let found = host.engine.adopt(&named, &record.to_string());
    assert!(matches!(found, Ok(Found::Gone { .. })), "{found:#?}");
    assert!(sleeper.try_wait().unwrap().is_none(), "it was ended");
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "kept");
    assert_eq!(container.shell("echo unharmed"), "unharmed");
    assert!(outer.try_wait().unwrap().is_none(), "it was ended");
    for mut process in [sleeper, outer] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

/// A user's containers have no control groups by which another service could tell.
fn a_scratch_of_a_user_says_whose_it_is() {
    let host = Host::new();
    let own = host.config.scratch_root.parent().unwrap();
    let _claim = Claim::take(&host.config, own).unwrap();
    let container = host.start(json!({}));
    let runtime_id = &container.request.runtime_id;
    let scratch = host.config.scratch_root.join(runtime_id);
    let mut found = [0; 128];
    let is_marked = getxattr(&scratch, "user.hcs.state_root", &mut found).is_ok();
    // Older kernels keep no such attributes in memory.
    let keeps = setxattr(own, "user.hcs.tried", b"x", XattrFlags::CREATE).is_ok();
    assert_eq!(is_marked, keeps && Mode::get() == Mode::Rootless);
}

pub(super) fn leftovers_are_swept_and_others_kept() {
    let host = Host::new();
    let forgotten = host.start(json!({}));
    let kept = host.start(json!({}));
    start_sleeper(&forgotten);
    // Not ours: another service's root may be inside our own.
    let strangers: Vec<_> = host
        .groups()
        .iter()
        .map(|group| group.join("0123456789abcdef"))
        .collect();
    for stranger in &strangers {
        fs::create_dir(stranger).unwrap();
    }
    // Nor is a group of a service of the same name, which has another state root.
    let own = host.config.scratch_root.parent().unwrap();
    let _claim = Claim::take(&host.config, own).unwrap();
    let another = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let another = format!("{} 0 0", another.trim());
    let id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    let others: Vec<_> = host.groups().iter().map(|group| group.join(id)).collect();
    for group in &others {
        let (name, flags) = ("trusted.hcs.state_root", XattrFlags::CREATE);
        fs::create_dir(group).unwrap();
        setxattr(group, name, another.as_bytes(), flags).unwrap();
    }
    // The same of the scratch of an ordinary user's container, whose process may live, though no group tells.
    let alive = "3f2504e0-4f89-11d3-9a0c-0305e82c3302";
    let alive = host.config.scratch_root.join(alive);
    fs::create_dir(&alive).unwrap();
    let (name, flags) = ("user.hcs.state_root", XattrFlags::CREATE);
    // Older kernels keep no such attributes in memory.
    let is_marked = setxattr(&alive, name, another.as_bytes(), flags).is_ok();
    let later = second_engine(&host);
    let swept = later.sweep(std::slice::from_ref(&kept.request.runtime_id));
    // All clients wait for this, and not for the removal of what was written.
    forgotten.wait_gone();
    assert_eq!(entries(&host.config.scratch_root).len(), 3);
    swept.finish().unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(alive.exists(), is_marked);
    drop(fs::remove_dir(&alive));
    assert_eq!(entries(&host.config.scratch_root).len(), 1);
    for group in host.groups() {
        assert!(!group.join(&forgotten.request.runtime_id).exists());
    }
    for stranger in strangers.into_iter().chain(others) {
        fs::remove_dir(stranger).unwrap();
    }
    assert_eq!(kept.shell("echo here"), "here");
    later
        .sweep(std::slice::from_ref(&kept.request.runtime_id))
        .finish()
        .unwrap_or_else(|f| panic!("{f:#?}"));
}

fn a_dead_launcher_is_replaced() {
    let host = Host::new();
    let before = host.start(json!({}));
    let status = fs::read_to_string(format!("/proc/{}/status", before.recorded("Pid"))).unwrap();
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:\t"))
        .unwrap();
    let parent = Pid::from_raw(parent.parse().unwrap()).unwrap();
    kill_process(parent, Signal::KILL).unwrap();
    let after = host.start(json!({}));
    assert_eq!(after.shell("echo here"), "here");
    assert_eq!(after.shell("ulimit -n"), before.shell("ulimit -n"));
    assert_eq!(before.shell("echo here"), "here");
}

fn many_are_made_at_once() {
    let host = Host::new();
    let containers: Vec<Container> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| host.start(json!({}))))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut names: Vec<String> = containers
        .iter()
        .map(|container| container.shell("hostname"))
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 8);
}

fn paths_of_any_length_work() {
    let host = Host::new();
    let mut request = host.request(json!({}));
    for _ in 0..4 {
        request.directory.push("x".repeat(200));
    }
    fs::create_dir_all(&request.directory).unwrap();
    let machine = host.create(&request).unwrap_or_else(|f| panic!("{f:#?}"));
    let container = Container::new(machine, request);
    container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(container.shell("echo here"), "here");
}
