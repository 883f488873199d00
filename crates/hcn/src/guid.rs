//! [`Guid`]: the id of an object, read in any case with or without braces, written in upper case without.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The id of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub u128);

impl Guid {
    /// All zero: the service chooses.
    pub const NONE: Self = Self(0);

    /// The bits of [`Guid::short`].
    pub(crate) const SHORT_BITS: u32 = 60;

    /// What of an id is in the names of links: bits that both of its halves count in, so that ids that only count up
    /// differ. The model refuses an object whose id has the same as another's of its kind.
    pub(crate) fn short(self) -> u64 {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let folded = half(self.0 >> 64) ^ half(self.0);
        folded.wrapping_mul(SPREAD) >> (u64::BITS - Self::SHORT_BITS)
    }
}

/// The text is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAGuid;

impl FromStr for Guid {
    type Err = NotAGuid;

    fn from_str(text: &str) -> Result<Self, NotAGuid> {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let text = inner.unwrap_or(text);
        let lengths = text.split('-').map(str::len);
        if !lengths.eq([8, 4, 4, 4, 12]) || text.contains('+') {
            return Err(NotAGuid);
        }
        let number = u128::from_str_radix(&text.replace('-', ""), 16);
        number.map(Self).map_err(|_| NotAGuid)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:032X}", self.0);
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|at| text.get(at).unwrap_or(""));
        f.write_str(&parts.join("-"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| D::Error::custom("a GUID is expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_is_read_and_one_is_written() {
        let written = "C08CB7B8-9B3C-408E-8E30-5E16A3AEB444";
        let id: Guid = written.parse().unwrap();
        assert_eq!(id.to_string(), written);
        for spelling in [
            "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444",
            "{C08CB7B8-9b3c-408e-8e30-5e16a3aeb444}",
        ] {
            assert_eq!(spelling.parse(), Ok(id), "{spelling}");
        }
        for bad in [
            "",
            "c08cb7b8-9b3c-408e-8e30-5e16a3aeb44",
            "{c08cb7b8-9b3c-408e-8e30-5e16a3aeb444",
            "c08cb7b89b3c-408e-8e30-5e16a3aeb444-",
            "+08cb7b8-9b3c-408e-8e30-5e16a3aeb444",
            "g08cb7b8-9b3c-408e-8e30-5e16a3aeb444",
        ] {
            assert_eq!(bad.parse::<Guid>(), Err(NotAGuid), "{bad}");
        }
    }
}
