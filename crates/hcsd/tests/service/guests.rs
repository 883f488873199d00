//! Linux guests with the agent: Debian's kernel, an initial ramdisk with `hcs-guest` and busybox, in a real QEMU.
//!
//! The kernel is what `cargo xtask packages` provides, or that of `HCS_TEST_GUEST_KERNEL`.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use guest_image::{
    build::{Recipe, initrd_file},
    find, kernel,
};
use hcs_schema::HResult;
use hcs_wire::service::{Call, Subject};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{
    Client, Service,
    client::{SYSTEM_EXITED, create_process, create_system, open_system, shell, start_system},
};

/// Where the kernel is.
fn kernel_directory() -> PathBuf {
    if let Some(named) = env::var_os("HCS_TEST_GUEST_KERNEL") {
        return named.into();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest-kernel/current");
    assert!(
        own.exists(),
        "there is no kernel for a guest in {}; run: cargo xtask packages",
        own.display()
    );
    own
}

/// Boot files of a guest.
struct Guest(TempDir);

impl Guest {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let found = find::at(&kernel_directory(), None).unwrap();
        let elf = kernel::elf(&fs::read(&found.image).unwrap()).unwrap();
        fs::write(place.path().join("kernel"), elf).unwrap();
        let agent = Path::new(env!("CARGO_BIN_EXE_hcsd")).with_file_name("hcs-guest");
        assert!(
            agent.exists(),
            "there is no {}; run: cargo build",
            agent.display()
        );
        let root = place.path().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
        let busybox = busybox.into_iter().find(|place| place.exists()).unwrap();
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        for name in ["sh", "cat", "sleep", "stty", "tty", "date"] {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        let recipe = Recipe {
            kernel: found,
            agent,
            modules: vec!["pvpanic-mmio".to_owned()],
            root: Some(root),
        };
        initrd_file(&recipe, &place.path().join("initrd")).unwrap();
        Self(place)
    }

    fn document(&self) -> String {
        let path = |name: &str| self.0.path().join(name);
        let boot = json!({
            "KernelFilePath": path("kernel"), "InitRdPath": path("initrd"),
            "KernelCmdLine": "console=ttyS0 quiet panic=-1 cryptomgr.notests",
        });
        json!({
            "SchemaVersion": {"Major": 2, "Minor": 1},
            "VirtualMachine": {
                "StopOnReset": true,
                "Chipset": {"LinuxKernelDirect": boot},
                "ComputeTopology": {"Memory": {"SizeInMB": 256}},
                "Devices": {"ComPorts": {"0": {"NamedPipe": r"\\.\pipe\console"}}},
                "GuestConnection": {},
            },
        })
        .to_string()
    }

    /// Makes and starts it; answers its runtime id.
    fn start(&self, client: &mut Client) -> String {
        let made = client
            .call(&create_system(1, "guest", &self.document()))
            .ok();
        client.call(&start_system(1)).ok();
        made.reply.runtime_id.unwrap()
    }
}

fn open_process(process: u64, process_id: u32) -> Call {
    Call::OpenProcess {
        system: 1,
        process,
        process_id,
        again: false,
    }
}

/// Waits for the end of the system; answers its type, and what its machine said of it. The end of the agent's stream may
/// be told before.
#[track_caller]
fn end(client: &mut Client) -> (String, Value) {
    loop {
        let (subject, event_type, status) = client.event();
        if (subject, event_type) == (Subject::System(1), SYSTEM_EXITED) {
            let kind = status["ExitType"].as_str().unwrap().to_owned();
            return (
                kind,
                status["Attribution"][1]["WorkerExit"]["Detail"].clone(),
            );
        }
    }
}

#[test]
fn processes_run_in_a_guest_and_outlive_the_service() {
    let guest = Guest::new();
    let mut service = Service::new();
    let mut client = service.client();
    let runtime_id = guest.start(&mut client);

    let mut process = client.create_process(1, 2, &shell("read a; echo \"got $a\"; exit 7"));
    process.write("it\n");
    assert_eq!(process.output(), "got it\n");
    assert_eq!(client.exit_code(2), 7);

    // The end of the standard input arrives, however much came before it.
    let mut process = client.create_process(1, 3, &shell("cat"));
    let text = "0123456789abcdef".repeat(16 << 10);
    let mut stdin = process.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()));
    assert_eq!(process.output().len(), 256 << 10);
    writer.join().unwrap().unwrap();
    assert_eq!(client.exit_code(3), 0);

    let console = json!({
        "CommandArgs": ["/bin/sh", "-c", "stty size"], "EmulateConsole": true, "ConsoleSize": [30, 100],
        "CreateStdOutPipe": true,
    });
    let mut process = client.create_process(1, 4, &console);
    assert_eq!(process.output().trim_end(), "30 100");
    assert_eq!(client.exit_code(4), 0);

    let mut process = client.create_process(1, 5, &shell("read a; echo \"$a\"; exit 9"));
    service.kill();
    service.run();
    let mut client = service.client();
    client
        .call(&open_system(1, "guest", Some(&runtime_id)))
        .ok();
    client.call(&open_process(5, process.pid)).ok();
    process.write("after\n");
    assert_eq!(process.output(), "after\n");
    assert_eq!(client.exit_code(5), 9);
    let mut process = client.create_process(1, 6, &shell("echo new"));
    assert_eq!(process.output(), "new\n");
    assert_eq!(client.exit_code(6), 0);

    let shut_down = Call::ShutDownSystem {
        system: 1,
        options: None,
    };
    client.call(&shut_down).ok();
    assert_eq!(
        end(&mut client),
        ("GracefulExit".to_owned(), json!("PowerOff"))
    );
}

#[test]
fn a_guest_that_panics_or_is_terminated_ends_as_it_did() {
    let guest = Guest::new();
    let service = Service::new();
    let mut client = service.client();
    guest.start(&mut client);
    client.create_deaf_process(1, 2);
    let crash = json!({"CommandArgs": ["/bin/sh", "-c", "echo c > /proc/sysrq-trigger"]});
    client.call(&create_process(1, 3, &crash));
    assert_eq!(
        end(&mut client),
        ("UnexpectedExit".to_owned(), json!("GuestCrash"))
    );
    let mut client = service.client();
    guest.start(&mut client);
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

#[test]
fn a_guest_without_an_agent_is_told_so_within_the_time() {
    let guest = Guest::new();
    let service = Service::with_config("[times]\nstart_seconds = 3\n");
    let mut client = service.client();
    let document = guest
        .document()
        .replace("quiet", "quiet rdinit=/bin/sleep -- 1000");
    client.call(&create_system(1, "guest", &document)).ok();
    let refused = client.call(&start_system(1));
    let message = refused.failed(HResult::HCS_E_CONNECTION_TIMEOUT);
    assert!(message.contains("agent"), "{message}");
    // It may be started again, when its guest is there.
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}
