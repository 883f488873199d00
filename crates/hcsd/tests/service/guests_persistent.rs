//! Images that Linux guests have as persistent memory.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use crate::{
    common::{Client, Service, client::create_system},
    guests::{Guest, said},
    images,
};

/// A megabyte.
const MB: usize = 1 << 20;

/// The document's part, as hcsshim writes it.
fn memory(image: &Path, format: &Value) -> Value {
    let device = json!({ "HostPath": image, "ReadOnly": true, "ImageFormat": format });
    json!({ "Devices": { "0": device }, "MaximumCount": 64, "MaximumSizeBytes": 4_294_967_296_u64 })
}

/// What the guest sees: whether it can only read, the sectors, the first five bytes, and those from this one on.
fn seen(client: &mut Client, second: usize) -> String {
    let block = "/sys/class/block/pmem0";
    let read = |at: usize| {
        format!("busybox dd if=/dev/pmem0 bs=1 skip={at} count=5 2>/dev/null | busybox tr '\\0' .")
    };
    let (first, second) = (read(0), read(second));
    said(
        client,
        "root",
        &format!("cat {block}/ro {block}/size; {first}; {second}"),
    )
}

#[test]
fn a_guest_reads_an_image_as_persistent_memory() {
    let guest = Guest::new();
    let place = tempfile::tempdir().unwrap();
    let service = Service::new();
    let mut client = service.client();
    // One that is mapped as it is.
    let image = place.path().join("layer.img");
    let mut bytes = vec![b'x'; 4 * MB];
    bytes[..5].copy_from_slice(b"first");
    bytes[4 * MB - 5..].copy_from_slice(b"last.");
    fs::write(&image, &bytes).unwrap();
    fs::set_permissions(&image, fs::Permissions::from_mode(0o600)).unwrap();
    let document = guest.document_with(|machine| {
        machine["Devices"]["VirtualPMem"] = memory(&image, &Value::Null);
    });
    let document = document.to_string();
    let refused = client.call(&create_system(1, "guest", &document));
    let said_of_it = format!("{:?}", refused.reply);
    refused.failed(HResult::E_ACCESSDENIED);
    assert!(
        said_of_it.contains("/VirtualPMem/Devices/0/HostPath"),
        "{said_of_it}"
    );
    images::let_all_use(&image);
    guest.start_with(&mut client, |machine| {
        machine["Devices"]["VirtualPMem"] = memory(&image, &Value::Null);
    });
    assert_eq!(seen(&mut client, 4 * MB - 5), "1\n8192\nfirstlast.");
    let written = said(
        &mut client,
        "root",
        "echo no > /dev/pmem0 2>/dev/null || echo refused",
    );
    assert_eq!(written, "refused\n");
    assert!(fs::read(&image).unwrap() == bytes);

    // It stays as it is.
    let path = "VirtualMachine/Devices/VirtualPMem/Devices/0";
    for (path, kind) in [
        (path.to_owned(), "Remove"),
        (format!("{path}/Mappings/0"), "Add"),
    ] {
        let request = json!({ "ResourcePath": path, "RequestType": kind, "Settings": {} });
        let settings = request.to_string();
        let refused = client.call(&Call::ModifySystem {
            system: 1,
            settings,
        });
        let told = format!("{:?}", refused.reply);
        refused.failed(HResult::NOT_SUPPORTED);
        assert!(told.contains("QEMU takes none away"), "{told}");
    }
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

#[test]
fn an_image_of_any_size_is_filled_up_with_zeros() {
    let guest = Guest::new();
    let place = tempfile::tempdir().unwrap();
    let service = Service::new();
    let mut client = service.client();
    // As hcsshim makes them: a file system, and the footer of a VHD of fixed size.
    let image = place.path().join("rootfs.vhd");
    let mut bytes = vec![b'x'; 2 * MB + 4096];
    bytes[..5].copy_from_slice(b"first");
    let mut footer = [0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[63] = 2;
    bytes.extend(footer);
    fs::write(&image, &bytes).unwrap();
    images::let_all_use(&image);
    guest.start_with(&mut client, |machine| {
        machine["Devices"]["VirtualPMem"] = memory(&image, &json!("Vhd1"));
    });
    assert_eq!(seen(&mut client, 2 * MB + 4094), "1\n8192\nfirstxx...");
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}
