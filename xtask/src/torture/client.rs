//! The disturbed clients: processes of their own whose threads use the service without pause and say when something is
//! not as it was promised.
//!
//! They are told "pause", "go" and, by the end of their stdin, to leave. They say "round" after each piece of work,
//! "idle" when all threads have nothing on the host any more, "wrong: ..." when a promise was broken, and at their end
//! what calls were refused with.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, Write as _},
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use hcs::HResult;

use super::{random::Random, session};
use crate::Result;

/// How long anything may take before it counts as hanging.
pub(super) const LIMIT: Duration = Duration::from_secs(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Go,
    Pause,
    Leave,
}

#[derive(Debug)]
struct State {
    order: Order,
    idle: usize,
    refusals: BTreeMap<String, u64>,
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Where systems that were harmed on purpose are named.
    pub(super) marks: PathBuf,
    /// The connection is cut again and again.
    pub(super) cut: bool,
    threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was refused, as calls may be while the service is disturbed.
    pub(super) fn refused(&self, what: &str, hresult: HResult) {
        let mut state = self.state();
        *state
            .refusals
            .entry(format!("{what} {hresult}"))
            .or_default() += 1;
    }

    fn order(&self, order: Order) {
        let mut state = self.state();
        state.order = order;
        // They have not even begun since the last pause.
        if order == Order::Pause && state.idle == self.threads {
            say("idle");
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until there is something to do; `false` when it is to end.
    fn may_go_on(&self) -> bool {
        let mut state = self.state();
        if state.order == Order::Pause {
            state.idle += 1;
            if state.idle == self.threads {
                say("idle");
            }
            while state.order == Order::Pause {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.idle -= 1;
        }
        state.order == Order::Go
    }
}

/// Says a line to the harness; one that is gone needs none.
pub(super) fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _heard = writeln!(stdout, "{}", line.replace('\n', " ")).and_then(|()| stdout.flush());
}

/// The client process.
///
/// # Errors
/// Its stdin cannot be read.
pub(super) fn run(seed: u64, threads: usize, marks: PathBuf, cut: bool) -> Result<()> {
    let shared = Shared {
        marks,
        cut,
        threads,
        state: Mutex::new(State {
            order: Order::Go,
            idle: 0,
            refusals: BTreeMap::new(),
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| -> Result<()> {
        for thread in 0..threads {
            let shared = &shared;
            scope.spawn(move || work(shared, thread, seed));
        }
        for line in std::io::stdin().lines() {
            match line?.as_str() {
                "pause" => shared.order(Order::Pause),
                _ => shared.order(Order::Go),
            }
        }
        shared.order(Order::Leave);
        Ok(())
    })?;
    for (refusal, times) in &shared.state().refusals {
        say(&format!("refused: {times} {refusal}"));
    }
    Ok(())
}

fn work(shared: &Shared, thread: usize, seed: u64) {
    let mut random = Random::new(seed ^ ((thread as u64 + 1) << 40));
    let mut number = 0;
    while shared.may_go_on() {
        number += 1;
        let id = format!("torture-{}-{thread}-{number}", std::process::id());
        if let Err(wrong) = session::run(&id, &mut random, shared) {
            say(&format!("wrong: {id}: {wrong}"));
        }
        say("round");
    }
}

/// The client that is not disturbed: a container that counts, in another service.
///
/// # Errors
/// The container cannot be made, or stops counting.
pub(super) fn count() -> Result<()> {
    use hcs::{ComputeSystem, documents};
    let document = documents::ComputeSystem {
        container: Some(documents::Container::default()),
        should_terminate_on_last_handle_closed: Some(true),
        ..Default::default()
    };
    let id = format!("torture-control-{}", std::process::id());
    let system = ComputeSystem::create(&id, &document).wait()?;
    system.start().wait()?;
    let script = "i=0; while i=$((i+1)); do echo $i; sleep 0.1; done";
    let mut process = system
        .create_process(&documents::ProcessParameters {
            command_args: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
            create_std_out_pipe: Some(true),
            ..Default::default()
        })
        .wait()?;
    let stdout = process
        .take_stdout()
        .ok_or("the container that counts has no stdout")?;
    thread::spawn(move || {
        for (expected, line) in
            (1_u64..).zip(std::io::BufReader::new(std::fs::File::from(stdout)).lines())
        {
            match line {
                Ok(line) if line == expected.to_string() => say("round"),
                other => say(&format!(
                    "wrong: the container that counts said {other:?} instead of {expected}"
                )),
            }
        }
    });
    // Ends with the harness.
    std::io::stdin().lines().for_each(drop);
    system.terminate().wait()?;
    Ok(())
}
