//! The host compute service.

fn main() {}
