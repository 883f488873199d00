//! A process in a container that reaches for a service of the host.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    common::{Ended, ended, hcs},
    service::Place,
};

/// What a mapping of `from` to `to` is called on the command line.
fn mount(from: &Path, to: &str) -> String {
    format!("{}:{to}", from.display())
}

/// Runs `script` in a container that has the program at `/hcs` and `from` at `/seen`.
fn with_program(options: &[&str], from: &Path, script: &str) -> Ended {
    let program = mount(Path::new(env!("CARGO_BIN_EXE_hcs")), "/hcs:ro");
    let seen = mount(from, "/seen:shift");
    let first = ["run", "--mount", &program, "--mount", &seen];
    let command = ["--", "sh", "-c", script];
    ended(&mut hcs([&first[..], options, &command].concat()))
}

/// A client that checks nothing of the service, unlike ours: says hello to the socket that is its argument, asks for a
/// container right behind that, and prints each message that comes back.
pub(crate) const CLIENT: &str = r#"
    use Socket;
    my $number = 0;
    sub message { my ($body) = @_; pack("V v v Q<", 16 + length $body, 1, 0, ++$number) . $body }
    socket(S, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    connect(S, pack_sockaddr_un($ARGV[0])) or die "connect: $!\n";
    print "connected\n";
    my $document = '{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Owner\":\"evil\",'
        . '\"ShouldTerminateOnLastHandleClosed\":true,\"Container\":{}}';
    syswrite S, message('{"call":"hello","minimum":1,"maximum":1}')
        . message('{"call":"create_system","system":1,"id":"of-inside","document":"' . $document . '"}');
    while (read(S, my $header, 16) == 16) {
        my ($size, $kind, $descriptors, $id) = unpack "V v v Q<", $header;
        read S, my $body, $size - 16;
        print "answer $id: $body\n";
        last if $kind == 2 and $id == 2;
    }
"#;

/// What a service answers to any process in a container.
const SAID: &str = "a process in a container may not use the host compute service";

/// The client above reached the service, was told why it may not use it, and its second call was not taken up.
#[track_caller]
pub(crate) fn assert_refused_by_the_service(client: &Ended) {
    let answers: Vec<&str> = client.out.lines().collect();
    let [connected, answer] = answers[..] else {
        panic!("expected one answer: {client:?}");
    };
    assert_eq!(connected, "connected");
    assert!(
        answer.starts_with("answer 1: ") && answer.contains(SAID),
        "{client:?}"
    );
}

#[track_caller]
fn assert_turned_away(ended: &Ended) {
    assert_eq!(ended.code, Some(125), "{ended:?}");
    assert!(ended.err.contains(SAID), "{ended:?}");
}

/// Row S2.
#[test]
fn a_service_turns_away_a_container_whatever_is_mapped() {
    let other = Place::new(1);
    other
        .hcs(&["create", "--id", "of-the-host"])
        .output()
        .unwrap();
    let list = "HCS_ENDPOINT=/seen/hcs.sock exec /hcs list";
    for userns in ["--userns=no", "--userns"] {
        let folder = other.endpoint();
        let inside = with_program(&[userns], folder.parent().unwrap(), list);
        // With a user namespace root inside is an ordinary user of the host, who trusts no service of another user.
        if userns == "--userns=no" {
            assert_turned_away(&inside);
        }
        assert_ne!(inside.code, Some(0), "{inside:?}");
        assert!(!inside.out.contains("of-the-host"), "{inside:?}");
    }
    // A child of the process that has ended by the time it is looked for gets nothing either.
    let gone = "HCS_ENDPOINT=/seen/hcs.sock /hcs terminate of-the-host & kill -9 $!; wait; true";
    for userns in ["--userns=no", "--userns"] {
        with_program(&[userns], other.endpoint().parent().unwrap(), gone);
    }
    let list = ended(&mut other.hcs(&["list"]));
    assert!(list.out.contains("of-the-host"), "{list:?}");
    other.hcs(&["terminate", "of-the-host"]).output().unwrap();
}

/// Row S2: what keeps an attacker out is the service: a client of the attacker's own does not look whose it is.
#[test]
fn a_client_of_the_attackers_own_is_turned_away_as_well() {
    let other = Place::lasting("");
    other.hcs(&["list"]).output().unwrap();
    let seen = mount(other.endpoint().parent().unwrap(), "/seen:shift");
    for userns in ["--userns=no", "--userns"] {
        let first = ["run", userns, "--mount", &seen, "--", "perl", "-e", CLIENT];
        let client = ended(&mut hcs([&first[..], &["/seen/hcs.sock"]].concat()));
        assert_refused_by_the_service(&client);
    }
    // It does what a client has to do: on the host it is served.
    let mut on_host = Command::new("perl");
    let on_host = ended(on_host.args(["-e", CLIENT]).arg(other.endpoint()));
    assert!(on_host.out.contains("answer 2: "), "{on_host:?}");
    assert!(!on_host.out.contains(SAID), "{on_host:?}");
}

#[test]
fn clients_in_containers_are_admitted_where_that_is_configured() {
    let other = Place::lasting("clients_in_containers = true\n");
    other.hcs(&["list"]).output().unwrap();
    let list = "HCS_ENDPOINT=/seen/hcs.sock exec /hcs list";
    let folder = other.endpoint();
    // A client with a user namespace of its own cannot tell that the service is root's.
    let inside = with_program(&["--userns=no"], folder.parent().unwrap(), list);
    assert_eq!(inside.code, Some(0), "{inside:?}");
}

/// Row S2.
#[test]
fn a_container_does_not_see_the_directories_of_its_service() {
    // A directory that a container may write to has a mark afterwards.
    let around = TempDir::new().unwrap();
    let other = Place::new_in(around.path(), 1);
    let folder = other.endpoint();
    let folder = folder.parent().unwrap();
    let run = |from: &Path, script: &str| {
        let seen = mount(from, "/seen");
        ended(&mut other.hcs(&["run", "--mount", &seen, "--", "sh", "-c", script]))
    };
    // Neither the directory of the socket, nor what is in the state root.
    for own in [
        folder.to_owned(),
        folder.join("hcs.d"),
        folder.join("hcs.d/systems"),
    ] {
        let refused = run(&own, "true");
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(
            refused.err.contains("belongs to the host compute service"),
            "{refused:?}"
        );
        assert!(refused.err.contains(own.to_str().unwrap()), "{refused:?}");
    }
    // They are empty where a larger tree is mapped, and other things in it are not.
    let name = folder.file_name().unwrap().to_str().unwrap();
    let script = format!("ls -A /seen/{name}; ls -A /seen/.. > /dev/null && touch /seen/{name}/x");
    let seen = run(folder.parent().unwrap(), &script);
    assert_eq!(seen.out, "", "{seen:?}");
    assert_ne!(seen.code, Some(0), "{seen:?}");
    // What lies beside the socket may be mapped.
    let beside = TempDir::new_in(folder).unwrap();
    fs::write(beside.path().join("file"), "beside").unwrap();
    assert_eq!(run(beside.path(), "cat /seen/file").fine(), "beside");
}

/// Row F14: A container has neither namespaces nor control groups to give away; the answer says so, and what to do.
#[test]
fn a_service_inside_of_a_container_says_why_it_makes_none() {
    let folder = Path::new(env!("CARGO_BIN_EXE_hcs")).parent().unwrap();
    let programs = mount(folder, "/programs:ro");
    let run = |options: &[&str]| {
        let first = ["run", "--layer", "/", "--mount", &programs];
        let script = "HCS_ENDPOINT=/tmp/inner/hcs.sock /programs/hcs run -- true";
        let command = ["--", "sh", "-c", script];
        ended(&mut hcs([&first[..], options, &command].concat()))
    };
    for (options, said) in [
        (
            &["--userns"][..],
            "namespaces are refused where the service runs",
        ),
        (
            &["--userns=no", "--cap-add", "ALL"],
            "may make no control groups where it runs",
        ),
    ] {
        let inner = run(options);
        assert_eq!(inner.code, Some(125), "{inner:?}");
        assert!(inner.err.contains(said), "{inner:?}");
        assert!(inner.err.contains("run hcs on the host"), "{inner:?}");
    }
}
