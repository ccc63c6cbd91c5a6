//! The trait that allocators implement, as far as `lgalloc-c` does.

/// What the crate has in a module of this name.
pub mod alloc {
    pub use std::alloc::Layout;
    use std::ptr::NonNull;

    /// No memory.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct AllocError;

    /// An allocator that values of collections are made with.
    ///
    /// # Safety
    ///
    /// Blocks are valid until they are given back, also where the allocator is moved or cloned.
    #[allow(clippy::missing_safety_doc, clippy::missing_errors_doc)]
    pub unsafe trait Allocator {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError>;
        fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError>;
        unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout);
        unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError>;
        unsafe fn grow_zeroed(
            &self,
            ptr: NonNull<u8>,
            old: Layout,
            new: Layout,
        ) -> Result<NonNull<[u8]>, AllocError>;
        unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout)
            -> Result<NonNull<[u8]>, AllocError>;
    }
}
