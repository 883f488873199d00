//! Flow control of one connection: how much each side may send before the other has passed it on.
//!
//! Each side tells, with every packet, how large its buffer is and how many bytes it has passed on in all. The other
//! side sends no more than fits. All counts are modulo 2^32, as in the packets.

/// Flow control of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credit {
    /// The buffer that the guest may fill.
    buffer: u32,
    /// Bytes that the guest has sent.
    received: u32,
    /// Of these, bytes that the host's stream has taken.
    forwarded: u32,
    /// What the guest was told of `forwarded`.
    announced: u32,
    /// Bytes that the guest was sent.
    sent: u32,
    /// The buffer of the guest.
    guest_buffer: u32,
    /// Bytes that the guest has passed on to its program.
    guest_forwarded: u32,
}

/// The guest has sent more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overrun;

impl Credit {
    /// Of a new connection whose guest may fill `buffer` bytes, and itself has no room yet.
    pub(crate) const fn new(buffer: u32) -> Self {
        Self {
            buffer,
            received: 0,
            forwarded: 0,
            announced: 0,
            sent: 0,
            guest_buffer: 0,
            guest_forwarded: 0,
        }
    }

    /// The guest told its buffer and what it has passed on.
    pub(crate) const fn hear(&mut self, buffer: u32, forwarded: u32) {
        self.guest_buffer = buffer;
        self.guest_forwarded = forwarded;
    }

    /// The guest sent `count` bytes.
    ///
    /// # Errors
    /// They are more than fit.
    pub(crate) fn receive(&mut self, count: u32) -> Result<(), Overrun> {
        let held = self.held();
        if count > self.buffer - held {
            return Err(Overrun);
        }
        self.received = self.received.wrapping_add(count);
        Ok(())
    }

    /// The host's stream took `count` of the bytes that the guest sent, or they were thrown away.
    pub(crate) fn forward(&mut self, count: u32) {
        debug_assert!(count <= self.held());
        self.forwarded = self.forwarded.wrapping_add(count);
    }

    /// Bytes of the guest that no stream has taken yet; at most the buffer.
    pub(crate) const fn held(&self) -> u32 {
        self.received.wrapping_sub(self.forwarded)
    }

    /// How many bytes the guest has room for. A guest that tells nonsense gets nothing.
    pub(crate) const fn room(&self) -> u32 {
        let under_way = self.sent.wrapping_sub(self.guest_forwarded);
        self.guest_buffer.saturating_sub(under_way)
    }

    /// The guest was sent `count` bytes.
    pub(crate) const fn send(&mut self, count: u32) {
        self.sent = self.sent.wrapping_add(count);
    }

    /// The buffer and the count for the header of the next packet, which tells them to the guest.
    pub(crate) const fn announce(&mut self) -> (u32, u32) {
        self.announced = self.forwarded;
        (self.buffer, self.forwarded)
    }

    /// The guest has to be told what was passed on, or it may believe that there is no room: half of what it may have
    /// under way has become free since. Newer kernels have no more under way than their own buffer holds, whatever they
    /// are told of the other one.
    pub(crate) const fn is_stale(&self) -> bool {
        let most = match self.guest_buffer < self.buffer {
            true => self.guest_buffer,
            false => self.buffer,
        };
        let free = self.forwarded.wrapping_sub(self.announced);
        free > 0 && free >= most / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both directions as plain sums, in 64 bits.
    #[derive(Debug, Default)]
    struct Model {
        received: u64,
        forwarded: u64,
        sent: u64,
        guest_forwarded: u64,
        guest_heard: u64,
    }

    #[derive(Debug, Clone)]
    enum CreditStep {
        GuestSends(u32),
        StreamTakes(u32),
        HostSends(u32),
        GuestPasses(u32),
        Told,
        Announced,
    }

    fn step() -> impl Strategy<Value = CreditStep> {
        prop_oneof![
            (1..200_u32).prop_map(CreditStep::GuestSends),
            (1..200_u32).prop_map(CreditStep::StreamTakes),
            (1..200_u32).prop_map(CreditStep::HostSends),
            (1..200_u32).prop_map(CreditStep::GuestPasses),
            Just(CreditStep::Told),
            Just(CreditStep::Announced),
        ]
    }

    const BUFFER: u32 = 256;
    const GUEST_BUFFER: u32 = 300;

    fn apply(
        credit: &mut Credit,
        model: &mut Model,
        step: &CreditStep,
    ) -> Result<(), TestCaseError> {
        match *step {
            CreditStep::GuestSends(count) => {
                let fits = model.received - model.forwarded + u64::from(count) <= u64::from(BUFFER);
                prop_assert_eq!(credit.receive(count).is_ok(), fits);
                model.received += if fits { u64::from(count) } else { 0 };
            }
            CreditStep::StreamTakes(count) => {
                let count = count.min(credit.held());
                credit.forward(count);
                model.forwarded += u64::from(count);
            }
            CreditStep::HostSends(count) => {
                let count = count.min(credit.room());
                credit.send(count);
                model.sent += u64::from(count);
            }
            CreditStep::GuestPasses(count) => {
                model.guest_forwarded = model.sent.min(model.guest_forwarded + u64::from(count));
            }
            CreditStep::Told => {
                model.guest_heard = model.guest_forwarded;
                #[expect(clippy::cast_possible_truncation, reason = "counts are modulo 2^32")]
                credit.hear(GUEST_BUFFER, model.guest_forwarded as u32);
            }
            CreditStep::Announced => {
                let (buffer, forwarded) = credit.announce();
                prop_assert_eq!(buffer, BUFFER);
                prop_assert_eq!(u64::from(forwarded), model.forwarded & 0xffff_ffff);
                prop_assert!(!credit.is_stale());
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn credit_follows_the_sums(steps in prop::collection::vec(step(), 0..200)) {
            let mut credit = Credit::new(BUFFER);
            // Just below the wrap, so that every count passes it.
            let start = u32::MAX - 500;
            (credit.received, credit.forwarded, credit.announced) = (start, start, start);
            (credit.sent, credit.guest_forwarded) = (start, start);
            credit.guest_buffer = GUEST_BUFFER;
            let start = u64::from(start);
            let mut model = Model { received: start, forwarded: start, sent: start, guest_forwarded: start, guest_heard: start };
            for step in &steps {
                apply(&mut credit, &mut model, step)?;
                prop_assert_eq!(u64::from(credit.held()), model.received - model.forwarded);
                prop_assert_eq!(u64::from(credit.room()), u64::from(GUEST_BUFFER) - (model.sent - model.guest_heard));
            }
        }

        #[test]
        fn a_lying_guest_gets_no_more_than_its_buffer(buffer: u32, forwarded: u32, sent in 0..1000_u32) {
            let mut credit = Credit::new(BUFFER);
            credit.send(sent);
            credit.hear(buffer, forwarded);
            prop_assert!(credit.room() <= buffer);
        }
    }

    #[test]
    fn half_of_a_smaller_buffer_of_the_guest_makes_it_hear() {
        for own in [0, 1, 2, 64] {
            let mut credit = Credit::new(BUFFER);
            credit.hear(own, 0);
            assert!(!credit.is_stale(), "nothing was passed on");
            // A guest that sends no more than its own buffer holds.
            credit.receive(own.max(1)).unwrap();
            credit.forward(own.max(1));
            assert!(credit.is_stale(), "{own}");
            credit.announce();
            assert!(!credit.is_stale());
        }
    }

    #[test]
    fn half_of_the_buffer_makes_the_guest_hear() {
        let mut credit = Credit::new(BUFFER);
        credit.hear(GUEST_BUFFER, 0);
        credit.receive(BUFFER).unwrap();
        credit.forward(BUFFER / 2 - 1);
        assert!(!credit.is_stale());
        credit.forward(1);
        assert!(credit.is_stale());
    }
}
