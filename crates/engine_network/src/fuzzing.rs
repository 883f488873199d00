//! For `fuzz/`: what reads answers of the kernel, given any bytes.

use crate::{
    conntrack::read_connection,
    counters,
    link::{read_address, read_link, read_route},
    neighbours,
    netlink::parse::{Attributes, Messages},
};

/// Reads `datagram` as an answer of any kind.
pub fn answers(datagram: &[u8]) {
    for message in Messages::of(datagram).flatten() {
        let _link = read_link(&message);
        let _counters = counters::read(&message);
        let _address = read_address(&message);
        let _route = read_route(&message);
        let _known = neighbours::read(&message);
        let _connection = read_connection(&message);
        for (_, value) in Attributes::of(message.body).flatten() {
            let _inner = Attributes::of(value).count();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::answers;

    /// Answers that a kernel gave, as the fuzz target begins with them.
    const GIVEN: [&[u8]; 4] = [
        include_bytes!("../../../fuzz/corpus/netlink/links"),
        include_bytes!("../../../fuzz/corpus/netlink/addresses"),
        include_bytes!("../../../fuzz/corpus/netlink/routes"),
        include_bytes!("../../../fuzz/corpus/netlink/refusal"),
    ];

    proptest! {
        #[test]
        fn a_damaged_answer_is_read_without_harm(
            which in 0..GIVEN.len(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = GIVEN[which].to_vec();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len()) + 1);
            answers(&bytes);
        }
    }
}
