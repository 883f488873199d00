//! Kernels, modules and programs that a guest image is made of.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| guest_image::fuzzing::files(data));
