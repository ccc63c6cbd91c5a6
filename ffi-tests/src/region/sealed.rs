//! Regions whose contents are final, and that need not be in memory.

use std::error::Error;
use std::fmt;
use std::io;
use std::mem::{size_of, ManuallyDrop};
use std::ops::{Deref, Range};
use std::os::raw::c_void;

use super::Region;
use crate::error::status_text;
use crate::sys;

/// Why a sealed region is not there, or not as asked for.
///
/// ```
/// use lgalloc_c::{Backing, Options, Region, SealedError};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let mut region: Region<u64> = Region::new_mmap(1 << 18)?;
/// region.extend_from_slice(&[1, 2, 3]);
/// let sealed = region.seal();
/// match sealed.evict() {
///     Ok(()) => println!("it is on disk now"),
///     Err(SealedError::Io(error)) => println!("it stays in memory: {}", error), // nowhere to write it
///     Err(error) => return Err(error.into()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SealedError {
    /// Reading or writing failed, or there is nowhere to write to.
    Io(io::Error),
    /// There is no room below the limit: all else is in use or pinned, or can't be written.
    OutOfMemory,
    /// It is on disk, and would have to be loaded.
    NotResident,
    /// It is pinned.
    Busy,
    /// The range reaches beyond the elements.
    OutOfBounds,
    /// It can't be evicted: it is on the heap or on files, or smaller than 2 MiB.
    NotEvictable,
}

impl SealedError {
    /// The error for a status; must be called before anything else can change `errno`.
    fn check(status: sys::lgalloc_status) -> Result<(), SealedError> {
        match status {
            sys::LGALLOC_STATUS_OK => Ok(()),
            sys::LGALLOC_STATUS_IO => Err(SealedError::Io(io::Error::last_os_error())),
            sys::LGALLOC_STATUS_OUT_OF_MEMORY => Err(SealedError::OutOfMemory),
            sys::LGALLOC_STATUS_NOT_RESIDENT => Err(SealedError::NotResident),
            sys::LGALLOC_STATUS_BUSY => Err(SealedError::Busy),
            sys::LGALLOC_STATUS_OUT_OF_BOUNDS => Err(SealedError::OutOfBounds),
            sys::LGALLOC_STATUS_INVALID_SIZE_CLASS => Err(SealedError::NotEvictable),
            // In the child of a fork: it was evicted, and is lost.
            other => Err(SealedError::Io(io::Error::new(io::ErrorKind::NotFound, status_text(other)))),
        }
    }
}

impl fmt::Display for SealedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealedError::Io(error) => write!(f, "reading or writing an evicted region failed: {}", error),
            SealedError::OutOfMemory => f.write_str("no room in memory"),
            SealedError::NotResident => f.write_str("the region is not in memory"),
            SealedError::Busy => f.write_str("the region is pinned"),
            SealedError::OutOfBounds => f.write_str("the range is not within the region"),
            SealedError::NotEvictable => f.write_str("the region can't be evicted"),
        }
    }
}

impl Error for SealedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SealedError::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// A region whose contents are final. While nobody has it pinned, it may be evicted: written to disk, its memory given
/// back. A pin loads it again, to the same address.
///
/// What is evicted, and when, is the library's affair, as long as [`limit_bytes`](crate::Options::limit_bytes) and
/// [`with_spill`](crate::Options::with_spill) are set; [`Sealed::evict`] does it at once. What is dropped before memory is
/// short is never written.
///
/// ```
/// use lgalloc_c::{Backing, Options, Region};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let sealed: Vec<_> = (0..4)
///     .map(|part| (part * 100..part * 100 + 100).collect::<Region<u64>>().seal())
///     .collect();
/// let mut sum = 0;
/// for part in &sealed {
///     sum += part.pin()?.iter().sum::<u64>();
/// }
/// assert_eq!(sum, 399 * 400 / 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sealed<T: Copy> {
    /// Its elements are not to be touched without a pin.
    region: ManuallyDrop<Region<T>>,
    /// By the C library. Otherwise it is an ordinary region, which is always in memory.
    evictable: bool,
}

/// A sealed region in memory, as long as this lives.
///
/// ```
/// use lgalloc_c::{Backing, Options, Region};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let sealed = (0..1000).collect::<Region<u32>>().seal();
/// let pinned = sealed.pin()?;
/// assert_eq!(pinned.binary_search(&700), Ok(700));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Its elements don't outlive it, and neither it nor they outlive the region:
///
/// ```compile_fail
/// # use lgalloc_c::Region;
/// let sealed = Region::from(vec![1, 2, 3]).seal();
/// let pinned = sealed.pin().unwrap();
/// drop(sealed);
/// println!("{}", pinned[0]);
/// ```
#[must_use = "the region is pinned only as long as this lives"]
pub struct Pinned<'a, T: Copy> {
    sealed: &'a Sealed<T>,
}

/// A region that could not be unsealed, and why.
///
/// ```
/// use lgalloc_c::{Region, UnsealError};
///
/// let sealed = Region::from(vec![1, 2, 3]).seal();
/// let region = sealed.unseal().or_else(|UnsealError { sealed, .. }| sealed.unseal())?;
/// assert_eq!(region[..], [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UnsealError<T: Copy> {
    /// The region, sealed as before.
    pub sealed: Sealed<T>,
    /// Why.
    pub error: SealedError,
}

impl<T: Copy> Region<T> {
    /// Says that the contents are final, so that the region need not be in memory all the time. For elements that are
    /// plain data, since they come back from disk as the bytes that they were.
    ///
    /// Regions on the heap and on files can be sealed too, and stay as they are: pins find them in memory.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let mut region: Region<u64> = Region::new_mmap(1 << 18)?;
    /// region.extend((0..1000u32).map(u64::from));
    /// let sealed = region.seal();
    /// assert_eq!(sealed.pin()?[999], 999);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Elements that own something can't be sealed:
    ///
    /// ```compile_fail
    /// lgalloc_c::Region::from(vec![String::new()]).seal();
    /// ```
    #[must_use = "a sealed region that is dropped is freed"]
    pub fn seal(self) -> Sealed<T> {
        let evictable = match &self {
            // SAFETY: a region in use, that nobody writes to any more since it is owned here.
            Region::MMap(region) => unsafe {
                let used = region.inner.len() * size_of::<T>();
                sys::lgalloc_seal(handle(&self), used) == sys::LGALLOC_STATUS_OK
            },
            Region::Heap(_) => false,
        };
        Sealed { region: ManuallyDrop::new(self), evictable }
    }
}

/// The handle of a mapped region; one of nothing for others.
fn handle<T>(region: &Region<T>) -> sys::lgalloc_handle {
    match region {
        // SAFETY: the region is in use.
        Region::MMap(region) => unsafe { sys::lgalloc_region_handle(&region.raw()) },
        Region::Heap(_) => sys::lgalloc_handle { ptr: std::ptr::null_mut(), len: 0 },
    }
}

impl<T: Copy> Sealed<T> {
    /// How many elements there are.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert_eq!(Region::from(vec![1, 2, 3]).seal().len(), 3);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.region.len()
    }

    /// Whether there is no element.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert!(Region::<u8>::new_empty().seal().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.region.is_empty()
    }

    /// Whether it could be evicted: it is in mapped memory that is anonymous. Smaller regions than 2 MiB never are.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert!(!Region::from(vec![1, 2, 3]).seal().is_evictable());
    /// ```
    #[must_use]
    pub fn is_evictable(&self) -> bool {
        self.evictable && handle(&self.region).len >= 2 << 20
    }

    /// Has the region in memory as long as the result lives. Waits for the disk, if it is evicted, and never for another
    /// thread's pin. Others are evicted for it where room is short.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let sealed = Region::from(vec![1, 2, 3]).seal();
    /// assert_eq!(sealed.pin()?[..], [1, 2, 3]);
    /// # Ok::<(), lgalloc_c::SealedError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SealedError::OutOfMemory`], and [`SealedError::Io`] where reading failed or what was read is not what was
    /// written. The region stays as it is, and can be tried again.
    #[inline]
    pub fn pin(&self) -> Result<Pinned<'_, T>, SealedError> {
        self.pin_by(sys::lgalloc_pin)
    }

    /// The same without waiting for the disk.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let sealed = Region::from(vec![1, 2, 3]).seal();
    /// let pinned = sealed.try_pin()?;
    /// assert_eq!(pinned[..], [1, 2, 3]);
    /// # Ok::<(), lgalloc_c::SealedError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SealedError::NotResident`].
    #[inline]
    pub fn try_pin(&self) -> Result<Pinned<'_, T>, SealedError> {
        self.pin_by(sys::lgalloc_try_pin)
    }

    #[inline]
    fn pin_by(&self, call: Call) -> Result<Pinned<'_, T>, SealedError> {
        self.call(call)?;
        Ok(Pinned { sealed: self })
    }

    /// Pins all of these, or none: so threads that need several at a time can't wait for one another.
    ///
    /// ```
    /// use lgalloc_c::{Region, Sealed};
    ///
    /// let (a, b) = (Region::from(vec![1, 2]).seal(), Region::from(vec![3, 4]).seal());
    /// let pinned = Sealed::pin_all(&[&a, &b])?;
    /// assert_eq!(pinned[0][0] + pinned[1][1], 5);
    /// # Ok::<(), lgalloc_c::SealedError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SealedError::OutOfMemory`] also where they don't fit below the limit together; [`SealedError::Io`].
    pub fn pin_all<'a>(regions: &[&'a Sealed<T>]) -> Result<Vec<Pinned<'a, T>>, SealedError> {
        let handles: Vec<_> =
            regions.iter().filter(|sealed| sealed.evictable).map(|sealed| handle(&sealed.region)).collect();
        // SAFETY: regions that are sealed.
        SealedError::check(unsafe { sys::lgalloc_pin_all(handles.as_ptr(), handles.len()) })?;
        Ok(regions.iter().map(|&sealed| Pinned { sealed }).collect())
    }

    /// Evicts it now, to have its memory for other things. Where it is on disk already, nothing is done.
    ///
    /// ```
    /// use lgalloc_c::{Region, SealedError};
    ///
    /// let sealed = Region::from(vec![1, 2, 3]).seal();
    /// assert!(matches!(sealed.evict(), Err(SealedError::NotEvictable))); // the heap's
    /// ```
    ///
    /// # Errors
    ///
    /// [`SealedError::Busy`] while it is pinned, [`SealedError::NotEvictable`], and [`SealedError::Io`] where it can't be
    /// written: it stays in memory then.
    pub fn evict(&self) -> Result<(), SealedError> {
        if !self.evictable {
            return Err(SealedError::NotEvictable);
        }
        self.call(sys::lgalloc_evict)
    }

    /// Whether it is in memory. It may be otherwise a moment later.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert!(Region::from(vec![1, 2, 3]).seal().is_resident());
    /// ```
    #[must_use]
    pub fn is_resident(&self) -> bool {
        // SAFETY: a region that is sealed.
        !self.evictable || unsafe { sys::lgalloc_is_resident(handle(&self.region)) }
    }

    /// It is needed soon: loading begins, and somebody else goes on with it. A hint.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let parts = [Region::from(vec![1, 2]).seal(), Region::from(vec![3, 4]).seal()];
    /// parts[1].prefetch();
    /// assert_eq!(parts[0].pin()?.len() + parts[1].pin()?.len(), 4);
    /// # Ok::<(), lgalloc_c::SealedError>(())
    /// ```
    pub fn prefetch(&self) {
        self.hint(sys::lgalloc_prefetch);
    }

    /// It is not needed soon: if something has to be evicted, then this. A hint.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// Region::from(vec![1, 2]).seal().cold();
    /// ```
    pub fn cold(&self) {
        self.hint(sys::lgalloc_cold);
    }

    fn hint(&self, call: crate::handle::Hint) {
        if self.evictable {
            let handle = handle(&self.region);
            // SAFETY: a region that is sealed. That a hint was of no use is no matter.
            let _ = unsafe { call(handle, 0, handle.len) };
        }
    }

    /// Copies elements, from `first` on as many as `out` has, whether they are in memory or not; that stays as it is.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let sealed = Region::from(vec![1, 2, 3, 4]).seal();
    /// let mut two = [0; 2];
    /// sealed.read_into(1, &mut two)?;
    /// assert_eq!(two, [2, 3]);
    /// # Ok::<(), lgalloc_c::SealedError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SealedError::OutOfBounds`]: nothing was copied. [`SealedError::Io`]: what `out` held is as it was.
    pub fn read_into(&self, first: usize, out: &mut [T]) -> Result<(), SealedError> {
        let range: Range<usize> = first..first.checked_add(out.len()).ok_or(SealedError::OutOfBounds)?;
        if range.end > self.len() {
            return Err(SealedError::OutOfBounds);
        }
        if !self.evictable {
            out.copy_from_slice(&self.region[range]);
            return Ok(());
        }
        if out.is_empty() {
            return Ok(());
        }
        // A failed read leaves bytes that need not be elements, so it goes elsewhere first.
        let mut copied: Vec<T> = Vec::with_capacity(out.len());
        // SAFETY: a region that is sealed; so many elements fit, and are there after a success.
        unsafe {
            let bytes = std::mem::size_of_val(out);
            let to = copied.as_mut_ptr().cast::<c_void>();
            SealedError::check(sys::lgalloc_read(handle(&self.region), first * size_of::<T>(), bytes, to))?;
            copied.set_len(out.len());
        }
        out.copy_from_slice(&copied);
        Ok(())
    }

    /// Makes it an ordinary region again, in memory and writable.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let mut region = Region::from(vec![1, 2, 3]).seal().unseal()?;
    /// region[0] = 7;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Sealed::pin`], with the region as it was.
    pub fn unseal(mut self) -> Result<Region<T>, UnsealError<T>> {
        if let Err(error) = self.call(sys::lgalloc_unseal) {
            return Err(UnsealError { sealed: self, error });
        }
        // SAFETY: taken once, since this value is forgotten.
        let region = unsafe { ManuallyDrop::take(&mut self.region) };
        std::mem::forget(self);
        Ok(region)
    }

    #[inline]
    fn call(&self, call: Call) -> Result<(), SealedError> {
        if !self.evictable {
            return Ok(());
        }
        // SAFETY: a region that is sealed.
        SealedError::check(unsafe { call(handle(&self.region)) })
    }
}

/// What the C library does with a region.
type Call = unsafe extern "C" fn(sys::lgalloc_handle) -> sys::lgalloc_status;

impl<T: Copy> Drop for Sealed<T> {
    /// In whatever state it is. A region with a pin that was leaked ([`std::mem::forget`]) is leaked too: what the pin lent
    /// may be in use for ever.
    fn drop(&mut self) {
        // What is evicted has no pin; of what is resident, unsealing tells.
        let leaked = self.evictable
            && self.is_resident()
            && matches!(self.call(sys::lgalloc_unseal), Err(SealedError::Busy));
        if !leaked {
            // SAFETY: once, and nobody has a reference to what is in it.
            unsafe { ManuallyDrop::drop(&mut self.region) }
        }
    }
}

impl<T: Copy> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("len", &self.len()).field("resident", &self.is_resident()).finish()
    }
}

impl<T: Copy> Deref for Pinned<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.sealed.region
    }
}

impl<T: Copy> Drop for Pinned<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.sealed.evictable {
            // SAFETY: this value's pin, which is given back once.
            unsafe { sys::lgalloc_unpin(handle(&self.sealed.region)) }
        }
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for Pinned<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Copy> fmt::Debug for UnsealError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsealError").field("sealed", &self.sealed).field("error", &self.error).finish()
    }
}

impl<T: Copy> fmt::Display for UnsealError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T: Copy> Error for UnsealError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
