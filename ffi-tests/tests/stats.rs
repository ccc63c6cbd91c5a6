//! What the statistics mean, step by step.

mod common;

use std::thread;

use common::{check_accounts, class, in_child, set_up, KIB, MIB};
use lgalloc_c::{lgalloc_stats, purge, stats, thread_flush, LgAllocStats, Region, VALID_SIZE_CLASS};

#[test]
fn one_region_step_by_step() {
    in_child("one_region_step_by_step", || {
        let _turn = set_up();
        let mut all = LgAllocStats::default();
        lgalloc_stats(&mut all);
        assert!(all.size_class.is_empty(), "nothing was ever used: {:?}", all);

        let mut region = Region::<u8>::new_mmap(2 * MIB).unwrap();
        lgalloc_stats(&mut all);
        assert_eq!(all.size_class.len(), 1);
        let now = &all.size_class[0];
        assert_eq!((now.size_class, now.areas, now.area_total_bytes), (2 * MIB, 1, 32 * MIB));
        assert_eq!((now.allocations, now.deallocations), (1, 0));
        assert_eq!((now.slow_path, now.refill), (1, 1));
        // Sixteen regions, one of them in use.
        assert_eq!(now.free_regions, 15);
        assert_eq!(now.free_regions, now.thread_regions + now.global_regions + now.clean_regions);
        assert_eq!(stats::global().in_use_bytes, 2 * MIB);

        region.extend((0..2 * MIB).map(|_| 1));
        drop(region);
        lgalloc_stats(&mut all);
        let now = &all.size_class[0];
        assert_eq!((now.allocations, now.deallocations, now.free_regions), (1, 1, 16));
        assert!(now.thread_regions >= 1);
        assert!(stats::global().dirty_bytes >= 2 * MIB);

        // Again: from the cache.
        drop(Region::<u8>::new_mmap(2 * MIB).unwrap());
        assert_eq!((class(2 * MIB).slow_path, class(2 * MIB).refill, class(2 * MIB).areas), (1, 1, 1));

        // A class that has no area any more still counts.
        purge();
        lgalloc_stats(&mut all);
        assert_eq!(all.size_class.len(), 1);
        let now = &all.size_class[0];
        assert_eq!((now.areas, now.area_total_bytes, now.free_regions), (0, 0, 0));
        assert_eq!((now.allocations, now.deallocations, now.refill), (2, 2, 1));
        assert_eq!(class(2 * MIB).areas_released, 1);
        check_accounts();
    });
}

#[test]
fn every_class_is_there() {
    let classes = stats::size_classes();
    assert_eq!(VALID_SIZE_CLASS, 16..37);
    assert!(classes.iter().map(|c| c.size_class).eq(VALID_SIZE_CLASS.map(|c| 1 << c)));
}

#[test]
fn flushing_moves_the_cache() {
    let _turn = set_up();
    let regions: Vec<Region<u8>> = (0..8).map(|_| Region::new_mmap(MIB).unwrap()).collect();
    drop(regions);
    assert!(class(MIB).thread_regions >= 8);
    thread_flush();
    let now = class(MIB);
    assert_eq!(now.thread_regions, 0);
    assert!(now.global_regions >= 8);
    check_accounts();
}

#[test]
fn purging_gives_everything_back() {
    let _turn = set_up();
    let mut regions: Vec<Region<u8>> = (0..8).map(|_| Region::new_mmap(4 * MIB).unwrap()).collect();
    for region in &mut regions {
        region.extend((0..4 * MIB).map(|_| 1));
    }
    let blocks = || stats::files().unwrap().iter().map(|f| f.allocated_size).sum::<usize>();
    assert!(blocks() >= 32 * MIB);
    let resident = || stats::maps().unwrap().iter().map(|m| m.mapped).sum::<usize>();
    assert!(resident() >= 32 * MIB, "{:?}", stats::maps());
    let kept = regions.pop().unwrap();
    // Half of them freed by, and cached in, a thread that lives.
    let half = regions.split_off(4);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (ready, freed) = std::sync::mpsc::channel();
    let other = thread::spawn(move || {
        drop(half);
        ready.send(()).unwrap();
        let _ = wait.recv();
    });
    freed.recv().unwrap();
    drop(regions);
    assert_eq!(purge(), 28 * MIB);
    let now = class(4 * MIB);
    assert_eq!((now.in_use_regions, now.thread_regions, now.global_regions), (1, 0, 0));
    assert!(blocks() < 4 * MIB + 512 * KIB, "{}", blocks());
    assert!(resident() < 4 * MIB + 512 * KIB, "{}", resident());
    assert!(kept.iter().all(|e| *e == 1));
    check_accounts();
    drop(kept);
    assert_eq!(purge(), 4 * MIB);
    assert_eq!(class(4 * MIB).areas, 0);
    assert_eq!(stats::global().area_bytes, 0);
    assert_eq!(purge(), 0);
    drop(go);
    other.join().unwrap();
}

#[test]
fn the_system_says_the_same() {
    let _turn = set_up();
    let mut region = Region::<u8>::new_mmap(8 * MIB).unwrap();
    region.extend((0..3 * MIB).map(|_| 1));
    let files = stats::files().unwrap();
    let file = files.iter().find(|f| f.size_class == 8 * MIB).expect("a file");
    assert!(file.file_size >= class(8 * MIB).area_total_bytes, "{:?}", file);
    assert!(file.allocated_size >= 3 * MIB && file.allocated_size < 5 * MIB, "{:?}", file);
    let maps = stats::maps().unwrap();
    let map = maps.iter().find(|m| m.size_class == 8 * MIB).expect("a mapping");
    assert!(map.mapped >= 3 * MIB && map.mapped <= 8 * MIB, "{:?}", map);
    assert!(files.windows(2).all(|w| w[0].size_class < w[1].size_class));
    drop(region);
}

#[test]
fn everything_is_printed() {
    use stats::Format;
    let _turn = set_up();
    let region = Region::<u8>::new_mmap(8 * MIB).unwrap();
    let text = stats::print(Format::Text);
    assert!(text.starts_with("lgalloc ") && text.contains("\n   8 MiB "), "{}", text);
    assert!(text.contains("\nbacking             file\n"), "{}", text);
    let json = stats::print(Format::Json);
    assert!(json.starts_with('{') && json.ends_with("}}\n"), "{}", json);
    let prometheus = stats::print(Format::Prometheus);
    let expected = "lgalloc_size_class_in_use_regions{size_class=\"8388608\"} 1\n";
    assert!(prometheus.contains(expected), "{}", prometheus);
    drop(region);
}

#[test]
fn the_library_tells_what_it_costs() {
    let _turn = set_up();
    let held: Vec<Region<u8>> = (0..10_000).map(|_| Region::new_mmap(64 * KIB).unwrap()).collect();
    let global = stats::global();
    assert!(global.reserved_address_bytes >= global.area_bytes);
    assert!(global.metadata_bytes > 10_000 * 16, "{:?}", global);
    assert!(global.metadata_bytes < 16 * MIB, "{:?}", global);
    assert_eq!(global.in_use_bytes, 10_000 * 64 * KIB);
    assert_eq!((global.clear_failures, global.limit_bytes), (0, 0));
    drop(held);
}
