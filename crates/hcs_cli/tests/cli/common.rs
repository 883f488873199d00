//! Running the real `hcs` against the real service.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use rustix::fs::{Mode, OFlags, RenameFlags, open, renameat_with};
use serde_json::Value;

/// A command line of `hcs`, with standard input empty. The endpoint is that of the test run; without one, one of our
/// own, so that a service of this machine is left alone.
pub(crate) fn hcs<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    command(env!("CARGO_BIN_EXE_hcs"), arguments)
}

/// A shell script that calls `$HCS`.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = command("sh", ["-c", script]);
    command.env("HCS", env!("CARGO_BIN_EXE_hcs"));
    command
}

fn command<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if env::var_os("HCS_ENDPOINT").is_none() {
        let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        command.env("HCS_ENDPOINT", place.join("hcs.sock"));
        command.env("HCS_CONFIG", &*CONFIGURATION);
    }
    command
}

/// The configuration of that service: no network of this machine is made. It is written once by each process of the
/// tests, and replaces that of another one as a whole: services read it at any time.
static CONFIGURATION: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let own = place.join(format!("hcsd.toml.{}", std::process::id()));
    fs::write(&own, "default_network = \"none\"\n").unwrap();
    let configuration = place.join("hcsd.toml");
    fs::rename(&own, &configuration).unwrap();
    configuration
});

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// It succeeded and said nothing on standard error; its output.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }
}

/// Runs `hcs` with `words`, parted at spaces.
#[track_caller]
pub(crate) fn words(words: &str) -> Ended {
    ended(&mut hcs(words.split_whitespace()))
}

/// Runs `hcs run` with these options and a shell script inside.
#[track_caller]
pub(crate) fn script(options: &[&str], script: &str) -> Ended {
    let shell = ["--", "sh", "-c", script];
    ended(&mut hcs([&["run"], options, &shell].concat()))
}

#[track_caller]
pub(crate) fn ended(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

/// Runs a command with `input` as its standard input.
pub(crate) fn with_input(command: &mut Command, input: Vec<u8>) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read all of it is no fault of the test.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Starts a command whose process inside says first that it is ready.
pub(crate) fn ready(command: &mut Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    says(&mut child, "ready\n");
    child
}

/// Waits until a command says this and nothing before it.
#[track_caller]
pub(crate) fn says(child: &mut Child, expected: &str) {
    let mut said = vec![0; expected.len()];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut said)
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&said), expected);
}

/// A name that no other test uses.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("cli-{name}-{}-{count}", std::process::id())
}

/// The systems there are, by id.
pub(crate) fn listed() -> Vec<String> {
    let list: Value = serde_json::from_str(&words("list --format json").fine()).unwrap();
    list.as_array()
        .unwrap()
        .iter()
        .map(|system| system["Id"].as_str().unwrap().to_owned())
        .collect()
}

/// A started container that is removed with the test.
#[derive(Debug)]
pub(crate) struct Container(pub(crate) String);

impl Container {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, "")
    }

    /// A container that is created with these options.
    pub(crate) fn with(name: &str, options: &str) -> Self {
        let container = Self(unique(name));
        let id = &container.0;
        assert_eq!(
            words(&format!("create {options} --id {id}")).fine(),
            format!("{id}\n")
        );
        words(&format!("start {id}")).fine();
        container
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Tests end containers themselves, too; what is left over fails the check after the run.
        let _gone = hcs(["terminate", &self.0]).output();
    }
}

/// Sends a signal to a child of ours.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Ends a loop also where what runs beside it fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps pairs of names in a directory, one after the other, while `during` runs.
pub(crate) fn swapping(directory: &Path, pairs: &[(String, String)], during: impl FnOnce()) {
    let at = open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = Done(&done);
        let over = done.0;
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for (one, two) in pairs {
                    renameat_with(&at, one, &at, two, RenameFlags::EXCHANGE).unwrap();
                }
            }
        });
        during();
    });
}
