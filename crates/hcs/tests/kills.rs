//! The service is killed again and again under clients that work: no call fails, none is done twice, and no exit code,
//! no byte and no handle is lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod killing;
mod service;

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, Permissions},
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hcs::{
    ComputeSystem, Endpoint, LogQuery, Process,
    documents::{self, SystemPropertyQuery},
    read_log,
};
use killing::{CONFIGURATION, End, KILLS, LIMIT, Progress, answered, kill, kill_again_and_again};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode},
};
use service::{Running, on_its_own_with, shell};

const THREADS: usize = 8;
/// Processes that live through all of it, per thread.
const COMPANIONS: usize = 2;
/// Bytes each process is sent and sends back.
const BYTES: usize = 20_000;
/// Commands that run in machines of their own. The service is killed as each of them ends.
const MACHINES: usize = 6;
/// Lines that each command of `hcs exec` writes.
const LINES: usize = 3000;

#[track_caller]
fn exit_code(process: &Process) -> u32 {
    match process.exit().wait_for(LIMIT) {
        Ok(status) => status.code,
        Err(failure) => panic!("process {}: {failure:?}", process.id()),
    }
}

/// Bytes that no other round of no other thread has.
fn bytes(thread: usize, round: usize) -> Vec<u8> {
    let mut state = ((thread as u64 + 1) << 32) | (round as u64 + 1);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(BYTES).collect()
}

/// Sends `sent` to a process that echoes its input, and reads the echo to the end.
fn echo(process: &mut Process, sent: &[u8]) -> Vec<u8> {
    let mut stdin = File::from(process.take_stdin().unwrap());
    let mut stdout = File::from(process.take_stdout().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(sent).unwrap());
        let mut got = Vec::new();
        stdout.read_to_end(&mut got).unwrap();
        got
    })
}

fn work(system: &ComputeSystem, thread: usize, progress: &Progress) {
    let end = End(progress);
    let companion = |number: usize| {
        let script = format!("cat; exit {}", 100 + number);
        answered(system.create_process(&shell(&script)))
    };
    let mut companions: Vec<_> = (0..COMPANIONS).map(companion).collect();
    let mut round = 0;
    while !progress.is_over() {
        round += 1;
        let code = u32::try_from(round % 100).unwrap();
        let script = format!("cat; exit {code}");
        let mut process = answered(system.create_process(&shell(&script)));
        let sent = bytes(thread, round);
        assert!(echo(&mut process, &sent) == sent, "bytes were lost");
        assert_eq!(exit_code(&process), code);
        answered(companions[round % COMPANIONS].properties());
        progress.round();
    }
    drop(end);
    for (number, process) in companions.iter_mut().enumerate() {
        let sent = bytes(thread, number);
        assert!(echo(process, &sent) == sent, "bytes were lost");
        assert_eq!(exit_code(process) as usize, 100 + number);
    }
}

/// The command line program, which stands beside the service's.
fn program() -> PathBuf {
    let program = service::program().with_file_name("hcs");
    assert!(
        program.is_file(),
        "{} is missing: build it first (cargo build -p hcs_cli)",
        program.display()
    );
    program
}

/// Where containers of this test find a directory of the host.
const SHARED: &str = "/mnt";

/// Runs commands by `hcs exec`. Each writes its own word to a file in `shared`, prints its text and exits with its
/// code.
fn execute(endpoint: &Endpoint, shared: &Path, thread: usize, progress: &Progress) {
    let end = End(progress);
    let mut round = 0;
    while !progress.is_over() {
        round += 1;
        let code = round % 100;
        let script = format!(
            "echo {round} >> {SHARED}/{thread}; seq {round} {}; echo {round} >&2; exit {code}",
            round + LINES
        );
        let done = Command::new(program())
            .args(["exec", "one", "--", "/bin/sh", "-c", &script])
            .env("HCS_ENDPOINT", endpoint.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(said, format!("{round}\n"), "what hcs exec complains of");
        assert_eq!(done.status.code(), Some(i32::try_from(code).unwrap()));
        let lines: String = (round..=round + LINES).map(|n| format!("{n}\n")).collect();
        assert!(done.stdout == lines.as_bytes(), "bytes were lost");
        progress.round();
    }
    drop(end);
    let words = fs::read_to_string(shared.join(thread.to_string())).unwrap();
    let once: String = (1..=round).map(|n| format!("{n}\n")).collect();
    assert!(words == once, "a command ran twice or not at all: {words}");
}

/// Where each command says that it is about to end.
const ENDS: &str = "ends";

/// Runs commands by `hcs run`. Each writes its own word to a file in `shared`, prints its text, says that it ends, and
/// exits with its code.
fn run(endpoint: &Endpoint, shared: &Path, thread: usize, progress: &Progress) {
    let end = End(progress);
    let mount = format!("{}:{SHARED}", shared.display());
    let mut round = 0;
    while !progress.is_over() {
        round += 1;
        let code = round % 100;
        let script = format!(
            "echo {round} >> {SHARED}/{thread}; seq {round} {}; echo {round} >&2; echo > {SHARED}/{ENDS}; exit {code}",
            round + LINES
        );
        let mut command = Command::new(program());
        command.args(["run", "--network", "none", "--mount", &mount]);
        // With a user namespace, where the directory can show other owners, and without.
        command.args((round % 2 == 0).then_some("--userns=no"));
        let done = command
            .args(["--", "/bin/sh", "-c", &script])
            .env("HCS_ENDPOINT", endpoint.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(said, format!("{round}\n"), "what hcs run complains of");
        assert_eq!(done.status.code(), Some(i32::try_from(code).unwrap()));
        let lines: String = (round..=round + LINES).map(|n| format!("{n}\n")).collect();
        assert!(done.stdout == lines.as_bytes(), "bytes were lost");
        progress.round();
    }
    drop(end);
    let words = fs::read_to_string(shared.join(thread.to_string())).unwrap();
    let once: String = (1..=round).map(|n| format!("{n}\n")).collect();
    assert!(words == once, "a command ran twice or not at all: {words}");
}

/// Kills the service so many times as commands end, each a little later than the one before.
fn kill_as_commands_end(endpoint: &Endpoint, ends: &mut File, progress: &Progress) {
    const STEP: Duration = Duration::from_micros(50);
    const STEPS: u32 = 40;
    const LOOK: Timespec = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let mut kills = 0;
    while kills < KILLS && !progress.is_over() {
        // Where no command ends any more, the threads say why.
        let mut is_said = [PollFd::new(ends, PollFlags::IN)];
        if poll(&mut is_said, Some(&LOOK)).unwrap() == 0 {
            continue;
        }
        // Those that have ended since the last one.
        let mut said = [0; 1024];
        assert_ne!(ends.read(&mut said).unwrap(), 0);
        let until = Instant::now() + STEP * (kills % STEPS);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        kills += u32::from(kill(endpoint));
    }
}

/// The end of each system, and that of its command, was written down once.
fn assert_ends_are_told_once() {
    let mut told = BTreeMap::<(String, String), usize>::new();
    let mut query = LogQuery::default();
    loop {
        let page = answered(read_log(&query));
        for event in page.events {
            let ends = ["ProcessExited", "SystemExited"].contains(&event.kind.as_str());
            if let Some(system) = event.runtime_id.filter(|_| ends) {
                *told.entry((system, event.kind)).or_default() += 1;
            }
        }
        query.since = page.next;
        if !page.more {
            break;
        }
    }
    assert!(!told.is_empty());
    told.retain(|_, times| *times != 1);
    assert!(told.is_empty(), "told more than once: {told:?}");
}

/// The directory of a kernel for guests, and its modules.
fn guest_kernel() -> PathBuf {
    let usual = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/guest-kernel/current"
    );
    let kernel = env::var_os("HCS_TEST_GUEST_KERNEL").unwrap_or_else(|| usual.into());
    let kernel = PathBuf::from(kernel);
    assert!(
        kernel.exists(),
        "there is no kernel for a guest in {}; run: cargo xtask packages",
        kernel.display()
    );
    kernel
}

/// Kills the service that is there, or waits for the next one and kills that; none where the command has ended.
fn kill_one(endpoint: &Endpoint, command: &mut Child) {
    while !kill(endpoint) && command.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a command in a machine of its own, and kills the service `kills` times from `wait` after the command was told
/// to end.
fn run_in_machine(endpoint: &Endpoint, images: &Path, kills: usize, wait: Duration) {
    let mut running = Command::new(program())
        .args(["run", "-i", "--isolation", "vm", "--memory", "256", "--"])
        .args(["/bin/sh", "-c", "echo ready; read x; echo $x; exit 51"])
        .env("HCS_ENDPOINT", endpoint.path())
        .env("HCS_GUEST_IMAGES", images)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 6];
    let ready = running.stdout.as_mut().unwrap().read_exact(&mut said);
    if ready.is_ok() {
        let mut stdin = running.stdin.as_ref().unwrap();
        stdin.write_all(b"go\n").unwrap();
        thread::sleep(wait);
        for _ in 0..kills {
            kill_one(endpoint, &mut running);
        }
    }
    let done = running.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert_eq!(complaint, "", "what hcs run complains of");
    assert_eq!(done.status.code(), Some(51));
    assert_eq!(done.stdout, b"go\n", "bytes were lost");
}

mod alone {
    use super::*;

    #[test]
    fn kills_as_commands_in_machines_end_lose_no_exit_code() {
        let test = "alone::kills_as_commands_in_machines_end_lose_no_exit_code";
        let Some(endpoint) = on_its_own_with(test, CONFIGURATION) else {
            return;
        };
        let images = tempfile::tempdir().unwrap();
        let mut build = Command::new(program());
        build.args(["guest-image", "build", "--kernel"]);
        build
            .arg(guest_kernel())
            .env("HCS_GUEST_IMAGES", images.path());
        assert!(build.output().unwrap().status.success());
        for (round, wait) in (0..).step_by(4).take(MACHINES).enumerate() {
            let wait = Duration::from_millis(wait);
            run_in_machine(&endpoint, images.path(), 1 + round % 3, wait);
        }
        assert_ends_are_told_once();
    }

    #[test]
    fn a_hundred_kills_as_commands_of_hcs_run_end_lose_no_exit_code() {
        let test = "alone::a_hundred_kills_as_commands_of_hcs_run_end_lose_no_exit_code";
        let Some(endpoint) = on_its_own_with(test, CONFIGURATION) else {
            return;
        };
        let shared = tempfile::tempdir().unwrap();
        let ends = shared.path().join(ENDS);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &ends,
            FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        fs::set_permissions(shared.path(), Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&ends, Permissions::from_mode(0o666)).unwrap();
        let mut ends = File::options().read(true).write(true).open(&ends).unwrap();
        let progress = Progress::default();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (endpoint, shared, progress) = (&endpoint, shared.path(), &progress);
                scope.spawn(move || run(endpoint, shared, thread, progress));
            }
            let _end = End(&progress);
            kill_as_commands_end(&endpoint, &mut ends, &progress);
        });
        assert_ends_are_told_once();
    }

    #[test]
    fn a_hundred_kills_under_hcs_exec_fail_no_call_and_run_no_command_twice() {
        let test = "alone::a_hundred_kills_under_hcs_exec_fail_no_call_and_run_no_command_twice";
        let Some(endpoint) = on_its_own_with(test, CONFIGURATION) else {
            return;
        };
        let shared = tempfile::tempdir().unwrap();
        let mut document = service::container();
        document.container = Some(documents::Container {
            mapped_directories: Some(vec![documents::MappedDirectory {
                host_path: Some(shared.path().display().to_string()),
                container_path: Some(SHARED.to_owned()),
                ..Default::default()
            }]),
            ..Default::default()
        });
        let _system = Running::of(&endpoint, "one", &document);
        let progress = Progress::default();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (endpoint, shared, progress) = (&endpoint, shared.path(), &progress);
                scope.spawn(move || execute(endpoint, shared, thread, progress));
            }
            let _end = End(&progress);
            kill_again_and_again(&endpoint, &progress);
        });
    }

    #[test]
    fn a_hundred_kills_of_the_service_lose_nothing() {
        let test = "alone::a_hundred_kills_of_the_service_lose_nothing";
        let Some(endpoint) = on_its_own_with(test, CONFIGURATION) else {
            return;
        };
        let systems = ["one", "two"].map(|id| Running::at(&endpoint, id));
        let progress = Progress::default();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (system, progress) = (&systems[thread % systems.len()], &progress);
                scope.spawn(move || work(system, thread, progress));
            }
            let _end = End(&progress);
            kill_again_and_again(&endpoint, &progress);
        });
        for system in &systems {
            answered(system.properties(&SystemPropertyQuery::default()));
        }
    }
}
