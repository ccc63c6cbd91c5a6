//! Version 0.1.6 of the Rust crate `lgalloc`, on the C library of that name: what it has is in
//! [`lgalloc_c::v0_1`].

pub use lgalloc_c::v0_1::*;
