//! Guest images: what a virtual machine boots when its document names no kernel.
//!
//! ```text
//!   vmlinuz ──kernel──▶ ELF that is entered directly ─┐
//!   *.ko ────modules──▶ those needed, in order ─┐     ├─▶ store: kernel, initrd
//!   hcs-guest ─program─▶ with its libraries ────┴cpio─┘
//! ```
//!
//! 1. [`find`]: a kernel of this host, and the directory of its modules.
//! 2. [`kernel`]: the ELF file inside of a compressed kernel. [`unpack`]: the four formats.
//! 3. [`modules`]: which modules are needed, in which order.
//! 4. [`program`]: the libraries that a program needs. [`tree`]: files of a directory. [`tools`]: programs where there
//!    is no such directory. [`cpio`]: the initial ramdisk.
//! 5. [`store`]: where images are kept. [`build`]: making one.
//!
//! A kernel and its modules come from a package of the distribution, and are half trusted: sizes are bounded, and bytes
//! that are not as expected are an error. The same parts make the same bytes.

mod beneath;
pub mod build;
pub mod cpio;
pub mod find;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod kernel;
pub mod modules;
pub mod program;
pub mod store;
pub mod tools;
pub mod tree;
pub mod unpack;
