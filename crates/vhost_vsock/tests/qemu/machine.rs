//! A machine: QEMU with everything by descriptor, its device in a thread, and the guest's control connection.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::io::FdFlags;
use tempfile::TempDir;
use vhost_vsock::{Config, Device, DeviceError, End, Handle, Limits, Memory, Services};

use crate::ramdisk;

/// The longest that anything may take before a test fails: far longer than a busy host needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The port of the host that the guest takes its commands from.
const CONTROL: u32 = 1024;

/// How the device reaches the memory of the guest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Shared,
    OfProcess,
}

/// The ports of the host: each is a channel of streams.
#[derive(Default)]
struct Ports(HashMap<u32, Sender<UnixStream>>);

impl Services for Ports {
    fn connect(&mut self, port: u32, _from: u32) -> Option<OwnedFd> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.0.get(&port)?.send(ours).ok()?;
        Some(theirs.into())
    }
}

/// A machine that runs.
pub(crate) struct Machine {
    pub(crate) handle: Handle,
    pub(crate) qemu: Child,
    monitor: BufReader<UnixStream>,
    control: BufReader<UnixStream>,
    ports: HashMap<u32, Receiver<UnixStream>>,
    device: Option<JoinHandle<Result<End, DeviceError>>>,
    _folder: TempDir,
}

impl Machine {
    /// Boots a machine whose guest may connect to `ports` of the host, and waits until its program is there.
    pub(crate) fn boot(way: Way, ports: &[u32]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hcs-vsock-")
            .tempdir()
            .unwrap();
        let (front_end, device_end) = UnixStream::pair().unwrap();
        let (monitor, monitor_end) = UnixStream::pair().unwrap();
        let kernel = File::open(ramdisk::kernel()).unwrap();
        let image = File::open(ramdisk::make(folder.path())).unwrap();
        let mut command = qemu(way, &kernel, &image, &front_end, &monitor_end);
        let qemu = command
            .spawn()
            .expect("qemu-system-x86_64 is there; run: cargo xtask packages");
        drop((front_end, monitor_end));
        let memory = match way {
            Way::Shared => Memory::Shared,
            Way::OfProcess => {
                let path = format!("/proc/{}/mem", qemu.id());
                Memory::OfProcess(
                    File::options()
                        .read(true)
                        .write(true)
                        .open(path)
                        .unwrap()
                        .into(),
                )
            }
        };
        let mut services = Ports::default();
        let mut receivers = HashMap::new();
        for port in ports.iter().chain([&CONTROL]) {
            let (sender, receiver) = channel();
            services.0.insert(*port, sender);
            receivers.insert(*port, receiver);
        }
        let config = Config {
            cid: 42,
            memory,
            services: Box::new(services),
            limits: Limits::default(),
        };
        let (device, handle) = Device::new(device_end, config).unwrap();
        let device = Some(thread::spawn(move || device.run()));
        let control = BufReader::new(UnixStream::pair().unwrap().0);
        let mut machine = Self {
            handle,
            qemu,
            monitor: BufReader::new(monitor),
            control,
            ports: receivers,
            device,
            _folder: folder,
        };
        machine.monitor.read_line(&mut String::new()).unwrap();
        machine.ask_monitor("qmp_capabilities");
        machine.wait_for_guest();
        machine
    }

    /// Waits until the guest's program connects.
    pub(crate) fn wait_for_guest(&mut self) {
        self.control = BufReader::new(self.accept(CONTROL));
        assert_eq!(self.answer(), "hello");
    }

    /// The next stream from the guest to `port` of the host.
    pub(crate) fn accept(&self, port: u32) -> UnixStream {
        let stream = self.ports[&port]
            .recv_timeout(PATIENCE)
            .expect("the guest connects");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A stream to `port` of the guest.
    pub(crate) fn connect(&self, port: u32) -> UnixStream {
        let stream = self.handle.connect(port, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Gives the guest's program a command; its answer comes by [`Self::answer`].
    pub(crate) fn command(&mut self, command: &str) {
        self.control
            .get_mut()
            .write_all(format!("{command}\n").as_bytes())
            .unwrap();
    }

    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.command(command);
        self.answer()
    }

    /// The control connection has ended.
    pub(crate) fn control_ended(&mut self) -> bool {
        matches!(self.control.read(&mut [0]), Ok(0) | Err(_))
    }

    /// Has QEMU's monitor do something.
    pub(crate) fn ask_monitor(&mut self, command: &str) {
        let line = format!("{{\"execute\": \"{command}\"}}\n");
        self.monitor.get_mut().write_all(line.as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            assert!(
                self.monitor.read_line(&mut line).unwrap() > 0,
                "the monitor is there"
            );
            assert!(!line.contains("\"error\""), "{command}: {line}");
            if line.contains("\"return\"") {
                return;
            }
        }
    }

    /// How the device ended.
    pub(crate) fn device_end(&mut self) -> Result<End, DeviceError> {
        self.device.take().unwrap().join().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _has_ended = self.qemu.kill();
        let _reaped = self.qemu.wait();
        self.handle.stop();
        if let Some(device) = self.device.take() {
            let _its_end = device.join();
        }
    }
}

/// QEMU's command line. Its descriptors are inherited.
fn qemu(
    way: Way,
    kernel: &File,
    image: &File,
    front_end: &UnixStream,
    monitor: &UnixStream,
) -> Command {
    for descriptor in [
        kernel.as_fd(),
        image.as_fd(),
        front_end.as_fd(),
        monitor.as_fd(),
    ] {
        rustix::io::fcntl_setfd(descriptor, FdFlags::empty()).unwrap();
    }
    let share = if way == Way::Shared { "on" } else { "off" };
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-accel",
            "tcg,thread=multi",
        ])
        .args([
            "-M",
            "q35,memory-backend=m0,vmport=off",
            "-cpu",
            "max",
            "-m",
            "256M",
        ])
        .arg("-object")
        .arg(format!(
            "memory-backend-memfd,id=m0,size=256M,share={share}"
        ))
        .arg("-kernel")
        .arg(format!("/dev/fd/{}", kernel.as_raw_fd()))
        .arg("-initrd")
        .arg(format!("/dev/fd/{}", image.as_raw_fd()))
        .args([
            "-append",
            "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests",
            "-serial",
            "stdio",
        ])
        .arg("-chardev")
        .arg(format!("socket,id=qmp,fd={}", monitor.as_raw_fd()))
        .args(["-mon", "chardev=qmp,mode=control"])
        .arg("-chardev")
        .arg(format!("socket,id=vsock,fd={}", front_end.as_raw_fd()))
        .args(["-device", "vhost-user-vsock-pci,chardev=vsock"])
        // The serial console; what it says is shown when a test fails.
        .stdin(Stdio::null());
    command
}
