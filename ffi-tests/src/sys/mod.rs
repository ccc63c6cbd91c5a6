//! The C ABI, declared as bindgen reads `include/lgalloc.h`.
//!
//! What every function promises is written in the header. `tests/bindings.rs` compares this module
//! with what bindgen makes of the header today, `tests/layout.rs` with what the C compiler makes of it.

// C names and bindgen's style, kept as they are generated.
#![allow(non_camel_case_types, missing_docs)]
#![allow(clippy::all)]

include!("bindings.rs");
