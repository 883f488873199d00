//! What the command line says about containers and processes, and the documents that come of it.
//!
//! Everything here is pure: the working directory, the number of processors and the environment are handed in
//! ([`Surroundings`]), so that the same arguments always give the same documents.

pub(crate) mod container;
pub(crate) mod limit;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod processors;
pub(crate) mod systems;
pub(crate) mod variable;

use std::{
    env,
    path::{Path, PathBuf},
};

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

/// What the documents depend on besides the arguments.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Relative paths start here; none where that was removed or may not be entered.
    pub directory: Option<PathBuf>,
    /// Processors of this machine.
    pub processors: u32,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn here() -> Self {
        let processors =
            std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            directory: env::current_dir().ok(),
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
        }
    }

    /// `path` from the root, as a document can hold it.
    ///
    /// # Errors
    /// The path is not UTF-8, which JSON cannot say, or relative to a working directory that is not there.
    pub(crate) fn absolute(&self, path: &Path) -> Result<String, Failure> {
        let absolute = match &self.directory {
            Some(directory) => directory.join(path),
            None if path.is_absolute() => path.to_owned(),
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
