//! Signals that reach us while a process runs for us: passed on to it, a second one ends it.
//!
//! | signal | what is done |
//! |---|---|
//! | HUP, INT, QUIT, TERM | sent to the process and its group; the second of them calls `give_up` |
//! | USR1, USR2, ALRM | sent to the process and its group |
//! | WINCH, in a terminal session | the terminal inside gets our size |
//! | CONT, in a terminal session | the same, and our terminal is as the session needs it again |
//!
//! Until [`Signals::take`] they end us as usual; the service then removes what was made for us, once no other client
//! has a handle to it.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use hcs_schema::{Failure, HResult};
use signal_hook::{
    consts::signal::{
        SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    },
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};

const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
const PASSED: [i32; 3] = [SIGUSR1, SIGUSR2, SIGALRM];

/// What is done with signals, one at a time. Does not block.
pub(crate) trait Receiver {
    /// Passes a signal on to the process.
    fn pass(&mut self, signal: u8);
    /// Gives the terminal inside our size.
    fn resize(&mut self);
    /// We were stopped, and the program that had the terminal meanwhile may have changed it.
    fn go_on(&mut self);
    /// Ends the process, which did not heed the first signal.
    fn give_up(&mut self);
}

/// The signals that have come and have not been handled.
#[derive(Debug)]
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    asked: bool,
}

impl Signals {
    /// Takes signals from now on, for as long as the program lasts.
    ///
    /// # Errors
    /// The system refused a handler or descriptors.
    pub(crate) fn take(resizes: bool) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(HResult::E_FAIL, "signals cannot be handled").because(&error)
        };
        let mut wanted = [ENDING.as_slice(), PASSED.as_slice()].concat();
        if resizes {
            wanted.extend([SIGWINCH, SIGCONT]);
        }
        let (read, write) = UnixStream::pair().map_err(failed)?;
        let delivery =
            SignalDelivery::with_pipe(read, write, SignalOnly, wanted).map_err(failed)?;
        Ok(Self {
            delivery,
            asked: false,
        })
    }

    /// Has `receiver` handle what has come.
    pub(crate) fn handle(&mut self, receiver: &mut impl Receiver) {
        for signal in self.delivery.pending() {
            handle(signal, &mut self.asked, receiver);
        }
    }
}

/// Readable when some have come.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

fn handle(signal: i32, asked: &mut bool, receiver: &mut impl Receiver) {
    match signal {
        SIGWINCH => return receiver.resize(),
        SIGCONT => return receiver.go_on(),
        _ => {}
    }
    if ENDING.contains(&signal) && std::mem::replace(asked, true) {
        return receiver.give_up();
    }
    if let Ok(signal) = u8::try_from(signal) {
        receiver.pass(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Log(Vec<String>);

    impl Receiver for Log {
        fn pass(&mut self, signal: u8) {
            self.0.push(format!("pass {signal}"));
        }
        fn resize(&mut self) {
            self.0.push("resize".to_owned());
        }
        fn go_on(&mut self) {
            self.0.push("go on".to_owned());
        }
        fn give_up(&mut self) {
            self.0.push("give up".to_owned());
        }
    }

    #[test]
    fn the_second_request_to_end_is_not_asked_any_more() {
        let (mut log, mut asked) = (Log::default(), false);
        for signal in [SIGUSR1, SIGWINCH, SIGINT, SIGCONT, SIGUSR1, SIGTERM] {
            handle(signal, &mut asked, &mut log);
        }
        assert_eq!(
            log.0,
            ["pass 10", "resize", "pass 2", "go on", "pass 10", "give up"]
        );
    }
}
