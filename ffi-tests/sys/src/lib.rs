//! The C ABI, declared as bindgen reads `lgalloc.h`, and the C library itself, which the build script compiles.
//!
//! What every function promises is written in the header. The crate `lgalloc-c` is the safe side of these.
//!
//! ```
//! // SAFETY: takes and changes nothing.
//! assert_eq!(unsafe { lgalloc_sys::lgalloc_version() }, lgalloc_sys::LGALLOC_VERSION);
//! ```
//!
//! A build script of a crate that depends on this one, and compiles C, finds the header below
//! `DEP_LGALLOC_INCLUDE`, and where the library was compiled here, `include` and `lib` below `DEP_LGALLOC_ROOT`.

// C names and bindgen's style, kept as they are generated.
#![allow(non_camel_case_types, missing_docs)]
#![allow(clippy::all)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("lgalloc is for Linux on 64-bit machines");

include!("bindings.rs");
