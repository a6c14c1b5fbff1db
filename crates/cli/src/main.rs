//! The program; the library has everything.

fn main() {}
