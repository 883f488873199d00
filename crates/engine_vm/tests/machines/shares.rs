//! Directories of the host for a guest: who serves them, and which are refused. `crates/hcsd/tests/service/shares.rs`
//! has a guest that uses them.

use std::{
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::{DirBuilderExt as _, symlink},
    },
    path::Path,
};

use hcs_engine::engine::{Engine as _, Exit, Machine};
use hcs_schema::{Failure, HResult};
use hcs_wire::written;
use rustix::fs::removexattr;
use serde_json::{Value, json};

use crate::{
    cases::Case,
    host::{Host, Running, host_change},
};

pub(crate) const CASES: &[Case] = &[
    (
        "shares_are_served_with_the_rights_of_who_asked_for_the_machine",
        shares_are_served_with_the_rights_of_who_asked_for_the_machine,
    ),
    (
        "what_cannot_be_shared_is_refused",
        what_cannot_be_shared_is_refused,
    ),
    (
        "no_link_that_a_container_may_have_made_is_followed",
        no_link_that_a_container_may_have_made_is_followed,
    ),
];

/// A user of whom the host need not know.
const USER: u32 = 54_321;

fn share(path: &Path) -> Value {
    json!({"Name": "0", "Path": path, "Port": 564})
}

fn add(machine: &dyn Machine, path: &Path) -> Result<(), Failure> {
    let request = json!({
        "ResourcePath": "VirtualMachine/Devices/Plan9/Shares", "RequestType": "Add", "Settings": share(path),
    });
    machine.modify(&host_change(&request)?)
}

/// Starts a machine that may have shares, for `user`.
fn start(host: &Host, user: u32) -> Running<'_> {
    let document = host.document(|machine| machine["Devices"]["Plan9"] = json!({}));
    let mut request = host.request(&document);
    request.user = user;
    let machine = host.engine.create(&request).unwrap();
    machine
        .start(&hcs_schema::documents::StartOptions::default())
        .unwrap();
    Running {
        host,
        request,
        machine,
    }
}

/// The lines of `/proc/PID/status` of the child of `parent` with this name.
fn status(parent: i32, name: &str) -> String {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let statuses = all.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let mut found = statuses.filter(|status| {
        status.starts_with(&format!("Name:\t{name}\n"))
            && status.contains(&format!("\nPPid:\t{parent}\n"))
    });
    found.next().unwrap()
}

fn shares_are_served_with_the_rights_of_who_asked_for_the_machine() {
    let host = Host::new();
    for user in [0, USER] {
        let running = start(&host, user);
        let status = status(running.worker(), "hcsd-9p");
        let group = if user == 0 { 0 } else { 65534 };
        for line in [
            format!("Uid:\t{user}\t{user}\t{user}\t{user}"),
            format!("Gid:\t{group}\t{group}\t{group}\t{group}"),
            "Groups:\t ".to_owned(),
            "CapPrm:\t0000000000000000".to_owned(),
            "CapEff:\t0000000000000000".to_owned(),
            "CapBnd:\t0000000000000000".to_owned(),
            "NoNewPrivs:\t1".to_owned(),
        ] {
            let has_line = status.lines().any(|known| known == line);
            assert!(has_line, "{line}: {status}");
        }
        // Root has what is below the test's directory, no other user has.
        let closed = host.place.path().join("closed");
        let _there = fs::DirBuilder::new().mode(0o700).create(&closed);
        let added = add(&*running.machine, &closed);
        match user {
            0 => added.unwrap(),
            _ => {
                let refused = added.unwrap_err();
                assert_eq!(refused.hresult, HResult::E_ACCESSDENIED, "{refused:?}");
                assert_eq!(refused.causes[0].pointer.as_deref(), Some("/Settings/Path"));
            }
        }
        running.machine.kill().unwrap();
        assert_eq!(running.end(), Exit::Killed);
    }
}

fn what_cannot_be_shared_is_refused() {
    let host = Host::new();
    let place = host.place.path();
    fs::write(place.join("file"), "").unwrap();
    symlink("loop", place.join("loop")).unwrap();
    for name in ["missing", "file", "loop"] {
        let shares = json!({"Shares": [share(&place.join(name))]});
        let document = host.document(|machine| machine["Devices"]["Plan9"] = shares);
        let refused = host.refused(&document);
        assert_eq!(
            refused.causes[0].pointer.as_deref(),
            Some("/VirtualMachine/Devices/Plan9/Shares/0/Path"),
            "{name}: {refused:?}"
        );
    }
    // A machine without the device has no process for it.
    let running = host.start();
    let refused = add(&*running.machine, place).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCS_E_INVALID_STATE, "{refused:?}");
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

/// Row K13. The process that serves shares sees one mark only, which a container with `AllowSetId` may take away.
fn no_link_that_a_container_may_have_made_is_followed() {
    let host = Host::new();
    let at = |name: &str| host.place.path().join(name);
    for name in ["private", "tree/real"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    symlink(at("private"), at("tree/link")).unwrap();
    let running = start(&host, 0);
    let tree = fs::File::open(at("tree")).unwrap();
    if written::mark(tree.as_fd(), true).unwrap() {
        let _gone = removexattr(format!("/proc/self/fd/{}", tree.as_raw_fd()), written::OWN);
        let refused = add(&*running.machine, &at("tree/link")).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_ACCESSDENIED, "{refused:?}");
        assert_eq!(refused.causes[0].pointer.as_deref(), Some("/Settings/Path"));
    }
    add(&*running.machine, &at("tree/real")).unwrap();
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}
