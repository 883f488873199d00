//! Images in an ordinary user's store: with ids that the host grants, and without.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use crate::{
    common::{Ended, ended},
    rootless::{User, unprivileged},
};

/// Users that no host has.
const WITH_GRANTS: u32 = 54_361;
const ALONE: u32 = 54_362;
const WITH_FOLDER: u32 = 54_363;

/// What [`User::with_grants`] grants begins here.
const FIRST: u32 = 200_000;

/// Makes an archive of a root file system in the home of `user`, with files of several owners, as root of the host has
/// it.
fn archive(user: &User) -> PathBuf {
    let script = "mkdir -p root/bin root/srv/closed && cp /bin/busybox root/bin && ln -s busybox root/bin/sh && \
                  echo of app > root/srv/file && echo secret > root/srv/closed/file && chown 7:8 root/srv/file && \
                  chown -R 1000:1000 root/srv/closed && chmod 700 root/srv/closed && tar -C root -cf root.tar . && rm -r root";
    let mut command = crate::common::shell(script);
    ended(command.current_dir(user.home())).fine();
    let file = user.home().join("root.tar");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    file
}

/// Runs a script as `user`, where `$HCS` is the program.
fn shell(user: &User, script: &str) -> Ended {
    let script = format!("cd; HCS='{}'; {script}", user.program());
    ended(&mut user.command(&["sh", "-ec", &script]))
}

/// Directories of layers in the store of `user`.
fn layers(user: &User) -> Vec<PathBuf> {
    let folder = user.home().join(".local/share/hcs/storage/layers");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn owners_of_an_image_are_kept_with_granted_ids() {
    if unprivileged() {
        return;
    }
    let user = User::new(WITH_GRANTS).with_grants();
    archive(&user);
    let said = shell(&user, "$HCS image import root.tar tools");
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{said:?}");
    let layer = layers(&user).pop().unwrap();
    let owner = |name: &str| {
        let found = fs::symlink_metadata(layer.join(name)).unwrap();
        (found.uid(), found.gid())
    };
    assert_eq!(owner("bin/busybox"), (WITH_GRANTS, WITH_GRANTS));
    assert_eq!(owner("srv/file"), (FIRST + 6, FIRST + 7));
    assert_eq!(owner("srv/closed/file"), (FIRST + 999, FIRST + 999));
    // A container of the user has the same ids, and other users of it have their rights.
    let list = "busybox stat -c %u:%g /srv/file /srv/closed/file";
    let said = user.hcs(&["run", "tools", "sh", "-c", list]);
    assert_eq!(said.fine(), "7:8\n1000:1000\n");
    let said = user.hcs(&[
        "run",
        "-u",
        "1000",
        "tools",
        "busybox",
        "cat",
        "/srv/closed/file",
    ]);
    assert_eq!(said.fine(), "secret\n");
    let said = user.hcs(&[
        "run",
        "-u",
        "7",
        "tools",
        "busybox",
        "cat",
        "/srv/closed/file",
    ]);
    assert_ne!(said.code, Some(0), "{said:?}");
    // What hcs run unpacks itself has them as well.
    fs::remove_dir_all(&layer).unwrap();
    let said = user.hcs(&["run", "tools", "sh", "-c", list]);
    assert_eq!(said.fine(), "7:8\n1000:1000\n");
    assert_eq!(owner("srv/file"), (FIRST + 6, FIRST + 7));
    let said = user.hcs(&["run", "--pull", "never", "tols", "sh"]);
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("there is tools:latest"), "{said:?}");
    // A further layer of what a container has written, by several users.
    let write = "echo new > /srv/new && busybox chown 1000:1000 /srv/new && busybox chmod 600 /srv/new && busybox rm -r /srv/closed || :";
    let script = format!(
        "mkdir out && $HCS run -d --id box --scratch out tools sh -c '{write}; busybox sleep 1000' && \
         until $HCS exec box busybox test -e /srv/new; do :; done; $HCS pause box 2>/dev/null || :; \
         $HCS commit --timeout 60 box tools:2; $HCS terminate box"
    );
    let said = shell(&user, &script);
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = user.hcs(&["run", "-u", "1000", "tools:2", "busybox", "cat", "/srv/new"]);
    assert_eq!(said.fine(), "new\n");
    // What belongs to other ids goes, too.
    let said = shell(
        &user,
        "$HCS image save --output saved.tar tools && $HCS image remove tools tools:2 && $HCS image load saved.tar",
    );
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{said:?}");
    assert_eq!(layers(&user).len(), 1);
    shell(&user, "$HCS image remove tools && $HCS image prune").fine();
    assert_eq!(layers(&user), Vec::<PathBuf>::new());
}

#[test]
fn owners_that_a_user_does_not_have_are_told() {
    if unprivileged() {
        return;
    }
    let user = User::new(ALONE);
    archive(&user);
    let said = shell(&user, "$HCS image import root.tar tools");
    assert_eq!(said.code, Some(0), "{said:?}");
    let why = "hcs: left out: 3 owners; owners: /etc/subuid grants no ids to this user, so that all files belong to this user\n";
    assert_eq!(said.err, why);
    let list = "busybox stat -c %u:%g /srv/file /srv/closed/file";
    let said = user.hcs(&["run", "tools", "sh", "-c", list]);
    assert_eq!(said.fine(), "0:0\n0:0\n");
    shell(&user, "$HCS image remove tools").fine();
    assert_eq!(layers(&user), Vec::<PathBuf>::new());
}

/// A directory of another user's is unknown to the namespace of granted ids, where its files would seem to be of
/// `nobody`.
#[test]
fn a_folder_of_root_becomes_an_image_whose_files_are_of_root() {
    if unprivileged() {
        return;
    }
    let user = User::new(WITH_FOLDER).with_grants();
    let script = "mkdir -p root/bin root/srv && cp /bin/busybox root/bin && ln -s busybox root/bin/sh && echo x > root/srv/file";
    let mut command = crate::common::shell(script);
    ended(command.current_dir(user.home())).fine();
    let said = shell(&user, "$HCS image import root tools");
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{said:?}");
    let list = "busybox stat -c %u:%g / /bin/busybox /srv/file";
    let said = user.hcs(&["run", "tools", "sh", "-c", list]);
    assert_eq!(said.fine(), "0:0\n0:0\n0:0\n");
    shell(&user, "$HCS image remove tools").fine();
    assert_eq!(layers(&user), Vec::<PathBuf>::new());
}
