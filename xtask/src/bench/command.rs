//! Runs programs quietly, within a limit, and says what they said when they failed.

use std::{
    cell::OnceCell,
    fs::File,
    io::{Read, Seek},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// The longest any program may take; one that does not end would end the bench otherwise.
const LIMIT: Duration = Duration::from_secs(60);

/// A command line: the program and its arguments.
pub(crate) type Line = Vec<String>;

/// The words as a command line.
pub(crate) fn line(words: &[&str]) -> Line {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs `line` with no stdin and stdout.
///
/// # Errors
/// It cannot be run, failed (with what it said on stderr), or took longer than [`LIMIT`].
pub(crate) fn run(line: &[String]) -> Result<(), String> {
    let child = spawn(line, Stdio::null())?;
    finish(line, child)
}

/// Starts `line` with `stdout`, no stdin, and its stderr kept for [`finish`].
pub(crate) fn spawn(line: &[String], stdout: Stdio) -> Result<Child, String> {
    let (program, arguments) = line.split_first().ok_or("no program to run")?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(error_file()?)
        .spawn()
        .map_err(|e| format!("cannot run {program}: {e}"))
}

/// Waits for what [`spawn`] started.
pub(crate) fn finish(line: &[String], mut child: Child) -> Result<(), String> {
    if !ends_within(&child, LIMIT)? {
        child.kill().map_err(|e| format!("kill: {e}"))?;
    }
    let status = child.wait().map_err(|e| format!("wait: {e}"))?;
    if status.success() {
        return Ok(());
    }
    let line = line.join(" ");
    Err(format!("\"{line}\" ended with {status}{}", said()))
}

/// Whether a child ends within `limit`; it is left for `wait`.
fn ends_within(child: &Child, limit: Duration) -> Result<bool, String> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .map_err(|e| format!("pidfd_open: {e}"))?;
    let limit = limit.try_into().map_err(|e| format!("limit: {e}"))?;
    let mut watched = [PollFd::new(&pidfd, PollFlags::IN)];
    let ready = poll(&mut watched, Some(&limit)).map_err(|e| format!("poll: {e}"))?;
    Ok(ready > 0)
}

thread_local! {
    /// Takes the stderr of one program after the other: a pipe would need a reader, which would be measured, too.
    static ERRORS: OnceCell<File> = const { OnceCell::new() };
}

fn error_file() -> Result<Stdio, String> {
    ERRORS.with(|cell| {
        if cell.get().is_none() {
            let memory = rustix::fs::memfd_create("bench-errors", rustix::fs::MemfdFlags::CLOEXEC)
                .map_err(|e| format!("memfd_create: {e}"))?;
            let _first = cell.set(File::from(memory));
        }
        let mut file = cell.get().ok_or("no file for errors")?;
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.map_err(|e| format!("memory file: {e}"))?;
        let copy = file.try_clone().map_err(|e| format!("dup: {e}"))?;
        Ok(Stdio::from(copy))
    })
}

/// The last lines that the last program wrote to stderr.
fn said() -> String {
    let mut text = Vec::new();
    ERRORS.with(|cell| {
        if let Some(mut file) = cell.get()
            && file.rewind().is_ok()
        {
            // What cannot be read is not said; the status is.
            let _unread = file.read_to_end(&mut text);
        }
    });
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join("; ");
    if last.is_empty() {
        last
    } else {
        format!(": {last}")
    }
}

/// What `line` writes to stdout.
pub(crate) fn output(line: &[String]) -> Result<String, String> {
    let mut child = spawn(line, Stdio::piped())?;
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_string(&mut text)
            .map_err(|e| format!("stdout of {}: {e}", line.join(" ")))?;
    }
    finish(line, child).map(|()| text)
}

/// Where `program` is in PATH.
pub(crate) fn find(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|d| d.join(program))
        .find(|p| p.is_file())
        .map(|p| p.display().to_string())
}

/// [`find`], or the sentence that reports what is missing.
pub(crate) fn require(program: &str, package: &str) -> Result<String, String> {
    find(program).ok_or_else(|| format!("{program} is not installed (package {package})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = run(&line(&["sh", "-c", "echo no such thing >&2; exit 3"])).unwrap_err();
        assert!(error.contains("no such thing"), "{error}");
        assert!(error.contains('3'), "{error}");
        let next = run(&line(&["false"])).unwrap_err();
        assert!(!next.contains("no such thing"), "{next}");
        assert_eq!(output(&line(&["echo", "yes"])).unwrap(), "yes\n");
    }
}
