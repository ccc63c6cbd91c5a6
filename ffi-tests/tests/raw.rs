//! The C functions themselves, with arguments that the safe wrapper never passes.

mod common;

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::raw::c_void;
use std::ptr::{null, null_mut};

use common::{check_accounts, class, set_up, KIB, MIB};
use lgalloc_c::sys::*;

type NewRegion = unsafe extern "C" fn(usize, usize, usize, *mut lgalloc_region) -> lgalloc_status;

/// Calls a constructor with an out parameter full of rubbish.
fn new_region(
    call: NewRegion,
    capacity: usize,
    size: usize,
    align: usize,
) -> (lgalloc_status, lgalloc_region) {
    let mut region = MaybeUninit::<lgalloc_region>::uninit();
    // SAFETY: plain bytes, which the call overwrites.
    unsafe {
        std::ptr::write_bytes(region.as_mut_ptr(), 0xa5, 1);
        let status = call(capacity, size, align, region.as_mut_ptr());
        (status, region.assume_init())
    }
}

fn assert_empty(region: &lgalloc_region, align: usize) {
    assert!(!region.ptr.is_null());
    assert_eq!(region.ptr as usize % align, 0);
    assert_eq!((region.len, region.mapped), (0, 0));
    let expected = if region.elem_size == 0 { usize::MAX } else { 0 };
    assert_eq!(region.capacity, expected);
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[test]
fn constructors_and_their_errors() {
    let _turn = set_up();
    let constructors: [NewRegion; 3] =
        [lgalloc_region_new_heap, lgalloc_region_new_mmap, lgalloc_region_new_auto];
    for (i, call) in constructors.iter().enumerate() {
        // Something that works.
        let (status, mut region) = new_region(*call, 20_000, 8, 8);
        assert_eq!(status, LGALLOC_STATUS_OK);
        assert_eq!(region.mapped, if i == 0 { 0 } else { 256 * KIB });
        assert_eq!(region.capacity, if i == 0 { 20_000 } else { 32 * KIB });
        assert_eq!((region.len, region.elem_size), (0, 8));
        // SAFETY: the region is ours.
        unsafe {
            assert_eq!(lgalloc_region_is_mapped(&region), i > 0);
            std::ptr::write_bytes(region.ptr.cast::<u8>(), 1, region.capacity * 8);
            lgalloc_region_drop(&mut region);
            assert_empty(&region, 1);
            // Once more is harmless.
            lgalloc_region_drop(&mut region);
        }
        assert_empty(&region, 1);

        // What takes no memory.
        for (capacity, size) in [(0, 8), (5, 0), (0, 0), (usize::MAX, 0)] {
            let (status, mut region) = new_region(*call, capacity, size, 16);
            assert_eq!(status, LGALLOC_STATUS_OK);
            assert_empty(&region, 16);
            // SAFETY: the region is ours.
            unsafe { lgalloc_region_drop(&mut region) };
        }

        // What is refused.
        for (capacity, size, align) in [
            (usize::MAX, 2, 1),
            (1 << 33, 1 << 33, 1),
            (10, 8, 0),
            (10, 8, 3),
            (10, 8, 24),
            (20_000, 8, usize::MAX),
        ] {
            let (status, mut region) = new_region(*call, capacity, size, align);
            assert_eq!(status, LGALLOC_STATUS_INVALID_ARGUMENT, "{} {} {} {}", i, capacity, size, align);
            assert!(!region.ptr.is_null());
            assert_eq!((region.len, region.capacity, region.mapped), (0, 0, 0));
            // SAFETY: an empty region is safe to drop.
            unsafe { lgalloc_region_drop(&mut region) };
        }
        // SAFETY: NULL is an error, and answered as such.
        assert_eq!(unsafe { call(10, 8, 8, null_mut()) }, LGALLOC_STATUS_INVALID_ARGUMENT);
    }
    let (status, region) = new_region(lgalloc_region_new_mmap, 10, 8, 8);
    assert_eq!(status, LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_empty(&region, 8);
    let (status, _) = new_region(lgalloc_region_new_mmap, (64 << 30) + 1, 1, 1);
    assert_eq!(status, LGALLOC_STATUS_INVALID_SIZE_CLASS);
    check_accounts();
}

#[test]
fn alignment_up_to_the_regions_size() {
    let _turn = set_up();
    for (bytes, align) in [(64 * KIB, 64 * KIB), (MIB, 64 * KIB), (MIB, MIB)] {
        let (status, mut region) = new_region(lgalloc_region_new_mmap, bytes, 1, align);
        assert_eq!(status, LGALLOC_STATUS_OK);
        assert_eq!(region.ptr as usize % align, 0);
        // SAFETY: the region is ours.
        unsafe { lgalloc_region_drop(&mut region) };
    }
    let before = class(64 * KIB).allocations;
    let (status, region) = new_region(lgalloc_region_new_mmap, 64 * KIB, 1, 128 * KIB);
    assert_eq!(status, LGALLOC_STATUS_UNALIGNED_MEMORY);
    assert_empty(&region, 128 * KIB);
    assert_eq!((class(64 * KIB).allocations, class(64 * KIB).in_use_regions), (before, 0));
}

#[test]
fn contents() {
    let _turn = set_up();
    for call in [lgalloc_region_new_heap as NewRegion, lgalloc_region_new_mmap] {
        let (status, mut region) = new_region(call, 64 * KIB, 2, 2);
        assert_eq!(status, LGALLOC_STATUS_OK);
        let elements: Vec<u16> = (0..1000).collect();
        // SAFETY: the region is ours, the elements are two bytes wide, and ranges are as long as said.
        unsafe {
            assert!(lgalloc_region_is_empty(&region));
            let status = lgalloc_region_extend_from_slice(&mut region, elements.as_ptr().cast(), 1000);
            assert_eq!(status, LGALLOC_STATUS_OK);
            assert_eq!(lgalloc_region_len(&region), 1000);
            assert_eq!(lgalloc_region_capacity(&region), 64 * KIB);
            assert!(!lgalloc_region_is_empty(&region));
            let start: *const u16 = lgalloc_region_as_ptr(&region).cast();
            assert_eq!(std::slice::from_raw_parts(start, 1000), &elements[..]);
            assert_eq!(lgalloc_region_as_mut_ptr(&mut region), region.ptr);

            let mut room = 0;
            let spare: *mut u16 = lgalloc_region_spare(&mut region, &mut room).cast();
            assert_eq!(room, 64 * KIB - 1000);
            assert_eq!(spare as usize, start as usize + 2000);
            assert_eq!(lgalloc_region_spare(&mut region, null_mut()), spare.cast());
            spare.write(77);
            assert_eq!(lgalloc_region_set_len(&mut region, 1001), LGALLOC_STATUS_OK);
            assert_eq!(*start.add(1000), 77);

            // Too much changes nothing.
            let full = lgalloc_region_set_len(&mut region, 64 * KIB + 1);
            assert_eq!(full, LGALLOC_STATUS_CAPACITY_EXCEEDED);
            assert_eq!(lgalloc_region_set_len(&mut region, 64 * KIB - 10), LGALLOC_STATUS_OK);
            let full = lgalloc_region_extend_from_slice(&mut region, elements.as_ptr().cast(), 11);
            assert_eq!(full, LGALLOC_STATUS_CAPACITY_EXCEEDED);
            let full = lgalloc_region_extend_from_slice(&mut region, elements.as_ptr().cast(), usize::MAX);
            assert_eq!(full, LGALLOC_STATUS_CAPACITY_EXCEEDED);
            assert_eq!(lgalloc_region_len(&region), 64 * KIB - 10);
            let fits = lgalloc_region_extend_from_slice(&mut region, elements.as_ptr().cast(), 10);
            assert_eq!(fits, LGALLOC_STATUS_OK);

            // NULL: nothing is nothing, something is an error.
            assert_eq!(lgalloc_region_extend_from_slice(&mut region, null(), 0), LGALLOC_STATUS_OK);
            lgalloc_region_clear(&mut region);
            assert_eq!((lgalloc_region_len(&region), lgalloc_region_capacity(&region)), (0, 64 * KIB));
            assert_eq!(lgalloc_region_as_ptr(&region), start.cast());
            let missing = lgalloc_region_extend_from_slice(&mut region, null(), 1);
            assert_eq!(missing, LGALLOC_STATUS_INVALID_ARGUMENT);
            lgalloc_region_drop(&mut region);
        }
    }
    check_accounts();
}

#[test]
fn null_regions_are_ignored() {
    // SAFETY: NULL is allowed, or answered with an error.
    unsafe {
        assert_eq!(lgalloc_region_capacity(null()), 0);
        assert_eq!(lgalloc_region_len(null()), 0);
        assert!(lgalloc_region_is_empty(null()));
        assert!(!lgalloc_region_is_mapped(null()));
        assert!(lgalloc_region_as_ptr(null()).is_null());
        assert!(lgalloc_region_as_mut_ptr(null_mut()).is_null());
        assert!(lgalloc_region_spare(null_mut(), null_mut()).is_null());
        assert_eq!(lgalloc_region_set_len(null_mut(), 0), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_eq!(lgalloc_region_extend_from_slice(null_mut(), null(), 0), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_eq!(lgalloc_region_handle(null()).len, 0);
        lgalloc_region_new_empty(8, 8, null_mut());
        lgalloc_region_clear(null_mut());
        lgalloc_region_drop(null_mut());
        lgalloc_stats_global(null_mut());
        lgalloc_config_free(null_mut());
        assert_eq!(lgalloc_set_config(null()), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_eq!(lgalloc_stats_files(null_mut(), 0, null_mut()), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_eq!(lgalloc_stats_maps(null_mut(), 0, null_mut()), LGALLOC_STATUS_INVALID_ARGUMENT);
    }
}

#[test]
fn empty_regions_take_any_alignment() {
    for (align, expected) in [(1, 1), (8, 8), (1 << 20, 1 << 20), (0, 1), (3, 1)] {
        let mut region = MaybeUninit::uninit();
        // SAFETY: the call writes the region.
        let region = unsafe {
            lgalloc_region_new_empty(24, align, region.as_mut_ptr());
            region.assume_init()
        };
        assert_empty(&region, expected);
        assert_eq!(region.elem_size, 24);
    }
}

#[test]
fn allocating_with_and_without_out_parameters() {
    let _turn = set_up();
    for call in [lgalloc_allocate, lgalloc_allocate_zeroed] {
        let mut ptr: *mut c_void = null_mut();
        let mut capacity = 1;
        let mut handle = lgalloc_handle { ptr: null_mut(), len: 1 };
        // SAFETY: out pointers are valid or NULL; what was allocated is freed once.
        unsafe {
            assert_eq!(call(100_000, 1, 1, &mut ptr, &mut capacity, &mut handle), LGALLOC_STATUS_OK);
            assert_eq!((capacity, handle.len), (128 * KIB, 128 * KIB));
            assert_eq!(ptr, handle.ptr);
            lgalloc_deallocate(handle);

            assert_eq!(call(100_000, 1, 1, null_mut(), null_mut(), &mut handle), LGALLOC_STATUS_OK);
            lgalloc_deallocate(handle);

            let before = class(128 * KIB);
            let missing = call(100_000, 1, 1, &mut ptr, &mut capacity, null_mut());
            assert_eq!(missing, LGALLOC_STATUS_INVALID_ARGUMENT);
            assert_eq!(class(128 * KIB).in_use_regions, before.in_use_regions);

            // Failures leave something that is safe to free, any number of times.
            for (count, size, align, expected) in [
                (1, 1, 1, LGALLOC_STATUS_INVALID_SIZE_CLASS),
                (usize::MAX, 16, 1, LGALLOC_STATUS_INVALID_ARGUMENT),
                (100_000, 1, 7, LGALLOC_STATUS_INVALID_ARGUMENT),
                (64 * KIB, 1, 1 << 20, LGALLOC_STATUS_UNALIGNED_MEMORY),
            ] {
                capacity = 1;
                assert_eq!(call(count, size, align, &mut ptr, &mut capacity, &mut handle), expected);
                assert_eq!((capacity, handle.len), (0, 0));
                assert!(!ptr.is_null() && !handle.ptr.is_null());
                lgalloc_deallocate(handle);
                lgalloc_deallocate(handle);
            }

            // No memory needed: success.
            assert_eq!(call(0, 8, 8, &mut ptr, &mut capacity, &mut handle), LGALLOC_STATUS_OK);
            assert_eq!((capacity, handle.len), (0, 0));
            assert_eq!(call(9, 0, 8, &mut ptr, &mut capacity, &mut handle), LGALLOC_STATUS_OK);
            assert_eq!((capacity, handle.len), (usize::MAX, 0));
            assert_eq!(ptr as usize % 8, 0);
            lgalloc_deallocate(handle);
        }
    }
    check_accounts();
}

#[test]
fn hints_check_their_range() {
    let _turn = set_up();
    let mut handle = lgalloc_handle { ptr: null_mut(), len: 0 };
    // SAFETY: the handle is ours, and freed once.
    unsafe {
        let status = lgalloc_allocate(MIB, 1, 1, null_mut(), null_mut(), &mut handle);
        assert_eq!(status, LGALLOC_STATUS_OK);
        for hint in [lgalloc_prefetch, lgalloc_populate, lgalloc_cold, lgalloc_discard] {
            assert_eq!(hint(handle, 0, MIB), LGALLOC_STATUS_OK);
            assert_eq!(hint(handle, MIB, 0), LGALLOC_STATUS_OK);
            assert_eq!(hint(handle, 0, 0), LGALLOC_STATUS_OK);
            assert_eq!(hint(handle, 1, 5000), LGALLOC_STATUS_OK);
            assert_eq!(hint(handle, 0, MIB + 1), LGALLOC_STATUS_OUT_OF_BOUNDS);
            assert_eq!(hint(handle, MIB, 1), LGALLOC_STATUS_OUT_OF_BOUNDS);
            assert_eq!(hint(handle, MIB + 1, 0), LGALLOC_STATUS_OUT_OF_BOUNDS);
            assert_eq!(hint(handle, usize::MAX, 2), LGALLOC_STATUS_OUT_OF_BOUNDS);
            let nothing = lgalloc_handle { ptr: handle.ptr, len: 0 };
            assert_eq!(hint(nothing, 0, 0), LGALLOC_STATUS_OK);
        }
        lgalloc_deallocate(handle);
        // No longer in use.
        for hint in [lgalloc_prefetch, lgalloc_populate, lgalloc_cold, lgalloc_discard] {
            assert_eq!(hint(handle, 0, MIB), LGALLOC_STATUS_INVALID_ARGUMENT);
        }
    }
}

#[test]
fn discarding_clears_whole_pages_only() {
    let _turn = set_up();
    let mut handle = lgalloc_handle { ptr: null_mut(), len: 0 };
    // SAFETY: the handle is ours, and freed once.
    unsafe {
        let status = lgalloc_allocate(MIB, 1, 1, null_mut(), null_mut(), &mut handle);
        assert_eq!(status, LGALLOC_STATUS_OK);
        let bytes = std::slice::from_raw_parts_mut(handle.ptr.cast::<u8>(), MIB);
        bytes.fill(5);
        let page = 4096;
        assert_eq!(lgalloc_discard(handle, 100, 3 * page), LGALLOC_STATUS_OK);
        assert!(bytes[..page].iter().all(|b| *b == 5));
        assert!(bytes[page..3 * page].iter().all(|b| *b == 0));
        assert!(bytes[3 * page..].iter().all(|b| *b == 5));
        lgalloc_deallocate(handle);
    }
}

#[test]
fn a_regions_handle_is_borrowed() {
    let _turn = set_up();
    let (status, mut region) = new_region(lgalloc_region_new_mmap, MIB, 1, 1);
    assert_eq!(status, LGALLOC_STATUS_OK);
    // SAFETY: the region is ours.
    unsafe {
        let handle = lgalloc_region_handle(&region);
        assert_eq!((handle.ptr, handle.len), (region.ptr, MIB));
        assert_eq!(lgalloc_populate(handle, 0, MIB), LGALLOC_STATUS_OK);
        lgalloc_region_drop(&mut region);
    }
    let (status, mut region) = new_region(lgalloc_region_new_heap, MIB, 1, 1);
    assert_eq!(status, LGALLOC_STATUS_OK);
    // SAFETY: the region is ours.
    unsafe {
        assert_eq!(lgalloc_region_handle(&region).len, 0);
        lgalloc_region_drop(&mut region);
    }
}

#[test]
fn every_status_has_a_text() {
    let text = |status| {
        // SAFETY: static text, never NULL.
        unsafe { CStr::from_ptr(lgalloc_status_str(status)) }.to_str().unwrap().to_string()
    };
    let texts: Vec<String> = (LGALLOC_STATUS_OK..=LGALLOC_STATUS_BUSY).map(text).collect();
    for (i, one) in texts.iter().enumerate() {
        assert!(!one.is_empty());
        assert!(!texts[..i].contains(one), "{} twice", one);
    }
    for unknown in [-1, 11, i32::MIN, i32::MAX] {
        assert!(!text(unknown).is_empty());
        assert!(!texts.contains(&text(unknown)));
    }
}

#[test]
fn configuration_arguments() {
    let _turn = set_up();
    // SAFETY: the set is ours; NULL is answered with an error.
    unsafe {
        let config = lgalloc_config_new();
        assert!(!config.is_null());
        assert_eq!(lgalloc_config_with_path(config, null()), LGALLOC_STATUS_INVALID_ARGUMENT);
        for bad in ["".to_string(), "/".repeat(5000)] {
            let bad = CString::new(bad).unwrap();
            assert_eq!(lgalloc_config_with_path(config, bad.as_ptr()), LGALLOC_STATUS_INVALID_ARGUMENT);
        }
        // An unknown backing is found when the set is applied, and nothing of the set is.
        lgalloc_config_with_backing(config, 17);
        lgalloc_config_disable(config);
        assert_eq!(lgalloc_set_config(config), LGALLOC_STATUS_INVALID_ARGUMENT);
        lgalloc_config_free(config);
    }
    let (status, mut region) = new_region(lgalloc_region_new_mmap, MIB, 1, 1);
    assert_eq!(status, LGALLOC_STATUS_OK, "still enabled");
    // SAFETY: the region is ours.
    unsafe { lgalloc_region_drop(&mut region) };
}

#[test]
fn statistics_write_what_there_is_room_for() {
    let _turn = set_up();
    // SAFETY: arrays have as many elements as are said.
    unsafe {
        assert_eq!(lgalloc_stats(null_mut(), 0), 21);
        let mut few = [lgalloc_size_class_stats { size_class: 7, ..Default::default() }; 3];
        assert_eq!(lgalloc_stats(few.as_mut_ptr(), 2), 21);
        assert_eq!(few.map(|c| c.size_class), [64 * KIB, 128 * KIB, 7]);
        let mut many = [lgalloc_size_class_stats { size_class: 7, ..Default::default() }; 22];
        assert_eq!(lgalloc_stats(many.as_mut_ptr(), 22), 21);
        assert_eq!((many[20].size_class, many[21].size_class), (64 << 30, 7));
        for class in &many[..21] {
            assert_eq!(class.reserved, [0; 6]);
        }
        let mut global = lgalloc_global_stats { reserved: [7; 2], ..Default::default() };
        lgalloc_stats_global(&mut global);
        assert_eq!(global.reserved, [0; 2]);

        let (_, mut region) = new_region(lgalloc_region_new_mmap, MIB, 1, 1);
        let mut count = 0;
        let mut file = [lgalloc_file_stats::default(); 1];
        assert_eq!(lgalloc_stats_files(null_mut(), 0, &mut count), LGALLOC_STATUS_OK);
        assert_eq!(count, 1);
        assert_eq!(lgalloc_stats_files(file.as_mut_ptr(), 1, &mut count), LGALLOC_STATUS_OK);
        assert_eq!((count, file[0].size_class), (1, MIB));
        lgalloc_region_drop(&mut region);
    }
}

#[test]
fn by_address() {
    let _turn = set_up();
    // SAFETY: each region is freed once, and written within what was asked for.
    unsafe {
        for (free, sized) in [(true, 0), (false, 3 * MIB), (false, 4 * MIB)] {
            let ptr = lgalloc_malloc(3 * MIB).cast::<u8>();
            assert!(!ptr.is_null());
            assert_eq!(ptr as usize % (4 * MIB), 0);
            assert_eq!(class(4 * MIB).in_use_regions, 1);
            ptr.write_bytes(7, 3 * MIB);
            if free {
                lgalloc_free(ptr.cast());
            } else {
                lgalloc_free_sized(ptr.cast(), sized);
            }
            assert_eq!(class(4 * MIB).in_use_regions, 0);
        }
        let zeros = lgalloc_calloc(3, MIB).cast::<u8>();
        assert!(std::slice::from_raw_parts(zeros, 4 * MIB).iter().all(|byte| *byte == 0));
        // Addresses and handles are of one kind.
        lgalloc_deallocate(lgalloc_handle { ptr: zeros.cast(), len: 4 * MIB });
        for size in [0, 1, 32 * KIB, (64 << 30) + 1, usize::MAX] {
            assert!(lgalloc_malloc(size).is_null());
            assert_eq!(errno(), 22, "{} has no size class", size);
        }
        assert!(lgalloc_calloc(usize::MAX, 2).is_null());
        assert_eq!(errno(), 22);
        lgalloc_free(null_mut());
        lgalloc_free_sized(null_mut(), MIB);
    }
    check_accounts();
}

#[test]
fn by_address_alone() {
    let _turn = set_up();
    // SAFETY: each block is freed once, and written within what was asked for.
    unsafe {
        let ptr = lgalloc_malloc(3 * MIB).cast::<u8>();
        ptr.write_bytes(7, 3 * MIB);
        assert!(lgalloc_owns(ptr.cast()) && lgalloc_owns(ptr.add(1).cast()));
        assert_eq!(lgalloc_usable_size(ptr.cast()), 4 * MIB);
        assert_eq!(lgalloc_usable_size(ptr.add(1).cast()), 0);
        assert!(lgalloc_realloc(ptr.cast(), 0).is_null());
        assert_eq!(errno(), 22);
        let ptr = lgalloc_realloc(ptr.cast(), 8 * MIB).cast::<u8>();
        assert!(std::slice::from_raw_parts(ptr, 3 * MIB).iter().all(|byte| *byte == 7));
        assert_eq!((class(4 * MIB).in_use_regions, class(8 * MIB).in_use_regions), (0, 1));
        // To the heap, and back.
        let heap = lgalloc_any_realloc(ptr.cast(), 100).cast::<u8>();
        assert!(!lgalloc_owns(heap.cast()) && lgalloc_any_usable_size(heap.cast()) >= 100);
        let ptr = lgalloc_any_realloc(heap.cast(), MIB).cast::<u8>();
        assert!(std::slice::from_raw_parts(ptr, 100).iter().all(|byte| *byte == 7));
        assert_eq!(lgalloc_any_usable_size(ptr.cast()), MIB);
        lgalloc_any_free(ptr.cast());
        for size in [0, 100, MIB] {
            lgalloc_any_free(lgalloc_any_malloc(size));
            lgalloc_any_free(lgalloc_any_calloc(1, size));
            let aligned = lgalloc_any_aligned(4096, size);
            assert_eq!(aligned as usize % 4096, 0);
            lgalloc_any_free(aligned);
        }
        assert_eq!(lgalloc_any_usable_size(null_mut()), 0);
    }
    check_accounts();
}

#[test]
fn freeing_keeps_errno() {
    let _turn = set_up();
    let (_, mut region) = new_region(lgalloc_region_new_mmap, MIB, 1, 1);
    let missing = std::fs::File::open("/nowhere/at/all");
    assert!(missing.is_err());
    assert_eq!(errno(), 2);
    // SAFETY: the region is ours.
    unsafe { lgalloc_region_drop(&mut region) };
    assert_eq!(errno(), 2);
}
