//! The kernel that virtual machines of the tests boot: Debian's cloud kernel, unpacked below `target/guest-kernel/`.
//!
//! It is downloaded once and never asked for again while it is there. [`provide`] answers the directory with `boot/` and
//! `lib/modules/`; tests find it by the variable [`VARIABLE`], or as [`CURRENT`] below the target directory.

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
/// The package that depends on the newest cloud kernel.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// The directory with `boot/` and `lib/modules/` of a kernel, which is downloaded if there is none.
///
/// # Errors
/// There is none and it cannot be downloaded, or it is not complete.
pub(crate) fn provide(repository: &Repository) -> Result<PathBuf> {
    let kernel = match std::env::var_os(VARIABLE) {
        Some(given) => PathBuf::from(given),
        None => repository.target.join(CURRENT),
    };
    if image(&kernel).is_err() {
        if std::env::var_os(VARIABLE).is_some() {
            return Err(format!("{VARIABLE}={} has no boot/vmlinuz-*", kernel.display()).into());
        }
        download(&kernel)?;
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

/// Downloads the newest kernel and lets the link `current` lead to it.
fn download(current: &Path) -> Result<()> {
    if !installed("apt-get") || !installed("dpkg-deb") {
        return Err(format!(
            "the tests boot Debian's kernel, and there is no apt-get to download it; set {VARIABLE} to a directory with \
             boot/vmlinuz-* and lib/modules"
        )
        .into());
    }
    let mut package = apt::dependency(PACKAGE, "linux-image-")?;
    if package.is_none() {
        // The lists of a fresh image are empty.
        apt::update(&[])?;
        package = apt::dependency(PACKAGE, "linux-image-")?;
    }
    let package = package.ok_or_else(|| format!("apt knows no kernel by the name {PACKAGE}"))?;
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
