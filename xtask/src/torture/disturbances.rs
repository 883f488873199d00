//! What is done to the service, its helpers and its clients.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;

use super::{
    random::Random,
    sandbox::{Mark, Sandbox},
    workers::Worker,
};
use crate::Result;

/// The victim of a disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Service,
    Launcher,
    Agent,
    Client,
}

const VICTIMS: [Victim; 4] = [
    Victim::Service,
    Victim::Launcher,
    Victim::Agent,
    Victim::Client,
];

/// What is done in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    /// SIGKILL.
    Kill(Victim),
    /// SIGSTOP, and SIGCONT some milliseconds later.
    Stop(Victim, u64),
    /// The file system of the state and the scratch is full for some milliseconds.
    FillDisk(u64),
    /// The service may have so many descriptors more than it has, for some milliseconds.
    RefuseDescriptors(u64, u64),
    /// The service may have no more memory than it has, for some milliseconds.
    RefuseMemory(u64),
    /// No process in the service's cgroup may start a thread or process, for some milliseconds.
    RefuseClones(u64),
    /// A system's record is damaged while no service is there.
    DamageState,
    /// A system's journal is damaged while no service is there.
    DamageJournal,
    /// Nothing: the clients, and the proxy that cuts connections, work undisturbed for some milliseconds.
    Leave(u64),
}

/// The next disturbance.
fn choose(random: &mut Random) -> Disturbance {
    let victim = VICTIMS[random.below(VICTIMS.len())];
    let time = 50 + random.next() % 1500;
    match random.below(12) {
        0 | 1 => Disturbance::Kill(Victim::Service),
        2 | 3 => Disturbance::Kill(victim),
        4 => Disturbance::Stop(victim, time),
        5 => Disturbance::FillDisk(time),
        6 => Disturbance::RefuseDescriptors(random.next() % 6, time),
        7 => Disturbance::RefuseMemory(time),
        8 => Disturbance::RefuseClones(time),
        9 => Disturbance::DamageState,
        10 => Disturbance::DamageJournal,
        _ => Disturbance::Leave(time),
    }
}

/// Does what `random` says; returns what that was. A victim that is not there is left alone.
///
/// # Errors
/// The host refused what the harness itself needs.
pub(super) fn disturbance(
    sandbox: &Sandbox,
    workers: &mut [Worker],
    random: &mut Random,
) -> Result<(String, Option<usize>)> {
    let disturbance = choose(random);
    // Drawn whether it is needed or not, so that what follows does not depend on what is there.
    let (one, two) = (random.next(), random.next());
    let mut own = Random::new(one ^ two.rotate_left(32));
    let mut killed = None;
    // Clients start it when it is not there.
    for _ in 0..100 {
        if sandbox.place.service().is_some() {
            break;
        }
        pause(20);
    }
    let done = match disturbance {
        Disturbance::Kill(Victim::Client) => {
            let member = own.below(workers.len());
            workers[member].kill()?;
            killed = Some(member);
            true
        }
        Disturbance::Kill(victim) => find(sandbox, workers, victim, &mut own)?
            .is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok()),
        Disturbance::Stop(victim, time) => match find(sandbox, workers, victim, &mut own)? {
            Some(pid) => stop(pid, || pause(time)),
            None => false,
        },
        Disturbance::FillDisk(time) => fill(&sandbox.small().join("filler"), time)?,
        Disturbance::RefuseDescriptors(more, time) => {
            limited(sandbox, Resource::Nofile, time, |pid| {
                Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64 + more)
            })
        }
        Disturbance::RefuseMemory(time) => limited(sandbox, Resource::As, time, |pid| {
            let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            let pages: u64 = pages.split(' ').next()?.parse().ok()?;
            Some(pages * 4096 + (256 << 10))
        }),
        Disturbance::RefuseClones(time) => refuse_clones(sandbox, time)?,
        Disturbance::DamageState => damage(sandbox, "state.json", &mut own)?,
        Disturbance::DamageJournal => damage(sandbox, "processes.jsonl", &mut own)?,
        Disturbance::Leave(time) => {
            pause(time);
            true
        }
    };
    let missed = if done { "" } else { " (nothing there)" };
    Ok((format!("{disturbance:?}{missed}"), killed))
}

fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

fn find(
    sandbox: &Sandbox,
    workers: &[Worker],
    victim: Victim,
    random: &mut Random,
) -> Result<Option<Pid>> {
    Ok(match victim {
        Victim::Service => sandbox.place.service(),
        Victim::Launcher => sandbox.place.service().and_then(launcher),
        Victim::Client => random.one_of(workers).map(Worker::pid),
        Victim::Agent => {
            let systems = sandbox.place.systems();
            let Some(system) = random.one_of(&systems) else {
                return Ok(None);
            };
            sandbox.mark(system, Mark::Harmed)?;
            agent(system)
        }
    })
}

/// The only child of a service.
fn launcher(service: Pid) -> Option<Pid> {
    let service = service.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{service}/task/{service}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

/// Pid 1 of a system, by its record.
fn agent(system: &Path) -> Option<Pid> {
    let record: Value =
        serde_json::from_str(&fs::read_to_string(system.join("state.json")).ok()?).ok()?;
    let machine: Value = serde_json::from_str(record["machine"].as_str()?).ok()?;
    let pid = i32::try_from(machine["Pid"].as_i64()?).ok()?;
    let started = machine["StartTime"].as_u64()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let now: u64 = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    if now == started {
        Pid::from_raw(pid)
    } else {
        None
    }
}

/// Stops a process for as long as `meanwhile` takes.
fn stop(pid: Pid, meanwhile: impl FnOnce()) -> bool {
    if kill_process(pid, Signal::STOP).is_err() {
        return false;
    }
    meanwhile();
    // It may have been killed.
    let _went_on = kill_process(pid, Signal::CONT);
    true
}

fn fill(path: &Path, time: u64) -> Result<bool> {
    let mut file = File::create(path)?;
    let block = vec![0x55; 64 << 10];
    for size in [block.len(), 512, 1] {
        while file.write_all(&block[..size]).is_ok() {}
    }
    pause(time);
    drop(file);
    fs::remove_file(path)?;
    Ok(true)
}

/// Lowers a limit of the service for a while.
fn limited(
    sandbox: &Sandbox,
    resource: Resource,
    time: u64,
    limit: impl FnOnce(i32) -> Option<u64>,
) -> bool {
    let Some(pid) = sandbox.place.service() else {
        return false;
    };
    let Some(limit) = limit(pid.as_raw_nonzero().get()) else {
        return false;
    };
    let before = prlimit(
        Some(pid),
        resource,
        Rlimit {
            current: Some(limit),
            maximum: None,
        },
    );
    let Ok(before) = before else {
        return false;
    };
    pause(time);
    // It may have died of it.
    let _restored = prlimit(Some(pid), resource, before);
    true
}

/// Puts the service and its launcher into a cgroup that is full.
fn refuse_clones(sandbox: &Sandbox, time: u64) -> Result<bool> {
    let pids = PathBuf::from("/sys/fs/cgroup/pids");
    let Some(service) = sandbox.place.service().filter(|_| pids.is_dir()) else {
        return Ok(false);
    };
    let full = pids.join(format!("{}-full", sandbox.place.cgroup));
    fs::create_dir(&full)?;
    let members = [Some(service), launcher(service)].into_iter().flatten();
    // Each with where it belongs.
    let members: Vec<(Pid, PathBuf)> = members
        .filter_map(|pid| Some((pid, pids.join(pids_group(pid)?))))
        .collect();
    // It may have died.
    let enter = |group: &Path, pid: &str| drop(fs::write(group.join("cgroup.procs"), pid));
    for (pid, _) in &members {
        enter(&full, &pid.as_raw_nonzero().to_string());
    }
    fs::write(full.join("pids.max"), "1")?;
    pause(time);
    fs::write(full.join("pids.max"), "max")?;
    for (pid, home) in &members {
        enter(home, &pid.as_raw_nonzero().to_string());
    }
    // What they started meanwhile: launchers, containers on their way to groups of their own.
    for _ in 0..100 {
        let left = fs::read_to_string(full.join("cgroup.procs"))?;
        for pid in left.lines() {
            enter(&pids, pid);
        }
        if fs::remove_dir(&full).is_ok() {
            return Ok(true);
        }
        pause(20);
    }
    Err(format!("{} does not become empty", full.display()).into())
}

/// The group of a process in the hierarchy `pids`, relative to its root.
fn pids_group(pid: Pid) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).ok()?;
    let path = groups
        .lines()
        .find_map(|line| line.split_once(":pids:/"))?
        .1;
    Some(path.to_owned())
}

/// Damages a file of some system: with the service stopped, so that it is not written again, and then killed.
fn damage(sandbox: &Sandbox, name: &str, random: &mut Random) -> Result<bool> {
    let Some(service) = sandbox.place.service() else {
        return Ok(false);
    };
    let mut done = false;
    let mut failed = None;
    stop(service, || {
        let systems = sandbox.place.systems();
        if let Some(system) = random.one_of(&systems) {
            let damaged = damage_file(sandbox, system, name, random);
            done = *damaged.as_ref().unwrap_or(&false);
            failed = damaged.err();
        }
        // Another disturbance may have killed it.
        let _killed = kill_process(service, Signal::KILL);
    });
    failed.map_or(Ok(done), Err)
}

fn damage_file(sandbox: &Sandbox, system: &Path, name: &str, random: &mut Random) -> Result<bool> {
    let path = system.join(name);
    let Ok(bytes) = fs::read(&path) else {
        return Ok(false);
    };
    sandbox.mark(
        system,
        match name {
            "state.json" => Mark::Harmed,
            _ => Mark::Forgotten,
        },
    )?;
    let at = random.below(bytes.len() + 1);
    if random.below(2) == 0 {
        OpenOptions::new()
            .write(true)
            .open(&path)?
            .set_len(at as u64)?;
    } else {
        let mut bytes = bytes;
        bytes.splice(at.., random.bytes(100));
        fs::write(&path, bytes)?;
    }
    Ok(true)
}
