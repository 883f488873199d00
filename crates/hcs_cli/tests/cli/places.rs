//! A root that can only be read, directories in memory, and the size of shared memory.

use std::{fs, path::Path};

use crate::{
    common::{ended, script},
    service::Place,
};
use tempfile::tempdir;

const WAYS: [&str; 2] = ["--userns=no", "--userns"];

/// No container sees the directory of its service: a command that runs there finds nothing, and is told why.
#[test]
fn the_directory_of_the_socket_is_empty_which_is_said() {
    let place = Place::new(60);
    let run = |directory: &Path| {
        let mut command = place.hcs(&["run", "--", "ls", "-A"]);
        ended(command.current_dir(directory))
    };
    let endpoint = place.endpoint();
    let directory = endpoint.parent().unwrap();
    let empty = run(directory);
    assert_eq!((empty.code, empty.out.as_str()), (Some(0), ""), "{empty:?}");
    for said in ["the service's socket", directory.to_str().unwrap()] {
        assert!(empty.err.contains(said), "{empty:?}");
    }
    let below = directory.join("project");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("file"), "").unwrap();
    assert_eq!(run(&below).err, "");
}

#[test]
fn a_root_can_be_read_only() {
    let shared = tempdir().unwrap();
    let mount = format!("{}:/new/place:shift", shared.path().display());
    for way in WAYS {
        let options = [
            "--read-only",
            "--tmpfs",
            "/tmp",
            "--hostname",
            "closed",
            way,
        ];
        let options = [&options[..], &["--mount", &mount]].concat();
        let looked = script(
            &options,
            "for place in / /etc /usr /usr/bin /var /new /proc /sys; do
                 (: >$place/written) 2>/dev/null && echo wrote $place
             done
             echo x >/tmp/x && cat /tmp/x && echo x >/dev/shm/x && grep -q closed /etc/hosts && ls -A /new/place
             mount -o remount,rw / 2>/dev/null && echo opened; true",
        );
        assert_eq!(looked.fine(), "x\n", "{way}");
    }
    let options = ["--read-only", "--mount", &mount, "--userns=no"];
    let written = script(&options, "echo of the container >/new/place/file");
    written.fine();
    let file = fs::read_to_string(shared.path().join("file")).unwrap();
    assert_eq!(file, "of the container\n");
}

#[test]
fn directories_in_memory_have_a_size_and_a_mode() {
    let shared = tempdir().unwrap();
    fs::create_dir(shared.path().join("inner")).unwrap();
    let mount = format!("{}:/made/shown:shift", shared.path().display());
    for way in WAYS {
        let options = [
            "--tmpfs",
            "/made:size=2M,mode=750",
            "--tmpfs",
            "/made/shown/inner:size=1M",
            "--shm-size",
            "3M",
            "--mount",
            &mount,
            way,
        ];
        let looked = script(
            &options,
            "stat -c %a,%u /made /made/shown/inner; stat -fc %T,%b,%S /made /made/shown/inner /dev/shm
             head -c 4000000 /dev/zero >/made/full 2>/dev/null || echo full; ls /made",
        );
        let expected =
            "750,0\n1777,0\ntmpfs,512,4096\ntmpfs,256,4096\ntmpfs,768,4096\nfull\nfull\nshown\n";
        assert_eq!(looked.fine(), expected, "{way}");
    }
    // Nothing of it is on the host.
    assert_eq!(
        fs::read_dir(shared.path().join("inner")).unwrap().count(),
        0
    );
}
