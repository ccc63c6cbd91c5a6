#!/usr/bin/env bash
# What `cargo test` at the top does not look at, since it takes a registry, other targets or further tools.
# What is not there is left out, with a line that says so.
#
#   ffi-tests/check.sh [DIR] [STEP...]     DIR: for what is built; else a temporary directory
# shellcheck disable=SC2317 # steps and checks are called by their names
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
cargo=${CARGO:-cargo}
steps=(lint package vendor originals timely features targets miri)

say() { printf '%s\n' "$*"; }
left_out() { say "left out: $*"; }
failed=0

# quietly WORDS COMMAND...: says what happened, and what the command said if it failed.
quietly() {
  local words=$1
  shift
  local tests rc=0
  # Not as a condition, where the first of several commands might fail unseen.
  set +e
  (
    set -e
    "$@"
  ) >"$dir/log" 2>&1
  rc=$?
  set -e
  if ((rc == 0)); then
    tests=$(awk '/^test result: ok/ { n += $4 } END { if (n > 0) print ", " n " tests" }' "$dir/log")
    say "passed: $words$tests"
  else
    tail -n 60 "$dir/log"
    say "FAILED: $words"
    failed=1
  fi
}

# Whether packages can be had.
registry() {
  [[ -n ${has_registry:-} ]] ||
    if "$cargo" fetch --locked --manifest-path "$here/peers/Cargo.toml" >"$dir/log" 2>&1; then
      has_registry=yes
    else
      has_registry=no
    fi
  [[ $has_registry == yes ]]
}

at_least() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }
cargo_version() { "$cargo" --version | awk '{ print $2 }'; }

# ---------------------------------------------------------------- style and documentation

step_lint() {
  if (cd "$root" && "$cargo" fmt --version) >/dev/null 2>&1; then
    quietly "rustfmt" "$cargo" fmt --all --check --manifest-path "$root/Cargo.toml"
    quietly "rustfmt of the comparison" "$cargo" fmt --all --check --manifest-path "$here/peers/Cargo.toml"
  else
    left_out "rustfmt, which is not there"
  fi
  if ! (cd "$root" && "$cargo" clippy --version) >/dev/null 2>&1; then
    left_out "clippy, which is not there"
  elif ! at_least "$(cargo_version)" 1.85; then
    left_out "clippy, whose version is of before 1.85"
  else
    quietly "clippy, all targets" "$cargo" clippy --manifest-path "$root/Cargo.toml" --workspace --all-targets \
      --target-dir "$dir/target" -- -D warnings
    quietly "clippy, all features" "$cargo" clippy --manifest-path "$root/Cargo.toml" -p lgalloc-c --all-targets \
      --features allocator-api2 --target-dir "$dir/target" -- -D warnings
    if registry; then
      quietly "clippy of the comparison" "$cargo" clippy --manifest-path "$here/peers/Cargo.toml" --workspace \
        --all-targets --target-dir "$dir/target" -- -D warnings
    fi
  fi
  RUSTDOCFLAGS="-D warnings" quietly "documentation" "$cargo" doc --no-deps --workspace \
    --manifest-path "$root/Cargo.toml" --target-dir "$dir/target"
}

# ---------------------------------------------------------------- packages

# The packages as they would be published, unpacked and tested where no file of the repository is in reach.
step_package() {
  local -a which=(-p lgalloc-sys)
  if ! at_least "$(cargo_version)" 1.90 || ! registry; then
    left_out "the package lgalloc-c, which takes cargo 1.90 and a registry"
  else
    which=(--workspace)
  fi
  rm -rf "$dir/package" "$dir/target/package" "$dir/cargo-home"
  # A home of its own: cargo would keep the packages there, and take those of an earlier run for these.
  mkdir -p "$dir/cargo-home"
  cp "${CARGO_HOME:-$HOME/.cargo}"/config{,.toml} "$dir/cargo-home/" 2>/dev/null || true
  CARGO_HOME=$dir/cargo-home quietly "cargo package" "$cargo" package "${which[@]}" --allow-dirty \
    --manifest-path "$root/Cargo.toml" --target-dir "$dir/target"
  compgen -G "$dir/target/package/*.crate" >/dev/null || return 0
  mkdir -p "$dir/package"
  local crate
  for crate in "$dir"/target/package/*.crate; do
    tar xzf "$crate" -C "$dir/package"
  done
  quietly "no symbolic link in a package" test -z "$(find "$dir/package" -type l)"
  # As a workspace of their own, where each finds the other.
  local -a members=("$dir"/package/*/)
  members=("${members[@]%/}")
  printf '[workspace]\nmembers = ["lgalloc-*"]\nresolver = "2"\n[patch.crates-io]\nlgalloc-sys = { path = "lgalloc-sys-0.1.0" }\n' \
    >"$dir/package/Cargo.toml"
  quietly "tests of the packages: ${#members[@]}" "$cargo" test --manifest-path "$dir/package/Cargo.toml" \
    --workspace --tests --target-dir "$dir/target"
}

# A program that depends on the repository, vendored, and built from what was vendored alone. Its build script finds the
# header and the library, as one that compiles C must.
step_vendor() {
  if ! git -C "$root" rev-parse --verify HEAD >/dev/null 2>&1; then
    left_out "cargo vendor, for which this must be a git repository"
    return
  fi
  rm -rf "$dir/vendor"
  mkdir -p "$dir/vendor/src"
  cat >"$dir/vendor/Cargo.toml" <<END
[package]
name = "program"
version = "0.1.0"
edition = "2021"

[dependencies]
lgalloc-c = { git = "file://$root" }
lgalloc-sys = { git = "file://$root" }

[workspace]
END
  cat >"$dir/vendor/build.rs" <<'END'
use std::path::Path;
fn main() {
    let told = |name: &str| std::env::var(format!("DEP_LGALLOC_{}", name)).expect("the crate tells it");
    assert!(Path::new(&told("INCLUDE")).join("lgalloc.h").is_file());
    assert!(Path::new(&told("ROOT")).join("lib/liblgalloc.a").is_file());
    assert!(Path::new(&told("ROOT")).join("include/lgalloc.h").is_file());
}
END
  cat >"$dir/vendor/src/main.rs" <<'END'
fn main() {
    println!("lgalloc {:?}", lgalloc_c::version());
}
END
  vendor_and_run() {
    cd "$dir/vendor"
    mkdir -p .cargo
    "$cargo" vendor >.cargo/config.toml
    [[ -d vendor/lgalloc-sys/vendor/src && -z $(find vendor -type l) ]]
    "$cargo" run --offline --target-dir "$dir/target"
  }
  quietly "cargo vendor, and a program built from it" vendor_and_run
}

# ---------------------------------------------------------------- in the place of the original

# original VERSION SHIM WORDS: a package with the tests, examples and front page of a version, unchanged, whose manifest
# has that version as a dependency, and the patch line.
original() {
  local version=$1 shim=$2 words=$3 source=$dir/originals/sources/lgalloc-$1 to=$dir/originals/$1
  mkdir -p "$to/src" "$to/tests"
  cat >"$to/Cargo.toml" <<END
[package]
name = "written-for-lgalloc"
version = "0.1.0"
edition = "2021"

[dependencies]
lgalloc = "=$version"

[dev-dependencies]
criterion = { version = "=0.5.1", default-features = false, features = ["cargo_bench_support"] }
hdrhistogram = { version = "=7.5.4", default-features = false }
libc = "=0.2.177"
serial_test = { version = "=2.0.0", default-features = false }

[patch.crates-io]
lgalloc = { path = "$here/shims/$shim" }

[workspace]
END
  local bench
  for bench in "$source"/benches/*.rs; do
    [[ -e $bench ]] || continue
    mkdir -p "$to/benches"
    cp "$bench" "$to/benches/"
    printf '[[bench]]\nname = "%s"\nharness = false\n' "$(basename "$bench" .rs)" >>"$to/Cargo.toml"
  done
  # Version 0.1.6 has no examples in its documentation; its front page is no part of it.
  if [[ $version == 0.1.6 ]]; then
    : >"$to/src/lib.rs"
  else
    cp "$source/README.md" "$to/"
    printf '#![doc = include_str!("../README.md")]\n' >"$to/src/lib.rs"
  fi
  [[ ! -d $source/examples ]] || cp -r "$source/examples" "$to/"
  [[ ! -d $source/tests ]] || cp -r "$source/tests" "$to/"
  # Unit tests see the crate's root, private names included: of those they use one, `Region::as_mut`.
  if grep -q '^#\[cfg(test)\]' "$source/src/lib.rs"; then
    {
      printf '#[allow(unused_imports)]\nuse lgalloc::*;\n'
      [[ $version != 0.1.6 ]] || cat <<'END'
trait Private<T> {
    fn as_mut(&mut self) -> Elements<'_, T>;
}
impl<T> Private<T> for Region<T> {
    fn as_mut(&mut self) -> Elements<'_, T> {
        Elements(self)
    }
}
struct Elements<'a, T>(&'a mut Region<T>);
impl<T: Clone> Elements<'_, T> {
    fn push(&mut self, element: T) {
        self.0.extend_from_slice(&[element]);
    }
}
END
      sed -n '/^#\[cfg(test)\]/,$p' "$source/src/lib.rs" |
        sed 's/^mod test {/&\n    #[allow(unused_imports)]\n    use super::*;/'
    } >"$to/tests/unit.rs"
  fi
  run_original() {
    "$cargo" test --manifest-path "$to/Cargo.toml" --target-dir "$dir/target"
    "$cargo" check --benches --manifest-path "$to/Cargo.toml" --target-dir "$dir/target"
    # Two of its steps wait for a line.
    [[ ! -d $to/examples ]] ||
      printf '\n\n' | "$cargo" run --example disk_usage --manifest-path "$to/Cargo.toml" --target-dir "$dir/target"
    # Every version was replaced.
    [[ $(grep -A 2 'name = "lgalloc"' "$to/Cargo.lock") != *source* ]]
  }
  quietly "$version: $words" run_original
}

step_originals() {
  if ! registry; then
    left_out "the original's tests, which take a registry"
    return
  fi
  rm -rf "$dir/originals"
  mkdir -p "$dir/originals"
  "$cargo" vendor --locked --versioned-dirs --manifest-path "$here/peers/Cargo.toml" "$dir/originals/sources" \
    >"$dir/log" 2>&1 || { cat "$dir/log" && return 1; }
  original 0.1.6 0.1 "unit tests; the benchmark compiles"
  original 0.6.0 0.6 "unit tests, front page, example"
  original 0.7.0 0.7 "integration tests, front page, example; the benchmark compiles"
}

# A crate that uses lgalloc 0.6: its example runs with the patch line.
step_timely() {
  if ! registry || ! at_least "$(cargo_version)" 1.86; then
    left_out "timely_communication's example, which takes a registry and Rust 1.86"
    return
  fi
  rm -rf "$dir/timely"
  mkdir -p "$dir/timely/src"
  printf '[package]\nname = "sources"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\ntimely_communication = "=0.32.0"\n[workspace]\n' \
    >"$dir/timely/Cargo.toml"
  : >"$dir/timely/src/lib.rs"
  run_timely() {
    "$cargo" vendor --versioned-dirs --manifest-path "$dir/timely/Cargo.toml" "$dir/timely/sources"
    local example=$dir/timely/sources/timely_communication-0.32.0
    chmod -R u+w "$example"
    printf '\n[patch.crates-io]\nlgalloc = { path = "%s" }\n[workspace]\n' "$here/shims/0.6" >>"$example/Cargo.toml"
    "$cargo" run --example lgalloc --manifest-path "$example/Cargo.toml" --target-dir "$dir/target" | tee "$dir/timely/said"
    grep 'received: <hello' "$dir/timely/said"
  }
  quietly "timely_communication 0.32.0: its example with lgalloc 0.6" run_timely
}

# ---------------------------------------------------------------- features

# Collections of the crates that the feature is for. The library that is installed is one of this step's own.
step_features() {
  if "$cargo" fetch --locked --manifest-path "$here/features/Cargo.toml" >"$dir/log" 2>&1; then
    quietly "allocator-api2: its collections, and hashbrown's" "$cargo" test --locked \
      --manifest-path "$here/features/Cargo.toml" --target-dir "$dir/target"
  else
    left_out "allocator-api2's and hashbrown's collections, which take a registry"
  fi
  if ! command -v pkg-config >/dev/null; then
    left_out "the feature system, for which pkg-config is not there"
    return
  fi
  install_and_link() {
    rm -rf "$dir/library" "$dir/installed"
    BUILD_DIR=$dir/library PREFIX=$dir/installed "$root/build.sh" install
    local at
    at=$(dirname "$(find "$dir/installed" -name lgalloc.pc)")
    PKG_CONFIG_PATH=$at "$cargo" test --manifest-path "$root/Cargo.toml" -p lgalloc-sys -p lgalloc-c --features system \
      --test layout --test handle --test region --target-dir "$dir/target/system"
    # And not the one inside.
    [[ -z $(find "$dir/target/system" -name liblgalloc.a) ]]
  }
  quietly "the feature system: an installed library" install_and_link
}

# ---------------------------------------------------------------- other targets

# Whether there is a standard library for a target, or could be had.
has_target() {
  [[ -d $("$cargo" rustc --version >/dev/null 2>&1; rustc --print sysroot)/lib/rustlib/$1/lib ]] ||
    { command -v rustup >/dev/null && rustup target add "$1" >"$dir/log" 2>&1; }
}

step_targets() {
  local target=x86_64-unknown-linux-musl
  if ! command -v musl-gcc >/dev/null || ! has_target "$target"; then
    left_out "musl, for which rustc or the C compiler is not there"
  elif [[ $(uname -m) == x86_64 ]]; then
    quietly "musl: tests" "$cargo" test --manifest-path "$root/Cargo.toml" --target "$target" -p lgalloc-c \
      --test compat --test handle --test region --test conversions --target-dir "$dir/target"
  fi
  target=aarch64-unknown-linux-gnu
  if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! has_target "$target"; then
    left_out "arm64, for which rustc or the C compiler is not there"
  else
    # Emulated, the reserved address space costs more memory than most machines have.
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
      quietly "arm64: compiles and links" "$cargo" test --no-run --workspace --manifest-path "$root/Cargo.toml" \
      --target "$target" --target-dir "$dir/target"
  fi
  target=i686-unknown-linux-gnu
  if ! has_target "$target"; then
    left_out "another system, for which rustc is not there"
  else
    elsewhere() {
      "$cargo" check -p lgalloc-sys --manifest-path "$root/Cargo.toml" --target "$target" \
        --target-dir "$dir/target" 2>"$dir/elsewhere" && return 1
      cat "$dir/elsewhere"
      [[ $(grep -c '^error: lgalloc is for Linux on 64-bit machines$' "$dir/elsewhere") == 1 ]]
      [[ $(grep -c '^error' "$dir/elsewhere") == 2 ]] # and that the crate can't be compiled
    }
    quietly "another system: one line" elsewhere
  fi
}

# ---------------------------------------------------------------- Miri

step_miri() {
  if ! "$cargo" +nightly miri --version >/dev/null 2>&1; then
    left_out "Miri, which is not there"
    return
  fi
  # Without isolation for the files of the build alone; C code can't be called.
  quietly "Miri: regions on the heap" "$cargo" +nightly miri test --manifest-path "$root/Cargo.toml" -p lgalloc-c \
    --test conversions --target-dir "$dir/target/miri" heap
}

# ---------------------------------------------------------------- which

if [[ $# -gt 0 && $1 == */* ]]; then
  mkdir -p "$1"
  dir=$(cd "$1" && pwd)
  shift
else
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
fi
[[ $# -gt 0 ]] || set -- "${steps[@]}"
for step in "$@"; do
  [[ " ${steps[*]} " == *" $step "* ]] || { say "no step $step; there are: ${steps[*]}"; exit 2; }
  "step_$step"
done
exit $failed
