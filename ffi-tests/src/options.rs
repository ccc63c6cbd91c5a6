//! Every option the C library has.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::Duration;

use crate::{sys, AllocError};

/// Where the pages of new areas come from.
#[derive(Debug, Clone, Copy, Eq, PartialEq, Hash)]
pub enum Backing {
    /// Unlinked files in the configured directory, which can be paged out without swap. The default.
    File,
    /// Anonymous memory, with huge pages where the system has them.
    Anonymous,
}

/// A set of options; what is not set stays as it is.
///
/// ```
/// use lgalloc_c::{Backing, Options};
///
/// # fn main() -> Result<(), lgalloc_c::AllocError> {
/// Options::new().enable().backing(Backing::Anonymous).limit_bytes(1 << 30).apply()?;
/// # Ok(())
/// # }
/// ```
#[derive(Default, Debug, Clone, Eq, PartialEq)]
#[must_use = "options do nothing until they are applied"]
pub struct Options {
    pub(crate) enabled: Option<bool>,
    pub(crate) path: Option<PathBuf>,
    backing: Option<Backing>,
    background: Option<(Duration, usize, usize)>,
    eager_return: Option<bool>,
    growth_dampener: Option<usize>,
    local_buffer_bytes: Option<usize>,
    limit_bytes: Option<usize>,
    idle_bytes: Option<usize>,
    huge_pages: Option<bool>,
    reserve_blocks: Option<bool>,
    release_ticks: Option<usize>,
    environment: bool,
}

impl Options {
    /// No option set.
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

    /// The directory for the files of new areas.
    pub fn with_path(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.path = Some(path.as_ref().to_path_buf());
        self
    }

    /// Where the pages of new areas come from.
    pub fn backing(&mut self, backing: Backing) -> &mut Self {
        self.backing = Some(backing);
        self
    }

    /// The background worker: time between ticks (zero stops it), and what it clears at most per tick and
    /// size class, in regions and in bytes (zero sets no such bound).
    pub fn background(&mut self, interval: Duration, batch: usize, clear_bytes: usize) -> &mut Self {
        self.background = Some((interval, batch, clear_bytes));
        self
    }

    /// Whether regions that leave a thread's cache are cleared at once.
    pub fn eager_return(&mut self, eager_return: bool) -> &mut Self {
        self.eager_return = Some(eager_return);
        self
    }

    /// Areas grow by a factor of `1 + 1 / (growth_dampener + 1)`.
    pub fn growth_dampener(&mut self, growth_dampener: usize) -> &mut Self {
        self.growth_dampener = Some(growth_dampener);
        self
    }

    /// What a thread's cache may hold per size class, in bytes.
    pub fn local_buffer_bytes(&mut self, bytes: usize) -> &mut Self {
        self.local_buffer_bytes = Some(bytes);
        self
    }

    /// A hard bound on the bytes in use plus those that are free and dirty; zero lifts it.
    pub fn limit_bytes(&mut self, bytes: usize) -> &mut Self {
        self.limit_bytes = Some(bytes);
        self
    }

    /// A bound on the free bytes that stay dirty in the shared pools; `usize::MAX` lifts it.
    pub fn idle_bytes(&mut self, bytes: usize) -> &mut Self {
        self.idle_bytes = Some(bytes);
        self
    }

    /// Whether huge pages are advised for new anonymous areas.
    pub fn huge_pages(&mut self, huge_pages: bool) -> &mut Self {
        self.huge_pages = Some(huge_pages);
        self
    }

    /// Whether disk blocks are reserved before a region is handed out.
    pub fn reserve_blocks(&mut self, reserve_blocks: bool) -> &mut Self {
        self.reserve_blocks = Some(reserve_blocks);
        self
    }

    /// Ticks of the worker after which an area without a region in use is given back; zero leaves that to
    /// [`purge`](crate::purge).
    pub fn release_ticks(&mut self, ticks: usize) -> &mut Self {
        self.release_ticks = Some(ticks);
        self
    }

    /// Whether environment variables, `LGALLOC_ENABLE` and others that the C header names, set what these
    /// options don't. They are read when the options are applied, as [`std::env::vars_os`] does it, so that
    /// other threads may set variables meanwhile. An unknown variable that begins with `LGALLOC_` is an error.
    pub fn from_environment(&mut self, environment: bool) -> &mut Self {
        self.environment = environment;
        self
    }

    /// Applies the options to the process, all or nothing. They can be applied again.
    ///
    /// # Errors
    ///
    /// [`AllocError::Io`] where the worker can't be started, and of the kind [`io::ErrorKind::InvalidInput`] for a path that is empty, too long, or holds
    /// a zero byte, or an environment variable that is refused: its text names the option or the variable,
    /// the value, and what is allowed. [`AllocError::OutOfMemory`].
    pub fn apply(&self) -> Result<(), AllocError> {
        let config = Config::new()?;
        let raw = config.0.as_ptr();
        // SAFETY: `raw` lives until `config` is dropped, and nobody else has it.
        unsafe {
            if self.environment {
                config.read_environment()?;
            }
            match self.enabled {
                Some(true) => sys::lgalloc_config_enable(raw),
                Some(false) => sys::lgalloc_config_disable(raw),
                None => {}
            }
            if let Some(path) = &self.path {
                let path = CString::new(path.as_os_str().as_bytes())
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                config.check(sys::lgalloc_config_with_path(raw, path.as_ptr()))?;
            }
            if let Some(backing) = self.backing {
                sys::lgalloc_config_with_backing(
                    raw,
                    match backing {
                        Backing::File => sys::LGALLOC_BACKING_FILE,
                        Backing::Anonymous => sys::LGALLOC_BACKING_ANONYMOUS,
                    },
                );
            }
            if let Some((interval, batch, clear_bytes)) = self.background {
                // 2^64 ns are five centuries: as good as never.
                let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
                sys::lgalloc_config_with_background(raw, interval, batch, clear_bytes);
            }
            if let Some(eager_return) = self.eager_return {
                sys::lgalloc_config_eager_return(raw, eager_return);
            }
            if let Some(growth_dampener) = self.growth_dampener {
                sys::lgalloc_config_growth_dampener(raw, growth_dampener);
            }
            if let Some(bytes) = self.local_buffer_bytes {
                sys::lgalloc_config_local_buffer_bytes(raw, bytes);
            }
            if let Some(bytes) = self.limit_bytes {
                sys::lgalloc_config_limit_bytes(raw, bytes);
            }
            if let Some(bytes) = self.idle_bytes {
                sys::lgalloc_config_idle_bytes(raw, bytes);
            }
            if let Some(huge_pages) = self.huge_pages {
                sys::lgalloc_config_huge_pages(raw, huge_pages);
            }
            if let Some(reserve_blocks) = self.reserve_blocks {
                sys::lgalloc_config_reserve_blocks(raw, reserve_blocks);
            }
            if let Some(ticks) = self.release_ticks {
                sys::lgalloc_config_release_ticks(raw, ticks);
            }
            config.check(sys::lgalloc_set_config(raw))
        }
    }
}

/// The C library's set of options.
struct Config(NonNull<sys::lgalloc_config>);

impl Config {
    fn new() -> Result<Config, AllocError> {
        // SAFETY: no arguments.
        let raw = unsafe { sys::lgalloc_config_new() };
        NonNull::new(raw).map(Config).ok_or(AllocError::OutOfMemory)
    }

    /// Every variable that begins with `LGALLOC_`. Of two with one name the first counts: it is read last.
    fn read_environment(&self) -> Result<(), AllocError> {
        let variables: Vec<_> = std::env::vars_os().collect();
        for (name, value) in variables.iter().rev() {
            if !name.as_bytes().starts_with(b"LGALLOC_") {
                continue;
            }
            let (name, value) = match (CString::new(name.as_bytes()), CString::new(value.as_bytes())) {
                (Ok(name), Ok(value)) => (name, value),
                _ => continue, // no environment holds a zero byte
            };
            // SAFETY: the set lives as long as `self`, the texts to the end of this block.
            self.check(unsafe {
                sys::lgalloc_config_variable(self.0.as_ptr(), name.as_ptr(), value.as_ptr())
            })?;
        }
        Ok(())
    }

    /// What a call with this set came to.
    fn check(&self, status: sys::lgalloc_status) -> Result<(), AllocError> {
        match status {
            sys::LGALLOC_STATUS_OK => Ok(()),
            sys::LGALLOC_STATUS_INVALID_ARGUMENT => {
                // SAFETY: the text is never NULL, and valid until the set is used again.
                let text = unsafe { CStr::from_ptr(sys::lgalloc_config_error(self.0.as_ptr())) };
                let text = text.to_string_lossy().into_owned();
                Err(io::Error::new(io::ErrorKind::InvalidInput, text).into())
            }
            other => Err(AllocError::from_status(other, 0)),
        }
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: came from lgalloc_config_new() and is freed once.
        unsafe { sys::lgalloc_config_free(self.0.as_ptr()) }
    }
}
