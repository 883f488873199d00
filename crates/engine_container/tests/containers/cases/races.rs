//! Paths that another process changes while they are used.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use hcs_schema::Failure;
use serde_json::json;

use crate::host::{Container, Host};

super::cases![
    a_path_swapped_on_the_host_is_one_thing_or_a_failure,
    a_place_swapped_in_the_container_stays_in_it,
    a_tree_swapped_on_the_host_shows_nothing_that_is_left_out,
];

/// Swaps the link `link` between two targets until it is dropped.
struct Swapper<'a> {
    done: &'a AtomicBool,
}

impl Drop for Swapper<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

fn swap(link: &Path, targets: [&str; 2], done: &AtomicBool) {
    let new = link.with_extension("new");
    for target in targets.iter().cycle() {
        if done.load(Ordering::Relaxed) {
            return;
        }
        symlink(target, &new).unwrap();
        fs::rename(&new, link).unwrap();
    }
}

/// What was looked at when the document was checked is what the container gets, or it gets nothing: never a file where
/// there was a directory, never one directory for the check and another for the mount.
fn a_path_swapped_on_the_host_is_one_thing_or_a_failure() {
    let host = Host::new();
    let place = host.files.path();
    for name in ["one", "two"] {
        fs::create_dir_all(place.join(name).join("shared")).unwrap();
        fs::write(place.join(name).join("shared/name"), name).unwrap();
    }
    let link = place.join("link");
    symlink("one", &link).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| swap(&link, ["two", "one"], &done));
        let _ends = Swapper { done: &done };
        for _ in 0..24 {
            let request = host.request(json!({ "MappedDirectories": [
                { "HostPath": link.join("shared"), "ContainerPath": "/mnt/shared", "ReadOnly": true },
            ] }));
            let machine = match hcs_engine::engine::Engine::create(&host.engine, &request) {
                Ok(machine) => machine,
                // Noticed by the service, which takes the view where there is a user namespace.
                Err(failure) => {
                    assert_changed(&failure);
                    continue;
                }
            };
            let container = Container::new(machine, request);
            match container
                .machine
                .guest()
                .unwrap()
                .wait_ready(crate::host::LIMIT)
            {
                Ok(()) => {
                    let name = container.shell("cat /mnt/shared/name");
                    assert!(["one", "two"].contains(&name.as_str()), "{name}");
                }
                Err(failure) => assert_changed(&failure),
            }
        }
    });
}

fn assert_changed(failure: &Failure) {
    let cause = &failure.causes[0];
    assert!(cause.message.contains("unchanged"), "{failure:#?}");
    let pointer = cause.pointer.as_deref();
    assert_eq!(pointer, Some("/Container/MappedDirectories/0/HostPath"));
}

/// The container swaps the directory that something is mapped to for a link that leads up and out, all the time: what is
/// mapped appears in the container or nowhere, and is taken away from nowhere else.
fn a_place_swapped_in_the_container_stays_in_it() {
    let host = Host::new();
    let place = host.files.path();
    fs::create_dir(place.join("shared")).unwrap();
    fs::write(place.join("shared/name"), "theirs").unwrap();
    let container = host.start(json!({}));
    // A process of the container's own that goes on until the container ends.
    container.shell(
        "mkdir -p /x/real; cat > /swap <<'end'
while :; do mv /x/real /x/other; ln -s ../../../../../../etc /x/real; rm /x/real; mv /x/other /x/real; done
end
setsid sh /swap > /dev/null 2>&1 < /dev/null & :",
    );
    let mapping = json!({ "HostPath": place.join("shared"), "ContainerPath": "/x/real/place", "ReadOnly": true });
    for _ in 0..40 {
        for kind in ["Add", "Remove"] {
            let request = json!({
                "ResourcePath": "Container/MappedDirectories",
                "RequestType": kind,
                "Settings": mapping,
            });
            // It may fail: the place is gone half of the time.
            let _either = container.modify(&request);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(place.to_str().unwrap()), "{mounts}");
    assert!(!Path::new("/etc/place").exists());
    assert_eq!(
        fs::read_to_string(place.join("shared/name")).unwrap(),
        "theirs"
    );
}

/// The lists of the view are applied to the very directory that is shown.
fn a_tree_swapped_on_the_host_shows_nothing_that_is_left_out() {
    let place = tempfile::tempdir().unwrap();
    let secret = place.path().join("secret");
    let host = Host::with(|config| {
        let secret = secret.to_str().unwrap().to_owned();
        config.host_view.hidden.push(secret);
    });
    for name in ["secret", "plain"] {
        fs::create_dir(place.path().join(name)).unwrap();
        fs::write(place.path().join(name).join("name"), name).unwrap();
    }
    let tree = place.path().join("tree");
    symlink("plain", &tree).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| swap(&tree, ["secret", "plain"], &done));
        let _ends = Swapper { done: &done };
        for _ in 0..40 {
            let request = host.request(json!({ "Storage": { "HostDirectory": tree } }));
            let Ok(machine) = hcs_engine::engine::Engine::create(&host.engine, &request) else {
                continue;
            };
            let container = Container::new(machine, request);
            let ready = container
                .machine
                .guest()
                .unwrap()
                .wait_ready(crate::host::LIMIT);
            if ready.is_ok() {
                let shown = format!(
                    "cat {0}/*/name {0}/name 2>/dev/null; :",
                    place.path().display()
                );
                let shown = container.shell(&shown);
                assert!(!shown.contains("secret"), "{shown}");
            }
        }
    });
}
