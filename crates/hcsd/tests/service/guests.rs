//! Linux guests with the agent: Debian's kernel, an initial ramdisk with `hcs-guest` and busybox, in a real QEMU.
//!
//! The kernel is what `cargo xtask packages` provides, or that of `HCS_TEST_GUEST_KERNEL`.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use guest_image::{
    build::{Recipe, initrd_file},
    find, kernel,
};
use hcs_schema::HResult;
use hcs_wire::service::{Call, Subject};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    common::{
        Client, Service,
        client::{SYSTEM_EXITED, create_process, create_system, open_system, shell, start_system},
    },
    images,
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
pub(crate) struct Guest(TempDir);

impl Guest {
    pub(crate) fn new() -> Self {
        Self::of(&kernel_directory())
    }

    /// One with the kernel in a directory of its own.
    pub(crate) fn of(kernel: &Path) -> Self {
        let place = tempfile::tempdir().unwrap();
        let found = find::at(kernel, None).unwrap();
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
        let users = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/:/bin/sh\n";
        fs::write(root.join("etc/passwd"), users).unwrap();
        fs::create_dir(root.join("mnt")).unwrap();
        for program in ["dhcp", "leased"] {
            let source = format!("tests/service/{program}.sh");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
            fs::copy(source, root.join("bin").join(program)).unwrap();
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(root.join("bin").join(program), mode).unwrap();
        }
        for program in ["dial", "talk", "frames", "relay"] {
            let source = format!("tests/service/{program}.c");
            let mut compile = Command::new("gcc");
            compile.args(["-static", "-O1", "-Wall", "-Werror", "-o"]);
            compile.arg(root.join("bin").join(program));
            compile.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source));
            assert!(compile.status().unwrap().success());
        }
        let recipe = Recipe {
            kernel: found,
            agent,
            modules: vec!["pvpanic-mmio".to_owned()],
            root: Some(root),
            automatic: false,
        };
        initrd_file(&recipe, &place.path().join("initrd")).unwrap();
        Self(place)
    }

    /// The kernel of its distribution, which firmware boots, and the initial ramdisk.
    pub(crate) fn boot_files(&self) -> (PathBuf, PathBuf) {
        let kernel = find::at(&kernel_directory(), None).unwrap().image;
        (kernel, self.0.path().join("initrd"))
    }

    fn document(&self) -> String {
        self.document_with(|_| ()).to_string()
    }

    /// The document, changed by `change`.
    pub(crate) fn document_with(&self, change: impl FnOnce(&mut Value)) -> Value {
        let path = |name: &str| self.0.path().join(name);
        let boot = json!({
            "KernelFilePath": path("kernel"), "InitRdPath": path("initrd"),
            "KernelCmdLine": "console=ttyS0 quiet panic=-1 cryptomgr.notests",
        });
        let mut document = json!({
            "SchemaVersion": {"Major": 2, "Minor": 1},
            "VirtualMachine": {
                "StopOnReset": true,
                "Chipset": {"LinuxKernelDirect": boot},
                "ComputeTopology": {"Memory": {"SizeInMB": 256}},
                "Devices": {"ComPorts": {"0": {"NamedPipe": r"\\.\pipe\console"}}},
                "GuestConnection": {},
            },
        });
        change(&mut document["VirtualMachine"]);
        document
    }

    /// Makes and starts it; returns its runtime id.
    fn start(&self, client: &mut Client) -> String {
        self.start_with(client, |_| ())
    }

    pub(crate) fn start_with(
        &self,
        client: &mut Client,
        change: impl FnOnce(&mut Value),
    ) -> String {
        let document = self.document_with(change).to_string();
        let made = client.call(&create_system(1, "guest", &document)).ok();
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

/// Waits for the end of the system; returns its type, and what its machine said of it. The end of the agent's stream
/// may be told before.
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
    let mut service = Service::with_config("[times]\nreconnect_seconds = 20\n");
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

/// What a process of the guest writes that ends with 0.
#[track_caller]
pub(crate) fn said(client: &mut Client, user: &str, script: &str) -> String {
    static HANDLES: AtomicU64 = AtomicU64::new(100);
    let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
    let parameters = json!({
        "CommandArgs": ["/bin/sh", "-c", format!("exec 2>&1; {script}")], "User": user, "CreateStdOutPipe": true,
    });
    let mut process = client.create_process(1, handle, &parameters);
    let said = process.output();
    assert_eq!(client.exit_code(handle), 0, "{script}: {said}");
    said
}

/// One guest for all of it: booting takes longer than the rest.
#[test]
fn a_guest_has_disks_and_no_program_of_it_takes_the_place_of_its_agent() {
    let guest = Guest::new();
    let place = guest.0.path();
    let files = images::with_files(place);
    let kinds = [("b.qcow2", "qcow2"), ("c.vhdx", "vhdx"), ("d.vhd", "vpc")];
    let mut disks = json!({"0": {"Type": "VirtualDisk", "Path": files}});
    for (slot, (name, driver)) in (1..).zip(kinds) {
        let image = place.join(name);
        images::empty(&image, driver);
        disks[slot.to_string()] = json!({"Type": "VirtualDisk", "Path": image});
    }
    fs::write(place.join("e.iso"), "of the disk".repeat(4096)).unwrap();
    disks["20"] = json!({"Type": "Iso", "Path": place.join("e.iso")});
    fs::write(place.join("f.raw"), [b'f'; 4096]).unwrap();
    let other =
        json!({"63": {"Type": "VirtualDisk", "Path": place.join("f.raw"), "ReadOnly": true}});

    let service = Service::new();
    let mut client = service.client();
    guest.start_with(&mut client, |machine| {
        machine["Devices"]["Scsi"] =
            json!({"0": {"Attachments": disks}, "1": {"Attachments": other}});
    });
    impostors_are_refused(&mut client);
    disks_are_read_and_written(&mut client);
    disks_come_and_go(&mut client, place);
    disks_are_refused(&service, &guest, &files);
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");

    assert_eq!(images::file_in(&files, "from-guest"), "hello host\n");
    for (name, _) in kinds {
        let image = fs::read(place.join(name)).unwrap();
        let written = image.windows(16).any(|bytes| bytes == b"written by guest");
        assert!(written, "{name}");
    }
    assert_eq!(fs::read(place.join("f.raw")).unwrap(), [b'f'; 4096]);
}

/// Programs of the guest dial the ports of its agent: with a port of their own that any program may have, or as a user
/// who may have no other.
#[track_caller]
fn impostors_are_refused(client: &mut Client) {
    const BRIDGE: u32 = 0x4000_0000;
    const LEFT: u32 = 0x4000_0001;
    const STDIO: u32 = 0x4001_0000;
    for port in [BRIDGE, LEFT, STDIO] {
        for user in ["root", "me"] {
            let dialled = said(client, user, &format!("/bin/dial {port} || true"));
            assert_eq!(dialled, "connect: Connection reset by peer\n", "{user}");
        }
        let bound = said(client, "me", &format!("/bin/dial {port} 700 || true"));
        assert_eq!(bound, "bind: Permission denied\n");
    }
    assert_eq!(said(client, "root", "echo still there"), "still there\n");
}

/// A script that sets `d` to the name of the disk at a place, once it is there. There are no other SCSI controllers.
pub(crate) fn find(controller: u8, slot: u8) -> String {
    let block = format!("/sys/class/scsi_device/{controller}:0:0:{slot}/device/block");
    format!("until d=$(busybox ls {block} 2>/dev/null); do :; done; d=/dev/$d; ")
}

#[track_caller]
fn disks_are_read_and_written(client: &mut Client) {
    let mounted = "busybox mount -t ext4 $d /mnt && cat /mnt/from-host && echo hello host > /mnt/from-guest && \
                   busybox umount /mnt";
    let out = said(client, "root", &(find(0, 0) + mounted));
    assert_eq!(out, "hello guest\n");
    for slot in 1..=3 {
        let script = "busybox blockdev --getsize64 $d && echo 'written by guest' | busybox dd of=$d bs=512 seek=99 conv=sync,fsync \
                      2>/dev/null && busybox dd if=$d bs=512 skip=99 count=1 2>/dev/null | busybox head -n 1";
        let out = said(client, "root", &(find(0, slot) + script));
        assert_eq!(
            out,
            format!("{}\nwritten by guest\n", images::SIZE),
            "{slot}"
        );
    }
    let out = said(client, "root", &(find(0, 20) + "busybox head -c 11 $d"));
    assert_eq!(out, "of the disk");
    let refused = "busybox head -c 3 $d; echo; echo x > $d || true";
    for place in [find(0, 20), find(1, 63)] {
        let out = said(client, "root", &(place + refused));
        assert!(
            out.contains("Operation not permitted") || out.contains("Read-only"),
            "{out}"
        );
    }
}

const fn modify(settings: String) -> Call {
    Call::ModifySystem {
        system: 1,
        settings,
    }
}

/// Disks are plugged in and pulled out while the guest runs.
#[track_caller]
fn disks_come_and_go(client: &mut Client, folder: &Path) {
    let [one, other] = ["one.qcow2", "other.vhdx"].map(|name| folder.join(name));
    images::empty(&one, "qcow2");
    images::empty(&other, "vhdx");
    let add = |place: &str, image: &Path| {
        let path = format!("VirtualMachine/Devices/Scsi/{place}");
        let settings = json!({"Type": "VirtualDisk", "Path": image});
        modify(
            json!({"ResourcePath": path, "RequestType": "Add", "Settings": settings}).to_string(),
        )
    };
    let remove = |place: &str| {
        let path = format!("VirtualMachine/Devices/Scsi/{place}");
        modify(json!({"ResourcePath": path, "RequestType": "Remove"}).to_string())
    };
    let gone = "busybox [ ! -e /sys/class/scsi_device/0:0:0:40 ]";
    for _ in 0..2 {
        client.call(&add("0/Attachments/40", &one)).ok();
        let script = find(0, 40) + "echo hot > $d && busybox head -c 3 $d";
        assert_eq!(said(client, "root", &script), "hot");
        // What cannot be plugged in is let go again.
        for place in ["0/Attachments/40", "2/Attachments/0"] {
            let refused = client.call(&add(place, &other)).failed(HResult::E_FAIL);
            assert!(refused.contains("could not be given a disk"), "{refused}");
        }
        client.call(&remove("0/Attachments/40")).ok();
        said(client, "root", &format!("until {gone}; do :; done"));
    }
    client.call(&add("1/Attachments/41", &other)).ok();
    said(client, "root", &(find(1, 41) + "[ -n $d ]"));
    client
        .call(&remove("0/Attachments/40"))
        .failed(HResult::E_FAIL);
    let refused = client.call(&remove("0/Attachments/64"));
    assert!(
        refused
            .failed(HResult::HCS_E_INVALID_JSON)
            .contains("no place")
    );
    client.call(&remove("1/Attachments/41")).ok();
}

/// Disks that are no disks, each refused by its pointer while the first machine runs.
#[track_caller]
fn disks_are_refused(service: &Service, guest: &Guest, in_use: &Path) {
    let place = guest.0.path();
    let path = |name: &str| place.join(name);
    images::empty(&path("base.qcow2"), "qcow2");
    images::make(
        &path("above.qcow2"),
        "qcow2",
        json!({"backing-file": "/etc/passwd", "backing-fmt": "raw"}),
    );
    fs::write(path("none.qcow2"), [0; 4096]).unwrap();
    let mut broken = fs::read(path("base.qcow2")).unwrap();
    // Its first table is too small for the disk.
    broken[36..40].fill(0);
    fs::write(path("broken.qcow2"), broken).unwrap();
    for name in ["none.qcow2", "broken.qcow2"] {
        images::let_all_use(&path(name));
    }
    fs::write(path("private.raw"), [0; 4096]).unwrap();
    let fifo = Command::new("mkfifo").arg(path("fifo")).status().unwrap();
    assert!(fifo.success());
    let code = HResult::from_win32;
    for (disk, hresult, words) in [
        (path("missing"), HResult::FILE_NOT_FOUND, "cannot be opened"),
        (place.to_owned(), HResult::E_INVALIDARG, "no regular file"),
        (path("fifo"), HResult::E_INVALIDARG, "no regular file"),
        ("/dev/null".into(), HResult::E_INVALIDARG, "no regular file"),
        (
            path("private.raw"),
            HResult::E_ACCESSDENIED,
            "HcsGrantVmAccess",
        ),
        (path("none.qcow2"), code(1392), "does not begin as one"),
        (path("above.qcow2"), code(1392), "needs a backing file"),
        (
            path("broken.qcow2"),
            HResult::E_FAIL,
            "QEMU could not make the machine",
        ),
        (in_use.to_owned(), code(32), "is in use"),
    ] {
        let document = guest.document_with(|machine| {
            machine["Devices"] = json!({"Scsi": {"3": {"Attachments": {"7": {"Path": disk}}}}});
        });
        let mut client = service.client();
        let refused = client.call(&create_system(2, "other", &document.to_string()));
        let causes = refused.json()["ErrorEvents"].to_string();
        let message = refused.failed(hresult);
        assert!(message.contains(words), "{message}");
        assert!(
            causes.contains("/VirtualMachine/Devices/Scsi/3/Attachments/7/Path"),
            "{causes}"
        );
    }
}

#[test]
fn a_guest_that_panics_or_is_made_to_ends_as_it_did() {
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
    said(
        &mut client,
        "root",
        "echo 1 > /proc/sys/kernel/unknown_nmi_panic",
    );
    let crash = Call::CrashSystem {
        system: 1,
        options: Some(r#"{"Type": "CrashGuest"}"#.to_owned()),
    };
    client.call(&crash).ok();
    assert_eq!(
        end(&mut client),
        ("UnexpectedExit".to_owned(), json!("GuestCrash"))
    );
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
