//! What the fuzz targets (`fuzz/`) reach: the readers of what comes from outside.
//!
//! Compiled with `--cfg fuzzing` only.

use crate::{
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
