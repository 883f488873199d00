//! The agent as the first process of a virtual machine: QEMU boots Debian's kernel with a ramdisk that has the agent,
//! and the device of `vhost_vsock` connects both sides. Emulated, so it works on hosts without virtualization.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{fs::symlink, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, UNIX_EPOCH},
};

use guest_image::{
    build::{Recipe, initrd_file},
    find, kernel,
};
use hcs_schema::HResult;
use hcs_wire::{
    guest::{
        BRIDGE_PORT, ENTROPY_BYTES, ExecuteProcessResponse, GetPropertiesResponse, LEFT_PORT,
        LeftRecord, NegotiateProtocol, NegotiateProtocolResponse, ReadOutputResponse, Renewal,
        ResponseBase, Rpc,
    },
    output::{Decoder, Record},
};
use rustix::io::FdFlags;
use serde_json::{Value, json};
use tempfile::TempDir;
use vhost_vsock::{Config, Device, Limits, Memory, Services};

use crate::{
    Test,
    bridge::{Bridge, base},
};

pub const TESTS: &[Test] = &[(
    "the_agent_boots_a_machine_and_serves_its_host",
    the_agent_boots_a_machine_and_serves_its_host,
)];

/// The longest that anything may take before the test fails: far longer than a busy host needs.
const PATIENCE: Duration = Duration::from_secs(120);
/// A time that no clock has by itself, in seconds since 1970.
const FUTURE: u64 = 4_000_000_000;

/// The ports of the host: all accept.
struct Ports(Sender<(u32, UnixStream)>);

impl Services for Ports {
    fn connect(&mut self, port: u32, _from: u32) -> Option<OwnedFd> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.0.send((port, ours)).ok()?;
        Some(theirs.into())
    }
}

/// A machine that runs.
struct Machine {
    qemu: Child,
    console: Arc<Mutex<String>>,
    dialled: Receiver<(u32, UnixStream)>,
    waiting: HashMap<u32, UnixStream>,
    _folder: TempDir,
}

/// The kernel that the tests boot.
fn guest_kernel() -> find::Kernel {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let usual = here.join("../../target/guest-kernel/current");
    let named = std::env::var_os("HCS_TEST_GUEST_KERNEL").map(PathBuf::from);
    find::at(&named.unwrap_or(usual), None).expect("a kernel is there; run: cargo xtask packages")
}

/// A root file system with a shell.
fn root(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "sleep", "date", "stty", "uname"] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    root
}

/// The program, which cargo has built beside the tests. The variable that names it is lost on the way: the shell that
/// runs the compiler drops names with a `-`.
fn agent() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    this.parent().unwrap().with_file_name("hcs-guest")
}

/// Kernel and ramdisk, as files in `folder`.
fn image(folder: &Path) -> [File; 2] {
    let kernel = guest_kernel();
    let elf = folder.join("kernel");
    let packed = find::read(&kernel.image, kernel::MAX_FILE).unwrap();
    std::fs::write(&elf, kernel::elf(&packed).unwrap()).unwrap();
    let recipe = Recipe {
        kernel,
        agent: agent(),
        modules: Vec::new(),
        root: Some(root(folder)),
        automatic: false,
    };
    let initrd = folder.join("initrd");
    initrd_file(&recipe, &initrd).unwrap();
    [elf, initrd].map(|path| File::open(path).unwrap())
}

fn qemu([kernel, initrd]: &[File; 2], device: &UnixStream) -> Command {
    for descriptor in [kernel.as_fd(), initrd.as_fd(), device.as_fd()] {
        rustix::io::fcntl_setfd(descriptor, FdFlags::empty()).unwrap();
    }
    let [kernel, initrd, device] =
        [kernel.as_raw_fd(), initrd.as_raw_fd(), device.as_raw_fd()].map(|fd| fd.to_string());
    let fixed = "-nodefaults -no-user-config -no-reboot -display none -accel tcg,thread=multi -cpu max -m 256M \
                 -M q35,memory-backend=m0 -object memory-backend-memfd,id=m0,size=256M,share=on -serial stdio \
                 -device vhost-user-vsock-pci,chardev=vsock";
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(fixed.split_ascii_whitespace())
        .args(["-chardev", &format!("socket,id=vsock,fd={device}")])
        .args(["-kernel", &format!("/dev/fd/{kernel}")])
        .args(["-initrd", &format!("/dev/fd/{initrd}")])
        .args(["-append", "console=ttyS0 quiet panic=-1 cryptomgr.notests"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Machine {
    fn boot() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hcs-guest-")
            .tempdir()
            .unwrap();
        let (front_end, device_end) = UnixStream::pair().unwrap();
        let mut qemu = qemu(&image(folder.path()), &front_end)
            .spawn()
            .expect("qemu-system-x86_64 is there; run: cargo xtask packages");
        let (sender, dialled) = channel();
        let config = Config {
            cid: 43,
            memory: Memory::Shared,
            services: Box::new(Ports(sender)),
            limits: Limits::default(),
        };
        let (device, _handle) = Device::new(device_end, config).unwrap();
        // It ends with the front end.
        thread::spawn(move || device.run());
        let console = Arc::new(Mutex::new(String::new()));
        let (kept, lines) = (
            Arc::clone(&console),
            BufReader::new(qemu.stdout.take().unwrap()),
        );
        thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned() + "\n";
                *kept.lock().unwrap() += &line;
            }
        });
        Self {
            qemu,
            console,
            dialled,
            waiting: HashMap::new(),
            _folder: folder,
        }
    }

    /// The next stream that the guest dials at `port`.
    fn accept(&mut self, port: u32) -> UnixStream {
        loop {
            if let Some(stream) = self.waiting.remove(&port) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            let next = self.dialled.recv_timeout(PATIENCE);
            let (dialled, stream) = next
                .unwrap_or_else(|_| panic!("the guest does not dial {port}: {}", self.console()));
            self.waiting.insert(dialled, stream);
        }
    }

    /// What the agent leaves, which is written down by that.
    fn left(&mut self) -> LeftRecord {
        let mut stream = self.accept(LEFT_PORT);
        let mut line = Vec::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        lines.read_until(b'\n', &mut line).unwrap();
        stream.write_all(b"\n").unwrap();
        LeftRecord::read(&line)
    }

    fn console(&self) -> String {
        self.console.lock().unwrap().clone()
    }

    /// A stream to the agent, on which it has got random bytes and a time of the future.
    fn connect(&mut self) -> Bridge {
        let mut bridge = Bridge::new(self.accept(BRIDGE_PORT));
        let future = UNIX_EPOCH + Duration::from_secs(FUTURE);
        let request = NegotiateProtocol {
            base: base(),
            minimum_version: 4,
            maximum_version: 4,
            renewal: Renewal::new([7; ENTROPY_BYTES], future),
        };
        let answer: NegotiateProtocolResponse = bridge.call(Rpc::NegotiateProtocol, &request);
        assert_eq!(answer.base.result, 0, "{answer:?}");
        let own = answer.capabilities.guest_defined_capabilities;
        assert!(own.renewal_supported && own.detached_processes_supported);
        assert!(!own.descriptor_stdio_supported && !own.fetch_stdio_supported);
        bridge
    }

    /// Starts `document` with `ports` for its streams; its pid, and the id that its end is answered with.
    fn start(bridge: &mut Bridge, document: &Value, ports: &Value) -> (u32, u64) {
        let wait = bridge.fresh_id();
        let request = json!({
            "WaitMessageId": wait,
            "Settings": { "ProcessParameters": document.to_string(), "VsockStdioRelaySettings": ports }
        });
        let started: ExecuteProcessResponse = bridge.call(Rpc::ExecuteProcess, &request);
        assert_eq!(started.base.result, 0, "{started:?}");
        (started.process_id, wait)
    }

    /// What a shell writes that runs `script`.
    fn shell(&mut self, bridge: &mut Bridge, script: &str) -> String {
        let document = json!({ "CommandArgs": ["sh", "-c", script], "CreateStdOutPipe": true });
        let (_, wait) = Self::start(bridge, &document, &json!({ "StdOut": 9 }));
        let said = std::io::read_to_string(self.accept(9)).unwrap();
        assert_eq!(bridge.exit_of(wait), 0, "{script}: {said}");
        said
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _has_ended = self.qemu.kill();
        let _reaped = self.qemu.wait();
    }
}

/// One machine for all of it: booting takes longer than the rest.
fn the_agent_boots_a_machine_and_serves_its_host() {
    let mut machine = Machine::boot();
    let mut bridge = machine.connect();
    let console = machine.console();
    assert!(
        console.contains("hcs-agent: dialling port 1073741824 of the host"),
        "{console}"
    );
    assert!(!console.contains("cannot"), "{console}");
    file_systems_are_there_when_they_are_asked_for(&mut machine, &mut bridge);
    clock_is_set(&mut machine, &mut bridge);
    streams_are_pipes(&mut machine, &mut bridge);
    consoles_have_a_size(&mut machine, &mut bridge);
    processes_are_listed_and_signalled(&mut bridge);
    output_is_kept(&mut machine, &mut bridge);
    files_are_packed(&mut machine, &mut bridge);
    let sleeping = json!({ "CommandArgs": ["sleep", "100000"] });
    let (pid, _) = Machine::start(&mut bridge, &sleeping, &json!({}));
    drop(bridge);
    let mut bridge = machine.connect();
    let wait = bridge.wait_for(pid, None);
    let answer: ResponseBase = bridge.call(Rpc::ShutdownGraceful, &json!({}));
    assert_eq!(answer.result, 0, "{answer:?}");
    assert_eq!(bridge.exit_of(wait), 143);
    assert_eq!(machine.left().exit(pid), Some(143));
    assert!(bridge.is_closed(), "the agent has left");
    let ended = machine.qemu.wait().unwrap();
    assert!(ended.success(), "{ended}: {}", machine.console());
}

/// Modules for what the machine has not are loaded once it serves: by a process for that, and before when the kernel
/// lacks them.
fn file_systems_are_there_when_they_are_asked_for(machine: &mut Machine, bridge: &mut Bridge) {
    let console = machine.console();
    let left = console
        .split(", ")
        .find_map(|words| words.split_once(" left for later"));
    let left = left.and_then(|(count, _)| count.parse::<usize>().ok());
    assert!(left.is_some_and(|left| left > 10), "{console}");
    let mounted = "busybox mkdir /tmp/m && busybox mount -t overlay -o lowerdir=/bin:/etc none /tmp/m \
                   && busybox ls /tmp/m/cat /tmp/m/passwd";
    assert_eq!(
        machine.shell(bridge, mounted),
        "/tmp/m/cat\n/tmp/m/passwd\n"
    );
    // What the kernel runs.
    let asked = "/init -q -- fs-iso9660 && busybox grep iso9660 /proc/filesystems && busybox test -e /dev/fuse";
    assert_eq!(machine.shell(bridge, asked), "\tiso9660\n");
    let done = "until busybox grep -q sbin /proc/sys/kernel/modprobe; do sleep 0.1; done; busybox ls /modules";
    let kept = machine.shell(bridge, done);
    // Those for persistent memory, which the machine has not.
    assert!(
        kept.contains("nfit.ko") && !kept.contains("virtio") && !kept.contains("fuse"),
        "{kept}"
    );
}

fn clock_is_set(machine: &mut Machine, bridge: &mut Bridge) {
    let now = machine.shell(bridge, "date +%s");
    let now: u64 = now.trim().parse().unwrap();
    assert!(now >= FUTURE, "{now}");
    let later = UNIX_EPOCH + Duration::from_secs(2 * FUTURE);
    let renewal = serde_json::to_value(Renewal::new([9; ENTROPY_BYTES], later)).unwrap();
    let answer: ResponseBase = bridge.call(Rpc::Renew, &renewal);
    assert_eq!(answer.result, 0, "{answer:?}");
    let now = machine.shell(bridge, "date +%s");
    assert!(now.trim().parse::<u64>().unwrap() >= 2 * FUTURE, "{now}");
    let (code, _) = bridge.refusal(Rpc::Renew, &json!({ "Entropy": "short" }));
    assert_eq!(code, HResult::E_INVALIDARG);
}

fn streams_are_pipes(machine: &mut Machine, bridge: &mut Bridge) {
    let script = "cat; echo problem >/dev/stderr; exit 4";
    let document = json!({
        "CommandArgs": ["sh", "-c", script],
        "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true
    });
    let ports = json!({ "StdIn": 1, "StdOut": 2, "StdErr": 3 });
    let (pid, wait) = Machine::start(bridge, &document, &ports);
    let (mut stdin, mut stdout) = (machine.accept(1), machine.accept(2));
    // More than any buffer on the way has, so both directions have to move.
    let much: Vec<u8> = (0..=u8::MAX).cycle().take(3 << 20).collect();
    let sent = much.clone();
    let writer = thread::spawn(move || {
        stdin.write_all(&sent).unwrap();
        stdin.shutdown(Shutdown::Write).unwrap();
        // Closed when the process has it.
        stdin
    });
    let mut received = Vec::new();
    stdout.read_to_end(&mut received).unwrap();
    assert!(received == much, "{} bytes came back", received.len());
    drop(writer.join().unwrap());
    assert_eq!(
        std::io::read_to_string(machine.accept(3)).unwrap(),
        "problem\n"
    );
    assert_eq!(bridge.exit_of(wait), 4);
    let fetched = bridge.refusal(Rpc::FetchStdio, &json!({ "ProcessId": pid }));
    assert_eq!(fetched.0, HResult::NOT_SUPPORTED);
}

fn consoles_have_a_size(machine: &mut Machine, bridge: &mut Bridge) {
    let script = "stty -echo; echo ready; read line; stty size; exit 6";
    let document = json!({
        "CommandArgs": ["sh", "-c", script], "EmulateConsole": true,
        "CreateStdInPipe": true, "CreateStdOutPipe": true
    });
    let (pid, wait) = Machine::start(bridge, &document, &json!({ "StdIn": 1, "StdOut": 2 }));
    let (mut stdin, mut stdout) = (machine.accept(1), machine.accept(2));
    let mut ready = [0; 7];
    stdout.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\r\n");
    let size = json!({ "ProcessId": pid, "Height": 33, "Width": 111 });
    let resized: ResponseBase = bridge.call(Rpc::ResizeConsole, &size);
    assert_eq!(resized.result, 0);
    stdin.write_all(b"\n").unwrap();
    assert_eq!(std::io::read_to_string(stdout).unwrap(), "33 111\r\n");
    assert_eq!(bridge.exit_of(wait), 6);
}

fn processes_are_listed_and_signalled(bridge: &mut Bridge) {
    let document = json!({ "CommandArgs": ["sleep", "100000"] });
    let (pid, wait) = Machine::start(bridge, &document, &json!({}));
    let query = json!({ "Query": r#"{"PropertyTypes":["ProcessList"]}"# });
    let listed: GetPropertiesResponse = bridge.call(Rpc::GetProperties, &query);
    let listed: Value = serde_json::from_str(&listed.properties).unwrap();
    let listed = listed["ProcessList"].as_array().unwrap();
    // Neither the agent nor threads of the kernel.
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["ProcessId"], pid);
    let signal = json!({ "ProcessId": pid, "Options": { "Signal": 15 } });
    let signalled: ResponseBase = bridge.call(Rpc::SignalProcess, &signal);
    assert_eq!(signalled.result, 0);
    assert_eq!(bridge.exit_of(wait), 143);
}

fn files_are_packed(machine: &mut Machine, bridge: &mut Bridge) {
    let document = json!({
        "Archive": { "Operation": "Pack", "Path": "/etc/passwd" }, "CreateStdOutPipe": true
    });
    let (_, wait) = Machine::start(bridge, &document, &json!({ "StdOut": 5 }));
    let mut archive = Vec::new();
    machine.accept(5).read_to_end(&mut archive).unwrap();
    assert_eq!(bridge.exit_of(wait), 0);
    assert!(String::from_utf8_lossy(&archive).contains("root:x:0:0"));
}

fn output_is_kept(machine: &mut Machine, bridge: &mut Bridge) {
    let document = json!({
        "CommandArgs": ["sh", "-c", "echo kept; exit 5"], "Detached": true,
        "CreateStdOutPipe": true, "CreateStdErrPipe": true
    });
    let (pid, wait) = Machine::start(bridge, &document, &json!({}));
    assert_eq!(bridge.exit_of(wait), 5);
    let request = json!({ "ProcessId": pid, "VsockStdioRelaySettings": { "StdOut": 4 } });
    let reads: ReadOutputResponse = bridge.call(Rpc::ReadOutput, &request);
    assert_eq!((reads.base.result, reads.process_id), (0, pid), "{reads:?}");
    let mut bytes = Vec::new();
    machine.accept(4).read_to_end(&mut bytes).unwrap();
    let mut decoder = Decoder::default();
    decoder.feed(&bytes);
    let (_, record) = decoder.next_record().unwrap().unwrap();
    assert_eq!(record, Record::Stdout(b"kept\n".to_vec()));
    let (code, _) = bridge.refusal(Rpc::ReadOutput, &json!({ "ProcessId": pid }));
    assert_eq!(code, HResult::E_INVALIDARG);
}
