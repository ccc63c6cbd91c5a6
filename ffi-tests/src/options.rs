//! Every option the C library has.

use std::ffi::{CStr, CString};
use std::io;
use std::os::raw::c_ulong;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{sys, AllocError};

/// Where the pages of new areas come from.
///
/// ```
/// use lgalloc_c::{Backing, Options};
///
/// Options::new().backing(Backing::Anonymous).apply()?;
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
#[derive(Debug, Clone, Copy, Eq, PartialEq, Hash)]
#[non_exhaustive]
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
/// Options::new().enable().backing(Backing::Anonymous).limit_bytes(1 << 30).apply()?;
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
///
/// One that is not applied does nothing, and the compiler says so:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// lgalloc_c::Options::new().enable();
/// ```
#[derive(Default, Debug, Clone, Eq, PartialEq)]
#[must_use = "options do nothing until they are applied"]
pub struct Options {
    pub(crate) enabled: Option<bool>,
    pub(crate) path: Option<PathBuf>,
    pub(crate) backing: Option<Backing>,
    pub(crate) background: Option<(Duration, usize, usize)>,
    pub(crate) eager_return: Option<bool>,
    pub(crate) growth_dampener: Option<usize>,
    pub(crate) local_buffer_bytes: Option<usize>,
    spill: Option<(Option<PathBuf>, usize)>,
    limit_bytes: Option<usize>,
    idle_bytes: Option<usize>,
    huge_pages: Option<bool>,
    core_dump: Option<bool>,
    reserve_blocks: Option<bool>,
    release_ticks: Option<usize>,
    environment: bool,
}

/// Whether options that were applied chose a backing, so that no default of an older interface replaces it.
static BACKING_CHOSEN: AtomicBool = AtomicBool::new(false);

impl Options {
    /// No option set.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().apply()?; // changes nothing
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches the allocator on.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().enable().apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn enable(mut self) -> Self {
        self.enabled = Some(true);
        self
    }

    /// Switches it off: allocating fails, freeing goes on.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().disable().apply()?;
    /// assert!(lgalloc_c::allocate::<u8>(1 << 20).is_err());
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn disable(mut self) -> Self {
        self.enabled = Some(false);
        self
    }

    /// The directory for the files of new areas.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().with_path(std::env::temp_dir()).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn with_path(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_path_buf());
        self
    }

    /// Where the pages of new areas come from.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().enable().backing(lgalloc_c::Backing::Anonymous).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn backing(mut self, backing: Backing) -> Self {
        self.backing = Some(backing);
        self
    }

    /// The background worker: time between ticks (zero stops it), and what it clears at most per tick and
    /// size class, in regions and in bytes (zero sets no such bound).
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// let second = std::time::Duration::from_secs(1);
    /// Options::new().background(second, 0, 64 << 20).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn background(mut self, interval: Duration, batch: usize, clear_bytes: usize) -> Self {
        self.background = Some((interval, batch, clear_bytes));
        self
    }

    /// Whether regions that leave a thread's cache are cleared at once.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().eager_return(true).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn eager_return(mut self, eager_return: bool) -> Self {
        self.eager_return = Some(eager_return);
        self
    }

    /// Areas grow by a factor of `1 + 1 / (growth_dampener + 1)`.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().growth_dampener(1).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn growth_dampener(mut self, growth_dampener: usize) -> Self {
        self.growth_dampener = Some(growth_dampener);
        self
    }

    /// What a thread's cache may hold per size class, in bytes.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().local_buffer_bytes(8 << 20).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn local_buffer_bytes(mut self, bytes: usize) -> Self {
        self.local_buffer_bytes = Some(bytes);
        self
    }

    /// Where sealed regions are evicted to, a directory on disk, and a bound on the bytes there, zero lifts it;
    /// without a directory nothing is evicted.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().with_spill(Some("/var/tmp"), 1 << 40).apply()?;
    /// Options::new().with_spill(None::<&str>, 0).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn with_spill(mut self, directory: Option<impl AsRef<Path>>, disk_bytes: usize) -> Self {
        self.spill = Some((directory.map(|directory| directory.as_ref().to_path_buf()), disk_bytes));
        self
    }

    /// A hard bound on the bytes in use plus those that are free and dirty; zero lifts it.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().limit_bytes(16 << 30).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn limit_bytes(mut self, bytes: usize) -> Self {
        self.limit_bytes = Some(bytes);
        self
    }

    /// A bound on the free bytes that stay dirty in the shared pools; `usize::MAX` lifts it.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().idle_bytes(256 << 20).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn idle_bytes(mut self, bytes: usize) -> Self {
        self.idle_bytes = Some(bytes);
        self
    }

    /// Whether huge pages are advised for new areas of regions of 2 MiB and more.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().huge_pages(false).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.huge_pages = Some(huge_pages);
        self
    }

    /// Whether regions go into core files, those of existing areas too.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().core_dump(true).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn core_dump(mut self, core_dump: bool) -> Self {
        self.core_dump = Some(core_dump);
        self
    }

    /// Whether disk blocks are reserved before a region is handed out.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().reserve_blocks(true).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn reserve_blocks(mut self, reserve_blocks: bool) -> Self {
        self.reserve_blocks = Some(reserve_blocks);
        self
    }

    /// Ticks of the worker after which an area without a region in use is given back; zero leaves that to
    /// [`purge`](crate::purge).
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().release_ticks(60).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn release_ticks(mut self, ticks: usize) -> Self {
        self.release_ticks = Some(ticks);
        self
    }

    /// Whether environment variables, `LGALLOC_ENABLE` and others that the C header names, set what these
    /// options don't. They are read when the options are applied, as [`std::env::vars_os`] does it, so that
    /// other threads may set variables meanwhile. An unknown variable that begins with `LGALLOC_` is an error.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// Options::new().backing(lgalloc_c::Backing::Anonymous).from_environment(true).apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    pub fn from_environment(mut self, environment: bool) -> Self {
        self.environment = environment;
        self
    }

    /// Applies the options to the process, all or nothing. They can be applied again.
    ///
    /// ```
    /// use lgalloc_c::Options;
    ///
    /// assert!(Options::new().with_path("").apply().is_err());
    /// Options::new().with_path("/var/tmp").apply()?;
    /// # Ok::<(), lgalloc_c::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError::Io`] where the worker can't be started, the file that `LGALLOC_STATS` names can't be
    /// opened, or no file can be made to spill to, and of the kind [`io::ErrorKind::InvalidInput`] for a path that is empty, too long, or holds
    /// a zero byte, or an environment variable that is refused: its text names the option or the variable,
    /// the value, and what is allowed. [`AllocError::OutOfMemory`].
    pub fn apply(&self) -> Result<(), AllocError> {
        self.apply_or(None)
    }

    /// As `apply`, with a backing for the case that no options chose one yet.
    fn apply_or(&self, default: Option<Backing>) -> Result<(), AllocError> {
        let config = Config::new()?;
        let told = self.environment && config.read_environment()?;
        let chosen = told || self.backing.is_some();
        let backing = if chosen || BACKING_CHOSEN.load(Ordering::Relaxed) { self.backing } else { default };
        let raw = config.0.as_ptr();
        // SAFETY: `raw` lives until `config` is dropped, and nobody else has it.
        unsafe {
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
            if let Some(backing) = backing {
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
            if let Some((directory, disk_bytes)) = &self.spill {
                let directory = match directory {
                    Some(directory) => Some(
                        CString::new(directory.as_os_str().as_bytes())
                            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
                    ),
                    None => None,
                };
                let name = directory.as_ref().map_or(std::ptr::null(), |directory| directory.as_ptr());
                config.check(sys::lgalloc_config_with_spill(raw, name, *disk_bytes))?;
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
            if let Some(core_dump) = self.core_dump {
                sys::lgalloc_config_core_dump(raw, core_dump);
            }
            if let Some(reserve_blocks) = self.reserve_blocks {
                sys::lgalloc_config_reserve_blocks(raw, reserve_blocks);
            }
            if let Some(ticks) = self.release_ticks {
                sys::lgalloc_config_release_ticks(raw, ticks);
            }
            config.check(sys::lgalloc_set_config(raw))?;
        }
        BACKING_CHOSEN.fetch_or(chosen, Ordering::Relaxed);
        Ok(())
    }

    /// What the older interfaces do, which return nothing.
    pub(crate) fn apply_or_panic(&self, default: Option<Backing>) {
        if let Err(error) = self.apply_or(default) {
            panic!("lgalloc can't be configured: {}", error);
        }
    }
}

extern "C" {
    /// The C library's, which is there on every Linux.
    fn getauxval(kind: c_ulong) -> c_ulong;
}

/// Which entry says that the program has more rights than its user.
const AT_SECURE: c_ulong = 23;

/// The C library's set of options.
struct Config(NonNull<sys::lgalloc_config>);

impl Config {
    fn new() -> Result<Config, AllocError> {
        // SAFETY: no arguments.
        let raw = unsafe { sys::lgalloc_config_new() };
        NonNull::new(raw).map(Config).ok_or(AllocError::OutOfMemory)
    }

    /// Every variable that begins with `LGALLOC_`. Of two with one name the first counts: it is read last.
    ///
    /// Returns whether one of them chose a backing.
    fn read_environment(&self) -> Result<bool, AllocError> {
        // SAFETY: takes and changes nothing.
        if unsafe { getauxval(AT_SECURE) } != 0 {
            // In a program that has more rights than its user, the user must not say which files are written.
            return Ok(false);
        }
        let mut chosen = false;
        let variables: Vec<_> = std::env::vars_os().collect();
        for (name, value) in variables.iter().rev() {
            if !name.as_bytes().starts_with(b"LGALLOC_") {
                continue;
            }
            chosen |= name == "LGALLOC_BACKING";
            let (name, value) = match (CString::new(name.as_bytes()), CString::new(value.as_bytes())) {
                (Ok(name), Ok(value)) => (name, value),
                _ => continue, // no environment holds a zero byte
            };
            // SAFETY: the set lives as long as `self`, the texts to the end of this block.
            self.check(unsafe {
                sys::lgalloc_config_variable(self.0.as_ptr(), name.as_ptr(), value.as_ptr())
            })?;
        }
        Ok(chosen)
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
