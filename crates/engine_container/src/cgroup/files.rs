//! Reading and writing the files of a control group.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use crate::failure::{Attempt, StepError};

/// Writes `value` in one write, as the kernel wants it. The file must exist.
pub(super) fn write(directory: &Path, file: &str, value: &str) -> Result<(), StepError> {
    write_each(directory, file, &[value])
}

/// Writes `values` one after the other, each in one write.
pub(super) fn write_each<T: AsRef<str>>(
    directory: &Path,
    file: &str,
    values: &[T],
) -> Result<(), StepError> {
    let path = directory.join(file);
    let step = "writing the control group's";
    let mut opened = OpenOptions::new()
        .write(true)
        .open(&path)
        .step_at(step, path.display().to_string())?;
    values.iter().map(AsRef::as_ref).try_for_each(|value| {
        let written = opened.write_all(value.as_bytes());
        written
            .map_err(|error| (error, &path))
            .or_else(|(error, path)| {
                Err(error).step_at(step, format!("{} ({value})", path.display()))
            })
    })
}

/// The text of a file.
pub(super) fn read(directory: &Path, file: &str) -> Result<String, StepError> {
    let path = directory.join(file);
    fs::read_to_string(&path).step_at("reading the control group's", path.display().to_string())
}

/// A file that holds one number.
pub(super) fn read_number(directory: &Path, file: &str) -> Result<u64, StepError> {
    let text = read(directory, file)?;
    Ok(text.trim().parse().unwrap_or(u64::MAX))
}

/// The value after `key` in a file of lines "key value".
pub(super) fn value_of(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}
