//! A process in a running container: through the API, by command line, and its stdout.

use super::{About, Context, Outcome};
use crate::bench::{
    command::run,
    floor::{dd_arguments, pour, spawn_and_wait},
    interleave::{Regime, Subject},
    ours::Container,
};

pub(super) fn exec_api(context: &mut Context<'_>) -> Outcome {
    let container = Container::start("bench-exec-api", context.bundles)?;
    let program = context.bundles.program("true");
    let subjects = vec![
        Subject::new("vfork+exec+wait", || spawn_and_wait(&program)),
        Subject::new("hcs API process", || container.process("/bin/true")),
    ];
    let about = About {
        name: "exec-api",
        title: "a process in a running container, through the API: created, stdout read, exit code seen".to_owned(),
        base: "vfork+exec+wait",
    };
    context.compare(
        &about,
        &[(Regime::Hot, 500), (Regime::Spaced, 50)],
        subjects,
    )?;
    container.end()
}

pub(super) fn exec_cli(context: &mut Context<'_>) -> Outcome {
    let container = Container::start("bench-exec-cli", context.bundles)?;
    let peers = context.peers();
    let floor = vec![context.bundles.program("true")];
    let mut subjects = vec![
        Subject::new("vfork+exec+wait", || run(&floor)),
        context.program.exec(container.id()),
    ];
    subjects.extend(peers.iter().filter_map(|peer| peer.exec_subject()));
    let about = About {
        name: "exec-cli",
        title: "a process in a running container, by command line".to_owned(),
        base: "vfork+exec+wait",
    };
    context.compare(&about, &[(Regime::Hot, 60), (Regime::Spaced, 25)], subjects)?;
    container.end()
}

pub(super) fn stdio(context: &mut Context<'_>) -> Outcome {
    let bytes = if context.quick { 16 << 20 } else { 512 << 20 };
    let container = Container::start("bench-stdio", context.bundles)?;
    let peers = context.peers();
    let words = dd_arguments(bytes);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut floor = words
        .iter()
        .map(|&word| word.to_owned())
        .collect::<Vec<_>>();
    floor[0] = context.bundles.program("dd");
    let by_program = context.program.exec_line(container.id(), &words);
    let mut subjects = vec![
        Subject::new("host pipe", || pour(&floor, bytes)),
        Subject::new("hcs API process", || container.pour(bytes)),
        Subject::new("hcs exec", || pour(&by_program, bytes)),
    ];
    for peer in &peers {
        if let Some((name, _)) = peer.exec(&words) {
            let words = &words;
            subjects.push(Subject::peer(name, move || {
                let (_, command) = peer.exec(words).ok_or("nothing to exec into")?;
                pour(&command, bytes)
            }));
        }
    }
    let about = About {
        name: "stdio",
        title: format!(
            "{} MiB of zeros out of a container: dd to a reader of its stdout",
            bytes >> 20
        ),
        base: "host pipe",
    };
    context.compare(&about, &[(Regime::Hot, 7)], subjects)?;
    let rates: Vec<(String, f64)> = context
        .report
        .tables
        .last()
        .into_iter()
        .flat_map(|table| &table.series)
        .map(|series| {
            let rate = bytes as f64 / series.median();
            (format!("stdout of {}", series.subject), rate)
        })
        .collect();
    for (name, rate) in rates {
        context.report.add(name, rate, "MB/s");
    }
    container.end()
}
