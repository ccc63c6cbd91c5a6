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
    /// A configuration that changes nothing.
    ///
    /// ```
    /// # use lgalloc_c::LgAlloc;
    /// assert_eq!(LgAlloc::new(), LgAlloc::default());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches the allocator on.
    ///
    /// ```
    /// # use lgalloc_c::LgAlloc;
    /// assert_eq!(LgAlloc::new().enable().enabled, Some(true));
    /// ```
    pub fn enable(&mut self) -> &mut Self {
        self.enabled = Some(true);
        self
    }

    /// Switches it off: allocating fails, freeing goes on.
    ///
    /// ```
    /// # use lgalloc_c::LgAlloc;
    /// assert_eq!(LgAlloc::new().disable().enabled, Some(false));
    /// ```
    pub fn disable(&mut self) -> &mut Self {
        self.enabled = Some(false);
        self
    }

    /// Starts or changes the background worker.
    ///
    /// ```
    /// # use lgalloc_c::{BackgroundWorkerConfig, LgAlloc};
    /// let worker = BackgroundWorkerConfig::default();
    /// assert_eq!(LgAlloc::new().with_background_config(worker.clone()).background_config, Some(worker));
    /// ```
    pub fn with_background_config(&mut self, config: BackgroundWorkerConfig) -> &mut Self {
        self.background_config = Some(config);
        self
    }

    /// Sets the directory for the files of new areas; existing regions stay where they are.
    ///
    /// ```
    /// # use lgalloc_c::LgAlloc;
    /// assert!(LgAlloc::new().with_path("/var/tmp".into()).path.is_some());
    /// ```
    pub fn with_path(&mut self, path: PathBuf) -> &mut Self {
        self.path = Some(path);
        self
    }
}

impl From<&LgAlloc> for Options {
    fn from(config: &LgAlloc) -> Options {
        let mut options = Options::new();
        options.enabled = config.enabled;
        options.path = config.path.clone();
        options.background =
            config.background_config.as_ref().map(|worker| (worker.interval, worker.batch, 0));
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
