//! Regions: vectors of fixed capacity.

mod convert;
mod hints;
mod sealed;

use std::mem::{align_of, size_of, ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::os::raw::c_void;

pub use sealed::{Pinned, Sealed, SealedError, UnsealError};

use crate::error::size_class_of;
use crate::{sys, AllocError};

/// A vector of fixed capacity, on the heap or in mapped memory. It is never re-allocated, and does not drop
/// its elements.
///
/// ```
/// use lgalloc_c::{Backing, Options, Region};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// match &Region::<u8>::new_auto(2 << 20) {
///     Region::MMap(mapped) => assert!(mapped.is_empty()),
///     Region::Heap(vec) => panic!("{:?}", vec),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub enum Region<T> {
    /// On the heap; also every region without memory.
    Heap(Vec<T>),
    /// In mapped memory.
    MMap(MMapRegion<T>),
}

/// A region in mapped memory.
///
/// ```
/// use lgalloc_c::{Backing, Options, Region};
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// if let Region::MMap(mapped) = &Region::<u8>::new_mmap(2 << 20)? {
///     assert_eq!(mapped.len(), 0);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MMapRegion<T> {
    /// A vector over the mapped memory. It must never be dropped, grown or shrunk, since the memory is not
    /// the heap's; only shared references to it leave this module.
    ///
    /// It tells all there is to know of the region: its bytes are those of the capacity, rounded up to a power
    /// of two. Whatever else stood here would be moved with every region.
    inner: ManuallyDrop<Vec<T>>,
}

impl<T> MMapRegion<T> {
    /// Takes over memory that the C library mapped.
    ///
    /// # Safety
    ///
    /// It is a region of so many bytes, a power of two that is not less than an element's size, and nobody
    /// else has it.
    #[inline]
    unsafe fn new(ptr: *mut c_void, mapped: usize) -> MMapRegion<T> {
        // SAFETY: so many elements of this size fit, and a region is aligned to its own size, which is not less
        // than an element's alignment. The vector never reaches its allocator.
        let inner = unsafe { Vec::from_raw_parts(ptr.cast(), 0, mapped / size_of::<T>()) };
        MMapRegion { inner: ManuallyDrop::new(inner) }
    }

    /// Bytes of the elements that fit: more than half of the region's, which is the next power of two, since
    /// what is left has no place for another element.
    #[inline]
    fn bytes(&self) -> usize {
        self.inner.capacity() * size_of::<T>()
    }

    /// The region as the C library made it.
    #[inline]
    fn raw(&self) -> sys::lgalloc_region {
        sys::lgalloc_region {
            ptr: self.inner.as_ptr() as *mut c_void,
            len: self.inner.len(),
            capacity: self.inner.capacity(),
            elem_size: size_of::<T>(),
            mapped: self.bytes().next_power_of_two(),
        }
    }
}

impl<T> Deref for MMapRegion<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.inner
    }
}

impl<T> Drop for MMapRegion<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the region owns its memory, which nobody uses after this.
        unsafe { sys::lgalloc_free_sized(self.inner.as_mut_ptr().cast(), self.bytes()) }
    }
}

/// A mapped region for at least one element that isn't zero-sized.
#[inline]
fn new_mapped<T>(capacity: usize) -> Result<MMapRegion<T>, AllocError> {
    let mut handle = MaybeUninit::<sys::lgalloc_handle>::uninit();
    // SAFETY: the out pointer is valid, and written in any case. The status must be looked at before anything
    // else is called, for `errno`.
    unsafe {
        let (no_ptr, no_capacity) = (std::ptr::null_mut(), std::ptr::null_mut());
        let (size, align) = (size_of::<T>(), align_of::<T>());
        match sys::lgalloc_allocate(capacity, size, align, no_ptr, no_capacity, handle.as_mut_ptr()) {
            sys::LGALLOC_STATUS_OK => {
                // Field by field: copying it whole right after it was written stalls the processor for
                // longer than the call takes.
                let handle = &*handle.as_ptr();
                Ok(MMapRegion::new(handle.ptr, handle.len))
            }
            status => Err(failure(status, size_class_of(capacity, size))),
        }
    }
}

/// The same, or none where the C library takes the heap, and counts that.
fn new_mapped_or_heap<T>(capacity: usize) -> Result<Option<MMapRegion<T>>, AllocError> {
    let mut raw = MaybeUninit::<sys::lgalloc_region>::uninit();
    // SAFETY: the out pointer is valid, and written in any case.
    let (status, raw) = unsafe {
        let status =
            sys::lgalloc_region_new_auto(capacity, size_of::<T>(), align_of::<T>(), raw.as_mut_ptr());
        (status, &mut *raw.as_mut_ptr())
    };
    if status != sys::LGALLOC_STATUS_OK {
        // An empty region, which need not be dropped.
        return Err(failure(status, size_class_of(capacity, size_of::<T>())));
    }
    if raw.mapped > 0 {
        // SAFETY: a mapped region for elements of this type.
        return Ok(Some(unsafe { MMapRegion::new(raw.ptr, raw.mapped) }));
    }
    // SAFETY: nobody has seen the region.
    unsafe { sys::lgalloc_region_drop(raw) };
    Ok(None)
}

#[cold]
fn failure(status: sys::lgalloc_status, class: usize) -> AllocError {
    match status {
        // What is left to be an invalid argument is a size that overflows.
        sys::LGALLOC_STATUS_INVALID_ARGUMENT => AllocError::InvalidSizeClass(class),
        other => AllocError::from_status(other, class),
    }
}

impl<T> Default for Region<T> {
    fn default() -> Self {
        Self::new_empty()
    }
}

impl<T> Region<T> {
    /// A region without memory.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert_eq!(Region::<u8>::new_empty().capacity(), 0);
    /// ```
    #[inline]
    #[must_use]
    pub fn new_empty() -> Region<T> {
        Region::Heap(Vec::new())
    }

    /// A region on the heap.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let region: Region<u8> = Region::new_heap(100);
    /// assert!(region.capacity() >= 100 && !region.is_mapped());
    /// ```
    #[inline]
    #[must_use]
    pub fn new_heap(capacity: usize) -> Region<T> {
        Region::Heap(Vec::with_capacity(capacity))
    }

    /// A region in mapped memory, for at least `capacity` elements: as many fit as the next power of two
    /// has room for. Zero elements and zero-sized ones take no memory.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let region: Region<u64> = Region::new_mmap(200_000)?;
    /// assert_eq!(region.capacity(), 1 << 18);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`AllocError`]; no memory is handed out.
    #[inline]
    pub fn new_mmap(capacity: usize) -> Result<Region<T>, AllocError> {
        if size_of::<T>() == 0 || capacity == 0 {
            return Ok(Region::new_heap(capacity));
        }
        new_mapped(capacity).map(Region::MMap)
    }

    /// A region in mapped memory from 64 KiB to 64 GiB, else on the heap; on the heap also where mapped
    /// memory can't be had. [`Region::try_new_auto`] returns an error where this one panics.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// assert!(Region::<u64>::new_auto(200_000).is_mapped());
    /// assert!(!Region::<u64>::new_auto(20).is_mapped());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Where a configured limit is reached: the heap would only evade it.
    #[inline]
    #[must_use]
    pub fn new_auto(capacity: usize) -> Region<T> {
        match Self::try_new_auto(capacity) {
            Ok(region) => region,
            Err(error) => panic!("no region for {} elements: {}", capacity, error),
        }
    }

    /// As [`Region::new_auto`], with an error where a configured limit is reached.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// Options::new().limit_bytes(1 << 20).apply()?;
    /// assert!(Region::<u8>::try_new_auto(1 << 20).is_ok());
    /// assert!(Region::<u8>::try_new_auto(2 << 20).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError::OutOfMemory`]. Where the heap is the place and has no more, the program ends as with
    /// any vector.
    pub fn try_new_auto(capacity: usize) -> Result<Region<T>, AllocError> {
        let bytes = capacity.saturating_mul(size_of::<T>());
        let smallest = 1 << sys::LGALLOC_SIZE_CLASS_MIN_LOG2;
        let largest = 1 << sys::LGALLOC_SIZE_CLASS_MAX_LOG2;
        if bytes < smallest || bytes > largest {
            return Ok(Region::new_heap(capacity));
        }
        match new_mapped_or_heap(capacity)? {
            Some(region) => Ok(Region::MMap(region)),
            // The C library decided for the heap and counted it. But `Region::Heap` is a vector, whose memory
            // has to come from this program's own allocator.
            None => Ok(Region::new_heap(capacity)),
        }
    }

    /// Sets the length to 0 and keeps the memory.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let mut region: Region<u32> = Region::new_heap(3);
    /// region.extend_from_slice(&[1, 2, 3]);
    /// // SAFETY: numbers own nothing.
    /// unsafe { region.clear() };
    /// assert!(region.is_empty());
    /// ```
    ///
    /// # Safety
    ///
    /// As in the crate. Elements are not dropped, which may leak what they own, and no more.
    #[inline]
    pub unsafe fn clear(&mut self) {
        // SAFETY: no element needs to be initialized.
        unsafe { self.vec_mut().set_len(0) };
    }

    /// How many elements fit; `usize::MAX` for zero-sized ones.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert_eq!(Region::<()>::new_empty().capacity(), usize::MAX);
    /// ```
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.as_vec().capacity()
    }

    /// How many elements there are.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert_eq!(Region::from(vec![1, 2, 3]).len(), 3);
    /// ```
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_vec().len()
    }

    /// Whether there is no element.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert!(Region::<u8>::new_heap(100).is_empty());
    /// ```
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_vec().is_empty()
    }

    /// The elements as a vector.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// assert_eq!(Region::from(vec![1, 2, 3]).as_vec(), &[1, 2, 3]);
    /// ```
    #[inline]
    #[must_use]
    pub fn as_vec(&self) -> &Vec<T> {
        match self {
            Region::Heap(vec) => vec,
            Region::MMap(region) => &region.inner,
        }
    }

    /// Appends elements.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let mut region = Region::new_heap(10);
    /// region.extend((0..10).map(|n| n * n));
    /// assert_eq!(region[9], 81);
    /// ```
    ///
    /// # Panics
    ///
    /// Where they don't fit. If the iterator's length says so beforehand, nothing was appended; if it
    /// lied, what fits was.
    #[inline]
    pub fn extend<I: IntoIterator<Item = T> + ExactSizeIterator>(&mut self, iter: I) {
        let spare = self.capacity() - self.len();
        assert!(iter.len() <= spare, "{} elements for a region with room for {}", iter.len(), spare);
        // The length is a promise of safe code: what matters is that no more than `spare` are taken.
        let mut iter = IntoIterator::into_iter(iter);
        self.vec_mut().extend(iter.by_ref().take(spare));
        assert!(self.capacity() > self.len() || iter.next().is_none(), "more elements than announced");
    }

    /// The memory behind the elements, to be filled before [`Region::set_len`].
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let mut region: Region<u8> = Region::new_heap(10);
    /// region.spare_capacity_mut()[0].write(7);
    /// // SAFETY: the first was written.
    /// unsafe { region.set_len(1) };
    /// assert_eq!(region[..], [7]);
    /// ```
    #[inline]
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        self.vec_mut().spare_capacity_mut()
    }

    /// Says how many elements there are.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let mut region: Region<u8> = Region::new_heap(10);
    /// for byte in region.spare_capacity_mut() {
    ///     byte.write(7);
    /// }
    /// // SAFETY: ten were written at least.
    /// unsafe { region.set_len(10) };
    /// assert_eq!(region[9], 7);
    /// ```
    ///
    /// # Safety
    ///
    /// The first `len` elements must be initialized.
    ///
    /// # Panics
    ///
    /// Where `len` exceeds the capacity.
    #[inline]
    pub unsafe fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "a length of {} in a region of {}", len, self.capacity());
        // SAFETY: within the capacity, and initialized as the caller promises.
        unsafe { self.vec_mut().set_len(len) };
    }

    /// Whether the region is in mapped memory.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// assert!(Region::<u8>::new_mmap(2 << 20)?.is_mapped());
    /// assert!(!Region::<u8>::new_heap(2 << 20).is_mapped());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        matches!(self, Region::MMap(_))
    }

    /// The vector, for these modules alone: it must not grow.
    #[inline]
    fn vec_mut(&mut self) -> &mut Vec<T> {
        match self {
            Region::Heap(vec) => vec,
            Region::MMap(region) => &mut region.inner,
        }
    }
}

impl<T: Clone> Region<T> {
    /// Appends copies of elements.
    ///
    /// ```
    /// # use lgalloc_c::Region;
    /// let mut region: Region<u8> = Region::new_heap(3);
    /// region.extend_from_slice(b"abc");
    /// assert_eq!(&region[..], b"abc");
    /// ```
    ///
    /// # Panics
    ///
    /// Where they don't fit; nothing was appended.
    #[inline]
    pub fn extend_from_slice(&mut self, slice: &[T]) {
        let spare = self.capacity() - self.len();
        assert!(slice.len() <= spare, "{} elements for a region with room for {}", slice.len(), spare);
        self.vec_mut().extend_from_slice(slice);
    }
}

impl<T> Deref for Region<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_vec()
    }
}

impl<T> DerefMut for Region<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.vec_mut()
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Region<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_vec().fmt(f)
    }
}

impl<T> Drop for Region<T> {
    #[inline]
    fn drop(&mut self) {
        if let Region::Heap(vec) = self {
            // SAFETY: without elements the vector frees its memory and drops none of them.
            unsafe { vec.set_len(0) }
        }
    }
}
