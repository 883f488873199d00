//! crun and runc, which share a command line. Each gets an explicit control group: runc without one makes groups below
//! its caller's.

use std::path::PathBuf;

use super::{Peer, end};
use crate::bench::{
    bundle::Bundles,
    command::{Line, line, require, run},
};

/// An OCI runtime with an idle container to exec into.
#[derive(Debug)]
pub(crate) struct Runtime {
    name: &'static str,
    state: PathBuf,
    idle: String,
    once: String,
}

impl Runtime {
    /// Starts its idle container.
    pub(crate) fn start(name: &'static str, bundles: &Bundles) -> Result<Self, String> {
        require(name, name)?;
        let idle = format!("{name}-idle");
        let runtime = Self {
            name,
            state: bundles.state(&format!("{name}-state"))?,
            once: bundles.bundle(&format!("{name}-once"), &["/bin/true"])?,
            idle: idle.clone(),
        };
        let bundle = bundles.bundle(&idle, &["/bin/sleep", "100000"])?;
        run(&runtime.command(&["run", "-d", "-b", &bundle, &idle]))?;
        Ok(runtime)
    }

    fn command(&self, words: &[&str]) -> Line {
        let mut command = line(&[self.name, "--root", &self.state.display().to_string()]);
        command.extend(line(words));
        command
    }

    /// A bundle for [`Self::create_idle`].
    pub(crate) fn prepare_idle(&self, bundles: &Bundles, number: usize) -> Result<String, String> {
        bundles.bundle(
            &format!("{}-{number}", self.name),
            &["/bin/sleep", "100000"],
        )
    }

    /// Makes and starts an idle container of its own name.
    pub(crate) fn create_idle(&self, bundle: &str, number: usize) -> Result<(), String> {
        let id = format!("{}-{number}", self.name);
        run(&self.command(&["run", "-d", "-b", bundle, &id]))
    }

    /// Removes what [`Self::create_idle`] made.
    pub(crate) fn delete_idle(&self, number: usize) -> Result<(), String> {
        let id = format!("{}-{number}", self.name);
        run(&self.command(&["delete", "-f", &id]))
    }
}

impl Peer for Runtime {
    fn exec(&self, words: &[&str]) -> Option<(&'static str, Line)> {
        let name = match self.name {
            "crun" => "crun exec",
            _ => "runc exec",
        };
        let mut command = self.command(&["exec", &self.idle]);
        command.extend(line(words));
        Some((name, command))
    }

    fn once(&self) -> (&'static str, Line) {
        let name = match self.name {
            "crun" => "crun run",
            _ => "runc run",
        };
        (name, self.command(&["run", "-b", &self.once, "bench-once"]))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        end(&self.command(&["delete", "-f", &self.idle]));
    }
}
