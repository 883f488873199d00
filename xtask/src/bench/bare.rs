//! A virtual machine without the service: QEMU, the device for vsock, and a guest that only says hello. It is the floor
//! of what a machine of the service can do.
//!
//! It is the same machine: QEMU's command line is that of a machine of the service that runs, less what the service
//! needs for itself (its monitor, its sandbox, descriptors of its own). `bare.c` is the guest's first process.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, Stdio},
    sync::mpsc::{Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::io::{FdFlags, fcntl_setfd};
use vhost_vsock::{Config, Device, Handle, Limits, Memory, Services};

use super::{floor::whole, guests::Image, ours::children};

/// The port of the host that the guest dials.
const PORT: u32 = 1024;
/// The guest's address, as in machines of the service.
const CID: u64 = 3;
/// The longest that the guest may take for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// A machine of the service that runs: the processes of one that are on the host.
#[derive(Debug)]
pub(crate) struct Running {
    /// The process that has QEMU, and the device.
    pub(crate) worker: u32,
    /// The program, and its command line.
    qemu: (String, Vec<String>),
}

impl Running {
    /// The only machine of the service `service`.
    pub(crate) fn of(service: u32) -> Result<Self, String> {
        let workers = children(service).into_iter();
        let pairs =
            workers.flat_map(|worker| children(worker).into_iter().map(move |it| (worker, it)));
        for (worker, process) in pairs {
            // A process that has ended meanwhile is none that is looked for.
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let mut words = line.trim_end_matches('\0').split('\0').map(str::to_owned);
            let program = words.next().unwrap_or_default();
            if program.contains("qemu-system") {
                return Ok(Self {
                    worker,
                    qemu: (program, words.collect()),
                });
            }
        }
        Err(format!(
            "the service (pid {service}) has no machine that runs"
        ))
    }
}

/// The words of a command line `ours` for a machine with other inputs: the kernel and the initial ramdisk of `image`,
/// and the descriptor `vsock`. Pure.
fn words(ours: &[String], image: &Image, vsock: i32) -> Vec<String> {
    let mut words = Vec::new();
    let mut left = ours.iter();
    while let Some(word) = left.next() {
        // No switch is the value of another one.
        let value = match word.as_str() {
            "-S" => continue,
            "-nodefaults" | "-no-user-config" => {
                words.push(word.clone());
                continue;
            }
            _ => left.next().map_or("", String::as_str),
        };
        let value = match word.as_str() {
            "-sandbox" | "-mon" => continue,
            "-chardev" if value.starts_with("socket,id=qmp,") => continue,
            "-chardev" if value.starts_with("socket,id=vs0,") => {
                format!("socket,id=vs0,fd={vsock}")
            }
            "-object" if value.starts_with("memory-backend-file,") => {
                let value = value.replace("memory-backend-file,", "memory-backend-memfd,");
                value
                    .split(",mem-path=")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }
            "-kernel" => image.kernel.clone(),
            "-initrd" => image.initrd.clone(),
            "-append" => format!("{value} rdinit={}", Image::BARE_INIT),
            _ => value.to_owned(),
        };
        words.extend([word.clone(), value]);
    }
    words
}

/// Sends the guest's connection to the thread that waits for it.
struct Hello(Sender<UnixStream>);

impl Services for Hello {
    fn connect(&mut self, port: u32, _from: u32) -> Option<OwnedFd> {
        if port != PORT {
            return None;
        }
        let (ours, theirs) = UnixStream::pair().ok()?;
        self.0.send(ours).ok()?;
        Some(theirs.into())
    }
}

/// A bare machine; ended when dropped.
#[derive(Debug)]
pub(crate) struct Bare {
    qemu: Child,
    handle: Handle,
    device: Option<JoinHandle<String>>,
    stream: UnixStream,
}

impl Bare {
    /// Boots one that is as `like`; answers how long it took from the start of QEMU to the guest's hello.
    pub(crate) fn boot(like: &Running, image: &Image) -> Result<(Self, Duration), String> {
        let failed = |what: &str, e: &dyn std::fmt::Display| format!("a bare machine: {what}: {e}");
        let (front_end, device_end) = UnixStream::pair().map_err(|e| failed("socketpair", &e))?;
        // Inherited by QEMU; it is closed here as soon as that runs.
        fcntl_setfd(&front_end, FdFlags::empty()).map_err(|e| failed("fcntl", &e))?;
        let (sender, hello) = channel();
        let (program, ours) = &like.qemu;
        let mut command = Command::new(program);
        command
            .args(words(ours, image, front_end.as_raw_fd()))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let config = Config {
            cid: CID,
            memory: Memory::Shared,
            services: Box::new(Hello(sender)),
            limits: Limits::default(),
        };
        let began = Instant::now();
        let mut qemu = command.spawn().map_err(|e| failed(program, &e))?;
        drop(front_end);
        let device = Device::new(device_end, config).map_err(|e| failed("device", &e));
        let (device, handle) = device.inspect_err(|_| end(&mut qemu))?;
        let device = thread::spawn(move || {
            // The end of QEMU is the end of the device, too.
            let ended = device.run();
            ended.map_or_else(|e| e.to_string(), |end| format!("{end:?}"))
        });
        let greeted = hello.recv_timeout(LIMIT);
        let took = began.elapsed();
        let greeted = greeted
            .map_err(|e| failed("no hello came", &e))
            .and_then(|stream| {
                let limited = stream.set_read_timeout(Some(LIMIT));
                limited
                    .map(|()| stream)
                    .map_err(|e| failed("its stream", &e))
            });
        match greeted {
            Ok(stream) => Ok((
                Self {
                    qemu,
                    handle,
                    device: Some(device),
                    stream,
                },
                took,
            )),
            Err(why) => {
                end(&mut qemu);
                handle.stop();
                let ended = device.join().unwrap_or_default();
                Err(format!("{why}; the device for vsock ended: {ended}"))
            }
        }
    }

    /// A byte there, a program executed and waited for, a byte back.
    pub(crate) fn execute(&mut self) -> Result<(), String> {
        let mut done = [0];
        let asked = self.stream.write_all(b"e");
        let answered = asked.and_then(|()| self.stream.read_exact(&mut done));
        answered.map_err(|e| format!("the bare guest executes nothing: {e}"))
    }

    /// `bytes` zeros out of the guest, by its first process itself.
    pub(crate) fn pour(&mut self, bytes: u64) -> Result<(), String> {
        self.receive(b'p', bytes)
    }

    /// The same, from `dd` in the guest, by a pipe.
    pub(crate) fn pour_by_pipe(&mut self, bytes: u64) -> Result<(), String> {
        self.receive(b'P', bytes)
    }

    fn receive(&mut self, order: u8, bytes: u64) -> Result<(), String> {
        let broken = |e: std::io::Error| format!("the bare guest sends nothing: {e}");
        let mut order = vec![order];
        order.extend(bytes.to_le_bytes());
        self.stream.write_all(&order).map_err(broken)?;
        let mut buffer = vec![0; 128 << 10];
        let mut read = 0;
        while read < bytes {
            match self.stream.read(&mut buffer).map_err(broken)? {
                0 => break,
                count => read += count as u64,
            }
        }
        whole(read, bytes)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        end(&mut self.qemu);
        self.handle.stop();
        if let Some(device) = self.device.take() {
            // It has nothing to say.
            let _panicked = device.join();
        }
    }
}

fn end(qemu: &mut Child) {
    let _ended_already = qemu.kill();
    let _reaped = qemu.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_needs_for_itself_is_left_out() {
        let ours = "-nodefaults -no-user-config -display none -S -sandbox on,spawn=deny -name x \
            -machine q35,memory-backend=m0 -m 512M,maxmem=4608M \
            -object memory-backend-file,id=m0,size=512M,share=on,mem-path=/dev/fd/5 \
            -kernel /dev/fd/6 -append quiet -initrd /dev/fd/7 -chardev socket,id=qmp,fd=8 -mon chardev=qmp,mode=control \
            -device pvpanic -chardev socket,id=vs0,fd=11 -device vhost-user-vsock-pci,id=vsk0,chardev=vs0,bus=rp0";
        let ours: Vec<String> = ours.split_whitespace().map(str::to_owned).collect();
        let image = Image {
            kernel: "/k".to_owned(),
            initrd: "/i".to_owned(),
        };
        let bare = words(&ours, &image, 3).join(" ");
        let expected = "-nodefaults -no-user-config -display none -name x \
            -machine q35,memory-backend=m0 -m 512M,maxmem=4608M \
            -object memory-backend-memfd,id=m0,size=512M,share=on \
            -kernel /k -append quiet rdinit=/bench-init -initrd /i \
            -device pvpanic -chardev socket,id=vs0,fd=3 -device vhost-user-vsock-pci,id=vsk0,chardev=vs0,bus=rp0";
        assert_eq!(bare, expected);
    }
}
