//! The examples run, and do what they say.

mod common;

#[path = "../examples/columnar.rs"]
mod columnar;
#[path = "../examples/readme.rs"]
mod readme;

#[test]
fn examples_run() {
    let _turn = common::set_up();
    readme::main().unwrap();
    columnar::main().unwrap();
    common::check_accounts();
    assert_eq!(lgalloc_c::stats::global().area_bytes, 0);
}

#[test]
fn arrangements_of_odd_sizes() {
    let _turn = common::set_up();
    for (count, buffer) in [(0, 10), (1, 10), (1000, 7), (70_000, 70_000), (100_000, 9_999)] {
        let _ = columnar::arrange(count, buffer);
        common::check_accounts();
    }
}
