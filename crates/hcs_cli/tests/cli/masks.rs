//! Whatever the mask of a process is, no other user can change what `hcs` keeps. No service is needed for that.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use crate::common::{ended, shell};

/// A kernel that is small, with the modules that are needed in it.
fn kernel(place: &Path) {
    let elf = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fuzz/corpus/guest_files/elf"
    );
    fs::copy(elf, place.join("kernel")).unwrap();
    fs::create_dir_all(place.join("modules/kernel")).unwrap();
    // A module that no guest needs.
    fs::write(place.join("modules/kernel/other.ko"), "").unwrap();
    let list = "kernel/drivers/virtio/virtio_pci.ko\n\
                kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko\n";
    fs::write(place.join("modules/modules.builtin"), list).unwrap();
}

/// The modes of all files and directories below `root` and of that itself, links left out; by path.
fn modes(root: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_symlink() {
            continue;
        }
        found.push((path.display().to_string(), about.mode() & 0o777));
        if about.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().flatten().map(|it| it.path()));
        }
    }
    found
}

/// Runs a script in `place` with a mask.
fn masked(place: &Path, mask: &str, script: &str) {
    let script = format!("umask {mask}; {script}");
    let mut command = shell(&script);
    command.env("HCS_GUEST_IMAGES", place.join("guests"));
    let said = ended(command.current_dir(place));
    assert_eq!(said.code, Some(0), "{said:?}");
}

const BUILD: &str = "mkdir empty && $HCS guest-image build --kernel kernel --modules modules --root empty --agent \
                     /bin/true one && $HCS guest-image build --kernel kernel --modules modules --root empty --agent \
                     /bin/true two";
const KEEP: &str = "mkdir root && echo text > root/file && chmod -R go-w root && $HCS image import --store store root a && \
                    $HCS image save --store store --output saved a && \
                    $HCS image save --store store --format directory --output folder a && \
                    $HCS image load --store store --name b folder";

#[test]
fn no_other_user_can_change_what_is_kept() {
    for mask in ["0", "002", "022", "077"] {
        let place = tempfile::tempdir().unwrap();
        kernel(place.path());
        masked(place.path(), mask, &format!("{BUILD} && {KEEP}"));
        for made in ["guests", "store", "saved", "folder"] {
            for (path, mode) in modes(&place.path().join(made)) {
                assert_eq!(mode & 0o022, 0, "{mask}: {path} has mode {mode:o}");
            }
        }
        let guests = place.path().join("guests");
        let mode = |name: &str| fs::metadata(guests.join("one").join(name)).unwrap().mode();
        let expected = if mask == "077" { 0o600 } else { 0o644 };
        for name in ["kernel", "initrd", "image.json"] {
            assert_eq!(mode(name) & 0o777, expected, "{mask}: {name}");
        }
    }
}
