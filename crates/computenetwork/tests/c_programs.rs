//! Compiles C programs against the library and the header, and runs them: with a real service of their own, in a
//! network namespace of their own, or without any.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of this test program has the libraries that it was built with.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// Compiles a program of `c_programs/` into `folder`, with warnings as errors.
fn compiled(name: &str, folder: &TempDir) -> PathBuf {
    let program = folder.path().join(name);
    let libraries = libraries();
    let output = Command::new("gcc")
        .args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-g"])
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg("-I")
        .arg(manifest().join("../computecore/include"))
        .arg(manifest().join(format!("tests/c_programs/{name}.c")))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&libraries)
        .arg("-lcomputenetwork")
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    program
}

/// Runs a command that finds its service in `home`, or none.
fn run(mut command: Command, home: &TempDir, daemon: &Path) -> Output {
    let configuration = home.path().join("hcsd.toml");
    fs::write(&configuration, "[times]\nidle_seconds = 1\n").unwrap();
    let output = command
        .env_remove("LD_LIBRARY_PATH")
        .env("HCS_ENDPOINT", home.path().join("hcs.sock"))
        .env("HCS_CONFIG", &configuration)
        .env("HCS_DAEMON", daemon)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // A service holds the lock of its state as long as it lives; it leaves by itself after its last client.
    if let Ok(lock) = File::open(home.path().join("hcs.d/hcsd.lock")) {
        flock(&lock, FlockOperation::LockExclusive).unwrap();
    }
    output
}

fn succeeds(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
}

#[test]
fn shapes_are_checked_without_a_service() {
    let home = tempfile::tempdir().unwrap();
    let program = compiled("shapes", &home);
    let none = home.path().join("no-hcsd");
    succeeds(&run(Command::new(program), &home, &none));
}

/// The service's program.
fn daemon() -> PathBuf {
    let daemon = match std::env::var_os("HCS_DAEMON") {
        Some(path) => PathBuf::from(path),
        None => libraries().join("../hcsd"),
    };
    let place = daemon.display();
    assert!(daemon.exists(), "{place} is missing: cargo build -p hcsd");
    daemon
}

/// Waits for the service before it ends, as the pid namespace takes all its processes along.
const FIRST: &str =
    r#""$@"; code=$?; flock --shared "$HOME_OF_TEST/hcs.d/hcsd.lock" true; exit $code"#;

/// Only a service of root has networks. `unshare` runs the program, and with it the service that it starts, in
/// namespaces of its own, which end with them: a service joins the network of its pid 1. Each row of `conformance.toml`
/// that the program names it has to have seen come true.
fn runs_with_networks(name: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let program = compiled(name, &home);
    let mut command = Command::new("unshare");
    command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command
        .args(["sh", "-c", FIRST, "sh"])
        .arg(program)
        .env("HOME_OF_TEST", home.path());
    let output = run(command, &home, &daemon());
    succeeds(&output);
    let said = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("row "))
        .collect();
    let source = manifest().join(format!("tests/c_programs/{name}.c"));
    let source = fs::read_to_string(source).unwrap();
    let missed: Vec<_> = rows_of(&source)
        .filter(|row| !found.contains(row))
        .collect();
    assert!(missed.is_empty(), "never checked: {missed:?}");
}

/// The rows of `conformance.toml` that a program names.
fn rows_of(source: &str) -> impl Iterator<Item = &str> {
    const FUNCTIONS: [&str; 4] = ["Hcn", "HNSCall/", "LocalFree/", "CoTaskMemFree/"];
    let literals = source
        .lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    literals.filter(|it| it.contains('/') && FUNCTIONS.iter().any(|start| it.starts_with(start)))
}

#[test]
fn networks_are_made_asked_for_and_deleted() {
    runs_with_networks("networks");
}

#[test]
fn programs_are_told_what_happens_to_networks() {
    runs_with_networks("callbacks");
}

#[test]
fn what_is_promised_of_each_function_holds() {
    runs_with_networks("conformance");
}

#[test]
fn requests_of_version_1_are_made_by_method_and_path() {
    runs_with_networks("hns");
}

/// The names that the library exports are those of the list, which has all of the newest library of Windows.
#[test]
fn the_library_exports_what_is_listed() {
    let library = libraries().join("libcomputenetwork.so");
    let output = Command::new("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(library)
        .output()
        .unwrap();
    succeeds(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    found.sort_unstable();
    let listed = include_str!("../exports.txt").lines();
    let listed: Vec<&str> = listed.filter(|line| !line.starts_with('#')).collect();
    assert_eq!(found, listed);
    assert_eq!(
        listed.iter().filter(|name| name.starts_with("Hcn")).count(),
        57
    );
}

#[test]
fn pkg_config_reads_the_template() {
    let template = fs::read_to_string(manifest().join("computenetwork.pc.in")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let filled = template
        .replace("@PREFIX@", "/opt/hcs")
        .replace("@LIBDIR@", "/opt/hcs/lib")
        .replace("@INCLUDEDIR@", "/opt/hcs/include")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    assert!(!filled.contains('@'), "{filled}");
    fs::write(folder.path().join("computenetwork.pc"), filled).unwrap();
    let output = Command::new("pkg-config")
        .env("PKG_CONFIG_PATH", folder.path())
        .args(["--cflags", "--libs", "computenetwork"])
        .output()
        .unwrap();
    let flags = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        flags.trim(),
        "-I/opt/hcs/include -L/opt/hcs/lib -lcomputenetwork"
    );
}
