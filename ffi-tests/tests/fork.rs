//! What a forked child has, and that its parent sees none of it. Every scenario has a process of its own,
//! which forks.

mod common;

use std::os::raw::c_int;
use std::thread;
use std::time::Duration;

use common::{check_accounts, class, defaults, eventually, sanitized, Joined, Stop, KIB, MIB};
use lgalloc_c::{allocate_zeroed, deallocate, purge, stats, Backing, Options, Region};

extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: u32) -> u32;
}

const SIGBUS: c_int = 7;
const SIGSEGV: c_int = 11;

/// How a child ended.
#[derive(Debug, PartialEq)]
enum Ended {
    Exit(c_int),
    Signal(c_int),
}

/// Forks, and runs the scenario in the child.
fn forked(scenario: impl FnOnce()) -> Ended {
    // SAFETY: the child runs the scenario and ends without running anything of its parent's.
    unsafe {
        let pid = fork();
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            // A child that hangs fails too; a busy machine takes far less.
            alarm(600);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(scenario));
            _exit(if result.is_ok() { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(waitpid(pid, &mut status, 0), pid);
        if status & 0x7f == 0 {
            Ended::Exit(status >> 8 & 0xff)
        } else {
            Ended::Signal(status & 0x7f)
        }
    }
}

/// Runs a scenario in a process of its own, if forks work there.
fn in_child(test: &str, scenario: impl FnOnce()) {
    if sanitized() {
        println!("left out: {}, under a sanitizer", test);
        return;
    }
    common::in_child(test, scenario);
}

fn filled(bytes: usize, with: u8) -> Region<u8> {
    let mut region = Region::new_mmap(bytes).unwrap();
    region.extend((0..bytes).map(|_| with));
    region
}

#[test]
fn file_regions_are_lost_to_the_child() {
    in_child("file_regions_are_lost_to_the_child", || {
        defaults().apply().unwrap();
        let region = filled(MIB, 1);
        let cached = filled(MIB, 2);
        drop(cached);
        let ended = forked(|| {
            // New memory is had at once, and is nobody else's.
            let mut own: Vec<_> = (0..40).map(|_| filled(MIB, 3)).collect();
            assert!(own.iter().all(|r| r.as_ptr() != region.as_ptr()));
            own.truncate(10);
            purge();
            assert!(own.iter().all(|r| r.iter().all(|e| *e == 3)));
            drop(own);
        });
        assert_eq!(ended, Ended::Exit(0));
        assert!(region.iter().all(|e| *e == 1), "the parent's memory is as it was");
        check_accounts();

        // Touching what is lost is a fault, not the parent's memory.
        let ended = forked(|| {
            std::panic::set_hook(Box::new(|_| {}));
            // SAFETY: within the region, for what is left of it.
            let first = unsafe { region.as_ptr().read_volatile() };
            assert_eq!(first, 1);
        });
        assert!(ended == Ended::Signal(SIGSEGV) || ended == Ended::Signal(SIGBUS), "{:?}", ended);

        // Freeing it does nothing.
        let before = class(MIB);
        let mut region = Some(region);
        let ended = forked(|| {
            drop(region.take());
            drop(filled(MIB, 4));
            purge();
        });
        assert_eq!(ended, Ended::Exit(0));
        let region = region.take().expect("the parent still has it");
        assert_eq!(class(MIB).deallocations, before.deallocations);
        assert!(region.iter().all(|e| *e == 1));
        drop(region);
        check_accounts();
    });
}

#[test]
fn anonymous_regions_are_inherited() {
    in_child("anonymous_regions_are_inherited", || {
        defaults().backing(Backing::Anonymous).apply().unwrap();
        let mut region = filled(2 * MIB, 1);
        // A thread of the parent that the child does not have holds free regions.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (ready, freed) = std::sync::mpsc::channel();
        let other = thread::spawn(move || {
            drop((filled(2 * MIB, 5), filled(2 * MIB, 6)));
            ready.send(()).unwrap();
            let _ = wait.recv();
        });
        freed.recv().unwrap();
        let total = class(2 * MIB).area_total_bytes / (2 * MIB);
        let ended = forked(|| {
            assert!(region.iter().all(|e| *e == 1));
            region.fill(9);
            // All there is can be had without another area, what the other thread cached included.
            let held: Vec<_> = (1..total).map(|_| filled(2 * MIB, 3)).collect();
            assert_eq!(class(2 * MIB).free_regions, 0, "{:?}", class(2 * MIB));
            assert_eq!(class(2 * MIB).areas, 1);
            assert!(region.iter().all(|e| *e == 9));
            drop(held);
            check_accounts();
        });
        assert_eq!(ended, Ended::Exit(0));
        assert!(region.iter().all(|e| *e == 1), "copied when the child wrote");
        region.fill(2);
        drop(go);
        other.join().unwrap();
        drop(region);
        check_accounts();
        purge();
        assert_eq!(stats::global().area_bytes, 0);
    });
}

#[test]
fn forking_while_threads_allocate() {
    in_child("forking_while_threads_allocate", || {
        for backing in [Backing::File, Backing::Anonymous] {
            defaults().backing(backing).background(Duration::from_millis(1), 0, 0).apply().unwrap();
            let stop = std::sync::atomic::AtomicBool::new(false);
            thread::scope(|scope| {
                let mut threads = Joined::new();
                let ended = Stop(&stop);
                for n in 0..2 {
                    let stop = &stop;
                    threads.push(scope.spawn(move || {
                        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                            let mut regions: Vec<_> =
                                (0..20).map(|_| Region::<u8>::new_mmap((64 * KIB) << n).unwrap()).collect();
                            for region in &mut regions {
                                region.extend_from_slice(&[n; 100]);
                            }
                            assert!(regions.iter().all(|r| r.iter().all(|e| *e == n)));
                        }
                    }));
                }
                for _ in 0..10 {
                    let child = forked(|| {
                        for _ in 0..3 {
                            let held: Vec<_> = (0..10).map(|_| filled(64 * KIB, 8)).collect();
                            assert!(held.iter().all(|r| r.iter().all(|e| *e == 8)));
                        }
                        let (ptr, capacity, handle) = allocate_zeroed::<u8>(128 * KIB).unwrap();
                        // SAFETY: the memory is ours.
                        let zeros = unsafe { std::slice::from_raw_parts(ptr.as_ptr(), capacity) };
                        assert!(zeros.iter().all(|e| *e == 0));
                        deallocate(handle);
                        lgalloc_c::thread_flush();
                        purge();
                    });
                    assert_eq!(child, Ended::Exit(0));
                }
                drop(ended);
                threads.wait();
            });
            Options::new().background(Duration::ZERO, 0, 0).apply().unwrap();
            check_accounts();
        }
        purge();
        assert_eq!(stats::global().area_bytes, 0);
    });
}

#[test]
fn the_worker_starts_again_in_the_child() {
    in_child("the_worker_starts_again_in_the_child", || {
        defaults().backing(Backing::Anonymous).local_buffer_bytes(0).apply().unwrap();
        Options::new().background(Duration::from_millis(5), 0, 0).apply().unwrap();
        drop(filled(MIB, 1));
        let work = || {
            let slow = class(MIB).clear_slow_total;
            let regions: Vec<_> = (0..4).map(|_| filled(MIB, 1)).collect();
            drop(regions);
            eventually("the worker cleans", || class(MIB).clear_slow_total >= slow + 4);
        };
        assert_eq!(forked(work), Ended::Exit(0));
        work();
        // And in the child of a child.
        let ended = forked(|| assert_eq!(forked(work), Ended::Exit(0)));
        assert_eq!(ended, Ended::Exit(0));
    });
}
