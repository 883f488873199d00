//! What the repository holds: its files as git sees them, its crates as cargo sees them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use crate::{
    Result,
    process::{cargo, output},
};

/// The repository around the current directory.
#[derive(Debug)]
pub(crate) struct Repository {
    /// Its root.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    /// Files relative to the root, with `/`: tracked ones and new ones that are not ignored. Sorted.
    pub files: Vec<String>,
    /// The workspace's crates.
    pub packages: Vec<Package>,
}

/// A crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Name, which is also its folder's.
    pub name: String,
    /// Path of its Cargo.toml.
    pub manifest_path: PathBuf,
    /// All it depends on.
    pub dependencies: Vec<Dependency>,
}

/// An arrow from one crate to another.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Name of the crate at the end of the arrow.
    pub name: String,
    /// `None` for a normal dependency, else "dev" or "build".
    pub kind: Option<String>,
    /// Set when it is a crate of ours.
    pub path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Repository {
    /// Reads the repository around the current directory.
    ///
    /// # Errors
    /// There is no workspace, or git or cargo cannot be run.
    pub(crate) fn here() -> Result<Self> {
        let text =
            output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
        let metadata: Metadata = serde_json::from_str(&text)?;
        let root = metadata.workspace_root;
        let listing = output(Command::new("git").current_dir(&root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files: Vec<String> = listing
            .split_terminator('\0')
            .filter(|file| root.join(file).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(Self {
            root,
            target: metadata.target_directory,
            files,
            packages: metadata.packages,
        })
    }

    /// The text of a file, by its path relative to the root.
    ///
    /// # Errors
    /// It cannot be read or is not UTF-8.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.root.join(file))
            .map_err(|error| format!("{file} cannot be read: {error}").into())
    }

    /// Writes a file, by its path relative to the root.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.root.join(file), text)
            .map_err(|error| format!("{file} cannot be written: {error}").into())
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.files.iter().any(|f| f == file)
    }

    /// The files that end with one of `endings`.
    pub(crate) fn ending<'a>(&'a self, endings: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.files
            .iter()
            .map(String::as_str)
            .filter(move |file| endings.iter().any(|ending| file.ends_with(ending)))
    }

    /// `path` relative to the root, for messages.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}
