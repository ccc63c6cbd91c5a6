//! Programs that were written for the original crate compile and run with another `use` line. The same
//! files run on the original in the peers crate, which compares what they see.

mod common;

use common::in_child;
use lgalloc_c::{purge, stats, v0_6, v0_7, Backing, Options, Region};

mod written_for_0_1_6 {
    use lgalloc_c::v0_1 as lgalloc;
    include!("compat/version_0_1_6.rs");
}

/// The same, with all the other names of the root around.
mod on_the_root {
    use lgalloc_c as lgalloc;
    include!("compat/version_0_1_6.rs");
}

mod written_for_0_6_0 {
    use lgalloc_c::v0_6 as lgalloc;
    include!("compat/version_0_6_0.rs");
}

mod written_for_0_7_0 {
    use lgalloc_c::v0_7 as lgalloc;
    include!("compat/version_0_7_0.rs");
}

#[test]
fn version_0_1_6() {
    in_child("version_0_1_6", || check_0_1_6(written_for_0_1_6::program()));
}

#[test]
fn version_0_1_6_on_the_root() {
    in_child("version_0_1_6_on_the_root", || check_0_1_6(on_the_root::program()));
}

fn check_0_1_6(seen: Vec<String>) {
    let expected = [
        "disabled",
        "NotFound",
        "disabled",
        "NotFound",
        "[1, 2, 3, 4] of 2097152",
        "[7, 4, 3, 1] 4 false",
        "[7, 4, 3, 1, 5, 6, 9, 9, 9]",
        "0 mapped",
        "0 empty empty",
        "empty 0",
        "10 heap heap",
        "class 12",
        "1000 heap heap",
        "class 12",
        "16384 mapped heap",
        "mapped 16384",
        "20000 mapped heap",
        "mapped 32768",
        "1048576 mapped heap",
        "mapped 1048576",
        "2 true",
        "empty 0",
        "text 0text 1text 2",
    ];
    assert_eq!(seen[..expected.len()], expected);
    // Allocations and deallocations of the size classes of 64, 128 and 4096 KiB and 8 MiB.
    assert_eq!(seen[expected.len()..], ["65536 4", "131072 10", "4194304 4", "8388608 2"]);
}

#[test]
fn version_0_6_0() {
    in_child("version_0_6_0", || {
        let seen = written_for_0_6_0::program();
        let expected = [
            "disabled",
            "NotFound",
            "524288",
            "true",
            "0",
            "class 37",
            "1 33554432 1",
            "true on disk",
            "true in memory",
            "disabled",
        ];
        assert_eq!(seen, expected);
    });
}

#[test]
fn version_0_7_0() {
    in_child("version_0_7_0", || {
        let seen = written_for_0_7_0::program();
        let expected = [
            "524288 3145728",
            "0 4194312 4194304",
            "true",
            "0",
            "class 37",
            "4194304 1 33554432 8 1 1 1 1 0 0",
        ];
        assert_eq!(seen, expected);
        assert!(lgalloc_c::stats::files().unwrap().is_empty(), "anonymous memory has no files");
    });
}

/// What a version has for a default gives way to what options choose, in either order.
#[test]
fn a_chosen_backing_stays() {
    in_child("a_chosen_backing_stays", || {
        let on_files = || {
            let region = Region::<u8>::new_mmap(32 << 20).unwrap();
            let on_files = !stats::files().unwrap().is_empty();
            drop(region);
            purge();
            on_files
        };
        v0_7::lgalloc_set_config(v0_7::LgAlloc::new().enable());
        assert!(!on_files(), "0.7 is anonymous");
        v0_6::lgalloc_set_config(v0_6::LgAlloc::new().with_path(std::env::temp_dir()));
        assert!(on_files(), "0.6 is on files");
        v0_7::lgalloc_set_config(&v0_7::LgAlloc::new());
        assert!(!on_files(), "the last one counts");
        Options::new().backing(Backing::File).apply().unwrap();
        v0_7::lgalloc_set_config(&v0_7::LgAlloc::new());
        assert!(on_files(), "chosen");
        Options::new().backing(Backing::Anonymous).apply().unwrap();
        v0_6::lgalloc_set_config(v0_6::LgAlloc::new().with_path(std::env::temp_dir()));
        lgalloc_c::lgalloc_set_config(lgalloc_c::LgAlloc::new().with_path(std::env::temp_dir()));
        assert!(!on_files(), "chosen");
    });
}
