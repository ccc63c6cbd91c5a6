//! The safe region: construction, contents, limits, and which types it takes.

mod common;

use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;

use common::{check_accounts, class, defaults, set_up, KIB, MIB};
use lgalloc_c::{purge, AllocError, HintError, Region};

#[test]
fn two_mebibytes_extended_by_four_elements() {
    let _turn = set_up();
    let mut region = Region::new_mmap(2 << 20).unwrap();
    region.extend_from_slice(&[1, 2, 3, 4]);
    assert_eq!(*region, [1, 2, 3, 4]);
    assert_eq!(region.len(), 4);
    // 2 Mi elements of four bytes, rounded to a power of two that they are already.
    assert_eq!(region.capacity(), 2 << 20);
    assert!(region.is_mapped() && !region.is_empty());
    assert_eq!(class(8 * MIB).in_use_regions, 1);
    drop(region);
    assert_eq!(class(8 * MIB).in_use_regions, 0);
    check_accounts();
}

#[test]
fn constructors_choose_the_memory() {
    let _turn = set_up();
    let empty: Region<u64> = Region::new_empty();
    assert!(!empty.is_mapped() && empty.is_empty());
    assert_eq!((empty.len(), empty.capacity()), (0, 0));
    assert_eq!(Region::<u64>::default().capacity(), 0);

    let heap: Region<u64> = Region::new_heap(100);
    assert!(!heap.is_mapped());
    assert!(heap.capacity() >= 100);

    // On the heap below 64 KiB, mapped from there on.
    assert!(!Region::<u8>::new_auto(64 * KIB - 1).is_mapped());
    let auto = Region::<u8>::new_auto(64 * KIB);
    assert!(auto.is_mapped());
    assert_eq!(auto.capacity(), 64 * KIB);
    assert_eq!(Region::<u8>::new_auto(64 * KIB + 1).capacity(), 128 * KIB);
    assert!(!Region::<u8>::new_auto(0).is_mapped());

    // Mapped on demand, from what rounds up to 64 KiB.
    assert_eq!(Region::<u8>::new_mmap(32 * KIB + 1).unwrap().capacity(), 64 * KIB);
    assert!(!Region::<u8>::new_mmap(0).unwrap().is_mapped());
    drop(auto);
    check_accounts();
}

#[test]
fn the_largest_region_is_64_gibibytes() {
    let _turn = set_up();
    // Address space only: nothing is written.
    let region = Region::<u8>::new_mmap(64 << 30).unwrap();
    assert_eq!(region.capacity(), 64 << 30);
    assert!(matches!(Region::<u8>::new_mmap((64 << 30) + 1), Err(AllocError::InvalidSizeClass(37))));
    drop(region);
    purge();
    assert_eq!(class(64 << 30).areas, 0);
}

#[test]
fn sizes_without_a_class_are_errors() {
    let _turn = set_up();
    assert!(matches!(Region::<u8>::new_mmap(32 * KIB), Err(AllocError::InvalidSizeClass(15))));
    assert!(matches!(Region::<u8>::new_mmap(1), Err(AllocError::InvalidSizeClass(12))));
    assert!(matches!(Region::<u64>::new_mmap(1 << 60), Err(AllocError::InvalidSizeClass(63))));
    // The size in bytes overflows, or has no power of two above it.
    assert!(matches!(Region::<u64>::new_mmap(1 << 61), Err(AllocError::InvalidSizeClass(64))));
    assert!(matches!(Region::<u64>::new_mmap(usize::MAX), Err(AllocError::InvalidSizeClass(64))));
    assert!(matches!(Region::<u8>::new_mmap(usize::MAX), Err(AllocError::InvalidSizeClass(64))));
    assert_eq!(lgalloc_c::stats::size_classes().iter().map(|c| c.in_use_regions).sum::<usize>(), 0);
}

#[test]
fn contents_are_a_vectors() {
    let _turn = set_up();
    let mut region: Region<u32> = Region::new_auto(32 * KIB);
    region.extend((0..1000).map(|i| i * 2));
    region.extend_from_slice(&[7, 5]);
    let expected: Vec<u32> = (0..1000).map(|i| i * 2).chain([7, 5]).collect();
    assert_eq!(region.as_vec(), &expected);
    assert_eq!(&region[..], &expected[..]);
    assert_eq!(region.as_vec().capacity(), region.capacity());

    region.sort_unstable();
    region[0] = 99;
    assert_eq!(region[0], 99);
    assert_eq!(region.iter().max(), Some(&1998));
    assert_eq!(format!("{:?}", &region[..2]), "[99, 2]");

    // A copy of the vector is the heap's own.
    let copy = region.as_vec().clone();
    region.fill(0);
    assert_eq!(copy[0], 99);

    // SAFETY: integers need no drop.
    unsafe { region.clear() };
    assert!(region.is_empty());
    assert_eq!(region.capacity(), 32 * KIB);
    assert!(region.is_mapped());
}

#[test]
fn the_whole_capacity_can_be_used() {
    let _turn = set_up();
    for capacity in [16 * KIB, 16 * KIB + 1, 100_000] {
        let mut region: Region<u32> = Region::new_mmap(capacity).unwrap();
        let all = region.capacity();
        assert!(all >= capacity && (all * 4).is_power_of_two());
        region.extend(0..all as u32);
        assert!(region.iter().enumerate().all(|(i, e)| i as u32 == *e));
    }
}

/// Whether `f` panics.
fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

#[test]
fn a_full_region_panics_and_never_moves() {
    let _turn = set_up();
    for mut region in [Region::<u8>::new_mmap(64 * KIB).unwrap(), Region::new_heap(64 * KIB)] {
        region.extend((0..64 * KIB - 2).map(|_| 1));
        let at = region.as_ptr();
        assert!(panics(|| region.extend_from_slice(&[2, 2, 2])));
        assert!(panics(|| region.extend([3, 3, 3].into_iter())));
        assert_eq!(region.len(), 64 * KIB - 2);
        region.extend_from_slice(&[4, 4]);
        assert!(panics(|| region.extend_from_slice(&[5])));
        region.extend_from_slice(&[]);
        assert_eq!((region.len(), region.as_ptr()), (64 * KIB, at));
        assert_eq!(region[64 * KIB - 3..], [1, 4, 4]);
    }
}

/// Says that it has `said` elements, and has `has`.
struct Liar {
    said: usize,
    has: usize,
}

impl Iterator for Liar {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.has = self.has.checked_sub(1)?;
        Some(9)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.said, Some(self.said))
    }
}

impl ExactSizeIterator for Liar {
    fn len(&self) -> usize {
        self.said
    }
}

#[test]
fn iterators_that_lie_do_no_harm() {
    let _turn = set_up();
    let mut region = Region::<u8>::new_mmap(64 * KIB).unwrap();
    let at = region.as_ptr();
    region.extend(Liar { said: 10, has: 3 });
    assert_eq!(region.len(), 3);
    // More than it said, and they fit.
    region.extend(Liar { said: 1, has: 5 });
    assert_eq!(region.len(), 8);
    // More than fit: as many as do, then a panic.
    assert!(panics(|| region.extend(Liar { said: 0, has: 70_000 })));
    assert_eq!((region.len(), region.as_ptr()), (64 * KIB, at));
    assert!(region.iter().all(|e| *e == 9));
    drop(region);
    check_accounts();
}

#[test]
fn an_iterator_that_panics_leaves_what_was_appended() {
    let _turn = set_up();
    let mut region = Region::<u64>::new_mmap(64 * KIB).unwrap();
    let failing = (0..100u32).map(|i| if i == 40 { panic!("at 40") } else { u64::from(i) });
    assert!(panics(|| region.extend(failing)));
    assert_eq!(region.len(), 40);
    assert!(region.iter().copied().eq(0..40));
}

#[test]
fn elements_are_not_dropped() {
    let _turn = set_up();
    let counted = Rc::new(());
    for mut region in [Region::new_mmap(64 * KIB).unwrap(), Region::new_heap(10), Region::new_auto(64 * KIB)]
    {
        let before = Rc::strong_count(&counted);
        region.extend_from_slice(&[counted.clone(), counted.clone()]);
        // Two were cloned into the region, those of the slice are gone.
        assert_eq!(Rc::strong_count(&counted), before + 2);
        drop(region);
        assert_eq!(Rc::strong_count(&counted), before + 2);
        let mut region = Region::new_heap(2);
        region.extend_from_slice(std::slice::from_ref(&counted));
        // SAFETY: leaks one.
        unsafe { region.clear() };
        assert_eq!(Rc::strong_count(&counted), before + 3);
    }
}

#[test]
fn zero_sized_types_take_no_memory() {
    let _turn = set_up();
    let before = class(64 * KIB).allocations;
    for mut region in
        [Region::<()>::new_mmap(1 << 40).unwrap(), Region::new_auto(1 << 40), Region::new_heap(7)]
    {
        assert!(!region.is_mapped());
        assert_eq!(region.capacity(), usize::MAX);
        region.extend((0..100_000).map(|_| ()));
        assert_eq!(region.len(), 100_000);
        region.extend_from_slice(&[(); 3]);
        assert_eq!(region.len(), 100_003);
    }
    assert_eq!(class(64 * KIB).allocations, before);
}

#[test]
fn over_aligned_types_are_aligned() {
    #[derive(Clone)]
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    #[repr(align(65536))]
    struct Wide(#[allow(dead_code)] u8);
    #[repr(align(4194304))]
    struct Huge(#[allow(dead_code)] u8);

    fn check<T>(count: usize) {
        let regions: Vec<_> = (0..4).map(|_| Region::<T>::new_mmap(count).unwrap()).collect();
        for region in &regions {
            assert!(region.is_mapped() && region.capacity() >= count);
            assert_eq!(region.as_ptr() as usize % std::mem::align_of::<T>(), 0);
        }
    }
    let _turn = set_up();
    check::<Page>(16);
    check::<Wide>(1);
    check::<Wide>(5);
    // More than a page and more than the smallest region: the region is as large, and aligned to that.
    check::<Huge>(1);
    check::<Huge>(3);
    let mut region = Region::new_mmap(16).unwrap();
    region.extend_from_slice(&[Page([3; 4096]), Page([4; 4096])]);
    assert_eq!((region[0].0[17], region[1].0[4095]), (3, 4));
    let wide = Region::<Wide>::new_auto(1);
    assert!(wide.is_mapped());
    assert_eq!(wide.as_ptr() as usize % 65536, 0);
}

#[test]
fn elements_of_all_kinds() {
    #[derive(Clone, PartialEq, Debug)]
    struct Large {
        key: u64,
        payload: [u64; 500],
        text: String,
    }
    let _turn = set_up();

    let mut wide: Region<i128> = Region::new_mmap(5000).unwrap();
    wide.extend((0..5000).map(|i| i as i128 - (1i128 << 100)).collect::<Vec<_>>().into_iter());
    assert!(wide.iter().enumerate().all(|(i, e)| *e == i as i128 - (1i128 << 100)));
    assert_eq!(wide.as_ptr() as usize % std::mem::align_of::<i128>(), 0);

    let mut arrays: Region<[u16; 3]> = Region::new_mmap(20_000).unwrap();
    // 128 KiB hold 21845 elements of six bytes; the two bytes left over hold none.
    assert_eq!(arrays.capacity(), 128 * KIB / 6);
    arrays.extend((0..21845).map(|i| [i as u16, 1, 2]));
    assert_eq!(arrays[21844], [21844, 1, 2]);

    let large = Large { key: 5, payload: [6; 500], text: "seven".to_string() };
    let mut structs: Region<Large> = Region::new_mmap(100).unwrap();
    structs.extend_from_slice(&vec![large.clone(); 100]);
    assert!(structs.iter().all(|s| *s == large));
    // The region forgets its elements: move them out to free the texts.
    // SAFETY: every element is read once, and the region drops none.
    let moved: Vec<Large> = structs.iter().map(|s| unsafe { std::ptr::read(s) }).collect();
    drop(structs);
    assert_eq!(moved[99], large);

    let mut bools: Region<Option<bool>> = Region::new_mmap(64 * KIB).unwrap();
    bools.extend_from_slice(&[Some(true), None]);
    assert_eq!(*bools, [Some(true), None]);
}

#[test]
fn the_spare_part_can_be_filled_in_place() {
    let _turn = set_up();
    let mut region: Region<u64> = Region::new_mmap(8 * KIB).unwrap();
    region.extend_from_slice(&[1]);
    let spare: &mut [MaybeUninit<u64>] = region.spare_capacity_mut();
    assert_eq!(spare.len(), 8 * KIB - 1);
    for (i, slot) in spare.iter_mut().take(10).enumerate() {
        slot.write(i as u64 + 2);
    }
    // SAFETY: eleven elements are written.
    unsafe { region.set_len(11) };
    assert!(region.iter().copied().eq(1..12));
    // SAFETY: none: it panics.
    assert!(panics(|| unsafe { region.set_len(8 * KIB + 1) }));
    assert_eq!(region.len(), 11);
}

#[test]
fn hints_check_their_range() {
    let _turn = set_up();
    let mut region: Region<u64> = Region::new_mmap(MIB / 8).unwrap();
    region.extend((0..1000u32).map(u64::from));
    region.prefetch(0..1000).unwrap();
    region.populate(0..region.capacity()).unwrap();
    region.cold(0..1000).unwrap();
    assert!(region.iter().copied().eq(0..1000));
    match region.prefetch(0..region.capacity() + 1) {
        Err(HintError::OutOfBounds(error)) => {
            assert_eq!(error.to_string(), "1048584 bytes at 0 are not within an allocation of 1048576")
        }
        other => panic!("{:?}", other),
    }
    // The heap takes no hints.
    Region::<u64>::new_heap(10).populate(0..10).unwrap();
    Region::<u64>::new_empty().cold(0..10).unwrap();
}

#[test]
fn discarding_spares_the_elements() {
    let _turn = set_up();
    let mut region: Region<u8> = Region::new_mmap(MIB).unwrap();
    region.extend((0..MIB).map(|_| 7));
    // SAFETY: shorter.
    unsafe { region.set_len(10_000) };
    region.discard_spare().unwrap();
    assert!(region.iter().all(|e| *e == 7));
    // SAFETY: they were written, or read as zero since.
    unsafe { region.set_len(MIB) };
    let page = 4096;
    assert!(region[10_000..10_000usize.next_multiple(page)].iter().all(|e| *e == 7));
    assert!(region[64 * KIB..].iter().all(|e| *e == 0));
    region.discard_spare().unwrap();
    assert_eq!(region[0], 7);
    Region::<u8>::new_heap(5).discard_spare().unwrap();
}

/// `usize::next_multiple_of`, which came after Rust 1.63.
trait NextMultiple {
    fn next_multiple(self, of: usize) -> usize;
}

impl NextMultiple for usize {
    fn next_multiple(self, of: usize) -> usize {
        (self + of - 1) / of * of
    }
}

#[test]
fn regions_live_in_other_things() {
    let _turn = set_up();
    let mut regions: Vec<Region<u64>> = (1..=20).map(|_| Region::new_auto(16 * KIB)).collect();
    for (i, region) in regions.iter_mut().enumerate() {
        region.extend((0..1 + i).map(|_| i as u64));
    }
    // Moving them, as a growing vector does, moves no memory.
    let at: Vec<*const u64> = regions.iter().map(|r| r.as_ptr()).collect();
    regions.reserve(1000);
    regions.swap(0, 19);
    let (first, rest) = regions.split_at_mut(1);
    std::mem::swap(&mut first[0], &mut rest[18]);
    assert!(regions.iter().map(|r| r.as_ptr()).eq(at.iter().copied()));
    let taken = std::mem::take(&mut regions[3]);
    assert_eq!((taken.len(), regions[3].len()), (4, 0));
    let boxed: Box<dyn std::ops::Deref<Target = [u64]>> = Box::new(taken);
    assert_eq!(boxed.len(), 4);
    assert_eq!(class(128 * KIB).in_use_regions, 20);
    let by_name: std::collections::BTreeMap<usize, Region<u64>> = regions.into_iter().enumerate().collect();
    assert_eq!(by_name[&7][0], 7);
    drop((by_name, boxed));
    assert_eq!(class(128 * KIB).in_use_regions, 0);
    check_accounts();
}

#[test]
fn contents_do_not_overlap() {
    let _turn = set_up();
    let mut regions: Vec<Region<u64>> = (0..300).map(|_| Region::new_mmap(8 * KIB).unwrap()).collect();
    for (i, region) in regions.iter_mut().enumerate() {
        region.extend((0..8 * KIB).map(|_| i as u64));
    }
    for (i, region) in regions.iter().enumerate() {
        assert!(region.iter().all(|e| *e == i as u64), "region {}", i);
    }
}

#[test]
fn auto_takes_the_heap_while_disabled() {
    let _turn = set_up();
    lgalloc_c::Options::new().disable().apply().unwrap();
    let fallbacks = lgalloc_c::stats::global().heap_fallbacks;
    let mut region = Region::<u8>::new_auto(2 * MIB);
    assert!(!region.is_mapped());
    region.extend_from_slice(&[1; 100]);
    assert_eq!(lgalloc_c::stats::global().heap_fallbacks, fallbacks + 1);
    defaults().apply().unwrap();
    assert!(Region::<u8>::new_auto(2 * MIB).is_mapped());
    assert_eq!(lgalloc_c::stats::global().heap_fallbacks, fallbacks + 1);
}

/// Compiles, or not.
#[test]
fn auto_traits_and_variance() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Region<u64>>();
    sync::<Region<u64>>();
    send::<Region<std::cell::Cell<u8>>>();
    // A region of longer-lived references is one of shorter-lived ones, as vectors are.
    fn shorter<'a>(region: Region<&'static str>, _: &'a str) -> Region<&'a str> {
        region
    }
    let text = String::new();
    assert_eq!(shorter(Region::new_empty(), &text).len(), 0);
}
