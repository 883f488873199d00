//! `cargo xtask torture --seed N --minutes M [--threads T]`: the service under everything that may happen to it.
//!
//! 1. [`sandbox`]: a private service on a small file system, and a second one that is left alone.
//! 2. [`workers`], [`client`], [`session`]: client processes, one of them behind a [`proxy`] that cuts its connections.
//!    They use the service without pause and know what has to be true whatever happens.
//! 3. [`disturbances`]: step by step, as the seed decides, a process is killed or stopped, or something is refused,
//!    filled or damaged.
//! 4. After each step every client has to get on, none may have found anything wrong, and the container of the second
//!    service has to have gone on counting. After some steps all clients pause, and nothing may be left on the host.
//!
//! `$HCS_DAEMON` names the service's program; without it, it is built.
//!
//! With every other seed the service keeps containers ready, which are disturbed along.
//!
//! The same seed gives the same disturbances in the same order; when they hit is up to the machine.

mod client;
mod disturbances;
mod proxy;
mod random;
mod sandbox;
mod session;
mod workers;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use client::LIMIT;
use random::Random;
use sandbox::{Sandbox, descendants};
use workers::Worker;

use crate::{
    Repository, Result,
    process::{cargo, succeeds},
};

/// Client processes; the last one comes through the proxy.
const MEMBERS: usize = 3;
/// After so many steps all clients pause, and the host is looked at.
const STEPS_TO_REST: u64 = 4;
/// How long the host may take to become clean: systems of a client that was killed wait for it to come back.
const CLEAN: Duration = Duration::from_secs(90);
/// Descriptors an idle service may have more or less than at another time.
const SLACK: usize = 6;
/// Containers that a service keeps ready, with seeds that want some; and what descriptors each of them takes.
const SLOTS: usize = 2;
const DESCRIPTORS_PER_SLOT: usize = 8;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Decides what is done, and in which order
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How long
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,

    /// Threads of each client
    #[arg(long, default_value_t = 2)]
    threads: usize,

    /// Be a client: the directory of harmed systems
    #[arg(long, hide = true)]
    client: Option<PathBuf>,

    /// Be a client whose connection is cut again and again
    #[arg(long, hide = true)]
    cut: bool,

    /// Be the client that counts
    #[arg(long, hide = true)]
    count: bool,
}

/// Runs it, or one of its clients.
///
/// # Errors
/// A promise of the service was broken, or the harness cannot work here.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    if let Some(marks) = arguments.client {
        client::run(arguments.seed, arguments.threads, marks, arguments.cut)?;
    } else if arguments.count {
        client::count()?;
    } else {
        torture(&Repository::here()?, &arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn torture(repository: &Repository, arguments: &Arguments) -> Result<()> {
    let daemon = match std::env::var_os("HCS_DAEMON") {
        Some(daemon) => PathBuf::from(daemon),
        None => build(repository)?,
    };
    // So that a process that loses its parent becomes ours, and can be counted and ended.
    rustix::process::set_child_subreaper(Pid::from_raw(1))?;
    let seed = arguments.seed;
    let slots = if seed.is_multiple_of(2) { SLOTS } else { 0 };
    let sandbox = Sandbox::new(&daemon, slots)?;
    let minutes = arguments.minutes;
    println!("torture: seed {seed}, {minutes} minutes, {slots} containers kept ready");
    let mut torture = Torture {
        random: Random::new(seed),
        workers: Vec::new(),
        started: 0,
        step: 0,
        descriptors: None,
        slack: SLACK + slots * DESCRIPTORS_PER_SLOT,
        sandbox,
    };
    let done = torture.all(arguments);
    let step = torture.step;
    let done = done.map_err(|e| {
        let log = torture.sandbox.log(&e.to_string());
        format!("seed {seed}, step {step}: {e}\nof the service's log:\n{log}")
    });
    let ended = torture.clear_away();
    done?;
    ended?;
    println!(
        "torture: seed {seed}: {step} steps, {} connections cut, nothing lost",
        proxy::cuts()
    );
    Ok(())
}

/// The service's program, built anew.
fn build(repository: &Repository) -> Result<PathBuf> {
    let mut build = cargo();
    build
        .current_dir(&repository.root)
        .args(["build", "--quiet", "--locked", "-p", "hcsd"]);
    if !succeeds(&mut build)? {
        return Err("hcsd could not be built".into());
    }
    Ok(repository.target.join("debug/hcsd"))
}

struct Torture {
    sandbox: Sandbox,
    random: Random,
    workers: Vec<Worker>,
    /// Clients started so far; each has a seed of its own.
    started: u64,
    step: u64,
    /// What the service had open at its first rest.
    descriptors: Option<usize>,
    /// How much more it may have at another.
    slack: usize,
}

impl Torture {
    fn all(&mut self, arguments: &Arguments) -> Result<()> {
        let end = Instant::now() + Duration::from_secs_f64(arguments.minutes * 60.0);
        proxy::start(
            &self.sandbox.proxy(),
            self.sandbox.place.endpoint.clone(),
            arguments.seed,
        )?;
        let control = Worker::start(&self.sandbox.control, None, &["--count"])?;
        if !control.does_more_than(0, LIMIT) {
            return Err("the container that counts does not begin".into());
        }
        for number in 0..MEMBERS {
            let member = self.member(number, arguments)?;
            self.workers.push(member);
        }
        while Instant::now() < end {
            self.step += 1;
            self.one_step(arguments, &control)?;
        }
        self.rest()?;
        let mut refused = Vec::new();
        for member in self.workers.drain(..) {
            refused.extend(member.leave()?);
        }
        for refusal in refused {
            println!("  refused: {refusal}");
        }
        control.leave()?;
        Ok(())
    }

    fn member(&mut self, number: usize, arguments: &Arguments) -> Result<Worker> {
        self.started += 1;
        let seed = (arguments.seed << 16 | self.started).to_string();
        let (threads, marks) = (arguments.threads.to_string(), self.sandbox.marks());
        let marks = marks
            .to_str()
            .ok_or("the temporary directory has no proper name")?;
        let proxy = self.sandbox.proxy();
        let mut words = vec!["--client", marks, "--seed", &seed, "--threads", &threads];
        if number + 1 < MEMBERS {
            return Worker::start(&self.sandbox.place, None, &words);
        }
        words.push("--cut");
        Worker::start(&self.sandbox.place, Some(&proxy), &words)
    }

    fn one_step(&mut self, arguments: &Arguments, control: &Worker) -> Result<()> {
        let counted = control.rounds();
        let (done, killed) =
            disturbances::disturbance(&self.sandbox, &mut self.workers, &mut self.random)?;
        println!("step {}: {done}", self.step);
        if let Some(number) = killed {
            self.workers[number] = self.member(number, arguments)?;
        }
        let rounds: Vec<_> = self.workers.iter().map(Worker::rounds).collect();
        for (member, rounds) in self.workers.iter().zip(rounds) {
            let got_on = member.does_more_than(rounds, LIMIT);
            check(&member.wrong())?;
            if !got_on {
                return Err("a client does not get on".into());
            }
        }
        if !control.does_more_than(counted, LIMIT) {
            return Err("the container of the other service stopped counting".into());
        }
        check(&control.wrong())?;
        if self.step.is_multiple_of(STEPS_TO_REST) {
            self.rest()?;
        }
        Ok(())
    }

    /// All clients pause; then nothing may be left on the host.
    fn rest(&mut self) -> Result<()> {
        for member in &mut self.workers {
            member.pause()?;
        }
        for member in &self.workers {
            let idle = member.is_idle(LIMIT * 2);
            check(&member.wrong())?;
            if !idle {
                return Err("a client does not come to rest".into());
            }
        }
        let limit = Instant::now() + CLEAN;
        loop {
            let left = self.left()?;
            if left.is_empty() {
                break;
            }
            if Instant::now() > limit {
                return Err(format!("left behind: {left:#?}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        for member in &mut self.workers {
            member.go()?;
        }
        Ok(())
    }

    /// Processes, descriptors and things on the host that no client and no service accounts for.
    fn left(&mut self) -> Result<Vec<String>> {
        let mut left = self.sandbox.leftovers()?;
        let services = [self.sandbox.place.service(), self.sandbox.control.service()]
            .map(|pid| pid.map(|pid| pid.as_raw_nonzero().get()));
        let controls = self.sandbox.control.systems();
        let ready = self.sandbox.place.ready();
        let members: Vec<_> = self
            .workers
            .iter()
            .map(|member| member.pid().as_raw_nonzero().get())
            .collect();
        let ours = descendants();
        let parent = |pid: i32| -> Option<i32> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()
        };
        for (pid, program) in &ours {
            let known = services.contains(&Some(*pid)) || members.contains(pid);
            // A launcher is its service's child; the other service has an agent and what that runs.
            let helper = parent(*pid).is_some_and(|parent| services.contains(&Some(parent)));
            let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let control = groups.contains(&self.sandbox.control.cgroup);
            let slot = ready
                .iter()
                .filter_map(|id| id.to_str())
                .any(|id| groups.contains(id));
            let counts = fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|words| words.ends_with(b"--count\0"));
            if !(known || helper || control || slot || counts || controls.is_empty()) {
                left.push(format!("process {pid} ({program})"));
            }
        }
        if let Some(service) = services[0] {
            let open = fs::read_dir(format!("/proc/{service}/fd")).map_or(0, Iterator::count);
            let before = *self.descriptors.get_or_insert(open);
            if left.is_empty() && open > before + self.slack {
                left.push(format!(
                    "{open} descriptors of the service, {before} at its first rest"
                ));
            }
        }
        Ok(left)
    }

    /// Ends whatever is still there, and removes the sandbox.
    fn clear_away(mut self) -> Result<()> {
        for member in &mut self.workers {
            member.kill()?;
        }
        let places = [&self.sandbox.place, &self.sandbox.control];
        let limit = Instant::now() + CLEAN;
        // Services leave by themselves when no client needs them.
        while !descendants().is_empty() && Instant::now() < limit {
            thread::sleep(Duration::from_millis(50));
        }
        let left = descendants();
        for (pid, _) in &left {
            if let Some(pid) = Pid::from_raw(*pid) {
                // It may be gone by now.
                let _killed = kill_process(pid, Signal::KILL);
            }
        }
        let things: Vec<_> = places.iter().flat_map(|place| place.leftovers()).collect();
        self.sandbox.remove()?;
        if left.is_empty() && things.is_empty() {
            return Ok(());
        }
        Err(format!("left behind at the end: {left:?} {things:?}").into())
    }
}

fn check(wrong: &[String]) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n").into())
}
