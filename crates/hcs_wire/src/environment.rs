//! The environment variables that decide which service is used, and whether they may decide that.
//!
//! A program that runs with more rights than its caller (set-user-ID, set-group-ID, file capabilities) takes none of
//! them from its environment: its caller set them.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::Read as _,
    sync::OnceLock,
};

use rustix::{
    fs::stat,
    process::{getegid, geteuid, getgid, getuid},
};

/// The entry of the auxiliary vector that says whether the kernel asks for "secure execution" (`getauxval(3)`).
const AT_SECURE: usize = 23;
const WORD: usize = size_of::<usize>();

/// The value of the environment variable `name`, unless it is unset, empty, or not to be relied on ([`is_elevated`]).
///
/// Everything that chooses a socket, a program, a directory or a configuration by the environment asks here.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    if is_elevated() {
        return None;
    }
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether this program runs with rights that its caller has not, so that its environment is not to be relied on. Where
/// the kernel does not say (`/proc` is missing or may not be read), it does.
#[must_use]
pub fn is_elevated() -> bool {
    static AT_START: OnceLock<bool> = OnceLock::new();
    let at_start = *AT_START.get_or_init(|| secure_execution().unwrap_or(true));
    at_start || geteuid() != getuid() || getegid() != getgid()
}

/// Whether this process is root of the machine, or of a container that has the machine's ids. Root of a user namespace
/// with other ids (`unshare -Ur`) is an ordinary user beyond it: it has all capabilities, and none over anything of the
/// host.
#[must_use]
pub fn is_root() -> bool {
    static WITH_IDS_OF_HOST: OnceLock<bool> = OnceLock::new();
    // Where /proc is missing, the number is all there is.
    let ids_of_host = || has_ids_of_host().unwrap_or(true);
    geteuid().is_root() && *WITH_IDS_OF_HOST.get_or_init(ids_of_host)
}

/// Whether the user namespace that this process is in now has the machine's ids; `None` where the kernel does not say.
pub(crate) fn has_ids_of_host() -> Option<bool> {
    // A namespace that has them all keeps them: its map is written once.
    static HAS_ALL: OnceLock<u64> = OnceLock::new();
    let namespace = || stat("/proc/self/ns/user").ok().map(|found| found.st_ino);
    let before = namespace();
    if HAS_ALL.get().is_some_and(|known| before == Some(*known)) {
        return Some(true);
    }
    // The map of a namespace that has them all is one short line, so what does not fit is another one.
    let mut map = [0; 64];
    let read = File::open("/proc/self/uid_map").and_then(|mut file| file.read(&mut map));
    let map = map.get(..read.ok()?).filter(|map| map.len() < 64);
    let map = map.and_then(|map| std::str::from_utf8(map).ok());
    let all = map.is_some_and(has_all_ids);
    if all && let Some(namespace) = before.filter(|before| namespace() == Some(*before)) {
        HAS_ALL.get_or_init(|| namespace);
    }
    Some(all)
}

/// Whether the text of a `uid_map` says that ids are those of the machine (`user_namespaces(7)`).
pub(crate) fn has_all_ids(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether the kernel set `AT_SECURE` when the program was executed; `None` if that cannot be read. The auxiliary
/// vector of a program with more rights than its caller belongs to root and has mode 0400.
fn secure_execution() -> Option<bool> {
    let vector = fs::read("/proc/self/auxv").ok()?;
    entry(&vector, AT_SECURE).map(|value| value != 0)
}

/// The value of the entry `key` in an auxiliary vector: pairs of machine words.
fn entry(vector: &[u8], key: usize) -> Option<usize> {
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    vector
        .chunks_exact(2 * WORD)
        .find(|pair| word(&pair[..WORD]) == Some(key))
        .and_then(|pair| word(&pair[WORD..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_auxiliary_vector_is_found() {
        let words = [6_usize, 4096, AT_SECURE, 1, 0, 0];
        let vector: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(entry(&vector, AT_SECURE), Some(1));
        assert_eq!(entry(&vector, 6), Some(4096));
        assert_eq!(entry(&vector, 7), None);
        assert_eq!(entry(&vector[..3], 6), None);
    }

    #[test]
    fn root_has_the_ids_of_the_machine() {
        assert!(has_all_ids("         0          0 4294967295\n"));
        assert!(!has_all_ids("         0       1000          1\n"));
        assert!(!has_all_ids("0 0 1\n") && !has_all_ids("0 100000 65536\n") && !has_all_ids(""));
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        assert_eq!(is_root(), geteuid().is_root() && has_all_ids(&map));
        // The first answer, and what is kept of it.
        for _ in 0..2 {
            assert_eq!(has_ids_of_host(), Some(has_all_ids(&map)));
        }
    }

    /// The ids of threads of this process, as root, who alone can give itself others.
    #[test]
    fn a_program_that_acts_for_another_user_or_group_is_elevated() {
        use rustix::{
            process::{Gid, Uid},
            thread::{set_thread_res_gid, set_thread_res_uid},
        };
        assert!(!is_elevated());
        if !geteuid().is_root() {
            return;
        }
        let other = |change: fn(Uid, Gid)| {
            let (user, group) = (Uid::from_raw(1234), Gid::from_raw(1234));
            let thread = std::thread::spawn(move || {
                change(user, group);
                (is_elevated(), variable("PATH").is_some(), is_root())
            });
            thread.join().unwrap()
        };
        let as_user = other(|user, _| set_thread_res_uid(user, user, user).unwrap());
        assert_eq!(as_user, (false, true, false));
        let for_user = other(|user, _| set_thread_res_uid(Uid::ROOT, user, Uid::ROOT).unwrap());
        assert_eq!(for_user, (true, false, false));
        let for_group = other(|_, group| set_thread_res_gid(Gid::ROOT, group, Gid::ROOT).unwrap());
        assert_eq!((for_group.0, for_group.1), (true, false));
    }

    #[test]
    fn a_test_is_not_elevated_and_sees_its_environment() {
        assert_eq!(secure_execution(), Some(false));
        assert!(variable("PATH").is_some());
        assert_eq!(variable("HCS_TEST_THAT_IS_NOT_SET"), None);
    }
}
