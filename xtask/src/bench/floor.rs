//! What the bare kernel takes for the same thing: a lower bound for every subject.

use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
    thread,
};

use super::command::{finish, line, spawn};

/// Starts `program` (posix_spawn, that is vfork and exec), reads its stdout to the end and waits for it.
pub(crate) fn spawn_and_wait(program: &str) -> Result<(), String> {
    let output = Command::new(program)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {program}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program} ended with {}", output.status))
    }
}

/// A peer thread that sends back what it gets, over a raw `SOCK_SEQPACKET` pair: the floor of any round trip.
pub(crate) struct PingPong {
    near: std::os::fd::OwnedFd,
    echo: Option<thread::JoinHandle<()>>,
    buffer: Vec<u8>,
}

impl PingPong {
    /// Starts the peer; messages have `bytes` bytes.
    pub(crate) fn start(bytes: usize) -> Result<Self, String> {
        use rustix::net::{
            AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
        };
        let (near, far) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|e| format!("socketpair: {e}"))?;
        let echo = thread::spawn(move || {
            let mut buffer = vec![0; bytes];
            while let Ok((_, count @ 1..)) = recv(&far, &mut buffer[..], RecvFlags::empty()) {
                if send(&far, &buffer[..count], SendFlags::NOSIGNAL).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            near,
            echo: Some(echo),
            buffer: vec![7; bytes],
        })
    }

    /// One round trip.
    pub(crate) fn round_trip(&mut self) -> Result<(), String> {
        use rustix::net::{RecvFlags, SendFlags, recv, send};
        send(&self.near, &self.buffer, SendFlags::NOSIGNAL).map_err(|e| format!("send: {e}"))?;
        recv(&self.near, &mut self.buffer[..], RecvFlags::empty())
            .map_err(|e| format!("recv: {e}"))?;
        Ok(())
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        // Shutting down ends the peer's loop; a failure means it has ended already.
        let _ = rustix::net::shutdown(&self.near, rustix::net::Shutdown::Both);
        if let Some(echo) = self.echo.take() {
            let _ = echo.join();
        }
    }
}

/// Runs `line`, which writes `bytes` bytes to its stdout, a pipe of 1 MiB, and reads them all.
pub(crate) fn pour(line: &[String], bytes: u64) -> Result<(), String> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| format!("pipe: {e}"))?;
    // Best effort, as in the service: an unprivileged user may be over the pipe limit.
    let _smaller = rustix::pipe::fcntl_setpipe_size(&reader, 1 << 20);
    let child = spawn(line, Stdio::from(writer))?;
    let read = drain(File::from(reader))?;
    finish(line, child)?;
    whole(read, bytes)
}

/// `dd` that writes `bytes` zeros in 64 KiB blocks.
pub(crate) fn dd_arguments(bytes: u64) -> Vec<String> {
    let count = format!("count={}", bytes / (64 << 10));
    line(&["/bin/dd", "if=/dev/zero", "bs=64k", &count])
}

/// Reads to the end in 128 KiB steps and throws it away.
pub(crate) fn drain(mut source: impl Read) -> Result<u64, String> {
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0;
    loop {
        match source.read(&mut buffer).map_err(|e| format!("read: {e}"))? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

/// Whether all bytes came.
pub(crate) fn whole(read: u64, expected: u64) -> Result<(), String> {
    if read == expected {
        Ok(())
    } else {
        Err(format!("{read} of {expected} bytes came"))
    }
}
