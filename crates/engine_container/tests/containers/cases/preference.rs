//! A user namespace that is preferred: which containers get it, and that they have the files they have without.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

use hcs_engine::engine::Engine as _;
use hcs_schema::{HResult, win32};
use serde_json::{Value, json};

use crate::host::{Container, Host, in_private_mounts};

super::cases![
    it_is_followed_and_files_are_the_same,
    what_is_said_wins,
    what_cannot_be_had_with_one_is_had_without,
    a_file_system_that_cannot_shift_owners_is_had_without,
    where_all_ids_are_taken_none_is_root_of_the_host,
    one_user_leaves_ids_to_others,
    what_is_kept_ready_follows_the_files,
];

/// Whether root inside is a user of its own on the host.
fn is_apart(container: &Container) -> bool {
    let map = container.shell("cat /proc/self/uid_map");
    let map: Vec<&str> = map.split_whitespace().collect();
    let apart = map != ["0", "0", "4294967295"];
    assert_eq!(container.recorded("UserNamespace").is_object(), apart);
    apart
}

/// The document with the preference.
fn preferring(mut container: Value) -> Value {
    container["PreferUserNamespace"] = true.into();
    container
}

fn it_is_followed_and_files_are_the_same() {
    let host = Host::new();
    let shared = host.files.path().join("shared");
    let later = host.files.path().join("later");
    for directory in [&shared, &later] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("before"), "").unwrap();
    }
    let mapping = |path, place| json!({ "HostPath": path, "ContainerPath": place });
    let container = host.start(preferring(json!({
        "MappedDirectories": [mapping(&shared, "/s")],
    })));
    assert!(is_apart(&container));
    let add = json!({
        "ResourcePath": "Container/MappedDirectories", "RequestType": "Add",
        "Settings": mapping(&later, "/later"),
    });
    container.modify(&add).unwrap_or_else(|f| panic!("{f:#?}"));
    let inside = "stat -c %u:%g / /etc/passwd /s /s/before /later/before | sort -u";
    assert_eq!(container.shell(inside), "0:0");
    container.shell("echo x > /s/file; chown 33:33 /s/file; echo x > /later/file");
    let owner = |path: std::path::PathBuf| fs::metadata(path).unwrap().uid();
    assert_eq!(owner(shared.join("file")), 33);
    assert_eq!(owner(later.join("file")), 0);
    // A file that the container makes gives no power on the host.
    let made = container.run(&["sh", "-c", "cp /bin/true /s/program; chmod 4755 /s/program"]);
    assert_ne!(made.code, 0, "{made:?}");
}

fn what_is_said_wins() {
    let host = Host::new();
    for said in [true, false] {
        let container = host.start(preferring(json!({ "UserNamespace": said })));
        assert_eq!(is_apart(&container), said);
    }
    let configured = Host::with(|config| config.user_namespaces.by_default = true);
    let storage = json!({ "Networking": { "Namespace": "" }, "AddCapabilities": ["SYS_TIME"] });
    assert!(is_apart(&configured.start(preferring(storage))));
    assert!(!is_apart(
        &host.start(json!({ "PreferUserNamespace": false }))
    ));
}

fn what_cannot_be_had_with_one_is_had_without() {
    let host = Host::new();
    let kept = host.files.path().join("kept");
    let shared = host.files.path().join("shared");
    let foreign = host.files.path().join("foreign");
    for directory in [&kept, &shared, &foreign] {
        fs::create_dir(directory).unwrap();
    }
    // A user of a directory service, say.
    chown(&foreign, Some(1_000_000), Some(0)).unwrap();
    let mapped = |path, more: Value| {
        let mut mapping = json!({ "HostPath": path, "ContainerPath": "/s" });
        mapping
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "MappedDirectories": [mapping] })
    };
    for document in [
        json!({ "Storage": { "Path": kept } }),
        json!({ "AddCapabilities": ["SYS_TIME"] }),
        json!({ "AddCapabilities": ["ALL"] }),
        mapped(&shared, json!({ "AllowSetId": true })),
        mapped(&foreign, json!({})),
    ] {
        let container = host.start(preferring(document.clone()));
        assert!(!is_apart(&container), "{document}");
    }
    // The owner of a layer is up to an image.
    let layers = json!({ "Storage": { "Layers": [{ "Path": foreign }, { "Path": "/" }] } });
    for document in [mapped(&shared, json!({ "ReadOnly": true })), layers] {
        let container = host.start(preferring(document.clone()));
        assert!(is_apart(&container), "{document}");
    }
}

fn a_file_system_that_cannot_shift_owners_is_had_without() {
    let case = "preference::a_file_system_that_cannot_shift_owners_is_had_without";
    // The second is only met by an attempt: it is below what is mapped.
    let setup = "mount -t tmpfs none /mnt && mkdir /mnt/overlay /mnt/below /mnt/below/proc \
                 && mount -t overlay -o lowerdir=/usr:/etc none /mnt/overlay \
                 && mount -t proc none /mnt/below/proc";
    if !in_private_mounts(case, setup) {
        return;
    }
    let host = Host::new();
    let mapped =
        |path| json!({ "MappedDirectories": [{ "HostPath": path, "ContainerPath": "/s" }] });
    let layers = |path| json!({ "Storage": { "Layers": [{ "Path": path }, { "Path": "/" }] } });
    for (document, apart) in [
        (mapped("/mnt/overlay"), false),
        (mapped("/mnt/below"), false),
        (mapped("/mnt/below/proc"), false),
        (mapped("/mnt"), false),
        (layers("/mnt/overlay"), false),
        (layers("/mnt/below"), true),
    ] {
        let container = host.start(preferring(document.clone()));
        assert_eq!(is_apart(&container), apart, "{document}");
    }
}

fn where_all_ids_are_taken_none_is_root_of_the_host() {
    let host = Host::with(|config| {
        config.user_namespaces.users.count = 65_536;
        config.user_namespaces.groups.count = 65_536;
    });
    let first = host.start(preferring(json!({})));
    assert!(is_apart(&first));
    let refused = host.failure(preferring(json!({})));
    assert_eq!(
        refused.hresult,
        HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES)
    );
    assert!(refused.message.contains("--userns=no"), "{refused:?}");
    // Another that asks for none has none.
    let _without = host.start(json!({ "UserNamespace": false }));
    drop(first);
    assert!(is_apart(&host.start(preferring(json!({})))));
}

fn one_user_leaves_ids_to_others() {
    let host = Host::with(|config| {
        config.user_namespaces.users.count = 8 * 65_536;
        config.user_namespaces.groups.count = 8 * 65_536;
    });
    let make = |user| {
        let mut request = host.request(preferring(json!({})));
        request.user = user;
        let machine = host.engine.create(&request)?;
        let container = Container::new(machine, request);
        container.wait_ready().map(|()| container)
    };
    let made = [(); 4].map(|()| make(54_390).unwrap());
    let refused = make(54_390).err().unwrap();
    let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    assert_eq!(refused.hresult, hresult, "{refused:?}");
    assert!(
        refused.to_string().contains("the share of one user"),
        "{refused:?}"
    );
    // Root, and others.
    let roots: Vec<_> = (0..3).map(|_| host.start(preferring(json!({})))).collect();
    assert!(roots.iter().all(is_apart));
    let _other = make(54_391).unwrap();
    drop(made);
    assert!(is_apart(&make(54_390).unwrap()));
}

fn what_is_kept_ready_follows_the_files() {
    let host = Host::new();
    let foreign = host.files.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    let document = preferring(json!({
        "MappedDirectories": [{ "HostPath": foreign, "ContainerPath": "/s" }],
    }));
    // Whether what is prepared has a user namespace, which is what the files allowed the last time.
    let made = |prepared: bool, apart: bool| {
        let request = host.request(document.clone());
        let slot = host.prepare(&request);
        assert!(slot.fits(&request.document));
        let asked = host.request(json!({ "UserNamespace": prepared }));
        assert!(slot.fits(&asked.document));
        let machine = slot.make(&request).unwrap_or_else(|f| panic!("{f:#?}"));
        let container = Container::new(machine, request);
        container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
        assert_eq!(is_apart(&container), apart);
    };
    made(true, true);
    chown(&foreign, Some(1_000_000), Some(0)).unwrap();
    made(true, false);
    made(false, false);
    chown(&foreign, Some(0), Some(0)).unwrap();
    made(false, true);
    made(true, true);
}
