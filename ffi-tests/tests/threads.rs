//! Regions across threads: moved, dropped elsewhere, in channels and scopes, while threads end and panic.

mod common;

use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::thread;

use common::{check_accounts, class, defaults, set_up, Joined, Random, Stop, KIB, MIB};
use lgalloc_c::{allocate, deallocate, purge, stats, Backing, Region};

#[test]
fn dropped_on_another_thread() {
    let _turn = set_up();
    let before = class(2 * MIB);
    let mut region = Region::new_mmap(2 * MIB).unwrap();
    region.extend_from_slice(&[1u8, 2, 3, 4]);
    thread::spawn(move || {
        assert_eq!(*region, [1, 2, 3, 4]);
        drop(region);
    })
    .join()
    .unwrap();
    // This thread's cache aside, the thread is gone, and what it had cached is not.
    lgalloc_c::thread_flush();
    let after = class(2 * MIB);
    assert_eq!(after.deallocations, before.deallocations + 1);
    assert_eq!((after.in_use_regions, after.thread_regions), (0, 0));
    assert!(after.global_regions > 0);
    check_accounts();
}

#[test]
fn counters_outlive_their_threads() {
    let _turn = set_up();
    let before = class(64 * KIB);
    for _ in 0..10 {
        thread::spawn(|| {
            for _ in 0..100 {
                drop(Region::<u8>::new_mmap(64 * KIB).unwrap());
            }
        })
        .join()
        .unwrap();
    }
    let after = class(64 * KIB);
    assert_eq!(after.allocations, before.allocations + 1000);
    assert_eq!(after.deallocations, before.deallocations + 1000);
    // One thread after the other: what the first left, the next found.
    assert!(after.refill <= before.refill + 1, "{:?}", after);
    check_accounts();
}

#[test]
fn scopes_borrow_regions() {
    let _turn = set_up();
    let mut region: Region<u64> = Region::new_mmap(MIB / 8).unwrap();
    region.extend((0..100_000u32).map(u64::from));
    let sums = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for part in region.chunks(10_000) {
            let sums = &sums;
            scope.spawn(move || sums.lock().unwrap().push(part.iter().sum::<u64>()));
        }
    });
    assert_eq!(sums.lock().unwrap().iter().sum::<u64>(), 99_999 * 100_000 / 2);
    thread::scope(|scope| {
        for part in region.chunks_mut(10_000) {
            scope.spawn(move || part.reverse());
        }
    });
    assert_eq!((region[0], region[10_000]), (9_999, 19_999));
    let shared = Arc::new(region);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.iter().max().copied())
        })
        .collect();
    drop(shared);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), Some(99_999));
    }
    assert_eq!(class(MIB).in_use_regions, 0);
}

/// Every region is filled with its owner's pattern, travels, and is checked where it is dropped.
#[test]
fn producers_and_consumers() {
    let _turn = set_up();
    for backing in [Backing::File, Backing::Anonymous] {
        lgalloc_c::Options::new().backing(backing).local_buffer_bytes(2 * MIB).apply().unwrap();
        purge();
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..3).map(|_| mpsc::sync_channel::<(u64, Region<u64>)>(20)).unzip();
        let consumed = AtomicUsize::new(0);
        thread::scope(|scope| {
            let mut threads = Joined::new();
            for (n, receiver) in receivers.into_iter().enumerate() {
                let consumed = &consumed;
                threads.push(scope.spawn(move || {
                    let mut kept = Vec::new();
                    let mut random = Random::new(n as u64);
                    for (pattern, region) in receiver {
                        kept.push((pattern, region));
                        while !kept.is_empty() && random.below(8) != 0 {
                            let (pattern, region) = kept.swap_remove(random.below(kept.len()));
                            assert!(region.iter().all(|e| *e == pattern), "of {:x}", pattern);
                            consumed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    for (pattern, region) in kept {
                        assert!(region.iter().all(|e| *e == pattern));
                        consumed.fetch_add(1, Ordering::Relaxed);
                    }
                }));
            }
            for n in 0..2 {
                let senders = senders.clone();
                threads.push(scope.spawn(move || {
                    let mut random = Random::new(100 + n);
                    for _ in 0..1000 {
                        let pattern = random.next();
                        let capacity = (8 * KIB) << random.below(4);
                        let mut region = Region::new_mmap(capacity).unwrap();
                        // The edges, where neighbours would meet, and a bit of the middle.
                        let written = if random.below(20) == 0 { capacity } else { 600 };
                        region.extend((0..written).map(|_| pattern));
                        senders[random.below(senders.len())].send((pattern, region)).unwrap();
                    }
                }));
            }
            drop(senders);
            threads.wait();
        });
        assert_eq!(consumed.into_inner(), 2000);
        check_accounts();
    }
    defaults().apply().unwrap();
    purge();
    assert_eq!(stats::global().area_bytes, 0);
}

#[test]
fn what_one_thread_frees_another_can_take() {
    let _turn = set_up();
    let before = class(16 * MIB);
    // An idle thread holds the only two free regions in its cache.
    let (ready, freed) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let idle = thread::spawn(move || {
        let held = [Region::<u8>::new_mmap(16 * MIB).unwrap(), Region::new_mmap(16 * MIB).unwrap()];
        drop(held);
        ready.send(()).unwrap();
        let _ = wait.recv();
    });
    freed.recv().unwrap();
    let held = [Region::<u8>::new_mmap(16 * MIB).unwrap(), Region::new_mmap(16 * MIB).unwrap()];
    let after = class(16 * MIB);
    assert_eq!(after.areas, 1, "{:?}", after);
    assert_eq!(after.steals, before.steals + 2, "{:?}", after);
    drop((held, go));
    idle.join().unwrap();
    check_accounts();
}

#[test]
fn a_panic_unwinds_through_regions() {
    let _turn = set_up();
    let worker = thread::spawn(|| {
        let mut region: Region<u64> = Region::new_mmap(MIB).unwrap();
        region.extend_from_slice(&[1, 2, 3]);
        let (_, _, _leaked_unless_freed) = {
            let (ptr, capacity, handle) = allocate::<u8>(MIB).unwrap();
            deallocate(handle);
            (ptr, capacity, ())
        };
        let index = region.len() + 7;
        region[index]
    });
    assert!(worker.join().is_err());
    assert_eq!(class(8 * MIB).in_use_regions, 0);

    // While a panic is under way already, and in the middle of a collection.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _regions: Vec<Region<u8>> =
            (0..5).map(|i| if i == 4 { panic!("at 4") } else { Region::new_mmap(MIB).unwrap() }).collect();
    }));
    assert!(result.is_err());

    struct AllocatesOnDrop;
    impl Drop for AllocatesOnDrop {
        fn drop(&mut self) {
            assert!(thread::panicking());
            let mut region = Region::<u8>::new_mmap(MIB).unwrap();
            region.extend_from_slice(&[1]);
        }
    }
    let result = catch_unwind(|| {
        let _guard = AllocatesOnDrop;
        panic!("and allocate meanwhile");
    });
    assert!(result.is_err());
    assert_eq!(class(MIB).in_use_regions, 0);
    check_accounts();
}

/// How many destructors of thread-local values ran to their end.
static DESTROYED: AtomicUsize = AtomicUsize::new(0);

/// Allocates and frees when its thread ends.
struct Last(RefCell<Vec<Region<u32>>>);

impl Drop for Last {
    fn drop(&mut self) {
        let mut fresh = Region::<u32>::new_mmap(16 * KIB).unwrap();
        fresh.extend_from_slice(&[4; 100]);
        for region in self.0.borrow_mut().drain(..) {
            assert!(region.iter().all(|e| *e == 7));
        }
        let (_, _, handle) = allocate::<u8>(64 * KIB).unwrap();
        deallocate(handle);
        drop(fresh);
        DESTROYED.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    // Registered before and after the thread's first allocation: destroyed before and after the
    // allocator's own state of the thread.
    static EARLY: Last = const { Last(RefCell::new(Vec::new())) };
    static LATE: Last = const { Last(RefCell::new(Vec::new())) };
}

fn keep(region: Region<u32>, place: &'static thread::LocalKey<Last>) {
    place.with(|last| last.0.borrow_mut().push(region));
}

#[test]
fn thread_local_destructors_allocate_and_free() {
    let _turn = set_up();
    let before = class(64 * KIB);
    let destroyed = DESTROYED.load(Ordering::Relaxed);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(|| {
                EARLY.with(|_| ());
                for place in [&EARLY, &LATE] {
                    let mut region = Region::new_mmap(16 * KIB).unwrap();
                    region.extend_from_slice(&[7; 1000]);
                    keep(region, place);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(DESTROYED.load(Ordering::Relaxed), destroyed + 16);
    let after = class(64 * KIB);
    assert_eq!(after.allocations, before.allocations + 8 * 6);
    assert_eq!(after.in_use_regions, 0);
    assert_eq!(after.thread_regions, before.thread_regions, "{:?}", after);
    check_accounts();
    purge();
    assert_eq!(class(64 * KIB).areas, 0);
}

#[test]
fn many_threads_start_and_end() {
    let _turn = set_up();
    let metadata = |rounds| {
        for _ in 0..rounds {
            // All at once, so that every round needs as many records and regions as the others.
            let together = Barrier::new(8);
            thread::scope(|scope| {
                let mut threads = Joined::new();
                for i in 0..8 {
                    let together = &together;
                    threads.push(scope.spawn(move || {
                        let mut region = Region::<u64>::new_mmap((8 * KIB) << (i % 3)).unwrap();
                        region.extend_from_slice(&[i; 10]);
                        together.wait();
                        assert_eq!(region[9], i);
                        drop(region);
                        together.wait();
                    }));
                }
                threads.wait();
            });
        }
        stats::global().metadata_bytes
    };
    // Records of threads are used again: after the first rounds, more of them take no more memory.
    let settled = metadata(5);
    assert_eq!(metadata(60), settled);
    check_accounts();
}

#[test]
fn purge_while_others_work() {
    let _turn = set_up();
    let stop = AtomicBool::new(false);
    let start = Barrier::new(3);
    thread::scope(|scope| {
        let mut threads = Joined::new();
        let ended = Stop(&stop);
        for n in 0..2u64 {
            let (stop, start) = (&stop, &start);
            threads.push(scope.spawn(move || {
                let mut random = Random::new(n);
                let mut held: Vec<Region<u64>> = Vec::new();
                start.wait();
                while !stop.load(Ordering::Relaxed) {
                    let mut region = Region::new_mmap((8 * KIB) << random.below(3)).unwrap();
                    region.extend((0..512).map(|_| n));
                    held.push(region);
                    if held.len() > 10 {
                        let region = held.swap_remove(random.below(held.len()));
                        assert!(region.iter().all(|e| *e == n));
                    }
                }
            }));
        }
        start.wait();
        for _ in 0..50 {
            purge();
            let _ = stats::size_classes();
            let _ = stats::global();
        }
        drop(ended);
        threads.wait();
    });
    purge();
    assert_eq!(stats::global().area_bytes, 0);
    check_accounts();
}
