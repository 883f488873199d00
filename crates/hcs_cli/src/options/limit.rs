//! `--timeout`: how long what a verb asks for may take.

use std::time::Duration;

use clap::Args;

use crate::clock::Clock;

/// The option that limits it.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Limit {
    /// Give up with exit code 124, and undo what was begun, when it takes longer (0.5 is half a second)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

impl Limit {
    /// The time of `verb` begins now.
    pub(crate) fn begin(self, verb: &'static str) -> Clock {
        Clock::new(verb, self.timeout)
    }
}

/// Reads a time.
///
/// # Errors
/// It is none.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    limit
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| "expected a number of seconds above 0, such as 2.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_parts_and_must_be_some() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        for text in ["", "x", "0", "-1", "nan", "inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
