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

/// What one sample is: a time the subject took itself, or none for that of the whole call.
type Sample<'a> = Box<dyn FnMut() -> Result<Option<Duration>, String> + 'a>;

/// Something that can be done again and again, and timed.
pub(crate) struct Subject<'a> {
    /// Name in tables; targets refer to it.
    pub(crate) name: String,
    run: Sample<'a>,
    ours: bool,
}

impl<'a> Subject<'a> {
    /// A subject that does `run`. Its failure ends the bench: a time of something that failed means nothing.
    pub(crate) fn new(
        name: impl Into<String>,
        mut run: impl FnMut() -> Result<(), String> + 'a,
    ) -> Self {
        Self::timed(name, move || run().map(|()| None))
    }

    /// A subject that may say how long the part that counts took.
    pub(crate) fn timed(
        name: impl Into<String>,
        run: impl FnMut() -> Result<Option<Duration>, String> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
            ours: true,
        }
    }

    /// A program of another project. Where it fails, it leaves the table with its error, and the bench goes on.
    pub(crate) fn peer(
        name: impl Into<String>,
        run: impl FnMut() -> Result<(), String> + 'a,
    ) -> Self {
        Self {
            ours: false,
            ..Self::new(name, run)
        }
    }

    /// The same, which says how long the part that counts took.
    pub(crate) fn timed_peer(
        name: impl Into<String>,
        run: impl FnMut() -> Result<Option<Duration>, String> + 'a,
    ) -> Self {
        Self {
            ours: false,
            ..Self::timed(name, run)
        }
    }

    fn sample(&mut self) -> Result<Duration, String> {
        let begin = Instant::now();
        let own = (self.run)().map_err(|e| format!("{}: {e}", self.name))?;
        Ok(own.unwrap_or_else(|| begin.elapsed()))
    }
}

/// What came of a round-robin.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// One series for each subject that never failed, in their order.
    pub(crate) series: Vec<Series>,
    /// What the peers that failed said.
    pub(crate) failed: Vec<String>,
}

/// Two unmeasured rounds, then `rounds` measured ones; the order turns by one each round. Peers that fail are removed
/// from `subjects`.
///
/// # Errors
/// A subject of ours failed.
pub(crate) fn interleave(
    subjects: &mut Vec<Subject<'_>>,
    regime: Regime,
    rounds: usize,
) -> Result<Measured, String> {
    const WARM_UP: usize = 2;
    let mut measured = Measured {
        series: subjects
            .iter()
            .map(|s| Series::new(s.name.clone()))
            .collect(),
        failed: Vec::new(),
    };
    for round in 0..WARM_UP + rounds {
        let mut broken = Vec::new();
        for turn in 0..subjects.len() {
            let at = (round + turn) % subjects.len();
            if regime == Regime::Spaced {
                thread::sleep(Duration::from_millis(100));
            }
            match subjects[at].sample() {
                Ok(time) if round >= WARM_UP => measured.series[at].push(time),
                Ok(_) => {}
                Err(error) if subjects[at].ours => return Err(error),
                Err(error) => {
                    broken.push(at);
                    measured.failed.push(error);
                }
            }
        }
        broken.sort_unstable();
        for at in broken.into_iter().rev() {
            subjects.remove(at);
            measured.series.remove(at);
        }
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_fails_leaves_and_the_others_stay() {
        let mut left = 3;
        let mut count = 0;
        let mut subjects = vec![
            Subject::peer("fails later", || {
                left -= 1;
                if left == 0 {
                    Err("broke".to_owned())
                } else {
                    Ok(())
                }
            }),
            Subject::new("ours", || {
                count += 1;
                Ok(())
            }),
        ];
        let measured = interleave(&mut subjects, Regime::Hot, 4).unwrap();
        assert_eq!(subjects.len(), 1);
        drop(subjects);
        assert_eq!(measured.failed, ["fails later: broke"]);
        assert_eq!(measured.series.len(), 1);
        assert_eq!(measured.series[0].samples.len(), 4);
        assert_eq!(count, 6);
    }

    #[test]
    fn a_failure_of_ours_ends_it() {
        let mut subjects = vec![Subject::new("ours", || Err("no".to_owned()))];
        let error = interleave(&mut subjects, Regime::Hot, 1).unwrap_err();
        assert_eq!(error, "ours: no");
    }

    #[test]
    fn a_subject_may_say_what_counts() {
        let second = Duration::from_secs(1);
        let mut subjects = vec![Subject::timed("ours", || Ok(Some(second)))];
        let measured = interleave(&mut subjects, Regime::Hot, 1).unwrap();
        assert!((measured.series[0].median() - 1e6).abs() < 1.0);
    }
}
