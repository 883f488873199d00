//! A service that was killed and cannot end, as one of its threads waits in the kernel for a file system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use rustix::process::{Signal, geteuid, kill_process};

use crate::{common::ended, service::Place};

/// A file system that lets no process write to it for as long as this lives.
struct Frozen(PathBuf);

impl Frozen {
    fn in_folder(folder: &Path) -> Self {
        let (image, at) = (folder.join("image"), folder.join("frozen"));
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        fs::create_dir(&at).unwrap();
        run("mkfs.ext4", &["-q".as_ref(), &image]);
        run("mount", &["-o".as_ref(), "loop".as_ref(), &image, &at]);
        fs::create_dir(at.join("tree")).unwrap();
        run("fsfreeze", &["-f".as_ref(), &at]);
        Self(at)
    }

    fn thaw(&self) {
        run("fsfreeze", &["-u".as_ref(), &self.0]);
    }

    fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for (program, option) in [("fsfreeze", "-u"), ("umount", "-l")] {
            let _left = Command::new(program).arg(option).arg(&self.0).status();
        }
    }
}

fn run(program: &str, arguments: &[&Path]) {
    let ended = ended(Command::new(program).args(arguments));
    assert_eq!(ended.code, Some(0), "{program}: {ended:?}");
}

/// Whether a thread of that process waits and cannot be interrupted.
fn is_stuck(process: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.filter_map(Result::ok).any(|thread| {
        let status = fs::read_to_string(thread.path().join("status"));
        status.is_ok_and(|status| status.contains("State:\tD"))
    })
}

#[test]
fn a_service_that_was_killed_and_cannot_end_is_replaced() {
    if !geteuid().is_root() {
        return;
    }
    let place = Place::lasting("");
    ended(&mut place.hcs(&["run", "--", "true"])).fine();
    let [service] = place.numbers()[..] else {
        panic!("expected one service");
    };
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let frozen = Frozen::in_folder(folder.path());
    let mapped = format!("{}:/tree", frozen.tree().display());
    let mut waiting = place.hcs(&["run", "--mount", &mapped, "--", "true"]);
    let waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let number = service.as_raw_nonzero().get();
    while !is_stuck(number) {
        sleep(Duration::from_millis(5));
    }
    kill_process(service, Signal::KILL).unwrap();
    ended(&mut place.hcs(&["run", "--", "true"])).fine();
    assert!(hcs_wire::peer::is_dying(number), "it has ended");
    // What waited goes on, once.
    frozen.thaw();
    let waited = waiting.wait_with_output().unwrap();
    assert!(waited.status.success(), "{waited:?}");
}
