//! Nothing of its own: `tests` uses the collections of other crates with [`lgalloc_c::Lgalloc`].
