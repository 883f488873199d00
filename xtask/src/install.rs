//! `cargo xtask install`: programs, manual pages, completions, libraries, headers, the pkg-config file and the systemd
//! units, below a prefix.
//!
//! What was made is written into a list, which [`crate::uninstall`] goes by. A C program then builds with
//! `cc $(pkg-config --cflags --libs computecore)`.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    Repository, Result,
    process::{cargo, succeeds},
    uninstall::Placed,
};

/// Further names of the library. It has the functions for layers too, which Windows has in one of their own. .NET looks
/// for `computecore.dll` with `lib` before and `.so` behind, the latter first: `ldconfig` lists only names that end
/// with it.
const ALIASES: [&str; 5] = [
    "libcomputestorage.so",
    "libcomputecore.dll.so",
    "libcomputecore.dll",
    "libcomputestorage.dll.so",
    "libcomputestorage.dll",
];

/// The same for the library of networks.
const NETWORK_ALIASES: [&str; 2] = ["libcomputenetwork.dll.so", "libcomputenetwork.dll"];

/// Shells, and where each looks for what completes the arguments of `hcs`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/hcs"),
    ("zsh", "share/zsh/site-functions/_hcs"),
    ("fish", "share/fish/vendor_completions.d/hcs.fish"),
];

/// Options of `cargo xtask install`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Below which directory things go and are looked for later
    #[arg(long, default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// A directory to put in front of every path written, for packages; no file mentions it
    #[arg(long, default_value = "/")]
    pub(crate) destdir: PathBuf,
    /// Install what a build for development makes, which takes less time to build and is slower
    #[arg(long)]
    pub(crate) debug: bool,
}

/// Builds the release, or what is built for development, and copies it.
///
/// # Errors
/// The build failed, or a file cannot be written; the message names it.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    let (profile, folder) = match arguments.debug {
        true => (&[][..], "debug"),
        false => (&["--release"][..], "release"),
    };
    build(repository, profile)?;
    let built = repository.target.join(folder);
    place(repository, &built, &arguments.prefix, &arguments.destdir)?;
    println!(
        "installed below {}; where ld.so does not look by itself, programs need LD_LIBRARY_PATH={}/lib, and where it keeps \
         a list (/usr/local), `ldconfig` has to be run",
        below(&arguments.destdir, &arguments.prefix).display(),
        arguments.prefix.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Builds what is shipped, with `profile`, the options of cargo for that.
///
/// # Errors
/// The build failed.
pub(crate) fn build(repository: &Repository, profile: &[&str]) -> Result<()> {
    // The default members, just as a person builds them: what is there is not built again.
    let build = [&["build", "--locked"], profile].concat();
    if !succeeds(cargo().current_dir(&repository.root).args(build))? {
        return Err("the build failed".into());
    }
    Ok(())
}

/// Copies what cargo has built in the folder `built` below `prefix`, which is itself below `destdir`.
///
/// # Errors
/// `prefix` is not absolute, or a file cannot be written; the message names it.
pub(crate) fn place(
    repository: &Repository,
    built: &Path,
    prefix: &Path,
    destdir: &Path,
) -> Result<()> {
    if !prefix.is_absolute() {
        return Err(format!("--prefix must be absolute, not {}", prefix.display()).into());
    }
    let (at, prefix) = (prefix, below(destdir, prefix));
    let mut placed = Placed::read(&prefix)?;
    let placed = &mut placed;
    for program in ["hcs", "hcsd", "hcs-guest"] {
        copy(placed, &built.join(program), &prefix.join("bin"), 0o755)?;
    }
    manual(placed, &built.join("hcs"), &prefix)?;
    for (library, mode) in [("libcomputecore.so", 0o755), ("libcomputecore.a", 0o644)] {
        copy(placed, &built.join(library), &prefix.join("lib"), mode)?;
    }
    copy(
        placed,
        &built.join("libcomputenetwork.so"),
        &prefix.join("lib"),
        0o755,
    )?;
    for (aliases, to) in [
        (&ALIASES[..], "libcomputecore.so"),
        (&NETWORK_ALIASES, "libcomputenetwork.so"),
    ] {
        for alias in aliases {
            link(placed, to, &prefix.join("lib").join(alias))?;
        }
    }
    let library = repository.root.join("crates/computecore");
    for header in fs::read_dir(library.join("include"))? {
        copy(placed, &header?.path(), &prefix.join("include"), 0o644)?;
    }
    for header in fs::read_dir(library.join("compat"))? {
        copy(
            placed,
            &header?.path(),
            &prefix.join("include/hcs-compat"),
            0o644,
        )?;
    }
    for (package, name) in [
        ("computecore", "computecore"),
        ("computecore", "computecore-wide"),
        ("computenetwork", "computenetwork"),
    ] {
        let template = repository
            .root
            .join(format!("crates/{package}/{name}.pc.in"));
        let template = fs::read_to_string(template)?;
        let text = pkg_config(&template, at);
        write(
            placed,
            &prefix.join(format!("lib/pkgconfig/{name}.pc")),
            &text,
        )?;
    }
    let sample = repository.root.join("packaging/hcsd.toml");
    copy(placed, &sample, &prefix.join("share/doc/hcs"), 0o644)?;
    for unit in fs::read_dir(repository.root.join("packaging/systemd"))? {
        let unit = unit?.path();
        let text = fs::read_to_string(&unit)?
            .replace("/usr/bin/hcs", &format!("{}/bin/hcs", at.display()));
        let name = unit.file_name().unwrap_or_default();
        write(placed, &prefix.join("lib/systemd/system").join(name), &text)?;
    }
    placed.write()
}

/// Manual pages and completions, which the program itself writes.
fn manual(placed: &mut Placed, hcs: &Path, prefix: &Path) -> Result<()> {
    let pages = prefix.join("share/man/man1");
    make(placed, &pages).map_err(|e| format!("{} cannot be made: {e}", pages.display()))?;
    said(hcs, &["man".as_ref(), pages.as_os_str()])?;
    for page in fs::read_dir(&pages)?.flatten() {
        let name = page.file_name();
        let name = name.to_string_lossy();
        // Pages of other packages may begin alike, and a link is none of ours.
        let is_ours = name == "hcs.1" || name.starts_with("hcs-");
        if is_ours && page.file_type()?.is_file() {
            fs::set_permissions(page.path(), fs::Permissions::from_mode(0o644))?;
            placed.file(&page.path());
        }
    }
    for (shell, file) in COMPLETIONS {
        let script = said(hcs, &["completion".as_ref(), shell.as_ref()])?;
        write(placed, &prefix.join(file), &script)?;
    }
    Ok(())
}

/// What a program prints.
fn said(program: &Path, arguments: &[&OsStr]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|e| format!("{} cannot be run: {e}", program.display()))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} {arguments:?} failed: {why}", program.display()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn below(destdir: &Path, prefix: &Path) -> PathBuf {
    destdir.join(prefix.strip_prefix("/").unwrap_or(prefix))
}

fn pkg_config(template: &str, prefix: &Path) -> String {
    template
        .replace("@PREFIX@", &prefix.display().to_string())
        .replace("@LIBDIR@", "${prefix}/lib")
        .replace("@INCLUDEDIR@", "${prefix}/include")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
}

/// Copies a file into a folder. What is there is replaced, not written into: it may be running.
fn copy(placed: &mut Placed, from: &Path, folder: &Path, mode: u32) -> Result<()> {
    let name = from.file_name().ok_or("a file has a name")?;
    let (to, new) = (
        folder.join(name),
        folder.join(format!("{}.new", name.to_string_lossy())),
    );
    placed.file(&to);
    let copied = make(placed, folder)
        .and_then(|()| fs::copy(from, &new))
        .and_then(|_| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&new, &to));
    copied.map_err(|e| {
        format!(
            "{} cannot be copied to {}: {e}",
            from.display(),
            to.display()
        )
        .into()
    })
}

/// Makes a link to a file beside it, in the place of what is there.
fn link(placed: &mut Placed, to: &str, at: &Path) -> Result<()> {
    placed.file(at);
    let new = at.with_extension("new");
    // Of an install that was broken off.
    let _ = fs::remove_file(&new);
    let linked = std::os::unix::fs::symlink(to, &new).and_then(|()| fs::rename(&new, at));
    linked.map_err(|e| format!("{} cannot be linked to {to}: {e}", at.display()).into())
}

fn write(placed: &mut Placed, to: &Path, text: &str) -> Result<()> {
    let folder = to.parent().ok_or("a file has a folder")?;
    placed.file(to);
    let written = make(placed, folder)
        .and_then(|()| fs::write(to, text))
        .and_then(|()| fs::set_permissions(to, fs::Permissions::from_mode(0o644)));
    written.map_err(|e| format!("{} cannot be written: {e}", to.display()).into())
}

/// Makes a folder, and those above it. The service is only started from folders that only their owner can write to,
/// so the mask of the person who installs has no effect on their modes.
fn make(placed: &mut Placed, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make(placed, above)?;
    }
    fs::create_dir(folder)?;
    placed.folder(folder);
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_made_are_writable_by_their_owner_only() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("lib/systemd/system");
        let mut placed = Placed::read(place.path()).unwrap();
        make(&mut placed, &folder).unwrap();
        make(&mut placed, &folder).unwrap();
        for made in [folder.as_path(), folder.parent().unwrap()] {
            let mode = fs::metadata(made).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
        }
    }

    #[test]
    fn the_unit_is_one_that_systemd_takes_and_keeps_containers_alive() {
        let unit = include_str!("../../packaging/systemd/hcsd.service");
        let settings: Vec<&str> = unit.lines().filter(|line| !line.starts_with('#')).collect();
        for needed in [
            "Type=notify",
            "ExecReload=/usr/bin/hcs service reload",
            "KillMode=process",
            "Delegate=yes",
            "SystemCallArchitectures=native",
        ] {
            assert!(settings.contains(&needed), "{needed}");
        }
        for wrong in [
            "NoNewPrivileges=yes",
            "PrivateMounts=yes",
            "RestrictNamespaces=yes",
        ] {
            assert!(!settings.contains(&wrong), "{wrong}");
        }
        // Where systemd is installed it says itself what it does not understand.
        let place = tempfile::tempdir().unwrap();
        let socket = include_str!("../../packaging/systemd/hcsd.socket");
        let service = place.path().join("hcsd.service");
        let there = unit
            .replace("/usr/bin/hcsd", "/bin/true")
            .replace("/usr/bin/hcs ", "/bin/true ");
        fs::write(&service, there).unwrap();
        fs::write(place.path().join("hcsd.socket"), socket).unwrap();
        let verify = ["verify", "--man=no"];
        if let Ok(said) = Command::new("systemd-analyze")
            .args(verify)
            .arg(&service)
            .output()
        {
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(!said.contains("hcsd."), "{said}");
        }
    }

    #[test]
    fn what_the_program_writes_goes_where_man_and_shells_look() {
        let place = tempfile::tempdir().unwrap();
        // In the place of hcs: it makes a page, and says what it was asked.
        let hcs = place.path().join("hcs");
        let script = "#!/bin/sh\nif [ \"$1\" = man ]; then umask 077; echo page > \"$2/hcs-run.1\"; fi\necho \"$@\"\n";
        fs::write(&hcs, script).unwrap();
        fs::set_permissions(&hcs, fs::Permissions::from_mode(0o755)).unwrap();
        let prefix = place.path().join("usr");
        manual(&mut Placed::read(&prefix).unwrap(), &hcs, &prefix).unwrap();
        for (shell, file) in COMPLETIONS {
            let text = fs::read_to_string(prefix.join(file)).unwrap();
            assert_eq!(text, format!("completion {shell}\n"));
        }
        let page = prefix.join("share/man/man1/hcs-run.1");
        let mode = fs::metadata(page).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let failed = said(Path::new("/bin/false"), &[]).unwrap_err();
        assert!(failed.to_string().contains("/bin/false"), "{failed}");
    }

    #[test]
    fn the_pkg_config_files_have_no_placeholder_left() {
        for template in [
            include_str!("../../crates/computecore/computecore.pc.in"),
            include_str!("../../crates/computecore/computecore-wide.pc.in"),
            include_str!("../../crates/computenetwork/computenetwork.pc.in"),
        ] {
            let text = pkg_config(template, Path::new("/opt/hcs"));
            assert!(text.contains("prefix=/opt/hcs"), "{text}");
            assert!(!text.contains('@'), "{text}");
        }
    }

    /// Row C7.
    #[test]
    fn the_library_is_found_by_its_other_names() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("libcomputecore.so"), "library").unwrap();
        for alias in ALIASES {
            // Again over what is there.
            for _ in 0..2 {
                let mut placed = Placed::read(place.path()).unwrap();
                link(&mut placed, "libcomputecore.so", &place.path().join(alias)).unwrap();
            }
            let text = fs::read_to_string(place.path().join(alias)).unwrap();
            assert_eq!(text, "library");
        }
    }

    #[test]
    fn a_destdir_goes_in_front() {
        let path = below(Path::new("/tmp/stage"), Path::new("/usr"));
        assert_eq!(path, Path::new("/tmp/stage/usr"));
        assert_eq!(below(Path::new("/"), Path::new("/usr")), Path::new("/usr"));
    }
}
