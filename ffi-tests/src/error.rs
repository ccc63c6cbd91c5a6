//! Errors, and how the C library's statuses become them.

use std::error::Error;
use std::fmt;
use std::io;

use crate::sys;

/// Why memory was not allocated. These are the crate's variants, so that a program that names them all compiles,
/// and there will be no others: what else may fail has errors of its own.
///
/// ```
/// use lgalloc_c::{allocate, deallocate, AllocError, Backing, Options};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// match allocate::<u8>(2 << 20) {
///     Ok((_ptr, _capacity, handle)) => deallocate(handle),
///     Err(AllocError::OutOfMemory) => println!("the limit is reached"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), AllocError>(())
/// ```
#[derive(Debug)]
pub enum AllocError {
    /// A system call failed, with its code. [`io::ErrorKind::NotFound`] without further ado: file backing,
    /// and no path was configured.
    Io(io::Error),
    /// The size class is exhausted, or the limit is reached.
    OutOfMemory,
    /// No size class has regions of the requested size, whose power of two is this one; 64 where the size
    /// is more than an address space.
    InvalidSizeClass(usize),
    /// The allocator is switched off; it is so until it is enabled.
    Disabled,
    /// The elements' alignment is more than a region gives. Regions are aligned to their own size, so no
    /// Rust type has such an alignment; the variant is there for programs that match on it.
    UnalignedMemory,
}

impl AllocError {
    /// Whether this is [`AllocError::Disabled`].
    ///
    /// ```
    /// assert!(lgalloc_c::allocate::<u8>(2 << 20).err().map_or(false, |error| error.is_disabled()));
    /// ```
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        matches!(self, AllocError::Disabled)
    }

    /// The error for a status that is not OK. Must be called before anything else can change `errno`.
    pub(crate) fn from_status(status: sys::lgalloc_status, size_class: usize) -> AllocError {
        match status {
            sys::LGALLOC_STATUS_IO => AllocError::Io(io::Error::last_os_error()),
            sys::LGALLOC_STATUS_OUT_OF_MEMORY => AllocError::OutOfMemory,
            sys::LGALLOC_STATUS_INVALID_SIZE_CLASS => AllocError::InvalidSizeClass(size_class),
            sys::LGALLOC_STATUS_DISABLED => AllocError::Disabled,
            sys::LGALLOC_STATUS_UNALIGNED_MEMORY => AllocError::UnalignedMemory,
            other => AllocError::Io(io::Error::new(io::ErrorKind::InvalidInput, status_text(other))),
        }
    }
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllocError::Io(error) => write!(f, "system call failed: {}", error),
            AllocError::OutOfMemory => f.write_str("no region left"),
            AllocError::InvalidSizeClass(class) => write!(f, "no size class of 2^{} bytes", class),
            AllocError::Disabled => f.write_str("lgalloc is disabled"),
            AllocError::UnalignedMemory => f.write_str("alignment exceeds the region's"),
        }
    }
}

impl Error for AllocError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            AllocError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for AllocError {
    fn from(error: io::Error) -> Self {
        AllocError::Io(error)
    }
}

/// Why [`Handle::prefetch`](crate::Handle::prefetch) did nothing.
///
/// ```
/// use lgalloc_c::{allocate, deallocate, Backing, Options, PrefetchError};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let (_ptr, capacity, handle) = allocate::<u8>(2 << 20)?;
/// let PrefetchError::OutOfBounds { byte_offset, .. } = handle.prefetch::<u8>(capacity..capacity + 1).unwrap_err();
/// assert_eq!(byte_offset, capacity);
/// deallocate(handle);
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
#[derive(Debug)]
pub enum PrefetchError {
    /// The range reaches beyond the allocation.
    OutOfBounds {
        /// Where the range starts, in bytes.
        byte_offset: usize,
        /// How long it is, in bytes.
        byte_len: usize,
        /// How long the allocation is, in bytes.
        allocation_len: usize,
    },
}

impl fmt::Display for PrefetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PrefetchError::OutOfBounds { byte_offset, byte_len, allocation_len } = self;
        write!(f, "{} bytes at {} are not within an allocation of {}", byte_len, byte_offset, allocation_len)
    }
}

impl Error for PrefetchError {}

/// Why a hint could not be followed. Later versions may have more to tell.
///
/// ```
/// use lgalloc_c::{Backing, HintError, Options, Region};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let region: Region<u64> = Region::new_mmap(1 << 18)?;
/// match region.populate(0..region.capacity() + 1) {
///     Err(HintError::OutOfBounds(error)) => println!("{}", error),
///     other => panic!("{:?}", other),
/// }
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HintError {
    /// The range reaches beyond the allocation; figures in bytes.
    OutOfBounds(PrefetchError),
    /// The system refused, with its code: of populating, the disk that is full.
    Io(io::Error),
}

impl fmt::Display for HintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HintError::OutOfBounds(error) => error.fmt(f),
            HintError::Io(error) => write!(f, "system call failed: {}", error),
        }
    }
}

impl Error for HintError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            HintError::OutOfBounds(error) => Some(error),
            HintError::Io(error) => Some(error),
        }
    }
}

impl From<PrefetchError> for HintError {
    fn from(error: PrefetchError) -> Self {
        HintError::OutOfBounds(error)
    }
}

/// The C library's text for a status.
pub(crate) fn status_text(status: sys::lgalloc_status) -> &'static str {
    // SAFETY: the text is static and never NULL, for any number.
    let text = unsafe { std::ffi::CStr::from_ptr(sys::lgalloc_status_str(status)) };
    text.to_str().unwrap_or("unknown status")
}

/// The size class, as a power of two, that `capacity` elements of `elem_size` bytes ask for: what
/// [`AllocError::InvalidSizeClass`] tells.
pub(crate) fn size_class_of(capacity: usize, elem_size: usize) -> usize {
    const PAGE: usize = 4096;
    capacity
        .checked_mul(elem_size)
        .and_then(|bytes| bytes.max(PAGE).checked_next_power_of_two())
        .map_or(usize::BITS as usize, |bytes| bytes.trailing_zeros() as usize)
}
