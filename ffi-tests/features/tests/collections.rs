//! Collections of other crates on this allocator: their blocks are regions from 64 KiB on, and they end where they began.

use std::collections::hash_map::RandomState;
use std::sync::{Mutex, MutexGuard};

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use hashbrown::HashMap;
use lgalloc_c::stats::global;
use lgalloc_c::{Backing, Lgalloc, Options};

static TURN: Mutex<()> = Mutex::new(());

/// Enabled, and nobody else allocates meanwhile.
fn set_up() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Options::new().enable().backing(Backing::Anonymous).limit_bytes(0).apply().unwrap();
    assert_eq!(global().in_use_bytes, 0);
    turn
}

#[test]
fn vectors_move_between_heap_and_regions() {
    let _turn = set_up();
    let mut vec: Vec<u64, Lgalloc> = Vec::new_in(Lgalloc);
    for number in 0..1u64 << 20 {
        vec.push(number);
    }
    assert!(vec.iter().copied().eq(0..1 << 20));
    assert_eq!(global().in_use_bytes, 8 << 20, "the last block alone");
    vec.truncate(100);
    vec.shrink_to_fit();
    assert_eq!(global().in_use_bytes, 0, "on the heap again");
    assert!(vec.iter().copied().eq(0..100));
    vec.reserve(1 << 20);
    assert!(vec.iter().copied().eq(0..100));
    drop(vec);
    let zeros: Vec<u32, Lgalloc> = allocator_api2::vec![in Lgalloc; 0; 1 << 20];
    assert!(zeros.iter().all(|zero| *zero == 0));
    drop(zeros);
    assert_eq!(global().in_use_bytes, 0);
}

#[test]
fn maps_and_boxes() {
    let _turn = set_up();
    let mut map: HashMap<u64, Box<[u64], Lgalloc>, RandomState, Lgalloc> =
        HashMap::with_hasher_in(RandomState::new(), Lgalloc);
    for key in 0..20_000u64 {
        let mut vec = Vec::with_capacity_in(4, Lgalloc);
        vec.extend([key, key + 1, key + 2]);
        map.insert(key, vec.into_boxed_slice());
    }
    assert!(global().in_use_bytes > 0, "the table is a region");
    for key in 0..20_000 {
        assert_eq!(map[&key][..], [key, key + 1, key + 2]);
    }
    map.retain(|key, _| *key < 10);
    map.shrink_to_fit();
    assert_eq!((map.len(), global().in_use_bytes), (10, 0));
    let large = Box::new_in([7u8; 100_000], Lgalloc);
    assert_eq!((large[99_999], global().in_use_bytes), (7, 128 << 10));
    drop(large);
    drop(map);
    assert_eq!(global().in_use_bytes, 0);
}

#[test]
fn a_limit_is_an_error() {
    let _turn = set_up();
    Options::new().limit_bytes(1 << 20).apply().unwrap();
    let mut vec: Vec<u8, Lgalloc> = Vec::new_in(Lgalloc);
    vec.try_reserve(1 << 20).unwrap();
    vec.extend_from_slice(&[5; 1000]);
    assert!(vec.try_reserve(2 << 20).is_err());
    assert!(vec.len() == 1000 && vec.iter().all(|five| *five == 5));
}
