//! Paths that another process changes while they are used.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use hcs_schema::Failure;
use rustix::fs::{CWD, RenameFlags, renameat_with};
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
            match container.wait_ready() {
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

/// The container swaps the directory that something is mapped to for a link that leads up and out, all the time: what
/// is mapped appears in the container or nowhere, and is taken away from nowhere else.
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

/// The lists of the view are applied to the very directory that is shown, also where that is a link to a secret every
/// other moment.
fn a_tree_swapped_on_the_host_shows_nothing_that_is_left_out() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let host = Host::with(|config| {
        let secret = at("secret").to_str().unwrap().to_owned();
        config.host_view.hidden.push(secret);
    });
    for name in ["secret", "tree"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("name"), name).unwrap();
    }
    symlink("secret", at("link")).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (tree, link) = (at("tree"), at("link"));
                renameat_with(CWD, tree, CWD, link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let _ends = Swapper { done: &done };
        for _ in 0..100 {
            let request = host.request(json!({ "Storage": { "HostDirectory": at("tree") } }));
            let Ok(machine) = hcs_engine::engine::Engine::create(&host.engine, &request) else {
                continue;
            };
            let container = Container::new(machine, request);
            if container.wait_ready().is_ok() {
                let name = at("*/name");
                let shown = container.shell(&format!("cat {} 2>/dev/null; :", name.display()));
                assert!(!shown.contains("secret"), "{shown}");
            }
        }
    });
}
