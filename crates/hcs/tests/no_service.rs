//! The errors that a program gets when there is no service and none can be started.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use hcs::{ComputeSystem, Failure, HResult};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where a test finds its directory in the process of its own.
const PLACE: &str = "HCS_TEST_PLACE";

/// Runs `test` in a process of its own, with `program` as the service's; in that process it answers why a system could
/// not be made.
fn failure_with(test: &str, program: &str) -> Option<Failure> {
    if std::env::var_os(PLACE).is_some() {
        let document = hcs::documents::ComputeSystem::default();
        let failure = ComputeSystem::create("none", &document).wait().unwrap_err();
        let error = hcs::raw::service_properties(None).unwrap_err();
        assert_eq!(error.hresult, failure.hresult);
        return Some(failure);
    }
    let place = tempfile::tempdir().unwrap();
    let complains = place.path().join("complains");
    fs::write(&complains, "#!/bin/sh\necho the moon is full >&2\nexit 1\n").unwrap();
    let count = place.path().join("count").display().to_string();
    let killed = place.path().join("killed");
    let script = format!(
        "#!/bin/sh\necho >> {count}\n[ $(wc -l < {count}) -gt 2 ] || kill -9 $$\necho third >&2\nexit 1\n"
    );
    fs::write(&killed, script).unwrap();
    let limited = place.path().join("limited");
    fs::write(&limited, "#!/bin/sh\nulimit -Sn >&2\nexit 1\n").unwrap();
    for program in [&complains, &killed, &limited] {
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(PLACE, place.path())
        .env("HCS_ENDPOINT", place.path().join("hcs.sock"))
        .env("HCS_DAEMON", place.path().join(program))
        .status()
        .unwrap();
    assert!(status.success());
    None
}

#[test]
fn a_missing_program_is_named() {
    let Some(failure) = failure_with("a_missing_program_is_named", "missing") else {
        return;
    };
    assert_eq!(failure.hresult, HResult::HCS_E_SERVICE_NOT_AVAILABLE);
    let place = std::env::var_os(PLACE).unwrap();
    let missing = Path::new(&place).join("missing");
    let named = missing.to_str().unwrap();
    assert!(failure.causes[0].message.contains(named), "{failure:?}");
}

#[test]
fn a_program_that_fails_is_quoted() {
    let Some(failure) = failure_with("a_program_that_fails_is_quoted", "complains") else {
        return;
    };
    assert_eq!(failure.hresult, HResult::HCS_E_SERVICE_NOT_AVAILABLE);
    assert_eq!(failure.causes[0].message, "the moon is full");
}

#[test]
fn a_program_that_is_killed_is_run_again() {
    let Some(failure) = failure_with("a_program_that_is_killed_is_run_again", "killed") else {
        return;
    };
    assert_eq!(failure.causes[0].message, "third");
}

/// The service's containers have that limit.
#[test]
fn a_service_gets_the_limit_of_open_files_that_the_program_had() {
    let test = "a_service_gets_the_limit_of_open_files_that_the_program_had";
    let limit = || getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(300),
        ..limit()
    };
    setrlimit(Resource::Nofile, few).unwrap();
    for _ in 0..2 {
        hcs::raise_limit();
    }
    assert_eq!(limit().current, limit().maximum);
    let Some(failure) = failure_with(test, "limited") else {
        return;
    };
    assert_eq!(failure.causes[0].message, "300");
    assert_eq!(limit().current, limit().maximum);
}
