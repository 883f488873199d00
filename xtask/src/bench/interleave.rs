//! Runs subjects in turn, so that whatever else the machine does falls on all of them alike.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::series::Series;

/// How densely samples follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Back to back.
    Hot,
    /// 100 ms of idleness before each sample, as between a user's requests.
    Spaced,
}

impl Regime {
    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Spaced => "spaced",
        }
    }
}

/// Something that can be done again and again, and timed.
pub(crate) struct Subject<'a> {
    /// Name in tables; targets refer to it.
    pub(crate) name: String,
    /// Does it once. Failure ends the bench: a time of something that failed means nothing.
    pub(crate) run: Box<dyn FnMut() -> Result<(), String> + 'a>,
}

impl<'a> Subject<'a> {
    /// A subject that does `run`.
    pub(crate) fn new(
        name: impl Into<String>,
        run: impl FnMut() -> Result<(), String> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }

    fn sample(&mut self) -> Result<Duration, String> {
        let begin = Instant::now();
        (self.run)().map_err(|e| format!("{}: {e}", self.name))?;
        Ok(begin.elapsed())
    }
}

/// Two unmeasured rounds, then `rounds` measured ones; the order turns by one each round.
pub(crate) fn interleave(
    subjects: &mut [Subject<'_>],
    regime: Regime,
    rounds: usize,
) -> Result<Vec<Series>, String> {
    const WARM_UP: usize = 2;
    let mut all: Vec<Series> = subjects
        .iter()
        .map(|s| Series::new(s.name.clone()))
        .collect();
    let count = subjects.len();
    for round in 0..WARM_UP + rounds {
        for turn in 0..count {
            let at = (round + turn) % count;
            if regime == Regime::Spaced {
                thread::sleep(Duration::from_millis(100));
            }
            let time = subjects[at].sample()?;
            if round >= WARM_UP {
                all[at].push(time);
            }
        }
    }
    Ok(all)
}
