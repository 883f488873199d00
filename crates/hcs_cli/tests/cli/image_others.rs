//! Images that other programs have made: each is loaded, and runs.

use std::{env, path::PathBuf, process::Command};

use crate::{common::ended, image_runs::Shop};

/// Makes a busybox image by umoci, and archives of it by skopeo and podman, each under a name of its own.
const MAKE: &str = "\
umoci init --layout lay && umoci new --image lay:umoci && umoci unpack --image lay:umoci bundle
root=bundle/rootfs
mkdir $root/bin $root/srv && cp /bin/busybox $root/bin && ln -s busybox $root/bin/sh
echo file > $root/srv/file && chown 7:8 $root/srv/file && ln $root/srv/file $root/srv/link
umoci repack --image lay:umoci bundle
umoci config --image lay:umoci --config.cmd sh --config.cmd -c --config.cmd 'busybox stat -c \"%u:%g %h\" /srv/file; echo $A' \
    --config.env A=b
copy='skopeo --insecure-policy copy -q'
$copy oci:lay:umoci docker-archive:docker.tar:skopeo/docker:1
$copy oci:lay:umoci oci-archive:oci.tar:skopeo/oci:1
$copy --dest-compress-format zstd oci:lay:umoci oci:zstd:skopeo/zstd:1
podman() {
    command podman --root=$PWD/p/root --runroot=$PWD/p/run --tmpdir=$PWD/p/tmp --storage-driver=vfs --events-backend=none \
        --cgroup-manager=cgroupfs \"$@\"
}
podman load -q -i docker.tar
for format in docker-archive oci-archive oci-dir; do
    podman tag skopeo/docker:1 localhost/$format:1
    podman save -q --format $format -o podman-$format localhost/$format:1
done
podman rmi -f --all >/dev/null";

#[test]
fn images_of_umoci_skopeo_and_podman_run() {
    let shop = Shop::new();
    shop.script(&format!("set -e\n{MAKE}"));
    for (file, name) in [
        ("lay", "umoci"),
        ("docker.tar", "skopeo/docker:1"),
        ("oci.tar", "skopeo/oci:1"),
        ("zstd", "skopeo/zstd:1"),
        ("podman-docker-archive", "localhost/docker-archive:1"),
        ("podman-oci-archive", "localhost/oci-archive:1"),
        ("podman-oci-dir", "localhost/oci-dir:1"),
    ] {
        shop.hcs(&format!("image load --store store {file}")).fine();
        let said = shop.hcs(&format!("run --store store --pull never {name}"));
        assert_eq!(said.fine(), "7:8 2\nb\n", "{file}");
    }
}

/// `cargo xtask packages` has the archive made, where apt has a mirror, and `cargo xtask test` names it.
#[test]
fn a_debian_root_by_debootstrap_runs() {
    let Some(archive) = env::var_os("HCS_TEST_DEBIAN_ROOT").map(PathBuf::from) else {
        eprintln!("no HCS_TEST_DEBIAN_ROOT: `cargo xtask packages` makes such an archive");
        return;
    };
    assert!(archive.exists(), "{} is not there", archive.display());
    let shop = Shop::new();
    let import = [
        "image",
        "import",
        "--store",
        "store",
        archive.to_str().unwrap(),
        "debian",
    ];
    assert_eq!(shop.line(&import).fine(), "debian:latest\n");
    let script = "cat /etc/debian_version; dpkg --verify; stat -c %a:%u:%g /usr/bin/passwd /usr/bin/chage; \
                  su daemon -s /bin/sh -c 'id -u; echo x > /tmp/x && cat /tmp/x'; apt-get --version | head -n 1";
    let said = shop
        .line(&["run", "--store", "store", "debian", "sh", "-ec", script])
        .fine();
    let lines: Vec<&str> = said.lines().collect();
    let mut version = Command::new("tar");
    version
        .arg("-xOf")
        .arg(&archive)
        .arg("./etc/debian_version");
    let version = ended(&mut version).fine();
    // All files are as their packages have them, and set-user-ID programs and other users work.
    assert_eq!(
        lines[..5],
        [version.trim(), "4755:0:0", "2755:0:42", "1", "x"],
        "{said}"
    );
    assert!(lines[5].starts_with("apt "), "{said}");
}
