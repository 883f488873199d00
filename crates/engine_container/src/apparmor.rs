//! The AppArmor profile that containers run in, where the host has AppArmor.
//!
//! 1. [`load`], by the service when it starts: has the profile compiled and loaded by `apparmor_parser(8)`, unless the
//!    kernel has it already. Its name has a hash of its text, so a kernel that knows the name knows these rules.
//! 2. [`open`], by a container's first process while it may reach its own files in `/proc`, and [`enter`], when the
//!    root is made: the agent and everything it starts are in the profile, and none can leave it.
//!
//! It is a wall behind others: what it forbids is also read-only, hidden or refused by the system call filter, and it
//! still forbids that where a capability, or a hole, opens one of these. Rules go by paths in the container.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use hcs_schema::privileges::Capabilities;
use hcs_wire::environment::is_root;
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
    process::geteuid,
};

use crate::failure::{Attempt, StepError};

/// Where `apparmor_parser(8)` may be. Not `$PATH`: what it runs as is root.
const PARSERS: [&str; 2] = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];

/// Whether the kernel uses AppArmor.
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// How long the parser may take: a service that starts waits for it.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Names and modes of the profiles that the kernel has.
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

/// What every container may do, and what none may: values of the kernel that are not a namespace's, raw memory, the
/// drivers and the security modules. `[^x]**` is every name that begins with something else.
const RULES: &str = "  file,
  network,
  capability,
  deny /proc/{sysrq-trigger,kcore,kmem,mem} rwklx,
  deny /proc/sys/[^kn]** wkl,
  deny /proc/sys/k[^e]** wkl,
  deny /proc/sys/ke[^r]** wkl,
  deny /proc/sys/kernel/[^ms]** wkl,
  deny /proc/sys/kernel/m[^s]** wkl,
  deny /proc/sys/kernel/s[^eh]** wkl,
  deny /proc/sys/kernel/se[^m]** wkl,
  deny /proc/sys/n[^e]** wkl,
  deny /sys/[^f]** wkl,
  deny /sys/f[^s]** wkl,
  deny /sys/fs/[^c]** wkl,
  deny /sys/fs/c[^g]** wkl,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
";

/// Without these rules nothing can be mounted.
const MOUNTS: &str = "  mount,
  remount,
  umount,
  pivot_root,
";

/// A profile that is loaded, in two versions: a container that was given `CAP_SYS_ADMIN` by name may mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    name: String,
}

impl Profile {
    fn ours() -> Self {
        // FNV-1a of the whole text but the name.
        let unnamed = Self {
            name: String::new(),
        };
        let hash = unnamed.text().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let version = env!("CARGO_PKG_VERSION");
        Self {
            name: format!("hcs-{version}-{hash:08x}"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn name_with_mounts(&self) -> String {
        format!("{}-mounts", self.name)
    }

    /// The name of the version for a container with these capabilities.
    pub(crate) fn of(&self, possible: Capabilities) -> String {
        if possible.contains(Capabilities::SYS_ADMIN) {
            self.name_with_mounts()
        } else {
            self.name.clone()
        }
    }

    /// Both versions, as `apparmor.d(5)` has them. Signals and traces come from the same container's profile, which all
    /// containers share, or from the host; namespaces keep containers apart.
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, more) in [(self.name.clone(), ""), (self.name_with_mounts(), MOUNTS)] {
            let _into_memory = write!(
                text,
                "profile {name} flags=(attach_disconnected,mediate_deleted) {{
{RULES}{more}  signal (send, receive) peer={name},
  signal (receive) peer=unconfined,
  ptrace (trace, read, tracedby, readby) peer={name},
  ptrace (tracedby, readby) peer=unconfined,
}}
"
            );
        }
        text
    }

    /// Whether both versions are among `profiles`, the kernel's own list, and are enforced.
    fn is_in(&self, profiles: &str) -> bool {
        [self.name.clone(), self.name_with_mounts()]
            .iter()
            .all(|name| {
                let wanted = format!("{name} (enforce)");
                profiles.lines().any(|line| line == wanted)
            })
    }
}

/// Has the kernel know the profile.
///
/// # Errors
/// Why containers run in none: a sentence, which says what to do where something can be done.
pub fn load() -> Result<Profile, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    is_possible(
        geteuid().is_root(),
        read(ENABLED).trim(),
        read("/proc/self/attr/current").trim_end_matches(['\0', '\n']),
        &read("/proc/self/uid_map"),
    )?;
    let profile = Profile::ours();
    let profiles = fs::read_to_string(PROFILES).map_err(|e| {
        format!("{PROFILES} cannot be read: {e}. Mount securityfs at /sys/kernel/security")
    })?;
    if !profile.is_in(&profiles) {
        compile(&profile.text())?;
    }
    Ok(profile)
}

/// Whether the host uses AppArmor and this service is root: where [`load`] fails then, a wall is missing.
#[must_use]
pub fn is_expected() -> bool {
    let enabled = fs::read_to_string(ENABLED).unwrap_or_default();
    is_root() && enabled.trim() == "Y"
}

/// Whether a process of this kind, of a host of this kind, may load a profile and put processes into it.
fn is_possible(root: bool, enabled: &str, label: &str, uid_map: &str) -> Result<(), String> {
    if enabled != "Y" {
        return Err("the kernel of this host has no AppArmor, or does not use it".to_owned());
    }
    if !root {
        return Err("this service runs as an ordinary user, who cannot load a profile".to_owned());
    }
    if label != "unconfined" {
        return Err(format!(
            "this service is in the AppArmor profile {label:?}, and containers are with it"
        ));
    }
    let map: Vec<&str> = uid_map.split_whitespace().collect();
    if map != ["0", "0", "4294967295"] {
        return Err(
            "this service is in a user namespace, in which no profile can be loaded".to_owned(),
        );
    }
    Ok(())
}

fn compile(text: &str) -> Result<(), String> {
    let parser = PARSERS.iter().find(|path| Path::new(path).exists());
    let Some(parser) = parser else {
        return Err(format!(
            "{} is not there. Install the package apparmor and start the service again",
            PARSERS[0]
        ));
    };
    let failed = |e: &dyn std::fmt::Display| format!("{parser} loads no profile: {e}");
    let mut child = Command::new(parser)
        .args(["--replace", "--skip-cache"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&e))?;
    // Shorter than what a pipe holds. A parser that does not read it says why.
    let written = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(text.as_bytes()));
    let end = Instant::now() + LIMIT;
    // What it says is shorter than what a pipe holds, or it is not worth the wait.
    while child.try_wait().map_err(|e| failed(&e))?.is_none() {
        if Instant::now() > end {
            let _ended_already = child.kill();
            let _reaped = child.wait();
            return Err(failed(&format!("it did not end within {LIMIT:?}")));
        }
        sleep(LOOK);
    }
    let output = child.wait_with_output().map_err(|e| failed(&e))?;
    if output.status.success() && matches!(written, Some(Ok(()))) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(&format!("{}, {}", output.status, said.trim())))
}

/// Opens the file by which the calling process enters a profile, below `proc`, the root of a procfs.
pub(crate) fn open(proc: impl AsFd) -> Result<OwnedFd, StepError> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    // The second is the file of the first security module of the kernel, where there is no other.
    let [own, shared] = ["self/attr/apparmor/current", "self/attr/current"];
    match openat(&proc, own, flags, Mode::empty()) {
        Err(Errno::NOENT) => openat(&proc, shared, flags, Mode::empty()),
        opened => opened,
    }
    .step_at("opening", "/proc/self/attr/current")
}

/// Moves the calling process, which has one thread, into the profile `name`, by the file of [`open`].
pub(crate) fn enter(file: OwnedFd, name: &str) -> Result<(), StepError> {
    let order = format!("changeprofile {name}");
    let written = rustix::io::write(file, order.as_bytes());
    written.map(drop).step_at(
        "entering the AppArmor profile that the service loads when it starts:",
        name,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_has_the_profile_is_not_given_it_again() {
        let profile = Profile::ours();
        let name = profile.name();
        let list = format!("other (enforce)\n{name} (enforce)\n{name}-mounts (enforce)\n");
        assert!(profile.is_in(&list));
        for lacking in [
            list.replace("-mounts (enforce)", "-mounts (complain)"),
            format!("{name}-mounts (enforce)\n"),
            format!("{name} (enforce)\n"),
            String::new(),
        ] {
            assert!(!profile.is_in(&lacking), "{lacking}");
        }
    }

    #[test]
    fn only_a_container_that_may_mount_gets_the_rules_for_it() {
        let profile = Profile::ours();
        assert_eq!(profile.of(Capabilities::USUAL), profile.name());
        let with = profile.of(Capabilities::USUAL.union(Capabilities::SYS_ADMIN));
        let text = profile.text();
        let at = text.find(&format!("profile {with} ")).unwrap();
        assert!(!text[..at].contains("mount"), "{text}");
        assert!(text[at..].contains("  mount,\n"), "{text}");
    }

    #[test]
    fn why_there_is_no_profile_is_said() {
        let whole = "         0          0 4294967295\n";
        assert_eq!(is_possible(true, "Y", "unconfined", whole), Ok(()));
        for (root, enabled, label, map, part) in [
            (true, "", "unconfined", whole, "has no AppArmor"),
            (true, "N", "unconfined", whole, "does not use it"),
            (false, "Y", "unconfined", whole, "an ordinary user"),
            (true, "Y", "lxc (enforce)", whole, "\"lxc (enforce)\""),
            (
                true,
                "Y",
                "unconfined",
                "0 100000 65536\n",
                "a user namespace",
            ),
        ] {
            let why = is_possible(root, enabled, label, map).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
