//! Sealed regions: pins, evictions, and drops in every state.

mod common;

use std::mem::ManuallyDrop;
use std::path::PathBuf;

use common::{defaults, set_up, MIB};
use lgalloc_c::{stats, sys, Backing, Region, Sealed, SealedError};

/// Words of a region of 2 MiB.
const WORDS: usize = 2 * MIB / 8;

/// Anonymous memory, and a directory on disk to evict to. None where there is no such directory: temporary ones may be in
/// memory, and those are refused.
fn spill(limit: usize) -> bool {
    let candidates =
        [std::env::temp_dir(), PathBuf::from("/var/tmp"), PathBuf::from(env!("CARGO_TARGET_TMPDIR"))];
    for directory in candidates {
        let options = defaults().backing(Backing::Anonymous).limit_bytes(limit);
        if options.with_spill(Some(&directory), 0).apply().is_ok() {
            return true;
        }
    }
    eprintln!("left out: there is no directory on disk to evict to");
    false
}

/// After this nothing is evicted any more, in the other tests of this program.
fn no_spill() {
    defaults().with_spill(None::<&str>, 0).apply().unwrap();
}

fn filled(seed: u64) -> Region<u64> {
    let mut region = Region::new_mmap(WORDS).unwrap();
    region.extend((0..WORDS as u32).map(|n| word(seed, n as usize)));
    region
}

fn word(seed: u64, n: usize) -> u64 {
    (seed << 32 | n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn is_filled(words: &[u64], seed: u64) -> bool {
    words.len() == WORDS && words.iter().enumerate().all(|(n, &found)| found == word(seed, n))
}

#[test]
fn contents_come_back() {
    let _turn = set_up();
    if !spill(0) {
        return;
    }
    let sealed = filled(1).seal();
    assert!(sealed.is_evictable() && sealed.is_resident());
    let address = sealed.pin().unwrap().as_ptr();
    sealed.evict().unwrap();
    sealed.evict().unwrap();
    assert!(!sealed.is_resident());
    assert_eq!(stats::global().evicted_bytes, 2 * MIB);
    assert!(matches!(sealed.try_pin(), Err(SealedError::NotResident)));
    {
        let pinned = sealed.pin().unwrap();
        assert_eq!(pinned.as_ptr(), address);
        assert!(is_filled(&pinned, 1));
        assert!(matches!(sealed.evict(), Err(SealedError::Busy)));
        assert!(is_filled(&sealed.try_pin().unwrap(), 1));
    }
    sealed.evict().unwrap();
    let mut region = sealed.unseal().unwrap();
    assert!(is_filled(&region, 1));
    region[0] = 7;
    let sealed = region.seal();
    sealed.evict().unwrap();
    assert_eq!(sealed.pin().unwrap()[..2], [7, word(1, 1)]);
    drop(sealed);
    assert_eq!((stats::global().in_use_bytes, stats::global().evicted_bytes), (0, 0));
    no_spill();
}

#[test]
fn more_than_the_limit() {
    let _turn = set_up();
    if !spill(16 * MIB) {
        return;
    }
    let sealed: Vec<_> = (0..40).map(|seed| filled(seed).seal()).collect();
    let held = stats::global();
    assert!(held.in_use_bytes + held.dirty_bytes <= 16 * MIB);
    for (seed, sealed) in sealed.iter().enumerate() {
        assert!(is_filled(&sealed.pin().unwrap(), seed as u64));
    }
    // All or none.
    let few: Vec<_> = sealed.iter().take(4).collect();
    assert_eq!(Sealed::pin_all(&few).unwrap().len(), 4);
    let all: Vec<_> = sealed.iter().collect();
    assert!(matches!(Sealed::pin_all(&all), Err(SealedError::OutOfMemory)));
    assert_eq!(few.iter().filter(|sealed| sealed.evict().is_ok()).count(), 4);
    drop(sealed);
    assert_eq!(stats::global().evicted_bytes, 0);
    no_spill();
}

#[test]
fn parts_are_read_without_loading() {
    let _turn = set_up();
    if !spill(0) {
        return;
    }
    let sealed = filled(3).seal();
    sealed.evict().unwrap();
    let mut part = [0; 1000];
    sealed.read_into(5000, &mut part).unwrap();
    assert!(part.iter().enumerate().all(|(n, &found)| found == word(3, 5000 + n)));
    assert!(!sealed.is_resident());
    let mut all = vec![0; WORDS];
    sealed.read_into(0, &mut all).unwrap();
    assert!(is_filled(&all, 3));
    for (first, len) in [(WORDS, 1), (WORDS - 999, 1000), (usize::MAX, 1)] {
        part.fill(4711);
        assert!(matches!(sealed.read_into(first, &mut part[..len]), Err(SealedError::OutOfBounds)));
        assert!(part.iter().all(|&word| word == 4711));
    }
    sealed.read_into(WORDS, &mut []).unwrap();
    no_spill();
}

#[test]
fn threads_share_a_region() {
    let _turn = set_up();
    if !spill(8 * MIB) {
        return;
    }
    let sealed: Vec<_> = (0..12).map(|seed| filled(seed).seal()).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sealed = &sealed;
            scope.spawn(move || {
                for turn in 0..60 {
                    let seed = (thread * 7 + turn * 5) % sealed.len();
                    match sealed[seed].pin() {
                        Ok(pinned) => assert!(is_filled(&pinned, seed as u64)),
                        Err(SealedError::OutOfMemory) => (), // all four are pinned by others
                        Err(error) => panic!("{}", error),
                    }
                    if turn % 7 == 0 {
                        let _ = sealed[(seed + 1) % sealed.len()].evict();
                    }
                }
            });
        }
    });
    drop(sealed);
    no_spill();
}

#[test]
fn dropped_in_every_state() {
    let _turn = set_up();
    if !spill(0) {
        return;
    }
    let in_use = || stats::global().in_use_bytes + stats::global().evicted_bytes;
    drop(filled(1).seal());
    let evicted = filled(2).seal();
    evicted.evict().unwrap();
    drop(evicted);
    let loading = filled(3).seal();
    loading.evict().unwrap();
    loading.prefetch();
    drop(loading);
    let cold = filled(4).seal();
    cold.cold();
    drop(cold);
    common::eventually("all are free", || in_use() == 0);
    // On another thread.
    let sealed = filled(5).seal();
    std::thread::spawn(move || drop(sealed)).join().unwrap();
    assert_eq!(in_use(), 0);
    // A pin that is leaked takes the region with it: what it lent may be used for ever.
    let sealed = filled(6).seal();
    let words: &[u64] = &ManuallyDrop::new(sealed.pin().unwrap());
    // SAFETY: the region stays where it is.
    let words = unsafe { std::slice::from_raw_parts(words.as_ptr(), words.len()) };
    let failed = sealed.unseal().unwrap_err();
    assert!(matches!(failed.error, SealedError::Busy));
    assert!(is_filled(&failed.sealed.pin().unwrap(), 6));
    drop(failed);
    assert_eq!(in_use(), 2 * MIB);
    assert!(is_filled(words, 6));
    // SAFETY: the leaked pin, and then nobody has the region any more.
    unsafe {
        let handle = sys::lgalloc_handle { ptr: words.as_ptr() as *mut _, len: 2 * MIB };
        sys::lgalloc_unpin(handle);
        sys::lgalloc_deallocate(handle);
    }
    assert_eq!(in_use(), 0);
    no_spill();
}

#[test]
fn what_is_never_evicted() {
    let _turn = set_up();
    // On files, which the kernel pages, on the heap, and without anywhere to write to.
    let on_files = filled(1).seal();
    let on_heap = Region::from(vec![1u64, 2, 3]).seal();
    assert!(!on_files.is_evictable() && !on_heap.is_evictable());
    assert!(matches!(on_files.evict(), Err(SealedError::NotEvictable)));
    assert!(is_filled(&on_files.pin().unwrap(), 1) && is_filled(&on_files.unseal().unwrap(), 1));
    let mut two = [0; 2];
    on_heap.read_into(1, &mut two).unwrap();
    assert_eq!(two, [2, 3]);
    assert_eq!(Sealed::pin_all(&[&on_heap, &on_heap]).unwrap()[1][2], 3);
    assert_eq!(on_heap.unseal().unwrap()[..], [1, 2, 3]);
    let empty = Region::<u64>::new_empty().seal();
    assert!(empty.is_empty() && empty.pin().unwrap().is_empty());

    defaults().backing(Backing::Anonymous).apply().unwrap();
    lgalloc_c::purge(); // what is free is on files
    let sealed = filled(2).seal();
    let refused = sealed.evict();
    assert!(matches!(refused, Err(SealedError::Io(_))), "{:?}", refused);
    assert!(is_filled(&sealed.pin().unwrap(), 2));
    let mut small = Region::new_mmap(8192).unwrap();
    small.extend_from_slice(&[1u64, 2]);
    let small = small.seal();
    assert!(!small.is_evictable() && matches!(small.evict(), Err(SealedError::NotEvictable)));
    assert_eq!(small.pin().unwrap()[..], [1, 2]);
}
