//! The emulator that virtual machines of the tests run in.
//!
//! Debian's package does not fit beside newer parts of QEMU: a host with `qemu-utils` of the backports suite refuses
//! the emulator of the stable suite. Then [`provide`] takes the emulator from backports, too. A host whose sources do
//! not have that suite keeps them as they are: the suite is added for these calls of apt alone.

use std::{fs, path::Path, process::Command};

use super::apt;
use crate::{
    Result,
    process::{installed, output},
};

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";
/// Its package.
const PACKAGE: &str = "qemu-system-x86";
/// The main list of apt's sources.
const SOURCES: &str = "/etc/apt/sources.list";
/// Keys of Debian's archive, in the package `debian-archive-keyring`.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs the emulator, unless one is there.
///
/// # Errors
/// It is missing and this user may not install it, or no suite has one that fits; the message has the command that
/// installs it.
pub(super) fn provide() -> Result<()> {
    if installed(PROGRAM) {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {PACKAGE}");
    if !rustix::process::geteuid().is_root() || !installed("apt-get") {
        return Err(format!(
            "the emulator {PROGRAM} is needed; as root, run: {command} (beside a newer qemu-utils: with -t and the suite \
             that has it)"
        )
        .into());
    }
    println!("installing {PACKAGE}");
    if apt::install(&[], &[PACKAGE])? || from_backports()? {
        return Ok(());
    }
    Err(format!("the emulator {PROGRAM} could not be installed; this failed: {command}").into())
}

/// Installs it from the backports suite of the mirror that the host uses.
fn from_backports() -> Result<bool> {
    let format = "$(REPO_URI) $(CODENAME)";
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", format]);
    targets.args(["Created-By: Packages", "Origin: Debian"]);
    let targets = output(&mut targets)?;
    let Some((mirror, codename)) = stable(&targets) else {
        return Ok(false);
    };
    let suite = format!("{codename}-backports");
    println!("taking {PACKAGE} from {suite}: the one of {codename} does not fit here");
    let folder = tempfile::Builder::new().prefix("hcs-sources-").tempdir()?;
    let mut options = Vec::new();
    if !targets
        .lines()
        .any(|line| line.ends_with(&format!(" {suite}")))
    {
        let list = folder.path().join("sources.list");
        let signed = if Path::new(KEYS).exists() {
            format!("[signed-by={KEYS}] ")
        } else {
            String::new()
        };
        let own = fs::read_to_string(SOURCES).unwrap_or_default();
        fs::write(&list, format!("{own}\ndeb {signed}{mirror} {suite} main\n"))?;
        options = vec![
            "-o".to_owned(),
            format!("Dir::Etc::sourcelist={}", list.display()),
        ];
    }
    let _old_lists_may_do = apt::update(&options)?;
    options.extend(["-t".to_owned(), suite]);
    apt::install(&options, &[PACKAGE])
}

/// Mirror and codename of the stable suite among lines of both: the one without a suffix.
fn stable(targets: &str) -> Option<(&str, &str)> {
    let mut pairs = targets.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(_, codename)| !codename.is_empty() && !codename.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_the_stable_suite_is_found() {
        let targets = "http://a/security/ bookworm-security\nhttp://b/debian/ bookworm-updates\nhttp://b/debian/ bookworm\n";
        assert_eq!(stable(targets), Some(("http://b/debian/", "bookworm")));
        assert_eq!(stable("http://a/ \n"), None);
    }
}
