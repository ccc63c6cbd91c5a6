//! Version 0.1.6: regions of 64 KiB to 4 GiB in files.

use std::path::Path;

use lgalloc_0_1_6::{lgalloc_set_config, AllocError, LgAlloc, Region};
use lgalloc_contestants::{export, Version};

struct Regions;

impl Version for Regions {
    type Owner = Region<u8>;
    type Words = [*mut u8; 5];
    type Error = AllocError;

    fn configure(path: &Path) {
        lgalloc_set_config(LgAlloc::new().enable().with_path(path.to_path_buf()))
    }

    #[inline(always)]
    fn allocate(size: usize) -> Result<(*mut u8, Self::Owner), Self::Error> {
        Region::new_mmap(size).map(|region| (region.as_vec().as_ptr() as *mut u8, region))
    }

    // A vector's capacity, address and length; the memory's address and size.
    #[inline(always)]
    fn words(start: *mut u8, size: usize) -> Self::Words {
        let size = size as *mut u8;
        [size, start, std::ptr::null_mut(), start, size]
    }

    #[inline(always)]
    fn release(owner: Self::Owner) {
        drop(owner)
    }
}

export!(Regions);
