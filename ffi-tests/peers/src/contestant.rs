//! What the benches need of an allocator: bytes, through the interface that a program would use, and nothing
//! in the way.

use std::path::Path;
use std::sync::Mutex;

use ours::{Backing, Options};

/// An allocator, known when the bench is compiled.
pub trait Contestant: 'static {
    /// What owns an allocation.
    type Block: Send;
    /// The name in tables.
    const NAME: &'static str;
    /// Bytes of its smallest region.
    const SMALLEST: usize = 64 << 10;
    /// Called before every measurement.
    fn prepare(path: &Path);
    /// Allocates.
    fn allocate(bytes: usize) -> Self::Block;
    /// Where the memory starts.
    fn start(block: &Self::Block) -> *mut u8;
    /// Frees.
    fn free(block: Self::Block);
}

/// A contestant with the interface of 0.1.6.
macro_rules! region_contestant {
    ($type:ident, $krate:ident, $name:literal, $prepare:expr) => {
        /// Regions.
        pub struct $type;

        impl Contestant for $type {
            type Block = $krate::Region<u8>;
            const NAME: &'static str = $name;

            fn prepare(path: &Path) {
                let prepare: fn(&Path) = $prepare;
                prepare(path)
            }

            #[inline(always)]
            fn allocate(bytes: usize) -> Self::Block {
                match $krate::Region::new_mmap(bytes) {
                    Ok(region) => region,
                    Err(error) => panic!("{} bytes of {}: {}", bytes, $name, error),
                }
            }

            #[inline(always)]
            fn start(block: &Self::Block) -> *mut u8 {
                block.as_vec().as_ptr() as *mut u8
            }

            #[inline(always)]
            fn free(block: Self::Block) {
                drop(block)
            }
        }
    };
}

/// A contestant with the interface of the later versions.
macro_rules! handle_contestant {
    ($type:ident, $krate:ident, $name:literal, $smallest:expr, $prepare:expr) => {
        /// Handles.
        pub struct $type;

        impl Contestant for $type {
            type Block = (Address, $krate::Handle);
            const NAME: &'static str = $name;
            const SMALLEST: usize = $smallest;

            fn prepare(path: &Path) {
                let prepare: fn(&Path) = $prepare;
                prepare(path)
            }

            #[inline(always)]
            fn allocate(bytes: usize) -> Self::Block {
                match $krate::allocate::<u8>(bytes) {
                    Ok((ptr, _, handle)) => (Address(ptr.as_ptr()), handle),
                    Err(error) => panic!("{} bytes of {}: {}", bytes, $name, error),
                }
            }

            #[inline(always)]
            fn start(block: &Self::Block) -> *mut u8 {
                block.0 .0
            }

            #[inline(always)]
            fn free(block: Self::Block) {
                $krate::deallocate(block.1)
            }
        }
    };
}

/// Where an allocation starts, which its handle keeps to itself in the original.
pub struct Address(*mut u8);
// SAFETY: travels with the handle that owns the memory.
unsafe impl Send for Address {}

/// Ours has one configuration: one contestant with files and another without take turns, and what the one left
/// is given back before the other starts.
fn prepare_ours(path: &Path, backing: Backing) {
    static NOW: Mutex<Option<Backing>> = Mutex::new(None);
    let mut now = NOW.lock().expect("no panic while it is held");
    if *now != Some(backing) {
        ours::purge();
        Options::new().enable().with_path(path).backing(backing).apply().expect("a configuration");
        *now = Some(backing);
    }
}

region_contestant!(OurRegions, ours, "ours, regions, files", |path| prepare_ours(path, Backing::File));
handle_contestant!(OurHandles, ours, "ours, handles, files", 64 << 10, |path| prepare_ours(
    path,
    Backing::File
));
handle_contestant!(OurAnonymous, ours, "ours, handles, anonymous", 64 << 10, |path| {
    prepare_ours(path, Backing::Anonymous)
});
region_contestant!(Version016, lgalloc_0_1_6, "0.1.6", |path| {
    lgalloc_0_1_6::lgalloc_set_config(lgalloc_0_1_6::LgAlloc::new().enable().with_path(path.to_path_buf()))
});
handle_contestant!(Version060, lgalloc_0_6_0, "0.6.0", 4 << 10, |path| {
    lgalloc_0_6_0::lgalloc_set_config(lgalloc_0_6_0::LgAlloc::new().enable().with_path(path.to_path_buf()))
});
handle_contestant!(Version070, lgalloc_0_7_0, "0.7.0", 2 << 20, |_| {
    lgalloc_0_7_0::lgalloc_set_config(lgalloc_0_7_0::LgAlloc::new().enable())
});

/// No allocator: what the bench itself costs, where no memory is touched.
pub struct Nothing;

impl Contestant for Nothing {
    type Block = Address;
    const NAME: &'static str = "nothing";

    fn prepare(_: &Path) {}

    #[inline(always)]
    fn allocate(_: usize) -> Address {
        Address(std::ptr::NonNull::dangling().as_ptr())
    }

    #[inline(always)]
    fn start(block: &Address) -> *mut u8 {
        block.0
    }

    #[inline(always)]
    fn free(_: Address) {}
}
