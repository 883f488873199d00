//! The Debian packages that the tests use.
//!
//! 1. [`NEEDED`], [`provide`]: what is installed. [`apt`]: how.
//! 2. [`emulator`]: QEMU, which has to fit to other parts of QEMU on the host.
//! 3. [`kernel`]: a kernel for virtual machines, which is unpacked and not installed; [`dotnet`]: a runtime, likewise.
//! 4. [`debian`]: a root file system of Debian.

pub(crate) mod apt;
pub(crate) mod debian;
pub(crate) mod dotnet;
mod emulator;
pub(crate) mod kernel;

use std::path::{Path, PathBuf};

use crate::{Repository, Result, process::installed};

/// A program or file that shows that a package is there, and the package.
pub(crate) type Package = (&'static str, &'static str);

/// What `tidy` and `test` need.
pub(crate) const NEEDED: &[Package] = &[
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("/usr/include/stdlib.h", "libc6-dev"),
    ("nm", "binutils"),
    ("pkg-config", "pkg-config"),
    ("valgrind", "valgrind"),
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    // Networks of ordinary users.
    ("pasta", "passt"),
    // File systems of virtual disks, and a look into them that mounts nothing.
    ("debugfs", "e2fsprogs"),
    // Firmware of virtual machines.
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    // Images of other programs.
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("podman", "podman"),
    ("debootstrap", "debootstrap"),
    ("docker-registry", "docker-registry"),
    // It kills a program at each of its calls to the file system.
    ("strace", "strace"),
    ("openssl", "openssl"),
    ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32"),
    ("newuidmap", "uidmap"),
    // Podman's own tables of capabilities and system calls.
    (
        "/usr/share/containers/seccomp.json",
        "golang-github-containers-common",
    ),
    ("groff", "groff-base"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("python3", "python3"),
    ("mypy", "mypy"),
    // The package of the binding is installed, and the runtime of .NET downloaded.
    ("/usr/lib/python3/dist-packages/pip", "python3-pip"),
    ("/usr/share/python-wheels", "python3-venv"),
    (
        "/usr/lib/python3/dist-packages/setuptools",
        "python3-setuptools",
    ),
    ("/usr/lib/python3/dist-packages/wheel", "python3-wheel"),
    ("go", "golang-go"),
    ("mcs", "mono-mcs"),
    ("mono", "mono-runtime"),
    (
        "/usr/lib/mono/4.5/System.Runtime.Serialization.dll",
        "libmono-system-runtime-serialization4.0-cil",
    ),
];

/// Installs what is missing of `needed`.
///
/// # Errors
/// Something is missing and this user may not install it; the message has the command that does.
pub(crate) fn provide(needed: &[Package]) -> Result<()> {
    let missing = missing(needed);
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!(
        "apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    let root = rustix::process::geteuid().is_root();
    if !root || !installed("apt-get") {
        return Err(format!("more packages are needed; as root, run: {install}").into());
    }
    println!("installing {}", missing.join(" "));
    if apt::install(&[], &missing)? && self::missing(needed).is_empty() {
        return Ok(());
    }
    // The lists of a fresh image are empty or old.
    apt::update(&[])?;
    if apt::install(&[], &missing)? && self::missing(needed).is_empty() {
        return Ok(());
    }
    Err(format!("packages could not be installed; this failed: {install}").into())
}

/// Installs all that `tidy` and `test` need, and has kernels for virtual machines.
///
/// # Errors
/// As for [`provide`], [`provide_machine`] and [`kernel::provide_full`].
pub(crate) fn provide_all(repository: &Repository) -> Result<()> {
    provide(NEEDED)?;
    provide_machine(repository)?;
    kernel::provide_full(repository)?;
    if let Err(error) = debian::provide(repository) {
        println!("{error}; until then no image of a whole Debian is tested");
    }
    if let Err(error) = dotnet::provide(repository) {
        println!("{error}; until then the sample for .NET is compiled only");
    }
    Ok(())
}

/// Has what virtual machines run in and boot; answers the directory of the kernel.
///
/// # Errors
/// As for [`emulator::provide`] and [`kernel::provide`].
pub(crate) fn provide_machine(repository: &Repository) -> Result<PathBuf> {
    emulator::provide()?;
    kernel::provide(repository)
}

fn missing(needed: &[Package]) -> Vec<&'static str> {
    let there = |probe: &str| match probe.strip_prefix('/') {
        Some(_) => Path::new(probe).exists(),
        None => installed(probe),
    };
    needed
        .iter()
        .filter(|(probe, _)| !there(probe))
        .map(|(_, package)| *package)
        .collect()
}
