//! A command that is killed at each of its calls to the file system.
//!
//! `strace` kills it: at the first call of each kind, at the second, and so on. Of a kind that several threads make,
//! the calls are left out to which another thread comes first by their number.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

/// Calls that change files and mounts, or open them. What is in front of one of them has been done when the command is
/// killed there. Those with `?` are not there on all machines.
const CALLS: &str = "openat,openat2,?open,?creat,?mkdir,mkdirat,?rename,renameat,renameat2,?unlink,unlinkat,?rmdir,\
                     ?link,linkat,?symlink,symlinkat,?mknod,mknodat,fsync,fdatasync,syncfs,?chmod,fchmod,fchmodat,\
                     ?chown,fchown,fchownat,setxattr,fsetxattr,lsetxattr,utimensat,flock,ftruncate,fallocate,\
                     copy_file_range,?sendfile,write,pwrite64,mount,umount2,?fsopen,?fsconfig,?fsmount,?move_mount,ioctl";

/// `plain` under `strace`, which does what `options` say and writes to `log`.
fn traced(plain: &Command, log: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "signal=none", "-e"])
        .arg(format!("trace={CALLS}"))
        .arg("-o")
        .arg(log)
        .args(options)
        .arg(plain.get_program())
        .args(plain.get_args())
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null());
    if let Some(place) = plain.get_current_dir() {
        command.current_dir(place);
    }
    command
}

/// Runs `plain`, first to its end, then killed at each of the calls that it made; `after` is called each time. Returns
/// how often it was killed.
pub(crate) fn kill(plain: &Command, mut after: impl FnMut()) -> usize {
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("log");
    let output = traced(plain, &log, &[]).output().unwrap();
    assert!(output.status.success(), "{plain:?}: {output:?}");
    let mut calls: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        let mut words = line.split_whitespace();
        let thread = words.next().unwrap_or_default();
        let call = words.next().unwrap_or_default();
        if let Some((name, _)) = call.split_once('(') {
            let threads = calls.entry(name.to_owned()).or_default();
            *threads.entry(thread.to_owned()).or_default() += 1;
        }
    }
    after();
    let mut killed = 0;
    for (call, threads) in calls {
        // The tracer counts the calls of each thread alone, and kills at the first that makes so many.
        let count = threads.into_values().max().unwrap_or_default();
        for step in 1..=count {
            let kill = format!("inject={call}:signal=KILL:when={step}");
            let output = traced(plain, &log, &["-e", &kill]).output().unwrap();
            // The tracer ends as the command did, which makes fewer calls where more is there already.
            match output.status.signal() {
                Some(9) => killed += 1,
                _ => assert!(output.status.success(), "{plain:?}, {kill}: {output:?}"),
            }
            after();
        }
    }
    killed
}
