//! The names of version 0.6 of the crate, as it has them: a program for it compiles with
//! `use lgalloc_c::v0_6 as lgalloc;`, or with the crate in `shims/0.6`.
//!
//! As there, regions are on files, and a path is needed. The smallest region is one of 64 KiB: what asks for
//! less gets that much.
//!
//! ```
//! use lgalloc_c::v0_6 as lgalloc;
//!
//! lgalloc::lgalloc_set_config(lgalloc::LgAlloc::new().enable().with_path(std::env::temp_dir()));
//! let (ptr, capacity, handle) = lgalloc::allocate::<u64>(1000)?;
//! // SAFETY: the memory is as long as said, until the handle is given back.
//! unsafe { ptr.as_ptr().add(capacity - 1).write(7) };
//! lgalloc::deallocate(handle);
//! # Ok::<(), lgalloc::AllocError>(())
//! ```

use std::io;
use std::mem::size_of;
use std::ops::Range;
use std::path::PathBuf;
use std::ptr::NonNull;

use crate::v0_7::size_class_stats;
use crate::{stats, sys, Backing, Options};

pub use crate::v0_7::{BackgroundWorkerConfig, SizeClassStats};
pub use crate::{deallocate, AllocError, Handle};

/// The size classes, as powers of two, from a page on. Below 64 KiB they share its regions.
///
/// ```
/// assert!(lgalloc_c::v0_6::VALID_SIZE_CLASS.contains(&12));
/// ```
pub const VALID_SIZE_CLASS: Range<usize> = 10..37;

/// What is to be configured; `None` leaves a setting as it is.
///
/// ```
/// use lgalloc_c::v0_6::{lgalloc_set_config, LgAlloc};
///
/// let path = Some("/tmp".into());
/// lgalloc_set_config(&LgAlloc { enabled: Some(true), path, ..Default::default() });
/// ```
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct LgAlloc {
    /// Whether memory is handed out. Off at first.
    pub enabled: Option<bool>,
    /// The directory of the files that back regions.
    pub path: Option<PathBuf>,
    /// The background worker.
    pub background_config: Option<BackgroundWorkerConfig>,
    /// Whether regions that leave a thread's cache are cleared at once.
    pub eager_return: Option<bool>,
    /// Files grow by a factor of `1 + 1 / (file_growth_dampener + 1)`.
    pub file_growth_dampener: Option<usize>,
    /// What a thread's cache may hold per size class, in bytes.
    pub local_buffer_bytes: Option<usize>,
}

impl LgAlloc {
    setters!(all "lgalloc_c::v0_6");
    setters!(path "lgalloc_c::v0_6");
    setters!(caches "lgalloc_c::v0_6");

    /// Files grow by a factor of `1 + 1 / (file_growth_dampener + 1)`.
    ///
    /// ```
    /// # use lgalloc_c::v0_6::LgAlloc;
    /// assert_eq!(LgAlloc::new().file_growth_dampener(1).file_growth_dampener, Some(1));
    /// ```
    pub fn file_growth_dampener(&mut self, file_growth_dampener: usize) -> &mut Self {
        self.file_growth_dampener = Some(file_growth_dampener);
        self
    }
}

impl From<&LgAlloc> for Options {
    fn from(config: &LgAlloc) -> Options {
        let mut options = config.common_options();
        options.eager_return = config.eager_return;
        options.local_buffer_bytes = config.local_buffer_bytes;
        options.path = config.path.clone();
        options.growth_dampener = config.file_growth_dampener;
        options
    }
}

/// Applies a configuration to the process. A path means files, unless [`Options`] chose a backing.
///
/// ```
/// use lgalloc_c::v0_6::{allocate, deallocate, lgalloc_set_config, LgAlloc};
///
/// lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));
/// deallocate(allocate::<u8>(2 << 20)?.2);
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
///
/// # Panics
///
/// Where it can't be applied; nothing is changed then. [`Options::apply`] returns an error instead.
pub fn lgalloc_set_config(config: &LgAlloc) {
    Options::from(config).apply_or_panic(config.path.as_ref().map(|_| Backing::File));
}

/// Allocates memory for at least `capacity` elements, and returns where it starts, how many elements fit, and
/// its owner. The contents are undefined. Zero elements and zero-sized ones take no memory.
///
/// ```
/// use lgalloc_c::v0_6::{allocate, deallocate, lgalloc_set_config, LgAlloc};
///
/// lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));
/// let (_ptr, capacity, handle) = allocate::<u8>(5000)?;
/// assert!(capacity >= 5000);
/// deallocate(handle);
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
///
/// # Errors
///
/// See [`AllocError`]; no memory is handed out.
pub fn allocate<T>(capacity: usize) -> Result<(NonNull<T>, usize, Handle), AllocError> {
    let fit_in_smallest = (1 << sys::LGALLOC_SIZE_CLASS_MIN_LOG2) / size_of::<T>().max(1);
    let capacity = if capacity == 0 { 0 } else { capacity.max(fit_in_smallest) };
    crate::allocate(capacity)
}

/// Statistics of all size classes, files, and mappings.
///
/// ```
/// use lgalloc_c::v0_6::{lgalloc_stats, LgAllocStats};
///
/// let stats: LgAllocStats = lgalloc_stats();
/// assert!(stats.map.is_none());
/// ```
#[derive(Debug)]
pub struct LgAllocStats {
    /// Bytes per region, and the size class's statistics; smallest first.
    pub size_class: Vec<(usize, SizeClassStats)>,
    /// Bytes per region, and what the file system holds for them, of every size class that has areas on files.
    /// If the file system can't be asked, the error stands beside every size class that has areas.
    pub file: Vec<(usize, io::Result<FileStats>)>,
    /// Bytes per region, and what the kernel holds for them; only with [`lgalloc_stats_with_mapping`].
    pub map: Option<Vec<(usize, MapStats)>>,
}

/// What the file system holds for a size class.
///
/// ```
/// use lgalloc_c::v0_6::{lgalloc_stats, FileStats};
///
/// fn sparse(file: &FileStats) -> usize {
///     file.file_size.saturating_sub(file.allocated_size)
/// }
/// let stats = lgalloc_stats();
/// let _bytes: usize = stats.file.iter().flat_map(|(_, file)| file).map(sparse).sum();
/// ```
#[derive(Debug)]
pub struct FileStats {
    /// Bytes of the files.
    pub file_size: usize,
    /// Bytes of their disk blocks.
    pub allocated_size: usize,
}

/// What the kernel holds in memory for a size class, in bytes.
///
/// ```
/// use lgalloc_c::v0_6::{lgalloc_stats_with_mapping, MapStats};
///
/// fn resident(map: &MapStats) -> usize {
///     map.mapped.max(map.dirty)
/// }
/// let stats = lgalloc_stats_with_mapping()?;
/// let _bytes: usize = stats.map.iter().flatten().map(|(_, map)| resident(map)).sum();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct MapStats {
    /// Bytes that are mapped and resident.
    pub mapped: usize,
    /// Bytes on the kernel's list of what was used lately.
    pub active: usize,
    /// Bytes that were written.
    pub dirty: usize,
}

/// The statistics of every size class, and of the files behind them, for which it asks the file system.
///
/// ```
/// assert_eq!(lgalloc_c::v0_6::lgalloc_stats().size_class[0].0, 64 << 10);
/// ```
#[must_use]
pub fn lgalloc_stats() -> LgAllocStats {
    let size_class = size_class_stats();
    let file = match stats::files() {
        Ok(files) => files
            .iter()
            .map(|f| {
                (f.size_class, Ok(FileStats { file_size: f.file_size, allocated_size: f.allocated_size }))
            })
            .collect(),
        Err(error) => size_class
            .iter()
            .filter(|(_, class)| class.areas > 0)
            .map(|(bytes, _)| {
                // An error can't be copied; its code can.
                let code = error.raw_os_error().map(io::Error::from_raw_os_error);
                (*bytes, Err(code.unwrap_or_else(|| error.kind().into())))
            })
            .collect(),
    };
    LgAllocStats { size_class, file, map: None }
}

/// As [`lgalloc_stats`], and what the kernel says of the mappings. Slow.
///
/// ```
/// assert!(lgalloc_c::v0_6::lgalloc_stats_with_mapping()?.map.is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What the kernel answers.
pub fn lgalloc_stats_with_mapping() -> io::Result<LgAllocStats> {
    let maps = stats::maps()?;
    let map = maps
        .iter()
        .map(|m| (m.size_class, MapStats { mapped: m.mapped, active: m.active, dirty: m.dirty }))
        .collect();
    Ok(LgAllocStats { map: Some(map), ..lgalloc_stats() })
}
