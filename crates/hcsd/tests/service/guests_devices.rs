//! Devices of Linux guests beside disks and network cards: virtio serial ports, and limits on what disks do.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use hcs_schema::HResult;
use hcs_wire::service::Call;
use rustix::{
    fs::{OFlags, fcntl_setfl},
    io::Errno,
};
use serde_json::{Value, json};

use crate::{
    common::{Client, Service, client::shell},
    guests::{Guest, find, said},
    images,
};

/// The host's end of a pipe.
fn pipe(service: &Service, name: &str) -> UnixStream {
    let stream = UnixStream::connect(service.root().join("pipes").join(name)).unwrap();
    // Only so that a failure does not hang.
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

fn line(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

fn limits(settings: &Value) -> Call {
    let request = json!({
        "ResourcePath": "VirtualMachine/StorageQoS", "RequestType": "Update", "Settings": settings,
    });
    Call::ModifySystem {
        system: 1,
        settings: request.to_string(),
    }
}

fn disk(folder: &Path, name: &str) -> Value {
    let image = folder.join(name);
    fs::write(&image, vec![b'x'; 1 << 20]).unwrap();
    images::let_all_use(&image);
    json!({ "Type": "VirtualDisk", "Path": image })
}

#[test]
fn a_guest_has_virtio_serial_ports_and_its_disks_are_as_fast_as_they_may_be() {
    let guest = Guest::new();
    let place = tempfile::tempdir().unwrap();
    let service = Service::new();
    let mut client = service.client();
    let disks = json!({ "0": { "Attachments": { "0": disk(place.path(), "a.raw") } } });
    guest.start_with(&mut client, |machine| {
        machine["Devices"]["VirtioSerial"] = json!({ "Ports": {
            "0": { "NamedPipe": r"\\.\pipe\words", "Name": "hcs.test,1" },
            "4": { "NamedPipe": r"\\.\pipe\hvc", "ConsoleSupport": true },
        } });
        machine["Devices"]["Scsi"] = disks;
        machine["StorageQoS"] = json!({});
    });
    ports_carry_words(&service, &mut client);
    disks_are_limited(&mut client);

    // A disk that comes later is limited as well, and leaves.
    let path = "VirtualMachine/Devices/Scsi/0/Attachments/7";
    let change = |kind: &str, settings: &Value| Call::ModifySystem {
        system: 1,
        settings: json!({ "ResourcePath": path, "RequestType": kind, "Settings": settings })
            .to_string(),
    };
    for _ in 0..2 {
        client
            .call(&change("Add", &disk(place.path(), "b.raw")))
            .ok();
        let read = find(0, 7) + "busybox head -c 3 $d";
        assert_eq!(said(&mut client, "root", &read), "xxx");
        client.call(&change("Remove", &Value::Null)).ok();
    }
    let wrong = json!({ "IopsMaximum": u64::MAX });
    let refused = client.call(&limits(&wrong));
    let told = format!("{:?}", refused.reply);
    refused.failed(HResult::HCS_E_INVALID_JSON);
    assert!(told.contains("/Settings/IopsMaximum"), "{told}");
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

fn ports_carry_words(service: &Service, client: &mut Client) {
    let mut words = pipe(service, "words");
    let found = "for p in /sys/class/virtio-ports/*; do [ \"$(cat $p/name)\" = hcs.test,1 ] && p=/dev/${p##*/} && break; done; ";
    let script =
        format!("{found} exec 3<>$p; echo from the guest >&3; read a <&3; echo \"heard $a\"");
    let mut process = client.create_process(1, 10, &shell(&script));
    assert_eq!(line(&words), "from the guest\n");
    words.write_all(b"the host\n").unwrap();
    assert_eq!(process.output(), "heard the host\n");
    assert_eq!(client.exit_code(10), 0);
    said(client, "root", "echo on the console > /dev/hvc0");
    assert_eq!(line(&pipe(service, "hvc")), "on the console\r\n");
}

/// A read whose requests would wait for minutes each does not end, and ends when the limit is lifted.
fn disks_are_limited(client: &mut Client) {
    client
        .call(&limits(&json!({ "BandwidthMaximum": 16 })))
        .ok();
    let script = find(0, 0)
        + "echo begun; busybox dd if=$d of=/dev/null bs=4096 count=64 iflag=direct 2>/dev/null; echo done";
    let mut process = client.create_process(1, 11, &shell(&script));
    let mut stdout = process.stdout.take().unwrap();
    let mut begun = [0; 6];
    stdout.read_exact(&mut begun).unwrap();
    // Meanwhile the guest goes on.
    for _ in 0..5 {
        assert_eq!(said(client, "root", "echo on"), "on\n");
    }
    fcntl_setfl(&stdout, OFlags::NONBLOCK).unwrap();
    let read = rustix::io::read(&stdout, &mut [0; 1][..]);
    assert_eq!(read, Err(Errno::AGAIN), "it was not limited");
    fcntl_setfl(&stdout, OFlags::empty()).unwrap();
    client.call(&limits(&json!({}))).ok();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "done\n");
    assert_eq!(client.exit_code(11), 0);
}
