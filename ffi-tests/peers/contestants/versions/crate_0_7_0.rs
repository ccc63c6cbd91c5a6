//! Version 0.7.0: allocations of 2 MiB to 64 GiB in anonymous memory.

lgalloc_contestants::export_handles!(lgalloc_0_7_0, |_| lgalloc_0_7_0::LgAlloc::new());
