//! From what the kernel says to what the bridge says.

use hcs_schema::{Failure, HResult, win32};
use rustix::io::Errno;

/// `ERROR_PATH_NOT_FOUND`.
const PATH_NOT_FOUND: u16 = 3;
/// `ERROR_TOO_MANY_OPEN_FILES`.
const TOO_MANY_OPEN_FILES: u16 = 4;
/// `ERROR_SHARING_VIOLATION`.
const SHARING_VIOLATION: u16 = 32;
/// `ERROR_BAD_EXE_FORMAT`.
const BAD_EXE_FORMAT: u16 = 193;
/// `ERROR_FILENAME_EXCED_RANGE`; Windows answers it for command lines that are too long as well.
const FILENAME_EXCED_RANGE: u16 = 206;
/// `ERROR_IO_DEVICE`.
const IO_DEVICE: u16 = 1117;
/// `ERROR_CANT_RESOLVE_FILENAME`.
const CANT_RESOLVE_FILENAME: u16 = 1921;

/// The HRESULT that means what `errno` means.
pub(crate) fn hresult(errno: Errno) -> HResult {
    let code = match errno {
        Errno::NOENT => win32::ERROR_FILE_NOT_FOUND,
        Errno::NOTDIR => PATH_NOT_FOUND,
        Errno::ACCESS | Errno::PERM | Errno::ISDIR => win32::ERROR_ACCESS_DENIED,
        Errno::NOEXEC | Errno::LIBBAD => BAD_EXE_FORMAT,
        Errno::TOOBIG | Errno::NAMETOOLONG => FILENAME_EXCED_RANGE,
        Errno::TXTBSY => SHARING_VIOLATION,
        Errno::LOOP => CANT_RESOLVE_FILENAME,
        Errno::IO => IO_DEVICE,
        Errno::MFILE | Errno::NFILE => TOO_MANY_OPEN_FILES,
        Errno::AGAIN | Errno::NOSPC | Errno::USERS => win32::ERROR_NO_SYSTEM_RESOURCES,
        Errno::SRCH => win32::ERROR_NOT_FOUND,
        Errno::NOMEM => return HResult::E_OUTOFMEMORY,
        Errno::INVAL => return HResult::E_INVALIDARG,
        _ => return HResult::E_FAIL,
    };
    HResult::from_win32(code)
}

/// What `errno` means, in words, as the system puts it.
pub(crate) fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let plain = text.split(" (os error").next().unwrap_or_default();
    plain.to_lowercase()
}

/// A failure of the agent's own doing: what was done, and what the kernel said.
pub(crate) fn from_errno(doing: &str, errno: Errno) -> Failure {
    Failure::new(hresult(errno), format!("{doing}: {}", words(errno)))
}
