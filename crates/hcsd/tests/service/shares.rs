//! Directories of the host in a Linux guest: its kernel mounts them by 9P.
//!
//! Debian's cloud kernel has no 9P, so this guest has the kernel of `linux-image-amd64`, which `cargo xtask packages`
//! provides as well, or that of `HCS_TEST_GUEST_KERNEL_9P`.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use crate::{
    common::{
        Client, Service,
        client::{create_system, open_system, start_system},
    },
    guests::{Guest, said},
};

fn kernel_directory() -> PathBuf {
    if let Some(named) = env::var_os("HCS_TEST_GUEST_KERNEL_9P") {
        return named.into();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest-kernel/full");
    assert!(
        own.exists(),
        "there is no kernel with 9P in {}; run: cargo xtask packages",
        own.display()
    );
    own
}

fn modify(kind: &str, settings: &Value) -> Call {
    let path = "VirtualMachine/Devices/Plan9/Shares";
    let settings = json!({"ResourcePath": path, "RequestType": kind, "Settings": settings});
    Call::ModifySystem {
        system: 1,
        settings: settings.to_string(),
    }
}

/// Has the agent mount a share, or end that.
fn in_guest(kind: &str, name: &str, target: &str) -> Call {
    let settings = json!({"MountPath": target, "Port": 564, "ShareName": name});
    let request =
        json!({"RequestType": kind, "ResourceType": "MappedDirectory", "Settings": settings});
    Call::ModifySystem {
        system: 1,
        settings: json!({"GuestRequest": request}).to_string(),
    }
}

fn share(name: &str, path: &Path, flags: u32) -> Value {
    json!({"Name": name, "AccessName": name, "Path": path, "Port": 564, "Flags": flags})
}

#[test]
fn a_guest_reads_and_writes_what_is_shared_and_nothing_else() {
    let guest = Guest::of(&kernel_directory());
    let place = tempfile::tempdir().unwrap();
    let [data, fixed, later, beside] =
        ["data", "fixed", "later", "beside"].map(|name| place.path().join(name));
    for folder in [&data, &fixed, &later, &beside] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("file"), "of the host\n").unwrap();
    }
    fs::write(beside.join("secret"), "secret").unwrap();
    symlink(&beside, data.join("out")).unwrap();
    symlink("../beside/secret", data.join("up")).unwrap();

    let mut service = Service::new();
    let mut client = service.client();
    let runtime_id = guest.start_with(&mut client, |machine| {
        let shares = json!([share("0", &data, 4), share("1", &fixed, 5)]);
        machine["Devices"]["Plan9"] = json!({"Shares": shares});
        let line = &mut machine["Chipset"]["LinuxKernelDirect"]["KernelCmdLine"];
        let words = " hcs.share=564:0:/data hcs.share=564:1:/mnt/fi%78ed:ro";
        *line = json!(line.as_str().unwrap().to_owned() + words);
    });
    files_are_shared(&mut client, &data);
    nothing_leads_out(&mut client);
    // Neither by the guest's own kernel, nor without that by the host.
    let refused =
        "cat /mnt/fixed/file; echo x > /mnt/fixed/file || echo x > /mnt/fixed/new || true";
    let heard = said(&mut client, "root", refused);
    assert!(heard.starts_with("of the host\n"), "{heard}");
    assert_eq!(heard.matches("Read-only file system").count(), 2, "{heard}");
    client.call(&in_guest("Add", "1", "/again")).ok();
    let heard = said(
        &mut client,
        "root",
        &refused.replace("/mnt/fixed", "/again"),
    );
    assert_eq!(heard.matches("Read-only file system").count(), 2, "{heard}");

    shares_come_and_go(&mut client, &later);
    the_service_is_not_seen(&mut client, &service);
    // The shares are the worker's.
    service.kill();
    service.run();
    let mut client = service.client();
    client
        .call(&open_system(1, "guest", Some(&runtime_id)))
        .ok();
    let heard = said(
        &mut client,
        "root",
        "echo after > /data/after && cat /data/after",
    );
    assert_eq!(heard, "after\n");
    client.call(&modify("Add", &share("later", &later, 4))).ok();
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
    assert_eq!(fs::read_to_string(data.join("after")).unwrap(), "after\n");
    for folder in [&fixed, &beside] {
        let file = fs::read_to_string(folder.join("file")).unwrap();
        assert_eq!(file, "of the host\n");
    }
    assert!(!fixed.join("new").exists());
}

#[track_caller]
fn files_are_shared(client: &mut Client, data: &Path) {
    let script = "cd /data && cat file && echo of the guest > new && busybox mkdir -p d/e && busybox mv new d/e/moved && \
                  busybox ln -s d/e/moved link && cat link && busybox ls d/e && busybox chmod 4755 d/e/moved && \
                  busybox dd if=/dev/zero of=big bs=1M count=3 2>/dev/null && busybox truncate -s 5 file && busybox wc -c < file && \
                  busybox find . | busybox wc -l && busybox rm -r link && busybox mkfifo p";
    let heard = said(client, "root", &(script.to_owned() + " || true"));
    let expected = "of the host\nof the guest\nmoved\n5\n9\nmkfifo: p: Operation not permitted\n";
    assert_eq!(heard, expected);
    let moved = data.join("d/e/moved");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "of the guest\n");
    let mode = fs::metadata(&moved).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "no set-user-ID for the host");
    assert_eq!(fs::metadata(data.join("big")).unwrap().len(), 3 << 20);
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "of th");
}

/// Links are followed among the files of the guest, which has no such.
#[track_caller]
fn nothing_leads_out(client: &mut Client) {
    let script = "cat /data/out/secret || cat /data/up || cat /data/../beside/secret || busybox ls /data/.. | \
                  busybox grep beside || true";
    let heard = said(client, "root", script);
    let missing = "No such file or directory\n";
    assert_eq!(heard.matches(missing).count(), 3, "{heard}");
    assert_eq!(heard.lines().count(), 3, "{heard}");
}

/// Neither what it knows of systems, nor where its socket is; what is above them stays where it is.
#[track_caller]
fn the_service_is_not_seen(client: &mut Client, service: &Service) {
    let state = service.root();
    let own = state.parent().unwrap();
    let denied = |client: &mut Client, path: &Path| {
        let refused = client.call(&modify("Add", &share("own", path, 4)));
        refused.failed(HResult::E_ACCESSDENIED);
    };
    denied(client, &service.root());
    denied(client, &service.root().join("systems"));
    denied(client, own);
    let above = own.parent().unwrap();
    client.call(&modify("Add", &share("own", above, 4))).ok();
    client.call(&in_guest("Add", "own", "/own")).ok();
    let name = own.file_name().unwrap().to_str().unwrap();
    let script = format!(
        "cat /own/{name}/hcs.d/systems/*/state.json || busybox ls /own/{name} || busybox mv /own/{name} /own/mine || true"
    );
    let heard = said(client, "root", &script);
    assert_eq!(heard.lines().count(), 3, "{heard}");
    assert_eq!(heard.matches("Permission denied").count(), 3, "{heard}");
    assert!(own.exists(), "{heard}");
    client.call(&in_guest("Remove", "own", "/own")).ok();
    client
        .call(&modify("Remove", &json!({"Name": "own", "Port": 564})))
        .ok();
}

#[track_caller]
fn shares_come_and_go(client: &mut Client, later: &Path) {
    let refused = client.call(&in_guest("Add", "later", "/later"));
    let message = refused.failed(HResult::E_INVALIDARG);
    assert!(message.contains("no share \"later\""), "{message}");
    client.call(&modify("Add", &share("later", later, 4))).ok();
    let twice = client.call(&modify("Add", &share("later", later, 4)));
    let message = twice.failed(HResult::E_INVALIDARG);
    assert!(message.contains("given a share"), "{message}");
    client.call(&in_guest("Add", "later", "/later")).ok();
    let heard = said(client, "root", "cat /later/file");
    assert_eq!(heard, "of the host\n");
    client
        .call(&modify("Remove", &json!({"Name": "later", "Port": 564})))
        .ok();
    let heard = said(
        client,
        "root",
        "cat /later/file || echo x > /later/new || true",
    );
    assert_eq!(heard.matches("Stale").count(), 2, "{heard}");
    client.call(&in_guest("Remove", "later", "/later")).ok();
    let gone = client.call(&modify("Remove", &json!({"Name": "later"})));
    gone.failed(HResult::E_INVALIDARG);
    assert!(!later.join("new").exists());
}

/// The cloud kernel has no 9P: no process starts that would find an empty directory.
#[test]
fn a_guest_without_9p_says_so() {
    let guest = Guest::new();
    let place = tempfile::tempdir().unwrap();
    let service = Service::new();
    let mut client = service.client();
    let document = guest.document_with(|machine| {
        machine["Devices"]["Plan9"] = json!({"Shares": [share("0", place.path(), 4)]});
        let line = &mut machine["Chipset"]["LinuxKernelDirect"]["KernelCmdLine"];
        *line = json!(line.as_str().unwrap().to_owned() + " hcs.share=564:0:/data");
    });
    client
        .call(&create_system(1, "guest", &document.to_string()))
        .ok();
    let refused = client.call(&start_system(1));
    let message = refused.failed(HResult::NOT_SUPPORTED);
    assert!(
        message.contains("/data of the host is not there"),
        "{message}"
    );
    client.terminate(1);
}
