//! What the fuzz targets (`fuzz/`) reach: the readers of what comes from outside.
//!
//! Compiled with `--cfg fuzzing` only.

use crate::qmp::{
    lines::{LONGEST, Lines},
    message,
};

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
                Err(_) => return,
            }
        }
    }
}
