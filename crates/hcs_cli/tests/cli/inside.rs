//! A process in a container that reaches for a service of the host.

use std::{fs, path::Path};

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

#[track_caller]
fn assert_turned_away(ended: &Ended) {
    assert_eq!(ended.code, Some(125), "{ended:?}");
    let said = "a process in a container may not use the host compute service";
    assert!(ended.err.contains(said), "{ended:?}");
}

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

#[test]
fn clients_in_containers_are_admitted_where_that_is_configured() {
    let other = Place::new(1);
    let config = other.endpoint().with_file_name("hcsd.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("clients_in_containers = true\n{text}")).unwrap();
    other.hcs(&["list"]).output().unwrap();
    let list = "HCS_ENDPOINT=/seen/hcs.sock exec /hcs list";
    let folder = other.endpoint();
    // A client with a user namespace of its own cannot tell that the service is root's.
    let inside = with_program(&["--userns=no"], folder.parent().unwrap(), list);
    assert_eq!(inside.code, Some(0), "{inside:?}");
}

#[test]
fn a_container_does_not_see_the_directories_of_its_service() {
    let other = Place::new(1);
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
