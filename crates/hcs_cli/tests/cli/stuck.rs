//! A service that was killed and cannot end, as one of its threads waits in the kernel for a file system.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
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
        // What is mounted is unmounted, whatever fails from here on.
        let frozen = Self(at);
        run(
            "mount",
            &["-o".as_ref(), "loop".as_ref(), &image, &frozen.0],
        );
        fs::create_dir(frozen.tree()).unwrap();
        run("fsfreeze", &["-f".as_ref(), &frozen.0]);
        frozen
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

/// Looks at the threads of a process, one look after the other: a thread that waits for a disk for a moment has the
/// same state as one that is stuck, and does not keep it.
const LOOKS: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(5);
/// After this the thread has never been stuck.
const END: Duration = Duration::from_secs(60);

/// The threads of a process that wait and cannot be interrupted, by their numbers.
fn uninterruptible(process: i32) -> Vec<OsString> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let waits = |thread: &fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status"));
        status.is_ok_and(|status| status.contains("State:\tD"))
    };
    let threads = threads.filter_map(Result::ok).filter(waits);
    threads.map(|thread| thread.file_name()).collect()
}

/// Waits until one thread of that process has been uninterruptible at all of some looks.
fn wait_until_stuck(process: i32) {
    let begun = Instant::now();
    let mut seen: BTreeMap<OsString, u32> = BTreeMap::new();
    while !seen.values().any(|looks| *looks >= LOOKS) {
        assert!(
            begun.elapsed() < END,
            "no thread of {process} is stuck: {seen:?}"
        );
        let now = uninterruptible(process).into_iter();
        // A thread that is not among them begins anew.
        seen = now
            .map(|thread| (seen.get(&thread).map_or(1, |looks| looks + 1), thread))
            .map(|(looks, thread)| (thread, looks))
            .collect();
        sleep(BETWEEN);
    }
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
    wait_until_stuck(number);
    kill_process(service, Signal::KILL).unwrap();
    ended(&mut place.hcs(&["run", "--", "true"])).fine();
    assert!(hcs_wire::peer::is_dying(number), "it has ended");
    // What waited goes on, once.
    frozen.thaw();
    let waited = waiting.wait_with_output().unwrap();
    assert!(waited.status.success(), "{waited:?}");
}
