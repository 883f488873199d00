//! Callers in namespaces of their own, those of a sandbox say: the service that such a caller starts, and the services
//! and containers around it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::{
    common::{Ended, ended, hcs, says},
    inside::CLIENT,
    rootless::{User, unprivileged},
    service::{Place, kill_services},
};

/// Users that no host has, and none of the other tests.
const BESIDE: u32 = 54_370;
const FOLLOWED: u32 = 54_371;

/// What a service answers that is in a pid namespace of its own.
const ELSEWHERE: &str = "has no number in the pid namespace";

/// A first process of a pid namespace: it keeps a service there until [`Sandbox::end`], and all of that ends with it.
struct Sandbox(Child);

impl Sandbox {
    /// `script` says that it is ready and reads a line.
    fn new(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        says(&mut child, "ready\n");
        Self(child)
    }

    fn end(mut self) {
        writeln!(self.0.stdin.take().unwrap()).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

/// A service of `place` in a pid namespace, of which other services do not know which directories it has.
fn service_apart(place: &Place) -> Sandbox {
    const SCRIPT: &str = "mount -t tmpfs none /run/hcs-places && $HCS list > /dev/null && echo ready && read line && \
                          $HCS service stop";
    // As a service makes it: a later one would take it as it is.
    let registry = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create("/run/hcs-places");
    registry.unwrap();
    Sandbox::new(unshared(
        place,
        &["--pid", "--fork", "--kill-child", "--mount-proc"],
        SCRIPT,
    ))
}

/// A shell script in namespaces of its own, which calls `$HCS` for `place`.
fn unshared(place: &Place, options: &[&str], script: &str) -> Command {
    let like = place.hcs(&[]);
    let mut command = Command::new("unshare");
    command
        .args(options)
        .args(["sh", "-c", script])
        .env("HCS", env!("CARGO_BIN_EXE_hcs"))
        .stdin(Stdio::null());
    for (name, value) in like.get_envs() {
        command.env(name, value.unwrap());
    }
    command
}

fn run_unshared(place: &Place, options: &[&str], script: &str) -> Ended {
    ended(&mut unshared(place, options, script))
}

fn mount(from: &Path, to: &str) -> String {
    format!("{}:{to}:ro", from.display())
}

/// The client reached the service, was told why it may not use it, and its second call was not taken up.
#[track_caller]
fn assert_turned_away(client: &Ended) {
    let answers: Vec<&str> = client.out.lines().collect();
    let [connected, answer] = answers[..] else {
        panic!("expected one answer: {client:?}");
    };
    assert_eq!(connected, "connected");
    assert!(answer.contains(ELSEWHERE), "{client:?}");
    assert!(answer.contains("clients_in_containers"), "{client:?}");
}

/// A container of another service, to which the directory of the socket is mapped: root in it is root of the host.
#[test]
fn a_service_in_a_pid_namespace_turns_away_a_container_beside_it() {
    if unprivileged() {
        return;
    }
    let place = Place::lasting("");
    let sandbox = service_apart(&place);
    let seen = mount(place.endpoint().parent().unwrap(), "/seen");
    let first = ["run", "--userns=no", "--mount", &seen, "--", "perl", "-e"];
    let client = ended(&mut hcs([&first[..], &[CLIENT, "/seen/hcs.sock"]].concat()));
    assert_turned_away(&client);
    // A process that is in no container, beside it and around it.
    let perl = format!(
        "perl -e '{}' {}",
        CLIENT.replace('\'', "'\\''"),
        place.endpoint().display()
    );
    let beside = ["--pid", "--fork", "--mount-proc"];
    assert_turned_away(&run_unshared(&place, &beside, &perl));
    let around = ended(&mut place.hcs(&["list"]));
    assert_eq!(around.code, Some(125), "{around:?}");
    assert!(around.err.contains(ELSEWHERE), "{around:?}");
    sandbox.end();
}

#[test]
fn a_service_in_a_pid_namespace_admits_clients_around_it_where_that_is_configured() {
    if unprivileged() {
        return;
    }
    let place = Place::lasting("clients_in_containers = true\n");
    let sandbox = service_apart(&place);
    ended(&mut place.hcs(&["list"])).fine();
    sandbox.end();
}

/// A private service in a sandbox, and a container of the same user's service outside.
#[test]
fn a_users_service_in_a_sandbox_turns_away_the_users_container_beside_it() {
    if unprivileged() {
        return;
    }
    let user = User::new(BESIDE).in_a_place_of_its_own();
    let own = user.home().join("sandbox");
    let program = user.program();
    let script = format!(
        "export HCS_ENDPOINT={}/hcs.sock; {program} list > /dev/null && echo ready && read line && {program} service stop",
        own.display()
    );
    let sandbox = [
        "unshare",
        "-Ur",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    let words = [&sandbox[..], &["sh", "-c", &script]].concat();
    let sandbox = Sandbox::new(user.command(&words));
    let seen = mount(&own, "/seen");
    let first = ["run", "--mount", &seen, "--", "perl", "-e"];
    assert_turned_away(&user.hcs(&[&first[..], &[CLIENT, "/seen/hcs.sock"]].concat()));
    sandbox.end();
}

/// A container that was made by a service which is gone, and the first caller after that.
fn left_alone(place: &Place, options: &[&str], said: &str) {
    ended(&mut place.hcs(&["create", "--id", "box"])).fine();
    ended(&mut place.hcs(&["start", "box"])).fine();
    let write = ["exec", "box", "--", "sh", "-c", "echo kept > /kept"];
    ended(&mut place.hcs(&write)).fine();
    kill_services(place);
    // The first one that is refused leaves nothing that would let a second one in.
    for _ in 0..2 {
        let refused = run_unshared(place, options, "$HCS list");
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
        assert!(refused.err.contains("HCS_ENDPOINT"), "{refused:?}");
    }
    let read = ended(&mut place.hcs(&["exec", "box", "--", "cat", "/kept"]));
    assert_eq!(read.fine(), "kept\n");
    ended(&mut place.hcs(&["terminate", "box"])).fine();
    ended(&mut place.hcs(&["service", "stop"])).fine();
}

#[test]
fn a_caller_in_a_pid_namespace_takes_no_living_container_for_gone() {
    if unprivileged() {
        return;
    }
    let place = Place::new(60);
    let options = ["--pid", "--fork", "--mount-proc"];
    left_alone(&place, &options, "another pid namespace");
    // With nothing that lives there it is served, as at an endpoint of its own.
    for place in [place, Place::new(60)] {
        let script = "$HCS run -- echo inside && $HCS service stop";
        assert_eq!(run_unshared(&place, &options, script).fine(), "inside\n");
        ended(&mut place.hcs(&["list"])).fine();
    }
}

#[test]
fn a_caller_in_a_user_namespace_takes_over_nothing_of_root() {
    if unprivileged() {
        return;
    }
    let place = Place::new(60);
    left_alone(&place, &["-Ur"], "a service of root");
    // Nor does it become the service of root where nothing lives.
    let refused = run_unshared(&place, &["-Ur"], "$HCS list");
    assert!(refused.err.contains("a service of root"), "{refused:?}");
    let unmapped = run_unshared(&place, &["-U"], "$HCS list");
    assert_eq!(unmapped.code, Some(125), "{unmapped:?}");
    assert!(unmapped.err.contains("user namespace"), "{unmapped:?}");
    ended(&mut place.hcs(&["list"])).fine();
}

#[test]
fn a_user_in_a_sandbox_takes_no_living_container_for_gone() {
    if unprivileged() {
        return;
    }
    let user = User::new(FOLLOWED).in_a_place_of_its_own();
    user.hcs(&["create", "--id", "own"]).fine();
    user.hcs(&["start", "own"]).fine();
    user.end_service(Signal::KILL);
    let program = user.program();
    let pids = ["unshare", "-Ur", "--pid", "--fork", "--mount-proc"];
    for (options, said) in [
        (&pids[..], "another pid namespace"),
        (&pids[..2], "another user namespace"),
    ] {
        let words = [options, &[program.as_str(), "list"]].concat();
        let refused = ended(&mut user.command(&words));
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
    let alive = user.hcs(&["exec", "own", "--", "echo", "alive"]);
    assert_eq!(alive.fine(), "alive\n");
    user.hcs(&["terminate", "own"]).fine();
}

/// `unshare --pid` without `--mount-proc`: numbers in `/proc` are those of other processes.
#[test]
fn no_service_starts_where_proc_is_of_another_pid_namespace() {
    if unprivileged() {
        return;
    }
    let place = Place::new(60);
    let refused = run_unshared(&place, &["--pid", "--fork"], "$HCS list");
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(refused.err.contains("--mount-proc"), "{refused:?}");
}

/// A caller whose `/run` is another one, and whose control groups are the host's.
#[test]
fn a_second_service_of_the_same_name_ends_nothing_of_the_first() {
    if unprivileged() {
        return;
    }
    let place = Place::lasting("");
    let folder = place.endpoint();
    let folder = folder.parent().unwrap().display();
    let script = format!(
        "mount -t tmpfs -o mode=700 none {folder} && export HCS_CONFIG=/dev/null && $HCS list"
    );
    let refused = || {
        let refused = run_unshared(&place, &["--mount"], &script);
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains("of the same name"), "{refused:?}");
        assert!(refused.err.contains("HCS_ENDPOINT"), "{refused:?}");
    };
    // A service that has made nothing.
    ended(&mut place.hcs(&["list"])).fine();
    refused();
    ended(&mut place.hcs(&["create", "--id", "box"])).fine();
    ended(&mut place.hcs(&["start", "box"])).fine();
    refused();
    kill_services(&place);
    refused();
    let alive = ended(&mut place.hcs(&["exec", "box", "--", "echo", "alive"]));
    assert_eq!(alive.fine(), "alive\n");
    ended(&mut place.hcs(&["terminate", "box"])).fine();
    ended(&mut place.hcs(&["service", "stop"])).fine();
    // With nothing there, the name is free.
    let served = run_unshared(
        &place,
        &["--mount"],
        &format!("{script} && $HCS service stop"),
    );
    assert_eq!(served.code, Some(0), "{served:?}");
}
