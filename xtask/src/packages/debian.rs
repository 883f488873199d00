//! A root file system of Debian, for the tests of images: debootstrap makes it of what apt's own mirror has, once.
//!
//! It is kept as an archive below the target directory; another one that [`VARIABLE`] names is used instead. A mirror
//! that does not answer holds nothing up for longer than [`LIMIT`].

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
/// How many seconds debootstrap may take.
const LIMIT: &str = "600";

/// Where the archive is, if there is one or one is named.
pub(crate) fn place(repository: &Repository) -> Option<PathBuf> {
    let own = repository.target.join(ARCHIVE);
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    named.or_else(|| own.exists().then_some(own))
}

/// Has the archive made, if there is none.
///
/// # Errors
/// One is named and is not there; or there is none and it cannot be made. The message says how to do without.
pub(super) fn provide(repository: &Repository) -> Result<PathBuf> {
    match place(repository) {
        Some(archive) if archive.exists() => return Ok(archive),
        Some(named) => {
            return Err(format!(
                "{VARIABLE} names {}, which is not there: expected an archive of a Debian root file system",
                named.display()
            )
            .into());
        }
        None => {}
    }
    let archive = repository.target.join(ARCHIVE);
    println!(
        "making a root file system of Debian as {}",
        archive.display()
    );
    make(&repository.target, &archive).map_err(|error| {
        format!("{error}; set {VARIABLE} to an archive of a Debian root file system (debootstrap --variant=minbase)")
    })?;
    Ok(archive)
}

fn make(target: &Path, archive: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    let (mirror, suite) = mirror()?;
    let fresh = tempfile::Builder::new()
        .prefix("new-debian-")
        .tempdir_in(target)?;
    let root = fresh.path().join("root");
    let mut debootstrap = Command::new("timeout");
    if let Some(proxy) = proxy()? {
        debootstrap.env("http_proxy", proxy);
    }
    debootstrap
        .args([LIMIT, "debootstrap", "--variant=minbase", &suite])
        .arg(&root)
        .arg(&mirror);
    let mut pack = Command::new("tar");
    let packed = fresh.path().join("root.tar");
    pack.arg("-C").arg(&root).arg("-cf").arg(&packed).arg(".");
    for step in [&mut debootstrap, &mut pack] {
        if !succeeds(step.stdin(Stdio::null()).stdout(Stdio::null()))? {
            return Err(format!(
                "debootstrap could not make a root file system of {suite} from {mirror} within {LIMIT} seconds"
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
        "$(SITE) $(CODENAME) $(COMPONENT) $(ORIGIN)",
        "Created-By: Packages",
    ]);
    let lines = output(&mut indexes)?;
    release_of(&lines).ok_or_else(|| "apt knows no mirror of a release of Debian".into())
}

/// The first release among the indexes of apt; one of Debian or Ubuntu before that of another archive.
fn release_of(indexes: &str) -> Option<(String, String)> {
    let releases = indexes.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (site, name, component) = (words.next()?, words.next()?, words.next()?);
        let is_known = matches!(words.next(), Some("Debian" | "Ubuntu"));
        let is_release = component == "main" && !name.contains('-');
        is_release.then(|| (is_known, site.to_owned(), name.to_owned()))
    });
    let releases: Vec<_> = releases.collect();
    let known = releases.iter().find(|(is_known, ..)| *is_known);
    let (_, site, name) = known.or_else(|| releases.first())?;
    Some((site.clone(), name.clone()))
}

/// The proxy that apt is configured to use.
fn proxy() -> Result<Option<String>> {
    let mut told = Command::new("apt-config");
    told.args(["shell", "proxy", "Acquire::http::Proxy"]);
    Ok(proxy_of(&output(&mut told)?))
}

/// The value in a line that a shell would read.
fn proxy_of(line: &str) -> Option<String> {
    let value = line.trim().strip_prefix("proxy=")?.trim_matches('\'');
    // apt's word for none.
    let is_one = !value.is_empty() && value != "DIRECT";
    is_one.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_of_debian_comes_before_that_of_another_archive() {
        let told = |text| release_of(text).map(|(site, name)| format!("{site} {name}"));
        let other = "http://o/x stable main Other Works\n";
        let all = format!(
            "{other}http://d/d bookworm-updates main Debian\nhttp://d/d bookworm main Debian\n"
        );
        assert_eq!(told(&all).as_deref(), Some("http://d/d bookworm"));
        assert_eq!(told(other).as_deref(), Some("http://o/x stable"));
        assert_eq!(told("http://d/d bookworm contrib Debian\n"), None);
    }

    #[test]
    fn a_proxy_of_apt_is_read() {
        let proxy = |text| proxy_of(text);
        assert_eq!(
            proxy("proxy='http://p:3128'\n").as_deref(),
            Some("http://p:3128")
        );
        assert_eq!(proxy("proxy='DIRECT'\n"), None);
        assert_eq!(proxy(""), None);
    }
}
