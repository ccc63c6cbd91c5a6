//! An installed library, where it is asked for.

use std::path::PathBuf;
use std::process::Command;

use crate::variables::{fail, feature, switch, var_opt};
use crate::Links;

/// Where the library and its header are.
pub struct Installed {
    lib_dirs: Vec<PathBuf>,
    pub include: Option<PathBuf>,
}

impl Installed {
    /// The library in `LGALLOC_LIB_DIR`; or, with the feature `system` or with `LGALLOC_SYSTEM`, the one that
    /// pkg-config finds; or none.
    pub fn wanted() -> Option<Installed> {
        let include = var_opt("LGALLOC_INCLUDE_DIR").map(PathBuf::from);
        if let Some(dir) = var_opt("LGALLOC_LIB_DIR") {
            return Some(Installed { lib_dirs: vec![dir.into()], include });
        }
        if !switch("LGALLOC_SYSTEM") && !feature("SYSTEM") {
            return None;
        }
        for name in ["PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR"] {
            println!("cargo:rerun-if-env-changed={}", name);
        }
        let lib_dirs = pkg_config("--libs-only-L", "-L");
        let include = include.or_else(|| pkg_config("--cflags-only-I", "-I").into_iter().next());
        Some(Installed { lib_dirs, include })
    }

    /// Has it linked.
    pub fn link(&self, links: &mut Links) {
        for dir in &self.lib_dirs {
            println!("cargo:rustc-link-search=native={}", dir.display());
            // For the tests and examples, which run without an installation's loader configuration.
            links.argument(format!("-Wl,-rpath,{}", dir.display()));
        }
        let kind = if switch("LGALLOC_STATIC") { "static" } else { "dylib" };
        println!("cargo:rustc-link-lib={}=lgalloc", kind);
    }
}

/// What pkg-config answers, as the directories behind a prefix.
fn pkg_config(flag: &str, prefix: &str) -> Vec<PathBuf> {
    let mut command = Command::new(var_opt("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into()));
    // Without the version that this crate declares, names would be missing at the end of a long build.
    let wanted = format!("lgalloc >= {}", env!("CARGO_PKG_VERSION"));
    match command.args(["--keep-system-cflags", "--keep-system-libs", flag, &wanted]).output() {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout)
            .split_whitespace()
            .filter_map(|word| word.strip_prefix(prefix))
            .map(PathBuf::from)
            .collect(),
        Ok(out) => fail(&format!(
            "an installed lgalloc is asked for, and pkg-config knows none: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        )),
        Err(error) => {
            fail(&format!("an installed lgalloc is asked for, and pkg-config can't be run: {}", error))
        }
    }
}
