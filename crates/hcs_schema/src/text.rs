//! Formats of strings, and the nearest of some names.

use crate::shape::Text;

/// The value that a format expects, in words that fit behind "is not".
pub(crate) fn expected(format: Text) -> &'static str {
    match format {
        Text::Plain | Text::Binary => "a string",
        Text::Guid | Text::LooseGuid => "a GUID like 17103e3f-3c6e-4677-bb17-3b267eb5be57",
        Text::DateTime => "a time like 2024-02-29T12:34:56.789Z",
        Text::Base64 => "a base64 string",
        Text::MacAddress => "a MAC address like 00-15-5D-01-02-03",
    }
}

/// Whether `text` has the format.
pub(crate) fn fits(format: Text, text: &str) -> bool {
    match format {
        Text::Plain | Text::Binary => true,
        Text::Guid => like(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
        Text::LooseGuid => {
            let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
            fits(Text::Guid, inner.unwrap_or(text))
        }
        Text::DateTime => is_time(text),
        Text::Base64 => is_base64(text),
        Text::MacAddress => {
            like(text, "xx-xx-xx-xx-xx-xx")
                || like(text, "xx:xx:xx:xx:xx:xx")
                || like(text, "xxxxxxxxxxxx")
        }
    }
}

/// Whether `text` looks like `pattern`: `x` stands for a hexadecimal digit, `9` for a decimal one, the rest for itself.
fn like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(found, wanted)| match wanted {
                b'x' => found.is_ascii_hexdigit(),
                b'9' => found.is_ascii_digit(),
                _ => found.eq_ignore_ascii_case(&wanted),
            })
}

/// Checks the form of RFC 3339 only; the code that uses the time checks the number of days in a month.
fn is_time(text: &str) -> bool {
    let Some((head, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let fraction = |rest: &str| {
        rest.strip_prefix('.')
            .is_none_or(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (digits, zone) = rest.split_at(zone_at);
    like(head, "9999-99-99T99:99:99")
        && (digits.is_empty() || digits.starts_with('.') && fraction(digits))
        && (like(zone, "Z") || like(zone, "+99:99") || like(zone, "-99:99"))
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// The name most like `found`, if one is like it at all; case does not count.
pub(crate) fn nearest<'n>(found: &str, names: &[&'n str]) -> Option<&'n str> {
    // A comparison costs the product of the lengths, and a long text resembles no name.
    if found.len() > 64 {
        return None;
    }
    let lower = found.to_lowercase();
    let score = |name: &&'n str| (strsim::jaro_winkler(&lower, &name.to_lowercase()), *name);
    let best = names.iter().map(score).max_by(|a, b| a.0.total_cmp(&b.0))?;
    // A common beginning alone, as in CreateInUtilityVm and CreateStdInPipe, makes no resemblance.
    let alike = |name: &str| strsim::normalized_damerau_levenshtein(&lower, &name.to_lowercase());
    (best.0 > 0.8 && alike(best.1) > 0.5).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_guids_may_stand_in_braces() {
        let plain = "17103e3f-3c6e-4677-bb17-3b267eb5be57";
        let braced = format!("{{{plain}}}");
        assert!(fits(Text::LooseGuid, plain) && fits(Text::LooseGuid, &braced));
        assert!(fits(Text::Guid, plain) && !fits(Text::Guid, &braced));
        for bad in [
            "",
            "{}",
            "{17103e3f-3c6e-4677-bb17-3b267eb5be57",
            &format!("{{{braced}}}"),
        ] {
            assert!(!fits(Text::LooseGuid, bad), "{bad}");
        }
    }
}
