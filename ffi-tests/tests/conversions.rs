//! Regions from iterators and vectors, and as what bytes are written to. What stays on the heap calls no C code, and
//! runs under Miri as well: `cargo +nightly miri test --test conversions heap`.

mod common;

use std::cell::Cell;
use std::io::{ErrorKind, Write};
use std::rc::Rc;

use common::{check_accounts, set_up, KIB, MIB};
use lgalloc_c::{Options, Region};

/// An iterator whose promise of its length is what it is told to be.
struct Promised<I>(I, (usize, Option<usize>));

impl<I: Iterator> Iterator for Promised<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

#[test]
fn heap_from_iterators() {
    for count in [0u32, 1, 2, 3, 4, 5, 63, 64, 65, 1000] {
        let region: Region<u32> = (0..count).collect();
        assert!(region.iter().copied().eq(0..count) && !region.is_mapped());
        // Nothing is known of the length, or what is known is wrong.
        for lower in [0, 1, count as usize + 7] {
            let region: Region<String> = Promised((0..count).map(|n| n.to_string()), (lower, None)).collect();
            assert!(region.iter().map(|text| text.parse::<u32>().unwrap()).eq(0..count));
            release(region);
        }
    }
    assert_eq!((0..1000).map(|_| ()).collect::<Region<()>>().len(), 1000);
}

/// Elements are not dropped with their region: takes them out, so that nothing is leaked here.
fn release<T>(mut region: Region<T>) {
    // SAFETY: each is read once, and there are none afterwards.
    unsafe {
        let elements: Vec<T> = region.iter().map(|element| std::ptr::read(element)).collect();
        region.set_len(0);
        drop(elements);
    }
}

#[test]
fn heap_from_an_iterator_that_panics() {
    let dropped = Rc::new(Cell::new(0));
    struct Counted(Rc<Cell<u32>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let seen = dropped.clone();
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        (0..10)
            .map(|n| {
                assert!(n < 7, "as it must");
                Counted(seen.clone())
            })
            .collect::<Region<_>>()
            .len()
    }));
    assert!(panics.is_err());
    // Forgotten, and not dropped twice.
    assert_eq!(dropped.get(), 0);
    // SAFETY: what the region forgot are clones of a counter, which would be leaked.
    unsafe {
        for _ in 0..7 {
            Rc::decrement_strong_count(Rc::as_ptr(&dropped));
        }
    }
}

#[test]
fn heap_from_vectors() {
    let vec = vec![1, 2, 3];
    let (ptr, capacity) = (vec.as_ptr(), vec.capacity());
    let mut region = Region::from(vec);
    assert_eq!((region.as_ptr(), region.capacity(), &region[..]), (ptr, capacity, &[1, 2, 3][..]));
    assert!(!region.is_mapped());
    region[0] = 5;
    assert_eq!(region.iter().sum::<i32>(), 10);
    let mut with_room = Vec::with_capacity(10);
    with_room.push(1);
    let mut region = Region::from(with_room);
    region.extend(2..11);
    assert!(region.iter().copied().eq(1..11));
}

#[test]
fn heap_is_written_until_it_is_full() {
    let mut region = Region::from(Vec::with_capacity(8));
    assert_eq!(region.write(b"12345").unwrap(), 5);
    assert_eq!(region.write(b"6789").unwrap(), 3);
    assert_eq!(region.write(b"0").unwrap(), 0);
    assert_eq!(region.write_all(b"0").unwrap_err().kind(), ErrorKind::WriteZero);
    region.flush().unwrap();
    assert_eq!(&region[..], b"12345678");
}

#[test]
fn heap_methods() {
    let mut region: Region<u64> = Region::new_heap(10);
    assert!(region.capacity() >= 10 && region.is_empty() && region.as_vec().is_empty());
    region.extend_from_slice(&[3, 1, 2]);
    region.extend((4..7u32).map(u64::from));
    region[..].sort_unstable();
    assert_eq!(&region[..], [1, 2, 3, 4, 5, 6]);
    region.spare_capacity_mut()[0].write(7);
    // SAFETY: seven are written.
    unsafe { region.set_len(7) };
    assert_eq!(format!("{:?}", region), "[1, 2, 3, 4, 5, 6, 7]");
    region.prefetch(0..1).unwrap();
    region.discard_spare().unwrap();
    // SAFETY: numbers own nothing.
    unsafe { region.clear() };
    assert!(region.is_empty());
    assert_eq!(Region::<()>::new_mmap(5).unwrap().capacity(), usize::MAX);
    assert_eq!(Region::<u8>::new_mmap(0).unwrap().len(), 0);
    let full: Region<u8> = Region::from(Vec::new());
    let full = std::cell::RefCell::new(full);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        full.borrow_mut().extend_from_slice(&[1]);
    }))
    .is_err());
}

#[test]
fn mapped_from_iterators() {
    let _turn = set_up();
    let count = (MIB / 8) as u64;
    let region: Region<u64> = (0..count).collect::<Vec<_>>().into_iter().collect();
    assert!(region.iter().copied().eq(0..count));
    assert!(region.is_mapped());
    assert_eq!(region.capacity(), MIB / 8, "the length was known");
    drop(region);
    // Grows from the heap into regions, each twice the one before.
    let region: Region<u64> = (0..3 * count).filter(|n| n % 3 != 1).collect();
    assert!(region.iter().copied().eq((0..3 * count).filter(|n| n % 3 != 1)));
    assert!(region.is_mapped());
    assert!(region.capacity() <= 4 * MIB / 8);
    drop(region);
    check_accounts();
}

#[test]
fn a_limit_is_a_limit_for_iterators_too() {
    let _turn = set_up();
    Options::new().limit_bytes(MIB).apply().unwrap();
    assert!(std::panic::catch_unwind(|| (0..2 * MIB).map(|_| 0u8).filter(|_| true).collect::<Region<u8>>())
        .is_err());
    assert!(std::panic::catch_unwind(|| vec![0u8; 2 * MIB].into_iter().collect::<Region<u8>>()).is_err());
    check_accounts();
    assert_eq!(lgalloc_c::stats::global().in_use_bytes, 0);
}

#[test]
fn mapped_is_written_until_it_is_full() {
    let _turn = set_up();
    let mut region: Region<u8> = Region::new_mmap(64 * KIB).unwrap();
    for line in 0.. {
        if let Err(error) = writeln!(region, "line {}", line) {
            assert_eq!(error.kind(), ErrorKind::WriteZero);
            break;
        }
    }
    assert_eq!((region.len(), region.capacity()), (64 * KIB, 64 * KIB));
    assert!(region.starts_with(b"line 0\nline 1\n"));
}
