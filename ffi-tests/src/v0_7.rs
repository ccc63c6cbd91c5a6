//! The names of version 0.7 of the crate, as it has them: a program for it compiles with
//! `use lgalloc_c::v0_7 as lgalloc;`, or with the crate in `shims/0.7`.
//!
//! As there, memory is anonymous: [`lgalloc_set_config`] says so, unless [`Options`] chose a
//! backing. Size classes start at 64 KiB, five smaller ones than there.
//!
//! ```
//! use lgalloc_c::v0_7 as lgalloc;
//!
//! lgalloc::lgalloc_set_config(lgalloc::LgAlloc::new().enable());
//! let (ptr, capacity, handle) = lgalloc::allocate::<u64>(1 << 18)?;
//! // SAFETY: the memory is as long as said, until the handle is given back.
//! unsafe { ptr.as_ptr().add(capacity - 1).write(7) };
//! lgalloc::deallocate(handle);
//! # Ok::<(), lgalloc::AllocError>(())
//! ```

use std::time::Duration;

use crate::stats::size_classes;
use crate::{Backing, Options};

pub use crate::{allocate, deallocate, AllocError, Handle, PrefetchError, VALID_SIZE_CLASS};

/// How the background worker cleans.
///
/// ```
/// use lgalloc_c::v0_7::{BackgroundWorkerConfig, LgAlloc};
/// use std::time::Duration;
///
/// let worker = BackgroundWorkerConfig { interval: Duration::from_secs(1), clear_bytes: 64 << 20 };
/// let mut config = LgAlloc::new();
/// config.with_background_config(worker);
/// ```
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct BackgroundWorkerConfig {
    /// Time between ticks; zero stops the worker.
    pub interval: Duration,
    /// Bytes cleared at most per tick and size class, but one region at least; zero sets no bound.
    pub clear_bytes: usize,
}

impl BackgroundWorkerConfig {
    pub(crate) fn bounds(&self) -> (Duration, usize, usize) {
        (self.interval, 0, self.clear_bytes)
    }
}

/// What is to be configured; `None` leaves a setting as it is.
///
/// ```
/// use lgalloc_c::v0_7::{lgalloc_set_config, LgAlloc};
///
/// lgalloc_set_config(&LgAlloc { enabled: Some(true), ..Default::default() });
/// ```
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct LgAlloc {
    /// Whether memory is handed out. Off at first.
    pub enabled: Option<bool>,
    /// The background worker.
    pub background_config: Option<BackgroundWorkerConfig>,
    /// Whether regions that leave a thread's cache are cleared at once.
    pub eager_return: Option<bool>,
    /// Areas grow by a factor of `1 + 1 / (growth_dampener + 1)`.
    pub growth_dampener: Option<usize>,
    /// What a thread's cache may hold per size class, in bytes.
    pub local_buffer_bytes: Option<usize>,
}

impl LgAlloc {
    setters!(all "lgalloc_c::v0_7");
    setters!(caches "lgalloc_c::v0_7");

    /// Areas grow by a factor of `1 + 1 / (growth_dampener + 1)`.
    ///
    /// ```
    /// # use lgalloc_c::v0_7::LgAlloc;
    /// assert_eq!(LgAlloc::new().growth_dampener(1).growth_dampener, Some(1));
    /// ```
    pub fn growth_dampener(&mut self, growth_dampener: usize) -> &mut Self {
        self.growth_dampener = Some(growth_dampener);
        self
    }
}

impl From<&LgAlloc> for Options {
    fn from(config: &LgAlloc) -> Options {
        let mut options = config.common_options();
        options.eager_return = config.eager_return;
        options.local_buffer_bytes = config.local_buffer_bytes;
        options.growth_dampener = config.growth_dampener;
        options
    }
}

/// Applies a configuration to the process, with anonymous memory unless [`Options`] chose a backing.
///
/// ```
/// use lgalloc_c::v0_7::{allocate, deallocate, lgalloc_set_config, LgAlloc};
///
/// lgalloc_set_config(LgAlloc::new().enable());
/// deallocate(allocate::<u8>(2 << 20)?.2);
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
///
/// # Panics
///
/// Where it can't be applied; nothing is changed then. [`Options::apply`] returns an error instead.
pub fn lgalloc_set_config(config: &LgAlloc) {
    Options::from(config).apply_or_panic(Some(Backing::Anonymous));
}

/// Statistics of all size classes.
///
/// ```
/// use lgalloc_c::v0_7::{lgalloc_stats, LgAllocStats};
///
/// let stats: LgAllocStats = lgalloc_stats();
/// assert!(stats.size_class.iter().all(|(bytes, _)| bytes.is_power_of_two()));
/// ```
#[derive(Debug)]
pub struct LgAllocStats {
    /// Bytes per region, and the size class's statistics; smallest first.
    pub size_class: Vec<(usize, SizeClassStats)>,
}

/// Statistics of one size class, as versions 0.6 and 0.7 count them.
///
/// ```
/// use lgalloc_c::v0_7::{lgalloc_stats, SizeClassStats};
///
/// fn in_use(class: &SizeClassStats) -> u64 {
///     class.allocations - class.deallocations
/// }
/// assert!(lgalloc_stats().size_class.iter().all(|(_, class)| in_use(class) < 1 << 40));
/// ```
#[derive(Debug)]
pub struct SizeClassStats {
    /// Areas that are mapped.
    pub areas: usize,
    /// Their bytes.
    pub area_total_bytes: usize,
    /// Free regions: of threads, global and clean.
    pub free_regions: usize,
    /// Free regions in the shared pool that hold no memory.
    pub clean_regions: usize,
    /// Free regions in the shared pool that may hold memory.
    pub global_regions: usize,
    /// Free regions in the caches of threads.
    pub thread_regions: usize,
    /// Regions handed out.
    pub allocations: u64,
    /// Allocations that found no free region.
    pub slow_path: u64,
    /// Attempts to map another area.
    pub refill: u64,
    /// Regions freed.
    pub deallocations: u64,
    /// Regions cleared when they left a thread's cache.
    pub clear_eager_total: u64,
    /// Regions cleared by the worker or a purge.
    pub clear_slow_total: u64,
}

/// Every size class, with its bytes.
pub(crate) fn size_class_stats() -> Vec<(usize, SizeClassStats)> {
    let stats = |class: &crate::stats::SizeClassCounters| SizeClassStats {
        areas: class.areas,
        area_total_bytes: class.area_total_bytes,
        free_regions: class.free_regions,
        clean_regions: class.clean_regions,
        global_regions: class.global_regions,
        thread_regions: class.thread_regions,
        allocations: class.allocations,
        slow_path: class.slow_path,
        refill: class.refill,
        deallocations: class.deallocations,
        clear_eager_total: class.clear_eager_total,
        clear_slow_total: class.clear_slow_total,
    };
    size_classes().iter().map(|class| (class.size_class, stats(class))).collect()
}

/// The statistics of every size class. Makes no system call and takes no lock.
///
/// ```
/// assert_eq!(lgalloc_c::v0_7::lgalloc_stats().size_class[0].0, 64 << 10);
/// ```
#[must_use]
pub fn lgalloc_stats() -> LgAllocStats {
    LgAllocStats { size_class: size_class_stats() }
}
