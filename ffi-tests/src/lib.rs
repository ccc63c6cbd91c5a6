//! Large power-of-two memory regions: the C library `lgalloc`, with the names of the Rust crate
//! `lgalloc`.
//!
//! The root mirrors version 0.1.6 of the crate: a program that was written for it compiles after its
//! `use lgalloc::…` became `use lgalloc_c::…`. [`allocate`], [`deallocate`] and [`Handle`] are those of
//! the later versions. [`v0_1`], [`v0_6`] and [`v0_7`] have the names of one version each, and no others; the
//! crates in `shims` put them in the place of the original. What only the C library has is in
//! [`Options`], [`stats`], [`purge`], [`thread_flush`], [`allocate_zeroed`], and in further methods of
//! [`Region`] and [`Handle`]. [`sys`] has the bare declarations.
//!
//! ```
//! use lgalloc_c::{lgalloc_set_config, LgAlloc, Region};
//!
//! # fn main() -> Result<(), lgalloc_c::AllocError> {
//! lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));
//!
//! let mut region: Region<u64> = Region::new_mmap(1 << 18)?;
//! region.extend_from_slice(&[1, 2, 3, 4]);
//! assert_eq!(region.iter().sum::<u64>(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Where it differs from the crate
//!
//! - A region that is full panics, in every build and also on the heap. The crate asserts in debug
//!   builds, and re-allocates in release builds, which for mapped memory is undefined behaviour.
//! - A size that overflows is [`AllocError::InvalidSizeClass`], not a wrapped multiplication.
//! - Nothing is printed: [`Region::new_auto`] falls back to the heap in silence and
//!   [`stats::GlobalStats::heap_fallbacks`] counts it.
//! - Allocating and freeing work in destructors of thread-local values, where the crate panics.
//! - After `fork`, parent and child can both go on; the crate forbids it.
//!
//! The complete table, with statistics and configuration, is in the crate's `README.md`.

#![warn(missing_docs, unsafe_op_in_unsafe_fn)]

#[macro_use]
mod setters;

mod allocator;
mod config;
mod error;
mod handle;
mod options;
mod region;
pub mod stats;
pub mod v0_1;
pub mod v0_6;
pub mod v0_7;

/// The C functions themselves.
///
/// ```
/// // SAFETY: takes and changes nothing.
/// assert_eq!(unsafe { lgalloc_c::sys::lgalloc_version() }, lgalloc_c::sys::LGALLOC_VERSION);
/// ```
pub use lgalloc_sys as sys;

pub use allocator::Lgalloc;
pub use config::{lgalloc_set_config, BackgroundWorkerConfig, LgAlloc};
pub use error::{AllocError, HintError, PrefetchError};
pub use handle::{allocate, allocate_zeroed, deallocate, Handle};
pub use options::{Backing, Options};
pub use region::{MMapRegion, Pinned, Region, Sealed, SealedError, UnsealError};
pub use stats::{lgalloc_stats, LgAllocStats, SizeClassStats};

/// The latest version of the crate that there is: another name for [`v0_7`].
///
/// ```
/// use lgalloc_c::later as lgalloc;
///
/// lgalloc::lgalloc_set_config(lgalloc::LgAlloc::new().enable());
/// ```
pub use v0_7 as later;

use std::ops::Range;

/// The size classes, as powers of two: regions of 2^16 to 2^36 bytes.
///
/// ```
/// assert_eq!(lgalloc_c::VALID_SIZE_CLASS, 16..37);
/// ```
pub const VALID_SIZE_CLASS: Range<usize> =
    sys::LGALLOC_SIZE_CLASS_MIN_LOG2 as usize..sys::LGALLOC_SIZE_CLASS_MAX_LOG2 as usize + 1;

/// Clears every free region of the process, gives back the areas that hold no region in use, and returns
/// the bytes of the regions that were cleared: an upper bound on the memory given back, since what was
/// never written in a region held none. Safe while other threads allocate and free; slow.
///
/// ```
/// lgalloc_c::purge();
/// assert_eq!(lgalloc_c::stats::global().dirty_bytes, 0);
/// ```
pub fn purge() -> usize {
    // SAFETY: no arguments; touches free memory only.
    unsafe { sys::lgalloc_purge() }
}

/// Gives the calling thread's cache of free regions to the shared pools, for a thread that will be idle
/// for long.
///
/// ```
/// lgalloc_c::thread_flush();
/// std::thread::park_timeout(std::time::Duration::from_millis(1));
/// ```
pub fn thread_flush() {
    // SAFETY: no arguments; touches free memory only.
    unsafe { sys::lgalloc_thread_flush() }
}

/// The version of the C library that runs: major, minor, patch.
///
/// ```
/// let (major, minor, patch) = lgalloc_c::version();
/// println!("lgalloc {}.{}.{}", major, minor, patch);
/// ```
#[must_use]
pub fn version() -> (u32, u32, u32) {
    // SAFETY: returns a constant.
    let version = unsafe { sys::lgalloc_version() };
    (version >> 16, version >> 8 & 0xff, version & 0xff)
}
