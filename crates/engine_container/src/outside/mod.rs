//! A network for the containers of an ordinary user: `pasta` (package passt) passes on what goes out and comes in, with
//! sockets of the user's own. So it takes no right that the user has not, and no setting of the host changes.
//!
//! ```text
//! service ──▶ first ──▶ keeper: pid 1 of a pid namespace ──▶ pasta, which goes with that
//!                          └── waits for the end of the container
//! ```
//!
//! 1. [`arguments`](self::arguments::arguments): what `pasta` is told. 2. [`keeper`]: the two processes before it. The
//!    first one enters the container's user namespace, where it may make namespaces of processes. The second one is the
//!    first process of such a namespace: when it ends, and be it by `SIGKILL`, the kernel ends `pasta`. It ends with
//!    the container. No service has to be there for that, and the next one has nothing to take over.

mod arguments;
mod keeper;

use std::{
    collections::VecDeque,
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{fs::PermissionsExt as _, net::UnixStream, process::CommandExt as _},
    },
    process::{Command, Stdio},
    time::Duration,
};

use hcs_engine::engine::Outside;
use hcs_schema::{Failure, HResult};
use hcs_wire::socket;
use rustix::{
    fs::{Access, CWD, access},
    io::Errno,
    net::Shutdown,
};
use serde::{Deserialize, Serialize};

pub use keeper::{Guard, main_if_keeper};

use crate::{
    failure::{Attempt as _, StepError},
    launcher::Launcher,
    user_namespace::Child,
};

/// Where the program may be, as packages install it.
const PROGRAMS: [&str; 3] = ["/usr/bin/pasta", "/bin/pasta", "/usr/local/bin/pasta"];

/// By which it makes its link.
const TUN: &str = "/dev/net/tun";

/// How long it may take to be ready: it takes some 30 ms.
const LIMIT: Duration = Duration::from_secs(20);

/// What the keeper answers where all is well.
const READY: &str = "ready";

/// The namespaces of a container that `pasta` has to enter, opened before its first process keeps others out.
#[derive(Debug)]
pub(crate) struct Namespaces {
    user: OwnedFd,
    network: OwnedFd,
}

impl Namespaces {
    /// Those of a container's first process.
    pub(crate) fn of(child: &Child) -> Result<Self, StepError> {
        Ok(Self {
            user: child.namespace()?,
            network: child.network()?,
        })
    }
}

/// What the keeper is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    program: String,
    arguments: Vec<String>,
}

fn missing(message: String) -> Failure {
    Failure::new(HResult::NOT_SUPPORTED, message)
}

/// The program, where this user can use it.
fn program() -> Result<&'static str, Failure> {
    let is_there = |path: &&&str| {
        let found = fs::metadata(path);
        found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let found = PROGRAMS.iter().find(is_there).ok_or_else(|| {
        missing(
            "a network of an ordinary user takes the program pasta, which is not there: install the package passt"
                .to_owned(),
        )
    })?;
    let rights = Access::READ_OK | Access::WRITE_OK;
    rustix::fs::accessat(CWD, TUN, rights, rustix::fs::AtFlags::EACCESS)
        .or_else(|_| access(TUN, rights))
        .map_err(|errno| {
            missing(format!(
                "a network of an ordinary user takes {TUN}, which this user may not use ({errno}): chmod 0666 {TUN}, as \
                 udev has it"
            ))
        })?;
    Ok(found)
}

/// Whether containers of this user can have a network.
///
/// # Errors
/// What is missing, and what helps.
pub fn check() -> Result<(), Failure> {
    program().map(drop)
}

/// Gives the container whose `namespaces` these are, and whose first process is `process`, a network; returns when it
/// is there.
pub(crate) fn connect(
    launcher: &Launcher,
    namespaces: &Namespaces,
    process: BorrowedFd<'_>,
    outside: &Outside,
) -> Result<(), Failure> {
    let order = Order {
        program: program()?.to_owned(),
        arguments: arguments::arguments(outside),
    };
    let executable = launcher.executable()?;
    let said = ask(&executable, namespaces, process, &order)
        .map_err(|error| error.into_failure("pasta could not be started"))?;
    match &*said {
        READY => Ok(()),
        "" => Err(Failure::new(
            HResult::E_FAIL,
            "pasta could not be started: its keeper ended early",
        )),
        said => Err(Failure::new(
            HResult::E_FAIL,
            format!("pasta gives no network: {said}"),
        )),
    }
}

/// Has it done; what the keeper said.
fn ask(
    executable: &OwnedFd,
    namespaces: &Namespaces,
    process: BorrowedFd<'_>,
    order: &Order,
) -> Result<String, StepError> {
    let step = "asking for a network of pasta";
    let (mut ours, theirs) = UnixStream::pair().step(step)?;
    ours.set_read_timeout(Some(LIMIT)).step(step)?;
    let mut first = Command::new(crate::launcher::path_of(executable))
        .arg0(keeper::FIRST)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .step("executing the copy of this program")?;
    let order = serde_json::to_vec(order).unwrap_or_default();
    let told = (|| {
        // The first byte is for the first process, all that follows for the keeper.
        socket::send_all(&ours, &[0], &[namespaces.user.as_fd()])?;
        socket::send_all(&ours, &order, &[namespaces.network.as_fd(), process])?;
        rustix::net::shutdown(&ours, Shutdown::Write)
    })();
    let mut said = String::new();
    let heard = told.step(step).and_then(|()| {
        let read = ours.read_to_string(&mut said).step(step);
        read.map(|_| said)
    });
    // It has ended by now, or has nothing to lose.
    let _gone_already = first.kill();
    let _reaped = first.wait();
    heard
}

/// Reads all of `socket` to its end, with descriptors.
fn receive_all(socket: BorrowedFd<'_>) -> Result<(Vec<u8>, VecDeque<OwnedFd>), Errno> {
    const MOST: usize = 1 << 20;
    let (mut all, mut descriptors) = (Vec::new(), VecDeque::new());
    let mut buffer = [0; 4096];
    loop {
        match socket::receive(socket, &mut buffer, &mut descriptors)? {
            0 => return Ok((all, descriptors)),
            count if all.len() + count > MOST => return Err(Errno::MSGSIZE),
            count => all.extend(buffer.iter().take(count)),
        }
    }
}

/// Says how it went, and that nothing more comes.
fn answer(socket: OwnedFd, said: &str) {
    // The service may have died: then no client waits either.
    let _not_heard = UnixStream::from(socket).write_all(said.as_bytes());
}
