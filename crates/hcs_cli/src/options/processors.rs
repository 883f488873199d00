//! `--cpus`: how many processors a container may keep busy.

use hcs_schema::documents::ContainerProcessor;

/// Ten-thousandths: what the documents count parts of a machine in.
const WHOLE: f64 = 10_000.0;

/// A number of processors, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Processors {
    thousandths: u32,
}

/// Reads `2` or `0.5`.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<Processors, String> {
    let expected =
        || "expected a number of processors of at least 0.001, such as 2 or 0.5".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return Err(expected());
    }
    let whole: u32 = whole.parse().map_err(|_| expected())?;
    let part: u32 = format!("{part:0<3}").parse().map_err(|_| expected())?;
    match whole.checked_mul(1000).and_then(|w| w.checked_add(part)) {
        Some(thousandths) if thousandths > 0 => Ok(Processors { thousandths }),
        _ => Err(expected()),
    }
}

impl Processors {
    /// How many, in thousandths.
    pub(crate) const fn thousandths(self) -> u32 {
        self.thousandths
    }

    /// The document: whole processors by count, a fraction as a part of a machine that has `available` of them.
    pub(crate) fn document(self, available: u32) -> ContainerProcessor {
        let mut document = ContainerProcessor::default();
        if self.thousandths.is_multiple_of(1000) {
            document.count = Some(self.thousandths / 1000);
            return document;
        }
        let part = f64::from(self.thousandths) / 1000.0 / f64::from(available.max(1));
        #[expect(clippy::cast_possible_truncation, reason = "it is between 1 and 10000")]
        let maximum = (part * WHOLE).round().clamp(1.0, WHOLE) as i64;
        document.maximum = Some(maximum);
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_processors_are_counted_and_fractions_are_parts_of_the_machine() {
        assert_eq!(parse("2").unwrap().document(8).count, Some(2));
        assert_eq!(parse("1.0").unwrap().document(8).count, Some(1));
        let half = parse("0.5").unwrap().document(4);
        assert_eq!((half.count, half.maximum), (None, Some(1250)));
        assert_eq!(parse("9.5").unwrap().document(4).maximum, Some(10_000));
        assert_eq!(parse("0.001").unwrap().document(64).maximum, Some(1));
    }

    #[test]
    fn other_text_is_refused() {
        for bad in [
            "",
            "0",
            "0.0",
            "-1",
            ".5",
            "1.",
            "1.0001",
            "one",
            "1e3",
            "+1",
            "99999999999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
