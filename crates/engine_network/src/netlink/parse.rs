//! Answers of netlink, walked with distrust: a length is checked before anything behind it is looked at, and a walk
//! ends with the first fault.

/// Something does not fit its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One message of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub(crate) const fn of(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        // A fault ends the walk.
        self.0 = &[];
        let length = number(rest, 0).and_then(|length| usize::try_from(length).ok());
        let Some(whole) = length
            .filter(|length| *length >= super::batch::HEADER)
            .and_then(|length| rest.get(..length))
        else {
            return Some(Err(Malformed));
        };
        self.0 = rest
            .get(whole.len().next_multiple_of(4)..)
            .unwrap_or_default();
        Some(message(whole).ok_or(Malformed))
    }
}

fn message(whole: &[u8]) -> Option<Message<'_>> {
    Some(Message {
        kind: short(whole, 4)?,
        flags: short(whole, 6)?,
        sequence: number(whole, 8)?,
        body: whole.get(super::batch::HEADER..)?,
    })
}

/// The attributes behind a fixed part: kind, without the bits that say how it is written, and value.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Those behind the first `fixed` bytes.
    pub(crate) fn behind(body: &'a [u8], fixed: usize) -> Result<Self, Malformed> {
        body.get(fixed..).map(Self).ok_or(Malformed)
    }

    /// The value of the first attribute of this kind; none, where a fault comes before it.
    pub(crate) fn find(&self, kind: u16) -> Option<&'a [u8]> {
        let sound = self.clone().map_while(Result::ok);
        let mut of_kind = sound.filter(|(found, _)| *found == kind);
        of_kind.next().map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        const KIND: u16 = 0x3fff;
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        self.0 = &[];
        let length = short(rest, 0).map(usize::from);
        let Some(whole) = length
            .filter(|length| *length >= 4)
            .and_then(|length| rest.get(..length))
        else {
            return Some(Err(Malformed));
        };
        self.0 = rest
            .get(whole.len().next_multiple_of(4)..)
            .unwrap_or_default();
        let kind = short(whole, 2).map(|kind| kind & KIND);
        Some(kind.zip(whole.get(4..)).ok_or(Malformed))
    }
}

/// A number of 16 bits at `at`.
pub(crate) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

/// A number of 32 bits at `at`.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// A text, which ends before a zero or with the value.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Batch, *};

    #[test]
    fn what_a_batch_holds_is_read_back() {
        let mut batch = Batch::default();
        batch.message("one", 16, 4, &[1, 2, 3], |batch| {
            batch.text(3, "eth0").nest(18, |batch| {
                batch.number(1, 7);
            });
        });
        batch.message("two", 17, 0, &[], |_| {});
        let messages: Vec<_> = Messages::of(&batch.bytes).map(Result::unwrap).collect();
        assert_eq!((messages[0].kind, messages[0].flags), (16, 5));
        assert_eq!(messages[1].kind, 17);
        let attributes = Attributes::behind(messages[0].body, 4).unwrap();
        assert_eq!(attributes.find(3).map(text).as_deref(), Some("eth0"));
        let inner = Attributes::of(attributes.find(18).unwrap());
        assert_eq!(number(inner.find(1).unwrap(), 0), Some(7));
        assert_eq!(attributes.find(4), None);
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        for bytes in [
            &[0_u8; 16][..],
            &[15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[255, 255, 255, 255],
            &[1],
        ] {
            assert_eq!(
                Messages::of(bytes).collect::<Vec<_>>(),
                [Err(Malformed)],
                "{bytes:?}"
            );
        }
        for bytes in [&[3, 0, 1, 0][..], &[5, 0, 1, 0], &[0, 0, 0, 0], &[4, 0, 1]] {
            assert_eq!(
                Attributes::of(bytes).collect::<Vec<_>>(),
                [Err(Malformed)],
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn an_attribute_that_is_too_long_is_not_sent() {
        let mut batch = Batch::default();
        batch.message("long", 16, 0, &[], |batch| {
            batch.bytes(1, &[0; 65532]);
        });
        assert!(batch.too_long);
    }

    proptest! {
        #[test]
        fn no_answer_is_read_beyond_its_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in Messages::of(&bytes).flatten() {
                let _count = Attributes::of(message.body).count();
            }
        }
    }
}
