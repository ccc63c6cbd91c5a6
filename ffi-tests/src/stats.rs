//! Statistics: as version 0.1.6 has them, and all that the C library counts.
//!
//! ```
//! use lgalloc_c::stats;
//!
//! let global = stats::global();
//! assert_eq!(global.in_use_bytes, 0);
//! for class in stats::size_classes() {
//!     assert_eq!(class.free_regions, class.thread_regions + class.global_regions + class.clean_regions);
//! }
//! ```

use std::io;
use std::os::raw::{c_char, c_void};

use crate::error::status_text;
use crate::sys;

const CLASSES: usize = sys::LGALLOC_SIZE_CLASS_COUNT as usize;

/// A struct with the fields of one of the C library's, and all of them: what that has more is an error here.
macro_rules! plain_copy {
    (
        $(#[$doc:meta])* $name:ident of $raw:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }
        $(without $reserved:ident)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl From<&sys::$raw> for $name {
            fn from(raw: &sys::$raw) -> Self {
                let sys::$raw { $($field,)* $($reserved: _,)? } = *raw;
                $name { $($field,)* }
            }
        }
    };
}

plain_copy! {
    /// Everything that is counted per size class. Later versions may count more.
    ///
    /// ```
    /// use lgalloc_c::stats::{size_classes, SizeClassCounters};
    ///
    /// let classes: [SizeClassCounters; 21] = size_classes();
    /// let in_use: usize = classes.iter().map(|class| class.in_use_regions * class.size_class).sum();
    /// assert_eq!(in_use, 0);
    /// ```
    SizeClassCounters of lgalloc_size_class_stats {
        /// Bytes per region.
        size_class: usize,
        /// Areas that are mapped.
        areas: usize,
        /// Their bytes.
        area_total_bytes: usize,
        /// Free regions: of threads, global and clean.
        free_regions: usize,
        /// Free regions in the shared pool that hold no memory.
        clean_regions: usize,
        /// Free regions in the shared pool that may hold memory.
        global_regions: usize,
        /// Free regions in the caches of threads.
        thread_regions: usize,
        /// Regions in use.
        in_use_regions: usize,
        /// Regions handed out.
        allocations: u64,
        /// Allocations that found no free region.
        slow_path: u64,
        /// Attempts to map another area.
        refill: u64,
        /// Regions freed.
        deallocations: u64,
        /// Regions cleared when they left a thread's cache.
        clear_eager_total: u64,
        /// Regions cleared by the worker or a purge.
        clear_slow_total: u64,
        /// Times that a thread took regions from another's cache.
        steals: u64,
        /// Areas given back.
        areas_released: u64,
    }
    without reserved
}

plain_copy! {
    /// What is counted of the allocator as a whole. Later versions may count more.
    ///
    /// ```
    /// use lgalloc_c::stats::{global, GlobalStats};
    ///
    /// let GlobalStats { in_use_bytes, dirty_bytes, .. } = global();
    /// println!("{} bytes in use, {} free and holding memory", in_use_bytes, dirty_bytes);
    /// ```
    GlobalStats of lgalloc_global_stats {
        /// Bytes of the regions in use, but for evicted ones.
        in_use_bytes: usize,
        /// Bytes of the free regions that may hold memory, those in thread caches included.
        dirty_bytes: usize,
        /// Bytes of the free regions that hold none.
        clean_bytes: usize,
        /// Bytes of all areas.
        area_bytes: usize,
        /// Bytes of address space that are reserved.
        reserved_address_bytes: usize,
        /// Bytes that the library keeps for itself.
        metadata_bytes: usize,
        /// The limit that is in force; 0: none.
        limit_bytes: usize,
        /// Clears that the system refused.
        clear_failures: u64,
        /// Advice that the system refused.
        advise_failures: u64,
        /// Allocations that the limit refused.
        limit_failures: u64,
        /// Regions that came from the heap since there was no mapped memory.
        heap_fallbacks: u64,
        /// Bytes of the sealed regions in memory, a part of those in use.
        sealed_bytes: usize,
        /// Bytes of the sealed regions that are evicted.
        evicted_bytes: usize,
        /// Bytes of the disk blocks of spill files.
        spill_file_bytes: usize,
        /// Regions evicted.
        evictions: u64,
        /// Evicted regions loaded.
        loads: u64,
        /// Regions that could not be evicted, or not be loaded.
        spill_failures: u64,
    }
    without reserved
}

plain_copy! {
    /// What the file system holds for a size class. Later versions may tell more.
    ///
    /// ```
    /// use lgalloc_c::stats::{files, FileStats};
    ///
    /// let on_disk: usize = files()?.iter().map(|file: &FileStats| file.allocated_size).sum();
    /// assert_eq!(on_disk, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    FileStats of lgalloc_file_stats {
        /// Bytes per region.
        size_class: usize,
        /// Bytes of the files.
        file_size: usize,
        /// Bytes of their disk blocks.
        allocated_size: usize,
    }
}

plain_copy! {
    /// What the kernel holds in memory for a size class. Later versions may tell more.
    ///
    /// ```
    /// use lgalloc_c::stats::{maps, MapStats};
    ///
    /// let resident: usize = maps()?.iter().map(|map: &MapStats| map.mapped.max(map.dirty)).sum();
    /// assert_eq!(resident, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    MapStats of lgalloc_map_stats {
        /// Bytes per region.
        size_class: usize,
        /// Bytes that are mapped and resident.
        mapped: usize,
        /// Bytes on the kernel's list of what was used lately.
        active: usize,
        /// Bytes that were written.
        dirty: usize,
    }
}

/// Statistics of the size classes that were ever used.
///
/// ```
/// let mut stats = lgalloc_c::LgAllocStats::default();
/// lgalloc_c::lgalloc_stats(&mut stats);
/// assert!(stats.size_class.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct LgAllocStats {
    /// One element per size class, smallest first.
    pub size_class: Vec<SizeClassStats>,
}

/// Statistics of one size class.
///
/// ```
/// fn in_use(class: &lgalloc_c::SizeClassStats) -> u64 {
///     class.allocations - class.deallocations
/// }
/// let mut stats = lgalloc_c::LgAllocStats::default();
/// lgalloc_c::lgalloc_stats(&mut stats);
/// assert_eq!(stats.size_class.iter().map(in_use).sum::<u64>(), 0);
/// ```
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
///
/// ```
/// use lgalloc_c::{lgalloc_set_config, lgalloc_stats, LgAlloc, LgAllocStats, Region};
///
/// lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));
/// drop(Region::<u8>::new_mmap(2 << 20)?);
/// let mut stats = LgAllocStats::default();
/// lgalloc_stats(&mut stats);
/// assert_eq!(stats.size_class[0].deallocations, 1);
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
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
///
/// ```
/// assert_eq!(lgalloc_c::stats::size_classes()[0].size_class, 64 << 10);
/// ```
#[must_use]
pub fn size_classes() -> [SizeClassCounters; CLASSES] {
    let mut raw = [sys::lgalloc_size_class_stats::default(); CLASSES];
    // SAFETY: the array has as many elements as are said.
    unsafe { sys::lgalloc_stats(raw.as_mut_ptr(), raw.len()) };
    let mut classes = [SizeClassCounters::default(); CLASSES];
    for (class, raw) in classes.iter_mut().zip(&raw) {
        *class = raw.into();
    }
    classes
}

/// Statistics of the allocator as a whole. Makes no system call and takes no lock.
///
/// ```
/// assert_eq!(lgalloc_c::stats::global().in_use_bytes, 0);
/// ```
#[must_use]
pub fn global() -> GlobalStats {
    let mut raw = sys::lgalloc_global_stats::default();
    // SAFETY: the pointer is valid.
    unsafe { sys::lgalloc_stats_global(&mut raw) };
    (&raw).into()
}

/// What the file system holds, for every size class that has areas backed by files. Slow: asks the file
/// system.
///
/// ```
/// for file in lgalloc_c::stats::files()? {
///     println!("{}: {} of {} bytes on disk", file.size_class, file.allocated_size, file.file_size);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
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
/// ```
/// for map in lgalloc_c::stats::maps()? {
///     println!("{}: {} bytes in memory", map.size_class, map.mapped);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What the kernel answers.
pub fn maps() -> io::Result<Vec<MapStats>> {
    collect(sys::lgalloc_stats_maps)
}

/// How [`print()`] writes.
///
/// ```
/// use lgalloc_c::stats::{print, Format};
///
/// assert!(print(Format::Json).starts_with('{'));
/// ```
#[derive(Debug, Clone, Copy, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Tables that people read.
    Text,
    /// One JSON object.
    Json,
    /// Prometheus' text format.
    Prometheus,
}

/// Everything there is to know: the version, all statistics, the options in force, and what the system says
/// of the regions. The C header says what the names mean. Slow: asks the system.
///
/// ```
/// use lgalloc_c::stats::{print, Format};
///
/// assert!(print(Format::Prometheus).contains("# TYPE lgalloc_in_use_bytes gauge"));
/// ```
#[must_use]
pub fn print(format: Format) -> String {
    extern "C" fn take(context: *mut c_void, text: *const c_char, len: usize) {
        // SAFETY: the context is the vector below, which nobody else uses meanwhile, and the text is that long.
        let (all, text) =
            unsafe { (&mut *context.cast::<Vec<u8>>(), std::slice::from_raw_parts(text.cast::<u8>(), len)) };
        all.extend_from_slice(text);
    }
    let format = match format {
        Format::Text => sys::LGALLOC_FORMAT_TEXT,
        Format::Json => sys::LGALLOC_FORMAT_JSON,
        Format::Prometheus => sys::LGALLOC_FORMAT_PROMETHEUS,
    };
    let mut all: Vec<u8> = Vec::new();
    let context: *mut Vec<u8> = &mut all;
    // SAFETY: the vector lives until the call returns. The arguments are ones that it takes.
    let status = unsafe { sys::lgalloc_stats_print(format, Some(take), context.cast()) };
    debug_assert_eq!(status, sys::LGALLOC_STATUS_OK);
    // The text has the configured directory's name as it is.
    String::from_utf8_lossy(&all).into_owned()
}

fn collect<R: Default + Clone, S: for<'a> From<&'a R>>(
    call: unsafe extern "C" fn(*mut R, usize, *mut usize) -> sys::lgalloc_status,
) -> io::Result<Vec<S>> {
    // There is at most one element per size class.
    let mut raw = vec![R::default(); CLASSES];
    let mut count = 0;
    // SAFETY: the array has as many elements as are said.
    match unsafe { call(raw.as_mut_ptr(), raw.len(), &mut count) } {
        sys::LGALLOC_STATUS_OK => Ok(raw[..count].iter().map(S::from).collect()),
        sys::LGALLOC_STATUS_IO => Err(io::Error::last_os_error()),
        other => Err(io::Error::new(io::ErrorKind::Other, status_text(other))),
    }
}
