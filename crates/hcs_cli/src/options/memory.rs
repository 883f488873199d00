//! `--memory`, `--scratch-size`, `--max-size`: a number of megabytes.

const EXPECTED: &str =
    "expected a whole number of megabytes, such as 512, or one with a unit: 512M, 2G or 1T";

/// Reads `512`, `512M`, `2G` or `1T` as megabytes (2^20 bytes).
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn megabytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "M" | "MB" | "MIB" => 1,
        "G" | "GB" | "GIB" => 1 << 10,
        "T" | "TB" | "TIB" => 1 << 20,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| EXPECTED.to_owned())?;
    match number.checked_mul(unit) {
        Some(0) => Err("it must be more than 0".to_owned()),
        Some(megabytes) => Ok(megabytes),
        None => Err("that is more than can be counted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_megabytes() {
        assert_eq!(megabytes("512"), Ok(512));
        assert_eq!(megabytes("512M"), Ok(512));
        assert_eq!(megabytes("2g"), Ok(2048));
        assert_eq!(megabytes("1TiB"), Ok(1 << 20));
        assert!(megabytes("5X").unwrap_err().ends_with("512M, 2G or 1T"));
        for bad in ["", "0", "-1", "1.5G", "2K", "M", "99999999999999T"] {
            assert!(megabytes(bad).is_err(), "{bad}");
        }
    }
}
