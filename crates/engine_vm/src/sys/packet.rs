//! Frames of one link (`packet(7)`).
#![expect(
    unsafe_code,
    reason = "an address and a filter of a kind that no dependency has"
)]

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use rustix::io::Errno;

const ETHERNET_IP: u32 = 0x0800;
const UDP: u32 = 17;
const DHCP_SERVER: u32 = 67;
/// All of a frame that is looked at.
const WHOLE: u32 = 4096;

const fn step(code: u16, k: u32, jump_true: u8, jump_false: u8) -> libc::sock_filter {
    libc::sock_filter {
        code,
        jt: jump_true,
        jf: jump_false,
        k,
    }
}

/// Lets datagrams to servers of DHCP pass, and nothing else.
const FILTER: [libc::sock_filter; 11] = [
    step(0x28, 12, 0, 0),          // the kind of the frame
    step(0x15, ETHERNET_IP, 0, 8), // IPv4, or nothing
    step(0x30, 23, 0, 0),          // the protocol
    step(0x15, UDP, 0, 6),         // UDP, or nothing
    step(0x28, 20, 0, 0),          // the place of a fragment
    step(0x45, 0x3fff, 4, 0),      // a part is nothing
    step(0xb1, 14, 0, 0),          // past the header
    step(0x48, 16, 0, 0),          // the port
    step(0x15, DHCP_SERVER, 0, 1), // that of servers, or nothing
    step(0x06, WHOLE, 0, 0),       // it passes
    step(0x06, 0, 0, 0),           // it does not
];

/// A socket for the questions that come from the link of this name, in the network namespace of the calling thread, and
/// for frames to it. It does not block.
///
/// # Errors
/// The errno of `if_nametoindex(3)`, `socket(2)`, `setsockopt(2)` or `bind(2)`.
pub(crate) fn dhcp_questions(link: &str) -> Result<OwnedFd, Errno> {
    let name = CString::new(link).map_err(|_| Errno::INVAL)?;
    // SAFETY: the name ends with a zero, and is only read.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    let index = i32::try_from(index).ok().filter(|index| *index > 0);
    let index = index.ok_or(Errno::NODEV)?;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Without a protocol nothing comes before the filter is there.
    // SAFETY: it has no pointer.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if socket < 0 {
        return Err(last());
    }
    // SAFETY: the kernel has just made it, and nothing else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut steps = FILTER;
    let program = libc::sock_fprog {
        len: u16::try_from(steps.len()).map_err(|_| Errno::INVAL)?,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the kernel reads a structure of this kind, and as many steps as it says.
    let attached = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            length_of(&program),
        )
    };
    if attached != 0 {
        return Err(last());
    }
    // SAFETY: all zero is a valid value of this structure, which has numbers only.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(|_| Errno::INVAL)?;
    // A bridge takes frames of one kind alone before their sockets.
    let all = u16::try_from(libc::ETH_P_ALL).map_err(|_| Errno::INVAL)?;
    address.sll_protocol = all.to_be();
    address.sll_ifindex = index;
    // SAFETY: the kernel reads an address of this kind, of this length.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            length_of(&address),
        )
    };
    if bound != 0 {
        return Err(last());
    }
    Ok(socket)
}

fn length_of<T>(value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of_val(value)).unwrap_or_default()
}

fn last() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
