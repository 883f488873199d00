//! Sockets between programs of the host and of a guest: `Devices/HvSocket`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    os::fd::AsRawFd as _,
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use crate::{
    common::{Client, Service, client::open_system},
    guests::{Guest, said},
};

fn service_id(port: u32) -> String {
    format!("{port:08x}-facb-11e6-bd58-64006a7986d3")
}

/// Only so that a failure does not hang.
fn patient(stream: UnixStream) -> UnixStream {
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    stream
}

/// Connects to a port of the guest; none when that is refused.
fn connect(folder: &Path, port: u32) -> Option<UnixStream> {
    let mut stream = patient(UnixStream::connect(folder.join("vsock")).unwrap());
    stream
        .write_all(format!("CONNECT {port}\n").as_bytes())
        .unwrap();
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") {
        match stream.read(&mut byte).unwrap() {
            0 => return None,
            _ => line.push(byte[0]),
        }
    }
    assert!(line.starts_with(b"OK "), "{line:?}");
    Some(stream)
}

/// Says something to a program of the guest, ends that direction, and hears the answer.
fn host_calls(client: &mut Client, folder: &Path, handle: u64) {
    let listen = json!({"CommandArgs": ["/bin/talk", "listen", "5000"], "CreateStdOutPipe": true});
    let process = client.create_process(1, handle, &listen);
    // Only so that a failure does not hang.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut stream = loop {
        // It listens as soon as it runs.
        if let Some(stream) = connect(folder, 5000) {
            break stream;
        }
        assert!(Instant::now() < deadline, "the program does not listen");
    };
    stream.write_all(b"the host").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "heard the host");
    assert_eq!(client.exit_code(handle), 0);
    drop(process);
}

/// A program of the guest says something to one of the host, and hears the answer.
fn guest_calls(client: &mut Client, folder: &Path, port: u32, handle: u64) {
    let place = folder.join(format!("vsock_{port}"));
    let listener = UnixListener::bind(&place).unwrap();
    let dial = json!({
        "CommandArgs": ["/bin/talk", "dial", port.to_string(), "the guest"], "CreateStdOutPipe": true,
    });
    let mut process = client.create_process(1, handle, &dial);
    let mut stream = patient(listener.accept().unwrap().0);
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "the guest");
    stream.write_all(b"heard").unwrap();
    drop(stream);
    assert_eq!(process.output(), "heard");
    assert_eq!(client.exit_code(handle), 0);
    fs::remove_file(place).unwrap();
}

fn modify(port: &str, kind: &str, settings: &Value) -> Call {
    let path = format!("VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/{port}");
    let settings = json!({"ResourcePath": path, "RequestType": kind, "Settings": settings});
    Call::ModifySystem {
        system: 1,
        settings: settings.to_string(),
    }
}

#[test]
fn programs_of_host_and_guest_reach_each_other_as_the_rules_say() {
    const AGENT: u32 = 0x4000_0000;
    let guest = Guest::new();
    let mut service = Service::new();
    let mut client = service.client();
    let runtime_id = guest.start_with(&mut client, |machine| {
        machine["Devices"]["HvSocket"] = json!({"HvSocketConfig": {
            "DefaultBindSecurityDescriptor": "D:P(A;;FA;;;SY)(A;;FA;;;BA)",
            "ServiceTable": {
                service_id(5002): {"Disabled": true},
                service_id(5003): {"ConnectSecurityDescriptor": "D:P"},
            },
        }});
    });
    let folder = service
        .root()
        .join("systems")
        .join(&runtime_id)
        .join("hvsocket");
    // By its descriptor: the path of a test's directory may be longer than the address of a socket.
    let opened = fs::File::open(&folder).unwrap();
    let folder = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    assert_eq!(
        fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
        0o700
    );

    host_calls(&mut client, &folder, 10);
    guest_calls(&mut client, &folder, 5001, 11);
    assert!(connect(&folder, 4999).is_none(), "no program listens");
    assert!(connect(&folder, 5003).is_none(), "the rules close it");
    let closed = UnixListener::bind(folder.join("vsock_5002")).unwrap();
    let agent = UnixListener::bind(folder.join(format!("vsock_{AGENT}"))).unwrap();
    for port in [4999, 5002, AGENT] {
        let dialled = said(
            &mut client,
            "root",
            &format!("/bin/talk dial {port} x || true"),
        );
        assert_eq!(dialled, "connect: Connection reset by peer\n", "{port}");
    }
    drop((closed, agent));
    fs::remove_file(folder.join("vsock_5002")).unwrap();

    // Another service finds the same machine with the same sockets.
    client
        .call(&modify(
            &service_id(5002),
            "Update",
            &json!({"Disabled": false}),
        ))
        .ok();
    client
        .call(&modify(
            &service_id(5001),
            "Add",
            &json!({"Disabled": true}),
        ))
        .ok();
    service.kill();
    service.run();
    let mut client = service.client();
    client
        .call(&open_system(1, "guest", Some(&runtime_id)))
        .ok();
    guest_calls(&mut client, &folder, 5002, 12);
    let dialled = said(&mut client, "root", "/bin/talk dial 5001 x || true");
    assert_eq!(dialled, "connect: Connection reset by peer\n");
    client
        .call(&modify(&service_id(5001), "Remove", &Value::Null))
        .ok();
    guest_calls(&mut client, &folder, 5001, 13);
    host_calls(&mut client, &folder, 14);
    let refused = client.call(&modify("80", "Update", &json!({})));
    assert!(
        refused
            .failed(HResult::HCS_E_INVALID_JSON)
            .contains("no GUID")
    );

    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}
