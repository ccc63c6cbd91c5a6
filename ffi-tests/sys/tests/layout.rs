//! What the declarations say of sizes, alignments, offsets and values is what the C compiler says.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::mem::{align_of, size_of, MaybeUninit};
use std::os::raw::c_char;

use lgalloc_sys::*;

#[repr(C)]
struct Layout {
    name: *const c_char,
    value: usize,
}

extern "C" {
    fn lgalloc_layout_table(out_count: *mut usize) -> *const Layout;
}

/// The figures that `layout.c` tells.
fn told_by_c() -> BTreeMap<String, usize> {
    let mut count = 0;
    // SAFETY: the table is static and has `count` entries with static names.
    let entries = unsafe {
        let table = lgalloc_layout_table(&mut count);
        std::slice::from_raw_parts(table, count)
    };
    entries
        .iter()
        // SAFETY: as above.
        .map(|entry| (unsafe { CStr::from_ptr(entry.name) }.to_str().unwrap().to_string(), entry.value))
        .collect()
}

fn size_of_pointee<T>(_: *const T) -> usize {
    size_of::<T>()
}

/// The same figures, from the Rust declarations.
fn told_by_rust() -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    macro_rules! layout {
        ($($type:ident { $($field:ident),* })*) => { $(
            told.insert(format!("size {}", stringify!($type)), size_of::<$type>());
            told.insert(format!("align {}", stringify!($type)), align_of::<$type>());
            let value = MaybeUninit::<$type>::uninit();
            let base = value.as_ptr();
            $(
                // SAFETY: the address is computed within `value`, nothing is read.
                let field = unsafe { std::ptr::addr_of!((*base).$field) };
                told.insert(
                    format!("offset {}.{}", stringify!($type), stringify!($field)),
                    field as usize - base as usize,
                );
                told.insert(format!("size {}.{}", stringify!($type), stringify!($field)), size_of_pointee(field));
            )*
        )* };
    }
    macro_rules! values {
        ($($constant:ident)*) => { $(
            told.insert(stringify!($constant).to_string(), $constant as usize);
        )* };
    }
    layout! {
        lgalloc_region { ptr, len, capacity, elem_size, mapped }
        lgalloc_handle { ptr, len }
        lgalloc_size_class_stats {
            size_class, areas, area_total_bytes, free_regions, clean_regions, global_regions, thread_regions,
            in_use_regions, allocations, slow_path, refill, deallocations, clear_eager_total, clear_slow_total,
            steals, areas_released, reserved
        }
        lgalloc_global_stats {
            in_use_bytes, dirty_bytes, clean_bytes, area_bytes, reserved_address_bytes, metadata_bytes,
            limit_bytes, clear_failures, advise_failures, limit_failures, heap_fallbacks,
            sealed_bytes, evicted_bytes, spill_file_bytes, evictions, loads, spill_failures, reserved
        }
        lgalloc_file_stats { size_class, file_size, allocated_size }
        lgalloc_map_stats { size_class, mapped, active, dirty }
    }
    told.insert("size lgalloc_status".to_string(), size_of::<lgalloc_status>());
    told.insert("size lgalloc_backing".to_string(), size_of::<lgalloc_backing>());
    values! {
        LGALLOC_STATUS_OK LGALLOC_STATUS_IO LGALLOC_STATUS_OUT_OF_MEMORY LGALLOC_STATUS_INVALID_SIZE_CLASS
        LGALLOC_STATUS_DISABLED LGALLOC_STATUS_UNALIGNED_MEMORY LGALLOC_STATUS_INVALID_ARGUMENT
        LGALLOC_STATUS_CAPACITY_EXCEEDED LGALLOC_STATUS_OUT_OF_BOUNDS LGALLOC_STATUS_NOT_RESIDENT LGALLOC_STATUS_BUSY
        LGALLOC_BACKING_FILE LGALLOC_BACKING_ANONYMOUS
        LGALLOC_SIZE_CLASS_MIN_LOG2 LGALLOC_SIZE_CLASS_MAX_LOG2 LGALLOC_SIZE_CLASS_COUNT LGALLOC_VERSION
    }
    told
}

#[test]
fn both_languages_agree() {
    let (c, rust) = (told_by_c(), told_by_rust());
    assert!(c.len() > 90, "only {} figures", c.len());
    for (name, value) in &c {
        assert_eq!(rust.get(name), Some(value), "{}: C on the right", name);
    }
    for name in rust.keys() {
        assert!(c.contains_key(name), "{} is not in layout.c", name);
    }
}

/// A field that one list forgets would pass above: the fields fill their structs.
#[test]
fn fields_fill_their_structs() {
    let told = told_by_rust();
    for name in ["region", "handle", "size_class_stats", "global_stats", "file_stats", "map_stats"] {
        let prefix = format!("size lgalloc_{}.", name);
        let fields: usize =
            told.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, value)| value).sum();
        assert_eq!(fields, told[&format!("size lgalloc_{}", name)], "{}", name);
    }
}

#[test]
fn enums_are_signed_and_fixed() {
    assert!((-1 as lgalloc_status) < 0 && (-1 as lgalloc_backing) < 0);
    assert_eq!(size_of::<lgalloc_status>(), 4);
}

#[test]
fn version_of_header_and_library_agree() {
    // SAFETY: takes and changes nothing.
    let version = unsafe { lgalloc_version() };
    assert_eq!(version, LGALLOC_VERSION);
    assert_eq!(version, LGALLOC_VERSION_MAJOR << 16 | LGALLOC_VERSION_MINOR << 8 | LGALLOC_VERSION_PATCH);
}
