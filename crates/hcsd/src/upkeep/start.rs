//! `hcsd --start`: a detached service for a client that found none.
//!
//! The starter sheds what it has from its caller ([`shed_surroundings`]), looks at the state root, and
//! runs `hcsd --serve` in an environment of its own, with its stdout as a pipe. The service says one line on it,
//! "ready", "busy" or "failed: " with a sentence, and then lets go of it. Which of several starters wins is decided by
//! the lock in the state root; the others find the winner's socket.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use hcs_wire::peer::{Peer, is_dying};
use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process::setsid,
    stdio,
};

use crate::{
    cli::Options,
    engines::{leave_descriptors_behind, shed_surroundings},
    record::files::StateRoot,
    upkeep::{endpoint::state_root, logging, only::LOCK},
};

/// This very program, even if another has its name by now.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Where the service looks for programs of the host, `newuidmap` say. All that it has of an environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a service may take to come up, or to make room.
const LIMIT: Duration = Duration::from_secs(30);
/// How often the service may be killed while it starts, before the starter takes that for a fault of the service.
const MOST_KILLS: usize = 8;
/// How long a starter waits before it looks again whether another's service is there.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts a service at `endpoint` unless one is there. Returns when it can be connected to.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn start(
    options: &Options,
    endpoint: &Path,
    config: Option<&Path>,
) -> Result<ExitCode, String> {
    leave_descriptors_behind()?;
    let program = std::env::current_exe().map_err(|e| format!("/proc cannot be read: {e}"))?;
    let mut seen = vec![endpoint.parent().unwrap_or(endpoint), &program];
    seen.extend(config);
    let fit = shed_surroundings(&seen);
    if !answers(endpoint) {
        fit?;
    }
    let deadline = Instant::now() + LIMIT;
    let mut kills = 0;
    while Instant::now() < deadline {
        if answers(endpoint) {
            return Ok(ExitCode::SUCCESS);
        }
        let mut child = spawn(options, endpoint, config)?;
        let (line, status) = said(&mut child)?;
        match (line.as_str(), status) {
            ("ready", _) => return Ok(ExitCode::SUCCESS),
            // Another service is coming up or leaving.
            ("busy", _) => std::thread::sleep(PAUSE),
            // As a service may die at any moment, that is no reason for a call to fail.
            ("", Some(status)) if status.signal().is_some() && kills < MOST_KILLS => kills += 1,
            ("", status) => {
                let log = state_root(endpoint).join(logging::FILE);
                let how = status.map_or_else(String::new, |status| format!(" with {status}"));
                return Err(format!(
                    "the service ended{how} while it was starting; {} may say why",
                    log.display()
                ));
            }
            (line, _) => return Err(line.strip_prefix("failed: ").unwrap_or(line).to_owned()),
        }
    }
    Err(format!(
        "another process, which lsof or fuser can name, holds the lock {} but no service answers at {}",
        state_root(endpoint).join(LOCK).display(),
        endpoint.display()
    ))
}

/// Whether a service accepts connections at `endpoint`, whatever the length of its path. One that was killed and cannot
/// end does not, though its socket is there.
fn answers(endpoint: &Path) -> bool {
    let connected = || -> rustix::io::Result<Peer> {
        let file = rustix::fs::open(endpoint, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Peer::of(&socket)
    };
    connected().is_ok_and(|peer| !peer.process.is_some_and(is_dying))
}

fn spawn(options: &Options, endpoint: &Path, config: Option<&Path>) -> Result<Child, String> {
    let root = state_root(endpoint);
    let failed = |what: &str, e: &dyn std::fmt::Display| format!("{what}: {e}");
    let _made = StateRoot::make(endpoint, &root)?;
    let log = root.join(logging::FILE);
    let log = logging::open(&log)
        .map_err(|e| failed(&format!("{} cannot be written", log.display()), &e))?;
    let mut command = Command::new(THIS_PROGRAM);
    command.arg("--serve").arg("--endpoint").arg(endpoint);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.arg("--idle-exit");
    if let Some(Some(seconds)) = options.idle_exit {
        command.arg(seconds.to_string());
    }
    command
        .arg0("hcsd")
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|e| failed("the service cannot be started", &e))
}

/// The first line a service says; empty when it ends without a word. Unless it serves, it has ended, with that status.
fn said(child: &mut Child) -> Result<(String, Option<ExitStatus>), String> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|e| format!("the service that was started cannot be heard: {e}"))?;
    }
    let line = line.trim_end().to_owned();
    if line == "ready" {
        return Ok((line, None));
    }
    let status = child
        .wait()
        .map_err(|e| format!("the end of the service cannot be waited for: {e}"))?;
    Ok((line, Some(status)))
}

/// Leaves the session of the process that started this service: its terminal's signals are not ours.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn detach() -> Result<(), String> {
    setsid()
        .map(drop)
        .map_err(|e| format!("the service cannot leave its session: {e}"))
}

/// Another service holds the lock.
///
/// # Errors
/// The sentence to be shown, unless a starter is listening.
pub(crate) fn another_serves(options: &Options, endpoint: &Path) -> Result<ExitCode, String> {
    if options.serve {
        say("busy")?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!(
        "another service is already serving {}",
        endpoint.display()
    ))
}

/// Tells the starter, if there is one, that clients can connect, and lets go of its pipe.
///
/// # Errors
/// The sentence to be shown.
pub(crate) fn report_ready(options: &Options) -> Result<(), String> {
    if !options.serve {
        return Ok(());
    }
    say("ready")?;
    stdio::dup2_stdout(stdio::stderr())
        .map_err(|e| format!("stdout cannot be sent to the log: {e}"))
}

/// Shows a failure where it is looked for: on the starter's pipe, else on stderr.
pub(crate) fn report_failure(options: &Options, sentence: &str) {
    let told = options.serve && say(&format!("failed: {}", sentence.replace('\n', " "))).is_ok();
    if !told {
        // Nothing is left to be done when stderr is closed.
        drop(writeln!(std::io::stderr(), "hcsd: {sentence}"));
    }
}

fn say(line: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|e| format!("the starter cannot be told: {e}"))
}
