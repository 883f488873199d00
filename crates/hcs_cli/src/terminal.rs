//! Our own terminal: its size, and raw mode, which is undone on every way out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hcs_schema::{Failure, HResult};
use rustix::{
    stdio,
    termios::{self, OptionalActions, Termios},
};

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// The size of the terminal we write to or read from; `None` when there is none, or it does not know.
pub(crate) fn size() -> Option<Size> {
    [stdio::stdout(), stdio::stdin(), stdio::stderr()]
        .into_iter()
        .find_map(|stream| termios::tcgetwinsize(stream).ok())
        .map(|size| Size {
            rows: size.ws_row,
            columns: size.ws_col,
        })
        .filter(|size| size.rows > 0 && size.columns > 0)
}

/// Raw mode of a terminal: keys reach us one by one and mean nothing here. Dropping it restores what was before, so
/// it is held on the stack of the thread that ends the program: a panic unwinds through it, and signals that would
/// end us are taken by [`crate::signals`] and end the session instead.
#[derive(Debug)]
pub(crate) struct RawMode {
    terminal: OwnedFd,
    before: Termios,
    raw: Termios,
}

impl RawMode {
    /// Puts `stream` into raw mode; `None` when it is no terminal.
    ///
    /// # Errors
    /// The terminal refused.
    pub(crate) fn enter(stream: BorrowedFd<'_>) -> Result<Option<Self>, Failure> {
        if !termios::isatty(stream) {
            return Ok(None);
        }
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::new(HResult::E_FAIL, "the terminal cannot be put into raw mode").because(error)
        };
        // A descriptor of our own: the terminal can be restored when standard input was closed meanwhile.
        let terminal = rustix::io::fcntl_dupfd_cloexec(stream, 3).map_err(|e| failed(&e))?;
        let before = termios::tcgetattr(&terminal).map_err(|e| failed(&e))?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&terminal, OptionalActions::Now, &raw).map_err(|e| failed(&e))?;
        Ok(Some(Self {
            terminal,
            before,
            raw,
        }))
    }

    /// Once more, after another program may have changed it.
    pub(crate) fn enter_again(&self) {
        // A terminal that hung up ends the session by itself.
        let _gone = termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.raw);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that hung up has nothing to restore.
        let _gone = termios::tcsetattr(self.terminal.as_fd(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    fn terminal() -> (OwnedFd, OwnedFd) {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags =
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
        (master, slave)
    }

    #[test]
    fn raw_mode_ends_with_its_guard_also_when_unwinding() {
        let (_master, slave) = terminal();
        let modes = |slave: &OwnedFd| termios::tcgetattr(slave).unwrap().local_modes;
        let before = modes(&slave);
        let raw = RawMode::enter(slave.as_fd()).unwrap().unwrap();
        assert!(!modes(&slave).contains(termios::LocalModes::ISIG));
        drop(raw);
        assert_eq!(modes(&slave), before);
        let panic = std::panic::catch_unwind(|| {
            let _raw = RawMode::enter(slave.as_fd()).unwrap();
            assert_eq!(modes(&slave), before, "differs on purpose");
        });
        assert!(panic.is_err());
        assert_eq!(modes(&slave), before);
    }

    #[test]
    fn what_is_no_terminal_is_left_alone() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(RawMode::enter(null.as_fd()).unwrap().is_none());
    }
}
