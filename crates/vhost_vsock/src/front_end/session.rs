//! What a front end has set up: features, memory, rings, event descriptors.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use super::{
    Message,
    message::{FrontEndRequest, RINGS},
    vring::{Signal, Vring, VringError, examine},
};
use crate::{
    config::Memory,
    memory::{Mapped, RegionError},
    poll::{Poll, Token},
    queue::{Direction, MAX_SIZE},
};

/// Virtio 1.0, event indexes, and that there are protocol features.
const FEATURES: u64 = 1 << 32 | EVENT_INDEXES | PROTOCOL_FEATURES;
/// `VIRTIO_F_EVENT_IDX`.
const EVENT_INDEXES: u64 = 1 << 29;
const PROTOCOL_FEATURES: u64 = 1 << 30;
/// Requests may ask whether they were obeyed; the configuration is read from the device.
const OFFERED: u64 = 1 << 3 | 1 << 9;
/// Bytes of the configuration: the address of the guest.
const CONFIG: usize = 8;

/// What a front end has set up.
#[derive(Debug)]
pub(crate) struct Session {
    cid: u64,
    /// Bytes of guest memory at most.
    limit: u64,
    acknowledged: u64,
    pub(crate) memory: Mapped,
    /// To the guest, and from it.
    pub(crate) rings: [Vring; RINGS],
}

/// What a message means for the device besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The driver is another than before: it knows of no connection.
    NewDriver,
}

/// How a message is answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FrontEndAnswer {
    /// The body of the answer, where the request has one.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) effect: Effect,
}

/// Why a request is not obeyed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("features {features:#x} were not offered, only {offered:#x}")]
    Features { features: u64, offered: u64 },
    #[error(transparent)]
    Memory(#[from] RegionError),
    #[error("ring {ring}: {error}")]
    Ring { ring: usize, error: VringError },
    #[error("the request is not known")]
    Unknown,
}

impl Session {
    pub(crate) fn new(cid: u64, memory: Memory, limit: u64) -> Self {
        Self {
            cid,
            limit,
            acknowledged: 0,
            memory: Mapped::new(memory),
            rings: [
                Vring::new(Direction::ToGuest),
                Vring::new(Direction::FromGuest),
            ],
        }
    }

    /// The events that the device raises, see [`Signal`].
    pub(crate) fn signals(&self) -> Vec<Signal> {
        self.rings.iter().flat_map(Vring::signals).collect()
    }

    /// Does what a message asks. Kicks are watched from start to stop.
    pub(crate) fn obey(
        &mut self,
        message: Message,
        poll: &Poll,
    ) -> Result<FrontEndAnswer, Refusal> {
        match message.request {
            FrontEndRequest::GetFeatures => Ok(answer(long(FEATURES))),
            FrontEndRequest::GetProtocolFeatures => Ok(answer(long(OFFERED))),
            FrontEndRequest::GetQueueCount => Ok(answer(long(RINGS as u64))),
            FrontEndRequest::GetConfig {
                offset,
                size,
                flags,
            } => Ok(answer(self.config(offset, size, flags))),
            FrontEndRequest::SetFeatures(features) => {
                check_features(features, FEATURES)?;
                self.acknowledged = features;
                Ok(effect(Effect::Nothing))
            }
            FrontEndRequest::SetProtocolFeatures(features) => {
                check_features(features, OFFERED)?;
                Ok(effect(Effect::Nothing))
            }
            FrontEndRequest::SetOwner => Ok(effect(Effect::Nothing)),
            FrontEndRequest::ResetOwner => {
                for index in 0..RINGS {
                    self.stop(index, poll);
                }
                Ok(effect(Effect::NewDriver))
            }
            FrontEndRequest::SetMemory(regions) => {
                self.memory
                    .announce(regions, message.descriptors, self.limit)?;
                Ok(effect(Effect::Nothing))
            }
            ring => self.obey_ring(&ring, message.descriptors, poll),
        }
    }

    /// Does what a message about a ring asks.
    fn obey_ring(
        &mut self,
        request: &FrontEndRequest,
        mut descriptors: Vec<OwnedFd>,
        poll: &Poll,
    ) -> Result<FrontEndAnswer, Refusal> {
        match *request {
            FrontEndRequest::SetRingSize { ring, size } => {
                let possible = u16::try_from(size).ok();
                let possible = possible.filter(|size| size.is_power_of_two() && *size <= MAX_SIZE);
                let size = possible.ok_or(VringError::Size { size });
                self.rings[ring].size = size.map_err(of(ring))?;
            }
            FrontEndRequest::SetRingAddresses {
                ring,
                descriptors,
                used,
                available,
            } => self.rings[ring].addresses = [descriptors, available, used],
            FrontEndRequest::SetRingBase { ring, base } => {
                let position = u16::try_from(base).map_err(|_| VringError::Base { base });
                self.rings[ring].base = position.map_err(of(ring))?;
            }
            FrontEndRequest::GetRingBase { ring } => {
                let base = self.stop(ring, poll);
                let body = [ring_word(ring), u32::from(base)];
                let bytes = body.iter().flat_map(|word| word.to_ne_bytes());
                return Ok(answer(bytes.collect()));
            }
            FrontEndRequest::SetRingKick { ring, .. } => {
                return self.start(ring, descriptors.pop(), poll);
            }
            FrontEndRequest::SetRingCall { ring, .. } => {
                let set = self.rings[ring].call.set(descriptors.pop());
                set.map_err(of(ring))?;
            }
            FrontEndRequest::SetRingError { ring, .. } => {
                let set = self.rings[ring].error.set(descriptors.pop());
                set.map_err(of(ring))?;
            }
            FrontEndRequest::EnableRing { ring, enable } => self.rings[ring].enabled = enable,
            _ => return Err(Refusal::Unknown),
        }
        Ok(effect(Effect::Nothing))
    }

    /// Starts a ring, which is notified by `kick`.
    fn start(
        &mut self,
        index: usize,
        kick: Option<OwnedFd>,
        poll: &Poll,
    ) -> Result<FrontEndAnswer, Refusal> {
        let kick = kick.ok_or(VringError::NoKick).map_err(of(index))?;
        examine(&kick).map_err(of(index))?;
        let ring = &mut self.rings[index];
        if let Some(old) = ring.kick.take() {
            poll.forget(old.as_fd());
        }
        poll.watch_kick(kick.as_fd(), Token::Kick(index))
            .map_err(|errno| of(index)(VringError::Examine(errno)))?;
        ring.kick = Some(kick);
        if ring.queue.is_some() {
            return Ok(effect(Effect::Nothing));
        }
        if self.acknowledged & PROTOCOL_FEATURES == 0 {
            ring.enabled = true;
        }
        let indexed = self.acknowledged & EVENT_INDEXES != 0;
        if !ring.start(&self.memory, indexed).map_err(of(index))? {
            return Ok(effect(Effect::Nothing));
        }
        for ring in &mut self.rings {
            ring.parked = None;
        }
        Ok(effect(Effect::NewDriver))
    }

    /// Stops a ring. Returns its position.
    fn stop(&mut self, index: usize, poll: &Poll) -> u16 {
        let ring = &mut self.rings[index];
        if let Some(kick) = ring.kick.take() {
            poll.forget(kick.as_fd());
        }
        ring.stop(&self.memory)
    }

    /// When a driver is to hear of what could wait, if there is something.
    pub(crate) fn late(&self) -> Option<Instant> {
        self.rings.iter().filter_map(Vring::late).min()
    }

    /// A piece of the configuration; nothing when there is no such piece.
    fn config(&self, offset: u32, size: u32, flags: u32) -> Vec<u8> {
        let config: [u8; CONFIG] = self.cid.to_le_bytes();
        let piece = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            config.get(start..end)
        });
        let Some(piece) = piece else {
            return Vec::new();
        };
        let head = [offset, size, flags];
        let mut body: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
        body.extend(piece);
        body
    }
}

fn check_features(features: u64, offered: u64) -> Result<(), Refusal> {
    if features & !offered == 0 {
        Ok(())
    } else {
        Err(Refusal::Features { features, offered })
    }
}

const fn answer(body: Vec<u8>) -> FrontEndAnswer {
    FrontEndAnswer {
        body: Some(body),
        effect: Effect::Nothing,
    }
}

const fn effect(effect: Effect) -> FrontEndAnswer {
    FrontEndAnswer { body: None, effect }
}

fn of(ring: usize) -> impl FnOnce(VringError) -> Refusal {
    move |error| Refusal::Ring { ring, error }
}

fn long(value: u64) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

/// The number of a ring as it stands in messages; it is below [`RINGS`].
fn ring_word(ring: usize) -> u32 {
    u32::try_from(ring).unwrap_or(u32::MAX)
}
