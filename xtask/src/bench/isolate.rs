//! A private mount namespace, so that cgroup2 can be taken out of sight of crun on a hybrid host; and a private
//! `HCS_ENDPOINT`, for this program and all it starts.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode},
};

const MARK: &str = "HCS_BENCH_ISOLATED";

/// Runs this program again inside a mount namespace of its own, unless it already is there; answers its exit code.
pub(crate) fn reenter() -> crate::Result<Option<ExitCode>> {
    if std::env::var_os(MARK).is_some() {
        return Ok(None);
    }
    let hide = "if grep -qs ' /sys/fs/cgroup/unified cgroup2 ' /proc/mounts; then umount -l /sys/fs/cgroup/unified; fi";
    let program = std::env::current_exe()?;
    let folder = tempfile::Builder::new()
        .prefix("hcs-bench-service-")
        .tempdir()?;
    let status = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            &format!("{hide}; exec \"$0\" \"$@\""),
        ])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .env("HCS_ENDPOINT", folder.path().join("hcs.sock"))
        .status()
        .map_err(|e| format!("cannot run unshare (package util-linux): {e}"))?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|s| 128 + s))
        .unwrap_or(1);
    Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(1))))
}
