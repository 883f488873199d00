//! Signals that reach us while a process runs for us: passed on to it, a second one ends it.
//!
//! | signal | what is done |
//! |---|---|
//! | HUP, INT, QUIT, TERM | sent to the process; the second of them calls `give_up` |
//! | USR1, USR2, ALRM | sent to the process |
//! | WINCH, in a terminal session | the terminal inside gets our size |
//!
//! Until [`forward`] they end us as usual; the service then removes what was made for us, once nobody else has a handle
//! to it.

use std::{io, thread};

use hcs_schema::{Failure, HResult};
use signal_hook::{
    consts::signal::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH},
    iterator::Signals,
};

const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
const PASSED: [i32; 3] = [SIGUSR1, SIGUSR2, SIGALRM];

/// What is done with signals. Called on a thread of its own, one signal at a time.
pub(crate) trait Receiver: Send + 'static {
    /// Passes a signal on to the process.
    fn pass(&mut self, signal: u8);
    /// Gives the terminal inside our size.
    fn resize(&mut self);
    /// Ends the process, which did not heed the first signal.
    fn give_up(&mut self);
}

/// Takes signals from now on. The thread lasts as long as the program.
///
/// # Errors
/// The system refused a handler or a thread.
pub(crate) fn forward(resizes: bool, mut receiver: impl Receiver) -> Result<(), Failure> {
    let mut wanted = [ENDING.as_slice(), PASSED.as_slice()].concat();
    if resizes {
        wanted.push(SIGWINCH);
    }
    let failed = |error: io::Error| {
        Failure::new(HResult::E_FAIL, "signals cannot be handled").because(&error)
    };
    let mut signals = Signals::new(wanted).map_err(failed)?;
    if resizes {
        // The window may have changed since its size was read.
        receiver.resize();
    }
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in signals.forever() {
                handle(signal, &mut asked, &mut receiver);
            }
        })
        .map_err(failed)?;
    Ok(())
}

fn handle(signal: i32, asked: &mut bool, receiver: &mut impl Receiver) {
    if signal == SIGWINCH {
        return receiver.resize();
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
        fn give_up(&mut self) {
            self.0.push("give up".to_owned());
        }
    }

    #[test]
    fn the_second_request_to_end_is_not_asked_any_more() {
        let (mut log, mut asked) = (Log::default(), false);
        for signal in [SIGUSR1, SIGWINCH, SIGINT, SIGUSR1, SIGTERM] {
            handle(signal, &mut asked, &mut log);
        }
        assert_eq!(log.0, ["pass 10", "resize", "pass 2", "pass 10", "give up"]);
    }
}
