//! `hcs events`: the service's event log.

use std::io::{self, Write as _};

use clap::Args;
use hcs::{Failure, HResult, LogEntry, LogFollower, LogQuery, OutOfMemory, read_log};
use hcs_schema::shown_json;
use serde_json::Value;

use crate::{
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, cannot_write, end_with_the_reader, printable},
};

/// Show what happened to systems, processes and the service, also while no client looked
///
/// Every event has a number that only grows, also through restarts of the service. The oldest events are dropped when
/// there are too many; who asks for one of those is told the first number there is.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs events
  hcs events --system box --json
  hcs events --since 100 --follow")]
pub(crate) struct Events {
    /// The first number wanted; 0 for the oldest event there is
    #[arg(long, value_name = "N", default_value_t, value_parser = number)]
    since: u64,

    /// Go on with what happens from now on, until interrupted
    #[arg(long, short)]
    follow: bool,

    /// Events of this system only: its id, or its runtime id
    #[arg(long, value_name = "ID")]
    system: Option<String>,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl Events {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("events");
        if self.follow {
            end_with_the_reader()?;
            let follower = LogFollower::new(self.since, self.system.as_deref());
            let mut head = self.head();
            for event in clock.on_follower(follower) {
                let event = event.map_err(|failure| clock.stop("", failure).unexplained())?;
                if !print(&(std::mem::take(&mut head) + &self.line(&event)?))? {
                    break;
                }
            }
            return Ok(0);
        }
        let mut text = self.head();
        let mut query = LogQuery {
            since: self.since,
            system: self.system.clone(),
            ..LogQuery::default()
        };
        loop {
            let page = clock.on(read_log(&query)).wait();
            let page = page.map_err(|failure| clock.stop("", failure).unexplained())?;
            for event in &page.events {
                text.push_str(&self.line(event)?);
            }
            if !print(&std::mem::take(&mut text))? || !page.more {
                return Ok(0);
            }
            query.since = page.next;
        }
    }

    /// What is printed before the first event.
    fn head(&self) -> String {
        match self.format.chosen() {
            Format::Table => line("NUMBER", "TIME", "EVENT", "SYSTEM", ""),
            Format::Json => String::new(),
        }
    }

    fn line(&self, event: &LogEntry) -> Result<String, Failure> {
        match self.format.chosen() {
            Format::Table => Ok(text(event)),
            Format::Json => Ok(json(event)? + "\n"),
        }
    }
}

/// Reads the number of an event.
///
/// # Errors
/// It is none.
fn number(text: &str) -> Result<u64, String> {
    let expected = |_| "expected the number of an event, such as 17, or 0".to_owned();
    text.parse().map_err(expected)
}

/// Writes to standard output; returns whether the reader is still there.
fn print(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(cannot_write(&error)),
    }
}

fn json(event: &LogEntry) -> Result<String, Failure> {
    let text = serde_json::to_string(event).map_err(|error| {
        let message = "the event cannot be written as JSON";
        Failure::new(HResult::E_UNEXPECTED, message).because(&error)
    })?;
    Ok(shown_json(&text).into_owned())
}

fn line(number: &str, time: &str, kind: &str, system: &str, detail: &str) -> String {
    let line = format!("{number:>8}  {time:<28}  {kind:<15}  {system:<16}  {detail}");
    line.trim_end().to_owned() + "\n"
}

fn text(event: &LogEntry) -> String {
    line(
        &event.number.to_string(),
        &printable(&event.time),
        &printable(&event.kind),
        &printable(event.system.as_deref().unwrap_or("-")),
        &printable(&detail(event)),
    )
}

/// What a person wants to know of an event beside its kind.
fn detail(event: &LogEntry) -> String {
    let data = event.data.as_ref().unwrap_or(&Value::Null);
    if let Some(operation) = &event.operation
        && let Some(call) = data["Call"].as_str()
    {
        return failed(operation, call, data);
    }
    let mut words = Vec::new();
    if let Some(pid) = event.process_id {
        words.push(format!("process {pid}"));
    }
    if let Some(code) = data["ExitCode"].as_u64() {
        words.push(format!("exit code {code}"));
    }
    if let Some(kills) = data["Kills"].as_u64() {
        words.push(format!("{kills} killed"));
    }
    if data["OutOfMemory"] == true || !data["Kills"].is_null() {
        let limit_in_mb = data["MemoryLimitInMB"].as_u64();
        words.push(OutOfMemory { limit_in_mb }.to_string());
    }
    if let (Some(count), Some(user)) = (data["Count"].as_u64(), data["UserId"].as_u64()) {
        words.push(format!("{count} of user {user}"));
    }
    for key in ["ExitType", "State", "ErrorMessage"] {
        words.extend(data[key].as_str().map(str::to_owned));
    }
    if let Some(operation) = &event.operation {
        words.push(format!("operation {operation}"));
    }
    words.join(", ")
}

/// What an operation that failed was to do, and why it did not; or what became of what it made.
fn failed(operation: &str, call: &str, report: &Value) -> String {
    let error = report
        .pointer("/Error/ErrorMessage")
        .and_then(Value::as_str);
    let steps = report["Steps"].as_array();
    let last = steps.and_then(|steps| steps.last()?["Step"].as_str());
    let noted = if error.is_none() { last } else { None };
    let why = error
        .or(noted)
        .or(report["Result"].as_str())
        .unwrap_or("not known why");
    format!("{call}: {why}, operation {operation}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_of_events_are_digits() {
        assert_eq!(number("17"), Ok(17));
        for bad in ["", "x", "-1", "1.5"] {
            assert!(number(bad).unwrap_err().starts_with("expected "), "{bad}");
        }
    }

    #[test]
    fn an_event_is_a_line() {
        let event = LogEntry {
            number: 12,
            time: "2024-02-29T12:30:00.5000000Z".to_owned(),
            kind: "ProcessExited".to_owned(),
            system: Some("box".to_owned()),
            process_id: Some(7),
            data: Some(json!({"ProcessId": 7, "Exited": true, "ExitCode": 3})),
            ..LogEntry::default()
        };
        assert_eq!(
            text(&event),
            "      12  2024-02-29T12:30:00.5000000Z  ProcessExited    box               process 7, exit code 3\n"
        );
        let failed = LogEntry {
            kind: "OperationFailed".to_owned(),
            operation: Some("4711-17".to_owned()),
            data: Some(json!({"Call": "StartSystem", "Error": {"ErrorMessage": "it broke"}})),
            ..LogEntry::default()
        };
        assert!(text(&failed).ends_with("  StartSystem: it broke, operation 4711-17\n"));
        let killed = LogEntry {
            process_id: Some(7),
            data: Some(json!({"ExitCode": 137, "OutOfMemory": true, "MemoryLimitInMB": 64})),
            ..LogEntry::default()
        };
        assert!(
            text(&killed).ends_with("  process 7, exit code 137, out of memory (limit 64 MB)\n")
        );
        let kills = LogEntry {
            kind: "SystemOutOfMemory".to_owned(),
            data: Some(json!({"Kills": 2, "MemoryLimitInMB": null})),
            ..LogEntry::default()
        };
        assert!(text(&kills).ends_with("  2 killed, out of memory\n"));
        let left_out = LogEntry {
            kind: "EventsLeftOut".to_owned(),
            data: Some(json!({"UserId": 7, "Count": 2100})),
            ..LogEntry::default()
        };
        assert!(text(&left_out).ends_with("  2100 of user 7\n"));
        let bare = LogEntry {
            kind: "a\u{1b}b".to_owned(),
            ..LogEntry::default()
        };
        assert!(text(&bare).contains("a\\u{1b}b"));
    }
}
