//! Where the versions differ from this library, and where they don't: one test for every line of the table in
//! the crate's README.

mod common;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use common::{child, enabled, in_children, versions};
use lgalloc_peers::peer::{original, ours, Config, Element, Failure, Peer, Stats};
use lgalloc_peers::program::await_worker;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn both(version: &str) -> [&'static dyn Peer; 2] {
    [original(version), ours(version)]
}

fn class(peer: &dyn Peer, bytes: usize) -> Stats {
    peer.stats().get(&bytes).copied().unwrap_or_default()
}

/// Allocates so many regions of so many bytes, writes to each, and frees them on this thread.
fn churn(peer: &dyn Peer, count: usize, bytes: usize) {
    let blocks: Vec<_> = (0..count)
        .map(|i| {
            let mut block = peer.allocate(Element::Byte, bytes).expect("memory");
            block.bytes()[0] = i as u8;
            block
        })
        .collect();
    blocks.into_iter().for_each(|block| block.free());
}

/// Alike: a program for a version sees on this library what it sees on the original.
#[test]
fn programs_written_for_the_versions() {
    mod on_0_1_6 {
        use lgalloc_0_1_6 as lgalloc;
        include!("../../tests/compat/version_0_1_6.rs");
    }
    mod on_ours_0_1 {
        use ours::v0_1 as lgalloc;
        include!("../../tests/compat/version_0_1_6.rs");
    }
    mod on_0_6_0 {
        use lgalloc_0_6_0 as lgalloc;
        include!("../../tests/compat/version_0_6_0.rs");
    }
    mod on_ours_0_6 {
        use ours::v0_6 as lgalloc;
        include!("../../tests/compat/version_0_6_0.rs");
    }
    mod on_0_7_0 {
        use lgalloc_0_7_0 as lgalloc;
        include!("../../tests/compat/version_0_7_0.rs");
    }
    mod on_ours_0_7 {
        use ours::v0_7 as lgalloc;
        include!("../../tests/compat/version_0_7_0.rs");
    }
    in_children("programs_written_for_the_versions", &versions(), |version| {
        let [theirs, ours] = match version {
            "0.1.6" => [on_0_1_6::program(), on_ours_0_1::program()],
            "0.6.0" => [on_0_6_0::program(), on_ours_0_6::program()],
            _ => [on_0_7_0::program(), on_ours_0_7::program()],
        };
        assert_eq!(theirs, ours);
    });
}

/// Different: 0.1.6 ends at 4 GiB, 0.6.0 has regions below 64 KiB of their own, 0.7.0 starts at 2 MiB and ends with
/// what the system lets be committed.
#[test]
fn size_classes() {
    in_children("size_classes", &versions(), |version| {
        let [theirs, ours] = both(version);
        both(version).iter().for_each(|peer| peer.configure(&enabled()));
        let has = |peer: &dyn Peer, bytes: usize| {
            let class = bytes.max(4096).next_power_of_two().trailing_zeros() as usize;
            match peer.allocate(Element::Byte, bytes) {
                Ok(block) => {
                    // For 0.6 what is smaller gets the smallest of this library's regions.
                    let least = if peer.name() == ours.name() { 16 } else { 0 };
                    assert_eq!(block.capacity(), 1 << class.max(least), "{} of {}", bytes, peer.name());
                    block.free();
                    true
                }
                Err(Failure::InvalidSizeClass(told)) => {
                    assert_eq!(told, class, "{} of {}", bytes, peer.name());
                    false
                }
                // More than the system has, where address space counts as memory.
                Err(Failure::Io(_)) if peer.name() == "0.7.0" && bytes > 4 << 30 => true,
                Err(failure) => panic!("{} of {}: {:?}", bytes, peer.name(), failure),
            }
        };
        let theirs_has = match version {
            "0.1.6" => 16..33,
            "0.6.0" => 10..37,
            _ => 21..37,
        };
        let ours_has = if version == "0.6.0" { 10..37 } else { 16..37 };
        assert_eq!((theirs.size_classes(), ours.size_classes()), (theirs_has.clone(), ours_has.clone()));
        for bits in 10..39usize {
            for bytes in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                let class = usize::max(bytes, 4096).next_power_of_two().trailing_zeros() as usize;
                assert_eq!(has(theirs, bytes), theirs_has.contains(&class), "{} bytes", bytes);
                assert_eq!(has(ours, bytes), ours_has.contains(&class), "{} bytes", bytes);
            }
        }
    });
}

/// Alike where 0.1.6 has a size class; above, where it takes the heap, this library maps.
#[test]
fn where_auto_regions_are() {
    in_children("where_auto_regions_are", &["0.1.6".to_string()], |version| {
        both(version).iter().for_each(|peer| peer.configure(&enabled()));
        for bytes in
            [0, 1, 32 * KIB, 40_000, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 2 * MIB, 1 << 30, 4 << 30, 8 << 30]
        {
            let [theirs, ours] =
                both(version).map(|peer| peer.auto(Element::Byte, bytes).expect("regions").is_mapped());
            assert_eq!(ours, Some((64 * KIB..=64 << 30).contains(&bytes)), "{} bytes", bytes);
            assert_eq!(theirs == ours, bytes <= 4 << 30, "{} bytes", bytes);
        }
    });
}

/// Different: the originals count an allocation that failed, this library does not. Alike: the attempt counts as
/// slow path and refill, and is the same error.
#[test]
fn failed_allocations() {
    in_children("failed_allocations", &["0.1.6".to_string(), "0.6.0".to_string()], |version| {
        for peer in both(version) {
            let failures = |path: Option<PathBuf>| {
                peer.configure(&Config { path, enabled: Some(true), ..Config::default() });
                (0..3).map(|_| peer.allocate(Element::Byte, 2 * MIB).err()).collect::<Vec<_>>()
            };
            let not_found = vec![Some(Failure::Io(ErrorKind::NotFound)); 3];
            assert_eq!(failures(None), not_found);
            assert_eq!(failures(Some("/nowhere/at/all".into())), not_found);
            peer.configure(&enabled());
            churn(peer, 1, 2 * MIB);
            let stats = class(peer, 2 * MIB);
            let failed = if peer.name() == version { 6 } else { 0 };
            assert_eq!(stats.allocations, 1 + failed, "{}", peer.name());
            assert_eq!((stats.deallocations, stats.slow_path, stats.refill), (1, 7, 7), "{}", peer.name());
        }
    });
}

/// Alike: nothing is handed out while disabled, in no version is that counted, and freeing goes on.
#[test]
fn disabled() {
    in_children("disabled", &versions(), |version| {
        for peer in both(version) {
            assert_eq!(peer.allocate(Element::Byte, 2 * MIB).err(), Some(Failure::Disabled));
            peer.configure(&enabled());
            let held = peer.allocate(Element::Byte, 2 * MIB).expect("memory");
            peer.configure(&Config { enabled: Some(false), ..Config::default() });
            assert_eq!(peer.allocate(Element::Byte, 2 * MIB).err(), Some(Failure::Disabled));
            assert_eq!(peer.allocate(Element::Unit, 5).map(|b| b.capacity()).ok(), Some(usize::MAX));
            assert_eq!(peer.allocate(Element::Byte, 0).map(|b| b.capacity()).ok(), Some(0));
            assert!(matches!(peer.allocate(Element::Byte, 1 << 40), Err(Failure::InvalidSizeClass(40))));
            held.free();
            let stats = class(peer, 2 * MIB);
            assert_eq!((stats.allocations, stats.deallocations), (1, 1), "{}", peer.name());
        }
    });
}

/// Different from 0.1.6, where new regions are taken for dirty; alike with the later ones.
#[test]
fn new_regions_are_clean() {
    in_children("new_regions_are_clean", &versions(), |version| {
        for peer in both(version) {
            peer.configure(&enabled());
            let held = peer.allocate(Element::Byte, 2 * MIB).expect("memory");
            let stats = class(peer, 2 * MIB);
            assert_eq!(stats.free_regions, 15, "{}", peer.name());
            let dirty = if peer.name() == "0.1.6" { 15 } else { 0 };
            assert_eq!(stats.global_regions, dirty, "{}: {:?}", peer.name(), stats);
            held.free();
        }
    });
}

/// Different from 0.1.6, whose worker never ticks; alike with the later ones.
#[test]
fn the_worker() {
    in_children("the_worker", &versions(), |version| {
        for peer in both(version) {
            peer.configure(&enabled());
            // More than a thread's cache holds: the rest is in the shared pool.
            churn(peer, 40, 2 * MIB);
            let before = class(peer, 2 * MIB);
            assert!(before.global_regions > 0, "{}: {:?}", peer.name(), before);
            if peer.name() == "0.1.6" {
                let background = Some((Duration::from_millis(1), 64, 0));
                peer.configure(&Config { background, ..Config::default() });
                std::thread::sleep(Duration::from_millis(300));
                assert_eq!(class(peer, 2 * MIB), before);
                continue;
            }
            await_worker(peer);
            let after = class(peer, 2 * MIB);
            assert_eq!(after.free_regions, before.free_regions);
            assert!(after.clean_regions >= before.clean_regions + before.global_regions, "{:?}", after);
            if peer.name() != "this library's regions" {
                assert!(after.clear_slow_total >= before.global_regions as u64, "{:?}", after);
            }
        }
    });
}

/// Different: the originals clear a region that leaves a thread's cache, and take it for dirty; this library
/// takes it for clean, and moves half the cache at a time. Alike: nothing that left a cache holds memory.
#[test]
fn eager_return() {
    in_children("eager_return", &["0.6.0".to_string(), "0.7.0".to_string()], |version| {
        for peer in both(version) {
            peer.configure(&Config {
                eager_return: Some(true),
                local_buffer_bytes: Some(8 * MIB),
                ..enabled()
            });
            churn(peer, 16, 2 * MIB);
            let stats = class(peer, 2 * MIB);
            assert_eq!(stats.free_regions, 16);
            assert!(stats.thread_regions <= 4, "{}: {:?}", peer.name(), stats);
            assert!(stats.clear_eager_total >= 12, "{}: {:?}", peer.name(), stats);
            if peer.name() == version {
                assert_eq!(stats.clear_eager_total, 12);
                assert_eq!((stats.global_regions, stats.clean_regions), (12, 0));
            } else {
                assert_eq!(stats.global_regions, 0, "{:?}", stats);
            }
        }
    });
}

/// Alike: a thread's cache is bounded by the bytes configured, and 32 MiB at first.
#[test]
fn thread_caches_are_bounded() {
    in_children("thread_caches_are_bounded", &versions(), |version| {
        for peer in both(version) {
            peer.configure(&enabled());
            for (i, mib) in [32, 8, 0].into_iter().enumerate() {
                if i > 0 {
                    if version == "0.1.6" {
                        break;
                    }
                    peer.configure(&Config { local_buffer_bytes: Some(mib * MIB), ..Config::default() });
                }
                // On a new thread, whose cache is empty.
                let stats = std::thread::scope(|scope| {
                    let fill = || {
                        churn(peer, 40, 2 * MIB);
                        class(peer, 2 * MIB)
                    };
                    scope.spawn(fill).join().expect("no panic")
                });
                assert!(stats.thread_regions * 2 <= mib, "{} {}: {:?}", peer.name(), mib, stats);
                assert_eq!(stats.thread_regions > 0, mib > 0, "{} {}: {:?}", peer.name(), mib, stats);
            }
        }
    });
}

/// Alike until 1 GiB: areas double, or grow by the dampener. Different from there: this library's grow no further.
#[test]
fn areas_grow_up_to_a_gibibyte() {
    in_children("areas_grow_up_to_a_gibibyte", &versions(), |version| {
        let total = |peer: &dyn Peer, areas: usize| {
            let mut held = Vec::new();
            while class(peer, 64 * MIB).areas < areas {
                held.push(peer.allocate(Element::Byte, 64 * MIB).expect("address space"));
            }
            held.into_iter().for_each(|block| block.free());
            class(peer, 64 * MIB).area_total_bytes / MIB
        };
        for peer in both(version) {
            peer.configure(&enabled());
            assert_eq!(total(peer, 1), 64);
            assert_eq!(total(peer, 4), 64 + 128 + 256 + 512);
            assert_eq!(total(peer, 5), 64 + 128 + 256 + 512 + 1024);
            let sixth = if peer.name() == version { 2048 } else { 1024 };
            assert_eq!(total(peer, 6), 64 + 128 + 256 + 512 + 1024 + sixth, "{}", peer.name());
        }
    });
}

/// Different: this library's regions are aligned to their size, the originals' to a page.
#[test]
fn alignment() {
    in_children("alignment", &versions(), |version| {
        let _ = original(version);
        let ours = ours(version);
        ours.configure(&enabled());
        for bits in 21..28 {
            let mut blocks: Vec<_> =
                (0..3).map(|_| ours.allocate(Element::Byte, 1 << bits).expect("memory")).collect();
            for block in &mut blocks {
                assert_eq!(block.bytes().as_ptr() as usize % (1 << bits), 0);
            }
            blocks.into_iter().for_each(|block| block.free());
        }
        for peer in both(version) {
            peer.configure(&enabled());
            let mut block = peer.allocate(Element::Wide, 1 << 18).expect("memory");
            assert_eq!(block.bytes().as_ptr() as usize % 4096, 0, "{}", peer.name());
            block.free();
        }
    });
}

/// Different: in a destructor of a thread-local value that outlives the original's own, the original ends the
/// process; this library allocates and frees.
#[test]
fn thread_local_destructors() {
    struct Last(std::cell::Cell<Option<&'static dyn Peer>>);
    impl Drop for Last {
        fn drop(&mut self) {
            if let Some(peer) = self.0.get() {
                churn(peer, 2, 2 * MIB);
            }
        }
    }
    thread_local! {
        static EARLY: Last = Last(std::cell::Cell::new(None));
        static LATE: Last = Last(std::cell::Cell::new(None));
    }
    let test = "thread_local_destructors";
    let run = |argument: &str| {
        let (which, version) = argument.split_once(' ').expect("which and version");
        let peer = if which == "original" { original(version) } else { ours(version) };
        peer.configure(&enabled());
        let ended = std::thread::spawn(move || {
            EARLY.with(|last| last.0.set(Some(peer)));
            churn(peer, 1, 2 * MIB);
            LATE.with(|last| last.0.set(Some(peer)));
        })
        .join();
        assert!(ended.is_ok());
        assert_eq!(class(peer, 2 * MIB).deallocations, 5);
    };
    let ours: Vec<String> = versions().iter().map(|version| format!("ours {}", version)).collect();
    in_children(test, &ours, run);
    if std::env::var_os("LGALLOC_PEERS_SCENARIO").is_none() {
        for version in versions() {
            let (passed, said) = child(test, &format!("original {}", version));
            assert!(!passed, "{} allocates in destructors: {}", version, said);
        }
    }
}

/// Alike: hints answer the same.
#[test]
fn prefetching() {
    in_children("prefetching", &["0.7.0".to_string()], |version| {
        original(version).configure(&enabled());
        ours(version).configure(&enabled());
        let (_, _, theirs) = lgalloc_0_7_0::allocate::<u64>(300_000).expect("memory");
        let (_, _, ours) = ours::allocate::<u64>(300_000).expect("memory");
        let max = usize::MAX;
        for range in
            [0..0, 0..1, 5..524_288, 0..524_289, 524_288..524_289, 0..max, max - 1..max, 7..7, max..max]
        {
            let theirs = theirs.prefetch::<u64>(range.clone()).map_err(|error| match error {
                lgalloc_0_7_0::PrefetchError::OutOfBounds { byte_offset, byte_len, allocation_len } => {
                    (byte_offset, byte_len, allocation_len)
                }
            });
            let ours = ours.prefetch::<u64>(range.clone()).map_err(|error| match error {
                ours::PrefetchError::OutOfBounds { byte_offset, byte_len, allocation_len } => {
                    (byte_offset, byte_len, allocation_len)
                }
            });
            assert_eq!(theirs, ours, "{:?}", range);
        }
        lgalloc_0_7_0::deallocate(theirs);
        ours::deallocate(ours);
    });
}
