//! What the differential tests see of an allocator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What an allocation came to, if not to memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A system call failed.
    Io(std::io::ErrorKind),
    /// No region left.
    OutOfMemory,
    /// No size class of this power of two.
    InvalidSizeClass(usize),
    /// Switched off.
    Disabled,
    /// Alignment.
    UnalignedMemory,
}

/// An allocation, whatever its element type.
pub trait Block: Send {
    /// Elements that fit.
    fn capacity(&self) -> usize;
    /// Its memory.
    fn bytes(&mut self) -> &mut [u8];
    /// Whether it is in mapped memory, where the interface tells.
    fn is_mapped(&self) -> Option<bool>;
    /// Frees it.
    fn free(self: Box<Self>);
}

/// Element types that programs allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// `u8`
    Byte,
    /// `u64`
    Word,
    /// `i128`
    Wide,
    /// `[u8; 3]`, of which a region holds no whole number
    Three,
    /// `[u64; 100]`
    Hundred,
    /// `()`
    Unit,
}

impl Element {
    /// All of them.
    pub const ALL: [Element; 6] =
        [Element::Byte, Element::Word, Element::Wide, Element::Three, Element::Hundred, Element::Unit];

    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Element::Byte => 1,
            Element::Word => 8,
            Element::Wide => 16,
            Element::Three => 3,
            Element::Hundred => 800,
            Element::Unit => 0,
        }
    }
}

/// What is to be configured; what is `None` stays as it is, or is not known to the version.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// On or off.
    pub enabled: Option<bool>,
    /// Directory of the files.
    pub path: Option<PathBuf>,
    /// Ticks, and how much per tick: regions in 0.1.6, bytes later.
    pub background: Option<(Duration, usize, usize)>,
    /// Clear what leaves a thread's cache.
    pub eager_return: Option<bool>,
    /// Growth of areas.
    pub growth_dampener: Option<usize>,
    /// Bytes that a thread's cache may hold per size class.
    pub local_buffer_bytes: Option<usize>,
}

/// The counters that every version has, or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stats {
    pub areas: usize,
    pub area_total_bytes: usize,
    pub free_regions: usize,
    pub clean_regions: usize,
    pub global_regions: usize,
    pub thread_regions: usize,
    pub allocations: u64,
    pub slow_path: u64,
    pub refill: u64,
    pub deallocations: u64,
    pub clear_eager_total: u64,
    pub clear_slow_total: u64,
}

/// An allocator.
pub trait Peer: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;
    /// Allocates memory for so many elements.
    fn allocate(&self, element: Element, capacity: usize) -> Result<Box<dyn Block>, Failure>;
    /// Allocates where the version thinks best; `None` where it has no such function.
    fn auto(&self, element: Element, capacity: usize) -> Option<Box<dyn Block>>;
    /// Applies a configuration.
    fn configure(&self, config: &Config);
    /// Statistics of the size classes that have areas.
    fn stats(&self) -> BTreeMap<usize, Stats>;
    /// The size classes it has, as powers of two.
    fn size_classes(&self) -> std::ops::Range<usize>;
}

/// Calls a function of one type parameter with the type that `$element` stands for.
macro_rules! for_element {
    ($element:expr, $call:ident($($argument:expr),*)) => {
        match $element {
            Element::Byte => $call::<u8>($($argument),*),
            Element::Word => $call::<u64>($($argument),*),
            Element::Wide => $call::<i128>($($argument),*),
            Element::Three => $call::<[u8; 3]>($($argument),*),
            Element::Hundred => $call::<[u64; 100]>($($argument),*),
            Element::Unit => $call::<()>($($argument),*),
        }
    };
}

macro_rules! failure {
    ($crate_name:ident, $error:expr) => {
        match $error {
            $crate_name::AllocError::Io(error) => Failure::Io(error.kind()),
            $crate_name::AllocError::OutOfMemory => Failure::OutOfMemory,
            $crate_name::AllocError::InvalidSizeClass(class) => Failure::InvalidSizeClass(class),
            $crate_name::AllocError::Disabled => Failure::Disabled,
            $crate_name::AllocError::UnalignedMemory => Failure::UnalignedMemory,
        }
    };
}

/// A peer with the interface of 0.1.6: regions.
macro_rules! region_peer {
    ($module:ident, $krate:ident, $name:literal) => {
        /// Regions, as 0.1.6 has them.
        pub mod $module {
            use super::*;
            use $krate::{LgAlloc, LgAllocStats, Region};

            /// The allocator.
            pub struct Allocator;

            struct Owned<T>(Region<T>);

            impl<T: Send> Block for Owned<T> {
                fn capacity(&self) -> usize {
                    self.0.capacity()
                }

                fn bytes(&mut self) -> &mut [u8] {
                    let vec = self.0.as_vec();
                    if std::mem::size_of::<T>() == 0 {
                        return &mut [];
                    }
                    // SAFETY: the region's whole capacity is its own; the elements are plain bytes.
                    unsafe {
                        let len = vec.capacity() * std::mem::size_of::<T>();
                        std::slice::from_raw_parts_mut(vec.as_ptr() as *mut u8, len)
                    }
                }

                fn is_mapped(&self) -> Option<bool> {
                    Some(matches!(self.0, Region::MMap(_)))
                }

                fn free(self: Box<Self>) {}
            }

            fn mmap<T: Send + 'static>(capacity: usize) -> Result<Box<dyn Block>, Failure> {
                match Region::<T>::new_mmap(capacity) {
                    Ok(region) => Ok(Box::new(Owned(region))),
                    Err(error) => Err(failure!($krate, error)),
                }
            }

            fn auto<T: Send + 'static>(capacity: usize) -> Option<Box<dyn Block>> {
                Some(Box::new(Owned(Region::<T>::new_auto(capacity))))
            }

            impl Peer for Allocator {
                fn name(&self) -> &'static str {
                    $name
                }

                fn allocate(&self, element: Element, capacity: usize) -> Result<Box<dyn Block>, Failure> {
                    for_element!(element, mmap(capacity))
                }

                fn auto(&self, element: Element, capacity: usize) -> Option<Box<dyn Block>> {
                    for_element!(element, auto(capacity))
                }

                fn configure(&self, config: &Config) {
                    $krate::lgalloc_set_config(&LgAlloc {
                        enabled: config.enabled,
                        path: config.path.clone(),
                        background_config: config
                            .background
                            .map(|(interval, batch, _)| $krate::BackgroundWorkerConfig { interval, batch }),
                    });
                }

                fn stats(&self) -> BTreeMap<usize, Stats> {
                    let mut stats = LgAllocStats::default();
                    $krate::lgalloc_stats(&mut stats);
                    let class = |s: &$krate::SizeClassStats| Stats {
                        areas: s.areas,
                        area_total_bytes: s.area_total_bytes,
                        free_regions: s.free_regions,
                        clean_regions: s.clean_regions,
                        global_regions: s.global_regions,
                        thread_regions: s.thread_regions,
                        allocations: s.allocations,
                        slow_path: s.slow_path,
                        refill: s.refill,
                        deallocations: s.deallocations,
                        clear_eager_total: 0,
                        clear_slow_total: 0,
                    };
                    stats
                        .size_class
                        .iter()
                        .filter(|s| s.areas > 0)
                        .map(|s| (s.size_class, class(s)))
                        .collect()
                }

                fn size_classes(&self) -> std::ops::Range<usize> {
                    $krate::VALID_SIZE_CLASS
                }
            }
        }
    };
}

/// A peer with the interface of the later versions: handles.
macro_rules! handle_peer {
    ($module:ident, $krate:ident, $root:path, $name:literal, $configure:expr) => {
        /// Handles, as the later versions have them.
        pub mod $module {
            use super::*;
            use $krate::Handle;
            use $root as $krate;

            /// The allocator.
            pub struct Allocator;

            struct Owned {
                ptr: *mut u8,
                capacity: usize,
                bytes: usize,
                handle: Handle,
            }

            // SAFETY: owns what the pointer points to, and any thread may use and free it.
            unsafe impl Send for Owned {}

            impl Block for Owned {
                fn capacity(&self) -> usize {
                    self.capacity
                }

                fn bytes(&mut self) -> &mut [u8] {
                    // SAFETY: the allocation is this block's own.
                    unsafe { std::slice::from_raw_parts_mut(self.ptr, self.bytes) }
                }

                fn is_mapped(&self) -> Option<bool> {
                    None
                }

                fn free(self: Box<Self>) {
                    $krate::deallocate(self.handle)
                }
            }

            fn allocate<T>(capacity: usize) -> Result<Box<dyn Block>, Failure> {
                match $krate::allocate::<T>(capacity) {
                    Ok((ptr, capacity, handle)) => {
                        let bytes = match std::mem::size_of::<T>() {
                            0 => 0,
                            size => capacity * size,
                        };
                        Ok(Box::new(Owned { ptr: ptr.cast().as_ptr(), capacity, bytes, handle }))
                    }
                    Err(error) => Err(failure!($krate, error)),
                }
            }

            impl Peer for Allocator {
                fn name(&self) -> &'static str {
                    $name
                }

                fn allocate(&self, element: Element, capacity: usize) -> Result<Box<dyn Block>, Failure> {
                    for_element!(element, allocate(capacity))
                }

                fn auto(&self, _: Element, _: usize) -> Option<Box<dyn Block>> {
                    None
                }

                fn configure(&self, config: &Config) {
                    let mut to = $krate::LgAlloc::new();
                    match config.enabled {
                        Some(true) => drop(to.enable()),
                        Some(false) => drop(to.disable()),
                        None => {}
                    }
                    if let Some((interval, _, clear_bytes)) = config.background {
                        to.with_background_config($krate::BackgroundWorkerConfig { interval, clear_bytes });
                    }
                    if let Some(eager_return) = config.eager_return {
                        to.eager_return(eager_return);
                    }
                    if let Some(bytes) = config.local_buffer_bytes {
                        to.local_buffer_bytes(bytes);
                    }
                    let further: fn(&mut $krate::LgAlloc, &Config) = $configure;
                    further(&mut to, config);
                    $krate::lgalloc_set_config(&to);
                }

                fn stats(&self) -> BTreeMap<usize, Stats> {
                    let class = |s: &$krate::SizeClassStats| Stats {
                        areas: s.areas,
                        area_total_bytes: s.area_total_bytes,
                        free_regions: s.free_regions,
                        clean_regions: s.clean_regions,
                        global_regions: s.global_regions,
                        thread_regions: s.thread_regions,
                        allocations: s.allocations,
                        slow_path: s.slow_path,
                        refill: s.refill,
                        deallocations: s.deallocations,
                        clear_eager_total: s.clear_eager_total,
                        clear_slow_total: s.clear_slow_total,
                    };
                    let stats = $krate::lgalloc_stats();
                    stats
                        .size_class
                        .iter()
                        .filter(|(_, s)| s.areas > 0)
                        .map(|(c, s)| (*c, class(s)))
                        .collect()
                }

                fn size_classes(&self) -> std::ops::Range<usize> {
                    $krate::VALID_SIZE_CLASS
                }
            }
        }
    };
}

region_peer!(version_0_1_6, lgalloc_0_1_6, "0.1.6");
region_peer!(our_regions, ours, "this library's regions");

handle_peer!(version_0_6_0, lgalloc, lgalloc_0_6_0, "0.6.0", |to, config| {
    if let Some(path) = &config.path {
        to.with_path(path.clone());
    }
    if let Some(growth_dampener) = config.growth_dampener {
        to.file_growth_dampener(growth_dampener);
    }
});

handle_peer!(version_0_7_0, lgalloc, lgalloc_0_7_0, "0.7.0", |to, config| {
    if let Some(growth_dampener) = config.growth_dampener {
        to.growth_dampener(growth_dampener);
    }
});

handle_peer!(
    our_handles_0_6,
    lgalloc,
    ours::v0_6,
    "this library's handles, as 0.6 has them",
    |to, config| {
        if let Some(path) = &config.path {
            to.with_path(path.clone());
        }
        if let Some(growth_dampener) = config.growth_dampener {
            to.file_growth_dampener(growth_dampener);
        }
    }
);

handle_peer!(
    our_handles_0_7,
    lgalloc,
    ours::v0_7,
    "this library's handles, as 0.7 has them",
    |to, config| {
        if let Some(growth_dampener) = config.growth_dampener {
            to.growth_dampener(growth_dampener);
        }
    }
);

/// A version of the crate, by its number.
pub fn original(version: &str) -> &'static dyn Peer {
    match version {
        "0.1.6" => &version_0_1_6::Allocator,
        "0.6.0" => &version_0_6_0::Allocator,
        "0.7.0" => &version_0_7_0::Allocator,
        other => panic!("no version {}", other),
    }
}

/// This library behind the interface of a version, keeping its areas as they all do.
pub fn ours(version: &str) -> &'static dyn Peer {
    ours::Options::new().release_ticks(0).apply().expect("an option");
    match version {
        "0.1.6" => &our_regions::Allocator,
        "0.6.0" => &our_handles_0_6::Allocator,
        "0.7.0" => &our_handles_0_7::Allocator,
        other => panic!("no version {}", other),
    }
}
