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
}
