//! A C or C++ program: how it is built, and run with a service of its own.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// The language that a program is compiled as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// C11 against the shared library.
    C11,
    /// The same with 16 bit `wchar_t`.
    C11ShortWchar,
    /// The same with `HCS_WIDE`: 32 bit `wchar_t` in the API.
    C11Wide,
    /// C11 against the static library.
    C11Static,
    /// C++17 against the shared library.
    Cpp17,
    /// The same with `HCS_WIDE`.
    Cpp17Wide,
}

/// The service that a program finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// A service that the library starts.
    Found,
    /// Nothing.
    Missing,
}

/// A compiled program.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    /// Where it was compiled to, if it was compiled here.
    _folder: Option<TempDir>,
    environment: Vec<(&'static str, OsString)>,
    arguments: Vec<OsString>,
    /// Where it runs.
    directory: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) stdout: String,
    stderr: String,
    status: ExitStatus,
}

impl Run {
    /// Fails the test, with all that the program wrote, unless it exited with 0.
    pub(crate) fn succeeds(&self) {
        let Self {
            stdout,
            stderr,
            status,
        } = self;
        assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    }

    /// Fails the test unless the program ended by `abort(3)` and wrote `text` before.
    pub(crate) fn aborts_saying(&self, text: &str) {
        let Self {
            stdout,
            stderr,
            status,
        } = self;
        let aborted = status.signal() == Some(6);
        assert!(
            aborted && stderr.contains(text),
            "{status}\n{stdout}\n{stderr}"
        );
    }

    /// Fails the test unless the program failed and wrote `text`.
    pub(crate) fn fails_saying(&self, text: &str) {
        let Self {
            stdout,
            stderr,
            status,
        } = self;
        let failed = status.code().is_some_and(|code| code != 0);
        assert!(
            failed && stderr.contains(text),
            "{status}\n{stdout}\n{stderr}"
        );
    }

    /// [`Run::succeeds`], and each of `rows` was found to be so.
    pub(crate) fn confirms(&self, rows: &BTreeSet<String>) {
        self.succeeds();
        let found: BTreeSet<String> = self
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("row "))
            .map(str::to_owned)
            .collect();
        let missed: Vec<_> = rows.difference(&found).collect();
        assert!(missed.is_empty(), "never checked: {missed:?}");
    }
}

/// The rows of `tests/c/conformance.toml` that the program `source`, a path in the repository, names.
pub(crate) fn rows_of(source: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository().join(source)).unwrap();
    let literals = text
        .lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    let functions = ["Hcs", "LocalFree/", "CoTaskMemFree/"];
    literals
        .filter(|it| it.contains('/') && functions.iter().any(|start| it.starts_with(start)))
        .map(str::to_owned)
        .collect()
}

/// The names of the programs in `tests/c/`.
pub(crate) fn programs() -> BTreeSet<String> {
    let folder = std::fs::read_dir(repository().join("tests/c")).unwrap();
    let files = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .filter_map(|name| name.strip_suffix(".c").map(str::to_owned))
        .collect()
}

const MINGW: &str = "x86_64-w64-mingw32-gcc";

/// Whether there is a compiler for Windows.
pub(crate) fn mingw() -> bool {
    installed(MINGW)
}

/// Compiles `source` against the Windows headers of mingw. Their names are in lower case, and they lack the result
/// codes of HCS, which the Windows SDK has in `winerror.h`: those come from our header.
pub(crate) fn compiles_for_windows(source: &str) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let definitions = std::fs::read_to_string(include.join("ComputeDefs.h")).unwrap();
    let codes: String = definitions
        .lines()
        .filter(|line| line.starts_with("#define HCS_E_"))
        .map(|line| format!("{line}\n"))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let header = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    header(
        "ComputeCore.h",
        &format!("#include <computecore.h>\n{codes}"),
    );
    header("ComputeStorage.h", "#include <computestorage.h>\n");
    let mut command = Command::new(MINGW);
    command
        .args([
            "-std=c11",
            "-D_WIN32_WINNT=0x0A00",
            "-DWIN32_LEAN_AND_MEAN",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
        ])
        .arg("-I")
        .arg(folder.path())
        .arg(repository().join(source));
    let output = command.output().expect("the compiler runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{complaint}");
}

impl Program {
    /// Compiles `source`, a path in the repository, with warnings as errors.
    pub(crate) fn build(source: &str, language: Language) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let libraries = libraries();
        let (compiler, options): (_, &[&str]) = match language {
            Language::C11 | Language::C11Static => ("gcc", &["-std=c11"]),
            Language::C11Wide => ("gcc", &["-std=c11", "-DHCS_WIDE"]),
            Language::C11ShortWchar => ("gcc", &["-std=c11", "-fshort-wchar"]),
            Language::Cpp17 => ("g++", &["-std=c++17"]),
            Language::Cpp17Wide => ("g++", &["-std=c++17", "-DHCS_WIDE"]),
        };
        let mut command = Command::new(compiler);
        command
            .args(options)
            .args([
                "-D_POSIX_C_SOURCE=200809L",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-pedantic",
                "-g",
            ])
            .arg("-I")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
            .arg(repository().join(source))
            .arg("-o")
            .arg(&path);
        if language == Language::C11Static {
            command
                .arg(libraries.join("libcomputecore.a"))
                .args(["-pthread", "-lm", "-ldl"]);
        } else {
            command
                .arg("-L")
                .arg(&libraries)
                .arg("-lcomputecore")
                .arg(format!("-Wl,-rpath,{}", libraries.display()))
                .arg("-pthread");
        }
        let output = command.output().expect("the compiler runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}\n{complaint}");
        Self {
            path,
            _folder: Some(folder),
            environment: Vec::new(),
            arguments: Vec::new(),
            directory: None,
        }
    }

    /// A program of this machine.
    pub(crate) fn of_machine(name: &str) -> Self {
        assert!(installed(name), "{name} is missing: cargo xtask packages");
        Self::at(name)
    }

    /// The program of this path.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            _folder: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            directory: None,
        }
    }

    /// Compiles `source` as C11 into `folder`, against a copy of the shared library beside it.
    pub(crate) fn build_beside_a_copy(source: &str, folder: &Path) -> PathBuf {
        let path = folder.join("program");
        let library = "libcomputecore.so";
        std::fs::copy(libraries().join(library), folder.join(library)).unwrap();
        let status = Command::new("gcc")
            .args([
                "-std=c11",
                "-D_POSIX_C_SOURCE=200809L",
                "-Wall",
                "-Wextra",
                "-Werror",
            ])
            .arg("-I")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
            .arg(repository().join(source))
            .arg("-o")
            .arg(&path)
            .arg("-L")
            .arg(folder)
            .arg("-lcomputecore")
            .arg(format!("-Wl,-rpath,{}", folder.display()))
            .status();
        assert!(status.unwrap().success());
        path
    }

    /// The example `name` of the crate `hcs`, which cargo has built.
    pub(crate) fn rust_example(name: &str) -> Self {
        let path = libraries().join("../examples").join(name);
        assert!(
            path.exists(),
            "{} is missing: cargo build -p hcs --examples",
            path.display()
        );
        Self {
            path,
            _folder: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            directory: None,
        }
    }

    /// Sets a variable for the runs that follow.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Gives it an argument in the runs that follow.
    pub(crate) fn given(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Lets it run in `directory`, a path in the repository.
    pub(crate) fn below(mut self, directory: &str) -> Self {
        self.directory = Some(repository().join(directory));
        self
    }

    /// Runs it.
    pub(crate) fn run(&self, service: Service) -> Run {
        self.run_command(Command::new(&self.path), service)
    }

    /// Runs it under valgrind: an error or a lost block makes it fail.
    pub(crate) fn run_under_valgrind(&self, service: Service) -> Run {
        let mut command = Command::new("valgrind");
        command
            .args([
                "--quiet",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite",
                "--error-exitcode=99",
                "--fair-sched=yes",
            ])
            .arg(format!("--suppressions={}", suppressions().display()))
            .arg(&self.path);
        self.run_command(command, service)
    }

    fn run_command(&self, mut command: Command, service: Service) -> Run {
        let home = tempfile::tempdir().unwrap();
        let configuration = home.path().join("hcsd.toml");
        std::fs::write(&configuration, "[times]\nidle_seconds = 1\n").unwrap();
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let daemon = match service {
            Service::Found => daemon(),
            Service::Missing => home.path().join("no-hcsd"),
        };
        let output = command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            // The environment of the tests may name the directory of another build of the library.
            .env_remove("LD_LIBRARY_PATH")
            .env("HCS_ENDPOINT", home.path().join("hcs.sock"))
            .env("HCS_CONFIG", &configuration)
            .env("HCS_DAEMON", daemon)
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        wait_for_the_end_of_the_service(home.path());
        Run {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status,
        }
    }
}

/// A service holds the lock of its state as long as it lives; it leaves by itself after its last client.
fn wait_for_the_end_of_the_service(home: &Path) {
    if let Ok(lock) = File::open(home.join("hcs.d/hcsd.lock")) {
        flock(&lock, FlockOperation::LockExclusive).unwrap();
    }
}

/// Whether valgrind is installed.
pub(crate) fn valgrind() -> bool {
    installed("valgrind")
}

fn installed(program: &str) -> bool {
    // Go has no options of that kind.
    let version = if program == "go" {
        "version"
    } else {
        "--version"
    };
    Command::new(program)
        .arg(version)
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn suppressions() -> PathBuf {
    repository().join("tests/c/valgrind.supp")
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of this test program has the libraries it was built with.
pub(crate) fn libraries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// The service's program.
fn daemon() -> PathBuf {
    let daemon = match std::env::var_os("HCS_DAEMON") {
        Some(path) => PathBuf::from(path),
        None => libraries().join("../hcsd"),
    };
    assert!(
        daemon.exists(),
        "{} is missing: cargo build -p hcsd",
        daemon.display()
    );
    daemon
}
