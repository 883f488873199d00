//! VHD images of fixed size: the bytes of the disk, and behind them a footer.

use std::{fs::File, os::unix::fs::FileExt as _};

use super::step::{Failed, Stretch};
use crate::Refusal;

const FOOTER: usize = 512;
const MAGIC: &[u8] = b"conectix";
/// The type in a footer, and the kind of fixed size.
const TYPE: usize = 60;
const FIXED: u32 = 2;

/// Where the disk is in `file`; none where it is no VHD.
///
/// # Errors
/// It is another kind of VHD, or cannot be read.
pub(super) fn stretch(file: &File) -> Result<Option<Stretch>, Failed> {
    let length = file.metadata()?.len();
    let Some(disk) = length.checked_sub(FOOTER as u64) else {
        return Ok(None);
    };
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, disk)?;
    if !footer.starts_with(MAGIC) {
        return Ok(None);
    }
    let kind = footer[TYPE..]
        .first_chunk()
        .map(|kind| u32::from_be_bytes(*kind));
    if kind != Some(FIXED) || disk == 0 {
        return Err(Refusal::OtherDisk(
            "it is a VHD that grows, or a difference to a parent: `qemu-img convert -O vhdx -o \
             subformat=fixed,block_state_zero=off` makes an image of it that is used",
        )
        .into());
    }
    Ok(Some(Stretch {
        offset: 0,
        length: disk,
    }))
}
