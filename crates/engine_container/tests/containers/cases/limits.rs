//! Limits and accounts.

use hcs_engine::engine::{MemoryKills, ProcessRefusals};
use hcs_schema::HResult;
use serde_json::json;

use crate::host::{Container, Host, entries, in_private_mounts, statistics};

super::cases![
    a_scratch_holds_no_more_than_its_size,
    memory_is_limited_and_the_agent_survives,
    what_sockets_of_tcp_hold_is_limited,
    the_limits_can_be_read_inside,
    memory_can_be_changed_while_it_runs,
    a_limit_below_what_is_used_says_what_is_used,
    processors_are_limited_and_can_be_changed,
    the_number_of_processes_is_limited,
    a_document_limits_its_processes_and_refusals_are_counted,
    a_container_cannot_take_all_terminals_of_the_host,
    what_was_used_is_told,
    a_limit_that_nothing_enforces_is_refused,
    what_cannot_be_modified_is_refused,
];

/// Takes that many MiB of memory and says so.
fn take(container: &Container, megabytes: u32) -> bool {
    let script = format!("$x = 'x' x ({megabytes} << 20); print length $x");
    container.run(&["perl", "-e", &script]).code == 0
}

pub(super) fn memory_is_limited_and_the_agent_survives() {
    let host = Host::new();
    let container = host.start(json!({ "Memory": { "SizeInMB": 64 } }));
    assert!(take(&container, 16));
    assert_eq!(container.machine.memory_kills(), MemoryKills::default());
    assert!(!take(&container, 128));
    let expected = MemoryKills {
        count: 1,
        limit: Some(64 << 20),
    };
    assert_eq!(container.machine.memory_kills(), expected);
    assert_eq!(container.shell("echo here"), "here");
}

/// Connections of a process with itself, into which it writes without reading. Says how many MiB they have taken.
const FILL_TCP: &str = r#"
use Socket; use Fcntl;
my ($at, $taken, @kept);
socket($at, PF_INET, SOCK_STREAM, 0) and bind($at, sockaddr_in(0, INADDR_LOOPBACK)) and listen($at, 64) or die $!;
my $address = getsockname $at;
for (1 .. 400) {
    my ($from, $to);
    socket($from, PF_INET, SOCK_STREAM, 0) and connect($from, $address) and accept($to, $at) or die $!;
    push @kept, $from, $to;
    fcntl $from, F_SETFL, O_NONBLOCK;
    while (my $sent = syswrite $from, "x" x 65536) { $taken += $sent }
    last if $taken > 256 << 20;
}
print $taken >> 20"#;

fn what_sockets_of_tcp_hold_is_limited() {
    let host = Host::new();
    let container = host.start(json!({ "Memory": { "SizeInMB": 64 } }));
    let filled = container.run(&["perl", "-e", FILL_TCP]);
    assert_eq!(filled.stderr, "");
    // Version 2 of control groups may end the process instead. Each connection has a little in any case.
    let taken: Option<u32> = filled.stdout.trim().parse().ok();
    assert!(taken.is_none_or(|taken| taken < 160), "{filled:?}");
    assert!(taken.is_some() || filled.code > 128, "{filled:?}");
    assert_eq!(container.shell("echo here"), "here");
}

/// Row F6.
fn the_limits_can_be_read_inside() {
    let host = Host::new();
    let _other = host.start(json!({}));
    let container = host.start(json!({ "Memory": { "SizeInMB": 64 } }));
    let old = std::path::Path::new("/sys/fs/cgroup/memory").is_dir();
    let (group, limit) = match old {
        true => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        false => ("/sys/fs/cgroup", "memory.max"),
    };
    let read = container.shell(&format!("cat {group}/{limit}"));
    assert_eq!(read, (64 << 20).to_string());
    container.shell(&format!("grep -qx 1 {group}/cgroup.procs"));
    let pids = container
        .shell("cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null || :");
    assert_eq!(pids, "4096");
    // Nothing above or beside it, and nothing to write to.
    let found = container.shell("find /sys/fs/cgroup -mindepth 2 -type d; ls /sys/fs/cgroup/..");
    assert!(
        !found.contains(&host.config.cgroup_root) && !found.contains('/'),
        "{found}"
    );
    for script in [
        format!("echo 1 > {group}/{limit}"),
        format!("mkdir {group}/mine"),
        "mkdir /sys/fs/cgroup/mine".to_owned(),
    ] {
        let outcome = container.run(&["sh", "-c", &script]);
        assert!(
            outcome.stderr.contains("Read-only file system"),
            "{outcome:?}"
        );
    }
    // As programs look for it: the group of the process is the root of the mount that has the controller.
    if old {
        let root = container
            .shell("awk '$5 == \"/sys/fs/cgroup/memory\" { print $4 }' /proc/self/mountinfo");
        let own = container.shell("sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup");
        assert_eq!((root.as_str(), own.as_str()), ("/", "/"));
    }
}

fn memory_can_be_changed_while_it_runs() {
    let host = Host::new();
    let container = host.start(json!({ "Memory": { "SizeInMB": 64 } }));
    let change = |size: u32| {
        let request = json!({ "ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": size });
        container
            .modify(&request)
            .unwrap_or_else(|f| panic!("{f:#?}"));
    };
    change(256);
    assert!(take(&container, 96));
    change(32);
    assert!(!take(&container, 96));
}

/// Row F14: Version 1 refuses it; version 2 would end processes until it fits.
fn a_limit_below_what_is_used_says_what_is_used() {
    let host = Host::new();
    let container = host.start(json!({ "Memory": { "SizeInMB": 128 } }));
    container.shell("dd if=/dev/zero of=/dev/shm/file bs=1M count=48 2>/dev/null");
    let request = json!({ "ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": 16 });
    let failure = container.modify(&request).unwrap_err();
    let told = &failure.causes[1].message;
    let used = told.strip_prefix("the container uses ").unwrap();
    let used: u64 = used.split(' ').next().unwrap().parse().unwrap();
    assert!((48 << 20..128 << 20).contains(&used), "{failure:#?}");
    // The old limit stays, and no process was ended for the other one.
    assert!(take(&container, 32));
    assert_eq!(container.machine.memory_kills(), MemoryKills::default());
    container.shell("rm /dev/shm/file");
    container
        .modify(&request)
        .unwrap_or_else(|f| panic!("{f:#?}"));
    assert!(!take(&container, 32));
}

fn processors_are_limited_and_can_be_changed() {
    let host = Host::new();
    let container = host.start(json!({ "Processor": { "Count": 1 } }));
    let request = json!({ "ResourcePath": "Container/Processor", "RequestType": "Update", "Settings": { "Maximum": 1000 } });
    container
        .modify(&request)
        .unwrap_or_else(|f| panic!("{f:#?}"));
    // A tenth of the machine: a loop that wants more is held back, which the kernel counts.
    let throttled = |host: &Host| {
        let files = host
            .groups()
            .into_iter()
            .map(|group| group.join(&container.request.runtime_id).join("cpu.stat"));
        files
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .any(|text| {
                let mut lines = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("nr_throttled "));
                lines.any(|count| count != "0")
            })
    };
    // On a busy machine it may get less than its share for a while.
    let held_back = (0..50).any(|_| {
        container.shell("i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done");
        throttled(&host)
    });
    assert!(held_back);
}

pub(super) fn the_number_of_processes_is_limited() {
    let host = Host::with(|config| config.pids_limit = Some(32));
    let container = host.start(json!({}));
    let script = "for (1..64) { my $pid = fork; last unless defined $pid; unless ($pid) { close STDOUT; close STDERR; sleep 1000; exit } $n++ } print $n";
    let outcome = container.run(&["perl", "-e", script]);
    // The agent and perl itself are among them.
    assert_eq!(outcome.stdout, "30", "{outcome:?}");
}

fn a_document_limits_its_processes_and_refusals_are_counted() {
    let host = Host::with(|config| config.pids_limit = Some(4));
    let container = host.start(json!({ "ProcessLimit": 24 }));
    let none = ProcessRefusals::default();
    assert_eq!(container.machine.process_refusals(), none);
    let script = "for (1..64) { my $pid = fork; last unless defined $pid; unless ($pid) { close STDOUT; close STDERR; sleep 1000; exit } $n++ } print $n";
    let outcome = container.run(&["perl", "-e", script]);
    assert_eq!(outcome.stdout, "22", "{outcome:?}");
    let refused = ProcessRefusals {
        count: 1,
        limit: Some(24),
    };
    assert_eq!(container.machine.process_refusals(), refused);
}

fn a_container_cannot_take_all_terminals_of_the_host() {
    let host = Host::new();
    let container = host.start(json!({}));
    let script = r#"my @open; while (@open < 600) { open(my $one, "+<", "/dev/ptmx") or last; push @open, $one }
        print scalar(@open), " ", $! + 0"#;
    let found = container.shell(&format!("ulimit -n 1024; exec perl -e '{script}'"));
    assert_eq!(found, format!("512 {}", libc::ENOSPC));
}

fn what_was_used_is_told() {
    let host = Host::new();
    let container = host.start(json!({}));
    container.shell("i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done");
    let statistics = statistics(&*container.machine);
    let cpu = statistics.processor.unwrap();
    assert!(cpu.total_runtime100ns.unwrap() > 0);
    let memory = statistics.memory.unwrap();
    assert!(memory.memory_usage_commit_bytes.unwrap() > 0);
    assert!(
        memory.memory_usage_commit_peak_bytes.unwrap() >= memory.memory_usage_commit_bytes.unwrap()
    );
    assert!(statistics.uptime100ns.unwrap() > 0);
    assert!(statistics.container_start_time.unwrap() <= statistics.timestamp.unwrap());
}

fn a_limit_that_nothing_enforces_is_refused() {
    let case = "limits::a_limit_that_nothing_enforces_is_refused";
    if !in_private_mounts(case, "umount -l /sys/fs/cgroup") {
        return;
    }
    let host = Host::new();
    for (name, settings) in [
        ("Memory", json!({ "SizeInMB": 64 })),
        ("Processor", json!({ "Count": 1 })),
        ("ProcessLimit", json!(8)),
    ] {
        let failure = host.failure(json!({ name: settings }));
        assert_eq!(failure.hresult, HResult::NOT_SUPPORTED, "{failure:#?}");
        let pointer = failure.causes[0].pointer.clone().unwrap();
        assert!(
            pointer.starts_with(&format!("/Container/{name}")),
            "{pointer}"
        );
    }
    // Without limits it works: accounts are missing then.
    let container = host.start(json!({}));
    assert_eq!(container.shell("echo here"), "here");
    assert_eq!(statistics(&*container.machine).memory, None);
}

fn what_cannot_be_modified_is_refused() {
    let host = Host::new();
    let container = host.start(json!({}));
    let refused = [
        (
            json!({ "ResourcePath": "Container/Nothing", "Settings": 1 }),
            HResult::NOT_SUPPORTED,
            "/ResourcePath",
        ),
        (
            json!({ "ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Remove" }),
            HResult::NOT_SUPPORTED,
            "/RequestType",
        ),
        (
            json!({ "ResourcePath": "Container/Memory/SizeInMB", "Settings": "much" }),
            HResult::HCS_E_INVALID_JSON,
            "/Settings",
        ),
        (
            json!({ "ResourcePath": "Container/Processor", "Settings": { "Weight": 10_001 } }),
            HResult::HCS_E_INVALID_JSON,
            "/Settings/Weight",
        ),
        (
            json!({ "ResourcePath": "Container/MappedDirectories", "RequestType": "Update" }),
            HResult::NOT_SUPPORTED,
            "/RequestType",
        ),
    ];
    for (request, hresult, pointer) in refused {
        let failure = container.modify(&request).unwrap_err();
        assert_eq!(failure.hresult, hresult, "{failure:#?}");
        assert!(
            failure.causes[0]
                .pointer
                .as_deref()
                .unwrap()
                .starts_with(pointer),
            "{failure:#?}"
        );
    }
}

/// Row S12.
fn a_scratch_holds_no_more_than_its_size() {
    let host = Host::new();
    let container =
        host.start(json!({ "Storage": { "ScratchSizeInMB": 8, "ScratchInodes": 100 } }));
    let full = container.run(&["sh", "-c", "head -c 20M /dev/zero > /etc/full"]);
    assert!(full.stderr.contains("No space left"), "{full:?}");
    container.shell("rm /etc/full");
    let many =
        "for n in $(seq 200); do : > /etc/$n || break; done 2>&1 | tail -1; ls /etc/?? | wc -l";
    let many = container.shell(many);
    assert!(many.contains("No space left"), "{many}");
    // All of it is in a file without a name: what the directory has was made before the limit was known.
    let scratch = host.config.scratch_root.join(&container.request.runtime_id);
    let written = entries(&scratch);
    assert!(
        written.iter().all(|path| entries(path).is_empty()),
        "{written:?}"
    );
    let failure = host.failure(json!({ "Storage": { "ScratchSizeInMB": 1 } }));
    let pointer = failure.causes[0].pointer.as_deref();
    assert_eq!(pointer, Some("/Container/Storage/ScratchSizeInMB"));
}
