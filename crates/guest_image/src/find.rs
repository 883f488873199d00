//! A kernel of this host, and the modules that belong to it.
//!
//! 1. [`find`]: the kernel that runs, else the newest one whose modules have a way to the host. In containers and on
//!    build machines there is often none; then the message names the command that gets one.
//! 2. [`at`]: a kernel by its path.
//! 3. [`read`]: a file of bounded size.

use std::{
    cmp::Ordering,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::errno;

/// A kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its file.
    pub image: PathBuf,
    /// The directory of its modules.
    pub modules: PathBuf,
    /// Its release, as `uname -r` prints it.
    pub release: String,
}

/// What to do where no kernel is found: on Debian, one line for a shell.
pub const ADVICE: [&str; 2] = [
    "on Debian, this makes the image \"default\" of a package, without installing it: cd $(mktemp -d) && apt-get download \
     $(apt-cache depends linux-image-cloud-amd64 | awk '/Depends/{print $2;exit}') && dpkg -x *.deb . && \
     hcs guest-image build --kernel . (no root is needed, but where apt knows no packages yet, root runs apt-get update first)",
    "on other distributions, install the package of a kernel with its modules (Ubuntu: linux-image-virtual, Fedora: kernel, \
     Arch: linux), and `hcs guest-image build`, as root where the kernel's file is root's alone; a kernel in any place is \
     used by `hcs guest-image build --kernel FILE --modules DIR`",
];

/// The module without which there is no way to the host.
const WAY: &str = "vmw_vsock_virtio_transport.ko";
/// The most directories and files that are looked at.
const MOST: usize = 10_000;

/// The kernel of the host whose root directory is `root`, of which `running` is the release that runs.
///
/// # Errors
/// There is none that could be used; the message says how to get one.
pub fn find(root: &Path, running: &str) -> Result<Kernel, Failure> {
    let mut releases = releases(&root.join("lib/modules"));
    releases.sort_by(|a, b| newer(b, a));
    let running = running.to_owned();
    let all = std::iter::once(running).chain(releases);
    for release in all {
        let modules = root.join("lib/modules").join(&release);
        let places = [
            root.join("boot").join(format!("vmlinuz-{release}")),
            modules.join("vmlinuz"),
        ];
        // A file that this user may not read is none.
        let image = places.into_iter().find(|place| File::open(place).is_ok());
        if let Some(image) = image.filter(|_| has_way(&modules)) {
            return Ok(Kernel {
                image,
                modules,
                release,
            });
        }
    }
    let message = "this host has no kernel that a virtual machine could boot: none that this user may read is in /boot or \
                   /lib/modules, with the module vmw_vsock_virtio_transport beside it";
    let failure = Failure::new(HResult::FILE_NOT_FOUND, message);
    Err(ADVICE.into_iter().fold(failure, Failure::cause))
}

/// The kernel at `path`: a file, or a directory as a package is unpacked into, with `boot/` and `lib/modules/`. Its
/// modules are in `modules` if that is given.
///
/// # Errors
/// There is none, or it has no modules.
pub fn at(path: &Path, modules: Option<&Path>) -> Result<Kernel, Failure> {
    let image = match path.is_dir() {
        true => only(&path.join("boot"), "vmlinuz-")?,
        false => path.to_owned(),
    };
    // Its modules are of no use without it.
    File::open(&image).map_err(|error| unreadable(&image, &error))?;
    let file = image
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let named = file.strip_prefix("vmlinuz-").map(str::to_owned);
    let folder = image.parent().unwrap_or(Path::new("/")).to_owned();
    let beside = [
        folder.join("../lib/modules"),
        folder.join("../usr/lib/modules"),
    ];
    let found = match (modules, named) {
        (Some(modules), _) => Some(modules.to_owned()),
        // As distributions have it that keep the kernel with its modules.
        (None, None) if folder.join("kernel").is_dir() => Some(folder),
        (None, Some(release)) => beside
            .iter()
            .map(|beside| beside.join(&release))
            .find(|it| it.is_dir()),
        (None, None) => None,
    };
    let modules = found.ok_or_else(|| {
        let message = format!(
            "the modules of the kernel {} are not found; name their directory with --modules",
            image.display()
        );
        Failure::new(HResult::FILE_NOT_FOUND, message)
    })?;
    let release = modules
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Kernel {
        image,
        modules,
        release,
    })
}

/// The bytes of a file that has at most `limit`.
///
/// # Errors
/// It cannot be read, is no file, or has more.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: &std::io::Error| unreadable(path, error);
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let about = file.metadata().map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    if about.is_file() {
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(&error))?;
    }
    if !about.is_file() || bytes.len() as u64 > limit {
        let message = format!("{} is no file of at most {limit} bytes", path.display());
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("{} cannot be read", path.display());
    Failure::new(errno::of_io(error), message).because(error)
}

/// The only file in `folder` whose name begins so.
fn only(folder: &Path, begin: &str) -> Result<PathBuf, Failure> {
    let named = releases(folder)
        .into_iter()
        .filter(|name| name.starts_with(begin));
    let mut named: Vec<String> = named.collect();
    named.sort_by(|a, b| newer(a, b));
    let last = named.pop().ok_or_else(|| {
        let message = format!("there is no {begin}* in {}", folder.display());
        Failure::new(HResult::FILE_NOT_FOUND, message)
    })?;
    Ok(folder.join(last))
}

/// The names in a directory; none where there is none.
fn releases(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.take(MOST).collect()
}

/// Whether the modules in a directory have a way to the host.
fn has_way(modules: &Path) -> bool {
    let folder = modules.join("kernel/net/vmw_vsock");
    let built_in = fs::read_to_string(modules.join("modules.builtin")).unwrap_or_default();
    releases(&folder).iter().any(|name| name.starts_with(WAY))
        || built_in.lines().any(|line| line.ends_with(WAY))
}

/// Compares releases: numbers by their value, the rest as text.
fn newer(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let mut parts: Vec<(u64, String)> = Vec::new();
        for part in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let number = part[..digits].parse().unwrap_or_default();
            parts.push((number, part[digits..].to_owned()));
        }
        parts
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        let mut all = [
            "6.1.0-9-amd64",
            "6.12.1",
            "6.1.0-10-amd64",
            "5.10.0-30-cloud",
        ];
        all.sort_by(|a, b| newer(b, a));
        assert_eq!(
            all,
            [
                "6.12.1",
                "6.1.0-10-amd64",
                "6.1.0-9-amd64",
                "5.10.0-30-cloud"
            ]
        );
    }

    fn host(kernels: &[(&str, bool, bool)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("boot")).unwrap();
        for (release, image, way) in kernels {
            let modules = root.path().join("lib/modules").join(release);
            let folder = modules.join("kernel/net/vmw_vsock");
            fs::create_dir_all(&folder).unwrap();
            if *image {
                fs::write(root.path().join(format!("boot/vmlinuz-{release}")), "").unwrap();
            }
            if *way {
                fs::write(folder.join(format!("{WAY}.xz")), "").unwrap();
            }
        }
        root
    }

    #[test]
    fn the_running_kernel_comes_first_and_then_the_newest_that_can_be_used() {
        let root = host(&[
            ("6.1.0-9", true, true),
            ("6.1.0-10", true, true),
            ("6.12.1", true, false),
            ("6.13.0", false, true),
        ]);
        let found = |running| find(root.path(), running).map(|kernel| kernel.release);
        assert_eq!(found("6.1.0-9").unwrap(), "6.1.0-9");
        assert_eq!(found("7.0").unwrap(), "6.1.0-10");
        assert_eq!(found("6.13.0").unwrap(), "6.1.0-10");
        let none = find(host(&[]).path(), "7.0").unwrap_err();
        for (cause, words) in none.causes.iter().zip([
            ["apt-get download", "apt-get update"],
            ["Fedora", "--modules"],
        ]) {
            assert!(
                words.iter().all(|word| cause.message.contains(word)),
                "{none}"
            );
        }
        assert_eq!(none.causes.len(), 2);
    }

    #[test]
    fn a_kernel_that_is_named_has_its_modules_beside_it() {
        let root = host(&[("6.1.0-9", true, true)]);
        let unpacked = at(root.path(), None).unwrap();
        assert_eq!(unpacked.release, "6.1.0-9");
        assert!(unpacked.modules.is_dir());
        let by_file = at(&root.path().join("boot/vmlinuz-6.1.0-9"), None).unwrap();
        assert_eq!(by_file.release, "6.1.0-9");
        let elsewhere = root.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        assert!(
            at(&elsewhere, None)
                .unwrap_err()
                .message
                .contains("--modules")
        );
        assert!(at(&elsewhere, Some(&unpacked.modules)).is_ok());
        let missing = at(&root.path().join("nope"), None).unwrap_err();
        assert!(
            missing.message.ends_with("/nope cannot be read"),
            "{missing}"
        );
    }

    #[test]
    fn files_are_read_up_to_their_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "12345").unwrap();
        assert_eq!(read(file.path(), 5).unwrap(), b"12345");
        assert!(read(file.path(), 4).is_err());
        assert!(read(Path::new("/"), 4).is_err());
        assert!(read(Path::new("/dev/zero"), 4).is_err());
    }
}
