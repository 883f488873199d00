//! What holds up a service that comes after another one: no container, and no user of the host.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{
    Service, await_that,
    client::{CONTAINER, create_system, open_system, shell, start_system},
    kill,
};

/// A file system of its own, which can be told to let no process write.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(16 << 20).unwrap();
        let disk = Self { folder };
        fs::create_dir(disk.mounted()).unwrap();
        run("mkfs.ext4", &["-q"], &image);
        let mounted = disk.mounted();
        run("mount", &["-o", "loop", image.to_str().unwrap()], &mounted);
        disk
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn freeze(&self) {
        run("fsfreeze", &["-f"], &self.mounted());
    }

    fn thaw(&self) {
        run("fsfreeze", &["-u"], &self.mounted());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for (program, option) in [("fsfreeze", "-u"), ("umount", "-l")] {
            let mut command = Command::new(program);
            // It is thawed already, unless the test failed.
            let _thawed = command.arg(option).arg(self.mounted()).output();
        }
    }
}

fn run(program: &str, options: &[&str], path: &Path) {
    let ended = Command::new(program).args(options).arg(path).output();
    let ended = ended.unwrap();
    assert!(ended.status.success(), "{program}: {ended:?}");
}

/// The pid of the agent of the only system there is.
fn agent(service: &Service) -> i32 {
    let systems = fs::read_dir(service.root().join("systems")).unwrap();
    let system = systems.map(|entry| entry.unwrap().path()).next().unwrap();
    let record: Value =
        serde_json::from_slice(&fs::read(system.join("state.json")).unwrap()).unwrap();
    let machine: Value = serde_json::from_str(record["machine"].as_str().unwrap()).unwrap();
    i32::try_from(machine["Pid"].as_i64().unwrap()).unwrap()
}

/// How many scratches are in a directory, beside the file that its service has locked.
fn scratches(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names.filter(|name| name != "hcsd.lock").count()
}

/// Millions of files would do as well.
#[test]
fn what_a_container_left_is_removed_while_clients_are_served() {
    let disk = Disk::new();
    let scratch = disk.mounted().join("scratch");
    let lines = format!("[container]\nwarm_slots = 0\nscratch_root = {scratch:?}\n");
    let mut service = Service::with_config(&lines);
    service.client().start_container(1, "left");
    let below = fs::read_dir(&scratch).unwrap().next().unwrap();
    let below = below.unwrap().path();
    assert_eq!(scratches(&below), 1);
    let agent = agent(&service);
    service.kill();
    kill(agent);
    // What is removed here waits, and cannot be interrupted.
    disk.freeze();
    service.run();
    let mut client = service.client();
    // It may be gone by now: any answer will do.
    client.call(&open_system(1, "left", None));
    assert_eq!(scratches(&below), 1);
    disk.thaw();
    await_that("removed", || scratches(&below) == 0);
}

fn keeping(scratch: &Path) -> String {
    json!({
        "SchemaVersion": { "Major": 2, "Minor": 1 },
        "Container": { "Storage": { "Path": scratch } },
    })
    .to_string()
}

/// An ordinary user opens the directory before the first container closes it; a container may have it mapped read-only.
#[test]
fn a_lock_of_a_kept_scratch_keeps_no_container_from_the_next_service() {
    let scratch = tempfile::tempdir_in("/var/tmp").unwrap();
    let seen = File::open(scratch.path()).unwrap();
    let document = keeping(scratch.path());
    let mut service = Service::new();
    let mut client = service.client();
    client.call(&create_system(1, "kept", &document)).ok();
    client.call(&start_system(1)).ok();
    let waiting = thread::spawn(move || {
        flock(&seen, FlockOperation::LockExclusive).unwrap();
        seen
    });
    service.kill();
    let locked = waiting.join().unwrap();
    service.run();
    let mut client = service.client();
    client.call(&open_system(1, "kept", None)).ok();
    let mut said = client.create_process(1, 2, &shell("echo here"));
    assert_eq!(said.output(), "here\n");
    // It is still that container's alone.
    let refused = client.call(&create_system(3, "other", &document));
    let refused = refused.reply.document.unwrap();
    assert!(
        refused.contains("while no other container has it"),
        "{refused}"
    );
    client.terminate(1);
    client.call(&create_system(4, "next", &document)).ok();
    client.call(&start_system(4)).ok();
    client.terminate(4);
    drop(locked);
}

/// Each system that is taken over takes descriptors: a service of a caller with a low limit would serve no client.
#[test]
fn a_service_that_may_open_too_few_files_for_what_is_recorded_says_so() {
    const SYSTEMS: u64 = 70;
    let mut service = Service::with_config("warm_slots = 0\n");
    let mut client = service.client();
    for handle in 1..=SYSTEMS {
        let id = format!("left-{handle}");
        client.call(&create_system(handle, &id, CONTAINER)).ok();
    }
    service.kill();
    let own = service.command();
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=1024:1024");
    // Root may raise it, where it has all its capabilities.
    limited.args(["setpriv", "--bounding-set", "-sys_resource"]);
    let refused = limited.arg(own.get_program()).args(own.get_args()).output();
    let refused = refused.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    for expected in ["the 70 containers", "ulimit -Hn", "1072"] {
        assert!(said.contains(expected), "{said}");
    }
    service.run();
    let mut client = service.client();
    for handle in 1..=SYSTEMS {
        let id = format!("left-{handle}");
        client.call(&open_system(handle, &id, None)).ok();
        client.terminate(handle);
    }
}
