//! Layers as folders that are taken elsewhere: an export is a folder with one file, `layer.tar`, which is imported
//! again.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, fsync, linkat, openat},
    io::Errno,
};

use super::{
    Exported, Marks, Options, export,
    import::{import_folder_closed, import_tar_closed},
    staging,
};
use crate::{Refusal, StorageError};

/// The file of an export; imports know it with the end of a compression, too.
const ARCHIVE: &str = "layer.tar";
const ARCHIVES: [&str; 3] = [ARCHIVE, "layer.tar.gz", "layer.tar.zst"];

/// Writes the layer at `layer` to `layer.tar` in `folder`, which exists and has no such file. It is there whole or not
/// at all.
///
/// # Errors
/// As [`export()`], or the file is there (`EEXIST`), or cannot be written.
pub fn export_to_folder(
    layer: &Path,
    marks: Marks,
    options: &Options,
    folder: &Path,
) -> Result<Exported, StorageError> {
    let failed = |action, errno| step(action, folder, errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = openat(CWD, folder, flags, Mode::empty());
    let place = place.map_err(|errno| failed("opening", errno))?;
    // A file without a name goes with the process that was killed.
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = openat(&place, ".", flags, Mode::RUSR | Mode::WUSR);
    let file = File::from(file.map_err(|errno| failed("making a file in", errno))?);
    let exported = export(layer, marks, &options.limits, &file)?;
    fsync(&file).map_err(|errno| failed("writing to disk the archive in", errno))?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let named = linkat(CWD, own, &place, ARCHIVE, AtFlags::SYMLINK_FOLLOW);
    named.map_err(|errno| failed("giving the name layer.tar to the archive in", errno))?;
    fsync(&place).map_err(|errno| failed("writing to disk the names in", errno))?;
    Ok(exported)
}

/// Makes the layer at `target` of `source`: an archive, a folder with an archive and nothing else ([`export_to_folder`]
/// writes such), or a folder with the files of the layer. An empty directory at `target` is replaced. `target` may be
/// in a directory that others may enter: a layer of root can be entered by root alone.
///
/// # Errors
/// As [`super::import_tar`] and [`super::import_folder`].
pub fn import_from(
    source: &Path,
    marks: Marks,
    target: &Path,
    options: &Options,
) -> Result<(), StorageError> {
    if let Some(parent) = target.parent().filter(|path| !path.as_os_str().is_empty()) {
        // What cannot be removed of an earlier call is no reason to fail this one.
        let _left = staging::sweep(parent);
    }
    let archive = archive(source)?;
    match fs::remove_dir(target) {
        Ok(()) => {}
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            errno => {
                let errno = errno.unwrap_or(Errno::IO);
                return Err(step("replacing the directory", target, errno));
            }
        },
    }
    match archive {
        Some(file) => import_tar_closed(file, target, options),
        None => import_folder_closed(source, marks, target, options),
    }
}

/// The archive that `source` is, or is the folder of.
fn archive(source: &Path) -> Result<Option<File>, StorageError> {
    let failed = |error: std::io::Error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        step("opening", source, errno)
    };
    let mut path = source.to_owned();
    if fs::metadata(source).map_err(failed)?.is_dir() {
        let mut names = fs::read_dir(source).map_err(failed)?;
        let (Some(only), None) = (names.next(), names.next()) else {
            return Ok(None);
        };
        let only = only.map_err(failed)?;
        let name = only.file_name();
        let is_known = ARCHIVES.iter().any(|known| name == OsStr::new(known));
        if !is_known || !only.file_type().map_err(failed)?.is_file() {
            return Ok(None);
        }
        path = only.path();
    }
    // A FIFO in its place does not hold up the call.
    let mut flags = OFlags::NONBLOCK;
    if path != source {
        // It was a file a moment ago, and another may have put a link in its place.
        flags |= OFlags::NOFOLLOW;
    }
    let flags = flags.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(failed)?;
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(Some(file)),
        false => {
            let what = source.as_os_str().as_bytes();
            Err(StorageError::refused(what, Refusal::NoFile))
        }
    }
}

fn step(action: &'static str, path: &Path, errno: Errno) -> StorageError {
    StorageError::step(action, path.as_os_str().as_bytes(), errno)
}
