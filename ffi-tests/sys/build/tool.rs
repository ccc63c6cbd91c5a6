//! The C compiler and the archiver.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::variables::{fail, for_target, var, var_opt};
use crate::Links;

/// What every file is compiled with.
pub struct Tool {
    cc: Vec<String>,
    ar: Vec<String>,
    flags: Vec<String>,
    sanitizers: Vec<String>,
    target: String,
    host: String,
}

impl Tool {
    pub fn find() -> Tool {
        let target = var("TARGET");
        let host = var("HOST");
        let words = |name: &str| -> Vec<String> {
            for_target(name, &target, &host)
                .map(|value| value.split_whitespace().map(String::from).collect())
                .unwrap_or_default()
        };
        let or = |found: Vec<String>, candidates: Vec<String>| -> Vec<String> {
            if found.is_empty() {
                vec![first_that_runs(candidates)]
            } else {
                found
            }
        };
        let cc = or(words("CC"), compilers(&target, &host));
        let ar = or(words("AR"), archivers(&target, &host));
        let mut flags = words("CFLAGS");
        flags.extend(words("LGALLOC_CFLAGS"));
        let sanitizers = var_opt("LGALLOC_SANITIZE")
            .map(|list| list.split(',').filter(|s| !s.is_empty()).map(String::from).collect())
            .unwrap_or_default();
        Tool { cc, ar, flags, sanitizers, target, host }
    }

    fn is_clang(&self) -> bool {
        self.cc.iter().any(|word| word.contains("clang"))
    }

    /// Has the sanitizers' runtime linked into tests and examples.
    pub fn link_sanitizers(&self, links: &mut Links) {
        println!("cargo:sanitized={}", self.sanitizers.join(","));
        for sanitizer in &self.sanitizers {
            if sanitizer == "thread" {
                // It has to see Rust's synchronization too: `-Zsanitizer=thread` brings the runtime.
                continue;
            }
            if self.is_clang() {
                // Only clang knows where its runtime is: it has to be rustc's linker as well.
                links.argument(format!("-fsanitize={}", sanitizer));
                continue;
            }
            if sanitizer != "address" {
                links.argument("-lubsan".to_string());
                continue;
            }
            // rustc links with -nodefaultlibs, under which gcc leaves the runtime out. As a shared library it
            // would come behind libc, where it intercepts nothing.
            let mut cc = Command::new(&self.cc[0]);
            let out = cc.args(&self.cc[1..]).arg("-print-file-name=libasan.a").output();
            let path = match out {
                Ok(out) => String::from_utf8_lossy(&out.stdout).trim().to_string(),
                Err(error) => fail(&format!("{:?} can't be run: {}", cc, error)),
            };
            for argument in ["-Wl,--whole-archive", &path, "-Wl,--no-whole-archive", "-lm", "-ldl", "-lrt"] {
                links.argument(argument.to_string());
            }
        }
    }

    /// Compiles one file into `lib/lib<name>.a` below `out`, and has it linked.
    pub fn archive(&self, name: &str, source: &Path, include: &Path, out: &Path) {
        let object = out.join(format!("{}.o", name));
        let lib = out.join("lib");
        let archive = lib.join(format!("lib{}.a", name));
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

        if let Err(error) = std::fs::create_dir_all(&lib) {
            fail(&format!("{} can't be made: {}", lib.display(), error));
        }
        // `ar` adds to an archive that exists; an object that was renamed would stay in it.
        let _ = std::fs::remove_file(&archive);
        let mut ar = Command::new(&self.ar[0]);
        ar.args(&self.ar[1..]).arg("crs").arg(&archive).arg(&object);
        run(ar);
        println!("cargo:rustc-link-search=native={}", lib.display());
        println!("cargo:rustc-link-lib=static={}", name);
    }
}

/// The GNU name of a target: `aarch64-unknown-linux-gnu` is `aarch64-linux-gnu` to its tools.
fn gnu_name(target: &str) -> String {
    target.replace("-unknown-", "-").replace("riscv64gc-", "riscv64-")
}

fn architecture(target: &str) -> &str {
    target.split('-').next().unwrap_or(target)
}

/// Compilers for a target, the likeliest first.
fn compilers(target: &str, host: &str) -> Vec<String> {
    if target == host {
        return ["cc", "gcc", "clang"].map(String::from).to_vec();
    }
    let mut found = vec![format!("{}-gcc", gnu_name(target))];
    if target.ends_with("-musl") && architecture(target) == architecture(host) {
        found.push("musl-gcc".to_string());
    }
    found
}

/// Archivers for a target, the likeliest first.
fn archivers(target: &str, host: &str) -> Vec<String> {
    let mut found = Vec::new();
    if target != host {
        found.extend([format!("{}-ar", gnu_name(target)), format!("{}-gcc-ar", gnu_name(target))]);
    }
    if target == host || architecture(target) == architecture(host) {
        found.extend(["ar", "gcc-ar"].map(String::from));
    }
    found.push("llvm-ar".to_string());
    found
}

fn first_that_runs(candidates: Vec<String>) -> String {
    let runs = |tool: &String| {
        let quiet = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.map_or(false, |status| status.success())
    };
    match candidates.iter().find(|tool| runs(tool)) {
        Some(tool) => tool.clone(),
        None => {
            fail(&format!("none of these can be run, and CC and AR name no other: {}", candidates.join(", ")))
        }
    }
}

fn run(mut command: Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{:?} failed: {}", command, status)),
        Err(error) => fail(&format!("{:?} can't be run: {}", command, error)),
    }
}
