//! Version 0.7.0 of the Rust crate `lgalloc`, on the C library of that name: what it has is in
//! [`lgalloc_c::v0_7`].

pub use lgalloc_c::v0_7::*;
