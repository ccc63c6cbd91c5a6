//! Programs that were written for the original crate compile and run with another `use` line. The same
//! files run on the original in the peers crate, which compares what they see.

mod common;

use common::in_child;

mod written_for_0_1_6 {
    mod lgalloc {
        pub use lgalloc_c::*;
    }
    include!("compat/version_0_1_6.rs");
}

mod written_for_0_7_0 {
    mod lgalloc {
        pub use lgalloc_c::later::*;
    }
    include!("compat/version_0_7_0.rs");
}

#[test]
fn version_0_1_6() {
    in_child("version_0_1_6", || {
        let seen = written_for_0_1_6::program();
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
    });
}

#[test]
fn version_0_7_0() {
    in_child("version_0_7_0", || {
        let mut config = lgalloc_c::later::LgAlloc::new();
        config.with_path(std::env::temp_dir());
        let seen = written_for_0_7_0::program(&mut config);
        assert_eq!(
            seen,
            [
                "524288 3145728",
                "0 4194312 4194304",
                "true",
                "0",
                "class 37",
                "4194304 1 33554432 8 1 1 1 1 0 0",
            ]
        );
        config.disable();
        assert!(config.options() != lgalloc_c::later::LgAlloc::new().options());
        lgalloc_c::later::lgalloc_set_config(&config);
        assert!(lgalloc_c::later::allocate::<u8>(1 << 20).is_err());
    });
}
