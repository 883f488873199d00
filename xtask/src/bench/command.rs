//! Runs a program quietly and says what it said when it failed.

use std::process::{Command, Stdio};

/// Runs `program` with `arguments` with no stdin and stdout; stderr only in the failure.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| format!("cannot run {program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program} {} ended with {}: {}",
        arguments.join(" "),
        output.status,
        said.trim()
    ))
}

/// Like [`run`], without a pipe for stderr: for measured commands, whose reader would be measured too.
pub(crate) fn run_bare(program: &str, arguments: &[&str]) -> Result<(), String> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("cannot run {program}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(
            "{program} {} ended with {status}",
            arguments.join(" ")
        ))
    }
}

/// Where `program` is in PATH.
pub(crate) fn find(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|d| d.join(program))
        .find(|p| p.is_file())
        .map(|p| p.display().to_string())
}
