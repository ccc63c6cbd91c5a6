//! What the figures were measured on.

use std::fs::read_to_string;

/// Names and values.
pub fn describe() -> Vec<(&'static str, String)> {
    let first = |path: &str| read_to_string(path).unwrap_or_default().trim().to_string();
    let cpu = read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(':').nth(1))
        .map_or("unknown".to_string(), |name| name.trim().to_string());
    let cpus = std::thread::available_parallelism().map_or(0, |n| n.get());
    // What follows digits and dots names whose build it is.
    let version = |release: &str| -> String {
        release.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
    };
    let (major, minor, patch) = ours::version();
    vec![
        ("processor", cpu),
        ("cores", cpus.to_string()),
        ("kernel", version(&first("/proc/sys/kernel/osrelease"))),
        ("huge pages", first("/sys/kernel/mm/transparent_hugepage/enabled")),
        ("ours", format!("{}.{}.{}", major, minor, patch)),
    ]
}
