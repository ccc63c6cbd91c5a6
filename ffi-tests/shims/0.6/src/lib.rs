//! Version 0.6.0 of the Rust crate `lgalloc`, on the C library of that name: what it has is in
//! [`lgalloc_c::v0_6`].

pub use lgalloc_c::v0_6::*;
