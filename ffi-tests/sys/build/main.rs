//! Compiles the C library into the crate, or links an installed one. `README.md` says which variables it reads.

mod installed;
mod tool;
mod variables;

use std::fs;
use std::path::{Path, PathBuf};

use installed::Installed;
use tool::Tool;
use variables::{fail, var};

fn main() {
    let manifest = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    rerun_if_changed_below(&manifest.join("build"));
    if var("CARGO_CFG_TARGET_OS") != "linux" || var("CARGO_CFG_TARGET_POINTER_WIDTH") != "64" {
        // The crate says in one line what it needs; a C compiler would say it in a hundred.
        return;
    }
    let out = PathBuf::from(var("OUT_DIR"));
    let vendor = manifest.join("vendor");
    let layout = manifest.join("tests").join("layout.c");
    rerun_if_changed(&layout);
    rerun_if_changed_below(&vendor.join("include"));

    let mut links = Links::default();
    let tool = Tool::find();
    let include = match Installed::wanted() {
        Some(installed) => {
            installed.link(&mut links);
            installed.include.unwrap_or_else(|| vendor.join("include"))
        }
        None => {
            let source = vendor.join("lgalloc.c");
            rerun_if_changed(&source);
            rerun_if_changed_below(&vendor.join("src"));
            let include = out.join("include");
            copy_headers(&vendor.join("include"), &include);
            tool.archive("lgalloc", &source, &include, &out);
            println!("cargo:root={}", out.display());
            include
        }
    };
    // Checks the header's layout at compile time and tells it to the tests. An archive member that
    // nothing refers to is not linked, so programs don't carry it.
    tool.archive("lgalloc_layout", &layout, &include, &out);

    if var("CARGO_CFG_TARGET_ENV") != "musl" {
        // POSIX threads are an archive of their own before glibc 2.34, and never with musl.
        println!("cargo:rustc-link-lib=pthread");
    }
    tool.link_sanitizers(&mut links);
    println!("cargo:include={}", include.display());
    links.publish();
}

/// What tests and examples are linked with besides the library: here, and in crates that ask for it.
#[derive(Default)]
pub struct Links(Vec<String>);

impl Links {
    fn argument(&mut self, argument: String) {
        println!("cargo:rustc-link-arg={}", argument);
        self.0.push(argument);
    }

    /// As metadata, which a build script finds as `DEP_LGALLOC_LINK_ARGS`.
    fn publish(&self) {
        println!("cargo:link_args={}", self.0.join("\x1f"));
    }
}

fn copy_headers(from: &Path, to: &Path) {
    let copied = fs::create_dir_all(to).and_then(|()| fs::copy(from.join("lgalloc.h"), to.join("lgalloc.h")));
    if let Err(error) = copied {
        fail(&format!("the header can't be copied to {}: {}", to.display(), error));
    }
}

fn rerun_if_changed(path: &Path) {
    println!("cargo:rerun-if-changed={}", path.display());
}

/// Names the directory too, for files that are added or removed.
fn rerun_if_changed_below(dir: &Path) {
    rerun_if_changed(dir);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(_) => return,
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rerun_if_changed_below(&path);
        } else {
            rerun_if_changed(&path);
        }
    }
}
