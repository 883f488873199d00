//! Reading files of the system. Whoever is root in there may have put anything in their place, so nothing here blocks
//! and everything is bounded.

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, open},
    io::Errno,
};

/// The largest `/etc/passwd` or `/etc/group` that is read.
pub(crate) const MAX_ACCOUNTS_BYTES: usize = 4 << 20;
/// The largest file of `/proc` that is read.
pub(crate) const MAX_PROC_BYTES: usize = 64 << 10;

/// The text of the regular file `path`, broken UTF-8 replaced; `None` when there is no such file.
///
/// # Errors
/// The errno of `open(2)` or `read(2)`; `EFBIG` for a file of more than `limit` bytes; `EINVAL` for what is no regular
/// file.
pub(crate) fn read(path: &str, limit: usize) -> Result<Option<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let facts = fstat(&file)?;
    if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match rustix::io::read(&file, &mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if bytes.len() > limit {
            return Err(Errno::FBIG);
        }
    }
    Ok(Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}
