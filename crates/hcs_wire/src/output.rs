//! The kept output of a detached process: what a reader asks for, and the records that it gets.
//!
//! The agent of the compute system writes records into a pipe that the reader made, one after the other, and closes it
//! behind the last. A record is a header of [`HEADER_BYTES`] (little endian: kind u8, three zero bytes, length u32,
//! time u64 in microseconds since 1970) and `length` bytes. The agent keeps them in its files in the same form.
//!
//! The agent is not trusted by the reader: a record is at most [`MAX_RECORD_BYTES`] long, and what a record says is
//! only shown.

use serde::{Deserialize, Serialize};

use crate::WireError;

/// Size of the header of a record.
pub const HEADER_BYTES: usize = 16;
/// Largest content of a record.
pub const MAX_RECORD_BYTES: usize = 64 << 10;

/// The part of the output that a reader asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutputQuery {
    /// Pid of the process inside the system; 0 for the first detached process whose output is kept.
    #[serde(default)]
    pub process_id: u32,
    /// Only the last lines, this many; a last line without an end counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Only what was written since then: microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Go on with what is written from now on, until the process has exited and its streams have ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// Nothing but the exit of the process, when it is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_only: bool,
    /// The read end of another pipe comes along before that of the output: the process gets what comes through it on
    /// its standard input, which does not end with it. The first record is [`Kind::About`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attach: bool,
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes from standard output, or from the terminal.
    Stdout,
    /// Bytes from standard error.
    Stderr,
    /// The process has exited; the content is its exit code, a u32. Output may follow, of processes that it left.
    Exit,
    /// Output is missing here; the content is how many bytes of it, a u64: the reader was too slow and the output was
    /// rotated away, or no room was left on the disk.
    Lost,
    /// What the reader is attached to; the content is a byte: 1 for a terminal, 2 for a standard input, 3 for both.
    About,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::Exit => 3,
            Self::Lost => 4,
            Self::About => 5,
        }
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Bytes that follow.
    pub length: usize,
    /// When it was read from the process: microseconds since 1970.
    pub time: u64,
}

impl Header {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        bytes[0] = self.kind.number();
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..].copy_from_slice(&self.time.to_le_bytes());
        bytes
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is of no kind, or too long.
    pub fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let [kind, z0, z1, z2, l0, l1, l2, l3, time @ ..] = bytes;
        let kind = match (kind, [z0, z1, z2]) {
            (1, [0, 0, 0]) => Kind::Stdout,
            (2, [0, 0, 0]) => Kind::Stderr,
            (3, [0, 0, 0]) => Kind::Exit,
            (4, [0, 0, 0]) => Kind::Lost,
            (5, [0, 0, 0]) => Kind::About,
            _ => {
                return Err(WireError::Kind {
                    kind: u32::from_le_bytes([kind, z0, z1, z2]),
                });
            }
        };
        let size = u32::from_le_bytes([l0, l1, l2, l3]);
        let maximum = 64 << 10;
        let length = size as usize;
        if length > MAX_RECORD_BYTES {
            return Err(WireError::Size {
                size,
                minimum: 0,
                maximum,
            });
        }
        let time = u64::from_le_bytes(time);
        Ok(Self { kind, length, time })
    }
}

/// A record, its content understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Bytes from standard output, or from the terminal.
    Stdout(Vec<u8>),
    /// Bytes from standard error.
    Stderr(Vec<u8>),
    /// The process has exited with this code.
    Exit(u32),
    /// So many bytes of output are missing.
    Lost(u64),
    /// What the reader is attached to.
    About(About),
}

/// What a reader is attached to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The process has a terminal.
    pub terminal: bool,
    /// It has a standard input, which gets what the reader sends.
    pub stdin: bool,
}

impl About {
    /// The content of its record.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.terminal as u8 | (self.stdin as u8) << 1
    }

    const fn from_byte(byte: u8) -> Self {
        Self {
            terminal: byte & 1 != 0,
            stdin: byte & 2 != 0,
        }
    }
}

/// Cuts what comes through the pipe into records. Pure: the owner of the pipe feeds it.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    taken: usize,
}

impl Decoder {
    /// Appends received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole record with its time, if there is one.
    ///
    /// # Errors
    /// After an error the stream is out of step and must be closed.
    pub fn next_record(&mut self) -> Result<Option<(u64, Record)>, WireError> {
        let rest = &self.bytes[self.taken..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let Header { kind, length, time } = Header::from_bytes(*header)?;
        let Some(content) = rest.get(..length) else {
            return Ok(None);
        };
        let record = match kind {
            Kind::Stdout => Record::Stdout(content.to_vec()),
            Kind::Stderr => Record::Stderr(content.to_vec()),
            Kind::Exit => Record::Exit(u32::from_le_bytes(number(content)?)),
            Kind::Lost => Record::Lost(u64::from_le_bytes(number(content)?)),
            Kind::About => Record::About(About::from_byte(u8::from_le_bytes(number(content)?))),
        };
        self.taken += HEADER_BYTES + length;
        Ok(Some((time, record)))
    }

    /// Whether the stream may end here: no record has been begun.
    #[must_use]
    pub const fn is_between_records(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

/// The bytes of a number.
fn number<const N: usize>(content: &[u8]) -> Result<[u8; N], WireError> {
    let expected = u32::try_from(N).unwrap_or(u32::MAX);
    content.try_into().map_err(|_| WireError::Size {
        size: u32::try_from(content.len()).unwrap_or(u32::MAX),
        minimum: expected,
        maximum: expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: Kind, time: u64, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut bytes = Header { kind, length, time }.to_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes
    }

    #[test]
    fn records_survive_any_cut() {
        let mut stream = bytes(Kind::Stdout, 7, b"out");
        stream.extend(bytes(Kind::Stderr, 8, b""));
        stream.extend(bytes(Kind::Lost, 9, &300_u64.to_le_bytes()));
        let about = About {
            terminal: false,
            stdin: true,
        };
        stream.extend(bytes(Kind::About, 9, &[about.to_byte()]));
        stream.extend(bytes(Kind::Exit, 10, &42_u32.to_le_bytes()));
        let expected = [
            (7, Record::Stdout(b"out".to_vec())),
            (8, Record::Stderr(Vec::new())),
            (9, Record::Lost(300)),
            (9, Record::About(about)),
            (10, Record::Exit(42)),
        ];
        for cut in 0..=stream.len() {
            let mut decoder = Decoder::default();
            let mut records = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                decoder.feed(part);
                while let Some(record) = decoder.next_record().unwrap() {
                    records.push(record);
                    assert!(records.len() <= expected.len(), "cut at {cut}");
                }
            }
            assert_eq!(records, expected, "cut at {cut}");
            assert!(decoder.is_between_records());
        }
    }

    #[test]
    fn what_a_reader_is_attached_to_is_told_in_a_byte() {
        let cases = [
            (0, false, false),
            (1, true, false),
            (2, false, true),
            (3, true, true),
        ];
        for (byte, terminal, stdin) in cases {
            let about = About { terminal, stdin };
            assert_eq!(about.to_byte(), byte);
            assert_eq!(About::from_byte(byte), about);
        }
    }

    #[test]
    fn a_record_is_as_long_as_is_said_and_no_longer() {
        assert_eq!(MAX_RECORD_BYTES, 65_536);
        let mut decoder = Decoder::default();
        let whole = bytes(Kind::Stdout, 1, &[b'x'; MAX_RECORD_BYTES]);
        decoder.feed(&whole[..whole.len() - 1]);
        assert_eq!(decoder.next_record(), Ok(None));
        assert!(!decoder.is_between_records());
        decoder.feed(&whole[whole.len() - 1..]);
        assert!(decoder.next_record().unwrap().is_some() && decoder.is_between_records());
        let mut longer = bytes(Kind::Stdout, 1, b"");
        longer[4..8].copy_from_slice(&65_537_u32.to_le_bytes());
        decoder.feed(&longer);
        let expected = WireError::Size {
            size: 65_537,
            minimum: 0,
            maximum: 65_536,
        };
        assert_eq!(decoder.next_record(), Err(expected));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.feed(bytes);
            decoder.next_record().unwrap_err()
        };
        let mut long = bytes(Kind::Stdout, 0, b"");
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(refused(&long), WireError::Size { .. }));
        assert!(matches!(refused(&[9; 16]), WireError::Kind { .. }));
        let odd = bytes(Kind::Exit, 0, b"four+");
        assert!(matches!(refused(&odd), WireError::Size { size: 5, .. }));
    }
}
