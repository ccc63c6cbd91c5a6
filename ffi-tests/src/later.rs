//! The names of the later versions, 0.6 and 0.7, where they clash with those of 0.1.6: a program for these
//! compiles with `use lgalloc_c::later as lgalloc;`.
//!
//! Different from them: [`LgAlloc`] is a builder without public fields, the growth dampener has its name of
//! 0.7, files and mappings are told by [`crate::stats::files`] and [`crate::stats::maps`], and the size
//! classes start at 64 KiB: below, 0.6 has four more and 0.7 five fewer.

use std::path::Path;
use std::time::Duration;

pub use crate::{
    allocate, deallocate, stats::size_classes, AllocError, Handle, Options, PrefetchError, VALID_SIZE_CLASS,
};

/// How the background worker cleans.
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct BackgroundWorkerConfig {
    /// Time between ticks; zero stops the worker.
    pub interval: Duration,
    /// Bytes cleared at most per tick and size class, but one region at least; zero sets no bound.
    pub clear_bytes: usize,
}

/// What is to be configured.
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct LgAlloc {
    options: Options,
}

impl LgAlloc {
    /// A configuration that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches the allocator on.
    pub fn enable(&mut self) -> &mut Self {
        self.options.enable();
        self
    }

    /// Switches it off: allocating fails, freeing goes on.
    pub fn disable(&mut self) -> &mut Self {
        self.options.disable();
        self
    }

    /// Starts or changes the background worker.
    pub fn with_background_config(&mut self, config: BackgroundWorkerConfig) -> &mut Self {
        self.options.background(config.interval, 0, config.clear_bytes);
        self
    }

    /// Sets the directory for the files of new areas.
    pub fn with_path(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.options.with_path(path);
        self
    }

    /// Whether regions that leave a thread's cache are cleared at once.
    pub fn eager_return(&mut self, eager_return: bool) -> &mut Self {
        self.options.eager_return(eager_return);
        self
    }

    /// Areas grow by a factor of `1 + 1 / (growth_dampener + 1)`.
    pub fn growth_dampener(&mut self, growth_dampener: usize) -> &mut Self {
        self.options.growth_dampener(growth_dampener);
        self
    }

    /// What a thread's cache may hold per size class, in bytes.
    pub fn local_buffer_bytes(&mut self, bytes: usize) -> &mut Self {
        self.options.local_buffer_bytes(bytes);
        self
    }

    /// The same settings, for what only [`Options`] has.
    pub fn options(&self) -> Options {
        self.options.clone()
    }
}

/// Applies a configuration to the process.
///
/// # Panics
///
/// Where it can't be applied; nothing is changed then. [`Options::apply`] returns an error instead.
pub fn lgalloc_set_config(config: &LgAlloc) {
    if let Err(error) = config.options.apply() {
        panic!("lgalloc can't be configured: {}", error);
    }
}

/// Statistics of all size classes.
#[derive(Debug)]
pub struct LgAllocStats {
    /// Bytes per region, and the size class's statistics; smallest first.
    pub size_class: Vec<(usize, SizeClassStats)>,
}

/// Statistics of one size class: what the later versions count, and what only the C library does.
pub use crate::stats::SizeClassCounters as SizeClassStats;

/// The statistics of every size class. Makes no system call and takes no lock.
#[must_use]
pub fn lgalloc_stats() -> LgAllocStats {
    LgAllocStats { size_class: size_classes().iter().map(|class| (class.size_class, *class)).collect() }
}
