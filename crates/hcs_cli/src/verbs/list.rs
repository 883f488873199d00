//! `hcs list`: all systems.

use std::time::{Duration, Instant};

use clap::Args;
use hcs::{
    Endpoint, OutputQuery, OutputRecord,
    documents::{ComputeSystemProperties, ProcessStatus, State, SystemQuery},
    enumerate,
};

use crate::{
    client,
    clock::Clock,
    complain,
    failure::Stop,
    options::limit::Limit,
    output::{Format, FormatOption, print, print_json, printable, table},
    verbs::ps,
};

/// List all systems: kind, state, id, owner, image, command, and what became of the command
///
/// The command is that of hcs run -d: running, or exited with this exit code. Its container stays until hcs terminate.
/// A long command is cut off: hcs list --json has 256 bytes of it.
#[derive(Args, Debug)]
#[command(
    visible_alias = "enumerate",
    alias = "ls",
    after_help = "\
Examples:
  hcs list
  hcs list -q                      only the ids that are one plain word
  hcs list --json                  ComputeSystemProperties documents"
)]
pub(crate) struct List {
    /// Only the ids that are one plain word, one a line, for scripts
    #[arg(long, short, conflicts_with_all = ["format", "json"])]
    quiet: bool,

    /// All systems, as without this option
    #[arg(long, short, hide = true)]
    all: bool,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("list");
        let mut systems = clock.wait("", enumerate(&SystemQuery::default()))?;
        for system in &mut systems {
            // The service leaves the state out until a system has run.
            system.state.get_or_insert(State::Created);
        }
        if self.quiet {
            let (ids, left_out) = ids(&systems);
            if left_out > 0 {
                complain(&format!(
                    "hcs: {left_out} of {} ids left out, which a shell or xargs would take for an option or for several \
                     words: hcs list shows them\n",
                    systems.len()
                ));
            }
            print(&ids)?;
            return Ok(0);
        }
        match self.format.chosen() {
            Format::Json => print_json(&systems)?,
            Format::Table => {
                let commands = commands(&systems, clock);
                print(&text(&systems, &commands))?;
            }
        }
        Ok(0)
    }
}

/// Only who they are, and how many have ids that are not plain.
fn ids(systems: &[ComputeSystemProperties]) -> (String, usize) {
    let ids = systems.iter().filter_map(|system| system.id.as_deref());
    let (plain, others): (Vec<_>, Vec<_>) = ids.partition(|id| is_plain(id));
    let plain = plain.into_iter().map(|id| id.to_owned() + "\n");
    (plain.collect(), others.len())
}

/// Whether an id is one word to programs that take ids from their input and hand them on. Other users choose theirs.
fn is_plain(id: &str) -> bool {
    let means_more = |c: char| c.is_whitespace() || r#""'\*?["#.contains(c);
    !id.is_empty() && !id.starts_with('-') && !id.contains(means_more) && printable(id) == id
}

/// How many systems are asked at the same time: each takes a pipe.
const AT_ONCE: usize = 64;

/// How long the containers that are asked at the same time may take, all together, to tell of their commands.
const TELLING: Duration = Duration::from_secs(2);

/// What became of the commands that were detached (`hcs run -d`), in words; `-` for a system that has none, does not
/// run, or does not tell. The service tells most of it; of systems that an earlier service made, their agents do.
fn commands(systems: &[ComputeSystemProperties], clock: Clock) -> Vec<String> {
    let query = OutputQuery {
        exit_only: true,
        ..OutputQuery::default()
    };
    let ask = |system: &ComputeSystemProperties, limit: Duration| {
        let id = system.id.as_deref().filter(|_| is_to_be_asked(system))?;
        let (system, _opened) =
            client::open(&Endpoint::from_environment().ok()?, id, clock).ok()?;
        let asked = system.output(&query).deadline(limit);
        Some((system, asked))
    };
    let mut told = Vec::with_capacity(systems.len());
    for some in systems.chunks(AT_ONCE) {
        let limit = clock.left().map_or(TELLING, |left| left.min(TELLING));
        let asked = some.iter().map(|system| ask(system, limit)).collect();
        let words = until(limit, asked, |(_system, asked), left| {
            match asked.wait().ok()?.next_within(Some(left)).ok()? {
                Some((_, OutputRecord::Exit(code))) => Some(format!("exited ({code})")),
                Some(_) => None,
                None => Some("running".to_owned()),
            }
        });
        let words = some.iter().zip(words);
        let words = words.map(|(system, word)| known(system).or(word));
        told.extend(words.map(|word| word.unwrap_or_else(|| "-".to_owned())));
    }
    told
}

/// What those that were `asked` tell within `limit`, each in the time that the others have left: one that says nothing
/// takes no time of its own.
fn until<T>(
    limit: Duration,
    asked: Vec<Option<T>>,
    told: impl Fn(T, Duration) -> Option<String>,
) -> Vec<Option<String>> {
    let begun = Instant::now();
    let left = || limit.saturating_sub(begun.elapsed());
    let words = asked.into_iter();
    words.map(|asked| told(asked?, left())).collect()
}

/// Whether the agent of a system has to be asked for its command: each such answer takes a journey to it.
fn is_to_be_asked(system: &ComputeSystemProperties) -> bool {
    let unknown = |process: &ProcessStatus| process.process_id.is_none();
    system.state == Some(State::Running) && system.detached_process.as_ref().is_some_and(unknown)
}

/// What the service knows of the command of a system that runs, in words.
fn known(system: &ComputeSystemProperties) -> Option<String> {
    let process = system.detached_process.as_ref();
    let process = process.filter(|_| system.state == Some(State::Running))?;
    process.process_id?;
    Some(match (process.exited, process.last_wait_result) {
        (Some(true), Some(0) | None) => {
            format!("exited ({})", process.exit_code.unwrap_or_default())
        }
        (Some(true), Some(_)) => "exited".to_owned(),
        _ => "running".to_owned(),
    })
}

/// In the order of `hcsdiag list`, and what became of the commands.
fn text(systems: &[ComputeSystemProperties], commands: &[String]) -> String {
    let rows: Vec<[String; 7]> = systems
        .iter()
        .zip(commands)
        .map(|(system, ended)| {
            [
                system
                    .system_type
                    .map(|t| t.to_string())
                    .unwrap_or_default(),
                system.state.map(|s| s.to_string()).unwrap_or_default(),
                system.id.clone().unwrap_or_default(),
                system.owner.clone().unwrap_or_default(),
                system.image.clone().unwrap_or_else(|| "-".to_owned()),
                command(system),
                ended.clone(),
            ]
        })
        .collect();
    let names = [
        "TYPE", "STATE", "ID", "OWNER", "IMAGE", "COMMAND", "OUTCOME",
    ];
    table(names, &rows)
}

/// How many characters of a command are shown.
const SHOWN: usize = 40;

/// The beginning of its detached command, as it would be typed into a shell.
fn command(system: &ComputeSystemProperties) -> String {
    let arguments = system.detached_command.as_deref().unwrap_or_default();
    if arguments.is_empty() {
        return "-".to_owned();
    }
    let all = ps::command(arguments);
    match all.char_indices().nth(SHOWN) {
        None => all,
        Some((end, _)) => format!("{}...", &all[..end]),
    }
}

#[cfg(test)]
mod tests {
    use hcs::documents::SystemType;

    use super::*;

    #[test]
    fn ids_that_other_programs_would_take_for_more_are_left_out() {
        let system = |id: &str| ComputeSystemProperties {
            id: Some(id.to_owned()),
            ..ComputeSystemProperties::default()
        };
        let others = [
            "--all", "-f", "a b", "it's", "\"", "a\\b", "a\nb", "\u{202e}", "*", "",
        ];
        let systems: Vec<_> = ["box", "a-b", "$HOME"]
            .iter()
            .chain(&others)
            .map(|id| system(id))
            .collect();
        assert_eq!(
            ids(&systems),
            ("box\na-b\n$HOME\n".to_owned(), others.len())
        );
    }

    #[test]
    fn the_service_tells_most_commands() {
        let system = |text: &str| serde_json::from_str::<ComputeSystemProperties>(text).unwrap();
        let running = |process: &str| {
            let system = system(&format!(r#"{{"State": "Running"{process}}}"#));
            (known(&system), is_to_be_asked(&system))
        };
        let told = |word: &str| (Some(word.to_owned()), false);
        assert_eq!(running(""), (None, false));
        assert_eq!(running(r#", "DetachedProcess": {}"#), (None, true));
        let process = |rest: &str| format!(r#", "DetachedProcess": {{"ProcessId": 2, {rest}}}"#);
        assert_eq!(running(&process(r#""Exited": false"#)), told("running"));
        assert_eq!(
            running(&process(r#""Exited": true, "ExitCode": 3"#)),
            told("exited (3)")
        );
        assert_eq!(
            running(&process(r#""Exited": true, "LastWaitResult": -1"#)),
            told("exited")
        );
        let paused = system(r#"{"State": "Paused", "DetachedProcess": {}}"#);
        assert_eq!((known(&paused), is_to_be_asked(&paused)), (None, false));
    }

    #[test]
    fn containers_that_say_nothing_take_their_time_together() {
        let limit = Duration::from_millis(1);
        let given = std::cell::RefCell::new(Vec::new());
        let tell = |word: &str, left: Duration| {
            given.borrow_mut().push(left);
            std::thread::sleep(left);
            Some(word.to_owned())
        };
        let words = until(limit, vec![Some("a"), None, Some("b"), Some("c")], tell);
        let [a, b, c] = ["a", "b", "c"].map(|word| Some(word.to_owned()));
        assert_eq!(words, [a, None, b, c]);
        let given = given.into_inner();
        assert!(given[0] <= limit);
        assert_eq!(given[1..], [Duration::ZERO; 2]);
    }

    #[test]
    fn a_long_command_is_cut_off() {
        let of = |arguments: &[&str]| {
            command(&ComputeSystemProperties {
                detached_command: Some(arguments.iter().map(|&word| word.to_owned()).collect()),
                ..ComputeSystemProperties::default()
            })
        };
        assert_eq!(of(&[]), "-");
        assert_eq!(of(&["sh", "-c", "x y"]), "sh -c 'x y'");
        let long = "é".repeat(SHOWN + 1);
        assert_eq!(of(&[&long]), format!("{}...", "é".repeat(SHOWN)));
    }

    #[test]
    fn a_system_is_a_line() {
        let system = ComputeSystemProperties {
            id: Some("box".to_owned()),
            system_type: Some(SystemType::Container),
            state: Some(State::Running),
            owner: Some("me".to_owned()),
            image: Some("debian:12".to_owned()),
            detached_command: Some(vec!["a b".to_owned(), "c".to_owned()]),
            ..ComputeSystemProperties::default()
        };
        let expected = "TYPE       STATE    ID   OWNER  IMAGE      COMMAND  OUTCOME\n\
                        Container  Running  box  me     debian:12  'a b' c  exited (3)\n";
        assert_eq!(text(&[system], &["exited (3)".to_owned()]), expected);
    }
}
