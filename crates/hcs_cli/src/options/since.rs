//! `--since`: a point in time, as such or as how long ago it was.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hcs_schema::timestamp::from_rfc3339;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long after 1970 began.
    At(Duration),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// In microseconds since 1970.
    pub(crate) fn microseconds(self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = match self {
            Self::At(time) => time,
            Self::Ago(time) => now.unwrap_or_default().saturating_sub(time),
        };
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Reads a point in time.
///
/// # Errors
/// It is none.
pub(crate) fn parse(text: &str) -> Result<Since, String> {
    let time = from_rfc3339(text).map(Since::At);
    time.or_else(|| ago(text).map(Since::Ago)).ok_or_else(|| {
        "expected how long ago, such as 90s, 10m or 1h30m, or a time such as 2024-02-29T12:30:00Z"
            .to_owned()
    })
}

/// How long `1h30m` is.
fn ago(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let end = unit.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, next) = unit.split_at(end.unwrap_or(unit.len()));
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = number.parse::<f64>().ok()? * seconds;
        total = total.checked_add(Duration::try_from_secs_f64(part).ok()?)?;
        rest = next;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_how_long_ago_they_were_are_understood() {
        let seconds = |text| match parse(text) {
            Ok(Since::Ago(time)) => Some(time.as_secs_f64()),
            _ => None,
        };
        assert_eq!(seconds("90s"), Some(90.0));
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("1.5m"), Some(90.0));
        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("365d"), Some(31_536_000.0));
        let minute = Since::At(Duration::from_secs(60));
        assert_eq!(parse("1970-01-01T00:01:00Z"), Ok(minute));
        assert_eq!(minute.microseconds(), 60_000_000);
        assert!(Since::Ago(Duration::MAX).microseconds() == 0);
        for text in [
            "",
            "x",
            "10",
            "10x",
            "m",
            "1h x",
            "-1h",
            "1970-01-01",
            "9e99h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
