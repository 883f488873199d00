//! An instance of the kernel's tracer (tracefs), with a buffer of its own, for some tasks and whatever they start.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use crate::bench::command::{line, run};

const TRACEFS: &str = "/sys/kernel/tracing";
const EVENTS: [&str; 5] = [
    "sched/sched_switch",
    "sched/sched_wakeup",
    "sched/sched_process_fork",
    "sched/sched_process_exec",
    "syscalls",
];
/// For each processor.
const BUFFER_KB: &str = "16384";

/// A running trace; gone when dropped.
#[derive(Debug)]
pub(super) struct Tracer {
    folder: PathBuf,
    /// None only while it is being removed: an open one keeps the instance.
    marker: Option<File>,
}

impl Tracer {
    /// Begins to trace `tasks` and what they start.
    ///
    /// # Errors
    /// The kernel has no tracer, or not these events.
    pub(super) fn start(tasks: impl Iterator<Item = u32>) -> Result<Self, String> {
        let instances = Path::new(TRACEFS).join("instances");
        if !instances.is_dir() {
            run(&line(&["mount", "-t", "tracefs", "tracefs", TRACEFS]))?;
        }
        let folder = instances.join(format!("hcs-bench-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let begun = begin(&folder, tasks);
        if begun.is_err() {
            // The error that is reported says more.
            let _left = fs::remove_dir(&folder);
        }
        let marker = Some(begun?);
        Ok(Self { folder, marker })
    }

    /// Writes a mark between the events.
    pub(super) fn mark(&mut self, text: &str) -> Result<(), String> {
        let marker = self.marker.as_mut().ok_or("the trace is over")?;
        marker
            .write_all(text.as_bytes())
            .map_err(|e| format!("trace_marker: {e}"))
    }

    /// Ends the trace; returns its text.
    ///
    /// # Errors
    /// The trace cannot be read, or some of it was lost because the buffer was full.
    pub(super) fn finish(self) -> Result<String, String> {
        put(&self.folder, "tracing_on", "0")?;
        let path = self.folder.join("trace");
        let text = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        match counts(&text) {
            Some((kept, written)) if kept == written => Ok(text),
            counts => Err(format!("the trace is not whole: {counts:?} events")),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.marker = None;
        let off = put(&self.folder, "tracing_on", "0");
        let off = off.and_then(|()| put(&self.folder, "events/enable", "0"));
        let gone = off.and_then(|()| {
            fs::remove_dir(&self.folder).map_err(|e| format!("{}: {e}", self.folder.display()))
        });
        if let Err(error) = gone {
            crate::bench::warn(&error);
        }
    }
}

fn begin(folder: &Path, tasks: impl Iterator<Item = u32>) -> Result<File, String> {
    put(folder, "trace_clock", "mono")?;
    put(folder, "buffer_size_kb", BUFFER_KB)?;
    put(folder, "options/event-fork", "1")?;
    let tasks: Vec<String> = tasks.map(|task| task.to_string()).collect();
    put(folder, "set_event_pid", &tasks.join(" "))?;
    for event in EVENTS {
        put(folder, &format!("events/{event}/enable"), "1")?;
    }
    let path = folder.join("trace_marker");
    let marker = OpenOptions::new().write(true).open(&path);
    marker.map_err(|e| format!("{}: {e}", path.display()))
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// How many events are in the buffer, and how many there were.
fn counts(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.contains("entries-written"))?;
    let numbers = line.split(':').nth(1)?.split_whitespace().next()?;
    let (kept, written) = numbers.split_once('/')?;
    Some((kept.parse().ok()?, written.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_events_are_noticed() {
        let head = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 134/135   #P:2\n";
        assert_eq!(counts(head), Some((134, 135)));
        assert_eq!(counts("nothing"), None);
    }
}
