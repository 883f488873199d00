//! Names the shared library for the dynamic linker, and keeps it loaded: its threads must not lose their code.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcomputenetwork.so");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
