//! Starting, finding and leaving.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    common::{
        Client, Service,
        client::{create_system, shell, start_system},
        hierarchies,
    },
    environment::may_raise_limits,
};
use hcs_schema::HResult;
use hcs_wire::service::{Call, VERSION};
use hcsd::endpoint::cgroup_root;
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use serde_json::json;

/// A place for a service that the test does not start itself.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    /// Its group, relative to each hierarchy.
    pub(crate) cgroup_root: String,
    /// The group that it is in, as it is configured.
    configured: String,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("hcsd-test-")
            .tempdir()
            .unwrap();
        let configured = format!("hcs-test-{}-{name}", std::process::id());
        let endpoint = directory.path().join("hcs.sock");
        let place = Self {
            directory,
            cgroup_root: cgroup_root(&endpoint, Some(&configured)),
            configured,
        };
        place.configure("");
        place
    }

    pub(crate) fn configure(&self, lines: &str) {
        let text = format!("cgroup_root = \"{}\"\n{lines}", self.configured);
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("hcsd.toml")
    }

    pub(crate) fn endpoint(&self) -> PathBuf {
        self.directory.path().join("hcs.sock")
    }

    pub(crate) fn hcsd(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hcsd"));
        command
            .arg("--endpoint")
            .arg(self.endpoint())
            .arg("--config")
            .arg(self.config())
            .args(arguments);
        command
    }

    fn lock(&self) -> PathBuf {
        self.directory.path().join("hcs.d/hcsd.lock")
    }

    /// Returns when no service is there any more: the lock says so.
    pub(crate) fn wait_until_left(&self) {
        let lock = File::open(self.lock()).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
    }
}

fn sentence(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_service_that_could_open_few_files_is_not_started_and_one_from_elsewhere_is_used() {
    let place = Place::new("few");
    let hcsd = place.hcsd(&["--start", "--idle-exit", "1"]);
    let held = |program: &[&str]| {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(hcsd.get_program());
        command.args(hcsd.get_args()).output().unwrap()
    };
    let limits = ["prlimit", "--nofile=256:256"];
    let powerless = [&limits[..], &["setpriv", "--bounding-set", "-sys_resource"]].concat();
    let said = sentence(&held(&powerless));
    assert!(said.contains("256 files"), "{said}");
    // A user who may raise the limit has a service like any other; users who may not find it.
    let started = match may_raise_limits() {
        true => held(&limits),
        false => held(&["env"]),
    };
    assert!(started.status.success(), "{started:?}");
    let client = Client::connect(&place.endpoint());
    let found = held(&powerless);
    assert!(found.status.success(), "{found:?}");
    drop(client);
    place.wait_until_left();
}

#[test]
fn a_service_is_the_same_however_its_socket_is_spelled() {
    let place = Place::new("spelled");
    let spelled = place.path().join(".//").join("hcs.sock");
    let started = Command::new(env!("CARGO_BIN_EXE_hcsd"))
        .arg("--endpoint")
        .arg(&spelled)
        .arg("--config")
        .arg(place.config())
        .args(["--start", "--idle-exit", "1"])
        .status();
    assert!(started.unwrap().success());
    let mut client = Client::connect(&place.endpoint());
    client.start_container(1, "box");
    let of_service = |hierarchy: &PathBuf| hierarchy.join(&place.cgroup_root).exists();
    assert!(hierarchies().iter().any(of_service));
    client.terminate(1);
    drop(client);
    place.wait_until_left();
}

#[test]
fn many_starters_get_one_service_which_leaves_when_it_is_idle() {
    let place = Place::new("many");
    let starters: Vec<_> = (0..4)
        .map(|_| {
            place
                .hcsd(&["--start", "--idle-exit", "1"])
                .spawn()
                .unwrap()
        })
        .collect();
    let mut clients = Vec::new();
    for mut starter in starters {
        assert!(starter.wait().unwrap().success());
        clients.push(Client::connect(&place.endpoint()));
    }
    let log = place.directory.path().join("hcs.d/hcsd.log");
    let served = fs::read_to_string(&log).unwrap().matches("serving").count();
    assert_eq!(served, 1);
    drop(clients);
    place.wait_until_left();
    assert!(!place.endpoint().exists());
    assert!(fs::read_to_string(log).unwrap().contains("idle, leaving"));
}

/// Kills the first `most` services that the starter runs, each as soon as it is seen; tells how many.
fn kill_services_of(starter: &mut std::process::Child, most: usize) -> usize {
    let pid = starter.id();
    let children = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
    let mut killed = 0;
    while killed < most && starter.try_wait().unwrap().is_none() {
        let found = fs::read_to_string(&children).unwrap_or_default();
        for child in found.split_whitespace() {
            let arguments = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let serves = arguments
                .split(|byte| *byte == 0)
                .any(|one| one == b"--serve");
            if let Some(child) = child.parse().ok().filter(|_| serves) {
                let child = Pid::from_raw(child).unwrap();
                killed += usize::from(kill_process(child, Signal::KILL).is_ok());
            }
        }
    }
    killed
}

#[test]
fn a_service_that_is_killed_while_it_starts_is_started_again() {
    let place = Place::new("killed");
    let mut starter = place
        .hcsd(&["--start", "--idle-exit", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let killed = kill_services_of(&mut starter, 3);
    let output = starter.wait_with_output().unwrap();
    assert!(output.status.success(), "{killed}: {output:?}");
    // The last kill may have come after the service was ready.
    start(&place);
    Client::connect(&place.endpoint())
        .call(&Call::EnumerateSystems { query: None })
        .ok();
    place.wait_until_left();
}

#[test]
fn a_started_service_keeps_nothing_of_its_starters() {
    let place = Place::new("keeps");
    let (mut reader, writer) = std::io::pipe().unwrap();
    // A shell hands its children every descriptor it has.
    let status = Command::new("/bin/sh")
        .args([
            "-c",
            "exec 7<&0; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_hcsd"),
        ])
        .args(["--start", "--idle-exit", "1", "--endpoint"])
        .arg(place.endpoint())
        .arg("--config")
        .arg(place.config())
        .stdin(writer)
        .status()
        .unwrap();
    assert!(status.success());
    let client = Client::connect(&place.endpoint());
    let mut nothing = Vec::new();
    // Ends only when no process holds the other end, the running service included.
    reader.read_to_end(&mut nothing).unwrap();
    drop(client);
    place.wait_until_left();
}

#[test]
fn a_starter_that_fails_says_why_in_one_sentence() {
    let place = Place::new("fails");
    place.configure("[limits]\nconections = 1\n");
    let said = sentence(&place.hcsd(&["--start"]).output().unwrap());
    assert!(said.contains("line 3"), "{said}");
    assert!(said.contains("conections"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");

    let missing = Path::new("/nonexistent/hcsd.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_hcsd"))
        .arg("--start")
        .arg("--endpoint")
        .arg(place.endpoint())
        .arg("--config")
        .arg(missing)
        .output()
        .unwrap();
    assert!(sentence(&output).contains("/nonexistent/hcsd.toml"));
}

#[test]
fn a_second_service_does_not_disturb_the_first() {
    let place = Place::new("second");
    start(&place);
    let mut client = Client::connect(&place.endpoint());
    let said = sentence(&place.hcsd(&[]).output().unwrap());
    assert!(said.contains("already serving"), "{said}");
    client.call(&Call::EnumerateSystems { query: None }).ok();
    drop(client);
    place.wait_until_left();
}

/// They take for left over what they do not know.
#[test]
fn services_with_one_configuration_leave_each_other_alone() {
    let (one, mut other) = (Place::new("one"), Place::new("other"));
    other.configured = one.configured.clone();
    other.cgroup_root = cgroup_root(&other.endpoint(), Some(&other.configured));
    let scratch = one.path().join("scratch");
    for place in [&one, &other] {
        place.configure(&format!("scratch_root = {scratch:?}\nwarm_slots = 0\n"));
    }
    start(&one);
    let mut client = Client::connect(&one.endpoint());
    client.start_container(1, "stays");
    let mut written = client.create_process(1, 2, &shell("echo here > /kept; cat /kept"));
    assert_eq!(written.output(), "here\n");
    // It sweeps when it starts, has a container, and leaves.
    start(&other);
    let mut visitor = Client::connect(&other.endpoint());
    visitor.start_container(1, "goes");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 2);
    visitor.terminate(1);
    drop(visitor);
    other.wait_until_left();
    let mut read = client.create_process(1, 3, &shell("cat /kept"));
    assert_eq!(read.output(), "here\n");
    client.terminate(1);
    drop(client);
    one.wait_until_left();
    for hierarchy in hierarchies() {
        let left = hierarchy.join(&one.configured);
        assert!(!left.exists(), "{} is left behind", left.display());
    }
}

#[test]
fn a_socket_path_may_be_longer_than_a_socket_address() {
    let place = Place::new("long");
    let deep = place
        .directory
        .path()
        .join("d".repeat(100))
        .join("e".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    let endpoint = deep.join("hcs.sock");
    let start = Command::new(env!("CARGO_BIN_EXE_hcsd"))
        .args(["--start", "--idle-exit", "1", "--endpoint"])
        .arg(&endpoint)
        .arg("--config")
        .arg(place.config())
        .status()
        .unwrap();
    assert!(start.success());
    let lock = File::open(deep.join("hcs.d/hcsd.lock")).unwrap();
    let directory = File::open(&deep).unwrap();
    let short = format!(
        "/proc/self/fd/{}/hcs.sock",
        std::os::fd::AsRawFd::as_raw_fd(&directory)
    );
    let mut client = Client::connect(Path::new(&short));
    client.start_container(1, "deep");
    client.terminate(1);
    drop(client);
    flock(&lock, FlockOperation::LockExclusive).unwrap();
}

/// What another user's client sees. Run by [`stranger_in`] in a process of that user.
#[test]
fn stranger() {
    let Some(endpoint) = std::env::var_os("HCSD_TEST_STRANGER") else {
        return;
    };
    // More than clients may have: they take no client's place.
    let connect = || Client::connect_silently(Path::new(&endpoint));
    let _silent: Vec<_> = (0..10).map(|_| connect()).collect();
    let mut client = connect();
    let hello = Call::Hello {
        minimum: VERSION,
        maximum: VERSION,
        instance: None,
    };
    let answer = client.call(&hello);
    if std::env::var_os("HCSD_TEST_CROWD").is_some() {
        let no_more = HResult::from_win32(hcs_schema::win32::ERROR_NO_SYSTEM_RESOURCES);
        let message = answer.failed(no_more);
        assert!(message.contains("connections of one user"), "{message}");
        return;
    }
    if std::env::var_os("HCSD_TEST_MEMBER").is_some() {
        answer.ok();
        return;
    }
    let message = answer.failed(HResult::HCS_E_ACCESS_DENIED);
    assert!(message.contains("socket_group"), "{message}");
    assert!(!client.receive());
}

/// Runs [`stranger`] as the user "nobody" with the group `group`.
fn stranger_in(place: &Place, group: u32, member: bool) -> Output {
    stranger_as(place, 65534, group, member)
}

/// The same as another user.
fn stranger_as(place: &Place, user: u32, group: u32, member: bool) -> Output {
    let environment: &[&str] = if member { &["HCSD_TEST_MEMBER"] } else { &[] };
    stranger_with(place, user, group, environment)
}

fn stranger_with(place: &Place, user: u32, group: u32, environment: &[&str]) -> Output {
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(place.directory.path(), open.clone()).unwrap();
    // The program itself may lie where the stranger cannot reach it.
    let program = place.directory.path().join("stranger");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, open).unwrap();
    let mut command = Command::new(program);
    command
        .envs(environment.iter().map(|name| (name, "1")))
        .args(["--exact", "starting::stranger"])
        .env("HCSD_TEST_STRANGER", place.endpoint())
        .current_dir("/")
        .uid(user)
        .gid(group)
        .output()
        .unwrap()
}

fn start(place: &Place) {
    let start = place.hcsd(&["--start", "--idle-exit", "1"]).status();
    assert!(start.unwrap().success());
}

/// The kernel keeps them out.
#[test]
fn strangers_take_no_time_of_a_service() {
    let place = Place::new("closed");
    start(&place);
    let output = stranger_in(&place, 65534, false);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && said.contains("PermissionDenied"),
        "{said}"
    );
    place.wait_until_left();
}

#[test]
fn strangers_are_told_what_to_do() {
    let place = Place::new("strangers");
    place.configure("socket_mode = 0o666\n[limits]\nconnections = 2\n");
    start(&place);
    let output = stranger_in(&place, 65534, false);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    place.wait_until_left();
}

#[test]
fn no_other_user_can_open_the_lock_and_keep_the_service_away() {
    let place = Place::new("lock");
    start(&place);
    let mode = || fs::metadata(place.lock()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    place.wait_until_left();
    // A lock that was made with another mode.
    fs::set_permissions(place.lock(), fs::Permissions::from_mode(0o644)).unwrap();
    start(&place);
    assert_eq!(mode(), 0o600);
    place.wait_until_left();
}

/// `output` is that of a user who may come in; others may not even connect.
#[track_caller]
fn only_it_was_let_in(place: &Place, output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    let output = stranger_in(place, 65534, true);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && said.contains("PermissionDenied"),
        "{said}"
    );
    place.wait_until_left();
}

#[test]
fn members_of_the_configured_group_are_let_in_and_no_other_user_connects() {
    let place = Place::new("members");
    place.configure("socket_group = \"64123\"\n");
    start(&place);
    let output = stranger_in(&place, 64123, true);
    only_it_was_let_in(&place, &output);
}

#[test]
fn one_user_cannot_take_the_connections_of_all() {
    let place = Place::new("crowd");
    place.configure("socket_group = \"64123\"\n[limits]\nconnections_per_client = 5\n");
    start(&place);
    // Root is not counted among them.
    let endpoint = place.endpoint();
    let connected: Vec<_> = (0..10)
        .map(|_| Client::connect(Path::new(&endpoint)))
        .collect();
    let output = stranger_with(&place, 65534, 64123, &["HCSD_TEST_CROWD"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    drop(connected);
    place.wait_until_left();
}

#[test]
fn the_sockets_owner_and_mode_are_as_configured() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new("owner");
    place.configure("socket_owner = \"64124\"\nsocket_mode = 0o600\n");
    start(&place);
    let socket = fs::metadata(place.endpoint()).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (64124, 0o600));
    let output = stranger_as(&place, 64124, 64124, true);
    only_it_was_let_in(&place, &output);
}

#[test]
fn nothing_but_a_socket_is_ever_replaced_and_no_foreign_directory_used() {
    let place = Place::new("foreign");
    fs::write(place.endpoint(), "precious").unwrap();
    let said = sentence(&place.hcsd(&[]).output().unwrap());
    assert!(said.contains("no socket"), "{said}");
    assert_eq!(fs::read_to_string(place.endpoint()).unwrap(), "precious");
    fs::remove_file(place.endpoint()).unwrap();

    let systems = place.directory.path().join("hcs.d/systems");
    fs::set_permissions(&systems, fs::Permissions::from_mode(0o777)).unwrap();
    let said = sentence(&place.hcsd(&["--start"]).output().unwrap());
    assert!(said.contains("not safe to use"), "{said}");
}

/// A container to which the tree was mapped writes what a service would find in its directories.
#[test]
fn a_service_of_root_takes_no_directory_that_a_container_could_write_before() {
    let (place, around) = (Place::new("written"), Service::new());
    // This one was there before: the container does not see its directories.
    start(&place);
    place.wait_until_left();
    let mut client = around.client();
    let document = json!({ "Container": { "MappedDirectories": [
        { "HostPath": place.path(), "ContainerPath": "/mapped" }
    ] } });
    client
        .call(&create_system(1, "writer", &document.to_string()))
        .ok();
    client.call(&start_system(1)).ok();
    let mut made = client.create_process(1, 2, &shell("mkdir -p /mapped/none/at/all && echo made"));
    assert_eq!(made.output(), "made\n");
    assert_eq!(client.exit_code(2), 0);
    start(&place);
    place.wait_until_left();
    let tree = fs::canonicalize(place.path()).unwrap();
    let refused = |output: &Output, named: &Path| {
        let said = sentence(output);
        let mapped = format!(
            "{} is in {}, which was mapped",
            named.display(),
            tree.display()
        );
        assert!(
            said.contains(&mapped) && said.contains("setfattr -x"),
            "{said}"
        );
    };
    let scratches = place.path().join("scratches");
    place.configure(&format!("[container]\nscratch_root = {scratches:?}\n"));
    let of_this_one = fs::canonicalize(place.path()).unwrap().join("scratches");
    let said = sentence(&place.hcsd(&["--start"]).output().unwrap());
    assert!(
        said.contains(of_this_one.to_str().unwrap()) && said.contains("scratch_root"),
        "{said}"
    );
    let below = place.path().join("none/at/all/hcs.sock");
    for arguments in [&[][..], &["--start"]] {
        let mut hcsd = Command::new(env!("CARGO_BIN_EXE_hcsd"));
        let output = hcsd.arg("--endpoint").arg(&below).args(arguments).output();
        refused(&output.unwrap(), &tree.join("none/at/all/hcs.d"));
    }
    assert!(!below.with_file_name("hcs.d").exists());
    client.terminate(1);
}

/// Row K11: such a container would read the records of a service that starts there.
#[test]
fn a_service_of_root_takes_no_directory_that_a_container_may_read() {
    let (place, around) = (Place::new("seen"), Service::new());
    start(&place);
    place.wait_until_left();
    let mut client = around.client();
    let document = json!({ "Container": { "MappedDirectories": [
        { "HostPath": place.path(), "ContainerPath": "/mapped", "ReadOnly": true }
    ] } });
    client
        .call(&create_system(1, "reader", &document.to_string()))
        .ok();
    // This one was there before: the container does not see its directories.
    start(&place);
    place.wait_until_left();
    let tree = fs::canonicalize(place.path()).unwrap();
    let below = tree.join("none/at/all/hcs.sock");
    for arguments in [&[][..], &["--start"]] {
        let mut hcsd = Command::new(env!("CARGO_BIN_EXE_hcsd"));
        let output = hcsd.arg("--endpoint").arg(&below).args(arguments).output();
        let said = sentence(&output.unwrap());
        let mapped = format!(
            "is in {}, which was mapped into a container",
            tree.display()
        );
        assert!(
            said.contains(&mapped) && said.contains("setfattr -x"),
            "{said}"
        );
    }
    assert!(!below.with_file_name("hcs.d").exists());
    client.terminate(1);
}

#[test]
fn a_socket_that_systemd_made_is_served() {
    let place = Place::new("activated");
    let listener = std::os::unix::net::UnixListener::bind(place.endpoint()).unwrap();
    // What sd_listen_fds(3) describes, done by a shell: the socket as descriptor 3, and the pid of the service itself.
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let mut service = Command::new("/bin/sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_hcsd")])
        .args(["--idle-exit", "1", "--endpoint"])
        .arg(place.endpoint())
        .arg("--config")
        .arg(place.config())
        .stdin(std::os::fd::OwnedFd::from(listener))
        .spawn()
        .unwrap();
    let mut client = Client::connect(&place.endpoint());
    client.start_container(1, "activated");
    client.terminate(1);
    drop(client);
    assert!(service.wait().unwrap().success());
    assert!(place.endpoint().exists(), "the socket is systemd's");
}
