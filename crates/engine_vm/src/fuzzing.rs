//! What the fuzz targets (`fuzz/`) reach: the readers of what comes from outside.
//!
//! Compiled with `--cfg fuzzing` only.

use std::net::Ipv4Addr;

use crate::{
    dhcp::{self, Lease},
    disk::format::{Format, LOOKED_AT},
    qmp::{
        lines::{LONGEST, Lines},
        message,
    },
};

/// The first and the last bytes of a disk image, as each kind.
pub fn disk_images(start: &[u8], end: &[u8]) {
    let cut = |bytes: &[u8]| bytes[..bytes.len().min(LOOKED_AT)].to_vec();
    for format in [Format::Raw, Format::Qcow2, Format::Vhdx, Format::Vhd] {
        for is_named_raw in [false, true] {
            let _any = format.check(&cut(start), &cut(end), is_named_raw);
        }
    }
}

/// A frame of a guest, from the card with the hardware address 00-15-5D-01-02-03.
pub fn dhcp(frame: &[u8]) {
    let address = Ipv4Addr::new(172, 20, 0, 5);
    let lease = Lease {
        address,
        length: 20,
        router: Some(Ipv4Addr::new(172, 20, 0, 1)),
        resolvers: vec![address; 9],
        mtu: Some(1400),
    };
    if let Some(answer) = dhcp::answer(frame, [0, 0x15, 0x5d, 1, 2, 3], &lease) {
        // It fits into a frame of the usual size, and never names another address.
        assert!(answer.len() <= 1514);
        let named = &answer[14 + 20 + 8 + 16..][..4];
        assert!(named == address.octets() || named == [0; 4]);
    }
}

/// The bytes of a QEMU that its guest has taken over, in two pieces: cut into lines, each read as a message.
pub fn monitor(first: &[u8], second: &[u8]) {
    let mut lines = Lines::default();
    for piece in [first, second] {
        lines.push(piece);
        loop {
            match lines.next() {
                Ok(Some(line)) => {
                    assert!(line.len() <= LONGEST && !line.contains(&b'\n'));
                    let _said = message::parse(line);
                }
                Ok(None) => break,
                // The line is skipped.
                Err(_) => {}
            }
        }
    }
}
