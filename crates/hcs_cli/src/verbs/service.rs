//! `hcs service`: the service itself.

use clap::{Args, Subcommand};
use hcs::{Endpoint, Failure, HResult, raw};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde_json::{Map, Value, json};

use crate::{
    client,
    clock::Clock,
    complain,
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, printable},
};

/// Show which service this is, print its properties as JSON, have it read its configuration again, or stop it
///
/// The service reads its configuration when it starts, and by `hcs service reload`. What the file says beyond that has
/// no effect, and is told here: limits, times, the log and some others by `hcs service reload`, the rest after
/// `hcs service stop`, when the next call starts a service by it.
///
/// As JSON, "Service" has Version, ProcessId, StartedAt, ReloadedAt, Uptime100ns, ComputeSystems (how many), Limits,
/// ControlGroups (false for a service of root that has found none) and Configuration. That has File and Found and,
/// where the file says something else by now, Changed, ChangedAt, and ByReload and ByRestart (which settings take what)
/// or Fault.
#[derive(Args, Debug)]
#[command(
    visible_alias = "info",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  hcs service
  hcs service --json
  hcs service Memory ProcessorTopology
  hcs service Capabilities         what is honoured of documents, and what containers see
  hcs service reload               after a change in hcsd.toml
  hcs service stop"
)]
pub(crate) struct Service {
    #[command(subcommand)]
    action: Option<Action>,

    /// Properties, always as JSON: Basic, Service, ProcessorTopology, ProcessorCapabilities, Memory, CpuGroup,
    /// QoSCapabilities, and Capabilities, which says what is honoured of documents here, and why not
    #[arg(value_name = "PROPERTY")]
    properties: Vec<String>,

    /// Print the properties Basic and Service as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: Limit,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have the service exit, and wait until it has
    ///
    /// Systems go on, as when the service exits because it is idle. The next call, and every client that has a system
    /// or process open, starts the next service. Where none runs that is said, and there is nothing to do. A mistake in
    /// the configuration, by which no service could start, is told.
    #[command(after_help = "Examples:\n  hcs service stop")]
    Stop {
        #[command(flatten)]
        limit: Limit,
    },
    /// Have the service read its configuration again, and print from which file and what has changed
    ///
    /// Nothing that runs is interrupted. What cannot change while the service lives stays as it was and is named:
    /// paths, the socket, [container], [vm] and others that things are made by. With a mistake in the file all stays as
    /// it was, and the exit code is 125. SIGHUP does the same, and the log tells of it. Where no service runs that is
    /// said, and there is nothing to do.
    #[command(after_help = "Examples:\n  hcs service reload\n  hcs service reload --json")]
    Reload {
        #[command(flatten)]
        format: FormatOption,

        #[command(flatten)]
        limit: Limit,
    },
}

impl Service {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        match self.action {
            Some(Action::Stop { limit }) => return stop(limit.begin("service stop")),
            Some(Action::Reload { format, limit }) => {
                return reload(limit.begin("service reload"), format.chosen());
            }
            None => {}
        }
        let clock = self.limit.begin("service");
        let named = !self.properties.is_empty();
        let wanted: Vec<&str> = match named {
            true => self.properties.iter().map(String::as_str).collect(),
            false => vec!["Basic", "Service"],
        };
        let answer = ask(&wanted, clock)?;
        if named || self.json {
            print_json(&answer)?;
        } else if let Some(service) = answer.pointer(SERVICE) {
            print(&text(service))?;
        }
        match refused(&answer) {
            Some(failure) => Err(failure.into()),
            None => Ok(0),
        }
    }
}

/// What a service of root lacks that has found no control groups.
const NO_GROUPS: &str = "none where the service runs, so nothing limits containers: stop it by `hcs service stop`, and call hcs where \
                         /sys/fs/cgroup is mounted";

/// Tells of a container that has been made that nothing limits it, unless it is limited in another way or its document
/// is the caller's own.
pub(crate) fn tell_of_groups(otherwise: bool) {
    if !otherwise && raw::service_lacks_control_groups() {
        complain(&format!("hcs: control groups: {NO_GROUPS}\n"));
    }
}

/// Where an answer has the property `Service`.
const SERVICE: &str = "/PropertyResponses/Service/Response";

fn ask(wanted: &[&str], clock: Clock) -> Result<Value, Stop> {
    let queries: Map<String, Value> = wanted
        .iter()
        .map(|name| ((*name).to_owned(), json!({})))
        .collect();
    let query = json!({ "PropertyQueries": queries });
    let operation = raw::Operation::new();
    clock.on_raw(&operation);
    let asked = raw::service_properties_by(Some(&query.to_string()), &operation);
    let document = client::finish(&operation, asked).map_err(|f| clock.stop("", f))?;
    Ok(client::read(document.as_deref())?)
}

/// Has the service read its configuration again, if one runs.
fn reload(clock: Clock, format: Format) -> Result<u8, Stop> {
    if !is_there("nothing to tell: the next call starts one, which reads its configuration then")? {
        return Ok(0);
    }
    let answer = ask(&["Service"], clock)?;
    let service = answer.pointer(SERVICE);
    if service.is_none_or(|service| service.get("ReloadedAt").is_none()) {
        let message = "the service that runs is older than this hcs, and reads its configuration when it starts: `hcs \
                       service stop` ends it, containers go on, and the next call starts another";
        return Err(Failure::new(HResult::NOT_SUPPORTED, message).into());
    }
    let operation = raw::Operation::new();
    clock.on_raw(&operation);
    let asked = raw::reload_service(&operation);
    let document = client::finish(&operation, asked).map_err(|f| clock.stop("", f))?;
    let told = client::read(document.as_deref())?;
    match format {
        Format::Json => print_json(&told)?,
        Format::Table => {
            let read = ask(&["Service"], clock)?;
            let read = &read.pointer(SERVICE).unwrap_or(&Value::Null)["Configuration"];
            print(&(text_of_file(read) + &text_of_change(&told)))?;
        }
    }
    Ok(0)
}

/// Whether a service runs; if none does, that is said, and what follows from it.
fn is_there(so: &str) -> Result<bool, Stop> {
    let endpoint = Endpoint::from_environment()?;
    let served = endpoint.is_served()?;
    if !served {
        let path = endpoint.path().display().to_string();
        complain(&format!(
            "hcs: no service runs at {}, so there is {so}\n",
            printable(&path)
        ));
    }
    Ok(served)
}

/// Which file the configuration was read from.
fn text_of_file(configuration: &Value) -> String {
    let file = printable(configuration["File"].as_str().unwrap_or("-"));
    match configuration["Found"] == true {
        true => format!("read {file}\n"),
        false => format!("{file} is not there: the defaults hold\n"),
    }
}

/// What became of the settings.
fn text_of_change(told: &Value) -> String {
    let names = |key: &str| names(&told[key]);
    let mut text = match names("Changed") {
        None => "nothing has changed\n".to_owned(),
        Some(names) => format!("changed: {names}\n"),
    };
    if let Some(names) = names("NotChanged") {
        text += &format!("as before until the service is stopped (hcs service stop): {names}\n");
    }
    text
}

/// A list of settings for a person; none if it is empty.
fn names(list: &Value) -> Option<String> {
    let names = list.as_array()?.iter().filter_map(Value::as_str);
    let names: Vec<String> = names.map(printable).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Stops the service, if one runs.
fn stop(clock: Clock) -> Result<u8, Stop> {
    if !is_there("nothing to stop")? {
        return Ok(0);
    }
    let answer = ask(&["Service"], clock)?;
    if let Some(failure) = refused(&answer) {
        let failure =
            failure.cause("the service that runs is older than this hcs: end it with kill(1)");
        return Err(failure.into());
    }
    let service = answer.pointer(SERVICE).unwrap_or(&Value::Null);
    if let Some(fault) = service["Configuration"]["Fault"].as_str() {
        complain(&format!(
            "hcs: the configuration has a mistake, and calls fail until it is mended, as no service can start by it: {}\n",
            printable(fault)
        ));
    }
    let pid = service["ProcessId"].as_i64();
    let pid = pid.and_then(|pid| i32::try_from(pid).ok());
    // A service that cannot be seen from here, in another pid namespace say, is not waited for.
    let process = pid
        .and_then(Pid::from_raw)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .filter(|_| pid.is_some_and(is_service));
    let operation = raw::Operation::new();
    clock.on_raw(&operation);
    let asked = raw::stop_service(&operation);
    client::finish(&operation, asked).map_err(|f| clock.stop("", f))?;
    let Some(process) = process else {
        return Ok(0);
    };
    let mut polled = [PollFd::new(&process, PollFlags::IN)];
    loop {
        let left = clock.left().and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, left.as_ref()) {
            Ok(0) => return Err(clock.passed("the service", "is still about to exit")),
            Err(Errno::INTR) => {}
            Ok(_) => return Ok(0),
            Err(errno) => {
                let message = "the end of the service cannot be waited for";
                return Err(Failure::new(HResult::E_FAIL, message)
                    .because(&errno)
                    .into());
            }
        }
    }
}

/// Whether the process of this number here is a service: in another pid namespace it is another process.
fn is_service(pid: i32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name.trim_end() == "hcsd")
}

/// What a person wants to know of the service.
fn text(service: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => printable(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let uptime = service["Uptime100ns"].as_u64().unwrap_or_default() / 10_000_000;
    let limits = &service["Limits"];
    let configuration = &service["Configuration"];
    let mut lines = vec![
        ("version", word(&service["Version"])),
        ("process", word(&service["ProcessId"])),
        (
            "running",
            format!(
                "for {}, since {}",
                long(uptime),
                word(&service["StartedAt"])
            ),
        ),
        (
            "systems",
            format!(
                "{}, at most {} of one user",
                word(&service["ComputeSystems"]),
                word(&limits["SystemsPerClient"])
            ),
        ),
        (
            "processes",
            format!(
                "at most {} of one user",
                word(&limits["ProcessesPerClient"])
            ),
        ),
        (
            "connections",
            format!(
                "at most {}, {} of one user",
                word(&limits["Connections"]),
                word(&limits["ConnectionsPerClient"])
            ),
        ),
        ("files", word(&service["StateRoot"])),
    ];
    if service["ControlGroups"] == false {
        lines.push(("limits", NO_GROUPS.to_owned()));
    }
    let file = word(&configuration["File"]);
    lines.push((
        "configuration",
        match configuration["Found"] == true {
            true => file,
            false => format!("defaults; {file} was not there"),
        },
    ));
    if configuration["Changed"] == true {
        let when = match &configuration["ChangedAt"] {
            Value::Null => String::new(),
            time => format!(" at {}", word(time)),
        };
        lines.push(("", format!("changed{when}")));
        if let Some(names) = names(&configuration["ByReload"]) {
            lines.push(("", format!("hcs service reload takes over {names}")));
        }
        if let Some(names) = names(&configuration["ByRestart"]) {
            lines.push((
                "",
                format!("hcs service stop, and the next call starts a service by {names}"),
            ));
        }
    }
    if let Some(fault) = configuration["Fault"].as_str() {
        lines.push((
            "",
            format!("no service can start by it: {}", printable(fault)),
        ));
    }
    let line = |(name, text): &(&str, String)| format!("{name:<13}  {text}\n");
    lines.iter().map(line).collect()
}

/// A time in its two largest units.
fn long(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// The properties that were asked for and could not be had, each with the reason; the others are printed all the same.
fn refused(answer: &Value) -> Option<Failure> {
    let responses = answer.get("PropertyResponses")?.as_object()?;
    let mut errors = responses.iter().filter_map(|(name, response)| {
        let message = response.pointer("/Error/ErrorMessage")?.as_str()?;
        Some(format!("{name:?}: {message}"))
    });
    let first = Failure::new(
        HResult::E_INVALIDARG,
        format!("property {}", errors.next()?),
    );
    Some(errors.fold(first, |failure, error| {
        failure.cause(format!("property {error}"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_two_largest_units() {
        for (seconds, text) in [
            (5, "5s"),
            (65, "1m 5s"),
            (7260, "2h 1m"),
            (180_000, "2d 2h"),
        ] {
            assert_eq!(long(seconds), text);
        }
    }

    #[test]
    fn the_file_that_was_read_is_told() {
        let text = |found: bool| text_of_file(&json!({"File": "/c.toml", "Found": found}));
        assert_eq!(text(true), "read /c.toml\n");
        assert_eq!(text(false), "/c.toml is not there: the defaults hold\n");
    }

    #[test]
    fn what_has_changed_and_what_has_not_is_told() {
        let text = |changed: Value, kept: Value| {
            text_of_change(&json!({ "Changed": changed, "NotChanged": kept }))
        };
        assert_eq!(text(json!([]), json!([])), "nothing has changed\n");
        assert_eq!(
            text(json!(["log", "warm_slots"]), json!(["vm.user"])),
            "changed: log, warm_slots\nas before until the service is stopped (hcs service stop): vm.user\n"
        );
    }

    #[test]
    fn a_changed_configuration_is_told_with_the_way_out() {
        let mut service = json!({
            "Version": "1.2.3", "Uptime100ns": 650_000_000,
            "Configuration": {"File": "/c.toml", "Found": false},
        });
        let told = text(&service);
        assert!(told.contains("version        1.2.3\n"), "{told}");
        assert!(told.contains("for 1m 5s"), "{told}");
        assert!(told.contains("defaults; /c.toml was not there\n"), "{told}");
        assert!(!told.contains("changed"), "{told}");
        service["Configuration"] = json!({
            "File": "/c.toml", "Found": true, "Changed": true, "ChangedAt": "2026-01-02T03:04:05Z",
            "ByReload": ["log", "times.idle_seconds"], "ByRestart": ["vm.qemu"],
            "Fault": "line 3\u{1b}",
        });
        let told = text(&service);
        for expected in [
            "changed at 2026-01-02T03:04:05Z\n",
            "hcs service reload takes over log, times.idle_seconds\n",
            "hcs service stop, and the next call starts a service by vm.qemu\n",
        ] {
            assert!(told.contains(expected), "{told}");
        }
        assert!(
            told.contains("no service can start by it: line 3\\u{1b}\n"),
            "{told}"
        );
    }
}
