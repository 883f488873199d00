//! [`Batch`]: requests in one buffer.

use super::flag;

/// Length of a message's header.
pub(super) const HEADER: usize = 16;

/// Messages that are sent in one go. Each has words for what it asks, for errors.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: Vec<Entry>,
    /// Something did not fit its length field.
    pub(super) too_long: bool,
}

/// One message of a batch.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) start: usize,
    pub(super) what: String,
    pub(super) acknowledged: bool,
}

impl Batch {
    /// Adds a message: the body after the header is `fixed`, then what `attributes` adds.
    pub(crate) fn message(
        &mut self,
        what: impl Into<String>,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        attributes: impl FnOnce(&mut Self),
    ) -> &mut Self {
        let start = self.bytes.len();
        self.messages.push(Entry {
            start,
            what: what.into(),
            acknowledged: flags & flag::ACK != 0,
        });
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flag::REQUEST | flags).to_ne_bytes());
        self.bytes.extend([0; 8]);
        self.bytes.extend(fixed);
        self.pad();
        attributes(self);
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => self.put(start, &length.to_ne_bytes()),
            Err(_) => self.too_long = true,
        }
        self
    }

    /// Adds an attribute.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        match u16::try_from(value.len() + 4) {
            Ok(length) => self.bytes.extend(length.to_ne_bytes()),
            Err(_) => {
                self.too_long = true;
                return self;
            }
        }
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
        self
    }

    /// Adds a text that ends with a zero.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Adds a number in the order of the host.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a number in the order of networks, as nfnetlink has them.
    pub(crate) fn big(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds an attribute that holds what `inner` adds.
    pub(crate) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) -> &mut Self {
        const NESTED: u16 = 0x8000;
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        inner(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.put(start, &length.to_ne_bytes()),
            Err(_) => self.too_long = true,
        }
        self
    }

    /// Adds bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    /// Adds the messages of another batch.
    pub(crate) fn append(&mut self, other: Self) -> &mut Self {
        let behind = self.bytes.len();
        self.bytes.extend(other.bytes);
        self.messages
            .extend(other.messages.into_iter().map(|message| Entry {
                start: message.start + behind,
                ..message
            }));
        self.too_long |= other.too_long;
        self
    }

    /// Its bytes so far.
    pub(crate) const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes behind the first `length`.
    pub(crate) fn since(&self, length: usize) -> &[u8] {
        self.bytes.get(length..).unwrap_or_default()
    }

    /// Whether it asks for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How many messages it has.
    #[cfg(test)]
    pub(crate) const fn count(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
