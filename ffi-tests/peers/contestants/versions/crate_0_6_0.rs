//! Version 0.6.0: allocations from a page to 64 GiB in files.

lgalloc_contestants::export_handles!(lgalloc_0_6_0, |path| {
    let mut config = lgalloc_0_6_0::LgAlloc::new();
    config.with_path(path.to_path_buf());
    config
});
