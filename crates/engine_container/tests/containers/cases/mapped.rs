//! Directories, files, sockets and FIFOs of the host inside a container.

use std::{
    fs,
    os::{
        fd::AsFd as _,
        unix::{fs::symlink, net::UnixListener},
    },
    path::Path,
};

use hcs_schema::HResult;
use hcs_storage::disk;
use serde_json::{Value, json};

use crate::host::{Container, Host, in_private_mounts};

super::cases![
    a_directory_is_shared,
    read_only_means_all_of_it,
    a_file_can_be_mapped,
    sockets_and_fifos_are_pipes,
    directories_are_mapped_before_what_is_in_them,
    links_in_the_container_do_not_lead_out,
    impossible_mappings_are_refused_where_they_stand,
    the_tree_of_a_disk_that_is_mounted_is_not_mapped_writable,
    a_disk_that_is_mapped_itself_is_not_mounted,
    directories_come_and_go_while_it_runs,
    only_what_was_mapped_is_taken_away,
    pipes_come_and_go_while_it_runs,
    the_directories_of_other_services_are_not_seen,
    the_services_own_directories_are_not_seen,
    what_the_service_makes_later_is_not_seen,
    directories_of_the_service_may_be_inside_each_other,
];

fn mapping(from: &Path, to: &str, read_only: bool) -> Value {
    json!({ "HostPath": from, "ContainerPath": to, "ReadOnly": read_only, "ShiftOwners": true })
}

fn a_directory_is_shared() {
    let host = Host::new();
    let shared = host.files.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("theirs"), "theirs").unwrap();
    let container =
        host.start(json!({ "MappedDirectories": [mapping(&shared, "/a/new/place", false)] }));
    assert_eq!(
        container.shell("cat /a/new/place/theirs && echo ours > /a/new/place/ours"),
        "theirs"
    );
    assert_eq!(fs::read_to_string(shared.join("ours")).unwrap(), "ours\n");
    let options = container.shell("grep ' /a/new/place ' /proc/self/mountinfo");
    assert!(
        options.contains("nosuid") && options.contains("nodev"),
        "{options}"
    );
}

fn read_only_means_all_of_it() {
    let case = "mapped::read_only_means_all_of_it";
    if !in_private_mounts(
        case,
        "mount -t tmpfs none /mnt && mkdir /mnt/below && mount -t tmpfs none /mnt/below",
    ) {
        return;
    }
    let host = Host::new();
    let container =
        host.start(json!({ "MappedDirectories": [mapping(Path::new("/mnt"), "/shared", true)] }));
    container.shell("ls /shared/below");
    for file in ["/shared/file", "/shared/below/file"] {
        let outcome = container.run(&["touch", file]);
        assert!(
            outcome.stderr.contains("Read-only file system"),
            "{outcome:?}"
        );
    }
    fs::write("/mnt/below/file", "the host may").unwrap();
    assert_eq!(container.shell("cat /shared/below/file"), "the host may");
}

fn a_file_can_be_mapped() {
    let host = Host::new();
    let file = host.files.path().join("file");
    fs::write(&file, "one").unwrap();
    let container = host.start(json!({ "MappedDirectories": [
        mapping(&file, "/etc/hosts", true),
        mapping(&file, "/etc/not/there/yet", false),
    ] }));
    assert_eq!(container.shell("cat /etc/hosts"), "one");
    container.shell("echo two > /etc/not/there/yet");
    assert_eq!(fs::read_to_string(&file).unwrap(), "two\n");
}

fn sockets_and_fifos_are_pipes() {
    let host = Host::new();
    let socket = host.files.path().join("socket");
    let fifo = host.files.path().join("fifo");
    let _listener = UnixListener::bind(&socket).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    let container = host.start(json!({ "MappedPipes": [
        { "HostPath": socket, "ContainerPipeName": "talk" },
        { "HostPath": fifo, "ContainerPipeName": "/srv/talk/fifo" },
    ] }));
    assert_eq!(container.shell("stat -c %F /run/talk"), "socket");
    let reader = std::thread::spawn(move || fs::read_to_string(fifo).unwrap());
    container.shell("echo through > /srv/talk/fifo");
    assert_eq!(reader.join().unwrap(), "through\n");
}

fn directories_are_mapped_before_what_is_in_them() {
    let host = Host::new();
    let directory = |name: &str| {
        let path = host.files.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let (outer, inner) = (directory("outer"), directory("inner"));
    fs::write(inner.join("file"), "inner").unwrap();
    let container = host.start(json!({ "MappedDirectories": [
        mapping(&inner, "/x/inner", false),
        mapping(&outer, "/x", false),
    ] }));
    assert_eq!(container.shell("cat /x/inner/file"), "inner");
}

fn links_in_the_container_do_not_lead_out() {
    let host = Host::new();
    let directory = |name: &str| {
        let path = host.files.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let (layer, outside, shared) = (
        directory("layer"),
        directory("outside"),
        directory("shared"),
    );
    symlink(&outside, layer.join("trap")).unwrap();
    symlink("../../../../../..", layer.join("up")).unwrap();
    fs::write(shared.join("file"), "shared").unwrap();
    let container = host.start(json!({
        "Storage": { "Layers": [{ "Path": layer }, { "Path": "/" }] },
        "MappedDirectories": [mapping(&shared, "/trap/a", false), mapping(&shared, "/up/b", false)],
    }));
    assert!(!outside.join("a").exists());
    assert!(!Path::new("/b").exists());
    // Inside the link means the same path below the container's own root.
    assert_eq!(
        container.shell(&format!("cat {}/a/file", outside.display())),
        "shared"
    );
    assert_eq!(container.shell("cat /b/file"), "shared");
}

/// A virtual disk there, open.
fn formatted(image: &Path) -> fs::File {
    disk::create_formatted(image, 64 << 20).unwrap();
    let mut options = fs::File::options();
    options.read(true).write(true).open(image).unwrap()
}

fn the_tree_of_a_disk_that_is_mounted_is_not_mapped_writable() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    let tree = host.files.path().join("tree");
    let image = tree.join("below/work.vhdx");
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    let file = formatted(&image);
    disk::mount_path(file.as_fd()).unwrap();
    for mapped in [&tree, &image] {
        let failure =
            host.failure(json!({ "MappedDirectories": [mapping(mapped, "/there", false)] }));
        let cause = &failure.causes[0];
        assert!(
            cause.message.contains("work.vhdx in it that is mounted"),
            "{failure}"
        );
        let pointer = cause.pointer.as_deref();
        assert_eq!(pointer, Some("/Container/MappedDirectories/0/HostPath"));
    }
    let let_in = |mode| {
        fs::set_permissions(&tree, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let_in(0o700);
    let kept = host.failure(json!({ "Storage": { "Path": tree } }));
    let_in(0o755);
    assert!(
        format!("{kept:?}").contains("work.vhdx in it that is mounted"),
        "{kept:?}"
    );
    let container = host.start(json!({ "MappedDirectories": [mapping(&tree, "/there", true)] }));
    container.shell("ls /there/below/work.vhdx");
    let late = json!({
        "ResourcePath": "Container/MappedDirectories", "RequestType": "Add",
        "Settings": mapping(&tree, "/late", false),
    });
    container.modify(&late).unwrap_err();
    disk::unmount(file.as_fd()).unwrap();
    let other = host.start(json!({ "MappedDirectories": [mapping(&tree, "/there", false)] }));
    other.shell("ls /there/below/work.vhdx");
    // It is theirs from now on.
    disk::mount_path(file.as_fd()).unwrap_err();
}

/// Row K6: neither its directory nor a second name says that a container has it.
fn a_disk_that_is_mapped_itself_is_not_mounted() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    let image = host.files.path().join("work.vhdx");
    let file = formatted(&image);
    let map = |read_only| {
        host.start(json!({ "MappedDirectories": [mapping(&image, "/work.vhdx", read_only)] }))
    };
    let reader = map(true);
    disk::mount_path(file.as_fd()).unwrap();
    disk::unmount(file.as_fd()).unwrap();
    drop(reader);
    let writer = map(false);
    let refused = disk::mount_path(file.as_fd()).unwrap_err().to_string();
    assert!(refused.contains("mapped writable"), "{refused}");
    writer.shell("dd if=/dev/zero of=/work.vhdx bs=4096 count=1 conv=notrunc");
    drop(writer);
    disk::mount_path(file.as_fd()).unwrap_err();
}

fn impossible_mappings_are_refused_where_they_stand() {
    let host = Host::new();
    let file = host.files.path().join("file");
    fs::write(&file, "").unwrap();
    let directories = |value: Value| json!({ "MappedDirectories": [mapping(host.files.path(), "/ok", false), value] });
    let at = "/Container/MappedDirectories/1";
    let cases = [
        (
            directories(mapping(Path::new("/not/there"), "/x", false)),
            HResult::FILE_NOT_FOUND,
            format!("{at}/HostPath"),
        ),
        (
            directories(mapping(Path::new("relative"), "/x", false)),
            HResult::E_INVALIDARG,
            format!("{at}/HostPath"),
        ),
        (
            directories(mapping(Path::new("/dev/null"), "/x", false)),
            HResult::E_INVALIDARG,
            format!("{at}/HostPath"),
        ),
        (
            directories(mapping(&file, "/", false)),
            HResult::E_INVALIDARG,
            format!("{at}/ContainerPath"),
        ),
        (
            directories(mapping(&file, "x", false)),
            HResult::E_INVALIDARG,
            format!("{at}/ContainerPath"),
        ),
        (
            directories(mapping(&file, "/a/../b", false)),
            HResult::E_INVALIDARG,
            format!("{at}/ContainerPath"),
        ),
        (
            json!({ "MappedPipes": [{ "HostPath": file, "ContainerPipeName": "x" }] }),
            HResult::E_INVALIDARG,
            "/Container/MappedPipes/0/HostPath".to_owned(),
        ),
        // Only seen when it is mounted: a file cannot cover a directory.
        (
            directories(mapping(&file, "/etc", false)),
            HResult::E_FAIL,
            format!("{at}/HostPath"),
        ),
    ];
    for (document, hresult, pointer) in cases {
        let failure = host.failure(document);
        assert_eq!(failure.hresult, hresult, "{failure:#?}");
        assert_eq!(
            failure.causes[0].pointer.as_ref(),
            Some(&pointer),
            "{failure:#?}"
        );
    }
}

/// A request to change the running container.
fn change(resource: &str, kind: &str, settings: &Value) -> Value {
    json!({ "ResourcePath": resource, "RequestType": kind, "Settings": settings })
}

fn directories_come_and_go_while_it_runs() {
    let host = Host::new();
    let shared = host.files.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "shared").unwrap();
    let container = host.start(json!({}));
    let mapping = mapping(&shared, "/late/place", true);
    let request = |kind| change("Container/MappedDirectories", kind, &mapping);
    container
        .modify(&request("Add"))
        .unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(container.shell("cat /late/place/file"), "shared");
    assert_ne!(container.run(&["touch", "/late/place/other"]).code, 0);
    container
        .modify(&request("Remove"))
        .unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(container.shell("ls -A /late/place"), "");
    let failure = container.modify(&request("Remove")).unwrap_err();
    assert_eq!(failure.hresult, HResult::FILE_NOT_FOUND);
    // Nothing of it was seen on the host.
    assert!(
        !fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .contains("/late/place")
    );
    assert!(!Path::new("/late").exists());
}

fn only_what_was_mapped_is_taken_away() {
    let host = Host::new();
    let container = host.start(json!({}));
    // A mask, which the container would like to be rid of, and a directory that is no mount.
    for target in ["/proc/interrupts", "/sys/firmware", "/etc"] {
        let request = change(
            "Container/MappedDirectories",
            "Remove",
            &mapping(host.files.path(), target, false),
        );
        container.modify(&request).unwrap_err();
    }
    assert_eq!(container.shell("cat /proc/interrupts"), "");
    // Nor does a link that the container lays take the helper anywhere else.
    container.shell("ln -s /proc/1/root /trap && mkdir /place");
    let request = change(
        "Container/MappedDirectories",
        "Add",
        &mapping(host.files.path(), "/trap/place", false),
    );
    container.modify(&request).unwrap_err();
    assert_eq!(container.shell("ls -A /place"), "");
}

fn pipes_come_and_go_while_it_runs() {
    let host = Host::new();
    let socket = host.files.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let container = host.start(json!({}));
    let pipe = json!({ "HostPath": socket, "ContainerPipeName": "late" });
    let request = |kind| change("Container/MappedPipes", kind, &pipe);
    container
        .modify(&request("Add"))
        .unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(container.shell("stat -c %F /run/late"), "socket");
    container
        .modify(&request("Remove"))
        .unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(
        container.shell("stat -c %F /run/late"),
        "regular empty file"
    );
}

/// The first container of a service is planned before there are scratches and ids in use.
fn what_the_service_makes_later_is_not_seen() {
    let host = Host::new();
    let place = host.files.path();
    assert!(!host.config.scratch_root.exists() && !host.config.ids_in_use.exists());
    let mapping = json!({ "HostPath": place, "ContainerPath": "/x" });
    let first = host.start(json!({ "UserNamespace": false, "MappedDirectories": [mapping] }));
    let second = host.start(json!({ "UserNamespace": true }));
    second.shell("echo secret > /secret");
    assert_eq!(
        first.shell("ls -A /x/scratch /x/ids | grep -v : | grep . ; :"),
        ""
    );
    for own in [&host.config.scratch_root, &host.config.ids_in_use] {
        let mapping = json!({ "HostPath": own, "ContainerPath": "/x" });
        let failure = host.failure(json!({ "MappedDirectories": [mapping] }));
        assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:#?}");
    }
}

/// As those of every endpoint but the default one are.
fn directories_of_the_service_may_be_inside_each_other() {
    let place = tempfile::tempdir().unwrap();
    let host = Host::with(|config| {
        config.hidden = vec![place.path().join("state")];
        config.scratch_root = place.path().join("state/scratch");
    });
    fs::write(place.path().join("file"), "").unwrap();
    let container = host.start(json!({ "MappedDirectories": [mapping(place.path(), "/x", true)] }));
    assert_eq!(
        container.shell("ls -A /x /x/state"),
        "/x:\nfile\nstate\n\n/x/state:"
    );
}

/// A container that reads or writes them has what the containers of that service have, or root's rights on the host.
fn the_directories_of_other_services_are_not_seen() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for name in ["1.d/systems", "far/scratch", "door", "free"] {
        fs::create_dir_all(path(name)).unwrap();
        fs::write(path(name).join("file"), "secret").unwrap();
    }
    let registry = path("places");
    let first = Host::with(|config| {
        config.places.clone_from(&registry);
        config.hidden = vec![path("1.d")];
        config.scratch_root = path("far/scratch");
        config.socket_directory = Some(path("door"));
    });
    let second = Host::with(|config| config.places.clone_from(&registry));
    let listing = |container: &Container| {
        container.shell(
            "cd /x && find 1.d far door free places -type f 2>/dev/null | sort | tr '\\n' ' '",
        )
    };
    let document = || json!({ "MappedDirectories": [mapping(place.path(), "/x", true)] });
    let before = second.start(document());
    assert_eq!(
        listing(&before),
        "1.d/systems/file door/file far/scratch/file free/file"
    );

    first.config.publish_places(&path("1.d")).unwrap();
    let container = second.start(document());
    // Of its socket another service turns containers away itself.
    assert_eq!(listing(&container), "door/file free/file");
    for own in ["1.d", "1.d/systems", "far/scratch", "places"] {
        let mapping = mapping(&path(own), "/x", true);
        let failure = second.failure(json!({ "MappedDirectories": [mapping] }));
        assert_eq!(
            failure.hresult,
            HResult::E_ACCESSDENIED,
            "{own}: {failure:#?}"
        );
    }
    let layered = second.start(json!({ "Storage": { "Layers": [
        { "Path": place.path() }, { "Path": "/" },
    ] } }));
    let seen = layered.shell("ls -A /1.d /far/scratch /door /free | tr '\\n' ' '");
    assert_eq!(seen, "/1.d:  /door: file  /far/scratch:  /free: file");
    let root = place.path().to_str().unwrap();
    let of_host = second.start(json!({ "Storage": { "Layers": [{ "Path": "/" }] } }));
    let seen = of_host.shell(&format!(
        "cd {root} && ls 1.d far/scratch door free | tr '\\n' ' '"
    ));
    assert_eq!(seen, "1.d:  door: file  far/scratch:  free: file");

    // Nothing is known of a service whose state root is gone.
    fs::remove_dir_all(path("1.d")).unwrap();
    hcs_wire::places::prune(&registry).unwrap();
    let after = second.start(document());
    assert_eq!(listing(&after), "door/file far/scratch/file free/file");
    fs::remove_file(path("far/scratch/file")).unwrap();
}

fn the_services_own_directories_are_not_seen() {
    let case = "mapped::the_services_own_directories_are_not_seen";
    // The same file system twice, and a part of it a third time.
    let setup = "mount -t tmpfs none /mnt && mkdir -p /mnt/a/state /mnt/a/sock /mnt/a/free /mnt/again /mnt/part && \
                 touch /mnt/a/state/secret /mnt/a/sock/secret /mnt/a/free/file && mount --bind /mnt /mnt/again && \
                 mount --bind /mnt/a /mnt/part";
    if !in_private_mounts(case, setup) {
        return;
    }
    let host = Host::with(|config| {
        config.hidden = vec!["/mnt/a/state".into()];
        config.socket_directory = Some("/mnt/a/sock".into());
    });
    let secrets =
        "ls /seen/*/*/secret /seen/*/*/*/secret /seen/*/*/file /seen/*/*/*/file 2>/dev/null || :";
    let container = host.start(json!({ "MappedDirectories": [
        mapping(Path::new("/mnt"), "/seen", false),
    ] }));
    let files = "/seen/a/free/file\n/seen/again/a/free/file\n/seen/part/free/file";
    assert_eq!(container.shell(secrets), files);
    let add = |path: &str| {
        container.modify(&json!({
            "ResourcePath": "Container/MappedDirectories",
            "RequestType": "Add",
            "Settings": mapping(Path::new(path), "/added", false),
        }))
    };
    match add("/mnt/part") {
        Ok(()) => assert_eq!(
            container.shell("ls /added/free; find /added -name secret"),
            "file"
        ),
        // Before Linux 6.15 it would be seen for a moment.
        Err(failure) => assert_eq!(failure.hresult, HResult::NOT_SUPPORTED, "{failure:?}"),
    }
    for own in ["/mnt/part/state", "/mnt/again/a/sock", "/mnt/a/state"] {
        let failure = add(own).unwrap_err();
        assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:?}");
        let pointer = failure.causes[0].pointer.as_deref();
        assert_eq!(pointer, Some("/Settings/HostPath"), "{failure:?}");
    }
    let layered = host.start(json!({ "Storage": { "Layers": [
        { "Path": "/mnt/part" }, { "Path": "/" },
    ] } }));
    assert_eq!(
        layered.shell("ls /free; ls -A /state /sock"),
        "file\n/sock:\n\n/state:"
    );
    // What comes, goes and moves after a container was made counts for the next one.
    let run = |script: &str| {
        let status = std::process::Command::new("sh")
            .args(["-ec", script])
            .status();
        assert!(status.unwrap().success(), "{script}");
    };
    let seen = |script: &str| {
        run(script);
        let all = json!({ "MappedDirectories": [mapping(Path::new("/mnt"), "/seen", false)] });
        host.start(all).shell(secrets)
    };
    let later = seen("mkdir /mnt/later && mount --bind /mnt/a /mnt/later");
    assert!(later.contains("/seen/later/free/file"), "{later}");
    assert!(!later.contains("secret"), "{later}");
    let moved = seen("mkdir /mnt/moved && mount --move /mnt/later /mnt/moved");
    assert!(moved.contains("/seen/moved/free/file"), "{moved}");
    assert!(!moved.contains("secret"), "{moved}");
    // The kernel tells of no change here, though the mount has another path.
    let renamed = seen(
        "mkdir -p /mnt/above/it && mount --move /mnt/moved /mnt/above/it && mv /mnt/above /mnt/below",
    );
    assert!(renamed.contains("/seen/below/it/free/file"), "{renamed}");
    assert!(!renamed.contains("secret"), "{renamed}");
    let gone = seen("umount /mnt/below/it && rmdir /mnt/below/it /mnt/below /mnt/moved /mnt/later");
    assert_eq!(gone, files);
}
