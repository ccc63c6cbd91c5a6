//! Variables of the environment: cargo's, and those that users set.

use std::env;
use std::ffi::OsString;
use std::process::exit;

/// Ends the build with a line.
pub fn fail(message: &str) -> ! {
    eprintln!("{}", message);
    exit(1)
}

/// A variable that cargo sets.
pub fn var(name: &str) -> String {
    utf8(name, env::var_os(name).unwrap_or_else(|| fail(&format!("{} is not set; run by cargo?", name))))
}

/// A variable that changes the result, unset or empty: none.
pub fn var_opt(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={}", name);
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(utf8(name, value))
}

/// `NAME_<target>`, `NAME_<target with underscores>`, `TARGET_NAME` where the target is another machine, else
/// `HOST_NAME`, or `NAME`: in the order in which most build scripts look.
pub fn for_target(name: &str, target: &str, host: &str) -> Option<String> {
    let kind = if target == host { "HOST" } else { "TARGET" };
    var_opt(&format!("{}_{}", name, target))
        .or_else(|| var_opt(&format!("{}_{}", name, target.replace('-', "_"))))
        .or_else(|| var_opt(&format!("{}_{}", kind, name)))
        .or_else(|| var_opt(name))
}

/// Whether a variable is set, and not to 0.
pub fn switch(name: &str) -> bool {
    var_opt(name).map_or(false, |value| value != "0")
}

/// Whether a feature of this crate is on.
pub fn feature(name: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{}", name)).is_some()
}

fn utf8(name: &str, value: OsString) -> String {
    value.into_string().unwrap_or_else(|_| fail(&format!("{} is not UTF-8", name)))
}
