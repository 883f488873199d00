//! A root that can only be read, directories in memory, and the size of shared memory.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    common::{Container, ended, hcs, script, words},
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

/// Row F3: what README, THREATS and `hcs run --help` say of files that change on the host. What the default view and
/// layers show of them then is left open; a mapped directory shows them as they are, and a mapped file stays that file.
#[test]
fn f3_a_mapped_directory_shows_what_changes_on_the_host() {
    let shared = tempdir().unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| shared.path().join(name);
    for name in ["kept", "replaced", "removed", "alone"] {
        fs::write(at(name), "old\n").unwrap();
    }
    let host = shared.path().display();
    for way in WAYS {
        let options =
            format!("{way} --mount {host}:/mapped:ro --mount {host}/alone:/mapped-alone:ro");
        let container = Container::with("changes", &options);
        let seen = |path: &str| ended(&mut hcs(["exec", &container.0, "--", "cat", path]));
        for name in ["kept", "replaced", "removed"] {
            seen(&format!("/mapped/{name}")).fine();
        }
        fs::write(at("kept"), "changed\n").unwrap();
        fs::write(at("new"), "new\n").unwrap();
        fs::rename(at("new"), at("replaced")).unwrap();
        fs::remove_file(at("removed")).unwrap();
        fs::write(at("added"), "added\n").unwrap();
        for (name, text) in [("kept", "changed"), ("replaced", "new"), ("added", "added")] {
            let path = format!("/mapped/{name}");
            assert_eq!(seen(&path).fine(), format!("{text}\n"), "{way}: {name}");
        }
        assert_eq!(seen("/mapped/removed").code, Some(1), "{way}");
        fs::write(at("alone"), "changed\n").unwrap();
        assert_eq!(seen("/mapped-alone").fine(), "changed\n", "{way}");
        fs::write(at("another"), "another\n").unwrap();
        fs::rename(at("another"), at("alone")).unwrap();
        assert_eq!(seen("/mapped-alone").fine(), "changed\n", "{way}");
        fs::write(at("removed"), "old\n").unwrap();
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &str| fs::read_to_string(repository.join(file)).unwrap();
    for (whose, text) in [
        ("README.md", read("README.md")),
        ("THREATS.md", read("docs/THREATS.md")),
        ("hcs run --help", words("run --help").fine()),
    ] {
        let text: Vec<&str> = text.split_whitespace().collect();
        let mut said = text.join(" ").replace('`', "");
        said.retain(|letter| !"(,.)".contains(letter));
        let way_out = [
            "--mount of its directory",
            "Use --mount for files that change",
            "is mapped --mount",
        ];
        assert!(way_out.iter().any(|words| said.contains(words)), "{whose}");
    }
}

/// Row F15.
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

/// Row F15.
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
