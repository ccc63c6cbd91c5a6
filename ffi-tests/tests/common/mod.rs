//! What the tests share. The allocator's configuration and statistics are the process's: tests that look at
//! them take turns.

// Every test program uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use lgalloc_c::stats::{size_classes, SizeClassCounters};
use lgalloc_c::{Backing, Options};

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;
pub const GIB: usize = 1 << 30;

static TURN: Mutex<()> = Mutex::new(());

/// Waits for this test's turn.
pub fn turn() -> MutexGuard<'static, ()> {
    // A test that failed has poisoned the lock, which is no reason for the others to fail.
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits for this test's turn, and sets the allocator up as a program would: enabled, files in the
/// temporary directory, everything else as it is by default, nothing left of the tests before. Those had threads
/// of their own, which give their caches back when they end; a region on its way can't be purged yet.
pub fn set_up() -> MutexGuard<'static, ()> {
    let turn = turn();
    defaults().apply().expect("the defaults can be set");
    eventually("nothing is left of the tests before", || {
        lgalloc_c::purge();
        lgalloc_c::stats::global().area_bytes == 0
    });
    turn
}

/// The default of every option, enabled, with files in the temporary directory.
pub fn defaults() -> Options {
    Options::new()
        .enable()
        .with_path(std::env::temp_dir())
        .backing(Backing::File)
        .background(Duration::ZERO, 0, 0)
        .eager_return(false)
        .growth_dampener(0)
        .local_buffer_bytes(32 * MIB)
        .limit_bytes(0)
        .idle_bytes(usize::MAX)
        .huge_pages(true)
        .core_dump(false)
        .reserve_blocks(false)
        .release_ticks(16)
}

/// The counters of the size class of regions of so many bytes.
pub fn class(bytes: usize) -> SizeClassCounters {
    let counters = size_classes()[bytes.trailing_zeros() as usize - 16];
    assert_eq!(counters.size_class, bytes);
    counters
}

/// What must hold of every size class while nothing is in flight.
pub fn check_accounts() {
    let mut in_use = 0;
    for c in size_classes().iter() {
        assert_eq!(c.free_regions, c.thread_regions + c.global_regions + c.clean_regions, "{:?}", c);
        assert_eq!(c.in_use_regions as u64, c.allocations - c.deallocations, "{:?}", c);
        assert_eq!(c.area_total_bytes, (c.free_regions + c.in_use_regions) * c.size_class, "{:?}", c);
        in_use += c.in_use_regions * c.size_class;
    }
    let global = lgalloc_c::stats::global();
    assert_eq!(global.in_use_bytes, in_use);
    assert_eq!(global.area_bytes, global.in_use_bytes + global.dirty_bytes + global.clean_bytes);
}

/// Waits until something holds that another thread brings about; fails after a time that is long on any
/// machine.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(600), "hangs: {}", what);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Threads of a scope that are joined, and not merely done: the scope itself does not wait for destructors of
/// thread-local values, where the allocator takes back what a thread had cached.
pub struct Joined<'scope>(Vec<ScopedJoinHandle<'scope, ()>>);

impl<'scope> Joined<'scope> {
    pub fn new() -> Self {
        Joined(Vec::new())
    }

    pub fn push(&mut self, thread: ScopedJoinHandle<'scope, ()>) {
        self.0.push(thread);
    }

    /// Waits for all of them, and panics if one did.
    pub fn wait(self) {
        let results: Vec<_> = self.0.into_iter().map(|thread| thread.join()).collect();
        assert!(results.iter().all(|result| result.is_ok()), "a thread panicked");
    }
}

/// Whether the C code runs under a sanitizer, whose runtime changes what faults look like and does not
/// survive a fork of a process with threads.
pub fn sanitized() -> bool {
    !env!("LGALLOC_SANITIZED").is_empty()
}

/// Sets a flag when it goes, also when a test fails: threads that wait for the flag end, and the failure is
/// seen.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A directory of its own for one test, gone afterwards.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("lgalloc-{}-{}", name, std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SCENARIO: &str = "LGALLOC_TEST_SCENARIO";

/// Whether this process is the child that runs the scenario.
pub fn is_child(scenario: &str) -> bool {
    std::env::var(SCENARIO).map_or(false, |name| name == scenario)
}

/// Runs one test of this program again, alone and in a process of its own, where `is_child` of its name is
/// true: for what ends a process, and for what needs a fresh one.
pub fn child(test: &str) -> Output {
    Command::new(std::env::current_exe().expect("the test program has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, test)
        .output()
        .expect("the test program runs")
}

/// Runs a scenario in a child, and fails with what it said if it failed.
pub fn in_child(test: &str, scenario: impl FnOnce()) {
    if is_child(test) {
        return scenario();
    }
    let out = child(test);
    assert!(
        out.status.success(),
        "{}: {}\n{}\n{}",
        test,
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    // A name that is misspelled runs no test, successfully.
    assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"), "{} did not run", test);
}

/// xorshift64*: small, the same everywhere, good enough to choose steps.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }
}
