//! The default socket of a user's service.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            fs::MetadataExt as _,
        },
    },
    path::{Path, PathBuf},
};

use hcs_schema::fnv;
use rustix::{fs::readlink, io::Errno};

use crate::{
    trust::{Reason, Trusted, Untrusted},
    written,
};

/// The socket of the machine's own service.
pub const SYSTEM: &str = "/run/hcs/hcs.sock";

/// The default socket for a process of user `uid`. For root of the machine (`is_root`) it is the socket of the
/// machine's own service. For any other user, root of a user namespace among them, it is the socket of the user's
/// private service. That one is in `runtime_directory` (`$XDG_RUNTIME_DIR`), else below `home`, each of them only where
/// it is a directory that the user owns: `su` leaves those of the user before. A `runtime_directory` in which the user
/// owns a directory `hcs` counts, too. Else it is in a directory in `/tmp` named after the user.
///
/// In the last case another user may have made that directory first: call [`check`] before trusting the socket.
#[must_use]
pub fn default_for(
    (uid, is_root): (u32, bool),
    runtime_directory: Option<&Path>,
    home: Option<&Path>,
) -> PathBuf {
    if is_root {
        return PathBuf::from(SYSTEM);
    }
    let is_own = |found: fs::Metadata| found.is_dir() && found.uid() == uid;
    let own =
        |directory: &Path| directory.is_absolute() && fs::metadata(directory).is_ok_and(is_own);
    // Below a directory of all users a service of this one may have made its own before. A link there may be another's.
    let below = |directory: &Path| fs::symlink_metadata(directory.join("hcs")).is_ok_and(is_own);
    let runs_there =
        |directory: &&Path| own(directory) || directory.is_absolute() && below(directory);
    if let Some(directory) = runtime_directory.filter(runs_there) {
        return directory.join("hcs/hcs.sock");
    }
    match home.filter(|home| own(home)) {
        Some(home) => home.join(".local/state/hcs/hcs.sock"),
        None => PathBuf::from(format!("/tmp/hcs-{uid}/hcs.sock")),
    }
}

/// Checks that only `trusted` users can change the socket's directory and all directories above it. A missing directory
/// passes, as it cannot be changed either; a service that makes it checks again.
///
/// # Errors
/// Which directory others could change.
pub fn check(endpoint: &Path, trusted: Trusted) -> Result<(), Untrusted> {
    let directory = endpoint.parent().unwrap_or(endpoint);
    match trusted.directory(directory, None) {
        Err(untrusted) if untrusted.reason != Reason::Io(Errno::NOENT) => Err(untrusted),
        _ => Ok(()),
    }
}

/// The one spelling of `endpoint`, by which a service is known: without links, `.` and doubled slashes, as far as the
/// path of the directory leads to something. A link in the place of the socket itself is not followed. Each way to the
/// socket of the machine's own service is [`SYSTEM`]. So a service has one state root and one [`tag`] however it is
/// named. It says nothing of links that another user could change: [`check`] the path that was given.
#[must_use]
pub fn canonical(endpoint: &Path) -> PathBuf {
    if endpoint.as_os_str() == OsStr::new(SYSTEM) || !endpoint.is_absolute() {
        return endpoint.to_owned();
    }
    known_as(named(endpoint))
}

/// [`canonical`] for a process that takes the directory for its own: by no link that a container may have made
/// ([`written`]). The name is that of the very directory that was reached.
///
/// # Errors
/// Of the kernel. `ELOOP`: there is such a link.
pub fn settled(endpoint: &Path) -> Result<PathBuf, Errno> {
    let directory = endpoint.parent().unwrap_or(endpoint);
    for above in directory.ancestors() {
        let reached = match written::reach(above) {
            Err(Errno::NOENT) => continue,
            reached => reached?,
        };
        let place = readlink(format!("/proc/self/fd/{}", reached.as_raw_fd()), Vec::new())?;
        let place = PathBuf::from(OsString::from_vec(place.into_bytes()));
        let missing = endpoint.strip_prefix(above).unwrap_or(endpoint);
        return Ok(known_as(place.join(missing)));
    }
    Err(Errno::NOENT)
}

/// The endpoint at a path without links.
fn known_as(named_so: PathBuf) -> PathBuf {
    let system = Path::new(SYSTEM);
    match named_so == named(system) {
        true => system.to_owned(),
        false => named_so,
    }
}

fn named(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => resolved(path),
    }
}

/// The directory as it is called without links.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(resolved) = fs::canonicalize(path) {
        return resolved;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.components().collect(),
    }
}

/// The directory of what the service of `endpoint` keeps: systems' directories, pipes, the log. It is `/run/hcs` for
/// the machine's own service, else the endpoint with `.sock` taken off and `.d` added.
#[must_use]
pub fn state_root(endpoint: &Path) -> PathBuf {
    if endpoint == Path::new(SYSTEM) {
        return PathBuf::from("/run/hcs");
    }
    let bytes = endpoint.as_os_str().as_bytes();
    let stem = bytes.strip_suffix(b".sock").unwrap_or(bytes);
    let mut root = OsStr::from_bytes(stem).to_owned();
    root.push(".d");
    PathBuf::from(root)
}

/// A name for what belongs to the service of `endpoint` and stands beside what belongs to others: control groups, say.
/// `None` for the machine's own service, which needs no name. The same for every version and machine.
#[must_use]
pub fn tag(endpoint: &Path) -> Option<String> {
    if endpoint == Path::new(SYSTEM) {
        return None;
    }
    let hash = fnv::hash(fnv::BASIS, endpoint.as_os_str().as_bytes());
    Some(format!("{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn services_are_told_apart_by_a_name_that_stays() {
        assert_eq!(tag(Path::new(SYSTEM)), None);
        // FNV-1a of "/a/b".
        assert_eq!(tag(Path::new("/a/b")).as_deref(), Some("363e289cb38ee0cc"));
        assert_ne!(tag(Path::new("/a/b")), tag(Path::new("/a/c")));
    }

    #[test]
    fn a_service_has_one_name_however_its_socket_is_spelled() {
        let place = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(place.path()).unwrap();
        fs::create_dir(place.join("d")).unwrap();
        symlink("d", place.join("link")).unwrap();
        let named = |path: &str| canonical(Path::new(&format!("{}/{path}", place.display())));
        let expected = place.join("d/hcs.sock");
        let spellings = [
            "d/hcs.sock",
            "d//hcs.sock",
            "./d/./hcs.sock",
            "link/hcs.sock",
        ];
        let spelled = spellings.map(named);
        assert_eq!(spelled, [(); 4].map(|()| expected.clone()));
        let at = |path: &str| settled(&place.join(path)).unwrap();
        assert_eq!(spellings.map(at), spelled);
        assert_eq!(at("link//new/a.sock"), place.join("d/new/a.sock"));
        // Another user may have put a link into a directory that is shared.
        fs::write(place.join("d/hcs.sock"), "").unwrap();
        symlink("d/hcs.sock", place.join("other.sock")).unwrap();
        assert_eq!(named("other.sock"), place.join("other.sock"));
        // What is missing is named as it will be.
        assert_eq!(named("link//new/a.sock"), place.join("d/new/a.sock"));
        for system in [SYSTEM, "/run//hcs/./hcs.sock", "//run/hcs/hcs.sock"] {
            assert_eq!(canonical(Path::new(system)), Path::new(SYSTEM));
            assert_eq!(settled(Path::new(system)).unwrap(), Path::new(SYSTEM));
            assert_eq!(tag(&canonical(Path::new(system))), None);
        }
        let relative = canonical(Path::new("a//b"));
        assert_eq!(relative.as_os_str(), "a//b", "it is left as it is");
    }

    #[test]
    fn what_a_service_keeps_is_beside_its_socket() {
        for (endpoint, root) in [
            (SYSTEM, "/run/hcs"),
            ("/x/hcs.sock", "/x/hcs.d"),
            ("/x/run.sock/other", "/x/run.sock/other.d"),
        ] {
            assert_eq!(state_root(Path::new(endpoint)), Path::new(root));
        }
    }

    #[test]
    fn every_user_has_a_place() {
        let path = Path::new;
        assert_eq!(default_for((0, true), Some(path("/x")), None), path(SYSTEM));
        assert_eq!(
            default_for((7, false), None, None),
            path("/tmp/hcs-7/hcs.sock")
        );
        // Neither the directory nor the home of another user is used.
        assert_eq!(
            default_for((7, false), Some(path("/proc")), None),
            path("/tmp/hcs-7/hcs.sock")
        );
        assert_eq!(
            default_for((7, false), None, Some(path("/proc"))),
            path("/tmp/hcs-7/hcs.sock")
        );
        // Nor what is none, or is named from somewhere.
        for none in ["/no/such/directory", "/dev/null", "."] {
            assert_eq!(
                default_for((7, false), Some(path(none)), Some(path(none))),
                path("/tmp/hcs-7/hcs.sock")
            );
        }
        let place = tempfile::tempdir().unwrap();
        let (own, uid) = (place.path(), fs::metadata(place.path()).unwrap().uid());
        let below = |name: &str| own.join(name);
        assert_eq!(
            default_for((uid, false), None, Some(own)),
            below(".local/state/hcs/hcs.sock")
        );
        assert_eq!(
            default_for((uid, false), Some(own), Some(own)),
            below("hcs/hcs.sock")
        );
        // As root, who alone can give a directory away.
        if uid == 0 {
            let there = below("hcs");
            fs::create_dir(&there).unwrap();
            std::os::unix::fs::chown(&there, Some(7), None).unwrap();
            let found = || default_for((7, false), Some(own), None);
            assert_eq!(found(), below("hcs/hcs.sock"));
            fs::rename(&there, below("other")).unwrap();
            symlink("other", &there).unwrap();
            assert_eq!(found(), path("/tmp/hcs-7/hcs.sock"));
        }
        assert_eq!(
            default_for((uid, false), Some(path("/no/such")), Some(own)),
            below(".local/state/hcs/hcs.sock")
        );
    }

    #[test]
    fn a_place_that_others_can_change_is_not_private() {
        let place = tempfile::tempdir().unwrap();
        let uid = fs::metadata(place.path()).unwrap().uid();
        let private = |path: &Path, uid| check(path, Trusted::root_and(uid)).is_ok();
        let endpoint = place.path().join("d/hcs.sock");
        assert!(private(&endpoint, uid), "there is nothing yet");
        fs::create_dir(place.path().join("d")).unwrap();
        assert!(private(&endpoint, uid));
        assert_eq!(private(&endpoint, uid + 1), uid == 0);
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(place.path().join("d"), open.clone()).unwrap();
        assert!(!private(&endpoint, uid));
        symlink("d", place.path().join("link")).unwrap();
        assert!(!private(&place.path().join("link/hcs.sock"), uid));
        assert!(private(Path::new("/tmp/hcs.sock"), uid));
        // A user who can replace a directory above can replace this one.
        fs::create_dir(place.path().join("d/below")).unwrap();
        assert!(!private(&place.path().join("d/below/hcs.sock"), uid));
    }
}
