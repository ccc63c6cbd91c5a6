// A program against the interface of version 0.1.6, with every name, field and method that it has, and in
// every form in which a program may use them. Which crate it runs on is decided where it is included:
// `lgalloc` is a module there.

use std::path::PathBuf;
use std::time::Duration;

use lgalloc::{
    lgalloc_set_config, lgalloc_stats, AllocError, BackgroundWorkerConfig, LgAlloc, LgAllocStats, MMapRegion,
    Region, SizeClassStats, VALID_SIZE_CLASS,
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

fn from_io() -> Result<(), AllocError> {
    std::fs::metadata("/nowhere/at/all")?;
    Ok(())
}

fn heap_or_mapped<T>(region: &Region<T>) -> &'static str {
    match region {
        Region::Heap(vec) if vec.capacity() == 0 => "empty",
        Region::Heap(_) => "heap",
        Region::MMap(mapped) => {
            let mapped: &MMapRegion<T> = mapped;
            let elements: &[T] = mapped;
            assert!(elements.len() <= isize::MAX as usize);
            "mapped"
        }
    }
}

/// Every field by name, and no other.
fn sum(stats: &SizeClassStats) -> u64 {
    let SizeClassStats {
        size_class,
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
    } = stats;
    assert!(size_class.is_power_of_two());
    // None where another size class has them now.
    assert_eq!(*areas == 0, *area_total_bytes == 0);
    assert!(*areas == 0 || *area_total_bytes >= *size_class);
    assert_eq!(*free_regions, clean_regions + global_regions + thread_regions);
    assert!(slow_path >= refill);
    allocations + deallocations
}

/// Returns what it saw, for a comparison of one crate with another.
// What an allocation returns can't be printed in the original, which `expect_err` would need.
#[allow(clippy::err_expect)]
pub fn program() -> Vec<String> {
    let mut seen = Vec::new();
    assert_eq!(VALID_SIZE_CLASS.start, 16);

    // Disabled at first, and again.
    seen.push(describe(&Region::<u8>::new_mmap(1 << 20).err().expect("disabled")));
    assert!(Region::<u8>::new_mmap(1 << 20).err().expect("disabled").is_disabled());
    lgalloc_set_config(LgAlloc::new().enable());
    seen.push(describe(&Region::<u8>::new_mmap(1 << 20).err().expect("no path")));
    lgalloc_set_config(&LgAlloc { enabled: Some(false), path: None, background_config: None });
    seen.push(describe(&Region::<u8>::new_mmap(1 << 20).err().expect("disabled")));

    let background = BackgroundWorkerConfig { interval: Duration::from_secs(60), batch: 32 };
    let same = background.clone();
    assert!(same == background && background != BackgroundWorkerConfig::default());
    let mut config = LgAlloc::default();
    let path: PathBuf = std::env::temp_dir();
    config.enable().with_background_config(background).with_path(path);
    assert!(config.enabled == Some(true) && config.path.is_some() && config.background_config.is_some());
    let copy: LgAlloc = config.clone();
    assert!(copy == config);
    lgalloc_set_config(&config);
    seen.push(describe(&from_io().expect_err("there is no such file")));

    // The example of the crate's front page.
    let mut region = Region::new_mmap(2 << 20).unwrap();
    region.extend_from_slice(&[1, 2, 3, 4]);
    seen.push(format!("{:?} of {}", region.as_vec(), region.capacity()));
    assert_eq!(region.iter().sum::<i32>(), 10);
    region[1] = 7;
    region.sort_unstable_by(|a, b| b.cmp(a));
    seen.push(format!("{:?} {} {}", &region[..], region.len(), region.is_empty()));
    region.extend([5, 6].into_iter());
    region.extend(vec![8; 3].into_iter().map(|x| x + 1));
    seen.push(format!("{:?}", &region[..]));
    // SAFETY: integers need no drop.
    unsafe { region.clear() };
    seen.push(format!("{} {}", region.len(), heap_or_mapped(&region)));

    for capacity in [0usize, 10, 1000, 16_384, 20_000, 1 << 20] {
        let auto: Region<u32> = Region::new_auto(capacity);
        let heap: Region<u32> = Region::new_heap(capacity);
        assert!(auto.capacity() >= capacity && heap.capacity() >= capacity);
        seen.push(format!("{} {} {}", capacity, heap_or_mapped(&auto), heap_or_mapped(&heap)));
        match Region::<u32>::new_mmap(capacity) {
            Ok(region) => seen.push(format!("{} {}", heap_or_mapped(&region), region.capacity())),
            Err(error) => seen.push(describe(&error)),
        }
    }
    let mut nothing: Region<()> = Region::new_mmap(1 << 50).unwrap();
    nothing.extend_from_slice(&[(), ()]);
    seen.push(format!("{} {}", nothing.len(), nothing.capacity() == usize::MAX));
    let empty: Region<String> = Region::default();
    seen.push(format!("{} {}", heap_or_mapped(&empty), Region::<u64>::new_empty().len()));

    // To another thread, in a collection, and dropped there.
    let regions: Vec<Region<String>> = (0..3)
        .map(|i| {
            let mut region = Region::new_auto(4096);
            region.extend_from_slice(&[format!("text {}", i)]);
            region
        })
        .collect();
    let texts = std::thread::spawn(move || regions.iter().map(|r| r[0].clone()).collect::<Vec<_>>());
    seen.push(texts.join().unwrap().concat());
    drop(region);

    let mut stats = LgAllocStats::default();
    lgalloc_stats(&mut stats);
    lgalloc_stats(&mut stats);
    for class in &stats.size_class {
        seen.push(format!("{} {}", class.size_class, sum(class)));
    }
    assert!(!format!("{:?} {:?}", stats, AllocError::Disabled).is_empty());
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(AllocError::OutOfMemory);
    assert!(!boxed.to_string().is_empty());
    fn send<T: Send>(_: T) {}
    send(Region::<Vec<u8>>::new_heap(1));
    seen
}
