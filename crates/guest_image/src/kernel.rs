//! The ELF file inside of a kernel as distributions ship it (`bzImage`, the kernel's
//! `Documentation/arch/x86/boot.rst`).
//!
//! An emulator that is given the ELF file enters the kernel directly (PVH), in place of having the guest unpack itself.
//! That saves up to some seconds of each boot where the guest is emulated.

use object::{
    LittleEndian,
    elf::{EM_X86_64, FileHeader64},
    read::elf::{FileHeader as _, ProgramHeader as _},
};

use crate::unpack::{Format, UnpackError};

/// The largest kernel file.
pub const MAX_FILE: u64 = 256 << 20;
/// The largest ELF file in it. A fuzzer is to find faults, not patience.
pub const MAX_ELF: u64 = if cfg!(fuzzing) { 1 << 20 } else { 512 << 20 };

/// Where the boot sector counts the sectors behind it.
const SETUP_SECTORS: usize = 0x1f1;
/// Where the header says that it is one.
const SIGNATURE: usize = 0x202;
/// The version of the protocol.
const VERSION: usize = 0x206;
/// Where the payload begins behind the sectors, and its length.
const PAYLOAD: usize = 0x248;
/// The first version with that.
const FIRST_VERSION: u16 = 0x208;
const SECTOR: usize = 512;
/// The note with the entry of the kernel (`XEN_ELFNOTE_PHYS32_ENTRY`).
const ENTRY_NOTE: u32 = 18;
const ELF: &[u8] = b"\x7fELF";

/// Why there is no kernel in a file.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// It is no kernel for x86.
    #[error("it is neither a bzImage for x86 nor an ELF file")]
    Kind,
    /// A kernel that is older than 2.6.24, or no kernel.
    #[error("its boot protocol is {found:#x}; {FIRST_VERSION:#x} or newer was expected")]
    Version {
        /// The version found.
        found: u16,
    },
    /// Its header names bytes that it does not have.
    #[error(
        "its header says that the kernel is at {begin} with {length} bytes, and the file has {size}"
    )]
    Bounds {
        /// First byte.
        begin: u64,
        /// Number of bytes.
        length: u64,
        /// Size of the file.
        size: usize,
    },
    /// None of the four formats.
    #[error(
        "the kernel in it is compressed in a way that is not known (it begins with {start:02x?}); gzip, xz, zstd and lz4 are"
    )]
    Format {
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// It cannot be unpacked.
    #[error("the kernel in it cannot be unpacked")]
    Unpack(#[source] UnpackError),
    /// What comes out is something else.
    #[error("what comes out of it is no kernel of x86-64: {0}")]
    Elf(&'static str),
}

/// The kernel in `file` as an ELF file that can be entered directly; `file` may be such a file itself.
///
/// # Errors
/// There is none in it.
pub fn elf(file: &[u8]) -> Result<Vec<u8>, KernelError> {
    let elf = if file.starts_with(ELF) {
        file.to_vec()
    } else {
        unpack(payload(file)?)?
    };
    check(&elf)?;
    Ok(elf)
}

/// The compressed kernel in a bzImage.
fn payload(file: &[u8]) -> Result<&[u8], KernelError> {
    if file.get(SIGNATURE..SIGNATURE + 4) != Some(b"HdrS") {
        return Err(KernelError::Kind);
    }
    let found = number(file, VERSION).to_le_bytes();
    let found = u16::from_le_bytes([found[0], found[1]]);
    if found < FIRST_VERSION {
        return Err(KernelError::Version { found });
    }
    let sectors = match file.get(SETUP_SECTORS) {
        None | Some(0) => 4,
        Some(sectors) => usize::from(*sectors),
    };
    let begin = ((sectors + 1) * SECTOR) as u64 + u64::from(number(file, PAYLOAD));
    let length = u64::from(number(file, PAYLOAD + 4));
    let bytes = usize::try_from(begin)
        .ok()
        .zip(usize::try_from(length).ok());
    let found = bytes.and_then(|(begin, length)| file.get(begin..begin.checked_add(length)?));
    found.ok_or(KernelError::Bounds {
        begin,
        length,
        size: file.len(),
    })
}

/// The number at `offset`, or 0.
fn number(file: &[u8], offset: usize) -> u32 {
    let bytes = file.get(offset..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn unpack(payload: &[u8]) -> Result<Vec<u8>, KernelError> {
    if payload.starts_with(ELF) {
        return Ok(payload.to_vec());
    }
    let format = Format::of(payload).ok_or_else(|| KernelError::Format {
        start: payload.iter().take(4).copied().collect(),
    })?;
    // Behind the compressed data is its size, in four bytes: only gzip has that as a part of its own.
    let data = match format {
        Format::Gzip => payload,
        _ => payload
            .split_last_chunk::<4>()
            .map_or(payload, |(data, _)| data),
    };
    let declared = payload
        .split_last_chunk::<4>()
        .map_or(0, |(_, size)| u32::from_le_bytes(*size));
    let limit = u64::from(declared).min(MAX_ELF);
    format.unpack(data, limit).map_err(KernelError::Unpack)
}

/// Fails unless `elf` is a kernel that can be entered directly.
fn check(elf: &[u8]) -> Result<(), KernelError> {
    let header = FileHeader64::<LittleEndian>::parse(elf);
    let header = header.map_err(|_| KernelError::Elf("it has no ELF header of 64 bits"))?;
    if header.e_machine(LittleEndian) != EM_X86_64 {
        return Err(KernelError::Elf("it is for another machine"));
    }
    let segments = header.program_headers(LittleEndian, elf);
    let segments = segments.map_err(|_| KernelError::Elf("its segments lie outside of it"))?;
    let notes = segments
        .iter()
        .filter_map(|segment| segment.notes(LittleEndian, elf).ok().flatten())
        .flatten()
        .filter_map(Result::ok);
    let mut entries =
        notes.filter(|note| note.name() == b"Xen" && note.n_type(LittleEndian).0 == ENTRY_NOTE);
    match entries.next() {
        Some(_) => Ok(()),
        None => Err(KernelError::Elf(
            "it has no entry for PVH (it was made without CONFIG_PVH)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header that names `length` bytes at `offset` behind one sector.
    fn image(offset: u32, length: u32, payload: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 2 * SECTOR];
        file[SETUP_SECTORS] = 1;
        file[SIGNATURE..SIGNATURE + 4].copy_from_slice(b"HdrS");
        file[VERSION..VERSION + 2].copy_from_slice(&0x20f_u16.to_le_bytes());
        file[PAYLOAD..PAYLOAD + 4].copy_from_slice(&offset.to_le_bytes());
        file[PAYLOAD + 4..PAYLOAD + 8].copy_from_slice(&length.to_le_bytes());
        file.extend_from_slice(payload);
        file
    }

    #[test]
    fn the_payload_is_where_the_header_says() {
        assert_eq!(payload(&image(2, 3, b"..abc.")).unwrap(), b"abc");
        for (offset, length) in [(2, 5), (7, 0), (u32::MAX, u32::MAX)] {
            let refused = payload(&image(offset, length, b"..abc.")).unwrap_err();
            assert!(matches!(refused, KernelError::Bounds { .. }), "{refused}");
        }
        let mut old = image(0, 1, b"x");
        old[VERSION] = 7;
        old[VERSION + 1] = 2;
        assert!(matches!(
            payload(&old),
            Err(KernelError::Version { found: 0x207 })
        ));
    }

    #[test]
    fn what_is_no_kernel_is_said() {
        assert!(matches!(elf(b""), Err(KernelError::Kind)));
        assert!(matches!(elf(b"\x7fELF"), Err(KernelError::Elf(_))));
        let refused = elf(&image(0, 4, b"\x89LZO")).unwrap_err();
        assert!(refused.to_string().contains("89"), "{refused}");
        let this = std::fs::read("/proc/self/exe").unwrap();
        let refused = elf(&this).unwrap_err();
        assert!(refused.to_string().contains("PVH"), "{refused}");
    }

    /// Small ELF files with the entry, packed in each way, which the fuzzer begins with too.
    #[test]
    fn each_format_is_unpacked() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/guest_files");
        let read = |name| std::fs::read(format!("{folder}/{name}")).unwrap();
        let expected = read("elf");
        for name in ["elf", "gzip", "xz", "lz4", "zstd"] {
            assert!(elf(&read(name)).unwrap() == expected, "{name}");
        }
        let mut short = read("gzip");
        short.truncate(short.len() - 9);
        assert!(matches!(elf(&short), Err(KernelError::Bounds { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..3000), header: bool) {
            if header && bytes.len() > SIGNATURE + 8 {
                bytes[SIGNATURE..SIGNATURE + 4].copy_from_slice(b"HdrS");
            }
            prop_assert!(elf(&bytes).is_err());
            bytes.splice(0..0, *b"\x7fELF\x02\x01\x01");
            prop_assert!(elf(&bytes).is_err());
        }
    }
}
