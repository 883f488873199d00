//! An ordinary user: this program starts itself as one.

use std::{
    env, fs,
    os::unix::{fs::MetadataExt as _, fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use hcs_storage::{
    Limits,
    layer::{Expected, Imported, Options, Rights, Special, import_tar, remove},
};
use rustix::process::geteuid;

use crate::archive::{DIRECTORY, FILE, Raw, archive, extended};

const PLACE: &str = "HCS_STORAGE_TEST_PLACE";
/// The user `nobody`.
const ID: u32 = 65534;

/// Runs the test `name` again as an ordinary user, in a directory of that user.
fn as_user(name: &str, test: impl FnOnce(&Path)) {
    if let Some(place) = env::var_os(PLACE) {
        assert!(!geteuid().is_root());
        return test(Path::new(&place));
    }
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(ID), Some(ID)).unwrap();
    // By this path the program can be executed wherever its file is.
    let output = Command::new("/proc/self/exe")
        .args(["--exact", name])
        .env(PLACE, directory.path())
        .current_dir("/")
        .uid(ID)
        .gid(ID)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn imported(bytes: &[u8], target: &Path, special: Special) -> Imported {
    let options = Options {
        limits: Limits::default(),
        rights: Rights::User(special),
    };
    import_tar(bytes, target, &options, &Expected::default()).unwrap()
}

#[test]
fn a_user_gets_layers_of_its_own() {
    as_user("rootless::a_user_gets_layers_of_its_own", |place| {
        let attribute = extended(&[
            (b"SCHILY.xattr.user.x", b"value"),
            (b"SCHILY.xattr.trusted.y", b"value"),
            (b"uid", b"1000"),
        ]);
        let closed = Raw {
            name: b"closed/",
            mode: 0,
            ..DIRECTORY
        }
        .bytes();
        let root = Raw {
            name: b"./",
            mode: 0,
            ..DIRECTORY
        }
        .bytes();
        let inside = Raw {
            name: b"closed/file",
            mode: 0o400,
            content: b"text",
            ..FILE
        }
        .bytes();
        let opaque = Raw {
            name: b"closed/.wh..wh..opq",
            ..FILE
        }
        .bytes();
        let mark = Raw {
            name: b".wh.gone",
            ..FILE
        }
        .bytes();
        let bytes = archive(&[&root, &closed, &attribute, &inside, &opaque, &mark]);
        let target = place.join("layer");
        let imported = imported(&bytes, &target, Special::Refuse);
        assert_eq!(
            (imported.omitted.owners, imported.omitted.attributes),
            (1, 1)
        );
        let root = fs::metadata(&target).unwrap();
        assert_eq!((root.uid(), root.mode() & 0o7777), (ID, 0));
        for directory in [target.clone(), target.join("closed")] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
        }
        assert_eq!(fs::read(target.join("closed/file")).unwrap(), b"text");
        let mut value = [0; 8];
        let read =
            |path, name, value: &mut [u8; 8]| rustix::fs::getxattr(path, name, &mut value[..]);
        assert_eq!(
            read(target.join("closed/file"), "user.x", &mut value),
            Ok(5)
        );
        assert_eq!(
            read(target.join("closed"), "user.overlay.opaque", &mut value),
            Ok(1)
        );
        let gone = fs::symlink_metadata(target.join("gone")).unwrap();
        assert_eq!((gone.mode() & 0o170_000, gone.rdev()), (0o020_000, 0));
        fs::set_permissions(target.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        remove(&target).unwrap();
        assert!(!target.exists());
    });
}

#[test]
fn what_only_root_may_have_can_be_left_out() {
    as_user(
        "rootless::what_only_root_may_have_can_be_left_out",
        |place| {
            let capability = extended(&[(b"SCHILY.xattr.security.capability", b"x")]);
            let bytes = archive(&[
                &Raw {
                    name: b"null",
                    kind: b'3',
                    device: (1, 3),
                    ..FILE
                }
                .bytes(),
                &Raw {
                    name: b"su",
                    mode: 0o6755,
                    ..FILE
                }
                .bytes(),
                &capability,
                &Raw {
                    name: b"ping",
                    mode: 0o755,
                    ..FILE
                }
                .bytes(),
            ]);
            let target = place.join("layer");
            let omitted = imported(&bytes, &target, Special::Omit).omitted;
            assert_eq!((omitted.devices, omitted.set_id), (1, 2));
            assert!(!target.join("null").exists());
            for name in ["su", "ping"] {
                let mode = fs::metadata(target.join(name)).unwrap().mode();
                assert_eq!(mode & 0o7777, 0o755, "{name}");
            }
        },
    );
}

/// An access list for the users 1000 and 70000.
const LIST: &[u8] = b"user::rw-,user:1000:r--:1000,group::r--,mask::rw-,other::---";
const FAR_LIST: &[u8] = b"user::rw-,user:70000:r--:70000,group::r--,mask::rw-,other::---";

/// Imports files of several owners, and answers who owns them there: the namespace has some of the ids.
fn owners(place: &Path) -> (Vec<(u32, u32)>, u64, u64) {
    let owned = |name: &'static [u8], user: &[u8], group: &[u8], list: &[u8]| {
        let owner = extended(&[
            (b"uid", user),
            (b"gid", group),
            (b"SCHILY.acl.access", list),
        ]);
        let file = Raw { name, ..FILE };
        [owner, file.bytes()].concat()
    };
    let folder = extended(&[(b"uid", b"7"), (b"gid", b"8")]);
    let bytes = archive(&[
        &owned(b"a", b"0", b"0", LIST),
        &owned(b"b", b"1000", b"50", LIST),
        &owned(b"c", b"70000", b"0", FAR_LIST),
        &owned(b"d", b"1", b"70000", LIST),
        &[
            folder,
            Raw {
                name: b"folder/",
                mode: 0o500,
                ..DIRECTORY
            }
            .bytes(),
        ]
        .concat(),
        &owned(b"folder/e", b"2", b"3", LIST),
    ]);
    let target = place.join("layer");
    let omitted = imported(&bytes, &target, Special::Refuse).omitted;
    let found = ["a", "b", "c", "d", "folder", "folder/e"].map(|name| {
        let found = fs::symlink_metadata(target.join(name)).unwrap();
        (found.uid(), found.gid())
    });
    // What has owners goes as well.
    remove(&target).unwrap();
    assert!(!target.exists());
    (found.to_vec(), omitted.owners, omitted.attributes)
}

/// Runs the test `name` again as root of a user namespace of an ordinary user, who has been granted 65535 ids.
fn in_namespace(name: &str, options: &str) {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(ID), Some(ID)).unwrap();
    let granted = directory.path().join("granted");
    fs::write(
        &granted,
        format!("{ID}:1000000:65535\nnobody:1000000:65535\n"),
    )
    .unwrap();
    fs::create_dir(directory.path().join("place")).unwrap();
    std::os::unix::fs::chown(directory.path().join("place"), Some(ID), Some(ID)).unwrap();
    // The host's own files stay as they are: the grant is seen in this mount namespace only.
    let script = format!(
        "mount --bind $0/granted /etc/subuid && mount --bind $0/granted /etc/subgid && exec setpriv --reuid {ID} --regid {ID} \
         --clear-groups unshare --user {options} /proc/self/exe --exact {name}"
    );
    let script = script.replace(
        "/proc/self/exe",
        env::current_exe().unwrap().to_str().unwrap(),
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(directory.path())
        // By its descriptor the program can be executed wherever its file is.
        .stdin(fs::File::open("/proc/self/exe").unwrap())
        .env(PLACE, directory.path().join("place"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn root_of_a_namespace_gives_files_to_the_users_that_it_has() {
    let Some(place) = env::var_os(PLACE) else {
        let name = "rootless::root_of_a_namespace_gives_files_to_the_users_that_it_has";
        return in_namespace(name, "--map-root-user --map-auto");
    };
    let (found, left, attributes) = owners(Path::new(&place));
    assert_eq!(found, [(0, 0), (1000, 50), (0, 0), (0, 0), (7, 8), (2, 3)]);
    assert_eq!((left, attributes), (2, 1));
}

#[test]
fn root_of_a_namespace_with_one_id_has_all_files() {
    let Some(place) = env::var_os(PLACE) else {
        let name = "rootless::root_of_a_namespace_with_one_id_has_all_files";
        return in_namespace(name, "--map-root-user");
    };
    let (found, left, attributes) = owners(Path::new(&place));
    assert_eq!(found, [(0, 0); 6]);
    assert_eq!((left, attributes), (5, 5));
}

/// A directory may lack any right for its owner, and have something in it all the same.
#[test]
fn a_tree_without_rights_for_its_owner_goes() {
    as_user(
        "rootless::a_tree_without_rights_for_its_owner_goes",
        |place| {
            for mode in [0, 0o100, 0o200, 0o300, 0o400, 0o500, 0o600] {
                let tree = place.join("tree");
                let closed = tree.join("closed");
                fs::create_dir_all(closed.join("below/deep")).unwrap();
                fs::write(closed.join("below/file"), "").unwrap();
                for one in [closed.join("below"), closed, tree.clone()] {
                    fs::set_permissions(one, fs::Permissions::from_mode(mode)).unwrap();
                }
                remove(&tree).unwrap_or_else(|error| panic!("{mode:o}: {error:?}"));
                assert!(!tree.exists());
            }
        },
    );
}
