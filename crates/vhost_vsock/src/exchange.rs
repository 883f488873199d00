//! Packets between the rings and the table of connections.
//!
//! One call does one batch of a ring, so that no ring holds up the other, nor the commands and streams of the device.

use crate::{
    config::Services,
    memory::GuestMemory,
    packet::{HEADER, Header, MAX_DATA, Operation},
    queue::{Chain, Fault, Queue},
    table::Table,
};

/// The room for one packet.
#[derive(Debug)]
pub(crate) struct Exchange {
    chain: Chain,
    bytes: Vec<u8>,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Packets have moved.
    pub(crate) moved: bool,
    /// The driver has to hear of it now, if it wants to hear of it at all. Otherwise it may hear of it later.
    pub(crate) is_urgent: bool,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self {
            chain: Chain::default(),
            bytes: vec![0; HEADER + MAX_DATA],
        }
    }

    /// Takes packets of the guest. None is taken while the resets that answered earlier ones wait for room in the other
    /// ring: so they cannot pile up.
    pub(crate) fn receive(
        &mut self,
        queue: &mut Queue,
        memory: &impl GuestMemory,
        table: &mut Table,
        services: &mut dyn Services,
    ) -> Result<Batch, Fault> {
        let mut moved = false;
        if !table.is_congested() && find(queue, memory)? {
            while !table.is_congested() && queue.peek(&mut self.chain)? {
                self.take(memory, table, services)?;
                queue.complete(0);
                moved = true;
            }
        }
        queue.publish(memory)?;
        // The driver gets buffers back, and has others.
        let is_urgent = false;
        Ok(Batch { moved, is_urgent })
    }

    /// Takes the packet in the chain. One without a whole header is dropped.
    fn take(
        &mut self,
        memory: &impl GuestMemory,
        table: &mut Table,
        services: &mut dyn Services,
    ) -> Result<(), Fault> {
        let mut header = [0; HEADER];
        if self.chain.length() < HEADER {
            return Ok(());
        }
        self.chain.read(memory, 0, &mut header)?;
        let header = Header::decode(&header);
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let has_data = header.operation == Operation::Data;
        let whole = !has_data || length <= MAX_DATA.min(self.chain.length() - HEADER);
        if let Some(number) = table.hear(&header, whole, services) {
            let data = &mut self.bytes[..length];
            self.chain.read(memory, HEADER, data)?;
            table.deliver(number, data);
        }
        Ok(())
    }

    /// Sends packets to the guest. The driver is asked to notify only when it has given no room and packets wait.
    pub(crate) fn send(
        &mut self,
        queue: &mut Queue,
        memory: &impl GuestMemory,
        table: &mut Table,
    ) -> Result<Batch, Fault> {
        let (mut moved, mut is_urgent) = (false, false);
        if table.has_packets() {
            find(queue, memory)?;
            while table.has_packets() && queue.peek(&mut self.chain)? {
                let room = self.chain.length().min(self.bytes.len());
                if room <= HEADER {
                    // No room for any data: the driver gets it back as it was.
                    queue.complete(0);
                    (moved, is_urgent) = (true, true);
                    continue;
                }
                let Some(packet) = table.next_packet(&mut self.bytes[..room]) else {
                    break;
                };
                let length = packet.bytes.len();
                is_urgent |= !packet.can_wait;
                self.chain.write(memory, packet.bytes)?;
                // A packet is far below 4 GiB.
                queue.complete(u32::try_from(length).unwrap_or(u32::MAX));
                moved = true;
            }
            if moved {
                queue.be_quiet();
            }
        }
        queue.publish(memory)?;
        // What is left waits for room, which the driver makes when it hears of what it got.
        is_urgent |= table.has_packets();
        Ok(Batch { moved, is_urgent })
    }
}

/// Reads what the driver has made available. Where there is nothing, the driver is asked to notify. Returns whether
/// there is any.
fn find(queue: &mut Queue, memory: &impl GuestMemory) -> Result<bool, Fault> {
    Ok(queue.refill(memory)? || (queue.be_notified(memory)? && queue.refill(memory)?))
}

#[cfg(test)]
mod tests;
