//! Finding the service's program and having it start a service.
//!
//! The program runs with all rights of this process, and as the service of other processes too. So these rules hold:
//! - The file and its directories must not be writable by another user ([`hcs_wire::trust`]).
//! - The executed file is the very file that was checked.
//! - The environment of this process is not passed on. It only decides the endpoint and the configuration, which are
//!   arguments.

use std::{
    env, fs, io,
    io::Read as _,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    environment::{is_elevated, variable},
    trust::{Reason, Trusted, Untrusted},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Access, AtFlags, CWD, FileType},
};

use crate::{descriptors::with_former_limit, endpoint::Endpoint};

/// Names the service's program.
pub(crate) const DAEMON_VARIABLE: &str = "HCS_DAEMON";

/// Names the service's configuration.
const CONFIGURATION_VARIABLE: &str = "HCS_CONFIG";

/// Where a service looks for programs of the host.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file that a process has as standard input, to be executed by that process: no name of it can lead elsewhere by
/// now. A script is read from there by its interpreter, too.
const STANDARD_INPUT: &str = "/proc/self/fd/0";

/// The program's name.
const PROGRAM: &str = "hcsd";

/// How long a service may take until it accepts connections.
const LIMIT: Duration = Duration::from_secs(30);

/// The most of the program's complaint that is passed on, in bytes.
const COMPLAINT: u64 = 4096;

/// How often the program may be killed while it starts a service, before that is taken for a fault of it.
const MOST_KILLS: usize = 8;

/// Has a service started at `endpoint` and returns when it accepts connections.
///
/// # Errors
/// `HCS_E_SERVICE_NOT_AVAILABLE`: no program was found, or it says why it could not start.
pub(crate) fn start(endpoint: &Endpoint) -> Result<(), Failure> {
    let failed = |what: String| {
        let path = endpoint.path().display();
        Failure::new(
            HResult::HCS_E_SERVICE_NOT_AVAILABLE,
            format!("the host compute service could not be started at {path}"),
        )
        .cause(what)
    };
    let mut kills = 0;
    loop {
        let Program { path, file } = locate(&places())?;
        let program = path.display();
        let mut command = command(endpoint, file);
        let mut child = with_former_limit(|| command.spawn())
            .map_err(|e| failed(format!("{program} cannot be run: {e}")))?;
        match finish(&mut child) {
            Ok(End::Done) => return Ok(()),
            Ok(End::Failed { killed: true, .. }) if kills < MOST_KILLS => kills += 1,
            Ok(End::Failed {
                status, complaint, ..
            }) => {
                let complaint = complaint.trim();
                return Err(failed(if complaint.is_empty() {
                    format!("{program} ended with {status}")
                } else {
                    complaint.to_owned()
                }));
            }
            Err(error) => {
                // The program hangs or cannot be waited for: its process is killed, and the failure says why.
                let killed = child.kill().and_then(|()| child.wait());
                let mut failure = failed(format!("{program} did not finish: {error}"));
                if let Err(error) = killed {
                    failure = failure.cause(format!("nor could it be ended: {error}"));
                }
                return Err(failure);
            }
        }
    }
}

/// Runs the program in `file`, which starts a service at `endpoint`.
fn command(endpoint: &Endpoint, file: OwnedFd) -> Command {
    let mut command = Command::new(STANDARD_INPUT);
    command
        .arg0(PROGRAM)
        .arg("--start")
        .arg("--endpoint")
        .arg(endpoint.path());
    if let Some(named) = variable(CONFIGURATION_VARIABLE).map(PathBuf::from) {
        // Relative to where this process is, and the service is not.
        command
            .arg("--config")
            .arg(std::path::absolute(&named).unwrap_or(named));
    }
    command
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::from(file))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

enum End {
    Done,
    Failed {
        status: String,
        /// A signal ended it.
        killed: bool,
        complaint: String,
    },
}

/// Reads the program's complaints until it is done, then waits for it.
fn finish(child: &mut Child) -> io::Result<End> {
    let mut complaint = Vec::new();
    if let Some(stderr) = &mut child.stderr {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut descriptors = [PollFd::new(stderr, PollFlags::IN)];
            let ready = rustix::io::retry_on_intr(|| {
                rustix::event::poll(&mut descriptors, Some(&timeout))
            })?;
            if ready == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut part = [0; 512];
            let read = stderr.read(&mut part)?;
            if read == 0 {
                break;
            }
            if (complaint.len() as u64) < COMPLAINT {
                complaint.extend_from_slice(&part[..read]);
            }
        }
    }
    let complaint = String::from_utf8_lossy(&complaint).into_owned();
    match child.wait() {
        Ok(status) if status.success() => Ok(End::Done),
        Ok(status) => Ok(End::Failed {
            status: status.to_string(),
            killed: status.signal().is_some(),
            complaint,
        }),
        // The program ignores SIGCHLD, so the kernel keeps no status. Whether it worked, connecting will show.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::CHILD.raw_os_error()) => {
            if complaint.trim().is_empty() {
                Ok(End::Done)
            } else {
                let status = "an unknown status".to_owned();
                Ok(End::Failed {
                    status,
                    killed: false,
                    complaint,
                })
            }
        }
        Err(e) => Err(e),
    }
}

/// A program that may be executed.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    file: OwnedFd,
}

/// Where the program may be, in the order it is looked for. Never relative to the current directory, unless
/// `$HCS_DAEMON` says so itself.
fn places() -> Vec<PathBuf> {
    if let Some(program) = variable(DAEMON_VARIABLE).map(PathBuf::from) {
        return vec![std::path::absolute(&program).unwrap_or(program)];
    }
    let mut places = Vec::new();
    let code = code_directory();
    let executable = env::current_exe().ok();
    let executable = executable.as_deref().and_then(Path::parent);
    for directory in code.as_deref().into_iter().chain(executable) {
        places.extend(beside(directory));
    }
    let path = variable("PATH").or_else(|| is_elevated().then(|| PATH.into()));
    if let Some(path) = path {
        let absolute = env::split_paths(&path).filter(|directory| directory.is_absolute());
        places.extend(absolute.map(|directory| directory.join(PROGRAM)));
    }
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// In `directory`, one up where cargo puts tests and examples, and where programs are installed beside libraries.
fn beside(directory: &Path) -> Vec<PathBuf> {
    let mut places = vec![directory.join(PROGRAM)];
    let folder = directory.file_name().and_then(|name| name.to_str());
    match (folder, directory.parent()) {
        (Some("deps" | "examples"), Some(parent)) => places.push(parent.join(PROGRAM)),
        (Some("lib" | "lib64"), Some(prefix)) => places.push(prefix.join("bin").join(PROGRAM)),
        _ => {}
    }
    places
}

/// The first of `places` that is an executable file. Where others could change that, no other is taken for it: a
/// service of another version might be found.
fn locate(places: &[PathBuf]) -> Result<Program, Failure> {
    let runnable = |place: &&PathBuf| {
        let permitted = rustix::fs::accessat(CWD, *place, Access::EXEC_OK, AtFlags::EACCESS);
        place.is_file() && permitted.is_ok()
    };
    if let Some(place) = places.iter().find(runnable) {
        let path = place.clone();
        return match open(&path) {
            Ok(file) => Ok(Program { path, file }),
            Err(untrusted) => Err(Failure::new(
                HResult::HCS_E_SERVICE_NOT_AVAILABLE,
                format!(
                    "the host compute service is not running, and {} was not started: {}",
                    place.display(),
                    match untrusted.reason {
                        Reason::Owner { .. } | Reason::Writable { .. } => "other users could change that program",
                        Reason::Kind | Reason::Io(_) => "it could not be found out whether other users could change it",
                    }
                ),
            )
            .cause(format!(
                "{untrusted}; or install the program (cargo xtask install), or name another by ${DAEMON_VARIABLE}"
            ))),
        };
    }
    let failure = Failure::new(
        HResult::HCS_E_SERVICE_NOT_AVAILABLE,
        format!(
            "the host compute service is not running and its program {PROGRAM} was not found; \
             ${DAEMON_VARIABLE} can name it"
        ),
    );
    let places: Vec<_> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    Err(failure.cause(format!(
        "none of these is an executable file: {}",
        places.join(", ")
    )))
}

/// The program at `path`, if no other user can change it.
fn open(path: &Path) -> Result<OwnedFd, Untrusted> {
    let file = Trusted::for_programs().open(path)?;
    match rustix::fs::fstat(&file) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => Ok(file),
        _ => Err(Untrusted {
            path: path.to_owned(),
            reason: Reason::Kind,
        }),
    }
}

/// The directory of the file that this code was loaded from: the shared library, or the executable.
fn code_directory() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let address = code_directory as *const () as usize;
    let file = mapped_file(&maps, address)?;
    Path::new(file).parent().map(Path::to_owned)
}

/// The file mapped at `address`, by the text of `/proc/self/maps` (`proc_pid_maps(5)`).
fn mapped_file(maps: &str, address: usize) -> Option<&str> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        let file = &rest[rest.find('/')?..];
        (start..end)
            .contains(&address)
            .then(|| file.strip_suffix(" (deleted)").unwrap_or(file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_test_is_in_its_executable() {
        let executable = env::current_exe().unwrap();
        assert_eq!(code_directory().as_deref(), executable.parent());
    }

    #[test]
    fn the_mapping_of_an_address_is_found() {
        let maps = "1000-2000 r--p 00000000 00:00 0 \n\
                    2000-3000 r-xp 00000000 08:01 42    /opt/a b/lib.so (deleted)\n";
        assert_eq!(mapped_file(maps, 0x2fff), Some("/opt/a b/lib.so"));
        assert_eq!(mapped_file(maps, 0x1000), None);
        assert_eq!(mapped_file(maps, 0x3000), None);
    }

    #[test]
    fn a_missing_program_is_named_with_all_places() {
        let places = [PathBuf::from("/nonexistent/a"), PathBuf::from("/dev/null")];
        let failure = locate(&places).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_SERVICE_NOT_AVAILABLE);
        assert!(failure.message.contains("HCS_DAEMON"));
        let causes: Vec<_> = failure.causes.iter().map(|c| c.message.as_str()).collect();
        let expected = "none of these is an executable file: /nonexistent/a, /dev/null";
        assert_eq!(causes, [expected]);
    }

    #[test]
    fn a_program_that_others_can_change_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (bin, mode) = (folder.path().join("bin"), fs::Permissions::from_mode);
        let program = bin.join(PROGRAM);
        fs::create_dir(&bin).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, mode(0o755)).unwrap();
        let places = [program.clone(), PathBuf::from("/bin/true")];
        assert_eq!(locate(&places).unwrap().path, program);
        for (changed, open) in [(&bin, 0o777), (&program, 0o757)] {
            fs::set_permissions(changed, mode(open)).unwrap();
            let failure = locate(&places).unwrap_err();
            assert_eq!(failure.hresult, HResult::HCS_E_SERVICE_NOT_AVAILABLE);
            assert!(failure.message.contains(program.to_str().unwrap()));
            let cause = &failure.causes[0].message;
            let expected = format!("chmod go-w {}", changed.display());
            assert!(
                cause.contains(&expected) && cause.contains(&format!("{open:o}")),
                "{cause}"
            );
            fs::set_permissions(changed, mode(0o755)).unwrap();
        }
    }

    #[test]
    fn cargo_folders_are_left_upwards_and_programs_are_beside_libraries() {
        for (directory, expected) in [
            ("/t/debug/deps", ["/t/debug/deps/hcsd", "/t/debug/hcsd"]),
            ("/opt/hcs/lib", ["/opt/hcs/lib/hcsd", "/opt/hcs/bin/hcsd"]),
        ] {
            assert_eq!(beside(Path::new(directory)), expected.map(PathBuf::from));
        }
    }
}
