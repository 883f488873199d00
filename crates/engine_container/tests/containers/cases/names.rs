//! The files by which programs find names, in roots that have none, have their own, or have traps in their places.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use serde_json::{Value, json};

use crate::host::{Container, Host, entries};

super::cases![
    a_container_knows_its_name_and_localhost,
    a_bare_root_gets_the_files,
    lines_and_files_of_the_layers_may_stay,
    links_in_the_layers_are_covered_and_not_followed,
    what_stands_in_the_way_is_left_as_it_is,
    what_is_mapped_comes_first,
    a_scratch_that_is_kept_has_none_of_them,
    nothing_is_made_in_a_scratch_that_goes,
];

/// A layer with these files in `/etc`, above the host's programs.
fn with_etc(host: &Host, files: &[(&str, &str)]) -> (PathBuf, Value) {
    let layer = host.files.path().join("layer");
    fs::create_dir_all(layer.join("etc")).unwrap();
    for (name, text) in files {
        fs::write(layer.join("etc").join(name), text).unwrap();
    }
    let layers: Vec<Value> = [layer.to_str().unwrap(), "/"]
        .iter()
        .map(|path| json!({ "Path": path }))
        .collect();
    (layer, json!({ "Layers": layers }))
}

fn named(host: &Host, storage: &Value) -> Container {
    host.start(json!({ "GuestOs": { "HostName": "box" }, "Storage": storage }))
}

const LOCALHOST: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback";

/// Row F11.
fn a_container_knows_its_name_and_localhost() {
    let host = Host::new();
    for storage in [json!({}), json!({ "Layers": [{ "Path": "/" }] })] {
        let container = named(&host, &storage);
        assert_eq!(container.shell("hostname; cat /etc/hostname"), "box\nbox");
        let found = container.shell("getent hosts $(hostname); getent hosts localhost");
        let addresses: Vec<_> = found
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(
            matches!(addresses[..], ["127.0.0.1", "127.0.0.1" | "::1"]),
            "{found}"
        );
        // What the host's has is there as well, and what is written is the container's own.
        let own = fs::read_to_string("/etc/hosts").unwrap_or_default();
        let inside = container.shell("cat /etc/hosts");
        assert!(inside.starts_with(own.trim_end()), "{inside}");
        container.shell("echo 1.2.3.4 other >> /etc/hosts && getent hosts other");
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap_or_default(), own);
        if let Ok(resolver) = fs::read_to_string("/etc/resolv.conf") {
            assert_eq!(container.shell("cat /etc/resolv.conf"), resolver.trim_end());
        }
        assert_eq!(
            container.shell("stat -c '%a %u %g' /etc/hosts /etc/hostname"),
            "644 0 0\n644 0 0"
        );
    }
}

fn a_bare_root_gets_the_files() {
    let host = Host::new();
    let layer = host.files.path().join("bare");
    fs::create_dir_all(layer.join("bin")).unwrap();
    fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
    let container = named(&host, &json!({ "Layers": [{ "Path": layer }] }));
    let busybox = |arguments: &[&str]| {
        let outcome = container.run(&[&["/bin/busybox"], arguments].concat());
        assert_eq!(outcome.code, 0, "{outcome:?}");
        outcome.stdout
    };
    assert_eq!(
        busybox(&["cat", "/etc/hosts"]),
        format!("{LOCALHOST}\n127.0.0.1\tbox")
    );
    assert_eq!(busybox(&["cat", "/etc/hostname"]), "box");
    drop(container);
    assert!(!layer.join("etc").exists(), "the layer was written to");
}

fn lines_and_files_of_the_layers_may_stay() {
    let host = Host::new();
    let (_, storage) = with_etc(
        &host,
        &[("hosts", "10.0.0.1 db localhost"), ("hostname", "theirs\n")],
    );
    let container = named(&host, &storage);
    assert_eq!(
        container.shell("cat /etc/hosts /etc/hostname"),
        "10.0.0.1 db localhost\n127.0.0.1\tbox\nbox"
    );
    let container = host.start(json!({
        "GuestOs": { "HostName": "box", "KeepNameFiles": true }, "Storage": storage
    }));
    assert_eq!(
        container.shell("cat /etc/hosts; echo; cat /etc/hostname; hostname"),
        "10.0.0.1 db localhost\ntheirs\nbox"
    );
}

fn links_in_the_layers_are_covered_and_not_followed() {
    let host = Host::new();
    let shared = host.files.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(shared.join("hosts"), "the host's").unwrap();
    let (layer, storage) = with_etc(&host, &[]);
    for (name, target) in [
        ("hosts", "/shared/hosts"),
        ("hostname", "/proc/sys/kernel/hostname"),
        ("resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
    ] {
        symlink(target, layer.join("etc").join(name)).unwrap();
    }
    let container = host.start(json!({
        "GuestOs": { "HostName": "box" }, "Storage": storage,
        "MappedDirectories": [{ "HostPath": shared, "ContainerPath": "/shared" }],
    }));
    let found = container.shell(
        "cat /etc/hosts /etc/hostname; stat -c %F /etc/resolv.conf; ls /run/systemd 2>&1 || :",
    );
    assert!(
        found.starts_with(&format!("{LOCALHOST}\n127.0.0.1\tbox\nbox\nregular")),
        "{found}"
    );
    assert!(!found.contains("resolve"), "{found}");
    assert_eq!(
        fs::read_to_string(shared.join("hosts")).unwrap(),
        "the host's"
    );
    assert_eq!(container.shell("cat /shared/hosts"), "the host's");
}

fn what_stands_in_the_way_is_left_as_it_is() {
    let host = Host::new();
    let (layer, storage) = with_etc(&host, &[("hosts", &"# long\n".repeat(4000))]);
    fs::create_dir(layer.join("etc/hostname")).unwrap();
    let fifo = layer.join("etc/resolv.conf");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let container = named(&host, &storage);
    assert_eq!(
        container.shell("wc -l < /etc/hosts; stat -c %F /etc/hostname"),
        "4000\ndirectory"
    );
    drop(container);
    // A link in the place of the directory leads nowhere either.
    fs::remove_dir_all(layer.join("etc")).unwrap();
    fs::create_dir(layer.join("elsewhere")).unwrap();
    symlink("/elsewhere", layer.join("etc")).unwrap();
    let container = named(&host, &storage);
    assert_eq!(
        container.shell("ls /etc/ /elsewhere"),
        "/elsewhere:\n\n/etc/:"
    );
}

fn what_is_mapped_comes_first() {
    let host = Host::new();
    let mine = host.files.path().join("mine");
    fs::write(&mine, "1.2.3.4 mine\n").unwrap();
    let container = host.start(json!({
        "MappedDirectories": [{ "HostPath": mine, "ContainerPath": "/etc/hosts", "ReadOnly": true }],
    }));
    assert_eq!(container.shell("cat /etc/hosts"), "1.2.3.4 mine");
}

fn a_scratch_that_is_kept_has_none_of_them() {
    let host = Host::new();
    let scratch = host.files.path().join("kept");
    fs::create_dir(&scratch).unwrap();
    let container = named(&host, &json!({ "Path": scratch }));
    container.shell("echo 1.2.3.4 other >> /etc/hosts");
    drop(container);
    assert!(!scratch.join("upper/etc/hosts").exists());
}

/// On a disk that takes longer than all mounts of a container together.
fn nothing_is_made_in_a_scratch_that_goes() {
    let host = Host::new();
    let layer = host.files.path().join("bare");
    fs::create_dir_all(layer.join("bin")).unwrap();
    fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
    let upper = |container: &Container| {
        let scratch = host.config.scratch_root.join(&container.request.runtime_id);
        scratch.join("upper")
    };
    for etc in [false, true] {
        if etc {
            fs::create_dir(layer.join("etc")).unwrap();
            fs::write(layer.join("etc/passwd"), "theirs").unwrap();
        }
        let container = named(&host, &json!({ "Layers": [{ "Path": layer }] }));
        let run = |script: &str| container.run(&["/bin/busybox", "sh", "-c", script]);
        let outcome = run(
            "/bin/busybox cat /etc/hostname; /bin/busybox ls / /etc | /bin/busybox grep -v resolv",
        );
        let passwd = if etc { "\npasswd" } else { "" };
        let all = format!("box\n/:\nbin\ndev\netc\nproc\nsys\n\n/etc:\nhostname\nhosts{passwd}");
        assert_eq!(outcome.stdout, all);
        assert_eq!(entries(&upper(&container)), Vec::<PathBuf>::new());
        // All is one file system, as a root is.
        let stat =
            "/bin/busybox stat -c %d /bin/busybox / /etc | /bin/busybox uniq | /bin/busybox wc -l";
        assert_eq!(run(stat).stdout, "1");
        assert_eq!(run("echo own > /etc/new").code, 0);
        assert!(upper(&container).join("etc/new").exists());
    }
}
