// A program against the interface of version 0.7.0. Which crate it runs on is decided where it is included:
// `lgalloc` is a module there.

use std::ptr::NonNull;
use std::time::Duration;

use lgalloc::{
    allocate, deallocate, lgalloc_set_config, lgalloc_stats, AllocError, BackgroundWorkerConfig, Handle, LgAlloc,
    LgAllocStats, PrefetchError, VALID_SIZE_CLASS,
};

fn fill<T: Copy>(ptr: NonNull<T>, count: usize, with: T) -> &'static mut [T] {
    // SAFETY: the caller has as many elements, until it frees them.
    unsafe {
        for i in 0..count {
            ptr.as_ptr().add(i).write(with);
        }
        std::slice::from_raw_parts_mut(ptr.as_ptr(), count)
    }
}

/// Returns what it saw, for a comparison of one crate with another.
// What an allocation returns can't be printed in the original, which `expect_err` would need.
#[allow(clippy::err_expect)]
pub fn program() -> Vec<String> {
    let mut seen = Vec::new();
    assert!(VALID_SIZE_CLASS.contains(&21) && VALID_SIZE_CLASS.end == 37);
    assert!(allocate::<u8>(2 << 20).err().expect("disabled").is_disabled());
    let background = BackgroundWorkerConfig { interval: Duration::from_secs(60), clear_bytes: 4 << 20 };
    let mut config = LgAlloc::new();
    config
        .enable()
        .with_background_config(background.clone())
        .eager_return(false)
        .growth_dampener(1)
        .local_buffer_bytes(8 << 20);
    assert!(background == background.clone());
    let LgAlloc { enabled, background_config, eager_return, growth_dampener, local_buffer_bytes } = &config;
    assert_eq!((*enabled, *eager_return, *growth_dampener), (Some(true), Some(false), Some(1)));
    assert_eq!((background_config.as_ref(), *local_buffer_bytes), (Some(&background), Some(8 << 20)));
    assert!(config == config.clone() && config != LgAlloc::default());
    // No path: memory is anonymous.
    lgalloc_set_config(&config);
    lgalloc_set_config(&LgAlloc { enabled: Some(true), ..Default::default() });

    let (ptr, capacity, handle): (NonNull<u64>, usize, Handle) = allocate(300_000).unwrap();
    let elements = fill(ptr, capacity, 6u64);
    seen.push(format!("{} {}", capacity, elements.iter().sum::<u64>()));
    handle.prefetch::<u64>(10..200_000).unwrap();
    handle.prefetch::<u64>(0..0).unwrap();
    match handle.prefetch::<u64>(0..capacity + 1) {
        Err(PrefetchError::OutOfBounds { byte_offset, byte_len, allocation_len }) => {
            seen.push(format!("{} {} {}", byte_offset, byte_len, allocation_len))
        }
        Ok(()) => seen.push("within bounds".to_string()),
    }
    let handles = vec![handle];
    std::thread::spawn(move || handles.into_iter().for_each(deallocate)).join().unwrap();

    let (_, capacity, handle) = allocate::<()>(5).unwrap();
    seen.push(format!("{}", capacity == usize::MAX));
    deallocate(handle);
    let (_, capacity, handle) = allocate::<u32>(0).unwrap();
    seen.push(format!("{}", capacity));
    deallocate(handle);
    match allocate::<u8>((64 << 30) + 1) {
        Err(AllocError::InvalidSizeClass(class)) => seen.push(format!("class {}", class)),
        other => seen.push(format!("{}", other.is_ok())),
    }

    let LgAllocStats { size_class } = lgalloc_stats();
    for (size_class, stats) in &size_class {
        assert_eq!(stats.free_regions, stats.thread_regions + stats.global_regions + stats.clean_regions);
        if stats.areas > 0 {
            seen.push(format!(
                "{} {} {} {} {} {} {} {} {} {}",
                size_class,
                stats.areas,
                stats.area_total_bytes,
                stats.free_regions,
                stats.allocations,
                stats.deallocations,
                stats.refill,
                stats.slow_path,
                stats.clear_eager_total,
                stats.clear_slow_total
            ));
        }
    }
    lgalloc_set_config(&*LgAlloc::new().disable());
    assert!(matches!(allocate::<u8>(2 << 20), Err(AllocError::Disabled)));
    seen
}
