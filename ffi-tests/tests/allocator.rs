//! The library as the allocator of this whole program, its test harness included, and as that of single collections.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashMap;
use std::thread;

use common::{check_accounts, class, in_child, Random, KIB, MIB};
use lgalloc_c::{stats, sys, Backing, Lgalloc, Options};

#[global_allocator]
static ALLOCATOR: Lgalloc = Lgalloc;

fn enable() {
    Options::new().enable().backing(Backing::Anonymous).apply().unwrap();
}

fn owned<T>(vec: &[T]) -> bool {
    // SAFETY: any address may be asked about.
    unsafe { sys::lgalloc_owns(vec.as_ptr().cast()) }
}

#[test]
fn before_and_after_it_is_enabled() {
    in_child("before_and_after_it_is_enabled", || {
        let early = vec![1u8; MIB];
        assert!(!owned(&early));
        enable();
        let vec = vec![2u8; MIB];
        assert!(owned(&vec) && class(MIB).in_use_regions == 1);
        let small = vec![3u8; 1000];
        assert!(!owned(&small));
        Options::new().disable().apply().unwrap();
        let late = vec![4u8; MIB];
        assert!(!owned(&late));
        drop((early, vec, late));
        assert_eq!(class(MIB).in_use_regions, 0);
        check_accounts();
    });
}

#[test]
fn vectors_grow_and_shrink_across_the_border() {
    in_child("vectors_grow_and_shrink_across_the_border", || {
        enable();
        let mut vec = Vec::new();
        for number in 0..MIB as u64 {
            vec.push(number);
        }
        assert!(owned(&vec) && vec.iter().copied().eq(0..MIB as u64));
        vec.truncate(1000);
        vec.shrink_to_fit();
        assert!(!owned(&vec) && vec.iter().copied().eq(0..1000));
        assert_eq!(stats::global().in_use_bytes, 0);
    });
}

/// Whether every byte is this one; by a comparison with itself, which is fast without optimization too.
fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.is_empty() || bytes[0] == byte && bytes[1..] == bytes[..bytes.len() - 1]
}

/// Blocks of all kinds, with patterns that nobody else may write over.
#[test]
fn blocks_of_any_size_and_alignment() {
    in_child("blocks_of_any_size_and_alignment", || {
        enable();
        thread::scope(|scope| {
            for seed in 0..4 {
                scope.spawn(move || churn(seed));
            }
        });
        check_accounts();
    });
}

fn churn(seed: u64) {
    let mut random = Random::new(seed);
    let mut blocks: HashMap<usize, (*mut u8, Layout, u8)> = HashMap::new();
    let layout = |random: &mut Random| {
        let bits = 4 + random.below(16);
        let size = 1 + random.below(1 << bits);
        Layout::from_size_align(size, 1 << random.below(18)).unwrap()
    };
    // SAFETY: every block is used within its layout, and given back once with that.
    unsafe {
        for _ in 0..2000 {
            let slot = random.below(32);
            let pattern = random.next() as u8;
            match blocks.remove(&slot) {
                None => {
                    let layout = layout(&mut random);
                    let zeroed = random.below(2) == 0;
                    let ptr = if zeroed { ALLOCATOR.alloc_zeroed(layout) } else { ALLOCATOR.alloc(layout) };
                    assert!(!ptr.is_null() && ptr as usize % layout.align() == 0, "{:?}", layout);
                    let bytes = std::slice::from_raw_parts_mut(ptr, layout.size());
                    assert!(!zeroed || is_all(bytes, 0), "{:?}", layout);
                    bytes.fill(pattern);
                    blocks.insert(slot, (ptr, layout, pattern));
                }
                Some((ptr, old, written)) => {
                    let bytes = std::slice::from_raw_parts(ptr, old.size());
                    assert!(is_all(bytes, written), "{:?}", old);
                    if random.below(2) == 0 {
                        ALLOCATOR.dealloc(ptr, old);
                        continue;
                    }
                    let new = Layout::from_size_align(layout(&mut random).size(), old.align()).unwrap();
                    let ptr = ALLOCATOR.realloc(ptr, old, new.size());
                    assert!(!ptr.is_null() && ptr as usize % new.align() == 0, "{:?} {:?}", old, new);
                    let bytes = std::slice::from_raw_parts_mut(ptr, new.size());
                    let kept = old.size().min(new.size());
                    assert!(is_all(&bytes[..kept], written), "{:?} {:?}", old, new);
                    bytes.fill(pattern);
                    blocks.insert(slot, (ptr, new, pattern));
                }
            }
        }
        for (_, (ptr, layout, _)) in blocks {
            ALLOCATOR.dealloc(ptr, layout);
        }
    }
}

#[test]
fn a_limit_is_no_memory() {
    in_child("a_limit_is_no_memory", || {
        enable();
        Options::new().limit_bytes(MIB).apply().unwrap();
        let mut vec: Vec<u8> = Vec::new();
        vec.try_reserve_exact(MIB).unwrap();
        vec.push(1);
        assert!(vec.try_reserve_exact(2 * MIB).is_err());
        assert!(owned(&vec) && vec[..] == [1]);
        vec = Vec::new();
        assert!(vec.try_reserve_exact(60 * KIB).is_ok(), "the heap has no limit");
    });
}

/// What a program does at its end, in destructors of thread-local values, takes memory too.
#[test]
fn destructors_of_thread_local_values() {
    in_child("destructors_of_thread_local_values", || {
        struct Last(Vec<u8>);
        impl Drop for Last {
            fn drop(&mut self) {
                self.0 = vec![7; 4 * MIB];
                assert!(owned(&self.0));
            }
        }
        thread_local! {
            static LAST: std::cell::RefCell<Last> = std::cell::RefCell::new(Last(vec![1; MIB]));
        }
        enable();
        for _ in 0..10 {
            thread::spawn(|| LAST.with(|last| last.borrow_mut().0.push(1))).join().unwrap();
        }
        assert_eq!(stats::global().in_use_bytes, 0);
    });
}

#[cfg(feature = "allocator-api2")]
mod of_collections {
    use super::*;
    use allocator_api2::alloc::Allocator;

    #[test]
    fn blocks_without_bytes() {
        let empty = Layout::from_size_align(0, 64).unwrap();
        let full = Layout::from_size_align(100, 64).unwrap();
        let block = Lgalloc.allocate(empty).unwrap();
        assert!(block.len() == 0 && block.cast::<u8>().as_ptr() as usize % 64 == 0);
        // SAFETY: each block is given back once, with its layout.
        unsafe {
            let grown = Lgalloc.grow_zeroed(block.cast(), empty, full).unwrap();
            assert!(grown.as_ref().iter().all(|byte| *byte == 0) && grown.len() == 100);
            let shrunk = Lgalloc.shrink(grown.cast(), full, empty).unwrap();
            assert_eq!(shrunk.len(), 0);
            Lgalloc.deallocate(shrunk.cast(), empty);
            let block = Lgalloc.allocate_zeroed(empty).unwrap();
            let grown = Lgalloc.grow(block.cast(), empty, full).unwrap();
            Lgalloc.deallocate(grown.cast(), full);
        }
    }

    #[test]
    fn blocks_change_their_size_and_alignment() {
        let sizes = [10, 100, 60 * KIB, 64 * KIB, 100 * KIB, 2 * MIB];
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        for (from, align) in sizes.into_iter().flat_map(|size| [(size, 1), (size, 64), (size, 8192)]) {
            for (to, new_align) in sizes.into_iter().flat_map(|size| [(size, 8), (size, 4096)]) {
                // SAFETY: each block is used within its layout, and given back once, with that.
                unsafe {
                    let (old, new) = (layout(from, align), layout(to, new_align));
                    let mut block = Lgalloc.allocate(old).unwrap();
                    block.as_mut().fill(9);
                    let moved = if to >= from {
                        Lgalloc.grow_zeroed(block.cast(), old, new).unwrap()
                    } else {
                        Lgalloc.shrink(block.cast(), old, new).unwrap()
                    };
                    assert_eq!(moved.cast::<u8>().as_ptr() as usize % new_align, 0);
                    let bytes = moved.as_ref();
                    assert!(is_all(&bytes[..from.min(to)], 9));
                    assert!(is_all(&bytes[from.min(to)..], 0));
                    Lgalloc.deallocate(moved.cast(), new);
                }
            }
        }
    }
}
