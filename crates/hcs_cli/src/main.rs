//! The hcs command line.

fn main() {}
