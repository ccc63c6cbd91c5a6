//! Raw allocations, as the later versions of the crate have them.

use std::io;
use std::mem::{align_of, size_of, MaybeUninit};
use std::ops::Range;
use std::ptr::NonNull;

use crate::error::{size_class_of, status_text};
use crate::{sys, AllocError, HintError, PrefetchError};

/// Owns an allocation until it is passed to [`deallocate`]; one that is merely dropped is leaked.
///
/// It can't be copied, so an allocation is freed once; pointers into it are the program's own affair.
///
/// ```
/// use lgalloc_c::{allocate, deallocate, Backing, Options};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let (_ptr, _capacity, handle) = allocate::<u8>(2 << 20)?;
/// std::thread::spawn(move || deallocate(handle)).join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The compiler says where one is forgotten:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # fn forgets() -> Result<(), lgalloc_c::AllocError> {
/// lgalloc_c::allocate::<u8>(2 << 20)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an allocation whose handle is dropped is leaked"]
pub struct Handle {
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to no thread, and any thread may free it.
unsafe impl Send for Handle {}
// SAFETY: a shared handle gives a pointer, a length and hints, which the C library takes from several
// threads at once.
unsafe impl Sync for Handle {}

impl Handle {
    fn raw(&self) -> sys::lgalloc_handle {
        sys::lgalloc_handle { ptr: self.ptr.as_ptr().cast(), len: self.len }
    }

    /// Where the memory starts; dangling if there is none.
    ///
    /// ```
    /// use lgalloc_c::{allocate, deallocate, Backing, Options};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let (ptr, _capacity, handle) = allocate::<u64>(1 << 18)?;
    /// assert_eq!(handle.as_non_null().cast(), ptr);
    /// deallocate(handle);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn as_non_null(&self) -> NonNull<u8> {
        self.ptr
    }

    /// The allocation's size in bytes, a power of two; 0 if there is no memory.
    ///
    /// ```
    /// use lgalloc_c::{allocate, deallocate, Backing, Options};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let (_ptr, capacity, handle) = allocate::<u64>(200_000)?;
    /// assert_eq!((capacity, handle.byte_len()), (1 << 18, 2 << 20));
    /// deallocate(handle);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.len
    }

    /// Tells the system that the elements of this range will be read soon. A hint, which changes no
    /// contents, and which the system may ignore.
    ///
    /// ```
    /// use lgalloc_c::{allocate, deallocate, Backing, Options};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let (_ptr, capacity, handle) = allocate::<u64>(1 << 18)?;
    /// handle.prefetch::<u64>(1000..capacity)?;
    /// deallocate(handle);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PrefetchError::OutOfBounds`].
    pub fn prefetch<T>(&self, range: Range<usize>) -> Result<(), PrefetchError> {
        match self.hint::<T>(range, sys::lgalloc_prefetch) {
            Err(HintError::OutOfBounds(error)) => Err(error),
            Err(HintError::Io(_)) | Ok(()) => Ok(()),
        }
    }

    /// Backs the elements of this range with memory, and disk blocks, now. Contents stay.
    ///
    /// ```
    /// use lgalloc_c::{allocate, deallocate, Backing, Options};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let (_ptr, capacity, handle) = allocate::<u64>(1 << 18)?;
    /// handle.populate::<u64>(0..capacity)?;
    /// deallocate(handle);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HintError::OutOfBounds`], and [`HintError::Io`] where a disk is full, which a first write would
    /// learn by a signal.
    pub fn populate<T>(&self, range: Range<usize>) -> Result<(), HintError> {
        self.hint::<T>(range, sys::lgalloc_populate)
    }

    /// Tells the system that the elements of this range will not be used soon. Contents stay.
    ///
    /// ```
    /// use lgalloc_c::{allocate, deallocate, Backing, Options};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let (_ptr, capacity, handle) = allocate::<u64>(1 << 18)?;
    /// handle.cold::<u64>(0..capacity)?;
    /// deallocate(handle);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HintError::OutOfBounds`], [`HintError::Io`].
    pub fn cold<T>(&self, range: Range<usize>) -> Result<(), HintError> {
        self.hint::<T>(range, sys::lgalloc_cold)
    }

    /// Drops the contents of the whole pages within this range: they read as zero afterwards, and hold
    /// neither memory nor disk blocks.
    ///
    /// ```
    /// use lgalloc_c::{allocate, deallocate, Backing, Options};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let (ptr, capacity, mut handle) = allocate::<u64>(1 << 18)?;
    /// // SAFETY: within the allocation; no reference points there, and zeros are a `u64`.
    /// let dropped = unsafe {
    ///     ptr.as_ptr().write(7);
    ///     handle.discard::<u64>(0..capacity)?;
    ///     ptr.as_ptr().read()
    /// };
    /// assert_eq!(dropped, 0);
    /// deallocate(handle);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// To everyone who has a pointer into the range it is a write, which takes a while: no reference to what lies
    /// there may be alive, and no thread may read or write it meanwhile. Afterwards it holds zeros, which may
    /// not be a `T`.
    ///
    /// # Errors
    ///
    /// [`HintError::OutOfBounds`], [`HintError::Io`].
    pub unsafe fn discard<T>(&mut self, range: Range<usize>) -> Result<(), HintError> {
        self.hint::<T>(range, sys::lgalloc_discard)
    }

    fn hint<T>(&self, range: Range<usize>, call: Hint) -> Result<(), HintError> {
        // SAFETY: a handle that exists is an allocation in use, or holds nothing.
        unsafe { hint::<T>(self.raw(), range, call) }
    }
}

/// One of the hint functions of the C library.
pub(crate) type Hint = unsafe extern "C" fn(sys::lgalloc_handle, usize, usize) -> sys::lgalloc_status;

/// Gives a hint for elements of type `T`.
///
/// # Safety
///
/// The handle is an allocation in use, or holds nothing.
pub(crate) unsafe fn hint<T>(
    handle: sys::lgalloc_handle,
    range: Range<usize>,
    call: Hint,
) -> Result<(), HintError> {
    let bytes = |elements: usize| elements.checked_mul(size_of::<T>());
    let out_of_bounds = || {
        HintError::OutOfBounds(PrefetchError::OutOfBounds {
            byte_offset: range.start.saturating_mul(size_of::<T>()),
            byte_len: range.end.saturating_sub(range.start).saturating_mul(size_of::<T>()),
            allocation_len: handle.len,
        })
    };
    let (offset, len) = match (bytes(range.start), range.end.checked_sub(range.start).and_then(bytes)) {
        (Some(offset), Some(len)) => (offset, len),
        _ => return Err(out_of_bounds()),
    };
    // No element, wherever: as in the crate, also where nothing is allocated.
    if len == 0 || handle.len == 0 {
        return Ok(());
    }
    // SAFETY: the caller's promise; the range is checked there.
    match unsafe { call(handle, offset, len) } {
        sys::LGALLOC_STATUS_OK => Ok(()),
        sys::LGALLOC_STATUS_IO => Err(HintError::Io(io::Error::last_os_error())),
        sys::LGALLOC_STATUS_OUT_OF_BOUNDS => Err(out_of_bounds()),
        other => Err(HintError::Io(io::Error::new(io::ErrorKind::InvalidInput, status_text(other)))),
    }
}

/// Allocates memory for at least `capacity` elements, and returns where it starts, how many elements fit,
/// and its owner. The contents are undefined. Zero elements and zero-sized ones take no memory.
///
/// ```
/// use lgalloc_c::{allocate, deallocate, Backing, Options};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let (ptr, capacity, handle) = allocate::<u64>(200_000)?;
/// // SAFETY: the memory is as long as said, until the handle is given back.
/// unsafe { ptr.as_ptr().add(capacity - 1).write(7) };
/// deallocate(handle);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// See [`AllocError`]; no memory is handed out.
pub fn allocate<T>(capacity: usize) -> Result<(NonNull<T>, usize, Handle), AllocError> {
    allocate_by(capacity, sys::lgalloc_allocate)
}

/// As [`allocate`], and every byte is zero. What is known to be zero is not written again.
///
/// ```
/// use lgalloc_c::{allocate_zeroed, deallocate, Backing, Options};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let (ptr, capacity, handle) = allocate_zeroed::<u64>(200_000)?;
/// // SAFETY: the memory is as long as said, until the handle is given back.
/// assert_eq!(unsafe { ptr.as_ptr().add(capacity - 1).read() }, 0);
/// deallocate(handle);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// See [`AllocError`]; no memory is handed out.
pub fn allocate_zeroed<T>(capacity: usize) -> Result<(NonNull<T>, usize, Handle), AllocError> {
    allocate_by(capacity, sys::lgalloc_allocate_zeroed)
}

type Allocate = unsafe extern "C" fn(
    usize,
    usize,
    usize,
    *mut *mut std::os::raw::c_void,
    *mut usize,
    *mut sys::lgalloc_handle,
) -> sys::lgalloc_status;

fn allocate_by<T>(capacity: usize, call: Allocate) -> Result<(NonNull<T>, usize, Handle), AllocError> {
    let mut ptr = std::ptr::null_mut();
    let mut actual = 0;
    let mut raw = MaybeUninit::uninit();
    // SAFETY: the out pointers are valid; all three are written in any case.
    let (status, raw) = unsafe {
        let status = call(capacity, size_of::<T>(), align_of::<T>(), &mut ptr, &mut actual, raw.as_mut_ptr());
        (status, raw.assume_init())
    };
    match status {
        sys::LGALLOC_STATUS_OK => {
            // SAFETY: never NULL on success.
            let (ptr, start) = unsafe { (NonNull::new_unchecked(ptr), NonNull::new_unchecked(raw.ptr)) };
            Ok((ptr.cast(), actual, Handle { ptr: start.cast(), len: raw.len }))
        }
        // What is left to be an invalid argument is a size that overflows.
        sys::LGALLOC_STATUS_INVALID_ARGUMENT => {
            Err(AllocError::InvalidSizeClass(size_class_of(capacity, size_of::<T>())))
        }
        other => Err(AllocError::from_status(other, size_class_of(capacity, size_of::<T>()))),
    }
}

/// Frees an allocation, on any thread, also while the allocator is disabled. Nobody may use the memory
/// afterwards; elements in it are not dropped.
///
/// ```
/// use lgalloc_c::{allocate, deallocate, Backing, Options};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// deallocate(allocate::<u8>(2 << 20)?.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn deallocate(handle: Handle) {
    // SAFETY: the handle came from `allocate`, and is consumed: it is freed once.
    unsafe { sys::lgalloc_deallocate(handle.raw()) }
}
