//! `hcs ps`: the processes of systems.

use clap::Args;
use hcs::{
    Endpoint, HResult,
    documents::{
        ComputeSystemProperties, ProcessDetails, Properties, State, SystemPropertyType, SystemQuery,
    },
    enumerate,
};

use crate::{
    client,
    clock::Clock,
    complain,
    failure::{self, Stop},
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, table},
};

/// List the processes of a system, or of all systems
///
/// Without an ID all systems are listed, those without a process included: created ones, and paused ones, in which no
/// process can answer. As JSON it is the ProcessList of the system, or a list of all systems' Properties with their
/// ProcessList. BY says who started a process: hcs or another program that uses the API, or a process inside; at most
/// 4096 processes of a system are listed. COMMAND has the arguments, as the process has them now: the beginning of long
/// ones, and as JSON (CommandArgs) up to 4096 bytes.
#[derive(Args, Debug)]
#[command(
    visible_alias = "top",
    after_help = "\
Examples:
  hcs ps box
  hcs ps -a                        the processes of all systems
  hcs ps box --json"
)]
pub(crate) struct Ps {
    /// The system [default: all systems]
    id: Option<String>,

    /// All systems, as without ID
    #[arg(long, short, conflicts_with = "id")]
    all: bool,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl Ps {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("ps");
        let Some(id) = &self.id else {
            return self.everywhere(clock);
        };
        let properties = client::property(id, SystemPropertyType::ProcessList, clock)?;
        let processes = properties.process_list.unwrap_or_default();
        match self.format.chosen() {
            Format::Json => print_json(&processes)?,
            Format::Table => print(&text(&processes))?,
        }
        Ok(0)
    }

    fn everywhere(&self, clock: Clock) -> Result<u8, Stop> {
        let (systems, failed) = all(SystemPropertyType::ProcessList, clock)?;
        match self.format.chosen() {
            Format::Json => print_json(&systems)?,
            Format::Table => print(&text_of_all(&systems))?,
        }
        failed.map_or(Ok(0), Err)
    }
}

/// All systems, each with the property `wanted` where it has it, and one of the failures; the other failures have been
/// told.
pub(super) fn all(
    wanted: SystemPropertyType,
    clock: Clock,
) -> Result<(Vec<Properties>, Option<Stop>), Stop> {
    let systems = clock.wait("", enumerate(&SystemQuery::default()))?;
    let endpoint = Endpoint::from_environment()?;
    let query = client::query(&[wanted]);
    let mut asked = Vec::new();
    for system in systems {
        let id = system.id.clone().unwrap_or_default();
        let (handle, opened) = client::open(&endpoint, &id, clock)?;
        asked.push((system, opened, clock.on(handle.properties(&query))));
    }
    let (mut known, mut failed) = (Vec::new(), None);
    for (system, opened, properties) in asked {
        let answer = properties.wait().or_else(|failure| {
            client::finish(&opened, Ok(()))?;
            Err(failure)
        });
        match answer {
            Ok(mut answer) => {
                answer.state = answer.state.or(system.state);
                known.push(answer);
            }
            // It has ended since.
            Err(failure) if client::is_gone(failure.hresult) => {}
            Err(failure) => {
                let id = system.id.clone().unwrap_or_default();
                let quiet = failure.hresult == HResult::HCS_E_INVALID_STATE;
                known.push(without_answer(system));
                if !quiet && let Some(before) = failed.replace(clock.stop(&id, failure)) {
                    complain(&failure::text(&before.failure));
                }
            }
        }
    }
    Ok((known, failed))
}

/// What is known of a system that cannot be asked.
fn without_answer(system: ComputeSystemProperties) -> Properties {
    Properties {
        id: system.id,
        runtime_id: system.runtime_id,
        system_type: system.system_type,
        owner: system.owner,
        state: Some(system.state.unwrap_or(State::Created)),
        ..Properties::default()
    }
}

const HEAD: [&str; 7] = ["PID", "CREATED", "TIME", "PRIVATE", "BY", "NAME", "COMMAND"];

fn text(processes: &[ProcessDetails]) -> String {
    let rows: Vec<[String; 7]> = processes.iter().map(row).collect();
    table(HEAD, &rows)
}

fn text_of_all(systems: &[Properties]) -> String {
    let [pid, created, time, private, by, name, command] = HEAD;
    let mut rows = Vec::new();
    for system in systems {
        let id = || system.id.clone().unwrap_or_default();
        let state = system.state.map(|s| s.to_string()).unwrap_or_default();
        let processes = system.process_list.as_deref().unwrap_or_default();
        if processes.is_empty() {
            let [pid, created, time, private, by, name, command] =
                std::array::from_fn(|_| "-".to_owned());
            rows.push([id(), state, pid, created, time, private, by, name, command]);
            continue;
        }
        rows.extend(processes.iter().map(|process| {
            let [pid, created, time, private, by, name, command] = row(process);
            let state = state.clone();
            [id(), state, pid, created, time, private, by, name, command]
        }));
    }
    let head = [
        "SYSTEM", "STATE", pid, created, time, private, by, name, command,
    ];
    table(head, &rows)
}

fn row(process: &ProcessDetails) -> [String; 7] {
    let time =
        process.user_time100ns.unwrap_or_default() + process.kernel_time100ns.unwrap_or_default();
    let pid = process.process_id.map(|pid| pid.to_string());
    let by = match process.created_by_host {
        Some(false) => "inside",
        _ => "hcs",
    };
    [
        pid.unwrap_or_default(),
        process.create_timestamp.clone().unwrap_or_default(),
        seconds(time),
        mebibytes(process.memory_working_set_private_bytes.unwrap_or_default()),
        by.to_owned(),
        process.image_name.clone().unwrap_or_default(),
        command(process.command_args.as_deref().unwrap_or_default()),
    ]
}

/// Arguments as they would be typed into a shell.
pub(super) fn command(arguments: &[String]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%^".contains(c);
    let words = arguments.iter().map(|argument| {
        if !argument.is_empty() && argument.chars().all(is_plain) {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Units of 100 ns as seconds, to the hundredth.
pub(super) fn seconds(time100ns: u64) -> String {
    let hundredths = time100ns / 100_000;
    format!("{}.{:02}s", hundredths / 100, hundredths % 100)
}

/// Bytes as MiB, to the tenth.
pub(super) fn mebibytes(bytes: u64) -> String {
    let tenths = ((bytes >> 10) * 10) >> 10;
    format!("{}.{}M", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> ProcessDetails {
        ProcessDetails {
            process_id: Some(2),
            image_name: Some("sh".to_owned()),
            user_time100ns: Some(12_300_000),
            kernel_time100ns: Some(45_000),
            memory_working_set_private_bytes: Some(1_600_000),
            command_args: Some(["sh", "-c", "echo it's"].map(str::to_owned).to_vec()),
            ..ProcessDetails::default()
        }
    }

    #[test]
    fn a_process_is_a_line() {
        let expected = "\
PID  CREATED  TIME   PRIVATE  BY   NAME  COMMAND
2             1.23s  1.5M     hcs  sh    sh -c 'echo it'\\''s'
";
        assert_eq!(text(&[process()]), expected);
    }

    #[test]
    fn a_system_without_processes_is_a_line_too() {
        let busy = Properties {
            id: Some("box".to_owned()),
            state: Some(State::Running),
            process_list: Some(vec![process()]),
            ..Properties::default()
        };
        let created = without_answer(ComputeSystemProperties {
            id: Some("new".to_owned()),
            ..ComputeSystemProperties::default()
        });
        let expected = "\
SYSTEM  STATE    PID  CREATED  TIME   PRIVATE  BY   NAME  COMMAND
box     Running  2             1.23s  1.5M     hcs  sh    sh -c 'echo it'\\''s'
new     Created  -    -        -      -        -    -     -
";
        assert_eq!(text_of_all(&[busy, created]), expected);
    }
}
