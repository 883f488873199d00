//! What a device is given when it is made.
//!
//! 1. [`Config`]: all of it.
//! 2. [`Memory`]: the way to the memory of the guest.
//! 3. [`Limits`]: what the guest may take of the host.
//! 4. [`Services`]: the ports of the host.

use std::{fmt, os::fd::OwnedFd};

/// What a device is given when it is made.
pub struct Config {
    /// The address of the guest. 0, 1 and 2 have other meanings, and 2^32 - 1 and above are not addresses.
    pub cid: u64,
    /// The way to the memory of the guest.
    pub memory: Memory,
    /// The ports of the host.
    pub services: Box<dyn Services + Send>,
    /// What the guest may take of the host.
    pub limits: Limits,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cid", &self.cid)
            .field("memory", &self.memory)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The way to the memory of the guest.
///
/// Both ways are equally fast. They are chosen by the machine's `memory-backend`, and a wrong choice is not an error
/// that the device could see: with [`Self::Shared`] and `share=off` the device reads and writes other pages than the
/// guest, so no connection ever comes up.
#[derive(Debug)]
pub enum Memory {
    /// By the descriptors that the front end sends: the memory backend has `share=on`, and is a memfd without huge
    /// pages or a file of a tmpfs. Files of other file systems are refused, as reading one might block.
    Shared,
    /// By `/proc/PID/mem` of the front end, opened for reading and writing after its `execve(2)`: any memory backend,
    /// also `share=off`. Opening it needs the rights of `ptrace(2)`: the same user, or root.
    OfProcess(OwnedFd),
}

/// What the guest may take of the host.
///
/// The most memory that a device holds for a guest is `connections * buffer`, and some 200 KB besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, in both directions together. The next one is refused. A connection that the guest has
    /// closed counts until its stream has taken all that the guest sent.
    pub connections: usize,
    /// How many of these are kept for those that [`Services::may_use_reserve`] names: others are refused while no more
    /// are free. So what a guest's programs open, or leave open, does not keep these out.
    pub reserve: usize,
    /// Bytes of one connection that the guest may send before its stream takes them.
    pub buffer: u32,
    /// Bytes of memory that the front end may announce, in all regions together. Leave room: a front end may announce
    /// other memory besides that of the machine. Far more is an attack on the host's memory.
    pub memory: u64,
}

impl Default for Limits {
    /// 512 connections with 256 KiB each, none of them kept, and 1 TiB of guest memory.
    fn default() -> Self {
        Self {
            connections: 512,
            reserve: 0,
            buffer: 256 << 10,
            memory: 1 << 40,
        }
    }
}

/// The ports of the host, which the guest connects to with CID 2.
pub trait Services {
    /// The guest connects to `port`, from its port `from`. Returns a connected stream socket (of any family) whose
    /// bytes are relayed, or `None`: then the guest's `connect(2)` fails with `ECONNRESET`.
    ///
    /// `from` tells something of the program that connects: Linux lets only a program with `CAP_NET_BIND_SERVICE` over
    /// the machine choose a port below 1024, and gives none of those to a program that chooses none. The guest's kernel
    /// says so; a guest whose kernel was taken over says what it likes.
    ///
    /// This is called on the thread of the device, which serves nothing else meanwhile: it must not block. The device
    /// owns the socket from then on. The socket may block or not, the device never waits for it.
    fn connect(&mut self, port: u32, from: u32) -> Option<OwnedFd>;

    /// Whether a connection of the guest from its port `from` to `port` may be one of those that are kept
    /// ([`Limits::reserve`]). It is asked before [`Self::connect`] and must not block.
    fn may_use_reserve(&self, _port: u32, _from: u32) -> bool {
        false
    }
}
