//! Points in time as the documents have them: RFC 3339, UTC. Pure.

use std::time::Duration;

const DAY: u64 = 86_400;

/// `since_1970` (Unix time) as for example `2024-02-29T12:30:00.5000000Z`, to 100 ns as HCS gives it.
#[must_use]
pub fn rfc3339(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    let fraction = since_1970.subsec_nanos() / 100;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:07}Z")
}

/// The time, since 1970, that `text` says in RFC 3339: `2024-02-29T12:30:00Z`, `2024-02-29T13:30:00.5+01:00`. `None`
/// for what is no time, or one before 1970.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<Duration> {
    let (year, rest) = number(text, 4, '-')?;
    let (month, rest) = number(rest, 2, '-')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = digits(day)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (hour, rest) = number(rest, 2, ':')?;
    let (minute, rest) = number(rest, 2, ':')?;
    let (second, rest) = rest.split_at_checked(2)?;
    let second = digits(second)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (fraction, zone) = rest.split_at_checked(end.min(9))?;
            let nanoseconds = format!("{fraction:0<9}");
            (
                digits(&nanoseconds).filter(|_| end > 0)?,
                zone.trim_start_matches(|c: char| c.is_ascii_digit()),
            )
        }
    };
    let in_range = hour < 24 && minute < 60 && second < 61;
    let ahead = offset(zone)?;
    let day = day_of(year, month, day).filter(|_| in_range)?;
    let seconds = (day * DAY + hour * 3600 + minute * 60 + second).checked_add_signed(-ahead)?;
    Some(Duration::new(seconds, u32::try_from(fraction).ok()?))
}

/// Seconds that a zone is ahead of UTC: `Z`, `+01:00`.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (hour, minute) = zone.get(1..)?.split_once(':')?;
    let plain = hour.len() == 2 && minute.len() == 2;
    let seconds = digits(hour)? * 3600 + digits(minute)? * 60;
    let seconds = i64::try_from(seconds).ok().filter(|_| plain)?;
    match zone.get(..1)? {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// A number of so many digits, and what follows the separator behind it.
fn number(text: &str, length: usize, separator: char) -> Option<(u64, &str)> {
    let (number, rest) = text.split_at_checked(length)?;
    Some((digits(number)?, rest.strip_prefix(separator)?))
}

fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// How many days after 1970-01-01 that day is, where there is such a day.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let (era, of_era) = (y / 400, y % 400);
    let of_year = (153 * m + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    // A day that is not there comes back as another.
    (date(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of the day `days` after 1970-01-01, in the Gregorian calendar.
///
/// Counts in eras of 400 years that begin on 1 March, so that the leap day is the last of a year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_in_time() {
        let at = |seconds, nanos| rfc3339(Duration::new(seconds, nanos));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.0000000Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.0000000Z");
        assert_eq!(
            at(1_709_209_800, 500_000_000),
            "2024-02-29T12:30:00.5000000Z"
        );
        assert_eq!(
            at(4_107_542_399, 999_999_999),
            "2100-02-28T23:59:59.9999999Z"
        );
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.0000000Z");
    }

    #[test]
    fn days_follow_each_other() {
        let mut previous = date(0);
        for day in 1..80_000 {
            let (year, month, of_month) = date(day);
            let (y, m, d) = previous;
            let next = (year, month, of_month) == (y, m, d + 1);
            let month_begins =
                of_month == 1 && ((year, month) == (y, m + 1) || (year, month) == (y + 1, 1));
            assert!(
                next || month_begins,
                "{previous:?} then {:?}",
                (year, month, of_month)
            );
            previous = (year, month, of_month);
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for seconds in [0, 951_827_696, 1_709_210_400, 4_107_542_400, 2_147_483_648] {
            let time = Duration::new(seconds, 123_456_700);
            assert_eq!(from_rfc3339(&rfc3339(time)), Some(time));
        }
        let read = |text| from_rfc3339(text).map(|time| time.as_secs_f64());
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(read("1970-01-01t01:00:00.5+00:30"), Some(1800.5));
        assert_eq!(read("1970-01-01 00:00:01-01:00"), Some(3601.0));
        for text in [
            "",
            "1970-01-01",
            "1970-02-30T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:00+1:00",
            "1970-00-01T00:00:00Z",
            "1970-01-00T00:00:00Z",
        ] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }
}
