//! The cost of the C interface: making, finding and closing a handle.
#![expect(unsafe_code, reason = "the functions are declared here as C has them")]

use std::{ffi::c_void, ptr};

// Its functions are found by their names.
extern crate computecore as _;

use divan::{AllocProfiler, Bencher, black_box};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

// SAFETY: as `ComputeCore.h` declares them; these take any handle and any context, which they never follow.
unsafe extern "C" {
    safe fn HcsCreateOperation(context: *const c_void, callback: *const c_void) -> *mut c_void;
    safe fn HcsGetOperationType(operation: *mut c_void) -> i32;
    safe fn HcsCloseOperation(operation: *mut c_void);
}

fn main() {
    divan::main();
}

#[divan::bench]
fn create_and_close() {
    HcsCloseOperation(HcsCreateOperation(ptr::null(), ptr::null()));
}

/// One handle among a thousand others.
#[divan::bench]
fn look_up(bencher: Bencher<'_, '_>) {
    let create = || HcsCreateOperation(ptr::null(), ptr::null());
    let others: Vec<_> = (0..1000).map(|_| create()).collect();
    let handle = others[500];
    bencher.bench_local(|| HcsGetOperationType(black_box(handle)));
    others
        .into_iter()
        .for_each(|other| HcsCloseOperation(other));
}

#[divan::bench]
fn refuse_a_closed_one(bencher: Bencher<'_, '_>) {
    let handle = HcsCreateOperation(ptr::null(), ptr::null());
    HcsCloseOperation(handle);
    bencher.bench_local(|| HcsGetOperationType(black_box(handle)));
}
