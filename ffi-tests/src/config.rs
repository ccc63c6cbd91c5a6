//! Configuration as version 0.1.6 has it. The structs have exactly its fields, so that literals that
//! name them all compile; newer options are in [`Options`].

use std::path::PathBuf;
use std::time::Duration;

use crate::Options;

/// How the background worker cleans.
#[derive(Default, Debug, Clone, Eq, PartialEq)]
pub struct BackgroundWorkerConfig {
    /// Time between ticks; zero stops the worker.
    pub interval: Duration,
    /// Regions cleared at most per tick and size class; zero sets no bound.
    pub batch: usize,
}

/// What is to be configured; `None` leaves a setting as it is.
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
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches the allocator on.
    pub fn enable(&mut self) -> &mut Self {
        self.enabled = Some(true);
        self
    }

    /// Switches it off: allocating fails, freeing goes on.
    pub fn disable(&mut self) -> &mut Self {
        self.enabled = Some(false);
        self
    }

    /// Starts or changes the background worker.
    pub fn with_background_config(&mut self, config: BackgroundWorkerConfig) -> &mut Self {
        self.background_config = Some(config);
        self
    }

    /// Sets the directory for the files of new areas; existing regions stay where they are.
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
        if let Some(background) = &config.background_config {
            options.background(background.interval, background.batch, 0);
        }
        options
    }
}

/// Applies a configuration to the process.
///
/// # Panics
///
/// Where it can't be applied: a path that is empty or holds a zero byte, no memory, no thread for the
/// worker. Nothing is changed then. [`Options::apply`] returns an error instead.
pub fn lgalloc_set_config(config: &LgAlloc) {
    if let Err(error) = Options::from(config).apply() {
        panic!("lgalloc can't be configured: {}", error);
    }
}
