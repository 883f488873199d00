//! The cloned child: from a copy of the launcher to pid 1 of a container.
//!
//! It is born in new namespaces with nothing but its channel. What it does before it reads its specification
//! ([`early`]) is the same for every container, so that a child can be parked there: it holds nothing of the host that
//! the host might want to unmount, and ends when the service closes the channel. Then it makes its mounts and its root,
//! gives up what it must not keep, says that it is ready and becomes the guest agent, without an exec.
//!
//! A failed step ends it: everything it made lives in its own namespaces and goes with it, so nothing is undone here.

mod early;
pub(crate) mod job;

use std::os::fd::{AsFd, OwnedFd};

use hcs_engine::steps::{Step, watch};
use hcs_schema::privileges::Privileges;
use hcs_wire::peer::Peer;
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    net::listen,
    process::{DumpableBehavior, Rlimit, geteuid, set_dumpable_behavior, setsid, umask},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};

use crate::{
    apparmor,
    channel::{self, Report},
    failure::{Attempt, StepError},
    parts::{
        capabilities, devices,
        handed::Handed,
        hostname,
        mapped::{self, Taken},
        masks,
        mounts::{self, FileSystems},
        network, open_files, pivot,
        rootfs::{self, Root},
        seccomp, sharing, temporary, volumes,
    },
    spec::{EarlySpec, LaunchSpec, UserSpec},
    steps::done,
    sys::{descriptors, process},
};
use early::{Early, Entered};

/// The guest agent's entry: it runs as pid 1 of the container, with the null device as standard descriptors and these
/// files; it is told what processes of the container get, and its answer is pid 1's exit code.
pub type AgentEntry = fn(AgentFiles, Privileges) -> i32;

/// What the guest agent is given. Everything closes on exec.
#[derive(Debug)]
pub struct AgentFiles {
    /// The listening socket that the service connects to. Blocking.
    pub listener: OwnedFd,
    /// Whether who connects has to prove that it is no process of a container ([`hcs_wire::proof`]).
    pub proof: bool,
    /// The user of the service, as the container sees it.
    pub service: u32,
    /// The root of the container's procfs (`O_PATH`), wherever its paths lead.
    pub proc: OwnedFd,
    /// The root of its devpts (`O_PATH`), where its consoles are made.
    pub terminals: OwnedFd,
    /// Its `/etc/hosts`, for reading and writing, where the names of its networks go.
    pub hosts: Option<OwnedFd>,
    /// The service's file for what the agent leaves, for writing.
    pub left: OwnedFd,
}

/// The number under which the agent gets its listening socket.
const LISTENER: i32 = 3;
/// The numbers of its directories of procfs and of terminals.
const PROC: i32 = 4;
const TERMINALS: i32 = 5;
/// The number of the channel, until the agent runs.
const CHANNEL: i32 = 6;
/// The number of its file of hosts.
const HOSTS: i32 = 7;
/// The number of the file for what it leaves.
const LEFT: i32 = 8;
/// All descriptors from this one on are closed.
const FIRST_UNUSED: u32 = 9;

/// Exit code of a child that failed on its way.
const FAILED: i32 = 71;

/// How many connections wait in the agent's socket before the agent has accepted them.
const BACKLOG: i32 = 8;

/// What the child keeps of the file systems that it made, so that it need not follow any path of the container's.
struct Own {
    proc: OwnedFd,
    terminals: OwnedFd,
    hosts: Option<OwnedFd>,
    null: OwnedFd,
    /// By which it enters its AppArmor profile, if it is to.
    confinement: Option<OwnedFd>,
}

/// A container that is there, with a process that is not yet the agent.
struct Built {
    listener: OwnedFd,
    left: OwnedFd,
    spec: LaunchSpec,
    own: Own,
}

/// What containers have in common, from their launcher.
pub(crate) struct Usual {
    /// The filter of system calls of one whose document adds no capabilities.
    pub(crate) filter: Vec<libc::sock_filter>,
    /// The limit on open files that the launcher was given.
    pub(crate) open_files: Rlimit,
}

/// Makes the container and runs the agent in it; answers the exit code of pid 1.
pub(crate) fn run(channel: OwnedFd, tasks: Vec<OwnedFd>, usual: &Usual, agent: AgentEntry) -> i32 {
    let (built, steps) = watch(|| build(&channel, tasks));
    match built {
        Ok(built) => hand_over(channel, built, steps, usual, agent),
        Err(error) => fail(&channel, error, &steps),
    }
}

/// Everything up to the finished root.
fn build(channel: &OwnedFd, tasks: Vec<OwnedFd>) -> Result<Built, StepError> {
    prepare(tasks)?;
    let (early, begun) = channel::receive_early::<EarlySpec>(channel.as_fd())?;
    let early = early.map(|(spec, descriptors)| Early::make(&spec, Handed(descriptors)));
    let early = early.transpose()?;
    let (spec, mut descriptors) = channel::receive_rest::<LaunchSpec>(channel.as_fd(), begun)?;
    done("was told what to be");
    let listener = descriptors
        .pop_front()
        .ok_or_else(|| StepError::new("taking the agent's socket", Errno::BADF))?;
    let left = descriptors
        .pop_front()
        .ok_or_else(|| StepError::new("taking the file for what the agent leaves", Errno::BADF))?;
    let own = match (&spec.user, early) {
        (Some(user), early) => {
            let entered = match early {
                Some(early) => early.into_entered()?,
                None => early::enter_namespace(user)?,
            };
            enter_as_root_of_its_own(&spec, user, entered, Handed(descriptors))?
        }
        (None, early) => {
            let limited = spec.root.limit.and_then(|_| descriptors.pop_front());
            let covered = spec.root.view.as_ref().is_some_and(|view| view.covered);
            let cover = covered.then(|| descriptors.pop_front()).flatten();
            let handed = Handed(limited.into_iter().chain(cover).collect());
            let file_systems = match (early, descriptors.pop_front()) {
                (Some(early), None) => early.into_file_systems()?,
                (_, Some(named)) => {
                    network::join(&named)?;
                    done("joined the named network namespace");
                    FileSystems::make(None)?
                }
                (None, None) => {
                    return Err(StepError::new("taking the network namespace", Errno::BADF));
                }
            };
            enter(&spec, file_systems, handed)?
        }
    };
    Ok(Built {
        listener,
        left,
        spec,
        own,
    })
}

/// Lets go of what every child inherits from the launcher. Standard input was the launcher's socket: the service must
/// not wait for the launcher on account of a child.
fn leave_launcher() -> Result<(), StepError> {
    let null = open_null()?;
    dup2_stdin(&null).step("replacing standard input")?;
    dup2_stdout(&null).step("replacing standard output")?;
    process::ignore_children(false).step("resetting signals")
}

/// What needs no specification.
fn prepare(tasks: Vec<OwnedFd>) -> Result<(), StepError> {
    leave_launcher()?;
    done("cloned into new namespaces");
    for file in &tasks {
        // "0" in the file `tasks` moves the calling thread, which is all of this process. Unlike for a write to
        // `cgroup.procs` the kernel then takes no lock that waits for an RCU grace period (5 to 30 ms).
        rustix::io::write(file, b"0").step("joining a control group")?;
    }
    drop(tasks);
    done("joined its control groups");
    rustix::thread::set_name(c"hcs-slot").step("naming the child")?;
    process::new_cgroup_namespace().step("making a cgroup namespace")
}

/// The host's, before anything of the container is mounted.
fn open_null() -> Result<OwnedFd, StepError> {
    open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).step_at("opening", "/dev/null")
}

/// Puts the process into the container that `spec` describes.
fn enter(
    spec: &LaunchSpec,
    file_systems: FileSystems,
    mut handed: Handed,
) -> Result<Own, StepError> {
    protect_from_oom();
    hostname::apply(&spec.hostname)?;
    process::new_mount_namespace().step("making a mount namespace")?;
    mounts::leave_host_propagation()?;
    done("has its mounts to itself");
    let sources = mapped::open(&spec.mapped)?;
    let root = rootfs::apply_as_host(spec, &mut handed)?;
    done("mounted the root file system");
    finish(spec, &root, file_systems, &sources)
}

/// The same for a process in a user namespace of its own, which has its mounts to itself.
fn enter_as_root_of_its_own(
    spec: &LaunchSpec,
    user: &UserSpec,
    entered: Entered,
    mut handed: Handed,
) -> Result<Own, StepError> {
    hostname::apply(&spec.hostname)?;
    // Before anything covers the host's root.
    let opened = if user.handed {
        Vec::new()
    } else {
        mapped::open(&spec.mapped)?
    };
    let root = rootfs::apply_in_namespace(spec, user, &mut handed, entered.staging)?;
    done("mounted the root file system");
    let sources = if user.handed {
        mapped::taken_by_service(&spec.mapped, &mut handed)?
    } else {
        opened
    };
    let file_systems = match entered.file_systems {
        Some(made) => made,
        None => FileSystems::make(Some(user))?.open_network(),
    };
    finish(spec, &root, file_systems, &sources)
}

/// What goes into a root that is mounted, and the change to it.
fn finish(
    spec: &LaunchSpec,
    root: &Root,
    file_systems: FileSystems,
    sources: &[Taken<'_>],
) -> Result<Own, StepError> {
    let views = volumes::take(root, &spec.volumes)?;
    temporary::close(root, spec, sources)?;
    volumes::apply(root, &spec.volumes, &views)?;
    let mut mounts = file_systems.apply(root, spec)?;
    let null = devices::null(mounts.dev.as_fd())?;
    // Before the files of pid 1 become read-only.
    let profile = spec.profile.as_ref();
    let confinement = profile.map(|_| apparmor::open(&mounts.proc)).transpose()?;
    masks::complete(root, &mut mounts, &spec.root.hidden)?;
    done("mounted proc, sys and dev, and hid what is not to be seen");
    temporary::apply(root, &spec.temporary, sources)?;
    if !sources.is_empty() || !spec.temporary.is_empty() {
        done("mapped directories and pipes");
    }
    pivot::apply(root).inspect(|()| done("changed to its root"))?;
    Ok(Own {
        proc: mounts.proc,
        terminals: mounts.terminals,
        hosts: mounts.hosts,
        null,
        confinement,
    })
}

/// Gives up what the agent must not have, reports and becomes the agent.
fn hand_over(
    channel: OwnedFd,
    Built {
        listener,
        left,
        spec,
        own,
    }: Built,
    mut steps: Vec<Step>,
    usual: &Usual,
    agent: AgentEntry,
) -> i32 {
    let Ok((channel, files, rest)) = renumber(channel, (listener, spec.proof), left, own) else {
        // Nothing to report by; the service sees the channel close.
        return FAILED;
    };
    let (ready, last) = watch(|| {
        harden(&spec, rest, usual).and_then(|privileges| {
            let own_ids = files.service != geteuid().as_raw();
            let privileges = open_files::limited(privileges, usual.open_files, own_ids);
            listen(&files.listener, BACKLOG).step("listening for the service")?;
            done("the agent listens");
            Ok(privileges)
        })
    });
    steps.extend(last);
    let privileges = match ready {
        Ok(privileges) => privileges,
        Err(error) => return fail(&channel, error, &steps),
    };
    channel::report(channel.as_fd(), &Report::of(Ok(()), &steps));
    drop(channel);
    // The agent stays for the container's whole life; nothing else shall.
    drop((spec, steps));
    process::trim_heap();
    agent(files, privileges)
}

/// What has no number of its own: the null device, and the way into the profile.
type Rest = (OwnedFd, Option<OwnedFd>);

/// Gives all their numbers, but for the rest. All go out of the way first, since they may sit on each other's.
fn renumber(
    channel: OwnedFd,
    (listener, proof): (OwnedFd, bool),
    left: OwnedFd,
    own: Own,
) -> Result<(OwnedFd, AgentFiles, Rest), Errno> {
    // The service has made the channel.
    let service = Peer::of(&channel)?.user;
    let up = |descriptor| descriptors::move_up(descriptor, FIRST_UNUSED.cast_signed());
    let (channel, listener, left) = (up(channel)?, up(listener)?, up(left)?);
    let (proc, terminals, null) = (up(own.proc)?, up(own.terminals)?, up(own.null)?);
    let confinement = own.confinement.map(up).transpose()?;
    let hosts = own.hosts.map(up).transpose()?;
    let to_hosts = |hosts| descriptors::move_to(hosts, HOSTS);
    let files = AgentFiles {
        listener: descriptors::move_to(listener, LISTENER)?,
        proof,
        service,
        proc: descriptors::move_to(proc, PROC)?,
        terminals: descriptors::move_to(terminals, TERMINALS)?,
        hosts: hosts.map(to_hosts).transpose()?,
        left: descriptors::move_to(left, LEFT)?,
    };
    let channel = descriptors::move_to(channel, CHANNEL)?;
    Ok((channel, files, (null, confinement)))
}

/// The last steps, from where on hardly anything else is possible.
/// Returns what processes get on this host.
fn harden(
    spec: &LaunchSpec,
    (null, confinement): Rest,
    usual: &Usual,
) -> Result<Privileges, StepError> {
    let privileges = capabilities::check(spec.privileges.clone())?;
    if let (Some(file), Some(name)) = (confinement, &spec.profile) {
        apparmor::enter(file, name)?;
        done("entered its AppArmor profile");
    }
    leave_keyring()?;
    setsid().step("making a session")?;
    umask(Mode::WGRP | Mode::WOTH);
    // From the container's own /dev, so that nothing of the host's mounts is held on to.
    dup2_stdin(&null)
        .and_then(|()| dup2_stdout(&null))
        .and_then(|()| dup2_stderr(&null))
        .step("replacing the standard descriptors")?;
    drop(null);
    descriptors::close_from(FIRST_UNUSED).step("closing inherited descriptors")?;
    rustix::thread::set_name(c"hcs-agent").step("naming the agent")?;
    if spec.guarded {
        seccomp::apply_no_set_id()?;
    }
    seccomp::apply(privileges.possible, &usual.filter)?;
    done("put the system call filter in place");
    let privileges = if spec.guarded {
        sharing::without_power(privileges)
    } else {
        privileges
    };
    capabilities::apply(privileges.possible)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step("making the agent undumpable")?;
    done("gave up its capabilities");
    Ok(privileges)
}

/// When memory runs out the kernel shall rather take a process of the container than the agent, which would end all
/// of them. Without `CAP_SYS_RESOURCE` the host forbids this; the agent's small size then has to do. The path is the
/// host's: the container's own is read-only for pid 1.
fn protect_from_oom() {
    let _refused = std::fs::write("/proc/self/oom_score_adj", "-500");
}

/// The service's session keyring is no business of the container's.
fn leave_keyring() -> Result<(), StepError> {
    match process::new_session_keyring() {
        Err(Errno::NOSYS) => Ok(()),
        answer => answer.step("making a session keyring"),
    }
}

fn fail(channel: &OwnedFd, error: StepError, steps: &[Step]) -> i32 {
    channel::report(channel.as_fd(), &Report::of(Err(error), steps));
    FAILED
}
