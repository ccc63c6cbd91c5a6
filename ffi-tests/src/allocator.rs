//! The C library as an allocator of collections and of whole programs.

use std::alloc::{GlobalAlloc, Layout};

use crate::sys;

/// An allocator for blocks of any size: regions from 64 KiB on, and the heap of the C library below, and where no
/// region is to be had, which [`heap_fallbacks`](crate::stats::GlobalStats::heap_fallbacks) counts. A limit that is
/// reached stays a limit.
///
/// For a whole program; before the options are applied all blocks are on the heap, and either may be freed at any time:
///
/// ```
/// use lgalloc_c::{stats, Backing, Lgalloc, Options};
///
/// #[global_allocator]
/// static ALLOCATOR: Lgalloc = Lgalloc;
///
/// Options::new().enable().backing(Backing::Anonymous).apply()?;
/// let numbers = vec![1u64; 1 << 20];
/// assert_eq!(stats::global().in_use_bytes, 8 << 20);
/// drop(numbers);
/// # Ok::<(), lgalloc_c::AllocError>(())
/// ```
///
/// For a whole program memory should be anonymous: a child of `fork` loses the regions on files, and with them here
/// whatever the program had in blocks of 64 KiB and more.
///
/// With the feature `allocator-api2` for single collections, those of that crate, of `hashbrown` and others:
/// `Vec::new_in(Lgalloc)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Lgalloc;

/// To what every block is aligned, on the heap too.
const ALWAYS_ALIGNED: usize = 16;

/// What writes no more than needed: fresh regions are known to be zero.
fn zeroed(layout: Layout) -> *mut u8 {
    // SAFETY: no requirement but what free demands; the layout's size fits in an `isize`.
    unsafe {
        let ptr: *mut u8 = sys::lgalloc_any_calloc(layout.size(), 1).cast();
        if ptr as usize % layout.align() == 0 {
            return ptr; // NULL as well
        }
        sys::lgalloc_any_free(ptr.cast());
        let ptr: *mut u8 = sys::lgalloc_any_aligned(layout.align(), layout.size()).cast();
        if !ptr.is_null() {
            ptr.write_bytes(0, layout.size());
        }
        ptr
    }
}

/// A block of another size with the same contents, as far as they fit; the old one is valid where this is NULL.
///
/// # Safety
///
/// The block is one of this allocator's, and has the layout; the new size isn't zero.
unsafe fn resized(ptr: *mut u8, old: Layout, new: Layout) -> *mut u8 {
    // SAFETY: as the caller promises; what is copied is within both.
    unsafe {
        if old.align() <= ALWAYS_ALIGNED && new.align() <= ALWAYS_ALIGNED {
            return sys::lgalloc_any_realloc(ptr.cast(), new.size()).cast();
        }
        let moved = Lgalloc.alloc(new);
        if !moved.is_null() {
            moved.copy_from_nonoverlapping(ptr, old.size().min(new.size()));
            sys::lgalloc_any_free(ptr.cast());
        }
        moved
    }
}

// SAFETY: the C library's functions take any size from any thread, and unwind never.
unsafe impl GlobalAlloc for Lgalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no requirement.
        unsafe {
            if layout.align() <= ALWAYS_ALIGNED {
                sys::lgalloc_any_malloc(layout.size()).cast()
            } else {
                sys::lgalloc_any_aligned(layout.align(), layout.size()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, _: Layout) {
        // SAFETY: the caller's block.
        unsafe { sys::lgalloc_any_free(ptr.cast()) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        zeroed(layout)
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { resized(ptr, layout, Layout::from_size_align_unchecked(new_size, layout.align())) }
    }
}

/// With the feature `allocator-api2`.
#[cfg(feature = "allocator-api2")]
mod of_collections {
    use std::ptr::{slice_from_raw_parts_mut, NonNull};

    use allocator_api2::alloc::{AllocError, Allocator};

    use super::{resized, zeroed, GlobalAlloc, Layout, Lgalloc};

    /// An address for no bytes.
    fn dangling(layout: Layout) -> NonNull<u8> {
        // SAFETY: an alignment is never zero.
        unsafe { NonNull::new_unchecked(layout.align() as *mut u8) }
    }

    fn block(ptr: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        NonNull::new(slice_from_raw_parts_mut(ptr, layout.size())).ok_or(AllocError)
    }

    // SAFETY: blocks belong to the process, and every value of the type frees them.
    unsafe impl Allocator for Lgalloc {
        #[inline]
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            match layout.size() {
                0 => block(dangling(layout).as_ptr(), layout),
                // SAFETY: not of size zero.
                _ => block(unsafe { self.alloc(layout) }, layout),
            }
        }

        #[inline]
        fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            match layout.size() {
                0 => block(dangling(layout).as_ptr(), layout),
                _ => block(zeroed(layout), layout),
            }
        }

        #[inline]
        unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
            if layout.size() != 0 {
                // SAFETY: the caller's block.
                unsafe { self.dealloc(ptr.as_ptr(), layout) }
            }
        }

        #[inline]
        unsafe fn grow(
            &self,
            ptr: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            match old.size() {
                0 => self.allocate(new),
                // SAFETY: as the caller promises; what is larger than something isn't zero.
                _ => block(unsafe { resized(ptr.as_ptr(), old, new) }, new),
            }
        }

        #[inline]
        unsafe fn grow_zeroed(
            &self,
            ptr: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            if old.size() == 0 {
                return self.allocate_zeroed(new);
            }
            // SAFETY: as the caller promises; what is behind the old size is within the new one.
            unsafe {
                let grown = block(resized(ptr.as_ptr(), old, new), new)?;
                grown.cast::<u8>().as_ptr().add(old.size()).write_bytes(0, new.size() - old.size());
                Ok(grown)
            }
        }

        #[inline]
        unsafe fn shrink(
            &self,
            ptr: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            if new.size() == 0 {
                // SAFETY: the caller's block.
                unsafe { self.deallocate(ptr, old) };
                return block(dangling(new).as_ptr(), new);
            }
            // SAFETY: as the caller promises; what is not smaller than something isn't zero.
            block(unsafe { resized(ptr.as_ptr(), old, new) }, new)
        }
    }
}
