//! Hands on what the build of the C library found out: what tests and examples are linked with, and which
//! sanitizers the C code is built with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let told = |name: &str| std::env::var(format!("DEP_LGALLOC_{}", name)).unwrap_or_default();
    for argument in told("LINK_ARGS").split('\x1f').filter(|argument| !argument.is_empty()) {
        println!("cargo:rustc-link-arg={}", argument);
    }
    println!("cargo:rustc-env=LGALLOC_SANITIZED={}", told("SANITIZED"));
}
