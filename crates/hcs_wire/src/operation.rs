//! One name for an operation in all parts: library, service, guest agent, event log and command line.
//!
//! A library numbers its operations; a call that an operation tracks is sent under the operation's own number; the
//! second and later calls of the same operation under that number and a count in the upper bits. So the request number
//! of the protocol *is* the name, together with the pid of the client, and nothing has to be sent along.

use std::{fmt, str::FromStr};

/// Bits of a request number that are the operation's.
const NUMBER_BITS: u32 = 48;
/// The largest number of an operation.
pub const MOST: u64 = (1 << NUMBER_BITS) - 1;

/// Names one call that an operation tracked. Written `PID-NUMBER`, and `PID-NUMBER.N` for the Nth call of an operation
/// that was used more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId {
    /// Pid of the client, as the service sees it; 0 when it cannot.
    pub process: u32,
    /// The number that `HcsGetOperationId` gives.
    pub number: u64,
    /// How many calls the operation had tracked before.
    pub earlier: u16,
}

impl OperationId {
    /// The name of request `request` of that client.
    #[must_use]
    pub fn of_request(process: u32, request: u64) -> Self {
        let [.., high, low] = (request >> NUMBER_BITS).to_be_bytes();
        Self {
            process,
            number: request & MOST,
            earlier: u16::from_be_bytes([high, low]),
        }
    }

    /// The number of its request.
    #[must_use]
    pub fn request(self) -> u64 {
        u64::from(self.earlier) << NUMBER_BITS | self.number & MOST
    }

    /// As a GUID of version 8, for the `ActivityId` of the guest bridge: the three parts can be read in it.
    #[must_use]
    pub fn activity_id(self) -> String {
        let Self {
            process,
            number,
            earlier,
        } = self;
        format!(
            "{process:08x}-{earlier:04x}-8000-8000-{:012x}",
            number & MOST
        )
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.process, self.number)?;
        if self.earlier > 0 {
            write!(f, ".{}", u32::from(self.earlier) + 1)?;
        }
        Ok(())
    }
}

/// The text names no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an operation as PID-NUMBER or PID-NUMBER.N, as errors and logs name it")]
pub struct NoOperationId;

impl FromStr for OperationId {
    type Err = NoOperationId;

    fn from_str(text: &str) -> Result<Self, NoOperationId> {
        let (process, rest) = text.split_once('-').ok_or(NoOperationId)?;
        let (number, nth) = rest.split_once('.').unwrap_or((rest, "1"));
        let nth: u32 = nth.parse().map_err(|_| NoOperationId)?;
        let earlier = nth.checked_sub(1).and_then(|n| u16::try_from(n).ok());
        let id = Self {
            process: process.parse().map_err(|_| NoOperationId)?,
            number: number.parse().map_err(|_| NoOperationId)?,
            earlier: earlier.ok_or(NoOperationId)?,
        };
        if id.number > MOST {
            return Err(NoOperationId);
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_and_found_again() {
        for (request, name) in [
            (17, "4711-17"),
            (17 | 2 << 48, "4711-17.3"),
            (MOST, "4711-281474976710655"),
        ] {
            let id = OperationId::of_request(4711, request);
            assert_eq!(id.to_string(), name);
            assert_eq!(name.parse(), Ok(id));
            assert_eq!(id.request(), request);
        }
        let id = OperationId::of_request(0x1267, 17 | 2 << 48);
        assert_eq!(id.activity_id(), "00001267-0002-8000-8000-000000000011");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "17",
            "-17",
            "a-1",
            "1-a",
            "1-2.0",
            "1-2.65537",
            "1-2.x",
            "1-281474976710656",
        ] {
            assert_eq!(text.parse::<OperationId>(), Err(NoOperationId), "{text}");
        }
    }
}
