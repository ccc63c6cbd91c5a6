//! Configuration as version 0.1.6 has it. The structs have exactly its fields, so that literals that
//! name them all compile; newer options are in [`Options`].

use std::path::PathBuf;
use std::time::Duration;

use crate::{Backing, Options};

/// How the background worker cleans.
///
/// ```
/// use lgalloc_c::{BackgroundWorkerConfig, LgAlloc};
/// use std::time::Duration;
///
/// let worker = BackgroundWorkerConfig { interval: Duration::from_secs(1), batch: 32 };
/// let mut config = LgAlloc::new();
/// config.with_background_config(worker);
/// ```
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct BackgroundWorkerConfig {
    /// Time between ticks; zero stops the worker.
    pub interval: Duration,
    /// Regions cleared at most per tick and size class; zero sets no bound.
    pub batch: usize,
}

impl BackgroundWorkerConfig {
    fn bounds(&self) -> (Duration, usize, usize) {
        (self.interval, self.batch, 0)
    }
}

/// What is to be configured; `None` leaves a setting as it is.
///
/// ```
/// use lgalloc_c::{lgalloc_set_config, LgAlloc};
///
/// lgalloc_set_config(LgAlloc::new().enable().with_path("/var/tmp".into()));
/// ```
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct LgAlloc {
    /// Whether memory is handed out. Off at first.
    pub enabled: Option<bool>,
    /// The directory of the files that back regions.
    pub path: Option<PathBuf>,
    /// The background worker.
    pub background_config: Option<BackgroundWorkerConfig>,
}

impl LgAlloc {
    setters!(all "lgalloc_c");
    setters!(path "lgalloc_c");
}

impl From<&LgAlloc> for Options {
    fn from(config: &LgAlloc) -> Options {
        let mut options = config.common_options();
        options.path = config.path.clone();
        options
    }
}

/// Applies a configuration to the process. A path means files, unless [`Options`] chose a backing.
///
/// ```
/// use lgalloc_c::{lgalloc_set_config, LgAlloc, Region};
///
/// lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));
/// assert!(Region::<u8>::new_mmap(1 << 20)?.is_mapped());
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
///
/// # Panics
///
/// Where it can't be applied: a path that is empty or holds a zero byte, no memory, no thread for the
/// worker. Nothing is changed then. [`Options::apply`] returns an error instead.
pub fn lgalloc_set_config(config: &LgAlloc) {
    Options::from(config).apply_or_panic(config.path.as_ref().map(|_| Backing::File));
}
