//! One interface to every contestant: this library and three versions of the original crate.
//!
//! [`peer`] has what the differential tests need: allocations of any element type, errors by kind,
//! configuration, statistics. [`contestant`] has what the benches need: bytes, and nothing in the way.

pub mod contestant;
pub mod peer;
pub mod program;
pub mod random;
