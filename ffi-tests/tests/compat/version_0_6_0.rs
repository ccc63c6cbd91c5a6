// A program against the interface of version 0.6.0, with every name, field and method that it has, and in
// every form in which a program may use them. Which crate it runs on is decided where it is included:
// `lgalloc` is a module there.

use std::path::PathBuf;
use std::ptr::NonNull;
use std::time::Duration;

use lgalloc::{
    allocate, deallocate, lgalloc_set_config, lgalloc_stats, lgalloc_stats_with_mapping, AllocError,
    BackgroundWorkerConfig, FileStats, Handle, LgAlloc, LgAllocStats, MapStats, SizeClassStats, VALID_SIZE_CLASS,
};

/// A match without a last resort: there are these variants, and no others.
fn describe(error: &AllocError) -> String {
    match error {
        AllocError::Io(error) => format!("{:?}", error.kind()),
        AllocError::OutOfMemory => "out of memory".to_string(),
        AllocError::InvalidSizeClass(class) => format!("class {}", class),
        AllocError::Disabled => "disabled".to_string(),
        AllocError::UnalignedMemory => "unaligned".to_string(),
    }
}

/// Every field by name, and no other.
fn sum(stats: &SizeClassStats) -> u64 {
    let SizeClassStats {
        areas,
        area_total_bytes,
        free_regions,
        clean_regions,
        global_regions,
        thread_regions,
        allocations,
        slow_path,
        refill,
        deallocations,
        clear_eager_total,
        clear_slow_total,
    } = stats;
    assert_eq!(*areas > 0, *area_total_bytes > 0);
    assert_eq!(*free_regions, clean_regions + global_regions + thread_regions);
    assert!(slow_path >= refill && clear_eager_total + clear_slow_total <= deallocations + refill);
    allocations + deallocations
}

/// Returns what it saw, for a comparison of one crate with another.
// What an allocation returns can't be printed in the original, which `expect_err` would need.
#[allow(clippy::err_expect)]
pub fn program() -> Vec<String> {
    let mut seen = Vec::new();
    assert_eq!(VALID_SIZE_CLASS, 10..37);

    // Disabled at first, and without a path then.
    seen.push(describe(&allocate::<u8>(1024).err().expect("disabled")));
    assert!(allocate::<u8>(1024).err().expect("disabled").is_disabled());
    lgalloc_set_config(LgAlloc::new().enable());
    seen.push(describe(&allocate::<u8>(1 << 20).err().expect("no path")));

    let background = BackgroundWorkerConfig { interval: Duration::from_secs(60), clear_bytes: 4 << 20 };
    let path: PathBuf = std::env::temp_dir();
    let literal = LgAlloc {
        enabled: Some(true),
        path: Some(path.clone()),
        background_config: Some(background.clone()),
        eager_return: Some(false),
        file_growth_dampener: Some(1),
        local_buffer_bytes: Some(8 << 20),
    };
    let mut config = LgAlloc::default();
    config
        .enable()
        .with_background_config(background)
        .with_path("/nowhere".into())
        .with_path(path)
        .eager_return(false)
        .file_growth_dampener(1)
        .local_buffer_bytes(8 << 20);
    assert!(config == literal && config.clone() != LgAlloc::new());
    lgalloc_set_config(&config);

    let (ptr, capacity, handle): (NonNull<u64>, usize, Handle) = allocate(300_000).unwrap();
    // SAFETY: as long as said.
    unsafe { ptr.as_ptr().add(capacity - 1).write(5) };
    seen.push(format!("{}", capacity));
    // A page is enough for these, and may be more.
    for bytes in [1, 1000, 5000, 40_000] {
        let (ptr, capacity, handle) = allocate::<u8>(bytes).unwrap();
        assert!(capacity >= bytes && capacity.is_power_of_two());
        // SAFETY: as long as said.
        unsafe { ptr.as_ptr().add(capacity - 1).write(5) };
        deallocate(handle);
    }
    let (_, capacity, nothing) = allocate::<()>(5).unwrap();
    seen.push(format!("{}", capacity == usize::MAX));
    deallocate(nothing);
    let (_, capacity, nothing) = allocate::<u32>(0).unwrap();
    seen.push(format!("{}", capacity));
    deallocate(nothing);
    seen.push(describe(&allocate::<u8>((64 << 30) + 1).err().expect("too large")));

    let LgAllocStats { size_class, file, map } = lgalloc_stats();
    assert!(map.is_none());
    for (bytes, class) in &size_class {
        if *bytes == 4 << 20 {
            seen.push(format!("{} {} {}", class.areas, class.area_total_bytes, sum(class)));
        }
        assert!(sum(class) < 1000);
    }
    for (bytes, file) in &file {
        let FileStats { file_size, allocated_size } = file.as_ref().unwrap();
        if *bytes == 4 << 20 {
            seen.push(format!("{} on disk", *file_size >= 4 << 20 && *allocated_size >= 4096));
        }
    }
    let stats = lgalloc_stats_with_mapping().unwrap();
    assert_eq!(stats.file.len(), file.len());
    for (bytes, map) in stats.map.iter().flatten() {
        let MapStats { mapped, active, dirty } = map;
        if *bytes == 4 << 20 {
            seen.push(format!("{} in memory", mapped + active + dirty > 0));
        }
    }
    assert!(!format!("{:?}", stats).is_empty());
    std::thread::spawn(move || deallocate(handle)).join().unwrap();
    lgalloc_set_config(&*LgAlloc::new().disable());
    seen.push(describe(&allocate::<u8>(1024).err().expect("disabled")));
    seen
}
