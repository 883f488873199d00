//! From errors of the kernel to HRESULTs and words: the base that the agent and all engines share.
//!
//! A caller may know more than the number: a connection was refused, or the kernel does not take such a mount. It
//! decides that case itself and asks here for the rest.

use hcs_schema::{Failure, HResult, win32};
use rustix::io::Errno;

/// `ERROR_PATH_NOT_FOUND`.
const PATH_NOT_FOUND: u16 = 3;
/// `ERROR_TOO_MANY_OPEN_FILES`.
const TOO_MANY_OPEN_FILES: u16 = 4;
/// `ERROR_SHARING_VIOLATION`.
const SHARING_VIOLATION: u16 = 32;
/// `ERROR_FILENAME_EXCED_RANGE`; Windows answers it for command lines that are too long as well.
const FILENAME_EXCED_RANGE: u16 = 206;
/// `ERROR_IO_DEVICE`.
const IO_DEVICE: u16 = 1117;
/// `ERROR_CANT_RESOLVE_FILENAME`.
const CANT_RESOLVE_FILENAME: u16 = 1921;

/// The HRESULT that means to an HCS client what `errno` means to a Linux program; `E_FAIL` where there is none.
#[must_use]
pub fn hresult(errno: Errno) -> HResult {
    let code = match errno {
        Errno::NOENT => win32::ERROR_FILE_NOT_FOUND,
        Errno::NOTDIR => PATH_NOT_FOUND,
        Errno::ACCESS | Errno::PERM | Errno::ISDIR => win32::ERROR_ACCESS_DENIED,
        Errno::NOEXEC | Errno::LIBBAD => win32::ERROR_BAD_EXE_FORMAT,
        Errno::TOOBIG | Errno::NAMETOOLONG => FILENAME_EXCED_RANGE,
        Errno::TXTBSY => SHARING_VIOLATION,
        Errno::LOOP => CANT_RESOLVE_FILENAME,
        Errno::IO => IO_DEVICE,
        Errno::MFILE | Errno::NFILE => TOO_MANY_OPEN_FILES,
        Errno::AGAIN | Errno::NOSPC | Errno::USERS | Errno::DQUOT | Errno::TOOMANYREFS => {
            win32::ERROR_NO_SYSTEM_RESOURCES
        }
        Errno::SRCH => win32::ERROR_NOT_FOUND,
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV => win32::ERROR_NOT_SUPPORTED,
        Errno::TIMEDOUT => win32::ERROR_TIMEOUT,
        Errno::NOMEM => return HResult::E_OUTOFMEMORY,
        Errno::INVAL => return HResult::E_INVALIDARG,
        _ => return HResult::E_FAIL,
    };
    HResult::from_win32(code)
}

/// The same for an error of the standard library; `E_FAIL` where it did not come from the kernel.
#[must_use]
pub fn of_io(error: &std::io::Error) -> HResult {
    Errno::from_io_error(error).map_or(HResult::E_FAIL, hresult)
}

/// What `ETOOMANYREFS` means: the kernel counts such descriptors for each user, and holds them against the limit of the
/// process that sends some more.
pub const IN_FLIGHT: &str = "too many descriptors of this user are in flight, which were sent over sockets and not read: end \
                             the program or container that keeps them there, or raise the limit on open files of the \
                             process that sends (ulimit -n, LimitNOFILE=)";

/// `ENOTSUPP` of the kernel, which libc has no name for: at the installation of a filter, that it cannot be compiled.
pub const UNCOMPILED: Errno = Errno::from_raw_os_error(524);

/// What that means. Filters of system calls and of sockets share one measure.
pub const NO_ROOM_FOR_FILTERS: &str = "the kernel has no room for another compiled filter (error 524): the programs of \
                                       this host have as many as the setting net.core.bpf_jit_limit allows; end the \
                                       container or program that has most of them, or raise it \
                                       (sysctl -w net.core.bpf_jit_limit=BYTES)";

/// What `errno` means, in words, as the system puts it.
#[must_use]
pub fn words(errno: Errno) -> String {
    match errno {
        Errno::FBIG => {
            return "file too large for the limit of the process that writes it (ulimit -f), or for its file system"
                .to_owned();
        }
        Errno::TOOMANYREFS => return IN_FLIGHT.to_owned(),
        _ => {}
    }
    let text = std::io::Error::from(errno).to_string();
    let plain = text.split(" (os error").next().unwrap_or_default();
    plain.to_lowercase()
}

/// The failure of a step: what was done, and what the kernel answered.
#[must_use]
pub fn failed(doing: &str, errno: Errno) -> Failure {
    Failure::new(hresult(errno), format!("{doing}: {}", words(errno)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_has_the_code_and_the_words_of_its_error() {
        let failure = failed("opening /x", Errno::NOENT);
        assert_eq!(failure.hresult, HResult::FILE_NOT_FOUND);
        assert_eq!(failure.message, "opening /x: no such file or directory");
        assert!(words(Errno::FBIG).contains("ulimit -f"));
        let failure = failed("sending pipes", Errno::TOOMANYREFS);
        assert!(failure.message.contains("in flight"), "{failure}");
    }

    #[test]
    fn an_error_has_the_code_of_windows_that_means_the_same() {
        let win32 = [
            (2, &[Errno::NOENT][..]),
            (3, &[Errno::NOTDIR]),
            (4, &[Errno::MFILE, Errno::NFILE]),
            (5, &[Errno::ACCESS, Errno::PERM, Errno::ISDIR]),
            (32, &[Errno::TXTBSY]),
            (50, &[Errno::OPNOTSUPP, Errno::NOSYS, Errno::NODEV]),
            (193, &[Errno::NOEXEC, Errno::LIBBAD]),
            (206, &[Errno::TOOBIG, Errno::NAMETOOLONG]),
            (1117, &[Errno::IO]),
            (1168, &[Errno::SRCH]),
            (
                1450,
                &[
                    Errno::AGAIN,
                    Errno::NOSPC,
                    Errno::USERS,
                    Errno::DQUOT,
                    Errno::TOOMANYREFS,
                ],
            ),
            (1460, &[Errno::TIMEDOUT]),
            (1921, &[Errno::LOOP]),
        ];
        for (code, errors) in win32 {
            for errno in errors {
                assert_eq!(hresult(*errno), HResult::from_win32(code), "{errno}");
            }
        }
        assert_eq!(hresult(Errno::NOMEM), HResult::E_OUTOFMEMORY);
        assert_eq!(hresult(Errno::INVAL), HResult::E_INVALIDARG);
        assert_eq!(hresult(Errno::PIPE), HResult::E_FAIL);
    }

    #[test]
    fn an_error_of_the_standard_library_has_the_code_of_its_number() {
        let kernels = std::io::Error::from(Errno::NOTDIR);
        assert_eq!(of_io(&kernels), hresult(Errno::NOTDIR));
        assert_eq!(of_io(&std::io::Error::other("ours")), HResult::E_FAIL);
    }

    #[test]
    fn every_number_has_an_hresult_that_says_failure() {
        for number in 1..=4095 {
            let code = hresult(Errno::from_raw_os_error(number));
            assert!(!code.is_success(), "{number}: {code}");
        }
    }
}
