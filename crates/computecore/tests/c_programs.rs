//! Compiles the conformance programs of `tests/c/` and the examples against the library and runs them, each with a
//! service of its own; the programs of `tests/c/` again under valgrind where that is installed. The bindings of
//! `bindings/` run their own tests in the same way.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "c_programs/program.rs"]
mod program;

use std::path::Path;

use program::{
    Language, Program, Service, compiles_for_windows, libraries, mingw, programs, repository,
    rows_of, valgrind,
};

/// Compiles and runs a program of `tests/c/`, plainly and under valgrind. Each row of `tests/c/conformance.toml` that
/// it names it has to have seen come true.
fn conforms(name: &str, service: Service) {
    let source = format!("tests/c/{name}.c");
    let program = Program::build(&source, Language::C11);
    program.run(service).confirms(&rows_of(&source));
    if valgrind() {
        program.run_under_valgrind(service).succeeds();
    }
}

/// The same programs with the wide strings of Linux, and so with the second set of functions.
mod wide {
    use super::{Language, Program, Service, programs, rows_of};

    fn conforms(name: &str, service: Service) {
        let source = format!("tests/c/{name}.c");
        let program = Program::build(&source, Language::C11Wide);
        program.run(service).confirms(&rows_of(&source));
    }

    macro_rules! all {
        ($($name:ident, $service:ident;)*) => {
            $(#[test]
            fn $name() {
                conforms(stringify!($name), Service::$service);
            })*

            #[test]
            fn every_program_is_run() {
                let run: std::collections::BTreeSet<String> =
                    [$(stringify!($name).to_owned()),*].into();
                assert_eq!(run, programs());
            }
        };
    }

    all! {
        bad_documents, Found;
        bad_handles, Found;
        callbacks, Found;
        completions, Found;
        disks, Missing;
        lifecycle, Found;
        newer, Found;
        not_implemented, Missing;
        operation, Missing;
        pending, Found;
        process, Found;
        service, Found;
        service_missing, Missing;
        storage, Missing;
        stress, Found;
        system, Found;
        undeclared, Missing;
        vm_files, Found;
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

/// Not under valgrind, which does not know openat2(2) in the version of Debian 12.
#[test]
fn storage() {
    let source = "tests/c/storage.c";
    let program = Program::build(source, Language::C11);
    program.run(Service::Missing).confirms(&rows_of(source));
}

/// Nor does it know the mounts of this one.
#[test]
fn disks() {
    let source = "tests/c/disks.c";
    let program = Program::build(source, Language::C11);
    program.run(Service::Missing).confirms(&rows_of(source));
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
fn vm_files() {
    conforms("vm_files", Service::Found);
}

#[test]
fn callbacks() {
    conforms("callbacks", Service::Found);
}

#[test]
fn completions() {
    conforms("completions", Service::Found);
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

/// Row C8: An exception from a C++ callback ends the program, and is shown.
#[test]
fn what_a_callback_throws_is_shown() {
    for callback in ["completion", "event"] {
        let program = Program::build("tests/cpp/throwing.cpp", Language::Cpp17);
        let run = program.given(callback).run(Service::Found);
        let shown = format!(
            "thrown by a{} {callback}",
            if callback == "event" { "n" } else { "" }
        );
        run.aborts_saying(&shown);
    }
}

/// The programs are for Windows too: they compile against the Windows headers of mingw where those are installed. The
/// program about functions newer than these headers, and those about layers and disks of Linux, are the exceptions.
#[test]
fn the_programs_compile_for_windows() {
    if !mingw() {
        return;
    }
    // Windows' own headers are long.
    std::thread::scope(|scope| {
        for name in programs() {
            if !["newer", "storage", "disks"].contains(&&*name) {
                scope.spawn(move || compiles_for_windows(&format!("tests/c/{name}.c")));
            }
        }
    });
}

/// Row C2: the strings of C++ programs of Windows.
#[test]
fn wide_strings_of_cpp_go_there_and_come_back() {
    Program::build("tests/cpp/wide.cpp", Language::Cpp17Wide)
        .run(Service::Found)
        .succeeds();
}

/// Row C2.
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

/// Row S3: a set-user-ID program of root, called by a user who sets every variable that could lead it elsewhere.
#[test]
fn a_program_with_more_rights_than_its_caller_takes_nothing_from_its_environment() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let chmod = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(folder.path(), 0o755);
    let source = "crates/computecore/tests/c_programs/elevated.c";
    let program = Program::build_beside_a_copy(source, folder.path());
    // The program that the caller wants to run as root.
    let (evil, proof) = (at("evil"), at("evil/proof"));
    std::fs::create_dir(&evil).unwrap();
    std::os::unix::fs::chown(&evil, Some(65534), Some(65534)).unwrap();
    let script = format!("#!/bin/sh\nid > {}\n", proof.display());
    for name in ["hcsd", "evil"] {
        std::fs::write(evil.join(name), &script).unwrap();
        chmod(&evil.join(name), 0o755);
    }
    let call = || {
        let output = std::process::Command::new(&program)
            .env("HCS_ENDPOINT", evil.join("none"))
            .env("HCS_DAEMON", evil.join("evil"))
            .env("HCS_CONFIG", evil.join("none"))
            .env("XDG_RUNTIME_DIR", &evil)
            .env("HOME", &evil)
            .env("PATH", &evil)
            .current_dir(&evil)
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // Without more rights the variables count.
    let said = call();
    assert!(said.starts_with("user 65534 as 65534: "), "{said}");
    std::fs::remove_file(&proof).unwrap();
    chmod(&program, 0o4755);
    let said = call();
    assert!(said.starts_with("user 65534 as 0: "), "{said}");
    assert!(!said.contains(evil.to_str().unwrap()), "{said}");
    assert!(!proof.exists(), "{said}");
    // Set-group-ID is as much.
    chmod(&program, 0o2755);
    let said = call();
    assert!(!said.contains(evil.to_str().unwrap()), "{said}");
    assert!(!proof.exists(), "{said}");
    // So are capabilities of the file: CAP_CHOWN, permitted and effective.
    chmod(&program, 0o755);
    let capability = [0x0200_0001_u32, 1, 0, 0, 0].map(u32::to_le_bytes);
    let (name, flags) = ("security.capability", rustix::fs::XattrFlags::empty());
    rustix::fs::setxattr(&program, name, capability.as_flattened(), flags).unwrap();
    let said = call();
    assert!(said.starts_with("user 65534 as 65534: "), "{said}");
    assert!(!said.contains(evil.to_str().unwrap()), "{said}");
    assert!(!proof.exists(), "{said}");
}

/// A Python program that finds the binding and the library.
fn python(script: &str) -> Program {
    Program::of_machine("python3")
        .below("bindings/python")
        .with("PYTHONPATH", "src")
        .with("PYTHONDONTWRITEBYTECODE", "1")
        .with("HCS_LIBRARY", libraries().join("libcomputecore.so"))
        .given("-Werror")
        .given(script)
}

/// Row C9.
#[test]
fn the_binding_for_python_passes_its_tests() {
    let run = python("-munittest")
        .given("discover")
        .given("-stests")
        .run(Service::Found);
    run.succeeds();
}

#[test]
fn the_binding_for_python_has_true_types() {
    let cache = tempfile::tempdir().unwrap();
    Program::of_machine("mypy")
        .below("bindings/python")
        .given("--cache-dir")
        .given(cache.path())
        .run(Service::Missing)
        .succeeds();
}

#[test]
fn example_in_python() {
    let run = python("examples/run.py")
        .given("echo")
        .given("hello from the container")
        .run(Service::Found);
    run.succeeds();
    assert_eq!(run.stdout, "hello from the container\n");
}

/// The go command, which finds the library as `cargo xtask install` would have placed it, and keeps its build output in
/// `folder`.
fn go(folder: &Path, verb: &str) -> Program {
    let template = include_str!("../computecore.pc.in");
    let (libraries, include) = (libraries(), repository().join("crates/computecore/include"));
    let filled = template
        .replace("@LIBDIR@", &libraries.display().to_string())
        .replace("@INCLUDEDIR@", &include.display().to_string())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    std::fs::write(folder.join("computecore.pc"), filled).unwrap();
    let own = |name: &str| folder.join(name).into_os_string();
    Program::of_machine("go")
        .below("bindings/go")
        .with("PKG_CONFIG_PATH", folder)
        .with("CGO_LDFLAGS", format!("-Wl,-rpath,{}", libraries.display()))
        .with("GOCACHE", own("cache"))
        .with("GOPATH", own("path"))
        .with("GOENV", "off")
        .with("GOFLAGS", "-mod=mod")
        .with("GOTOOLCHAIN", "local")
        .given(verb)
}

/// Row C9: One test for all, which builds the package once.
#[test]
fn the_binding_for_go_passes_its_tests_and_its_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    go(folder.path(), "test")
        .given("-count=1")
        .given("./...")
        .run(Service::Found)
        .succeeds();
    let run = go(folder.path(), "run")
        .given("./examples/run")
        .given("echo")
        .given("hello from the container")
        .run(Service::Found);
    run.succeeds();
    assert_eq!(run.stdout, "hello from the container\n");
}

/// Row C9: as `pip install ./bindings/python` does it, into an environment of its own. What that command needs beside
/// the folder (setuptools) comes from this machine and not from a registry.
#[test]
fn the_python_package_installs_and_runs_without_the_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // The build writes beside the sources.
    let copied = Program::of_machine("cp")
        .given("-r")
        .given(repository().join("bindings/python"))
        .given(at("package"))
        .run(Service::Missing);
    copied.succeeds();
    let environment = Program::of_machine("/usr/bin/python3")
        .given("-mvenv")
        .given("--system-site-packages")
        .given(at("venv"))
        .run(Service::Missing);
    environment.succeeds();
    let installed = Program::at(at("venv/bin/pip"))
        .given("install")
        .given("--no-index")
        .given("--no-build-isolation")
        .given(at("package"))
        .run(Service::Missing);
    installed.succeeds();
    std::fs::remove_dir_all(at("package")).unwrap();
    let shown = Program::at(at("venv/bin/pip"))
        .given("show")
        .given("hcs-compute")
        .run(Service::Missing);
    assert!(shown.stdout.starts_with("Name: hcs-compute\n"), "{shown:?}");
    let script = "import hcs, os\n\
        assert os.path.exists(os.path.join(os.path.dirname(hcs.__file__), 'py.typed'))\n\
        with hcs.ComputeSystem.create('installed', {'Container': {}}) as system:\n\
        \x20   system.start()\n\
        \x20   print(system.run(['echo', 'hello']).stdout.decode(), end='')\n";
    let run = Program::at(at("venv/bin/python"))
        .with("HCS_LIBRARY", libraries().join("libcomputecore.so"))
        .given("-c")
        .given(script)
        .run(Service::Found);
    run.succeeds();
    assert_eq!(run.stdout, "hello\n");
}

/// The runtime of .NET that `cargo xtask packages` has downloaded, or that the variable names; none where it could not
/// be downloaded.
fn dotnet() -> Option<Program> {
    let own = repository().join("target/dotnet/dnv/net/runtime/.net/dotnet");
    let program = std::env::var_os("HCS_TEST_DOTNET").map_or(own, Into::into);
    let found = program.exists().then(|| Program::at(program));
    found.map(|program| program.with("DOTNET_EnableDiagnostics", "0"))
}

/// Row C9: the sample for .NET in the runtime of .NET, which finds the library by each of the names that
/// `cargo xtask install` gives it. The compiler is that of Mono, since no registry of the tests has an SDK: the project
/// file is not used.
#[test]
fn sample_for_dotnet() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("hcs-run.dll");
    Program::of_machine("mcs")
        .below("bindings/dotnet")
        .given("-warnaserror")
        .given("-target:exe")
        .given("-r:System.Runtime.Serialization.dll")
        .given(format!("-out:{}", program.display()))
        .given("Program.cs")
        .run(Service::Missing)
        .succeeds();
    if dotnet().is_none() {
        eprintln!("no runtime of .NET is here, so the sample is compiled only");
        return;
    }
    let dotnet = || dotnet().expect("it was there");
    let configuration = r#"{"runtimeOptions": {
        "framework": {"name": "Microsoft.NETCore.App", "version": "8.0.0"},
        "rollForward": "Major",
        "configProperties": {"System.Globalization.Invariant": true}}}"#;
    let beside = folder.path().join("hcs-run.runtimeconfig.json");
    std::fs::write(beside, configuration).unwrap();
    for name in ["libcomputecore.dll.so", "libcomputecore.dll"] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink(libraries().join("libcomputecore.so"), &link).unwrap();
        let run = dotnet()
            .given(&program)
            .given("echo")
            .given("grüße from the \"container\" \\ 😀")
            .run(Service::Found);
        run.succeeds();
        assert_eq!(run.stdout, "grüße from the \"container\" \\ 😀\n");
        std::fs::remove_file(link).unwrap();
    }
    let link = folder.path().join("libcomputecore.dll");
    std::os::unix::fs::symlink(libraries().join("libcomputecore.so"), link).unwrap();
    let failed = dotnet().given(&program).given("nosuch-program");
    let failed = failed.run(Service::Found);
    failed.fails_saying("HcsCreateProcess failed with 0x");
    failed.fails_saying("nosuch-program");
    failed.fails_saying("\n  operation ");
}
