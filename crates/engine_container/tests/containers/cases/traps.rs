//! Layers that are traps for a service that makes a container of them: `/proc`, `/dev`, `/sys`, `/etc` as links into
//! something mapped, where a host's file or a FIFO is what would be opened by path; volumes that lead to the root.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::host::{Container, Host};

super::cases![
    links_in_place_of_the_kernels_file_systems_are_refused,
    what_is_mapped_over_the_kernels_file_systems_is_not_opened,
    a_fifo_mapped_over_them_does_not_hang_the_start,
    mount_points_are_not_made_through_links_into_what_is_read_only,
    a_volume_that_leads_to_the_root_is_refused,
];

const NAMES: [&str; 3] = ["proc", "dev", "sys"];

/// What the maker of a container might open below each of them.
const OPENED: [(&str, &str); 6] = [
    ("proc", "self/oom_score_adj"),
    ("proc", "1/oom_score_adj"),
    ("proc", "self/setgroups"),
    ("dev", "null"),
    ("dev", "ptmx"),
    ("sys", "fs/cgroup/cgroup.procs"),
];

/// A directory of the host with a trap below each of [`OPENED`].
fn trapped(host: &Host, lay: impl Fn(&Path)) -> PathBuf {
    let shared = host.files.path().join("shared");
    for (name, file) in OPENED {
        let file = shared.join(name).join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        lay(&file);
    }
    shared
}

fn file_of_the_host(path: &Path) {
    fs::write(path, "the host's").unwrap();
}

fn assert_untouched(shared: &Path) {
    for (name, file) in OPENED {
        let path = shared.join(name).join(file);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "the host's",
            "{}",
            path.display()
        );
    }
}

fn mapping(path: &Path, target: &str) -> Value {
    json!({ "HostPath": path, "ContainerPath": target, "ShiftOwners": true })
}

/// Row S6.
/// The layers lead `/NAME` to a directory on which the engine would mount, and what is mapped covers that again.
fn links_in_place_of_the_kernels_file_systems_are_refused() {
    for name in NAMES {
        let host = Host::new();
        let layer = host.files.path().join("layer");
        fs::create_dir_all(layer.join("m").join(name)).unwrap();
        symlink("hop", layer.join(name)).unwrap();
        symlink(format!("m/{name}"), layer.join("hop")).unwrap();
        let shared = trapped(&host, file_of_the_host);
        let failure = host.failure(json!({
            "Storage": { "Layers": [{ "Path": layer }, { "Path": "/" }] },
            "MappedDirectories": [mapping(&shared, "/m")],
        }));
        assert_untouched(&shared);
        let cause = &failure.causes[0];
        assert_eq!(cause.pointer.as_deref(), Some("/Container/Storage"));
        let expected =
            format!("finding a directory, and no symbolic link, in the layers at /{name}: ");
        assert!(cause.message.starts_with(&expected), "{failure:#?}");
    }
}

/// Row S6.
/// The same without a link: the document itself asks for it.
fn what_is_mapped_over_the_kernels_file_systems_is_not_opened() {
    for name in NAMES {
        let host = Host::new();
        let shared = trapped(&host, file_of_the_host);
        let at = format!("/{name}");
        let document = json!({ "MappedDirectories": [mapping(&shared.join(name), &at)] });
        let container = host.start(document);
        let pid = container.recorded("Pid");
        assert_untouched(&shared);
        // What it should have been was: the agent is protected, and its standard input the null device.
        let status = fs::metadata(format!("/proc/{pid}/fd/0")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::rdev(&status), 0x103);
        assert_eq!(container.shell("echo works"), "works");
    }
}

/// Row S6.
fn a_fifo_mapped_over_them_does_not_hang_the_start() {
    let fifo = |path: &Path| {
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    };
    for name in NAMES {
        let host = Host::new();
        let shared = trapped(&host, fifo);
        let at = format!("/{name}");
        let document = json!({ "MappedDirectories": [mapping(&shared.join(name), &at)] });
        let request = host.request(document);
        let machine = host.create(&request).unwrap_or_else(|f| panic!("{f:#?}"));
        let container = Container::new(machine, request);
        // Far less than the limit on a hang.
        container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
    }
}

fn mount_points_are_not_made_through_links_into_what_is_read_only() {
    let host = Host::new();
    let directory = |name: &str| {
        let path = host.files.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let (layer, shared, other) = (directory("layer"), directory("shared"), directory("other"));
    symlink("/m", layer.join("trap")).unwrap();
    symlink("/m/dangling", layer.join("nowhere")).unwrap();
    for target in ["/trap/made", "/trap/made/deep", "/nowhere", "/nowhere/made"] {
        let failure = host.failure(json!({
            "Storage": { "Layers": [{ "Path": layer }, { "Path": "/" }] },
            "MappedDirectories": [
                { "HostPath": shared, "ContainerPath": "/m", "ReadOnly": true },
                mapping(&other, target),
            ],
        }));
        assert_eq!(
            failure.causes[0].pointer.as_deref(),
            Some("/Container/MappedDirectories/1/HostPath"),
            "{target}: {failure:#?}"
        );
        assert_eq!(crate::host::entries(&shared), Vec::<PathBuf>::new());
    }
}

/// It would be a second root over the root, which could be written to.
fn a_volume_that_leads_to_the_root_is_refused() {
    let host = Host::new();
    let layer = host.files.path().join("layer");
    fs::create_dir(&layer).unwrap();
    for (name, target) in [("v", "/"), ("w", "usr/.."), ("x", "/."), ("y", "v")] {
        symlink(target, layer.join(name)).unwrap();
        for read_only in [false, true] {
            let failure = host.failure(json!({
                "Storage": { "Layers": [{ "Path": layer }, { "Path": "/" }], "ReadOnly": read_only },
                "Volumes": ["/mnt", format!("/{name}")],
            }));
            let cause = &failure.causes[0];
            let pointer = cause.pointer.as_deref();
            assert_eq!(pointer, Some("/Container/Volumes/1"), "{failure:#?}");
            let expected = format!("taking the directory of the volume /{name}: ");
            assert!(cause.message.starts_with(&expected), "{failure:#?}");
            let way_out = &failure.causes[1].message;
            assert!(way_out.contains("root directory itself"), "{failure:#?}");
        }
    }
}
