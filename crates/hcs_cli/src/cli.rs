//! The verbs, and what `hcs --help` says.

use std::ffi::OsString;

use clap::{Args, Command, CommandFactory as _, FromArgMatches, Parser, Subcommand};

use crate::{
    failure::Stop,
    verbs::{
        attach::Attach, commit::Commit, completion::Completion, console::Console, cp::Cp,
        create::Create, disk::Disk, events::Events, exec::Exec, explain::Explain,
        guest_image::GuestImage, help::Help, image::Image, inspect::Inspect, list::List,
        logs::Logs, man::Man, network::Network, pause::Pause, port::Port, ps::Ps, resume::Resume,
        run::Run, screenshot::Screenshot, service::Service, shutdown::Shutdown, signal::Signal,
        start::Start, stats::Stats, terminate::Terminate, update::Update, validate::Validate,
        version::Version, wait::Wait,
    },
};

/// Containers and processes by the Host Compute Service.
#[derive(Debug, Parser)]
#[command(
    name = "hcs",
    version,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  hcs run -- sh -c 'echo hello from $(hostname)'      a throw-away view of this machine
  hcs image load debian.tar && hcs run debian:12 id   an image
  hcs run -it --layer ./rootfs -- sh                  a shell in a root file system of yours
  hcs run --memory 512 --cpus 0.5 -- make test        this directory's tests, in a copy of it
  hcs run -d --id job -- make test && hcs logs -f job
  hcs create --id box && hcs start box && hcs exec box -- uname -a && hcs terminate box
  hcs list --format json
  hcs events --since 100 --follow                      what happened, also while no client looked

Exit codes:
  that of the process for run, exec, wait ID PID and wait ID after run -d (128 + N when signal N killed it);
  124 when the time given by --timeout was over,
  125 when hcs itself failed, 126 when the command cannot be run, 127 when it was not found

Environment:
  HCS_ENDPOINT  the service's socket [/run/hcs/hcs.sock; for users other than root hcs/hcs.sock in
                $XDG_RUNTIME_DIR or ~/.local/state]
  HCS_DAEMON    the service's program, started when no service listens there [hcsd beside hcs, or in PATH]
  HCS_GUEST_IMAGES  the directory of guest images [/var/lib/hcs/guest-images; for users other than root
                hcs/guest-images in $XDG_DATA_HOME or ~/.local/share]"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

/// Makes [`Verb`] and the reader of one verb alone from one list: a verb that is added there is read quickly as well.
macro_rules! verbs {
    ($($name:literal => $verb:ident,)*) => {
        #[derive(Debug, Subcommand)]
        pub(crate) enum Verb {
            $(
                #[command(name = $name)]
                $verb($verb),
            )*
        }

        impl Verb {
            /// The verb `name` with `arguments`, if there is such a verb and they are right.
            fn read(name: &str, arguments: impl Iterator<Item = OsString>) -> Option<Self> {
                Some(match name {
                    $($name => Self::$verb(parsed(arguments)?),)*
                    _ => return None,
                })
            }
        }
    };
}

verbs! {
    "run" => Run,
    "create" => Create,
    "start" => Start,
    "exec" => Exec,
    "logs" => Logs,
    "attach" => Attach,
    "console" => Console,
    "screenshot" => Screenshot,
    "cp" => Cp,
    "list" => List,
    "ps" => Ps,
    "port" => Port,
    "inspect" => Inspect,
    "stats" => Stats,
    "update" => Update,
    "signal" => Signal,
    "wait" => Wait,
    "pause" => Pause,
    "resume" => Resume,
    "shutdown" => Shutdown,
    "terminate" => Terminate,
    "validate" => Validate,
    "service" => Service,
    "events" => Events,
    "explain" => Explain,
    "image" => Image,
    "network" => Network,
    "commit" => Commit,
    "disk" => Disk,
    "guest-image" => GuestImage,
    "help" => Help,
    "version" => Version,
    "completion" => Completion,
    "man" => Man,
}

impl Cli {
    /// What the command line (without the program's name) asks for, when it is a verb's full name and arguments that
    /// are right: then only the parser of that verb is built, as that of all takes longer than many a verb. Else
    /// `None`; [`Parser::try_parse`] has the other names, the help and the complaints.
    pub(crate) fn quickly(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let name = arguments.next()?;
        let verb = Verb::read(name.to_str()?, arguments)?;
        Some(Self { verb })
    }
}

/// The arguments of one verb, if they are right.
fn parsed<T: Args + FromArgMatches>(arguments: impl Iterator<Item = OsString>) -> Option<T> {
    let command = T::augment_args(Command::new("hcs").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).ok()?;
    T::from_arg_matches(&matches).ok()
}

impl Verb {
    /// Does what was asked; the exit code.
    ///
    /// # Errors
    /// Why it could not be done.
    pub(crate) fn run(self) -> Result<u8, Stop> {
        match self {
            Self::Run(verb) => verb.run(),
            Self::Create(verb) => verb.run(),
            Self::Start(verb) => verb.run(),
            Self::Exec(verb) => verb.run(),
            Self::Logs(verb) => verb.run(),
            Self::Attach(verb) => verb.run(),
            Self::Console(verb) => verb.run(),
            Self::Screenshot(verb) => verb.run(),
            Self::Cp(verb) => verb.run(),
            Self::List(verb) => verb.run(),
            Self::Ps(verb) => verb.run(),
            Self::Port(verb) => verb.run(),
            Self::Inspect(verb) => verb.run(),
            Self::Stats(verb) => verb.run(),
            Self::Update(verb) => verb.run(),
            Self::Signal(verb) => verb.run(),
            Self::Wait(verb) => verb.run(),
            Self::Pause(verb) => verb.run(),
            Self::Resume(verb) => verb.run(),
            Self::Shutdown(verb) => verb.run(),
            Self::Terminate(verb) => verb.run(),
            Self::Validate(verb) => verb.run(),
            Self::Service(verb) => verb.run(),
            Self::Events(verb) => verb.run(),
            Self::Explain(verb) => verb.run(),
            Self::Image(verb) => verb.run(),
            Self::Network(verb) => verb.run(),
            Self::Commit(verb) => verb.run(),
            Self::Disk(verb) => verb.run(),
            Self::GuestImage(verb) => verb.run(),
            Self::Help(verb) => verb.run(Cli::command()),
            Self::Version(verb) => verb.run(),
            Self::Completion(verb) => verb.run(Cli::command()),
            Self::Man(verb) => verb.run(Cli::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_does() {
        for verb in Cli::command().get_subcommands() {
            assert!(
                verb.get_about().is_some(),
                "{} has no help",
                verb.get_name()
            );
        }
    }

    /// The command lines of the examples in the help of `command`, each with what comes behind it cut off.
    fn examples(command: &mut Command) -> Vec<String> {
        let help = command.render_long_help().to_string();
        let Some((_, after)) = help.split_once("Examples:\n") else {
            return Vec::new();
        };
        let lines = after.lines().take_while(|line| line.starts_with("  "));
        lines
            .map(|line| line.trim().split("   ").next().unwrap().to_owned())
            .collect()
    }

    /// The commands of a line of a shell that are ours.
    fn commands(line: &str) -> Vec<Vec<String>> {
        let words = shlex::split(line).unwrap_or_else(|| panic!("{line}"));
        let separates = |word: &String| ["|", "&&", ";"].contains(&word.as_str());
        let commands = words.split(separates);
        let plain = commands.map(|words| words.split(|word| word == "<" || word == ">"));
        let first = plain.filter_map(|mut parts| parts.next());
        first
            .filter(|words| words.first().is_some_and(|word| word == "hcs"))
            .map(<[String]>::to_vec)
            .collect()
    }

    /// Row N2.
    #[test]
    fn every_verb_has_examples_that_are_understood() {
        let mut cli = Cli::command();
        cli.build();
        let names: Vec<String> = cli
            .get_subcommands()
            .map(|verb| verb.get_name().to_owned())
            .collect();
        assert!(names.len() > 18, "{names:?}");
        let stop = cli.find_subcommand_mut("service").unwrap();
        let stop = examples(stop.find_subcommand_mut("stop").unwrap());
        let mut helps = vec![
            ("hcs".to_owned(), examples(&mut cli)),
            ("service stop".to_owned(), stop),
        ];
        for name in &names {
            let verb = cli.find_subcommand_mut(name).unwrap();
            let mut own = examples(verb);
            own.retain(|line| line.contains(&format!("hcs {name}")));
            assert!(!own.is_empty(), "{name} has no example of itself");
            let all = examples(verb);
            helps.push((name.clone(), all));
        }
        for (of, lines) in helps {
            assert!(!lines.is_empty(), "{of} has no example");
            for line in lines {
                let commands = commands(&line);
                assert!(!commands.is_empty(), "{of}: {line}");
                for command in commands {
                    let read = Cli::try_parse_from(&command)
                        .unwrap_or_else(|error| panic!("{of}: {line}: {error}"));
                    // By its full name, each is read quickly, and as the same.
                    if names.contains(&command[1]) {
                        let quick = Cli::quickly(command[1..].iter().map(OsString::from));
                        assert_eq!(format!("{quick:?}"), format!("{:?}", Some(read)), "{line}");
                    }
                }
            }
        }
    }

    fn quickly(line: &str) -> Option<Cli> {
        Cli::quickly(line.split(' ').skip(1).map(OsString::from))
    }

    #[test]
    fn a_right_line_with_a_full_name_is_understood_quickly() {
        for line in ["hcs list", "hcs exec -it box -- sh", "hcs run sh -c -x"] {
            assert!(quickly(line).is_some(), "{line}");
        }
        for line in ["hcs list --help", "hcs ls", "hcs --version", "hcs exec -h"] {
            assert!(quickly(line).is_none(), "{line}");
        }
    }

    #[test]
    fn lines_about_networks_are_understood() {
        for line in [
            "hcs network create --type private --subnet 10.20.0.0/24 web",
            "hcs network rm web nat",
            "hcs run --network nat -p 8080:80 -p 127.0.0.1:53:53/udp -- true",
            "hcs run -p 80:80 -- true",
            "hcs create --network none --id box",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "hcs run -p 80:80 --net-namespace blue -- true",
            "hcs run --network nat -p 80 -- true",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn the_documented_lines_are_understood() {
        for line in [
            "hcs run -- sh -c true",
            "hcs run -it --layer ./rootfs -- sh",
            "hcs run --layer a --layer b --mount /a:/b:ro --memory 5 --cpus 1 --env K=V --workdir / --user u -i -t --id x --keep -- sh",
            "hcs run sh -c -x",
            "hcs run --store s debian:12",
            "hcs run debian:12 -- ls -l",
            "hcs run --image debian:12",
            "hcs run --entrypoint sh --env-file f tools:1 -c true",
            "hcs create --id box",
            "hcs create --image debian:12 --store s",
            "hcs start box",
            "hcs exec -i -t box -- uname -a",
            "hcs exec box uname -a",
            "hcs run -d --id web -- httpd -f",
            "hcs run --detach --layer ./rootfs -t -- httpd -f",
            "hcs run -dit --id web -- sh",
            "hcs run -d --rm -- sh",
            "hcs exec -d web -- sh -c true",
            "hcs attach web",
            "hcs attach --detach-keys ctrl-x,d --no-stdin --process 2 --timeout 5 web",
            "hcs run --device /dev/fuse --mount src=/a:1,dst=/b,ro -- true",
            "hcs service reload --json",
            "hcs cp box:/etc/hosts .",
            "hcs cp -aL ./site/. box:/srv --timeout 5",
            "hcs cp - box:/",
            "hcs logs web",
            "hcs logs -f --tail 20 --since 1h30m --timestamps web",
            "hcs logs -n all --since 2024-02-29T12:30:00Z --process 12 --json web",
            "hcs list --format json",
            "hcs enumerate",
            "hcs ps box",
            "hcs signal box 12 TERM",
            "hcs wait box",
            "hcs wait box 12",
            "hcs wait box --timeout 1.5",
            "hcs shutdown box --timeout 5",
            "hcs terminate box other",
            "hcs update --memory 1G --cpus 0.5 box",
            "hcs validate -",
            "hcs image load",
            "hcs image load --name a:1 ./layout",
            "hcs image save --format docker -o a.tar a",
            "hcs image import - a",
            "hcs image rm a b",
            "hcs commit box tools:1",
            "hcs events",
            "hcs explain 4711-17",
            "hcs events --since 12 --follow --system box --format json",
        ] {
            let thorough = Cli::try_parse_from(line.split(' '));
            let thorough = thorough.unwrap_or_else(|error| panic!("{line}: {error}"));
            if let Some(quick) = quickly(line) {
                assert_eq!(format!("{quick:?}"), format!("{thorough:?}"), "{line}");
            }
        }
        for line in [
            "hcs",
            "hcs run",
            "hcs exec box",
            "hcs update box",
            "hcs list --format xml",
            "hcs run --memory x -- sh",
            "hcs run --keep --rm -- sh",
            "hcs run --layer a --image b -- sh",
            "hcs create --document a --image b",
            "hcs logs --tail x web",
            "hcs image",
            "hcs image tag a ../b",
            "hcs commit box ../b",
            "hcs cp box:/srv",
            "hcs cp box: .",
            "hcs attach --detach-keys ctrl-1 web",
            "hcs logs --since yesterday web",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
            assert!(quickly(line).is_none(), "{line}");
        }
    }

    /// What is typed in place of a number, or one that is out of its range, is answered with what was expected.
    #[test]
    fn no_option_is_answered_in_the_words_of_a_programming_language() {
        fn look(command: &Command, line: &[&str], tried: &mut u32) {
            for argument in command.get_arguments() {
                let Some(long) = argument
                    .get_long()
                    .filter(|_| argument.get_action().takes_values())
                else {
                    continue;
                };
                for value in ["?", "-1"] {
                    let option = format!("--{long}={value}");
                    let line = [line, &[&option]].concat();
                    *tried += 1;
                    let Err(error) = Cli::try_parse_from(&line) else {
                        continue;
                    };
                    let said = error.to_string();
                    for words in ["invalid digit", "cannot parse", "too large", "is not in "] {
                        assert!(!said.contains(words), "{line:?}: {said}");
                    }
                }
            }
            for verb in command.get_subcommands() {
                look(verb, &[line, &[verb.get_name()]].concat(), tried);
            }
        }
        let mut tried = 0;
        look(&Cli::command(), &["hcs"], &mut tried);
        assert!(tried > 150, "{tried}");
    }
}
