//! `cargo xtask uninstall`: removes what `cargo xtask install` has made below a prefix, and nothing else.
//!
//! The installation writes the list of it. Directories that were there before stay, and so does one that is not empty.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use crate::{Result, install};

/// Where the list is, below the prefix: a path in each line, that of a directory with `/` at its end.
const LIST: &str = "share/doc/hcs/installed";

/// The line of the prefix itself, where the installation has made it. The last of a list that is read from its end.
const PREFIX: &str = "./";

/// What was made below a prefix, by this installation and by earlier ones.
#[derive(Debug)]
pub(crate) struct Placed {
    prefix: PathBuf,
    /// As in the list.
    lines: BTreeSet<String>,
}

impl Placed {
    /// What earlier installations have made below `prefix`.
    ///
    /// # Errors
    /// The list cannot be read.
    pub(crate) fn read(prefix: &Path) -> Result<Self> {
        let list = prefix.join(LIST);
        let text = match fs::read_to_string(&list) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|e| format!("{} cannot be read: {e}", list.display()))?,
        };
        Ok(Self {
            prefix: prefix.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
        })
    }

    /// A file or link is, or is about to be, there.
    pub(crate) fn file(&mut self, path: &Path) {
        self.add(path, "");
    }

    /// A directory was made.
    pub(crate) fn folder(&mut self, path: &Path) {
        match path == self.prefix {
            true => drop(self.lines.insert(PREFIX.to_owned())),
            false => self.add(path, "/"),
        }
    }

    /// Anything outside of the prefix, such as a directory above it, is not ours to remove.
    fn add(&mut self, path: &Path, end: &str) {
        let inside = path.strip_prefix(&self.prefix).ok();
        if let Some(inside) = inside.filter(|inside| inside.components().next().is_some()) {
            self.lines.insert(format!("{}{end}", inside.display()));
        }
    }

    /// Writes the list, which has itself.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&mut self) -> Result<()> {
        let list = self.prefix.join(LIST);
        self.file(&list);
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&list, text)
            .map_err(|e| format!("{} cannot be written: {e}", list.display()).into())
    }

    /// Removes all of it; returns how many files.
    fn remove(self) -> Result<usize> {
        let mut files = 0;
        // From the inside out; the list last, so that what fails can be tried again.
        let list = LIST.to_owned();
        let (folders, others): (Vec<_>, Vec<_>) = self
            .lines
            .into_iter()
            .rev()
            .partition(|line| line.ends_with('/'));
        let others = others.into_iter().filter(|line| *line != list);
        for line in others.chain([list.clone()]) {
            let path = inside(&self.prefix, &line)?;
            match fs::remove_file(&path) {
                Ok(()) => files += 1,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(format!("{} cannot be removed: {e}", path.display()).into()),
            }
        }
        for line in folders {
            // A folder that has something else in it by now stays.
            let _kept = fs::remove_dir(inside(&self.prefix, &line)?);
        }
        Ok(files)
    }
}

/// The path of a line.
fn inside(prefix: &Path, line: &str) -> Result<PathBuf> {
    if line == PREFIX {
        return Ok(prefix.to_owned());
    }
    let path = Path::new(line);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if line.is_empty() || !plain {
        let list = prefix.join(LIST);
        return Err(format!("{} has {line:?}, which is no path below it", list.display()).into());
    }
    Ok(prefix.join(path))
}

/// Removes what the list names.
///
/// # Errors
/// Nothing was installed there, or a file cannot be removed; the message names it.
pub(crate) fn run(arguments: &install::Arguments) -> Result<ExitCode> {
    let prefix = install::below(&arguments.destdir, &arguments.prefix);
    let placed = Placed::read(&prefix)?;
    if placed.lines.is_empty() {
        let list = prefix.join(LIST);
        return Err(format!(
            "nothing was installed below {} by this command ({} is not there): --prefix names another directory",
            prefix.display(),
            list.display()
        )
        .into());
    }
    let files = placed.remove()?;
    println!(
        "removed {files} files below {}; images and what containers left are below /var/lib/hcs and /run/hcs, and a \
         configuration is in /etc/hcs, if they are there",
        prefix.display()
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(prefix: &Path) -> install::Arguments {
        install::Arguments {
            prefix: prefix.to_owned(),
            destdir: "/".into(),
            debug: false,
        }
    }

    /// Row N7.
    #[test]
    fn what_was_installed_is_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let prefix = place.path().join("usr");
        let bin = prefix.join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("other"), "").unwrap();
        // An earlier installation made a file that this one has not.
        for name in ["old", "hcs"] {
            let mut placed = Placed::read(&prefix).unwrap();
            for folder in ["share", "share/doc", "share/doc/hcs"] {
                let folder = prefix.join(folder);
                if fs::create_dir(&folder).is_ok() {
                    placed.folder(&folder);
                }
            }
            fs::write(bin.join(name), "").unwrap();
            placed.file(&bin.join(name));
            placed.write().unwrap();
        }
        run(&arguments(&prefix)).unwrap();
        assert!(bin.join("other").exists() && !bin.join("old").exists());
        let left: Vec<_> = fs::read_dir(&prefix).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let again = run(&arguments(&prefix)).unwrap_err();
        assert!(
            again.to_string().contains("nothing was installed"),
            "{again}"
        );
    }

    #[test]
    fn a_prefix_that_was_made_is_removed() {
        let place = tempfile::tempdir().unwrap();
        for (name, others) in [("mine", false), ("shared", true)] {
            let prefix = place.path().join(name);
            let mut placed = Placed::read(&prefix).unwrap();
            for folder in ["", "bin", "share", "share/doc", "share/doc/hcs"] {
                let folder = match folder {
                    "" => prefix.clone(),
                    folder => prefix.join(folder),
                };
                fs::create_dir(&folder).unwrap();
                placed.folder(&folder);
            }
            placed.write().unwrap();
            if others {
                fs::write(prefix.join("other"), "").unwrap();
            }
            run(&arguments(&prefix)).unwrap();
            assert_eq!(prefix.exists(), others);
        }
        assert!(place.path().exists());
    }

    #[test]
    fn a_list_leads_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let kept = place.path().join("kept");
        fs::write(&kept, "").unwrap();
        let prefix = place.path().join("usr");
        fs::create_dir_all(prefix.join("share/doc/hcs")).unwrap();
        for line in ["../kept", "/etc/passwd", "bin/../../kept"] {
            fs::write(prefix.join(LIST), format!("{line}\n")).unwrap();
            let refused = run(&arguments(&prefix)).unwrap_err();
            assert!(
                refused.to_string().contains("no path below it"),
                "{refused}"
            );
        }
        assert!(kept.exists());
    }
}
