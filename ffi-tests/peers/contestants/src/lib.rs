//! What the versions of the original crate have in common as contestants of the C benchmark, which knows an
//! allocation by its address and its size alone.
//!
//! In the crate an allocation is owned by a value of several words. All of them follow from address and size,
//! so nothing is kept on the way: [`allocate`] forgets the owner, and [`release`] makes it anew on the stack,
//! where a Rust program would have it. The order of the words is the compiler's affair; [`start`] compares it
//! with real owners, and refuses where it is another one.

use std::ffi::{c_char, c_int, CStr, CString, OsStr};
use std::fmt::Display;
use std::mem::{forget, size_of, transmute_copy};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

/// A version of the crate.
pub trait Version {
    /// What owns an allocation.
    type Owner;
    /// Its words.
    type Words: Copy + PartialEq;
    /// Why there is none.
    type Error: Display;
    /// Switches the allocator on; the worker stays off.
    fn configure(path: &Path);
    /// Allocates so many bytes, a power of two.
    fn allocate(size: usize) -> Result<(*mut u8, Self::Owner), Self::Error>;
    /// The words of the owner of such an allocation.
    fn words(start: *mut u8, size: usize) -> Self::Words;
    /// Frees.
    fn release(owner: Self::Owner);
}

/// Ends the process with a line that says why. It does not return.
pub type Fail = extern "C" fn(*const c_char);

static FAIL: OnceLock<Fail> = OnceLock::new();

#[cold]
fn fail(why: &dyn Display) -> ! {
    let line = why.to_string().replace(['\0', '\n'], " ");
    if let (Some(fail), Ok(line)) = (FAIL.get(), CString::new(line)) {
        fail(line.as_ptr());
    }
    std::process::abort()
}

/// Words of an owner, and back.
///
/// # Safety
///
/// `From` has no padding; a `To` of these words is valid.
#[inline(always)]
unsafe fn same_words<From, To>(from: &From) -> To {
    assert!(size_of::<From>() == size_of::<To>());
    transmute_copy(from)
}

/// `lgalloc_peer_start`: configures the allocator, and sends panics to `fail`.
///
/// # Safety
///
/// `path` is a string.
pub unsafe fn start<V: Version>(path: *const c_char, fail_with: Fail) -> c_int {
    FAIL.get_or_init(|| fail_with);
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload();
        let text = said.downcast_ref::<String>().map(String::as_str).or(said.downcast_ref::<&str>().copied());
        fail(&format_args!("it panics: {}", text.unwrap_or("without a word")))
    }));
    V::configure(Path::new(OsStr::from_bytes(CStr::from_ptr(path).to_bytes())));
    // Of size classes that are not measured, so that those are found untouched.
    for size in [128 << 20, 512 << 20] {
        match V::allocate(size) {
            Ok((start, owner)) if same_words::<V::Owner, V::Words>(&owner) == V::words(start, size) => {
                V::release(owner)
            }
            Ok(_) => fail(&"this compiler orders the words of its owners in another way"),
            Err(error) => fail(&error),
        }
    }
    0
}

/// `lgalloc_peer_allocate`: never NULL.
#[inline(always)]
pub fn allocate<V: Version>(size: usize) -> *mut u8 {
    match V::allocate(size) {
        Ok((start, owner)) => {
            forget(owner);
            start
        }
        Err(error) => fail(&format_args!("{} KiB: {}", size >> 10, error)),
    }
}

/// `lgalloc_peer_release`.
///
/// # Safety
///
/// The allocation is in use, and of this size.
#[inline(always)]
pub unsafe fn release<V: Version>(start: *mut u8, size: usize) {
    V::release(same_words::<V::Words, V::Owner>(&V::words(start, size)))
}

/// The three functions that the benchmark looks for.
#[macro_export]
macro_rules! export {
    ($version:ty) => {
        /// # Safety
        ///
        /// `path` is a string.
        #[no_mangle]
        pub unsafe extern "C" fn lgalloc_peer_start(
            path: *const std::ffi::c_char,
            fail: $crate::Fail,
        ) -> std::ffi::c_int {
            $crate::start::<$version>(path, fail)
        }

        #[no_mangle]
        pub extern "C" fn lgalloc_peer_allocate(size: usize) -> *mut u8 {
            $crate::allocate::<$version>(size)
        }

        /// # Safety
        ///
        /// The allocation is in use, and of this size.
        #[no_mangle]
        pub unsafe extern "C" fn lgalloc_peer_release(start: *mut u8, size: usize) {
            $crate::release::<$version>(start, size)
        }
    };
}

/// A version whose owners are handles: an address and a size.
#[macro_export]
macro_rules! export_handles {
    ($krate:ident, $configure:expr) => {
        struct Handles;

        impl $crate::Version for Handles {
            type Owner = $krate::Handle;
            type Words = [*mut u8; 2];
            type Error = $krate::AllocError;

            fn configure(path: &std::path::Path) {
                let configure: fn(&std::path::Path) -> $krate::LgAlloc = $configure;
                $krate::lgalloc_set_config(configure(path).enable())
            }

            #[inline(always)]
            fn allocate(size: usize) -> Result<(*mut u8, Self::Owner), Self::Error> {
                $krate::allocate::<u8>(size).map(|(start, _, handle)| (start.as_ptr(), handle))
            }

            #[inline(always)]
            fn words(start: *mut u8, size: usize) -> Self::Words {
                [start, size as *mut u8]
            }

            #[inline(always)]
            fn release(owner: Self::Owner) {
                $krate::deallocate(owner)
            }
        }

        $crate::export!(Handles);
    };
}
