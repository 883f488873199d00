//! Where the reference files are, which are not part of this repository.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    env,
    path::{Path, PathBuf},
};

/// The directory named by `variable`, else `default` beside the workspace; `None` (and a word about it) without one.
pub(crate) fn reference(variable: &str, default: &str) -> Option<PathBuf> {
    let beside = || {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared")
            .join(default)
    };
    let directory = env::var_os(variable).map_or_else(beside, PathBuf::from);
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!(
        "skipped: there is no {} (${variable} names it)",
        directory.display()
    );
    None
}
