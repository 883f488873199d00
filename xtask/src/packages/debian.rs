//! A root file system of Debian, for the tests of images: debootstrap makes it of what apt's own mirror has, once.
//!
//! It is kept as an archive below the target directory; another one that [`VARIABLE`] names is used instead.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Repository, Result,
    process::{output, succeeds},
};

/// Names another archive for the tests.
pub(crate) const VARIABLE: &str = "HCS_TEST_DEBIAN_ROOT";
/// The archive, relative to the target directory.
const ARCHIVE: &str = "debian-root.tar";

/// Has the archive made, if there is none.
///
/// # Errors
/// There is none and it cannot be made; the message says how to do without.
pub(super) fn provide(repository: &Repository) -> Result<PathBuf> {
    let own = repository.target.join(ARCHIVE);
    let archive = std::env::var_os(VARIABLE).map_or(own, PathBuf::from);
    if !archive.exists() {
        println!(
            "making a root file system of Debian as {}",
            archive.display()
        );
        make(&repository.target, &archive).map_err(|error| {
            format!("{error}; set {VARIABLE} to an archive of a Debian root file system (debootstrap --variant=minbase)")
        })?;
    }
    Ok(archive)
}

fn make(target: &Path, archive: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    let (mirror, suite) = mirror()?;
    let fresh = tempfile::Builder::new()
        .prefix("new-debian-")
        .tempdir_in(target)?;
    let root = fresh.path().join("root");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap
        .args(["--variant=minbase", &suite])
        .arg(&root)
        .arg(&mirror);
    let mut pack = Command::new("tar");
    let packed = fresh.path().join("root.tar");
    pack.arg("-C").arg(&root).arg("-cf").arg(&packed).arg(".");
    for step in [&mut debootstrap, &mut pack] {
        if !succeeds(step.stdin(Stdio::null()).stdout(Stdio::null()))? {
            return Err(format!(
                "debootstrap could not make a root file system of {suite} from {mirror}"
            )
            .into());
        }
    }
    fs::rename(packed, archive)?;
    Ok(())
}

/// The mirror that apt is configured to use, and the release that it has there.
fn mirror() -> Result<(String, String)> {
    let mut indexes = Command::new("apt-get");
    indexes.args([
        "indextargets",
        "--format",
        "$(SITE) $(CODENAME) $(COMPONENT)",
        "Created-By: Packages",
    ]);
    let lines = output(&mut indexes)?;
    let release = lines.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (site, name, component) = (words.next()?, words.next()?, words.next()?);
        let is_release = component == "main" && !name.contains('-');
        is_release.then(|| (site.to_owned(), name.to_owned()))
    });
    release.ok_or_else(|| "apt knows no mirror of a release of Debian".into())
}
