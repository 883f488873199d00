//! Ids of compute systems. They are given beside the document, so this rule stands alone.

use crate::{Failure, HResult};

/// Longest id, in UTF-16 units, as the Windows API counts.
pub const MAX_ID_UNITS: usize = 256;

/// Whether `id` may name a compute system: 1 to 256 UTF-16 units, none of them NUL.
///
/// # Errors
/// `E_INVALIDARG` with the reason.
pub fn check_id(id: &str) -> Result<(), Failure> {
    let wrong = |what: String| {
        Err(Failure::new(
            HResult::E_INVALIDARG,
            format!("the compute system id {what}"),
        ))
    };
    let units = id.encode_utf16().count();
    if units == 0 {
        return wrong(format!(
            "is empty where 1 to {MAX_ID_UNITS} UTF-16 units are expected"
        ));
    }
    if units > MAX_ID_UNITS {
        return wrong(format!(
            "is {units} UTF-16 units long where at most {MAX_ID_UNITS} are allowed"
        ));
    }
    if id.contains('\0') {
        return wrong("holds a NUL character".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_utf16_units() {
        assert!(check_id("web-1").is_ok());
        assert!(check_id("../../etc").is_ok(), "ids never become paths");
        assert!(check_id(&"\u{1F600}".repeat(128)).is_ok());
        for bad in ["", "a\0b", &"\u{1F600}".repeat(129), &"a".repeat(257)] {
            assert_eq!(check_id(bad).unwrap_err().hresult, HResult::E_INVALIDARG);
        }
    }
}
