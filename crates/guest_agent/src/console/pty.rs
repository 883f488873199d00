//! Making a pseudo-terminal in the system's own `/dev/pts` (`pts(4)`).

use std::os::fd::OwnedFd;

use rustix::{
    fs::{Gid, Uid},
    io::Errno,
    pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt},
    termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

use crate::{command::ConsoleSize, own::Own};

/// Both ends of a pseudo-terminal.
#[derive(Debug)]
pub(crate) struct Pty {
    /// The agent's end, non-blocking.
    pub(crate) master: OwnedFd,
    /// The process's end.
    pub(crate) slave: OwnedFd,
}

impl Pty {
    /// Opens one for user `uid`, of `size`, in the kernel's usual mode, with UTF-8 editing.
    pub(crate) fn open(own: &Own, uid: u32, size: ConsoleSize) -> Result<Self, Errno> {
        let master = own.terminal()?;
        unlockpt(&master)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        if uid != 0 {
            rustix::fs::fchown(&slave, Some(Uid::from_raw(uid)), None::<Gid>)?;
        }
        let mut modes = tcgetattr(&slave)?;
        modes.input_modes |= InputModes::IUTF8;
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        resize(&master, size)?;
        Ok(Self { master, slave })
    }
}

/// Sets the size of the terminal that `master` belongs to.
pub(super) fn resize(master: &OwnedFd, size: ConsoleSize) -> Result<(), Errno> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size)
}
