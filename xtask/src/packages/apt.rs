//! Calls of apt: installing packages, and unpacking one without installing it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Result,
    process::{output, succeeds},
};

/// Installs packages; `options` go before the command. Whether that succeeded.
///
/// # Errors
/// `apt-get` cannot be run.
pub(super) fn install(options: &[String], packages: &[&str]) -> Result<bool> {
    succeeds(
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(options)
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(packages)
            .stdin(Stdio::null()),
    )
}

/// Reads the lists of the sources again. Whether that succeeded.
///
/// # Errors
/// `apt-get` cannot be run.
pub(super) fn update(options: &[String]) -> Result<bool> {
    succeeds(Command::new("apt-get").args(options).args(["update", "-q"]))
}

/// The first package that `package` depends on and whose name begins with `begin`, where the lists have it.
///
/// # Errors
/// `apt-cache` cannot be run.
pub(super) fn dependency(package: &str, begin: &str) -> Result<Option<String>> {
    let depends = output(Command::new("apt-cache").args(["depends", package]))?;
    let mut names = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    Ok(names
        .find(|name| name.starts_with(begin))
        .map(str::to_owned))
}

/// Downloads a package into `folder` and unpacks it into a directory of its name there. Needs no rights.
///
/// # Errors
/// The package is unknown, or a program failed; the message names the package.
pub(crate) fn unpack(folder: &Path, package: &str) -> Result<PathBuf> {
    let mut download = Command::new("apt-get");
    download
        .current_dir(folder)
        .args(["-o", "APT::Sandbox::User=root", "download", "-q", package])
        .stdout(Stdio::null());
    if !succeeds(&mut download)? {
        return Err(format!("the package {package} could not be downloaded").into());
    }
    let archive = file_in(folder, &format!("{package}_"), ".deb")?;
    let unpacked = folder.join(package);
    let mut extract = Command::new("dpkg-deb");
    extract.arg("-x").arg(&archive).arg(&unpacked);
    if !succeeds(&mut extract)? {
        return Err(format!("the package {package} could not be unpacked").into());
    }
    fs::remove_file(archive)?;
    Ok(unpacked)
}

/// The file of `folder` whose name begins and ends so.
///
/// # Errors
/// There is none, or the directory cannot be read.
pub(crate) fn file_in(folder: &Path, begin: &str, end: &str) -> Result<PathBuf> {
    let mut found = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with(begin) && name.to_string_lossy().ends_with(end) {
            found = Some(folder.join(name));
        }
    }
    found.ok_or_else(|| format!("there is no {begin}*{end} in {}", folder.display()).into())
}
