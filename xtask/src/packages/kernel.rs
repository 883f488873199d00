//! The kernels that virtual machines of the tests boot: Debian's cloud kernel, and its usual one for what that lacks
//! (9P), unpacked below `target/guest-kernel/`.
//!
//! They are downloaded once and never asked for again while they are there. [`provide`] answers the directory with
//! `boot/` and `lib/modules/`; tests find it by the variable [`VARIABLE`], or as [`CURRENT`] below the target
//! directory. [`provide_full`] does the same for the other one.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::apt;
use crate::{Repository, Result, process::installed};

/// Names the directory of another kernel for the tests.
pub(crate) const VARIABLE: &str = "HCS_TEST_GUEST_KERNEL";
/// The link to the kernel that is used, relative to the target directory.
pub(crate) const CURRENT: &str = "guest-kernel/current";
/// Names the directory of another kernel with 9P for the tests.
pub(crate) const FULL_VARIABLE: &str = "HCS_TEST_GUEST_KERNEL_9P";
/// The link to that, relative to the target directory.
const FULL: &str = "guest-kernel/full";
/// The packages that depend on the newest kernel of each kind.
const PACKAGE: &str = "linux-image-cloud-amd64";
const FULL_PACKAGE: &str = "linux-image-amd64";

/// The directory with `boot/` and `lib/modules/` of a kernel, which is downloaded if there is none.
///
/// # Errors
/// There is none and it cannot be downloaded, or it is not complete.
pub(crate) fn provide(repository: &Repository) -> Result<PathBuf> {
    find(repository, (VARIABLE, CURRENT), PACKAGE)
}

/// The directory with `boot/` and `lib/modules/` of a kernel with 9P, which is downloaded if there is none.
///
/// # Errors
/// As for [`provide`].
pub(crate) fn provide_full(repository: &Repository) -> Result<PathBuf> {
    find(repository, (FULL_VARIABLE, FULL), FULL_PACKAGE)
}

fn find(repository: &Repository, (variable, link): (&str, &str), package: &str) -> Result<PathBuf> {
    let kernel = match std::env::var_os(variable) {
        Some(given) => PathBuf::from(given),
        None => repository.target.join(link),
    };
    if image(&kernel).is_err() {
        if std::env::var_os(variable).is_some() {
            return Err(format!("{variable}={} has no boot/vmlinuz-*", kernel.display()).into());
        }
        download(&kernel, variable, package)?;
    }
    image(&kernel)?;
    Ok(kernel)
}

/// The kernel's file in such a directory.
///
/// # Errors
/// There is none.
pub(crate) fn image(kernel: &Path) -> Result<PathBuf> {
    apt::file_in(&kernel.join("boot"), "vmlinuz-", "")
}

/// The directory of its modules in such a directory.
///
/// # Errors
/// There is none.
pub(crate) fn modules(kernel: &Path) -> Result<PathBuf> {
    apt::file_in(&kernel.join("lib/modules"), "", "-amd64")
}

/// Downloads the newest kernel that `newest` depends on, and lets the link `current` lead to it.
fn download(current: &Path, variable: &str, newest: &str) -> Result<()> {
    if !installed("apt-get") || !installed("dpkg-deb") {
        return Err(format!(
            "the tests boot Debian's kernel, and there is no apt-get to download it; set {variable} to a directory with \
             boot/vmlinuz-* and lib/modules"
        )
        .into());
    }
    let mut package = apt::dependency(newest, "linux-image-")?;
    if package.is_none() {
        // The lists of a fresh image are empty.
        apt::update(&[])?;
        package = apt::dependency(newest, "linux-image-")?;
    }
    let package = package.ok_or_else(|| format!("apt knows no kernel by the name {newest}"))?;
    let folder = current
        .parent()
        .ok_or("the target directory has no name")?
        .to_owned();
    println!("downloading {package} to {}", folder.display());
    fs::create_dir_all(&folder)?;
    let fresh = tempfile::Builder::new()
        .prefix("new-")
        .tempdir_in(&folder)?;
    let unpacked = apt::unpack(fresh.path(), &package)?;
    let kept = folder.join(&package);
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    fs::rename(unpacked, kept)?;
    match fs::remove_file(current) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(symlink(package, current)?)
}
