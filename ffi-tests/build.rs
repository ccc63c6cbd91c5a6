//! Compiles the C library into the crate, or links an installed one.
//!
//! | variable | meaning |
//! |---|---|
//! | `CC_<target>`, `CC` | C compiler, with arguments if need be; default `cc` |
//! | `AR_<target>`, `AR` | archiver; default `ar` |
//! | `CFLAGS_<target>`, `CFLAGS`, `LGALLOC_CFLAGS` | further compiler arguments, split at spaces |
//! | `LGALLOC_SANITIZE` | `address`, `undefined`, or both with a comma: the C code, and with it the tests, runs under these sanitizers; `thread` for the C code of a build that `rustc` itself sanitizes |
//! | `LGALLOC_SYSTEM=1` | link the library that `pkg-config` finds as `lgalloc` |
//! | `LGALLOC_LIB_DIR` | link the library in this directory |
//! | `LGALLOC_INCLUDE_DIR` | where the header of that library is |
//! | `LGALLOC_STATIC=1` | of an installed library, the static archive |

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

fn main() {
    let manifest = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().expect("the crate lies in the library's directory");
    let layout = manifest.join("c").join("layout.c");
    rerun_if_changed(&manifest.join("build.rs"));
    rerun_if_changed(&layout);
    rerun_if_changed_below(&root.join("include"));

    let tool = Tool::find();
    let include = match installed() {
        Some(installed) => {
            installed.link();
            installed.include.unwrap_or_else(|| root.join("include"))
        }
        None => {
            let source = root.join("c").join("lgalloc.c");
            rerun_if_changed(&source);
            rerun_if_changed_below(&root.join("c").join("src"));
            tool.archive("lgalloc", &source, &root.join("include"));
            root.join("include")
        }
    };
    // Checks the header's layout at compile time and tells it to the tests. An archive member that
    // nothing refers to is not linked, so programs don't carry it.
    tool.archive("lgalloc_layout", &layout, &include);

    // The library needs POSIX threads, which is an archive of its own before glibc 2.34.
    println!("cargo:rustc-link-lib=pthread");
    tool.link_sanitizers();
}

/// An installed library that the environment asks for.
struct Installed {
    lib_dirs: Vec<PathBuf>,
    include: Option<PathBuf>,
}

fn installed() -> Option<Installed> {
    let include = var_opt("LGALLOC_INCLUDE_DIR").map(PathBuf::from);
    if let Some(dir) = var_opt("LGALLOC_LIB_DIR") {
        return Some(Installed { lib_dirs: vec![dir.into()], include });
    }
    if !switch("LGALLOC_SYSTEM") {
        return None;
    }
    for name in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR"] {
        println!("cargo:rerun-if-env-changed={}", name);
    }
    let dirs = |flag: &str, prefix: &str| -> Vec<PathBuf> {
        let mut command = Command::new(var_opt("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into()));
        let out = command.args(["--keep-system-cflags", "--keep-system-libs", flag, "lgalloc"]).output();
        match out {
            Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout)
                .split_whitespace()
                .filter_map(|word| word.strip_prefix(prefix))
                .map(PathBuf::from)
                .collect(),
            Ok(out) => fail(&format!(
                "LGALLOC_SYSTEM is set and pkg-config knows no lgalloc: {}",
                String::from_utf8_lossy(&out.stderr).trim()
            )),
            Err(error) => fail(&format!("LGALLOC_SYSTEM is set and pkg-config can't be run: {}", error)),
        }
    };
    let lib_dirs = dirs("--libs-only-L", "-L");
    let include = include.or_else(|| dirs("--cflags-only-I", "-I").into_iter().next());
    Some(Installed { lib_dirs, include })
}

impl Installed {
    fn link(&self) {
        for dir in &self.lib_dirs {
            println!("cargo:rustc-link-search=native={}", dir.display());
            // For the tests and examples, which run without an installation's loader configuration.
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", dir.display());
        }
        let kind = if switch("LGALLOC_STATIC") { "static" } else { "dylib" };
        println!("cargo:rustc-link-lib={}=lgalloc", kind);
    }
}

/// The C compiler and what every file is compiled with.
struct Tool {
    cc: Vec<String>,
    ar: Vec<String>,
    flags: Vec<String>,
    sanitizers: Vec<String>,
    target: String,
    host: String,
    out: PathBuf,
}

impl Tool {
    fn find() -> Tool {
        let target = var("TARGET");
        let host = var("HOST");
        let words = |name: &str| -> Vec<String> {
            for_target(name, &target)
                .map(|value| value.split_whitespace().map(String::from).collect())
                .unwrap_or_default()
        };
        let or = |found: Vec<String>, tool: &str| -> Vec<String> {
            if !found.is_empty() {
                found
            } else if target == host {
                vec![tool.to_string()]
            } else {
                // aarch64-unknown-linux-gnu is aarch64-linux-gnu to the GNU tools.
                let prefix = target.replace("-unknown-", "-");
                vec![format!("{}-{}", prefix, if tool == "cc" { "gcc" } else { tool })]
            }
        };
        let mut flags = words("CFLAGS");
        flags.extend(words("LGALLOC_CFLAGS"));
        let sanitizers: Vec<String> = var_opt("LGALLOC_SANITIZE")
            .map(|list| list.split(',').filter(|s| !s.is_empty()).map(String::from).collect())
            .unwrap_or_default();
        Tool {
            cc: or(words("CC"), "cc"),
            ar: or(words("AR"), "ar"),
            flags,
            sanitizers,
            target,
            host,
            out: PathBuf::from(var("OUT_DIR")),
        }
    }

    fn is_clang(&self) -> bool {
        self.cc.iter().any(|word| word.contains("clang"))
    }

    /// Has the sanitizers' runtime linked into tests and examples.
    fn link_sanitizers(&self) {
        println!("cargo:rustc-env=LGALLOC_SANITIZED={}", self.sanitizers.join(","));
        for sanitizer in &self.sanitizers {
            if sanitizer == "thread" {
                // It has to see Rust's synchronization too: `-Zsanitizer=thread` brings the runtime.
                continue;
            }
            if self.is_clang() {
                // Only clang knows where its runtime is: it has to be rustc's linker as well.
                println!("cargo:rustc-link-arg=-fsanitize={}", sanitizer);
                continue;
            }
            if sanitizer != "address" {
                println!("cargo:rustc-link-arg=-lubsan");
                continue;
            }
            // rustc links with -nodefaultlibs, under which gcc leaves the runtime out. As a shared library it
            // would come behind libc, where it intercepts nothing.
            let archive = "libasan.a";
            let mut cc = Command::new(&self.cc[0]);
            let out = cc.args(&self.cc[1..]).arg(format!("-print-file-name={}", archive)).output();
            let path = match out {
                Ok(out) => String::from_utf8_lossy(&out.stdout).trim().to_string(),
                Err(error) => fail(&format!("{:?} can't be run: {}", cc, error)),
            };
            for argument in ["-Wl,--whole-archive", &path, "-Wl,--no-whole-archive", "-lm", "-ldl", "-lrt"] {
                println!("cargo:rustc-link-arg={}", argument);
            }
        }
    }

    /// Compiles one file into `lib<name>.a` and has it linked.
    fn archive(&self, name: &str, source: &Path, include: &Path) {
        let object = self.out.join(format!("{}.o", name));
        let archive = self.out.join(format!("lib{}.a", name));
        let mut cc = Command::new(&self.cc[0]);
        cc.args(&self.cc[1..]);
        if self.is_clang() && self.target != self.host {
            cc.arg(format!("--target={}", self.target));
        }
        cc.args(["-std=gnu11", "-pthread", "-fPIC", "-ffunction-sections", "-fdata-sections"]);
        cc.arg(match var("OPT_LEVEL").as_str() {
            "z" | "s" => "-Os".to_string(),
            level => format!("-O{}", level),
        });
        if var("DEBUG") != "false" {
            cc.arg("-g");
        }
        if var("OPT_LEVEL") == "0" {
            // The library's internal assertions, as debug_assertions are on in such a profile.
            cc.arg("-DLG_DEBUG=1");
        }
        if !self.sanitizers.is_empty() {
            cc.args(["-g", "-fno-omit-frame-pointer"]);
        }
        for sanitizer in &self.sanitizers {
            cc.arg(format!("-fsanitize={}", sanitizer));
        }
        cc.args(&self.flags);
        cc.arg("-I").arg(include).arg("-c").arg(source).arg("-o").arg(&object);
        run(cc);

        // `ar` adds to an archive that exists; an object that was renamed would stay in it.
        let _ = std::fs::remove_file(&archive);
        let mut ar = Command::new(&self.ar[0]);
        ar.args(&self.ar[1..]).arg("crs").arg(&archive).arg(&object);
        run(ar);
        println!("cargo:rustc-link-search=native={}", self.out.display());
        println!("cargo:rustc-link-lib=static={}", name);
    }
}

fn run(mut command: Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{:?} failed: {}", command, status)),
        Err(error) => fail(&format!("{:?} can't be run: {}", command, error)),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("{}", message);
    exit(1)
}

/// `NAME_<target>`, `NAME_<target with underscores>`, or `NAME`.
fn for_target(name: &str, target: &str) -> Option<String> {
    var_opt(&format!("{}_{}", name, target))
        .or_else(|| var_opt(&format!("{}_{}", name, target.replace('-', "_"))))
        .or_else(|| var_opt(name))
}

fn switch(name: &str) -> bool {
    var_opt(name).map_or(false, |value| value != "0")
}

/// A variable that changes the result, unset or empty: none.
fn var_opt(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={}", name);
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(utf8(name, value))
}

/// A variable that cargo sets.
fn var(name: &str) -> String {
    utf8(name, env::var_os(name).unwrap_or_else(|| fail(&format!("{} is not set; run by cargo?", name))))
}

fn utf8(name: &str, value: OsString) -> String {
    value.into_string().unwrap_or_else(|_| fail(&format!("{} is not UTF-8", name)))
}

fn rerun_if_changed(path: &Path) {
    println!("cargo:rerun-if-changed={}", path.display());
}

/// Names the directory too, for files that are added or removed.
fn rerun_if_changed_below(dir: &Path) {
    rerun_if_changed(dir);
    let entries = match std::fs::read_dir(dir) {
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
