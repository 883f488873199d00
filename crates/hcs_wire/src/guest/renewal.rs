//! What a virtual machine cannot know by itself: fresh random bytes, and the time.
//!
//! Two machines that are restored from one saved state go on with the same random numbers, and the clock of a machine
//! stands still while it is saved or paused. So the host of an agent that says `RenewalSupported` sends a [`Renewal`]:
//! with `NegotiateProtocol`, as a restored guest begins a stream, and in [`Renew`](super::Rpc::Renew) after each
//! resume. The agent mixes the bytes in and sets the clock before it answers, hence before it starts a process.
//!
//! Both are fields of ours. The agent of a container has the clock and the random numbers of its host, and other agents
//! ignore the fields.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hcs_schema::{Failure, HResult};
use serde::{Deserialize, Serialize};

use super::RequestBase;

/// How many random bytes a renewal has.
pub const ENTROPY_BYTES: usize = 32;

/// Fresh random bytes, and the time.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Renewal {
    /// [`ENTROPY_BYTES`] random bytes that no other machine gets, as hexadecimal digits; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entropy: String,
    /// The host's time in nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_time: Option<u64>,
}

impl std::fmt::Debug for Renewal {
    /// Without the random bytes, which are a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewal")
            .field("entropy", &self.entropy.len())
            .field("host_time", &self.host_time)
            .finish()
    }
}

impl Renewal {
    /// These bytes, and the time `now`.
    #[must_use]
    pub fn new(entropy: [u8; ENTROPY_BYTES], now: SystemTime) -> Self {
        let digits = entropy.iter().map(|byte| format!("{byte:02x}"));
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            entropy: digits.collect(),
            host_time: u64::try_from(since.as_nanos()).ok(),
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entropy.is_empty() && self.host_time.is_none()
    }

    /// The random bytes, if it has some.
    ///
    /// # Errors
    /// They are not [`ENTROPY_BYTES`] bytes as hexadecimal digits.
    pub fn entropy(&self) -> Result<Option<[u8; ENTROPY_BYTES]>, Failure> {
        if self.entropy.is_empty() {
            return Ok(None);
        }
        let mut bytes = [0; ENTROPY_BYTES];
        let digits = self.entropy.as_bytes();
        let mut read = digits.len() == 2 * ENTROPY_BYTES;
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| pair.get(at).and_then(|c| char::from(*c).to_digit(16));
            match (digit(0), digit(1)) {
                (Some(high), Some(low)) => {
                    *byte = u8::try_from(high << 4 | low).unwrap_or_default();
                }
                _ => read = false,
            }
        }
        if read {
            return Ok(Some(bytes));
        }
        let message = format!(
            "Entropy has {} characters; {} hexadecimal digits were expected",
            digits.len(),
            2 * ENTROPY_BYTES
        );
        Err(Failure::new(HResult::E_INVALIDARG, message))
    }

    /// The host's time since 1970, if it has one.
    #[must_use]
    pub fn host_time(&self) -> Option<Duration> {
        self.host_time.map(Duration::from_nanos)
    }
}

/// `Renew` request, ours: for an agent that says `RenewalSupported`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Renew {
    /// Base.
    #[serde(flatten)]
    pub base: RequestBase,
    /// The bytes and the time.
    #[serde(flatten)]
    pub renewal: Renewal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_time_cross_the_bridge() {
        let mut bytes = [0xa5; ENTROPY_BYTES];
        bytes[0] = 7;
        let renewal = Renewal::new(bytes, UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123));
        let text = serde_json::to_string(&renewal).unwrap();
        assert!(text.starts_with(r#"{"Entropy":"07a5a5"#), "{text}");
        let read: Renewal = serde_json::from_str(&text).unwrap();
        assert_eq!(read, renewal);
        assert_eq!(read.entropy(), Ok(Some(bytes)));
        assert_eq!(
            read.host_time(),
            Some(Duration::from_nanos(1_700_000_000_123))
        );
        // The bytes are a secret: their number alone is shown.
        let expected = "Renewal { entropy: 64, host_time: Some(1700000000123) }";
        assert_eq!(format!("{read:?}"), expected);
    }

    #[test]
    fn what_is_no_entropy_is_refused_by_its_length_alone() {
        for entropy in [
            "0",
            "é",
            &"0g".repeat(32),
            &"00".repeat(33),
            &"é".repeat(32),
        ] {
            let renewal = Renewal {
                entropy: entropy.to_owned(),
                host_time: None,
            };
            let refused = renewal.entropy().unwrap_err();
            assert!(
                !refused.message.contains(entropy) || entropy == "0",
                "{refused}"
            );
        }
        assert_eq!(Renewal::default().entropy(), Ok(None));
        assert!(Renewal::default().is_empty());
        let time = Renewal {
            host_time: Some(0),
            ..Renewal::default()
        };
        let bytes = Renewal {
            host_time: None,
            ..Renewal::new([1; ENTROPY_BYTES], UNIX_EPOCH)
        };
        assert!(!time.is_empty() && !bytes.is_empty());
    }
}
