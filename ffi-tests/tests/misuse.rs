//! Misuse ends the process, with one line that says what was seen. Safe code can't do any of this.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::thread;

use common::{child, is_child, set_up, KIB, MIB};
use lgalloc_c::sys::{self, lgalloc_handle};
use lgalloc_c::{purge, Region};

const SIGABRT: i32 = 6;

/// Runs the scenario in a child of its own, which must end by abort() and one line on standard error that
/// holds these words.
fn aborts(test: &str, words: &[&str], scenario: impl FnOnce()) {
    if is_child(test) {
        let _turn = set_up();
        scenario();
        return;
    }
    let out = child(test);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.signal(), Some(SIGABRT), "{}: {}\n{}", test, out.status, said);
    assert_eq!(said.lines().count(), 1, "{}", said);
    assert!(said.starts_with("lgalloc: "), "{}", said);
    for word in words {
        assert!(said.contains(word), "{:?} is not in: {}", word, said);
    }
}

fn allocate(bytes: usize) -> lgalloc_handle {
    let mut handle = lgalloc_handle { ptr: std::ptr::null_mut(), len: 0 };
    // SAFETY: the out pointer is valid, the others may be NULL.
    let status = unsafe {
        sys::lgalloc_allocate(bytes, 1, 1, std::ptr::null_mut(), std::ptr::null_mut(), &mut handle)
    };
    assert_eq!(status, sys::LGALLOC_STATUS_OK);
    handle
}

/// The point of these tests: not safe at all.
fn free(handle: lgalloc_handle) {
    // SAFETY: either the handle is freed for the first time, or the process ends here.
    unsafe { sys::lgalloc_deallocate(handle) }
}

/// The handle, for another thread.
struct Sent(lgalloc_handle);
// SAFETY: plain data.
unsafe impl Send for Sent {}

#[test]
fn freed_twice() {
    aborts("freed_twice", &[], || {
        let handle = allocate(MIB);
        free(handle);
        free(handle);
    });
}

#[test]
fn freed_twice_with_others_between() {
    aborts("freed_twice_with_others_between", &[], || {
        let handles: Vec<_> = (0..100).map(|_| allocate(MIB)).collect();
        for handle in &handles {
            free(*handle);
        }
        free(handles[3]);
    });
}

#[test]
fn freed_again_on_another_thread() {
    aborts("freed_again_on_another_thread", &[], || {
        let sent = Sent(allocate(MIB));
        free(sent.0);
        let _ = thread::spawn(move || {
            let sent = sent;
            free(sent.0)
        })
        .join();
    });
}

#[test]
fn freed_again_after_its_area_was_released() {
    aborts("freed_again_after_its_area_was_released", &[], || {
        let handle = allocate(MIB);
        free(handle);
        purge();
        free(handle);
    });
}

#[test]
fn a_pointer_inside_a_region() {
    aborts("a_pointer_inside_a_region", &[], || {
        let handle = allocate(MIB);
        let inside = handle.ptr as usize + 64 * KIB;
        free(lgalloc_handle { ptr: inside as *mut _, len: MIB });
    });
}

#[test]
fn a_length_that_is_not_the_regions() {
    aborts("a_length_that_is_not_the_regions", &[], || {
        let handle = allocate(MIB);
        free(lgalloc_handle { ptr: handle.ptr, len: MIB / 2 });
    });
}

#[test]
fn memory_of_the_heap() {
    aborts("memory_of_the_heap", &[], || {
        let mut heap = vec![0u8; MIB];
        free(lgalloc_handle { ptr: heap.as_mut_ptr().cast(), len: MIB });
    });
}

#[test]
fn no_memory_at_all() {
    aborts("no_memory_at_all", &[], || {
        free(lgalloc_handle { ptr: std::ptr::null_mut(), len: MIB });
    });
}

#[test]
fn a_copy_of_a_region_dropped_twice() {
    aborts("a_copy_of_a_region_dropped_twice", &[], || {
        let region = Region::<u8>::new_mmap(MIB).unwrap();
        // SAFETY: none; two owners of the same memory, as `ptr::read` makes them.
        let copy = unsafe { std::ptr::read(&region) };
        drop(region);
        drop(copy);
    });
}

/// The scenarios' own machinery: one that misuses nothing does not abort.
#[test]
fn no_misuse_no_abort() {
    let name = "no_misuse_no_abort";
    if is_child(name) {
        let _turn = set_up();
        let handle = allocate(MIB);
        free(handle);
        free(lgalloc_handle { ptr: handle.ptr, len: 0 });
        return;
    }
    let out = child(name);
    assert!(out.status.success());
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}
