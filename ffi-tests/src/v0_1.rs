//! The names of version 0.1 of the crate, and no others: what [the root](crate) has of them, for the crate in
//! `shims/0.1`.
//!
//! ```
//! use lgalloc_c::v0_1 as lgalloc;
//!
//! lgalloc::lgalloc_set_config(lgalloc::LgAlloc::new().enable().with_path(std::env::temp_dir()));
//! let mut region = lgalloc::Region::new_mmap(2 << 20)?;
//! region.extend_from_slice(&[1, 2, 3, 4]);
//! # Ok::<(), lgalloc::AllocError>(())
//! ```

pub use crate::{
    lgalloc_set_config, lgalloc_stats, AllocError, BackgroundWorkerConfig, LgAlloc, LgAllocStats, MMapRegion,
    Region, SizeClassStats, VALID_SIZE_CLASS,
};
