//! The root file system: layers, scratch, the view of the host.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
};

use serde_json::{Value, json};

use crate::host::{Container, Host, entries, in_private_mounts};

super::cases![
    the_hosts_root_is_seen_and_not_touched,
    upper_layers_cover_lower_ones,
    many_layers_fit_and_more_are_refused,
    the_root_has_the_attributes_of_the_top_layer,
    a_layer_of_its_owner_alone_is_a_root_for_all_users,
    a_named_scratch_is_kept,
    a_link_in_a_scratch_leads_no_container_out_of_it,
    a_scratch_serves_one_container_at_a_time,
    other_containers_scratch_is_hidden,
    the_services_own_files_are_hidden,
    separate_file_systems_of_the_host_are_part_of_the_view,
    a_scratch_that_cannot_hold_an_overlay_is_replaced_by_memory,
    a_deep_scratch_is_removed,
    links_in_a_layer_do_not_lead_out,
];

/// A document with these directories above the host's root.
fn above_host(layers: &[&Path]) -> Value {
    let mut all: Vec<Value> = layers.iter().map(|path| json!({ "Path": path })).collect();
    all.push(json!({ "Path": "/" }));
    json!({ "Storage": { "Layers": all } })
}

fn the_hosts_root_is_seen_and_not_touched() {
    let host = Host::new();
    let container = host.start(json!({}));
    let own = fs::read_to_string("/etc/passwd").unwrap();
    assert_eq!(container.shell("cat /etc/passwd"), own.trim_end());
    container.shell("echo changed > /etc/passwd && rm -rf /etc/init.d && echo new > /new");
    assert_eq!(container.shell("cat /etc/passwd /new"), "changed\nnew");
    assert_eq!(fs::read_to_string("/etc/passwd").unwrap(), own);
    assert!(Path::new("/etc/init.d").exists());
    assert!(!Path::new("/new").exists());
}

fn upper_layers_cover_lower_ones() {
    let host = Host::new();
    let layer = |name: &str, files: &[&str]| {
        let path = host.files.path().join(name);
        fs::create_dir(&path).unwrap();
        for file in files {
            fs::write(path.join(file), name).unwrap();
        }
        path
    };
    let top = layer("a:strange,name\\", &["one"]);
    let middle = layer("middle", &["one", "two"]);
    let container = host.start(above_host(&[&top, &middle]));
    assert_eq!(container.shell("cat /one"), "a:strange,name\\");
    assert_eq!(container.shell("cat /two"), "middle");
    container.shell("echo written > /two");
    assert_eq!(fs::read_to_string(middle.join("two")).unwrap(), "middle");
}

/// Whether the kernel takes layers one by one, as Linux 6.8 and newer do.
fn takes_single_layers() -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut numbers = numbers.map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 8)
}

fn many_layers_fit_and_more_are_refused() {
    let host = Host::new();
    let layer = |number: usize| {
        let path = host.files.path().join(format!("layer{number}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("number"), number.to_string()).unwrap();
        path
    };
    let layers: Vec<_> = (0..480).map(layer).collect();
    let layers: Vec<&Path> = layers.iter().map(AsRef::as_ref).collect();
    if takes_single_layers() {
        let container = host.start(above_host(&layers[1..]));
        assert_eq!(container.shell("cat /number"), "1");
    } else {
        let failure = host.failure(above_host(&layers[1..]));
        let pointer = failure.causes[0].pointer.as_deref();
        assert_eq!(pointer, Some("/Container/Storage"), "{failure:#?}");
        let way_out = &failure.causes[1].message;
        assert!(way_out.contains("Linux 6.8"), "{failure:#?}");
    }
    let failure = host.failure(above_host(&layers));
    assert_eq!(
        failure.causes[0].pointer.as_deref(),
        Some("/Container/Storage/Layers")
    );
}

fn the_root_has_the_attributes_of_the_top_layer() {
    let host = Host::new();
    let layer = host.files.path().join("layer");
    fs::create_dir(&layer).unwrap();
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o1711)).unwrap();
    chown(&layer, Some(4711), Some(4712)).unwrap();
    let container = host.start(above_host(&[&layer]));
    assert_eq!(container.shell("stat -c '%a %u %g' /"), "1711 4711 4712");
}

/// Row F10.
fn a_layer_of_its_owner_alone_is_a_root_for_all_users() {
    let host = Host::new();
    let layer = host.files.path().join("layer");
    fs::create_dir(&layer).unwrap();
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o700)).unwrap();
    let container = host.start(above_host(&[&layer]));
    let script = "stat -c %a / && setpriv --reuid 1000 --regid 1000 --clear-groups ls -d /etc";
    assert_eq!(container.shell(script), "755\n/etc");
    assert_eq!(fs::metadata(&layer).unwrap().mode() & 0o777, 0o700);
}

fn with_scratch(path: &Path) -> Value {
    json!({ "Storage": { "Path": path } })
}

fn a_named_scratch_is_kept() {
    let host = Host::new();
    let scratch = host.files.path().join("kept");
    fs::create_dir(&scratch).unwrap();
    host.start(with_scratch(&scratch))
        .shell("echo kept > /etc/kept && rm /etc/passwd");
    let again = host.start(with_scratch(&scratch));
    assert_eq!(again.shell("cat /etc/kept"), "kept");
    again.shell("[ ! -e /etc/passwd ]");
    drop(again);
    assert!(scratch.join("upper/etc/kept").exists());
}

/// Row J1. A container to which the folder of the scratch is mapped, a guest, or another user puts a link in it.
fn a_link_in_a_scratch_leads_no_container_out_of_it() {
    let host = Host::new();
    let (scratch, secret) = (
        host.files.path().join("kept"),
        host.files.path().join("secret"),
    );
    for folder in [&scratch, &secret] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(secret.join("shadow"), "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).unwrap();
    host.start(with_scratch(&scratch))
        .shell("echo kept > /etc/kept");
    for name in ["upper", "work"] {
        let (own, aside) = (scratch.join(name), scratch.join("-aside"));
        fs::rename(&own, &aside).unwrap();
        symlink(&secret, &own).unwrap();
        let failure = host.failure(with_scratch(&scratch));
        let told = failure.to_document();
        assert!(
            told.contains("finding upper and work to be directories"),
            "{told}"
        );
        assert_eq!(
            failure.causes[0].pointer.as_deref(),
            Some("/Container/Storage/Path")
        );
        let mode = fs::metadata(&secret).unwrap().mode() & 0o7777;
        assert_eq!((mode, fs::read_dir(&secret).unwrap().count()), (0o700, 1));
        fs::remove_file(&own).unwrap();
        fs::rename(&aside, &own).unwrap();
    }
    let again = host.start(with_scratch(&scratch));
    assert_eq!(again.shell("cat /etc/kept"), "kept");
}

fn a_scratch_serves_one_container_at_a_time() {
    let host = Host::new();
    let scratch = host.files.path().join("kept");
    fs::create_dir(&scratch).unwrap();
    let first = host.start(with_scratch(&scratch));
    let failure = host.failure(with_scratch(&scratch));
    assert_eq!(
        failure.causes[0].pointer.as_deref(),
        Some("/Container/Storage/Path")
    );
    drop(first);
    host.start(with_scratch(&scratch)).shell("true");
}

fn other_containers_scratch_is_hidden() {
    let host = Host::new();
    let first = host.start(json!({}));
    first.shell("echo secret > /secret");
    let scratch = host.config.scratch_root.display();
    let second = host.start(above_host(&[]));
    assert_eq!(second.shell(&format!("ls -A {scratch}")), "");
    let view = host.start(json!({}));
    assert_eq!(view.run(&["ls", &scratch.to_string()]).stdout, "");
}

fn the_services_own_files_are_hidden() {
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join("state.json"), "secret").unwrap();
    let host = Host::with(|config| config.hidden = vec![state.path().to_owned()]);
    let container = host.start(above_host(&[]));
    assert_eq!(
        container.shell(&format!("ls -A {}", state.path().display())),
        ""
    );
    // Not by asking for them, either.
    let asked = json!({ "Storage": { "HostDirectory": state.path() } });
    let container = host.start(asked);
    let script = format!("ls -A {}", state.path().display());
    assert_eq!(container.shell(&script), "");
}

/// Row F9.
fn separate_file_systems_of_the_host_are_part_of_the_view() {
    let case = "rootfs::separate_file_systems_of_the_host_are_part_of_the_view";
    let setup = "mount -t tmpfs none /srv && echo theirs > /srv/file && mount -t tmpfs none /media && touch /media/file";
    if !in_private_mounts(case, setup) {
        return;
    }
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(container.shell("cat /srv/file"), "theirs");
    container.shell("echo mine > /srv/file");
    assert_eq!(container.shell("cat /srv/file"), "mine");
    assert_eq!(fs::read_to_string("/srv/file").unwrap(), "theirs\n");
    assert_eq!(container.shell("ls -A /media"), "");
}

fn a_scratch_that_cannot_hold_an_overlay_is_replaced_by_memory() {
    let case = "rootfs::a_scratch_that_cannot_hold_an_overlay_is_replaced_by_memory";
    // procfs holds no directories of ours at all; a FAT or NFS volume would be the usual case. An overlay with an
    // overlay's upper directory is refused by the kernel as those are.
    let setup = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/u/scratch \
                 && mount -t overlay -o lowerdir=/srv,upperdir=/mnt/u,workdir=/mnt/w none /srv \
                 && export TMPDIR=/srv";
    if !in_private_mounts(case, setup) {
        return;
    }
    let host = Host::new();
    assert!(host.config.scratch_root.starts_with("/srv"));
    let container = host.start(json!({}));
    container.shell("echo written > /etc/written && cat /etc/written");
    let scratch = host.config.scratch_root.join(&container.request.runtime_id);
    assert!(
        container
            .shell("grep ' / / ' /proc/self/mountinfo")
            .contains("overlay")
    );
    let written = scratch.join("upper/etc/written");
    assert!(!written.exists(), "{}", written.display());
}

fn a_deep_scratch_is_removed() {
    let host = Host::new();
    let container = host.start(json!({}));
    // Deeper than descriptors or a stack would last, with links that lead out and names meant to be in the way.
    let kept = host.files.path().join("kept");
    fs::write(&kept, "kept").unwrap();
    let outside = host.files.path().display();
    container.shell(&format!(
        "mkdir /deep && cd /deep && ln -s {outside} out && touch .hcs-removed-0 && mkdir .hcs-removed-1 \
         && perl -e 'for (1..1500) {{ mkdir \"d\"; mkdir \"e\"; chdir \"d\"; symlink \"{outside}\", \"l\" }}'"
    ));
    let scratch = host.config.scratch_root.join(&container.request.runtime_id);
    assert!(scratch.exists());
    drop(container);
    assert!(!scratch.exists());
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
}

fn links_in_a_layer_do_not_lead_out() {
    let host = Host::new();
    let layer = host.files.path().join("layer");
    let outside = host.files.path().join("outside");
    fs::create_dir(&layer).unwrap();
    fs::create_dir(&outside).unwrap();
    // Absolute and relative, in place of mount points that the engine uses.
    symlink(&outside, layer.join("sys")).unwrap();
    symlink("../../../../../../etc", layer.join("dev")).unwrap();
    let only: Value = json!({ "Storage": { "Layers": [{ "Path": layer }] } });
    // Nothing can run in it, but it starts; what matters is that the host's directories stay as they are.
    let request = host.request(only);
    let machine = host.create(&request).unwrap_or_else(|f| panic!("{f:#?}"));
    let container = Container::new(machine, request);
    let _failed = container.wait_ready();
    assert_eq!(entries(&outside), Vec::<std::path::PathBuf>::new());
    assert_eq!(fs::metadata("/etc").unwrap().mode() & 0o777, 0o755);
}
