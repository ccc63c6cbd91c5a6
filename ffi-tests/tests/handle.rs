//! Raw allocations through `allocate`, `deallocate` and `Handle`.

mod common;

use std::sync::mpsc;
use std::thread;

use common::{check_accounts, class, set_up, KIB, MIB};
use lgalloc_c::{allocate, allocate_zeroed, deallocate, AllocError, Handle, HintError, PrefetchError};

#[test]
fn allocate_write_free() {
    let _turn = set_up();
    let before = class(2 * MIB);
    let (ptr, capacity, handle) = allocate::<u64>(2 * MIB / 8).unwrap();
    assert_eq!(capacity, 2 * MIB / 8);
    assert_eq!((handle.as_non_null(), handle.byte_len()), (ptr.cast(), 2 * MIB));
    // SAFETY: the memory is ours, and as long as said.
    let elements = unsafe { std::slice::from_raw_parts_mut(ptr.as_ptr(), capacity) };
    elements.fill(3);
    assert!(elements.iter().all(|e| *e == 3));
    assert_eq!(class(2 * MIB).in_use_regions, before.in_use_regions + 1);
    deallocate(handle);
    let after = class(2 * MIB);
    assert_eq!(after.allocations, before.allocations + 1);
    assert_eq!(after.deallocations, before.deallocations + 1);
    check_accounts();
}

#[test]
fn what_takes_no_memory() {
    let (ptr, capacity, handle) = allocate::<()>(12).unwrap();
    assert_eq!((capacity, handle.byte_len()), (usize::MAX, 0));
    // SAFETY: a zero-sized element is anywhere.
    unsafe { ptr.as_ptr().write(()) };
    handle.prefetch::<u64>(0..100).unwrap();
    deallocate(handle);
    let (ptr, capacity, handle) = allocate::<u128>(0).unwrap();
    assert_eq!((capacity, handle.byte_len()), (0, 0));
    assert_eq!(ptr.as_ptr() as usize % std::mem::align_of::<u128>(), 0);
    deallocate(handle);
}

#[test]
fn errors() {
    let _turn = set_up();
    assert!(matches!(allocate::<u8>(100), Err(AllocError::InvalidSizeClass(12))));
    assert!(matches!(allocate::<u8>(20_000), Err(AllocError::InvalidSizeClass(15))));
    assert!(matches!(allocate::<u64>(1 << 34), Err(AllocError::InvalidSizeClass(37))));
    assert!(matches!(allocate::<[u64; 4]>(usize::MAX / 2), Err(AllocError::InvalidSizeClass(64))));
    lgalloc_c::Options::new().disable().apply().unwrap();
    let disabled = allocate::<u8>(MIB).unwrap_err();
    assert!(disabled.is_disabled());
    assert!(!AllocError::OutOfMemory.is_disabled());
    assert!(allocate_zeroed::<u8>(MIB).unwrap_err().is_disabled());
    // No size class is no size class, enabled or not.
    assert!(matches!(allocate::<u8>(100), Err(AllocError::InvalidSizeClass(12))));
}

#[test]
fn zeroed_means_zero() {
    let _turn = set_up();
    for _ in 0..3 {
        let handles: Vec<Handle> = (0..20)
            .map(|_| {
                let (ptr, capacity, handle) = allocate_zeroed::<u64>(MIB / 8).unwrap();
                // SAFETY: the memory is ours, and zero is an integer.
                let elements = unsafe { std::slice::from_raw_parts_mut(ptr.as_ptr(), capacity) };
                assert!(elements.iter().all(|e| *e == 0));
                elements.fill(u64::MAX);
                handle
            })
            .collect();
        handles.into_iter().for_each(deallocate);
        // Some of it clean, some dirty the next time.
        lgalloc_c::thread_flush();
    }
}

#[test]
fn prefetch_checks_its_range() {
    let _turn = set_up();
    let (_, capacity, handle) = allocate::<u64>(8 * KIB).unwrap();
    handle.prefetch::<u64>(0..capacity).unwrap();
    handle.prefetch::<u64>(7..7).unwrap();
    handle.prefetch::<u8>(64 * KIB - 1..64 * KIB).unwrap();
    let PrefetchError::OutOfBounds { byte_offset, byte_len, allocation_len } =
        handle.prefetch::<u64>(1..capacity + 1).unwrap_err();
    assert_eq!((byte_offset, byte_len, allocation_len), (8, 64 * KIB, 64 * KIB));
    assert!(handle.prefetch::<u64>(0..usize::MAX).is_err());
    assert!(handle.prefetch::<u64>(usize::MAX - 1..usize::MAX).is_err());
    // The wrong way round is no range of this allocation.
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = handle.prefetch::<u64>(5..4);
    assert!(reversed.is_err());
    deallocate(handle);
}

#[test]
fn hints_and_contents() {
    let _turn = set_up();
    let (ptr, capacity, mut handle) = allocate::<u32>(MIB / 4).unwrap();
    handle.populate::<u32>(0..capacity).unwrap();
    // SAFETY: the memory is ours.
    let elements = unsafe { std::slice::from_raw_parts_mut(ptr.as_ptr(), capacity) };
    elements.fill(8);
    handle.cold::<u32>(0..capacity).unwrap();
    handle.prefetch::<u32>(0..capacity).unwrap();
    handle.populate::<u32>(0..capacity).unwrap();
    assert!(elements.iter().all(|e| *e == 8));
    // SAFETY: within the allocation, and the slice is not used any more.
    unsafe { handle.discard::<u32>(1024..2048) }.unwrap();
    // SAFETY: as above; read anew, since it changed behind the slice.
    let elements = unsafe { std::slice::from_raw_parts(ptr.as_ptr(), capacity) };
    assert!(elements[..1024].iter().all(|e| *e == 8));
    assert!(elements[1024..2048].iter().all(|e| *e == 0));
    assert!(elements[2048..].iter().all(|e| *e == 8));
    for result in [
        handle.populate::<u32>(0..capacity + 1),
        handle.cold::<u32>(capacity..capacity + 1),
        // SAFETY: refused.
        unsafe { handle.discard::<u32>(0..capacity + 1) },
    ] {
        assert!(matches!(result, Err(HintError::OutOfBounds(_))));
    }
    deallocate(handle);
}

#[test]
fn handles_are_freed_anywhere() {
    let _turn = set_up();
    let (sender, receiver) = mpsc::channel::<(Handle, u64)>();
    let consumer = thread::spawn(move || {
        let mut count = 0;
        for (handle, seed) in receiver {
            // SAFETY: the handle, and with it the memory, was handed over.
            let elements = unsafe {
                std::slice::from_raw_parts(handle.as_non_null().cast::<u64>().as_ptr(), handle.byte_len() / 8)
            };
            assert_eq!((elements[0], elements[elements.len() - 1]), (seed, !seed));
            deallocate(handle);
            count += 1;
        }
        count
    });
    for seed in 0..2000 {
        let (ptr, capacity, handle) = allocate::<u64>((8 * KIB) << (seed % 4)).unwrap();
        // SAFETY: the memory is ours, and as long as said.
        unsafe {
            ptr.as_ptr().write(seed);
            ptr.as_ptr().add(capacity - 1).write(!seed);
        }
        sender.send((handle, seed)).unwrap();
    }
    drop(sender);
    assert_eq!(consumer.join().unwrap(), 2000);
    check_accounts();
}

#[test]
fn handles_travel_and_are_shared() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Handle>();
    let _turn = set_up();
    let (_, capacity, handle) = allocate::<u8>(MIB).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for at in (0..capacity).step_by(64 * KIB) {
                    handle.prefetch::<u8>(at..at + 1).unwrap();
                    handle.populate::<u8>(at..at + 1).unwrap();
                }
            });
        }
    });
    deallocate(handle);
}
