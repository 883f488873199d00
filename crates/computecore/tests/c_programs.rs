//! Compiles the conformance programs of `tests/c/` and the examples against the library and runs them, each with a
//! service of its own; the programs of `tests/c/` again under valgrind where that is installed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "c_programs/program.rs"]
mod program;

use program::{
    Language, Program, Service, compiles_for_windows, mingw, programs, rows_of, valgrind,
};

/// Compiles and runs a program of `tests/c/`, plainly and under valgrind. Each row of `tests/c/conformance.toml` that it
/// names it has to have seen come true.
fn conforms(name: &str, service: Service) {
    let source = format!("tests/c/{name}.c");
    let program = Program::build(&source, Language::C11);
    program.run(service).confirms(&rows_of(&source));
    if valgrind() {
        program.run_under_valgrind(service).succeeds();
    }
}

#[test]
fn operation() {
    conforms("operation", Service::Missing);
}

#[test]
fn not_implemented() {
    conforms("not_implemented", Service::Missing);
}

#[test]
fn newer_without_a_service() {
    conforms("newer", Service::Missing);
}

#[test]
fn newer_with_a_service() {
    conforms("newer", Service::Found);
}

#[test]
fn undeclared() {
    conforms("undeclared", Service::Missing);
}

#[test]
fn service_missing() {
    conforms("service_missing", Service::Missing);
}

#[test]
fn bad_handles_without_a_service() {
    conforms("bad_handles", Service::Missing);
}

#[test]
fn bad_handles_with_a_service() {
    conforms("bad_handles", Service::Found);
}

/// Under valgrind, which needs minutes for them, without the longest and deepest documents.
#[test]
fn bad_documents() {
    let source = "tests/c/bad_documents.c";
    let program = Program::build(source, Language::C11);
    program.run(Service::Found).confirms(&rows_of(source));
    if valgrind() {
        program
            .with("HCS_TEST_DEPTH", "1000")
            .with("HCS_TEST_LENGTH", "0")
            .run_under_valgrind(Service::Found)
            .succeeds();
    }
}

#[test]
fn system() {
    conforms("system", Service::Found);
}

#[test]
fn lifecycle() {
    conforms("lifecycle", Service::Found);
}

#[test]
fn process() {
    conforms("process", Service::Found);
}

#[test]
fn pending() {
    conforms("pending", Service::Found);
}

#[test]
fn service() {
    conforms("service", Service::Found);
}

#[test]
fn callbacks() {
    conforms("callbacks", Service::Found);
}

/// 8 threads, 100 processes each; fewer under valgrind, which runs one thread at a time.
#[test]
fn stress() {
    let program = Program::build("tests/c/stress.c", Language::C11);
    program.run(Service::Found).succeeds();
    if valgrind() {
        program
            .with("HCS_TEST_PROCESSES", "5")
            .run_under_valgrind(Service::Found)
            .succeeds();
    }
}

/// The programs are for Windows too: they compile against the Windows headers of mingw where those are installed, but for
/// the one about what is newer than these headers.
#[test]
fn the_programs_compile_for_windows() {
    if !mingw() {
        return;
    }
    for name in programs() {
        if name != "newer" {
            compiles_for_windows(&format!("tests/c/{name}.c"));
        }
    }
}

#[test]
fn wide_literals_work_with_short_wchar() {
    Program::build("tests/c/operation.c", Language::C11ShortWchar)
        .run(Service::Missing)
        .succeeds();
}

#[test]
fn the_static_library_links() {
    Program::build("tests/c/operation.c", Language::C11Static)
        .run(Service::Missing)
        .succeeds();
}

#[test]
fn example_in_c() {
    example(&Program::build("examples/create_process.c", Language::C11));
}

#[test]
fn example_in_cpp() {
    example(&Program::build(
        "examples/create_process.cpp",
        Language::Cpp17,
    ));
}

#[test]
fn example_in_rust() {
    example(&Program::rust_example("create_process"));
}

fn example(program: &Program) {
    let run = program.run(Service::Found);
    run.succeeds();
    assert!(run.stdout.contains("hello from the host"), "{}", run.stdout);
}
