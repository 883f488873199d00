//! A service that is started from the worst surroundings is as if init had started it, and so are its containers.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    common::{
        Client, await_that,
        client::{CONTAINER, create_system, shell, start_system},
        hierarchies,
    },
    starting::Place,
};

/// Whatever may be wrong with a process that starts a service, from the inside out. `$PLACE`, `$CALLERS` and `$START`
/// are set.
const WICKED: &str = r#"
set -e
mount -t tmpfs none "$PLACE/hidden"
hostname elsewhere
for group in $CALLERS; do echo 0 > "$group/cgroup.procs"; done
echo 500 > /proc/self/oom_score_adj
limit() { prlimit --pid $$ "--$1=$2:${HARD:+$2}"; }
limit nofile 128; limit nproc 3000; limit core 0; limit fsize 10000000; limit memlock 0; limit stack 4000000
umask 0
mkdir "$PLACE/gone"; cd "$PLACE/gone"; rmdir "$PLACE/gone"
i=0; while [ $i -lt 1000 ]; do export "HCS_JUNK_$i=x"; i=$((i+1)); done
export HCS_ENDPOINT=/nonexistent/hcs.sock HCS_CONFIG=/nonexistent.toml HCS_DAEMON=/nonexistent TMPDIR=/nonexistent
export XDG_RUNTIME_DIR=/nonexistent HOME=/nonexistent PATH="$PATH:."
echo 0xff > /proc/self/coredump_filter
exec script -qefc "exec perl -e '$CALLS' setpriv --inh-caps +chown --ambient-caps +chown --groups 7,8 env --ignore-signal=CHLD,HUP,USR1,INT \
    --block-signal=USR2,TERM LD_PRELOAD=/nonexistent.so nice -n 19 chrt -b 0 ionice -c 3 taskset -c 0 setarch -R $START <&- >&-" /dev/null
"#;

/// What only system calls do, before a command is executed: timers a second late, no huge pages, memory interleaved
/// over the nodes, a session keyring of its own. The numbers are those of `x86_64`.
const CALLS: &str = "my $slack = 1e9; my $nodes = pack(q(Q), 1); my $all = 64; my $name = q(wicked);
syscall(157, 29, $slack) == 0 && syscall(157, 41, 1, 0, 0, 0) == 0 && syscall(250, 1, $name) != -1 or die qq($!);
syscall(238, 3, $nodes, $all) == 0 or $!{ENOSYS} or die qq($!);
exec @ARGV";

/// What `/proc` says of a process.
struct Process(PathBuf);

impl Process {
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn link(&self, name: &str) -> PathBuf {
        fs::read_link(self.0.join(name)).unwrap()
    }

    /// A field of `status`.
    fn status(&self, name: &str) -> String {
        field(&self.file("status"), name)
    }

    /// Fields of `stat`, from the state on: the third of `proc_pid_stat(5)` is number 0.
    fn stat(&self, number: usize) -> i64 {
        let text = self.file("stat");
        let rest = text.rsplit_once(") ").unwrap().1;
        rest.split(' ').nth(number).unwrap().parse().unwrap()
    }
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
    line[name.len()..].trim_start_matches(':').trim().to_owned()
}

/// Soft and hard limit; the largest number for none.
fn limit(text: &str, name: &str) -> [u64; 2] {
    let text = field(text, name);
    let mut fields = text.split_whitespace();
    [(); 2].map(|()| fields.next().unwrap().parse().unwrap_or(u64::MAX))
}

/// Root of this host, unlike that of some containers, may raise hard limits, and lower scores.
pub(crate) fn may_raise_limits() -> bool {
    let own = Process("/proc/self".into()).status("CapEff");
    u64::from_str_radix(&own, 16).unwrap() & (1 << 24) != 0
}

fn service_at(endpoint: &Path) -> Process {
    let endpoint = endpoint.as_os_str().as_encoded_bytes();
    let mut processes = fs::read_dir("/proc").unwrap().flatten();
    let found = processes.find(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&b"--serve".as_slice()) && words.contains(&endpoint)
    });
    Process(found.unwrap().path())
}

/// Groups that the caller is in, removed with the test.
struct Callers(Vec<PathBuf>);

impl Callers {
    fn new() -> Self {
        let name = format!("hcs-test-{}-caller", std::process::id());
        // A new group of version 1 has no processors, and takes no process before it has.
        let usable = |hierarchy: &PathBuf| {
            hierarchy.join("cgroup.procs").exists() && !hierarchy.join("cpuset.cpus").exists()
        };
        let groups: Vec<_> = hierarchies().into_iter().filter(usable).collect();
        let groups: Vec<_> = groups
            .iter()
            .map(|hierarchy| hierarchy.join(&name))
            .collect();
        for group in &groups {
            fs::create_dir(group).unwrap();
        }
        Self(groups)
    }

    fn list(&self) -> String {
        let paths: Vec<_> = self.0.iter().map(|path| path.to_str().unwrap()).collect();
        paths.join(" ")
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        for group in &self.0 {
            // The terminal's program may still be ending.
            await_that("the caller's group is empty", || {
                fs::remove_dir(group).is_ok()
            });
        }
    }
}

/// A machine of its own, as far as process ids go, so that its pid 1 is one that the tests may look at.
struct Machine {
    shell: Child,
    init: Process,
}

impl Machine {
    /// One in which a service was started, wickedly.
    fn new(place: &Place, callers: &Callers) -> Self {
        fs::create_dir(place.path().join("hidden")).unwrap();
        let (endpoint, config) = (place.endpoint(), place.config());
        let words = [
            env!("CARGO_BIN_EXE_hcsd"),
            "--start",
            "--idle-exit",
            "1",
            "--endpoint",
            endpoint.to_str().unwrap(),
            "--config",
            config.to_str().unwrap(),
        ];
        let init = "unshare --mount --uts --ipc --net --cgroup --time --boottime 1000000 --monotonic 1000000 sh -c \"$WICKED\"; \
             echo \"ended $?\"; read line";
        let mut shell = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "sh", "-c", init])
            .env("WICKED", WICKED)
            .env(
                "CALLS",
                if cfg!(target_arch = "x86_64") {
                    CALLS
                } else {
                    "exec @ARGV"
                },
            )
            .env("PLACE", place.path())
            .env("CALLERS", callers.list())
            .env("HARD", if may_raise_limits() { "too" } else { "" })
            .env("START", words.map(|word| format!("'{word}'")).join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("ended") {
            said += &lines.next().unwrap().unwrap();
        }
        assert!(said.contains("ended 0"), "{said}");
        let pid = shell.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let init = Process(Path::new("/proc").join(children.trim()));
        Self { shell, init }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ended = self.shell.wait();
    }
}

/// What a process has by its parent alone: namespaces, and settings that only calls make.
#[track_caller]
fn has_what_init_has(service: &Process, init: &Process) {
    for name in [
        "mnt",
        "uts",
        "ipc",
        "net",
        "cgroup",
        "time",
        "time_for_children",
    ] {
        let name = format!("ns/{name}");
        assert_eq!(service.link(&name), init.link(&name));
    }
    for file in ["timerslack_ns", "coredump_filter"] {
        assert_eq!(service.file(file), init.file(file), "{file}");
    }
    for name in ["CapInh", "CapAmb"] {
        assert_eq!(service.status(name), "0000000000000000", "{name}");
    }
    assert_eq!(service.status("THP_enabled"), "1");
    // A kernel without nodes has no such file.
    if let Ok(memory) = fs::read_to_string(service.0.join("numa_maps")) {
        assert!(
            memory.lines().all(|line| line.contains(" default")),
            "{memory}"
        );
    }
}

/// Row F4.
#[test]
fn a_service_from_the_worst_surroundings_is_as_if_init_had_started_it() {
    let (place, callers) = (Place::new("worst"), Callers::new());
    // The test itself is around the service's pid namespace.
    place.configure("clients_in_containers = true\n");
    let machine = Machine::new(&place, &callers);
    let mut client = Client::connect(&place.endpoint());
    let (service, init) = (service_at(&place.endpoint()), &machine.init);

    assert_eq!(service.status("Umask"), "0022");
    assert_eq!(service.status("Groups"), "");
    assert_eq!(service.status("SigBlk"), "0000000000000000");
    let ignored = u64::from_str_radix(&service.status("SigIgn"), 16).unwrap();
    let by_itself = (1 << 12) | (1 << 24);
    assert_eq!(ignored & !by_itself, 0, "but SIGPIPE and SIGXFSZ");
    assert_eq!(
        service.status("Cpus_allowed_list"),
        init.status("Cpus_allowed_list")
    );
    assert_eq!(service.file("personality").trim(), "00000000");
    let score = if may_raise_limits() { "-500" } else { "0" };
    assert_eq!(service.file("oom_score_adj").trim(), score);
    let environment = service.file("environ");
    assert!(
        environment.starts_with("PATH=/usr/local/sbin:"),
        "{environment:?}"
    );
    assert_eq!(environment.matches('\0').count(), 1, "{environment:?}");
    assert_eq!(service.link("cwd"), Path::new("/"));
    assert_eq!(service.link("root"), Path::new("/"));
    has_what_init_has(&service, init);
    let pid: i64 = service.status("Pid").parse().unwrap();
    let (session, terminal, nice, policy) = (
        service.stat(3),
        service.stat(4),
        service.stat(16),
        service.stat(38),
    );
    assert_eq!((session, terminal, nice, policy), (pid, 0, 0, 0));
    let class = Command::new("ionice")
        .args(["-p", &pid.to_string()])
        .output()
        .unwrap();
    assert!(class.stdout.starts_with(b"none"), "{class:?}");
    let groups = service.file("cgroup");
    let own = format!("/{}/service", place.cgroup_root);
    let (mut lines, names) = (groups.lines(), groups.lines().count());
    assert!(
        lines.all(|line| line.ends_with(&own)) && names > 0,
        "{groups}"
    );
    is_limited_like_init(&service.file("limits"), &init.file("limits"), true);

    let script =
        "cat /proc/self/status /proc/self/oom_score_adj; echo limits; cat /proc/self/limits; nice";
    client.call(&create_system(1, "worst", CONTAINER)).ok();
    client.call(&start_system(1)).ok();
    let mut process = client.create_process(1, 2, &shell(script));
    let said = process.output();
    let (status, limits) = said.split_once("limits\n").unwrap();
    assert_eq!(field(status, "Umask"), "0022");
    assert_eq!(field(status, "SigBlk"), "0000000000000000");
    assert_eq!(field(status, "SigIgn"), "0000000000000000");
    assert_eq!(
        field(status, "Cpus_allowed_list"),
        init.status("Cpus_allowed_list")
    );
    assert!(status.ends_with("\n0\n"), "its score: {status}");
    assert!(limits.ends_with("\n0\n"), "its nice value: {limits}");
    is_limited_like_init(limits, &init.file("limits"), false);

    client.terminate(1);
    drop(client);
    place.wait_until_left();
    for hierarchy in hierarchies() {
        let left = hierarchy.join(&place.cgroup_root);
        assert!(!left.exists(), "{} is left behind", left.display());
    }
}

/// The limits of pid 1, as far as hard ones may be raised. A service may have as many open files as its hard limit
/// says; what runs in containers begins with few, and may have half as many.
#[track_caller]
fn is_limited_like_init(limits: &str, of_init: &str, service: bool) {
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let possible = |name: &str, wanted: [u64; 2]| {
        let [_, hard] = if may_raise_limits() {
            wanted
        } else {
            limit(&own, name)
        };
        [wanted[0].min(hard), hard]
    };
    for line in of_init.lines().skip(1) {
        let name = line[..26].trim_end();
        if name != "Max open files" {
            assert_eq!(
                limit(limits, name),
                possible(name, limit(of_init, name)),
                "{name}"
            );
        }
    }
    let most: u64 = fs::read_to_string("/proc/sys/fs/nr_open")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let [mut soft, mut hard] = possible("Max open files", [1024, most.min(1 << 20)]);
    match service {
        true => soft = hard,
        // The container has no ids of its own.
        false => hard = (hard / 2).max(1024).min(hard),
    }
    assert_eq!(limit(limits, "Max open files"), [soft, hard]);
}

/// The modes of everything below a directory but sockets, by path.
fn modes(directory: &Path, found: &mut Vec<(PathBuf, u32)>) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let metadata = entry.path().symlink_metadata().unwrap();
        found.push((entry.path(), metadata.permissions().mode() & 0o7777));
        if metadata.is_dir() && entry.file_name() != "scratch" {
            modes(&entry.path(), found);
        }
    }
}

/// Row S5.
#[test]
fn whatever_the_mask_a_service_starts_and_its_files_are_its_own() {
    use std::os::unix::fs::PermissionsExt as _;
    for mask in ["0", "002", "022", "077", "777"] {
        let place = Place::new(&format!("mask-{mask}"));
        let endpoint = place.path().join("new/hcs.sock");
        let start = format!("umask {mask}; exec \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &start, "sh", env!("CARGO_BIN_EXE_hcsd")])
            .args(["--start", "--idle-exit", "1", "--endpoint"])
            .arg(&endpoint)
            .arg("--config")
            .arg(place.config())
            .output()
            .unwrap();
        assert!(output.status.success(), "{mask}: {output:?}");
        let mut client = Client::connect(&endpoint);
        client.start_container(1, "masked");
        let root = place.path().join("new/hcs.d");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&place.path().join("new")), 0o755, "{mask}");
        assert_eq!(mode(&root), 0o755, "{mask}");
        assert_eq!(mode(&endpoint), 0o600, "{mask}");
        for private in ["systems", "slots", "events"] {
            assert_eq!(mode(&root.join(private)), 0o700, "{mask}: {private}");
        }
        let mut found = Vec::new();
        modes(&root, &mut found);
        for (path, mode) in found {
            assert_eq!(
                mode & 0o022,
                0,
                "{mask}: {} has mode {mode:o}",
                path.display()
            );
        }
        client.terminate(1);
        drop(client);
        let lock = fs::File::open(root.join("hcsd.lock")).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    }
}

/// Row S8.
#[test]
fn nothing_is_made_through_links_of_others() {
    use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
    let place = Place::new("links");
    let (victim, shared) = (place.path().join("victim"), place.path().join("shared"));
    fs::create_dir(&victim).unwrap();
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let start = |endpoint: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_hcsd"))
            .args(["--start", "--idle-exit", "1", "--endpoint"])
            .arg(endpoint)
            .arg("--config")
            .arg(place.config())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    // Another user's directory where the state root is to be, with a link where the log is to be.
    let foreign = shared.join("x.d");
    fs::create_dir(&foreign).unwrap();
    symlink(victim.join("log"), foreign.join("hcsd.log")).unwrap();
    lchown(&foreign, Some(65534), Some(65534)).unwrap();
    let said = start(&shared.join("x.sock"));
    assert!(said.contains("x.d belongs to user 65534"), "{said}");
    // A link of another user in the place of a directory, or of one above it.
    for link in ["y.d", "z"] {
        symlink(&victim, shared.join(link)).unwrap();
        lchown(shared.join(link), Some(65534), Some(65534)).unwrap();
    }
    for (endpoint, link) in [("y.sock", "y.d"), ("z/below/hcs.sock", "z")] {
        let said = start(&shared.join(endpoint));
        assert!(
            said.contains(&format!("{link} belongs to user 65534")),
            "{said}"
        );
    }
    // A directory that all users may write to.
    fs::create_dir(shared.join("open")).unwrap();
    fs::set_permissions(shared.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
    let said = start(&shared.join("open/below/hcs.sock"));
    assert!(said.contains("chmod go-w"), "{said}");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    assert_eq!(fs::read_dir(shared.join("open")).unwrap().count(), 0);
}

#[test]
fn a_configuration_that_others_can_change_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new("configuration");
    fs::set_permissions(place.config(), fs::Permissions::from_mode(0o666)).unwrap();
    let output = place.hcsd(&["--start"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("hcsd.toml (owner user 0, mode 0666)"),
        "{said}"
    );
}

#[test]
fn a_service_manager_is_told_that_it_is_ready_and_that_it_leaves() {
    let place = Place::new("notify");
    let socket = place.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let mut service = place
        .hcsd(&["--idle-exit", "1"])
        .env("NOTIFY_SOCKET", &socket)
        .spawn()
        .unwrap();
    let heard = || {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    drop(Client::connect(&place.endpoint()));
    assert_eq!(heard(), "STOPPING=1");
    assert!(service.wait().unwrap().success());
}

#[test]
fn a_service_has_not_the_capabilities_it_has_no_use_for() {
    let place = Place::new("capabilities");
    let status = place.hcsd(&["--start", "--idle-exit", "1"]).status();
    assert!(status.unwrap().success());
    let client = Client::connect(&place.endpoint());
    let service = service_at(&place.endpoint());
    // CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME, CAP_MAC_ADMIN, CAP_SYSLOG
    for number in [16, 17, 22, 25, 33, 34] {
        for set in ["CapBnd", "CapPrm", "CapEff", "CapInh"] {
            let bits = u64::from_str_radix(&service.status(set), 16).unwrap();
            assert_eq!(bits & (1 << number), 0, "{set}, {number}");
        }
    }
    drop(client);
    place.wait_until_left();
}

#[test]
fn a_launcher_that_replaces_another_has_what_the_first_one_had() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::new("replaced");
    place.configure("warm_slots = 0\n");
    let status = place.hcsd(&["--start", "--idle-exit", "1"]).status();
    assert!(status.unwrap().success());
    let mut client = Client::connect(&place.endpoint());
    let service = service_at(&place.endpoint());
    // A thread of the service may end at any time, and its children go to another.
    let launcher = || loop {
        let tasks = fs::read_dir(service.0.join("task")).unwrap().flatten();
        let children = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
        let pids: String = tasks.filter_map(children).collect();
        if let [pid] = pids.split_whitespace().collect::<Vec<_>>()[..] {
            break Process(Path::new("/proc").join(pid));
        }
    };
    let origin = |launcher: &Process| {
        let limits = launcher.file("limits");
        let others = limits.lines().filter(|line| !line.starts_with("Max open"));
        let others = others.map(str::to_owned).collect::<Vec<_>>();
        let score = launcher.file("oom_score_adj");
        (launcher.file("cgroup"), score, others)
    };
    // Once it has cloned a container, its own soft limit on open files is higher. Processes inside have the one it had.
    let inside = |client: &mut Client, system: u64| {
        let script = "cat /proc/self/oom_score_adj /proc/self/limits";
        client
            .create_process(system, 10 + system, &shell(script))
            .output()
    };
    client.start_container(1, "first");
    let had = inside(&mut client, 1);
    let first = launcher();
    let before = origin(&first);
    assert!(!before.0.contains("/service"), "{}", before.0);
    let pid = Pid::from_raw(first.status("Pid").parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();

    client.start_container(2, "replaced");
    assert_ne!(launcher().0, first.0);
    assert_eq!(origin(&launcher()), before);
    assert_eq!(inside(&mut client, 2), had);
    assert!(had.starts_with(&before.1), "{had}");
    client.terminate(1);
    client.terminate(2);
    drop(client);
    place.wait_until_left();
}
