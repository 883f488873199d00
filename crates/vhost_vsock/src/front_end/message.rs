//! The messages of a front end, as bytes and as values. No descriptors and no sockets here.
//!
//! A message is a header (request, flags, size of the rest; 32 bits each) and a body. Numbers are in the byte order of
//! the host. Only what this device offers is known; a front end has no reason to send anything else.

use crate::{
    error::MessageError,
    memory::{MAX_REGIONS, Region},
};

/// Bytes of a header.
pub(crate) const HEADER: usize = 12;
/// The most bytes of a body: the largest is a table of eight regions.
pub(crate) const MAX_BODY: usize = 512;
/// Rings that a message can name: to the guest, and from it. The front end serves the third, for events, by itself.
pub(crate) const RINGS: usize = 2;

const VERSION: u32 = 1;
const VERSION_MASK: u32 = 3;
const REPLY: u32 = 1 << 2;
const NEEDS_REPLY: u32 = 1 << 3;
/// In the number of a ring that comes with a descriptor: there is none.
const NO_DESCRIPTOR: u64 = 1 << 8;
/// In the number of a ring that comes with a descriptor: the number itself.
const RING_NUMBER: u64 = 0xff;
/// Bytes of a region in a table of memory.
const REGION: usize = 32;

/// What a front end asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FrontEndRequest {
    GetFeatures,
    SetFeatures(u64),
    SetOwner,
    ResetOwner,
    /// With a descriptor for each.
    SetMemory(Vec<Region>),
    SetRingSize {
        ring: usize,
        size: u32,
    },
    /// Addresses of the front end.
    SetRingAddresses {
        ring: usize,
        descriptors: u64,
        used: u64,
        available: u64,
    },
    SetRingBase {
        ring: usize,
        base: u32,
    },
    /// Stops the ring.
    GetRingBase {
        ring: usize,
    },
    /// Starts the ring.
    SetRingKick {
        ring: usize,
        descriptor: bool,
    },
    SetRingCall {
        ring: usize,
        descriptor: bool,
    },
    SetRingError {
        ring: usize,
        descriptor: bool,
    },
    GetProtocolFeatures,
    SetProtocolFeatures(u64),
    GetQueueCount,
    EnableRing {
        ring: usize,
        enable: bool,
    },
    /// A piece of the configuration, which has the guest's address.
    GetConfig {
        offset: u32,
        size: u32,
        flags: u32,
    },
    /// None of these.
    Unknown(u32),
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) request: u32,
    /// The front end wants to hear whether the request was obeyed, if there is no other answer.
    pub(crate) needs_reply: bool,
    /// Bytes of the body.
    pub(crate) size: usize,
}

impl Header {
    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Result<Self, MessageError> {
        let [request, flags, size] = [0, 4, 8]
            .map(|at| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        if flags & VERSION_MASK != VERSION || flags & REPLY != 0 {
            return Err(MessageError::Flags { flags });
        }
        match usize::try_from(size) {
            Ok(size) if size <= MAX_BODY => Ok(Self {
                request,
                needs_reply: flags & NEEDS_REPLY != 0,
                size,
            }),
            _ => Err(MessageError::Size {
                request,
                size,
                limit: MAX_BODY,
            }),
        }
    }
}

/// The message that answers `request` with `body`, which is far shorter than 4 GiB.
pub(crate) fn reply(request: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    for field in [request, VERSION | REPLY, size] {
        message.extend(field.to_ne_bytes());
    }
    message.extend(body);
    message
}

/// The body of one request, read from its beginning.
struct Body<'a> {
    request: u32,
    bytes: &'a [u8],
}

impl Body<'_> {
    fn field<const N: usize>(&self, at: usize) -> Result<[u8; N], MessageError> {
        let bytes = self.bytes.get(at..at + N).ok_or(MessageError::Short {
            request: self.request,
            size: self.bytes.len(),
            needed: at + N,
        })?;
        let mut field = [0; N];
        field.copy_from_slice(bytes);
        Ok(field)
    }

    fn word(&self, at: usize) -> Result<u32, MessageError> {
        self.field(at).map(u32::from_ne_bytes)
    }

    fn long(&self, at: usize) -> Result<u64, MessageError> {
        self.field(at).map(u64::from_ne_bytes)
    }

    /// The ring that the first word names.
    fn ring(&self) -> Result<usize, MessageError> {
        self.check_ring(u64::from(self.word(0)?))
    }

    /// The ring that the first long word names, and whether a descriptor is there.
    fn ring_with_descriptor(&self) -> Result<(usize, bool), MessageError> {
        let value = self.long(0)?;
        let ring = self.check_ring(value & RING_NUMBER)?;
        Ok((ring, value & NO_DESCRIPTOR == 0))
    }

    fn check_ring(&self, ring: u64) -> Result<usize, MessageError> {
        match usize::try_from(ring) {
            Ok(number) if number < RINGS => Ok(number),
            _ => Err(MessageError::Ring {
                request: self.request,
                ring,
            }),
        }
    }

    fn regions(&self) -> Result<Vec<Region>, MessageError> {
        let count = self.word(0)?;
        let number = match usize::try_from(count) {
            Ok(number) if number <= MAX_REGIONS => number,
            _ => {
                return Err(MessageError::Regions {
                    count,
                    limit: MAX_REGIONS,
                });
            }
        };
        let starts = (0..number).map(|index| 8 + REGION * index);
        starts
            .map(|at| {
                Ok(Region {
                    guest: self.long(at)?,
                    size: self.long(at + 8)?,
                    front_end: self.long(at + 16)?,
                    file: self.long(at + 24)?,
                })
            })
            .collect()
    }
}

impl FrontEndRequest {
    /// Reads the body of a message.
    pub(crate) fn decode(request: u32, bytes: &[u8]) -> Result<Self, MessageError> {
        let body = Body { request, bytes };
        Ok(match request {
            1 => Self::GetFeatures,
            2 => Self::SetFeatures(body.long(0)?),
            3 => Self::SetOwner,
            4 => Self::ResetOwner,
            5 => Self::SetMemory(body.regions()?),
            8 => Self::SetRingSize {
                ring: body.ring()?,
                size: body.word(4)?,
            },
            9 => Self::SetRingAddresses {
                ring: body.ring()?,
                descriptors: body.long(8)?,
                used: body.long(16)?,
                available: body.long(24)?,
            },
            10 => Self::SetRingBase {
                ring: body.ring()?,
                base: body.word(4)?,
            },
            11 => Self::GetRingBase { ring: body.ring()? },
            12..=14 => {
                let (ring, descriptor) = body.ring_with_descriptor()?;
                match request {
                    12 => Self::SetRingKick { ring, descriptor },
                    13 => Self::SetRingCall { ring, descriptor },
                    _ => Self::SetRingError { ring, descriptor },
                }
            }
            15 => Self::GetProtocolFeatures,
            16 => Self::SetProtocolFeatures(body.long(0)?),
            17 => Self::GetQueueCount,
            18 => Self::EnableRing {
                ring: body.ring()?,
                enable: body.word(4)? != 0,
            },
            24 => Self::GetConfig {
                offset: body.word(0)?,
                size: body.word(4)?,
                flags: body.word(8)?,
            },
            _ => Self::Unknown(request),
        })
    }

    /// How many descriptors come with the request.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Self::SetMemory(regions) => regions.len(),
            Self::SetRingKick { descriptor, .. }
            | Self::SetRingCall { descriptor, .. }
            | Self::SetRingError { descriptor, .. } => usize::from(*descriptor),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn longs(values: &[u64]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect()
    }

    fn header(request: u32, flags: u32, size: u32) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        for (at, field) in [(0, request), (4, flags), (8, size)] {
            bytes[at..at + 4].copy_from_slice(&field.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn headers_are_checked() {
        let good = Header {
            request: 5,
            needs_reply: true,
            size: 40,
        };
        assert_eq!(Header::decode(&header(5, 9, 40)), Ok(good));
        assert_eq!(
            Header::decode(&header(5, 2, 0)),
            Err(MessageError::Flags { flags: 2 })
        );
        assert_eq!(
            Header::decode(&header(5, 5, 0)),
            Err(MessageError::Flags { flags: 5 })
        );
        let size = Header::decode(&header(5, 1, 513));
        assert_eq!(
            size,
            Err(MessageError::Size {
                request: 5,
                size: 513,
                limit: 512
            })
        );
    }

    #[test]
    fn a_table_of_memory_has_at_most_eight_regions() {
        let region = Region {
            guest: 1,
            size: 2,
            front_end: 3,
            file: 4,
        };
        let request = FrontEndRequest::decode(5, &longs(&[1, 1, 2, 3, 4])).unwrap();
        assert_eq!(request, FrontEndRequest::SetMemory(vec![region]));
        assert_eq!(request.descriptors(), 1);
        let short = FrontEndRequest::decode(5, &longs(&[2, 1, 2, 3, 4]));
        assert_eq!(
            short,
            Err(MessageError::Short {
                request: 5,
                size: 40,
                needed: 48
            })
        );
        let many = FrontEndRequest::decode(5, &longs(&[9]));
        assert_eq!(many, Err(MessageError::Regions { count: 9, limit: 8 }));
        const { assert!(8 + REGION * MAX_REGIONS <= MAX_BODY) };
    }

    #[test]
    fn rings_and_descriptors_are_told_apart() {
        let kick = FrontEndRequest::decode(12, &longs(&[1])).unwrap();
        assert_eq!(
            kick,
            FrontEndRequest::SetRingKick {
                ring: 1,
                descriptor: true
            }
        );
        let polled = FrontEndRequest::decode(13, &longs(&[0x100])).unwrap();
        assert_eq!(
            polled,
            FrontEndRequest::SetRingCall {
                ring: 0,
                descriptor: false
            }
        );
        assert_eq!((kick.descriptors(), polled.descriptors()), (1, 0));
        assert_eq!(
            FrontEndRequest::decode(12, &longs(&[2])),
            Err(MessageError::Ring {
                request: 12,
                ring: 2
            })
        );
        assert_eq!(
            FrontEndRequest::decode(8, &longs(&[2])),
            Err(MessageError::Ring {
                request: 8,
                ring: 2
            })
        );
        assert_eq!(
            FrontEndRequest::decode(41, &[]),
            Ok(FrontEndRequest::Unknown(41))
        );
    }

    #[test]
    fn a_reply_has_the_flag_of_replies() {
        let message = reply(1, &[7; 8]);
        assert_eq!(message[..HEADER], header(1, 5, 8));
        assert_eq!(message[HEADER..], [7; 8]);
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(request in 0..48_u32, body in prop::collection::vec(any::<u8>(), 0..MAX_BODY)) {
            if let Ok(request) = FrontEndRequest::decode(request, &body) {
                prop_assert!(request.descriptors() <= MAX_REGIONS);
            }
        }
    }
}
