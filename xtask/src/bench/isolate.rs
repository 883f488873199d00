//! Keeps the bench and its host apart: namespaces, a control group and a folder of its own.
//!
//! The bench runs twice. The first program builds what is measured, makes the folder, starts the second one inside and
//! removes what is left at the end. The second one measures, in these mount namespaces:
//!
//! 1. *host*: `/run`, `/dev/shm` and podman's folder are empty file systems of the bench. So the service can be at its
//!    shipped endpoint and every peer has its state where it always is. The service runs here.
//! 2. *peers*: as well, cgroup2 is out of sight where v1 controllers are mounted, because crun refuses the hybrid
//!    layout. Everything else runs here.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use super::warn;

const FOLDER: &str = "HCS_BENCH_FOLDER";
const PREFIX: &str = "HCS_BENCH_PREFIX";
const CGROUP: &str = "HCS_BENCH_CGROUP";
const HOST: &str = "HCS_BENCH_HOST";

/// Makes the first namespace, which has a network of its own, and waits in it for the program in the second. The bench
/// is in a control group of its own where systemd-nspawn looks, because that makes groups below its caller's.
const SCRIPT: &str = r#"
ip link set lo up || exit
mount -t tmpfs -o mode=755 hcs-bench /run || exit
mount -t tmpfs -o mode=1777 hcs-bench /dev/shm || exit
[ ! -d /var/lib/containers ] || mount -t tmpfs hcs-bench /var/lib/containers || exit
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup; do
    if [ -w $hierarchy/cgroup.procs ]; then
        mkdir -p $hierarchy/$HCS_BENCH_CGROUP/self && echo $$ > $hierarchy/$HCS_BENCH_CGROUP/self/cgroup.procs
        break
    fi
done
export HCS_BENCH_HOST=/proc/$$/ns/mnt
unshare --mount --propagation private sh -c '
    if grep -qs " /sys/fs/cgroup/unified cgroup2 " /proc/mounts; then
        umount -l /sys/fs/cgroup/unified && mount -t tmpfs hcs-bench /sys/fs/cgroup/unified || exit
    fi
    exec "$0" "$@"' "$@"
"#;

/// Where the second program is.
#[derive(Debug)]
pub(crate) struct Place {
    /// A folder on disk that the first program removes.
    pub(crate) folder: PathBuf,
    /// Below which the product is installed.
    pub(crate) prefix: PathBuf,
    /// The only control group that the service and peers may use, relative to each hierarchy.
    pub(crate) cgroup: String,
    /// The mount namespace of the service, for nsenter.
    pub(crate) host: String,
}

impl Place {
    /// Where this program is; `None` in the first one.
    pub(crate) fn here() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        Some(Self {
            folder: variable(FOLDER)?.into(),
            prefix: variable(PREFIX)?.into(),
            cgroup: variable(CGROUP)?,
            host: variable(HOST)?,
        })
    }
}

/// Runs `program` inside, with our own arguments; returns its exit code. `prefix` has the product.
///
/// # Errors
/// This user is not root, or `unshare` cannot be run.
pub(crate) fn enter(program: &Path, folder: &Path, prefix: &Path) -> crate::Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        return Err("the bench makes containers and mount namespaces: run it as root".into());
    }
    let cgroup = format!("hcs-bench-{}", std::process::id());
    let status = Command::new("unshare")
        .args(["--mount", "--net", "--propagation", "private"])
        .args(["sh", "-c", SCRIPT])
        .arg("sh")
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(FOLDER, folder)
        .env(PREFIX, prefix)
        .env(CGROUP, &cgroup)
        // The shipped endpoint, whatever this user has set.
        .env_remove("HCS_ENDPOINT")
        .env_remove("HCS_DAEMON")
        .status()
        .map_err(|e| format!("cannot run unshare (package util-linux): {e}"))?;
    remove_cgroups(&cgroup);
    let code = status
        .code()
        .or_else(|| status.signal().map(|s| 128 + s))
        .unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Removes the control groups below ours, as soon as whatever is ending in them is gone.
fn remove_cgroups(cgroup: &str) {
    let base = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(base).into_iter().flatten().flatten();
    let ours: Vec<PathBuf> = hierarchies
        .map(|entry| entry.path())
        .chain([base.to_owned()])
        .map(|hierarchy| hierarchy.join(cgroup))
        .filter(|path| path.is_dir())
        .collect();
    let end = Instant::now() + Duration::from_secs(10);
    while ours.iter().filter(|path| !remove_tree(path)).count() > 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
    }
    for path in ours.iter().filter(|path| path.exists()) {
        warn(&format!("{} is still in use", path.display()));
    }
}

/// Removes a control group and those below it; whether it is gone.
fn remove_tree(path: &Path) -> bool {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path());
        }
    }
    // A group in use stays; the caller tries again.
    let _busy = fs::remove_dir(path);
    !path.exists()
}
