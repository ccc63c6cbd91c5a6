//! Hints about a region's memory.

use std::mem::size_of;
use std::ops::Range;

use super::Region;
use crate::handle::{hint, Hint};
use crate::{sys, HintError};

impl<T> Region<T> {
    /// Tells the system that the elements of this range will be read soon; the range may reach to the
    /// capacity. On the heap, hints do nothing.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let mut region: Region<u64> = Region::new_mmap(1 << 18)?;
    /// region.extend((0..1000u32).map(u64::from));
    /// region.prefetch(0..region.len())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HintError::OutOfBounds`], [`HintError::Io`].
    pub fn prefetch(&self, range: Range<usize>) -> Result<(), HintError> {
        self.hint(range, sys::lgalloc_prefetch)
    }

    /// Backs the elements of this range with memory, and disk blocks, now. Contents stay.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let mut region: Region<u64> = Region::new_mmap(1 << 18)?;
    /// region.extend((0..1000u32).map(u64::from));
    /// region.populate(0..region.capacity())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HintError::OutOfBounds`], and [`HintError::Io`] where a disk is full.
    pub fn populate(&self, range: Range<usize>) -> Result<(), HintError> {
        self.hint(range, sys::lgalloc_populate)
    }

    /// Tells the system that the elements of this range will not be used soon. Contents stay.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let mut region: Region<u64> = Region::new_mmap(1 << 18)?;
    /// region.extend((0..1000u32).map(u64::from));
    /// region.cold(0..region.len())?;
    /// assert_eq!(region[999], 999);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HintError::OutOfBounds`], [`HintError::Io`].
    pub fn cold(&self, range: Range<usize>) -> Result<(), HintError> {
        self.hint(range, sys::lgalloc_cold)
    }

    /// Gives back the memory and disk blocks of the whole pages behind the elements.
    ///
    /// ```
    /// use lgalloc_c::{Backing, Options, Region};
    ///
    /// Options::new().enable().backing(Backing::Anonymous).apply()?;
    /// let mut region: Region<u64> = Region::new_mmap(1 << 18)?;
    /// region.extend((0..1000u32).map(u64::from));
    /// region.discard_spare()?;
    /// assert_eq!(region[999], 999);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HintError::Io`].
    pub fn discard_spare(&mut self) -> Result<(), HintError> {
        if let Region::MMap(region) = self {
            let used = region.inner.len() * size_of::<T>();
            // SAFETY: the region is in use, and what lies behind its elements is nobody's.
            return unsafe {
                let handle = sys::lgalloc_region_handle(&region.raw());
                hint::<u8>(handle, used..handle.len, sys::lgalloc_discard)
            };
        }
        Ok(())
    }

    fn hint(&self, range: Range<usize>, call: Hint) -> Result<(), HintError> {
        let handle = match self {
            // SAFETY: the region is in use.
            Region::MMap(region) => unsafe { sys::lgalloc_region_handle(&region.raw()) },
            Region::Heap(_) => return Ok(()),
        };
        // SAFETY: as above.
        unsafe { hint::<T>(handle, range, call) }
    }
}
