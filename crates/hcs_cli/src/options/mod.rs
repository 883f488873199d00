//! What the command line says about containers and processes, and the documents that come of it.
//!
//! Everything here is pure but for one look at what is mapped ([`mount`]): the working directory, the number of
//! processors and the environment are handed in ([`Surroundings`]), so that the same arguments always give the same
//! documents.

pub(crate) mod container;
pub(crate) mod device;
pub(crate) mod end;
pub(crate) mod image;
pub(crate) mod limit;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod processors;
pub(crate) mod pull;
pub(crate) mod share;
pub(crate) mod since;
pub(crate) mod systems;
pub(crate) mod temporary;
pub(crate) mod unpacking;
pub(crate) mod variable;

use std::{
    env,
    path::{Component, Path, PathBuf},
};

use hcs::documents::Signal;
use hcs_schema::{Failure, HResult};

/// Reads the pid of a process.
///
/// # Errors
/// It is none.
pub(crate) fn pid(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err("expected the pid of a process, as hcs ps shows it".to_owned()),
    }
}

/// Reads a signal: `TERM`, `SIGTERM`, `term` or `15`.
///
/// # Errors
/// It is none.
pub(crate) fn signal(text: &str) -> Result<Signal, String> {
    if let Ok(number) = text.parse::<u8>()
        && (1..=64).contains(&number)
    {
        return Ok(Signal::Linux(number));
    }
    match Signal::from_name(text).or_else(|| Signal::from_name(&text.to_ascii_uppercase())) {
        Some(signal) => Ok(signal),
        None => Err(
            "expected the name of a signal such as TERM or RTMIN+3, or a number from 1 to 64"
                .to_owned(),
        ),
    }
}

/// Reads how many of something there may be.
///
/// # Errors
/// It is no number, or none.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("expected a whole number of at least 1, such as 100".to_owned()),
    }
}

/// What the documents depend on besides the arguments.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Relative paths start here; none where that was removed or may not be entered.
    pub directory: Option<PathBuf>,
    /// Counts the processors of this machine: a dozen system calls, where a limit needs them.
    pub processors: fn() -> u32,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn here() -> Self {
        Self {
            directory: env::current_dir().ok(),
            processors: || {
                let processors = std::thread::available_parallelism();
                let processors = processors.map_or(1, std::num::NonZeroUsize::get);
                u32::try_from(processors).unwrap_or(u32::MAX)
            },
        }
    }

    /// Processors of this machine.
    pub(crate) fn processors(&self) -> u32 {
        (self.processors)()
    }

    /// `path` from the root, as a document can hold it.
    ///
    /// # Errors
    /// The path is not UTF-8, which JSON cannot say, or relative to a working directory that is not there.
    pub(crate) fn absolute(&self, path: &Path) -> Result<String, Failure> {
        let absolute = match &self.directory {
            Some(directory) => plain(directory, path),
            None if path.is_absolute() => plain(Path::new("/"), path),
            None => {
                let message = format!(
                    "{path:?} cannot be found: the current working directory was removed, or may not be entered"
                );
                return Err(Failure::new(HResult::E_INVALIDARG, message));
            }
        };
        match absolute.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Failure::new(
                HResult::E_INVALIDARG,
                format!(
                    "the path {absolute:?} is not UTF-8, so no JSON document can name it; rename it, or bind-mount it \
                     to another path"
                ),
            )),
        }
    }
}

/// `path` from `directory`, which is a working directory: no part of it is a symbolic link. What has no effect is left
/// out; behind a name, `..` may lead anywhere, and stays.
fn plain(directory: &Path, path: &Path) -> PathBuf {
    let mut plain = match path.is_absolute() {
        true => PathBuf::from("/"),
        false => directory.to_owned(),
    };
    let mut named = false;
    for part in path.components() {
        match part {
            Component::ParentDir if !named => {
                // Above the root there is the root.
                let _at_the_root = plain.pop();
            }
            Component::ParentDir => plain.push(".."),
            Component::Normal(name) => {
                named = true;
                plain.push(name);
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_short_as_they_can_be_without_a_look_at_the_files() {
        for (path, expected) in [
            ("x", "/home/me/x"),
            ("./x/", "/home/me/x"),
            (".", "/home/me"),
            ("..", "/home"),
            ("../../../../x", "/x"),
            (".././x/./y//z", "/home/x/y/z"),
            ("x/../y", "/home/me/x/../y"),
            ("/a//./b/", "/a/b"),
            ("/../a", "/a"),
            ("/a/../b", "/a/../b"),
        ] {
            let plain = plain(Path::new("/home/me"), Path::new(path));
            assert_eq!(plain.to_str(), Some(expected), "{path}");
        }
    }
}
