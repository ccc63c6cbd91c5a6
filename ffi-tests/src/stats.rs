//! Statistics: as version 0.1.6 has them, and all that the C library counts.

use std::io;

use crate::error::status_text;
use crate::sys;

/// Everything that is counted per size class.
pub use crate::sys::lgalloc_size_class_stats as SizeClassCounters;

/// What is counted of the allocator as a whole.
pub use crate::sys::lgalloc_global_stats as GlobalStats;

/// What the file system holds for a size class.
pub use crate::sys::lgalloc_file_stats as FileStats;

/// What the kernel holds in memory for a size class.
pub use crate::sys::lgalloc_map_stats as MapStats;

/// Statistics of the size classes that were ever used.
#[derive(Debug, Default)]
pub struct LgAllocStats {
    /// One element per size class, smallest first.
    pub size_class: Vec<SizeClassStats>,
}

/// Statistics of one size class.
#[derive(Debug)]
pub struct SizeClassStats {
    /// Bytes per region.
    pub size_class: usize,
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
}

/// Fills in the statistics of every size class that was ever used. Makes no system call and takes no lock.
pub fn lgalloc_stats(stats: &mut LgAllocStats) {
    stats.size_class.clear();
    stats.size_class.extend(
        size_classes().iter().filter(|class| class.areas > 0 || class.allocations > 0).map(|class| {
            SizeClassStats {
                size_class: class.size_class,
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
            }
        }),
    );
}

/// All counters of all size classes, smallest first. Makes no system call and takes no lock.
#[must_use]
pub fn size_classes() -> [SizeClassCounters; sys::LGALLOC_SIZE_CLASS_COUNT as usize] {
    let mut classes = [SizeClassCounters::default(); sys::LGALLOC_SIZE_CLASS_COUNT as usize];
    // SAFETY: the array has as many elements as are said.
    unsafe { sys::lgalloc_stats(classes.as_mut_ptr(), classes.len()) };
    classes
}

/// Statistics of the allocator as a whole. Makes no system call and takes no lock.
#[must_use]
pub fn global() -> GlobalStats {
    let mut stats = GlobalStats::default();
    // SAFETY: the pointer is valid.
    unsafe { sys::lgalloc_stats_global(&mut stats) };
    stats
}

/// What the file system holds, for every size class that has areas backed by files. Slow: asks the file
/// system.
///
/// # Errors
///
/// What the file system answers.
pub fn files() -> io::Result<Vec<FileStats>> {
    collect(sys::lgalloc_stats_files)
}

/// What the kernel holds in memory, for every size class that has areas. Slow: reads what the kernel says of
/// all mappings.
///
/// # Errors
///
/// What the kernel answers.
pub fn maps() -> io::Result<Vec<MapStats>> {
    collect(sys::lgalloc_stats_maps)
}

fn collect<S: Default + Clone>(
    call: unsafe extern "C" fn(*mut S, usize, *mut usize) -> sys::lgalloc_status,
) -> io::Result<Vec<S>> {
    // There is at most one element per size class.
    let mut stats = vec![S::default(); sys::LGALLOC_SIZE_CLASS_COUNT as usize];
    let mut count = 0;
    // SAFETY: the array has as many elements as are said.
    match unsafe { call(stats.as_mut_ptr(), stats.len(), &mut count) } {
        sys::LGALLOC_STATUS_OK => {
            stats.truncate(count);
            Ok(stats)
        }
        sys::LGALLOC_STATUS_IO => Err(io::Error::last_os_error()),
        other => Err(io::Error::new(io::ErrorKind::Other, status_text(other))),
    }
}
