//! Small calls: their round trip, many at once, reading a result, and the start of a program that makes one.

use super::{About, Context, Outcome};
use crate::bench::{
    command::{line, output, require, run},
    floor::PingPong,
    interleave::{Regime, Subject},
    ours::{Container, many_calls},
    processor::Shared,
};

/// As long as a small call of the protocol.
const MESSAGE_BYTES: usize = 200;
const RAW: &str = "raw SOCK_SEQPACKET";

/// A call and its answer: where the scheduler puts the two sides, and with both on one processor. The first is a matter
/// of luck as well: whichever side wakes up on a processor that sleeps pays for that.
pub(super) fn round_trip(context: &mut Context<'_>) -> Outcome {
    let container = Container::start("bench-round-trip", context.bundles)?;
    let process = container.idle_process()?;
    let places = [
        ("round-trip", "a small call and its answer", None),
        (
            "round-trip-shared",
            "a small call and its answer, both sides on one processor",
            Some(context.service.pid()),
        ),
    ];
    for (name, title, service) in places {
        let _shared = service.map(Shared::with).transpose()?;
        let mut raw = PingPong::start(MESSAGE_BYTES)?;
        let subjects = vec![
            Subject::new(RAW, || raw.round_trip()),
            Subject::new("HcsGetProcessInfo", || container.process_info(&process)),
        ];
        let about = About {
            name,
            title: title.to_owned(),
            base: RAW,
        };
        context.compare(&about, &[(Regime::Hot, 5000)], subjects)?;
    }
    container.end()
}

/// Whether calls of several threads get along: the same number of round trips, by one thread on a raw socket and by
/// eight threads through the API.
pub(super) fn pipelining(context: &mut Context<'_>) -> Outcome {
    const THREADS: usize = 8;
    let calls = if context.quick { 100 } else { 2000 };
    let container = Container::start("bench-pipelining", context.bundles)?;
    let process = container.idle_process()?;
    let mut raw = PingPong::start(MESSAGE_BYTES)?;
    let subjects = vec![
        Subject::new("raw SOCK_SEQPACKET, one thread", || {
            (0..THREADS * calls).try_for_each(|_| raw.round_trip())
        }),
        Subject::new("HcsGetProcessInfo, one thread", || {
            many_calls(&process, 1, 1, THREADS * calls)
        }),
        Subject::new("HcsGetProcessInfo, 8 threads", || {
            many_calls(&process, THREADS, 1, calls)
        }),
        Subject::new("HcsGetProcessInfo, 8 threads of 8 calls", || {
            many_calls(&process, THREADS, 8, calls)
        }),
    ];
    let about = About {
        name: "pipelining",
        title: format!("{} small calls and their answers", THREADS * calls),
        base: "raw SOCK_SEQPACKET, one thread",
    };
    context.compare(&about, &[(Regime::Hot, 7)], subjects)?;
    container.end()
}

/// Reading results, by a C program on the installed library.
pub(super) fn result(context: &mut Context<'_>) -> Outcome {
    const CALLS: &str = "200000";
    let program = match compile(context) {
        Ok(program) => program,
        Err(reason) => {
            context
                .report
                .miss(format!("results, from a C program: {reason}"));
            return Ok(());
        }
    };
    let container = Container::start("bench-result", context.bundles)?;
    let process = container.idle_process()?;
    let pid = process.process_id().ok_or("the process has no id")?;
    let said = output(&line(&[&program, container.id(), &pid.to_string(), CALLS]))?;
    let numbers: Vec<f64> = said
        .split_whitespace()
        .map(|word| {
            word.parse()
                .map_err(|e| format!("calls.c said {said:?}: {e}"))
        })
        .collect::<Result<_, _>>()?;
    let &[
        with_ns,
        with_allocations,
        with_documents,
        ns,
        allocations,
        documents,
    ] = &numbers[..]
    else {
        return Err(format!("calls.c said {said:?}, which is not six numbers"));
    };
    let report = &mut context.report;
    let name = "HcsGetOperationResultAndProcessInfo, completed";
    report.add(name, with_ns, "ns");
    let name = "its allocations beyond the returned document";
    report.add(name, with_allocations - with_documents, "");
    let name = "HcsGetOperationResult with a document, completed";
    report.add(name, ns, "ns");
    let name = "allocations of HcsGetOperationResult beyond the returned document";
    report.add(name, allocations - documents, "");
    container.end()
}

/// Compiles `calls.c` against the installed headers and library.
fn compile(context: &Context<'_>) -> Result<String, String> {
    let compiler = require("cc", "gcc")?;
    let folder = context.bundles.state("calls")?;
    let source = folder.join("calls.c");
    crate::bench::bundle::write(&source, include_str!("../calls.c"))?;
    let program = folder.join("calls").display().to_string();
    let prefix = context.place.prefix.display();
    let source = source.display().to_string();
    let mut command = line(&[&compiler, "-O2", "-std=gnu11", &source, "-o", &program]);
    command.push(format!("-I{prefix}/include"));
    command.push(format!("-L{prefix}/lib"));
    // An RPATH, not a RUNPATH: cargo's LD_LIBRARY_PATH would lead to the library of the debug build.
    command.push(format!("-Wl,--disable-new-dtags,-rpath,{prefix}/lib"));
    command.push("-lcomputecore".to_owned());
    run(&command)?;
    Ok(program)
}

/// A trivial verb beside an empty program that is linked statically and one raw round trip.
pub(super) fn start_up(context: &mut Context<'_>) -> Outcome {
    const BASE: &str = "empty static program and a round trip";
    let empty = match empty_program(context) {
        Ok(program) => Some(vec![program]),
        Err(reason) => {
            context
                .report
                .miss(format!("an empty static program: {reason}"));
            None
        }
    };
    let busybox = vec![context.bundles.program("true")];
    let mut raw = PingPong::start(MESSAGE_BYTES)?;
    let mut subjects = Vec::new();
    if let Some(empty) = &empty {
        subjects.push(Subject::new(BASE, || {
            run(empty)?;
            raw.round_trip()
        }));
    }
    subjects.push(Subject::new("static busybox true", || run(&busybox)));
    subjects.push(context.program.list());
    let about = About {
        name: "start-up",
        title: "a trivial verb of the program".to_owned(),
        base: BASE,
    };
    context.compare(&about, &[(Regime::Hot, 200)], subjects)
}

/// A program that does nothing, linked statically.
fn empty_program(context: &Context<'_>) -> Result<String, String> {
    let compiler = require("cc", "gcc")?;
    let folder = context.bundles.state("empty")?;
    let source = folder.join("empty.c");
    crate::bench::bundle::write(&source, "int main(void)\n{\n    return 0;\n}\n")?;
    let program = folder.join("empty").display().to_string();
    let source = source.display().to_string();
    run(&line(&[
        &compiler, "-O2", "-static", &source, "-o", &program,
    ]))?;
    Ok(program)
}
