//! Options: what each does, what is refused, and that they can be set at any time from any thread.

mod common;

use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use common::{
    check_accounts, class, defaults, eventually, in_child, set_up, Joined, Scratch, Stop, KIB, MIB,
};
use lgalloc_c::{
    lgalloc_set_config, purge, stats, AllocError, BackgroundWorkerConfig, Backing, LgAlloc, Options, Region,
};

#[test]
fn off_until_enabled() {
    in_child("off_until_enabled", || {
        assert!(Region::<u8>::new_mmap(MIB).unwrap_err().is_disabled());
        assert!(!Region::<u8>::new_auto(MIB).is_mapped());
        lgalloc_set_config(&LgAlloc::new());
        assert!(Region::<u8>::new_mmap(MIB).unwrap_err().is_disabled());
        lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));
        assert!(Region::<u8>::new_mmap(MIB).unwrap().is_mapped());
    });
}

#[test]
fn without_a_path_there_is_no_file() {
    in_child("without_a_path_there_is_no_file", || {
        lgalloc_set_config(LgAlloc::new().enable());
        match Region::<u8>::new_mmap(MIB) {
            Err(AllocError::Io(error)) => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                assert_eq!(error.raw_os_error(), Some(2));
            }
            other => panic!("{:?}", other),
        }
        // Anonymous memory needs none.
        Options::new().backing(Backing::Anonymous).apply().unwrap();
        assert!(Region::<u8>::new_mmap(MIB).unwrap().is_mapped());
        assert!(stats::files().unwrap().is_empty());
    });
}

#[test]
fn system_errors_have_their_code() {
    in_child("system_errors_have_their_code", || {
        let scratch = Scratch::new("errors");
        let file = scratch.path().join("file");
        std::fs::write(&file, b"no directory").unwrap();
        for (path, code) in [(scratch.path().join("missing"), 2), (file, 20), (PathBuf::from("/proc"), 0)] {
            lgalloc_set_config(LgAlloc::new().enable().with_path(path.clone()));
            let counted = class(MIB);
            let error = Region::<u8>::new_mmap(MIB).unwrap_err();
            assert!(error.to_string().contains("system call"), "{}", error);
            assert!(std::error::Error::source(&error).is_some());
            match error {
                AllocError::Io(error) if code == 0 => assert!(error.raw_os_error().unwrap() > 0),
                AllocError::Io(error) => assert_eq!(error.raw_os_error(), Some(code), "{:?}", path),
                other => panic!("{:?}", other),
            }
            // Nothing was handed out, and the attempt is seen.
            let now = class(MIB);
            assert_eq!((now.allocations, now.areas, now.free_regions), (0, 0, 0));
            assert_eq!(now.refill, counted.refill + 1);
            assert!(!Region::<u8>::new_auto(MIB).is_mapped());
        }
        assert_eq!(stats::global().heap_fallbacks, 3);
        lgalloc_set_config(LgAlloc::new().with_path(std::env::temp_dir()));
        assert!(Region::<u8>::new_mmap(MIB).unwrap().is_mapped());
    });
}

#[test]
fn disabling_keeps_what_there_is() {
    let _turn = set_up();
    let mut region = Region::<u8>::new_mmap(MIB).unwrap();
    lgalloc_set_config(&LgAlloc { enabled: Some(false), path: None, background_config: None });
    assert!(Region::<u8>::new_mmap(MIB).unwrap_err().is_disabled());
    region.extend_from_slice(&[1; 1000]);
    drop(region);
    assert_eq!(class(MIB).in_use_regions, 0);
    purge();
    lgalloc_set_config(LgAlloc::new().enable());
    assert!(Region::<u8>::new_mmap(MIB).is_ok());
}

#[test]
fn a_path_that_is_none() {
    let _turn = set_up();
    for bad in [b"".to_vec(), b"no\0where".to_vec(), vec![b'/'; 5000]] {
        let path = PathBuf::from(std::ffi::OsString::from_vec(bad));
        match Options::new().disable().with_path(&path).apply() {
            Err(AllocError::Io(error)) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
            other => panic!("{:?}: {:?}", path, other),
        }
        // All or nothing: still enabled, and with the path from before.
        assert!(Region::<u8>::new_mmap(MIB).is_ok());
        let panics = std::panic::catch_unwind(|| lgalloc_set_config(LgAlloc::new().with_path(path)));
        assert!(panics.is_err());
    }
}

#[test]
fn a_new_path_is_for_new_areas() {
    let _turn = set_up();
    let (first, second) = (Scratch::new("first"), Scratch::new("second"));
    Options::new().with_path(first.path()).apply().unwrap();
    let mut old = Region::<u8>::new_mmap(32 * MIB).unwrap();
    old.extend_from_slice(b"old");
    Options::new().with_path(second.path()).apply().unwrap();
    let mut new = Region::<u8>::new_mmap(32 * MIB).unwrap();
    new.extend_from_slice(b"new");
    assert_eq!((&old[..], &new[..]), (&b"old"[..], &b"new"[..]));
    // Unlinked: the directories are empty, and can go while the regions are in use.
    for scratch in [&first, &second] {
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
    drop((first, second));
    assert_eq!((&old[..], &new[..]), (&b"old"[..], &b"new"[..]));
    drop((old, new));
    purge();
    assert_eq!(class(32 * MIB).areas, 0);
}

#[test]
fn anonymous_memory_holds_no_file() {
    let _turn = set_up();
    for huge_pages in [false, true] {
        Options::new().backing(Backing::Anonymous).huge_pages(huge_pages).apply().unwrap();
        let mut region = Region::<u64>::new_mmap(MIB).unwrap();
        region.extend((0..1000u32).map(u64::from));
        assert!(region.iter().copied().eq(0..1000));
        assert!(stats::files().unwrap().is_empty());
        drop(region);
        purge();
    }
}

#[test]
fn the_limit_is_hard() {
    let _turn = set_up();
    Options::new().limit_bytes(8 * MIB).apply().unwrap();
    assert_eq!(stats::global().limit_bytes, 8 * MIB);
    let failures = stats::global().limit_failures;
    let mut held: Vec<Region<u8>> = (0..4).map(|_| Region::new_mmap(2 * MIB).unwrap()).collect();
    assert!(matches!(Region::<u8>::new_mmap(2 * MIB), Err(AllocError::OutOfMemory)));
    assert!(matches!(Region::<u8>::new_mmap(64 * KIB), Err(AllocError::OutOfMemory)));
    // The heap would evade it.
    assert!(matches!(Region::<u8>::try_new_auto(2 * MIB), Err(AllocError::OutOfMemory)));
    assert!(std::panic::catch_unwind(|| Region::<u8>::new_auto(2 * MIB)).is_err());
    assert!(!Region::<u8>::new_auto(1000).is_mapped());
    assert!(stats::global().limit_failures >= failures + 4);

    // What was freed is dirty, here and on another thread, and makes room for another size class.
    held.truncate(2);
    let other = thread::spawn(move || drop(held));
    other.join().unwrap();
    let large = Region::<u8>::new_mmap(8 * MIB).unwrap();
    assert!(matches!(Region::<u8>::new_mmap(64 * KIB), Err(AllocError::OutOfMemory)));
    let global = stats::global();
    assert!(global.in_use_bytes + global.dirty_bytes <= 8 * MIB, "{:?}", global);

    // Lifted, or set below what is in use, which takes nothing away.
    Options::new().limit_bytes(0).apply().unwrap();
    let more = Region::<u8>::new_mmap(64 * MIB).unwrap();
    Options::new().limit_bytes(1).apply().unwrap();
    assert!(matches!(Region::<u8>::new_mmap(2 * MIB), Err(AllocError::OutOfMemory)));
    drop((large, more));
    check_accounts();
}

/// Fills some regions, drops them, and says how many bytes they were.
fn make_dirty(count: usize, bytes: usize) -> usize {
    let mut regions: Vec<Region<u8>> = (0..count).map(|_| Region::new_mmap(bytes).unwrap()).collect();
    for region in &mut regions {
        region.extend((0..bytes).map(|_| 1));
    }
    count * bytes
}

#[test]
fn idle_bytes_bound_what_stays_dirty() {
    let _turn = set_up();
    Options::new().idle_bytes(4 * MIB).local_buffer_bytes(0).apply().unwrap();
    make_dirty(16, MIB);
    let global = stats::global();
    assert!(global.dirty_bytes <= 4 * MIB, "{:?}", global);
    Options::new().idle_bytes(usize::MAX).apply().unwrap();
    let made = make_dirty(16, MIB);
    assert_eq!(stats::global().dirty_bytes, made);
    check_accounts();
}

#[test]
fn eager_return_clears_what_leaves_the_cache() {
    let _turn = set_up();
    Options::new().local_buffer_bytes(4 * MIB).apply().unwrap();
    make_dirty(16, MIB);
    let before = class(MIB);
    assert!(before.global_regions > 0, "{:?}", before);
    Options::new().eager_return(true).apply().unwrap();
    purge();
    make_dirty(16, MIB);
    let after = class(MIB);
    assert_eq!(after.global_regions, 0, "{:?}", after);
    assert!(after.clear_eager_total >= before.clear_eager_total + 8, "{:?}", after);
    assert!(stats::global().dirty_bytes <= 4 * MIB);
    check_accounts();
}

#[test]
fn the_local_buffer_bounds_a_threads_cache() {
    let _turn = set_up();
    for bytes in [0, 3 * MIB, 8 * MIB] {
        Options::new().local_buffer_bytes(bytes).apply().unwrap();
        purge();
        make_dirty(24, MIB);
        let class = class(MIB);
        assert!(class.thread_regions * MIB <= bytes, "{}: {:?}", bytes, class);
        // All that was written is in the cache or dirty; beside it a batch that was never handed out may be.
        assert!(class.thread_regions + class.global_regions >= 24, "{:?}", class);
        assert!(class.global_regions >= 24 - bytes / MIB, "{:?}", class);
        // A long run of frees may have left it empty; one region that comes and goes does not.
        make_dirty(1, MIB);
        assert_eq!(self::class(MIB).thread_regions > 0, bytes > 0);
    }
    lgalloc_c::thread_flush();
    assert_eq!(class(MIB).thread_regions, 0);
    check_accounts();
}

#[test]
fn areas_grow_by_the_dampener() {
    in_child("areas_grow_by_the_dampener", || {
        // Bytes mapped after each area: 32 MiB, and then max(32 MiB, last / (dampener + 1)) more than the last, in whole
        // chunks of 32 MiB. What one size class leaves would serve the next: it is given back before.
        for (bytes, dampener, expected) in [
            (MIB, 0, [32, 96, 224, 480, 992]),
            (2 * MIB, 1, [32, 96, 192, 320, 512]),
            (4 * MIB, 7, [32, 96, 192, 320, 480]),
        ] {
            purge();
            let scratch = std::env::temp_dir();
            Options::new().enable().with_path(scratch).growth_dampener(dampener).apply().unwrap();
            let mut held = Vec::new();
            for total in expected {
                while held.len() * bytes < total * MIB {
                    held.push(Region::<u8>::new_mmap(bytes).unwrap());
                }
                let class = class(bytes);
                assert_eq!(class.area_total_bytes, total * MIB, "dampener {}: {:?}", dampener, class);
                assert_eq!(class.free_regions, 0);
            }
            assert_eq!((class(bytes).areas, class(bytes).refill), (5, 5));
        }
    });
}

#[test]
fn reserved_blocks_are_there_before_they_are_written() {
    let _turn = set_up();
    Options::new().reserve_blocks(true).apply().unwrap();
    let region = Region::<u8>::new_mmap(4 * MIB).unwrap();
    let held: Vec<_> = stats::files().unwrap().into_iter().filter(|f| f.size_class == 4 * MIB).collect();
    assert_eq!(held.len(), 1);
    assert!(held[0].allocated_size >= 4 * MIB, "{:?}", held);
    drop(region);
    purge();
}

#[test]
fn the_worker_cleans_and_stops() {
    let _turn = set_up();
    Options::new().local_buffer_bytes(0).release_ticks(0).apply().unwrap();
    make_dirty(16, MIB);
    assert_eq!(class(MIB).global_regions, 16);
    let slow = class(MIB).clear_slow_total;
    lgalloc_set_config(
        LgAlloc::new()
            .with_background_config(BackgroundWorkerConfig { interval: Duration::from_millis(2), batch: 3 }),
    );
    eventually("all regions clean", || class(MIB).global_regions == 0);
    // Counted when the tick that cleaned the last of them is over.
    eventually("sixteen counted", || class(MIB).clear_slow_total == slow + 16);
    check_accounts();

    // Bounded by bytes, one region at least.
    make_dirty(8, 4 * MIB);
    Options::new().background(Duration::from_millis(2), 0, 1).apply().unwrap();
    eventually("the larger ones clean too", || class(4 * MIB).global_regions == 0);

    Options::new().background(Duration::ZERO, 0, 0).apply().unwrap();
    make_dirty(16, MIB);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(class(MIB).global_regions, 16, "stopped");
}

#[test]
fn the_worker_drains_idle_threads() {
    let _turn = set_up();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (ready, made) = std::sync::mpsc::channel::<()>();
    let idle = thread::spawn(move || {
        make_dirty(8, MIB);
        ready.send(()).unwrap();
        let _ = wait.recv();
    });
    made.recv().unwrap();
    assert!(class(MIB).thread_regions >= 8);
    Options::new().background(Duration::from_millis(5), 0, 0).release_ticks(0).apply().unwrap();
    eventually("the idle thread's regions are clean", || {
        let now = class(MIB);
        now.clean_regions * MIB == now.area_total_bytes
    });
    drop(go);
    idle.join().unwrap();
}

#[test]
fn the_worker_releases_idle_areas() {
    let _turn = set_up();
    make_dirty(16, MIB);
    let before = class(MIB);
    assert!(before.areas > 0);
    Options::new().background(Duration::from_millis(2), 0, 0).release_ticks(3).apply().unwrap();
    eventually("no area left", || stats::global().area_bytes == 0);
    assert!(class(MIB).areas_released > before.areas_released);
    check_accounts();
}

#[test]
fn the_environment_sets_what_the_program_does_not() {
    in_child("the_environment_sets_what_the_program_does_not", || {
        std::env::set_var("LGALLOC_ENABLE", "1");
        std::env::set_var("LGALLOC_BACKING", "anonymous");
        std::env::set_var("LGALLOC_LIMIT_BYTES", "3M");
        Options::new().apply().unwrap();
        assert!(Region::<u8>::new_mmap(MIB).unwrap_err().is_disabled(), "read nowhere else");
        let options = Options::new().from_environment(true);
        options.apply().unwrap();
        assert!(Region::<u8>::new_mmap(MIB).unwrap().is_mapped());
        assert_eq!(stats::global().limit_bytes, 3 * MIB);
        let options = options.limit_bytes(5 * MIB);
        options.apply().unwrap();
        assert_eq!(stats::global().limit_bytes, 5 * MIB);
        std::env::set_var("LGALLOC_LIMIT_BYTES", "many");
        match options.disable().apply() {
            Err(AllocError::Io(error)) => {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                let text = error.to_string();
                assert!(text.starts_with("LGALLOC_LIMIT_BYTES=\"many\" is refused"), "{}", text);
            }
            other => panic!("{:?}", other),
        }
        assert!(Region::<u8>::new_mmap(MIB).unwrap().is_mapped());
        std::env::set_var("LGALLOC_LIMIT_BYTES", "6 MiB");
        Options::new().from_environment(true).apply().unwrap();
        assert_eq!(stats::global().limit_bytes, 6 * MIB);
        std::env::set_var("LGALLOC_LIMT_BYTES", "1");
        match Options::new().from_environment(true).apply() {
            Err(AllocError::Io(error)) => {
                assert!(error.to_string().contains("LGALLOC_LIMT_BYTES"), "{}", error)
            }
            other => panic!("{:?}", other),
        }
    });
}

#[test]
fn configured_from_several_threads_at_once() {
    let _turn = set_up();
    let scratch = Scratch::new("several");
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let mut threads = Joined::new();
        for n in 0..4usize {
            let (stop, path) = (&stop, scratch.path());
            threads.push(scope.spawn(move || {
                let mut round = n;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    Options::new()
                        .enable()
                        .local_buffer_bytes(round % 5 * MIB)
                        .growth_dampener(round % 3)
                        .eager_return(round % 2 == 0)
                        .with_path(path)
                        .backing(if round % 7 == 0 { Backing::Anonymous } else { Backing::File })
                        .background(Duration::from_millis(round as u64 % 4), round % 3, round % 2 * MIB)
                        .idle_bytes(round % 4 * 4 * MIB)
                        .release_ticks(round % 6)
                        .apply()
                        .unwrap();
                    round += 4;
                }
            }));
        }
        for n in 0..3u64 {
            let stop = &stop;
            threads.push(scope.spawn(move || {
                let _stop = Stop(stop);
                for round in 0..400 {
                    let bytes = (64 * KIB) << ((round + n) % 6);
                    let mut region = Region::<u64>::new_mmap(bytes / 8).unwrap();
                    region.extend((0..100u32).map(|i| u64::from(i) + n));
                    assert!(region.iter().copied().eq(n..n + 100));
                }
            }));
        }
        threads.wait();
    });
    defaults().apply().unwrap();
    check_accounts();
    purge();
    assert_eq!(stats::global().area_bytes, 0);
}

#[test]
fn options_from_the_crates_configuration() {
    let config = LgAlloc {
        enabled: Some(true),
        path: Some(PathBuf::from("/somewhere")),
        background_config: Some(BackgroundWorkerConfig { interval: Duration::from_secs(1), batch: 5 }),
    };
    let mut built = LgAlloc::new();
    built.enable().with_path("/somewhere".into());
    built.with_background_config(BackgroundWorkerConfig { interval: Duration::from_secs(1), batch: 5 });
    assert!(config == built);
    let options = Options::new().enable().with_path("/somewhere").background(Duration::from_secs(1), 5, 0);
    assert_eq!(Options::from(&config), options);
    assert_ne!(Options::from(&LgAlloc::new()), options);
    assert_eq!(Options::from(&LgAlloc::default()), Options::new());
}
