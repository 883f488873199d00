//! The memory of guests that crashed.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use hcs_engine::engine::Exit;
use hcs_schema::{HResult, documents::CrashReport};
use serde_json::json;

use crate::{
    cases::Case,
    guest,
    host::{Host, wait_for_end},
};

const POINTER: &str = "/VirtualMachine/DebugOptions/BugcheckSavedStateFileName";

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases![
    the_memory_of_a_guest_that_crashed_is_in_its_file,
    a_file_that_has_no_room_for_the_memory_is_told,
    a_file_for_memory_has_to_be_granted,
];

/// A file of root's.
fn private(path: PathBuf) -> PathBuf {
    fs::write(&path, "of the last crash").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// How a guest ends by this letter, what is told of its crash, and what had failed.
fn ended_by(host: &Host, letter: &str, file: &Path) -> (Exit, CrashReport, Option<String>) {
    let running = host.start_with(|machine| {
        machine["DebugOptions"] = json!({ "BugcheckSavedStateFileName": file });
    });
    let mut com = host.com();
    com.booted();
    com.say(letter);
    wait_for_end(&*running.machine);
    let told = (running.machine.crash_report(), running.machine.fault());
    (running.end(), told.0, told.1)
}

fn the_memory_of_a_guest_that_crashed_is_in_its_file() {
    let host = Host::new();
    let file = private(host.place.path().join("memory"));
    host.grant("a machine", &file);
    let (exit, _, _) = ended_by(&host, "o", &file);
    assert_eq!(exit, Exit::PowerOff);
    assert_eq!(fs::read(&file).unwrap(), b"of the last crash");

    for _ in 0..2 {
        let (exit, report, fault) = ended_by(&host, "p", &file);
        assert_eq!((exit, fault), (Exit::Crash, None));
        let kept = report.guest_crash_save_info.unwrap().save_state_file;
        assert_eq!(kept.as_deref(), file.to_str());
        assert_eq!(report.status, Some(0));
        let core = fs::read(&file).unwrap();
        // A core of 64 bits.
        assert_eq!(core[..5], *b"\x7fELF\x02");
        assert_eq!(core[16..18], [4, 0]);
        let code = &guest::kernel()[32..132];
        assert!(core.windows(code.len()).any(|bytes| bytes == code));
        let status = fs::metadata(&file).unwrap();
        assert!(status.len() > 16 << 20, "{}", status.len());
        let taken = status.blocks() * 512;
        assert!(
            taken < 8 << 20,
            "{taken} bytes of the disk, most of them zeros"
        );
    }
}

/// A file system of 32 KB, for the life of the value.
struct Small(PathBuf);

impl Small {
    fn mount(place: PathBuf) -> Self {
        fs::create_dir(&place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=32k", "tmpfs"]);
        assert!(mount.arg(&place).status().unwrap().success());
        Self(place)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _told = Command::new("umount").arg(&self.0).status();
    }
}

fn a_file_that_has_no_room_for_the_memory_is_told() {
    let host = Host::new();
    let small = Small::mount(host.place.path().join("small"));
    let file = private(small.0.join("memory"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let (exit, report, fault) = ended_by(&host, "p", &file);
    assert_eq!(exit, Exit::Crash);
    assert_eq!(report.guest_crash_save_info, None);
    assert_eq!(report.status, Some(HResult::E_FAIL.0));
    let fault = fault.unwrap();
    assert!(fault.contains("No space left"), "{fault}");
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
}

fn a_file_for_memory_has_to_be_granted() {
    let host = Host::new();
    let with = |path: &Path| {
        host.document(|machine| {
            machine["DebugOptions"] = json!({ "BugcheckSavedStateFileName": path });
        })
    };
    let missing = host.refused(&with(&host.place.path().join("missing")));
    let file = private(host.place.path().join("memory"));
    let denied = host.refused(&with(&file));
    assert_eq!(missing.hresult, HResult::FILE_NOT_FOUND);
    assert_eq!(denied.hresult, HResult::E_ACCESSDENIED, "{denied}");
    for refused in [missing, denied] {
        assert_eq!(refused.causes[0].pointer.as_deref(), Some(POINTER));
    }
    assert_eq!(fs::read(&file).unwrap(), b"of the last crash");
}
