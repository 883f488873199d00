//! For `fuzz/`: what reads answers of the kernel, given any bytes.

use crate::{
    conntrack::read_connection,
    link::{read_address, read_link, read_route},
    netlink::parse::{Attributes, Messages},
};

/// Reads `datagram` as an answer of any kind.
pub fn answers(datagram: &[u8]) {
    for message in Messages::of(datagram).flatten() {
        let _link = read_link(&message);
        let _address = read_address(&message);
        let _route = read_route(&message);
        let _connection = read_connection(&message);
        for (_, value) in Attributes::of(message.body).flatten() {
            let _inner = Attributes::of(value).count();
        }
    }
}
