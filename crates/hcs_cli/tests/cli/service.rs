//! A service that dies while `hcs` uses it.

use std::{
    fs,
    io::Write as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tempfile::TempDir;

use crate::common::{Ended, ended, hcs, ready, says};

/// An endpoint of our own, whose services leave soon when no client needs them.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// A service that was started anew waits `reconnect` seconds for the clients of the one before.
    pub(crate) fn new(reconnect: u32) -> Self {
        Self::new_in(&std::env::temp_dir(), reconnect)
    }

    /// The same in a directory, which a container may have mapped.
    pub(crate) fn new_in(parent: &Path, reconnect: u32) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hcs-cli-")
            .tempdir_in(parent)
            .unwrap();
        // No network of this machine is made.
        let text = format!(
            "default_network = \"none\"\n[times]\nidle_seconds = 1\nreconnect_seconds = {reconnect}\n"
        );
        fs::write(folder.path().join("hcsd.toml"), text).unwrap();
        Self { folder }
    }

    /// The same, with more in the configuration.
    pub(crate) fn configured(more: &str) -> Self {
        let place = Self::new(60);
        let file = place.folder.path().join("hcsd.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{more}{text}")).unwrap();
        place
    }

    /// The same, whose service does not leave between two calls, however long the second one takes to come.
    pub(crate) fn lasting(more: &str) -> Self {
        let place = Self::configured(more);
        let file = place.folder.path().join("hcsd.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(
            &file,
            text.replace("idle_seconds = 1\n", "idle_seconds = 1000\n"),
        )
        .unwrap();
        place
    }

    pub(crate) fn hcs(&self, arguments: &[&str]) -> Command {
        let mut command = hcs(arguments);
        command
            .env("HCS_ENDPOINT", self.endpoint())
            .env("HCS_CONFIG", self.folder.path().join("hcsd.toml"));
        command
    }

    /// A container `box` whose command runs until it is killed.
    fn ready(&self) -> Child {
        let script = "echo ready; exec sleep 1000";
        ready(&mut self.hcs(&["run", "--id", "box", "--", "sh", "-c", script]))
    }

    pub(crate) fn endpoint(&self) -> PathBuf {
        self.folder.path().join("hcs.sock")
    }

    /// The services that serve this endpoint now.
    fn services(&self) -> Vec<OwnedFd> {
        let numbers = self.numbers().into_iter();
        numbers
            .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .collect()
    }

    /// Their numbers.
    pub(crate) fn numbers(&self) -> Vec<Pid> {
        let endpoint = self.endpoint();
        let serves = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.contains(&b"--serve".as_slice())
                && words.contains(&endpoint.as_os_str().as_encoded_bytes())
        };
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(serves)
            .filter_map(Pid::from_raw)
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for service in self.services() {
            // A service that has just left by itself needs no signal.
            let _left = pidfd_send_signal(&service, Signal::TERM);
            gone(&service);
        }
    }
}

/// Kills the service of a place, and waits for its end.
pub(crate) fn kill_services(place: &Place) {
    for service in place.services() {
        pidfd_send_signal(&service, Signal::KILL).unwrap();
        gone(&service);
    }
}

/// Waits for the end of a process.
fn gone(process: &OwnedFd) {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    poll(&mut polled, None).unwrap();
}

/// Row F13.
#[test]
fn a_command_goes_on_when_the_service_dies_and_its_exit_code_arrives() {
    let place = Place::new(60);
    let script = "echo ready; read line; echo $line; exit 9";
    let mut run = place.hcs(&["run", "-i", "--id", "box", "--", "sh", "-c", script]);
    let mut child = ready(run.stdin(Stdio::piped()).stderr(Stdio::piped()));
    let [service] = place.services().try_into().unwrap();
    pidfd_send_signal(&service, Signal::KILL).unwrap();
    gone(&service);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"still here\n")
        .unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(9), "still here\n"),
        "{ended:?}"
    );
    let list = Ended::from(place.hcs(&["list", "--format", "json"]).output().unwrap());
    assert_eq!(list.fine(), "[]\n");
}

#[test]
fn a_container_does_not_outlive_its_run_when_both_hcs_and_the_service_were_killed() {
    let place = Place::new(1);
    let mut child = place.ready();
    let [service] = place.services().try_into().unwrap();
    pidfd_send_signal(&service, Signal::KILL).unwrap();
    gone(&service);
    child.kill().unwrap();
    child.wait().unwrap();
    // The next service takes the container over, waits in vain for its client, ends it, and leaves.
    let list = Ended::from(place.hcs(&["list", "--format", "json"]).output().unwrap());
    assert!(list.fine().contains("box"));
    for service in place.services() {
        gone(&service);
    }
    let list = Ended::from(place.hcs(&["list", "--format", "json"]).output().unwrap());
    assert_eq!(list.fine(), "[]\n");
}

#[test]
fn a_killed_run_leaves_no_container() {
    let place = Place::new(60);
    let mut run = place.ready();
    let services = place.services();
    run.kill().unwrap();
    run.wait().unwrap();
    // It leaves only when it has no system any more.
    for service in &services {
        gone(service);
    }
    let list = Ended::from(place.hcs(&["list", "--format", "json"]).output().unwrap());
    assert_eq!(list.fine(), "[]\n");
}

#[test]
fn a_container_whose_run_was_killed_lasts_as_long_as_others_use_it() {
    let place = Place::new(60);
    let mut run = place.ready();
    let services = place.services();
    let script = "echo ready; read line; exit 5";
    let mut exec = place.hcs(&["exec", "-i", "box", "--", "sh", "-c", script]);
    let mut exec = ready(exec.stdin(Stdio::piped()));
    run.kill().unwrap();
    run.wait().unwrap();
    exec.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(exec.wait().unwrap().code(), Some(5));
    for service in &services {
        gone(service);
    }
    let list = Ended::from(place.hcs(&["list", "--format", "json"]).output().unwrap());
    assert_eq!(list.fine(), "[]\n");
}

/// Row N7.
#[test]
fn a_service_is_stopped_and_its_containers_go_on() {
    let place = Place::new(60);
    let at = |arguments: &[&str]| ended(&mut place.hcs(arguments));
    // None runs, and none is started to be stopped.
    assert_none_runs(&at(&["service", "stop"]), &place);
    let mut run = place.hcs(&["run", "-i", "--keep", "--id", "box", "--", "cat"]);
    let mut run = run
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = run.stdin.as_mut().unwrap();
    stdin.write_all(b"ready\n").unwrap();
    says(&mut run, "ready\n");
    let [service] = place.services().try_into().unwrap();
    at(&["service", "stop", "--timeout", "60"]).fine();
    let mut polled = [PollFd::new(&service, PollFlags::IN)];
    let now = Timespec::default();
    assert_eq!(poll(&mut polled, Some(&now)).unwrap(), 1, "it has exited");
    // Its client has the next service by now, or asks for it.
    drop(run.stdin.take());
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_eq!(at(&["list", "-q"]).fine(), "box\n");
    let log = at(&["events", "--json"]).fine();
    assert!(log.contains("\"ServiceStopped\""), "{log}");
    at(&["terminate", "box"]).fine();
}

/// That is said, and none is started.
#[track_caller]
fn assert_none_runs(told: &Ended, place: &Place) {
    let said = format!("no service runs at {}", place.endpoint().display());
    assert_eq!((told.code, told.out.as_str()), (Some(0), ""), "{told:?}");
    assert!(told.err.contains(&said), "{told:?}");
    assert!(place.services().is_empty());
}

/// A service that is idle already goes by what it reads then.
#[test]
fn an_idle_service_leaves_by_the_time_that_it_reads_anew() {
    let place = Place::new(60);
    let file = place.folder.path().join("hcsd.toml");
    fs::write(&file, "[times]\nidle_seconds = 100000\n").unwrap();
    ended(&mut place.hcs(&["list"])).fine();
    let [service] = place.services().try_into().unwrap();
    fs::write(&file, "[times]\nidle_seconds = 1\n").unwrap();
    pidfd_send_signal(&service, Signal::HUP).unwrap();
    let mut polled = [PollFd::new(&service, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    assert_eq!(poll(&mut polled, Some(&limit)).unwrap(), 1, "it has left");
}

/// Row N7.
#[test]
fn a_changed_configuration_is_told_until_the_next_service_has_it() {
    let place = Place::new(60);
    let at = |arguments: &[&str]| ended(&mut place.hcs(arguments));
    at(&["create", "--id", "box"]).fine();
    let told = at(&["service"]).fine();
    let file = place.folder.path().join("hcsd.toml");
    assert!(told.contains(file.to_str().unwrap()), "{told}");
    assert!(!told.contains("changed"), "{told}");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("[limits]\nsystems_per_client = 77\n");
    fs::write(&file, &text).unwrap();
    let told = at(&["service"]).fine();
    assert!(told.contains("changed at 2"), "{told}");
    assert!(
        told.contains("hcs service reload takes over limits.systems_per_client\n"),
        "{told}"
    );
    at(&["service", "stop"]).fine();
    let told = at(&["service"]).fine();
    assert!(!told.contains("changed"), "{told}");
    assert!(told.contains("1, at most 77 of one user"), "{told}");
    fs::write(&file, text.clone() + "conections = 1\n").unwrap();
    let told = at(&["service"]).fine();
    assert!(told.contains("no service can start by it: "), "{told}");
    assert!(told.contains("conections"), "{told}");
    // What stops this service has calls fail.
    let stopped = at(&["service", "stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    for said in ["calls fail until it is mended", "conections"] {
        assert!(stopped.err.contains(said), "{stopped:?}");
    }
    assert_eq!(at(&["list"]).code, Some(125));
    fs::write(&file, text).unwrap();
    at(&["terminate", "box"]).fine();
}

#[test]
fn a_configuration_is_read_again_while_everything_runs_on() {
    let place = Place::new(60);
    let at = |arguments: &[&str]| ended(&mut place.hcs(arguments));
    // None runs, and none is started for it.
    assert_none_runs(&at(&["service", "reload"]), &place);
    let mut run = place.ready();
    let service = || at(&["service", "--json", "Service"]).fine();
    let before = place.services().len();
    let file = place.folder.path().join("hcsd.toml");
    let old = fs::read_to_string(&file).unwrap();
    let read = format!("read {}\n", file.display());
    let reloaded = || at(&["service", "reload"]).fine();
    assert_eq!(reloaded(), format!("{read}nothing has changed\n"));
    let limits = "[limits]\nsystems_per_client = 1\n";
    let text = format!("log = \"debug\"\nuser_namespaces = true\n{old}{limits}");
    fs::write(&file, text).unwrap();
    assert_eq!(
        reloaded(),
        read + "changed: limits.systems_per_client, log\n\
                as before until the service is stopped (hcs service stop): container.user_namespaces\n"
    );
    let refused = at(&["create", "--id", "second"]);
    assert!(
        refused.err.contains("limit of 1 compute systems"),
        "{refused:?}"
    );
    let log = || fs::read_to_string(place.endpoint().with_extension("d").join("hcsd.log")).unwrap();
    assert!(log().contains("DEBUG"), "{}", log());
    // A mistake changes nothing, and is told with its line.
    fs::write(
        &file,
        format!("{old}{limits}[vm]\nusers = {{ first = 5, count = 9 }}\n"),
    )
    .unwrap();
    let refused = at(&["service", "reload"]);
    assert_eq!(refused.code, Some(125), "{refused:?}");
    for said in [
        "line 8",
        "users: expected",
        "goes on with the configuration",
    ] {
        assert!(refused.err.contains(said), "{refused:?}");
    }
    assert!(
        service().contains("\"SystemsPerClient\": 1"),
        "{}",
        service()
    );
    // By a signal, which has no answer but the log and the service's own word.
    fs::write(&file, format!("{old}[limits]\nsystems_per_client = 2\n")).unwrap();
    let [process] = place.services().try_into().unwrap();
    pidfd_send_signal(&process, Signal::HUP).unwrap();
    let mut answers = std::iter::repeat_with(service);
    assert!(answers.any(|told| told.contains("\"SystemsPerClient\": 2")));
    at(&["create", "--id", "second"]).fine();
    assert_eq!(place.services().len(), before, "it is the same service");
    at(&["terminate", "--all"]).fine();
    run.wait().unwrap();
}

#[test]
fn the_list_says_what_became_of_commands_also_after_the_service() {
    let place = Place::new(60);
    let at = |arguments: &[&str]| ended(&mut place.hcs(arguments));
    let detached = |id: &str, script: &str| {
        at(&["run", "-d", "--id", id, "--", "sh", "-c", script]).fine();
    };
    detached("ended", "exit 3");
    detached("running", "sleep 1000");
    at(&["create", "--id", "none"]).fine();
    at(&["start", "none"]).fine();
    assert_eq!(at(&["wait", "ended"]).code, Some(3));
    let check = |known: bool| {
        let list = at(&["list"]).fine();
        for (id, command) in [
            ("ended", "sh -c 'exit 3'      exited (3)"),
            ("running", "sh -c 'sleep 1000'  running"),
            ("none", "-                   -"),
        ] {
            let line = list
                .lines()
                .find(|line| line.contains(&format!(" {id} ")))
                .unwrap();
            assert!(line.ends_with(&format!("  {command}")), "{list}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&at(&["list", "--json"]).fine()).unwrap();
        let told = json
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["DetachedProcess"]["ProcessId"].is_u64());
        assert_eq!(told.count(), if known { 2 } else { 0 }, "{json}");
    };
    check(true);
    kill_services(&place);
    check(false);
    // The first command of a container that is older than its service.
    at(&["exec", "-d", "none", "--", "sleep", "1000"]).fine();
    let list = at(&["list"]).fine();
    let line = list.lines().find(|line| line.contains(" none "));
    assert!(
        line.unwrap().ends_with("  sleep 1000          running"),
        "{list}"
    );
    at(&["terminate", "--all"]).fine();
}

/// Row N7.
#[test]
fn a_level_of_the_log_that_there_is_not_is_refused() {
    let place = Place::new(60);
    let file = place.folder.path().join("hcsd.toml");
    fs::write(&file, "log = \"loud\"\n").unwrap();
    let refused = ended(&mut place.hcs(&["list"]));
    assert_eq!(refused.code, Some(125), "{refused:?}");
    for said in ["line 1", "\"info\"", "\"trace\""] {
        assert!(refused.err.contains(said), "{refused:?}");
    }
}

/// A service of root that was started where no control groups are mounted, and cannot reach those of the host's first
/// process, serves all clients without any limit.
#[test]
fn a_service_without_control_groups_says_so() {
    if crate::rootless::unprivileged() {
        return;
    }
    let place = Place::lasting("");
    let script =
        "umount -R /sys/fs/cgroup; \"$1\" run -- true; \"$1\" service; \"$1\" service stop";
    let hcs = place.hcs(&[]);
    let mut alone = Command::new("unshare");
    alone
        .args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c"])
        .args([script, "-", env!("CARGO_BIN_EXE_hcs")]);
    for (name, value) in hcs.get_envs() {
        alone.env(name, value.unwrap());
    }
    let alone = ended(&mut alone);
    let said = "none where the service runs, so nothing limits containers";
    for told in [&alone.err, &alone.out] {
        assert!(told.contains(said), "{alone:?}");
    }
    let log = place.endpoint().parent().unwrap().join("hcs.d/hcsd.log");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("no control groups are mounted"), "{log}");
    // Where they are, nothing is said.
    let there = ended(&mut place.hcs(&["run", "--", "true"]));
    assert_eq!(there.fine(), "");
}
