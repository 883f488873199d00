//! The C programs of `tests/c/` with the library under a sanitizer of the compiler.
//!
//! - `address`: use after free, overflows, leaks.
//! - `thread`: data races. The standard library has to be instrumented too, or its locks look like none; so it is built
//!   from source, which takes the component `rust-src`.
//!
//! Sanitizers are not stable, so the compiler is asked by `RUSTC_BOOTSTRAP`. The library and the programs share the
//! run-time library that comes with the Rust toolchain. The service runs beside them without a sanitizer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::ValueEnum;

use crate::{
    Repository, Result,
    process::{cargo, output, succeeds},
};

/// What `cargo xtask sanitize` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this one (default: both)
    #[arg(long)]
    sanitizer: Option<Sanitizer>,
    /// Only these programs of tests/c/ (default: all)
    programs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sanitizer {
    Address,
    Thread,
}

/// What a run of a sanitized program needs to be known of.
struct Build {
    sanitizer: Sanitizer,
    /// Where the sanitized library is.
    libraries: PathBuf,
    /// The sanitizer's run-time library.
    runtime: PathBuf,
    /// Where programs are compiled to and the service has its socket.
    folder: tempfile::TempDir,
}

/// The size of the two that would take minutes.
const SIZES: [(&str, &str); 3] = [
    ("HCS_TEST_DEPTH", "10000"),
    ("HCS_TEST_LENGTH", "100000"),
    ("HCS_TEST_PROCESSES", "20"),
];

/// A program that is to run without a service.
const WITHOUT_SERVICE: &str = "service_missing";

impl Sanitizer {
    const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }

    /// As the run-time library is called.
    const fn short(self) -> &'static str {
        match self {
            Self::Address => "asan",
            Self::Thread => "tsan",
        }
    }
}

/// Builds and runs.
///
/// # Errors
/// Something cannot be built, or a component cannot be had.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    let chosen = |sanitizer: &Sanitizer| arguments.sanitizer.is_none_or(|it| it == *sanitizer);
    let mut failed = Vec::new();
    let daemon = ["build", "--package", "hcsd", "--bin", "hcsd", "--locked"];
    if !succeeds(cargo().current_dir(&repository.root).args(daemon))? {
        return Err("the service cannot be built".into());
    }
    for sanitizer in [Sanitizer::Address, Sanitizer::Thread]
        .into_iter()
        .filter(chosen)
    {
        // Asked for by name, it fails where it cannot be had; among all, it is only named.
        if sanitizer == Sanitizer::Thread
            && let Err(reason) = provide_source()
        {
            if arguments.sanitizer.is_some() {
                return Err(reason);
            }
            println!("not run: {reason}");
            continue;
        }
        let build = build(repository, sanitizer)?;
        for program in programs(repository, &arguments.programs)? {
            let passed = run_program(repository, &build, &program)?;
            let verdict = if passed { "ok  " } else { "FAIL" };
            println!(
                "{verdict} {program} under the {} sanitizer",
                sanitizer.name()
            );
            if !passed {
                failed.push(program);
            }
        }
    }
    println!("sanitize: {} failed", failed.len());
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The programs asked for, or all.
fn programs(repository: &Repository, only: &[String]) -> Result<Vec<String>> {
    let all: Vec<String> = repository
        .ending(&[".c"])
        .filter_map(|file| file.strip_prefix("tests/c/")?.strip_suffix(".c"))
        .map(str::to_owned)
        .collect();
    match only.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(format!(
            "tests/c/ has no program {unknown:?}; there are {}",
            all.join(", ")
        )
        .into()),
        None if only.is_empty() => Ok(all),
        None => Ok(only.to_vec()),
    }
}

/// Builds the library.
fn build(repository: &Repository, sanitizer: Sanitizer) -> Result<Build> {
    let host = host()?;
    let target = repository
        .target
        .join(format!("sanitize-{}", sanitizer.name()));
    let mut command = cargo();
    command
        .current_dir(&repository.root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "RUSTFLAGS",
            format!("-Zsanitizer={} -Cdebuginfo=1", sanitizer.name()),
        )
        .args([
            "build",
            "--package",
            "computecore",
            "--lib",
            "--target",
            &host,
        ])
        .arg("--target-dir")
        .arg(&target);
    if sanitizer == Sanitizer::Thread {
        command.arg("-Zbuild-std=std,panic_unwind");
    }
    if !succeeds(&mut command)? {
        return Err(format!(
            "the library cannot be built with the {} sanitizer",
            sanitizer.name()
        )
        .into());
    }
    Ok(Build {
        sanitizer,
        libraries: target.join(&host).join("debug"),
        runtime: runtime(&host, sanitizer)?,
        folder: tempfile::Builder::new().prefix("hcs-sanitize-").tempdir()?,
    })
}

/// The triple of this machine, as the compiler names it.
pub(crate) fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".into())
}

fn sysroot() -> Result<PathBuf> {
    let path = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(path.trim()))
}

fn runtime(host: &str, sanitizer: Sanitizer) -> Result<PathBuf> {
    let folder = sysroot()?.join("lib/rustlib").join(host).join("lib");
    let ending = format!("_rt.{}.a", sanitizer.short());
    let entries = fs::read_dir(&folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))
        .map(|entry| entry.path())
        .ok_or_else(|| format!("{} has no librustc*{ending}", folder.display()).into())
}

/// The standard library's source, which rustup has.
fn provide_source() -> Result<()> {
    let library = sysroot()?.join("lib/rustlib/src/rust/library/Cargo.lock");
    let add = || succeeds(Command::new("rustup").args(["component", "add", "rust-src"]));
    if library.is_file() || add().unwrap_or(false) {
        return Ok(());
    }
    Err(
        "the thread sanitizer needs the standard library's source: rustup component add rust-src"
            .into(),
    )
}

fn run_program(repository: &Repository, build: &Build, name: &str) -> Result<bool> {
    let folder = build.folder.path().join(name);
    fs::create_dir(&folder)?;
    let program = compile(repository, build, name, &folder)?;
    let configuration = folder.join("hcsd.toml");
    fs::write(&configuration, "[times]\nidle_seconds = 1\n")?;
    let daemon = if name == WITHOUT_SERVICE {
        folder.join("no-hcsd")
    } else {
        repository.target.join("debug/hcsd")
    };
    let report = fs::File::create(folder.join("report"))?;
    let passed = succeeds(
        Command::new(&program)
            .envs(SIZES)
            // Cargo sets it for us, and it would lead to the library without a sanitizer.
            .env_remove("LD_LIBRARY_PATH")
            .env("ASAN_OPTIONS", "detect_leaks=1")
            .env("TSAN_OPTIONS", "halt_on_error=0")
            .env("HCS_ENDPOINT", folder.join("hcs.sock"))
            .env("HCS_CONFIG", &configuration)
            .env("HCS_DAEMON", daemon)
            .stdin(Stdio::null())
            .stdout(report.try_clone()?)
            .stderr(report),
    )?;
    if !passed {
        let report = fs::read(folder.join("report"))?;
        print!("{}", String::from_utf8_lossy(&report));
    }
    wait_for_the_end_of_the_service(&folder)?;
    Ok(passed)
}

/// Compiles a program with the sanitizer and links it with the run-time library that the Rust code was made for; the
/// compiler's own may be another version.
fn compile(repository: &Repository, build: &Build, name: &str, folder: &Path) -> Result<PathBuf> {
    let (object, program) = (folder.join("program.o"), folder.join("program"));
    let compiled = succeeds(
        Command::new("gcc")
            .current_dir(&repository.root)
            .args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-g", "-c"])
            .arg(format!("-fsanitize={}", build.sanitizer.name()))
            .args(["-I", "crates/computecore/include"])
            .arg(format!("tests/c/{name}.c"))
            .arg("-o")
            .arg(&object),
    )?;
    let linked = compiled
        && succeeds(
            Command::new("gcc")
                .arg(&object)
                .arg("-o")
                .arg(&program)
                .arg("-Wl,--whole-archive")
                .arg(&build.runtime)
                .args(["-Wl,--no-whole-archive", "-Wl,--export-dynamic"])
                .arg("-L")
                .arg(&build.libraries)
                .arg("-lcomputecore")
                .arg(format!("-Wl,-rpath,{}", build.libraries.display()))
                .args(["-pthread", "-ldl", "-lm", "-lrt"]),
        )?;
    if linked {
        return Ok(program);
    }
    Err(format!(
        "tests/c/{name}.c cannot be built with the {} sanitizer",
        build.sanitizer.name()
    )
    .into())
}

/// A service holds the lock of its state as long as it lives; it leaves by itself after its last client.
fn wait_for_the_end_of_the_service(folder: &Path) -> Result<()> {
    if let Ok(lock) = fs::File::open(folder.join("hcs.d/hcsd.lock")) {
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    }
    Ok(())
}
