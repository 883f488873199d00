//! A guest of 124 bytes: a multiboot kernel that needs no files, no drivers and a tenth of a second.
//!
//! It writes its command line to COM1, then the text in its module (the initial RAM disk), then a line end. Then it
//! echoes what it reads there, and obeys some letters: `o` powers off, `r` resets, `p` says that it panicked, `t`
//! faults thrice.

use std::{fs, path::Path};

/// Where it is loaded.
const ADDRESS: u32 = 0x0010_0000;

/// `MULTIBOOT_HEADER_MAGIC`, and the flag that addresses follow.
const MAGIC: u32 = 0x1BAD_B002;
const WITH_ADDRESSES: u32 = 1 << 16;

#[rustfmt::skip]
const CODE: [u8; 124] = [
    0xbc, 0x00, 0x00, 0x20, 0x00,       // mov esp, 0x200000
    0xba, 0xf8, 0x03, 0x00, 0x00,       // mov edx, COM1
    0x8b, 0x73, 0x10,                   // mov esi, [ebx + 16]: the command line
    0xe8, 0x61, 0x00, 0x00, 0x00,       // call print
    0x83, 0x7b, 0x14, 0x00,             // cmp [ebx + 20], 0: the number of modules
    0x74, 0x0a,                         // je ready
    0x8b, 0x43, 0x18,                   // mov eax, [ebx + 24]: the list of modules
    0x8b, 0x30,                         // mov esi, [eax]: the first one
    0xe8, 0x51, 0x00, 0x00, 0x00,       // call print
    0xb0, 0x0a, 0xee,                   // ready: write a line end
    0xba, 0xfd, 0x03, 0x00, 0x00,       // again: mov edx, the port's status
    0xec, 0xa8, 0x01, 0x74, 0xf6,       // until there is a byte: again
    0xba, 0xf8, 0x03, 0x00, 0x00, 0xec, // read it
    0x3c, b'o', 0x74, 0x0f,             // je off
    0x3c, b'r', 0x74, 0x19,             // je reset
    0x3c, b'p', 0x74, 0x1f,             // je panic
    0x3c, b't', 0x74, 0x25,             // je triple
    0xee, 0xeb, 0xdd,                   // echo it; jmp again
    0xba, 0x04, 0x06, 0x00, 0x00,       // off: mov edx, the register for power
    0xb8, 0x00, 0x20, 0x00, 0x00, 0x66, 0xef, 0xeb, 0xcf,
    0xba, 0x64, 0x00, 0x00, 0x00,       // reset: mov edx, the keyboard's controller
    0xb0, 0xfe, 0xee, 0xeb, 0xc5,
    0xba, 0x05, 0x05, 0x00, 0x00,       // panic: mov edx, the port of pvpanic
    0xb0, 0x01, 0xee, 0xeb, 0xbb,
    0x6a, 0x00, 0x6a, 0x00,             // triple: a table of no interrupts
    0x0f, 0x01, 0x1c, 0x24, 0xcc,       // lidt, int3
    0xac, 0x84, 0xc0, 0x74, 0x03,       // print: lodsb, until it is 0
    0xee, 0xeb, 0xf8, 0xc3,
];

/// The kernel's file.
pub(crate) fn kernel() -> Vec<u8> {
    let size = 32 + u32::try_from(CODE.len()).unwrap();
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(WITH_ADDRESSES);
    let end = ADDRESS + size;
    let header = [
        MAGIC,
        WITH_ADDRESSES,
        checksum,
        ADDRESS,
        ADDRESS,
        end,
        end,
        ADDRESS + 32,
    ];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.extend(CODE);
    // QEMU reads a kernel's first 8 KB in any case.
    file.resize(9000, 0);
    file
}

/// Writes the kernel to `path`.
pub(crate) fn write(path: &Path) {
    fs::write(path, kernel()).unwrap();
}
