//! Every comparison runs in a process of its own: allocators keep their state as long as the process lives.

#![allow(dead_code)]

use std::process::Command;

const SCENARIO: &str = "LGALLOC_PEERS_SCENARIO";

/// Runs this program again with one test and an argument, and returns how it ended and what it wrote.
pub fn child(test: &str, argument: &str) -> (bool, String) {
    let out = Command::new(std::env::current_exe().expect("the test program has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, argument)
        .output()
        .expect("the test program runs");
    let said = format!("{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success() && said.contains("1 passed"), said)
}

/// Runs a scenario once per argument, each time in a child, and fails with what a child said if it failed.
pub fn in_children(test: &str, arguments: &[String], scenario: impl Fn(&str)) {
    if let Ok(argument) = std::env::var(SCENARIO) {
        return scenario(&argument);
    }
    for argument in arguments {
        let (passed, said) = child(test, argument);
        assert!(passed, "{} {}\n{}", test, argument, said);
    }
}

/// All three versions, as arguments.
pub fn versions() -> Vec<String> {
    ["0.1.6", "0.6.0", "0.7.0"].map(String::from).to_vec()
}

/// Everything on, files in the temporary directory.
pub fn enabled() -> lgalloc_peers::peer::Config {
    lgalloc_peers::peer::Config {
        enabled: Some(true),
        path: Some(std::env::temp_dir()),
        ..Default::default()
    }
}
