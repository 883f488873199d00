//! The client processes, as the harness holds them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::Pid;

use super::sandbox::Place;
use crate::Result;

/// What a member has said.
#[derive(Debug, Default)]
struct Said {
    rounds: u64,
    idle: bool,
    wrong: Vec<String>,
    refused: Vec<String>,
}

#[derive(Debug, Default)]
struct Listener {
    said: Mutex<Said>,
    changed: Condvar,
}

impl Listener {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, line: &str) {
        let mut said = self.said();
        match line.split_once(": ") {
            _ if line == "round" => said.rounds += 1,
            _ if line == "idle" => said.idle = true,
            Some(("refused", refusal)) => said.refused.push(refusal.to_owned()),
            _ => said.wrong.push(line.to_owned()),
        }
        drop(said);
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, is_so: impl Fn(&Said) -> bool) -> bool {
        let said = self.said();
        let waited = self
            .changed
            .wait_timeout_while(said, limit, |said| !is_so(said) && said.wrong.is_empty());
        is_so(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

/// One client process.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    ear: Arc<Listener>,
}

impl Worker {
    /// Starts one of this program, with `arguments` behind `torture`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(
        place: &Place,
        endpoint: Option<&Path>,
        arguments: &[&str],
    ) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        place.apply(&mut command);
        if let Some(endpoint) = endpoint {
            // A client that comes by another way does not start a service.
            command
                .env("HCS_ENDPOINT", endpoint)
                .env("HCS_DAEMON", "/bin/false");
        }
        let mut child = command
            .arg("torture")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child
            .stdout
            .take()
            .ok_or("a client came without its stdout")?;
        let ear = Arc::new(Listener::default());
        let hearing = Arc::clone(&ear);
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(std::result::Result::ok)
                .for_each(|line| hearing.hear(&line));
        });
        Ok(Self { child, stdin, ear })
    }

    /// Its process.
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn order(&mut self, order: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().ok_or("a client was told to leave")?;
        writeln!(stdin, "{order}")?;
        Ok(())
    }

    /// Has its threads end what they have and wait; [`Worker::is_idle`] tells when they do.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.ear.said().idle = false;
        self.order("pause")
    }

    /// Whether it becomes idle within `limit`.
    pub(super) fn is_idle(&self, limit: Duration) -> bool {
        self.ear.wait(limit, |said| said.idle)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn go(&mut self) -> Result<()> {
        self.order("go")
    }

    /// How much it has done.
    pub(super) fn rounds(&self) -> u64 {
        self.ear.said().rounds
    }

    /// Whether it does more than `rounds` within `limit`.
    pub(super) fn does_more_than(&self, rounds: u64, limit: Duration) -> bool {
        self.ear.wait(limit, |said| said.rounds > rounds)
    }

    /// What it found wrong.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.ear.said().wrong.clone()
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Has it leave; returns what it was refused.
    ///
    /// # Errors
    /// It failed.
    pub(super) fn leave(mut self) -> Result<Vec<String>> {
        self.stdin = None;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("a client ended with {status}").into());
        }
        Ok(self.ear.said().refused.clone())
    }
}
