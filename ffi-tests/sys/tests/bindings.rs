//! The committed declarations are what bindgen makes of the header.
//!
//! `LGALLOC_BLESS=1 cargo test --test bindings` writes them anew; `BINDGEN` names the program.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What bindgen is asked for. As C++ the header's enums have their fixed width in the language itself,
/// so that bindgen needs no guess.
const ARGUMENTS: &[&str] = &[
    "--no-layout-tests",
    "--no-doc-comments",
    "--with-derive-default",
    "--no-default=lgalloc_region|lgalloc_handle|lgalloc_config",
    "--no-copy=lgalloc_region|lgalloc_config",
    "--default-enum-style=consts",
    "--no-prepend-enum-name",
    "--allowlist-function=lgalloc_.*",
    "--allowlist-type=lgalloc_.*",
    "--allowlist-var=LGALLOC_.*",
];

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bindings.rs")
}

/// What bindgen makes of the header, or why there is nothing.
fn generate() -> Result<String, String> {
    let program = std::env::var("BINDGEN").unwrap_or_else(|_| "bindgen".to_string());
    let help = Command::new(&program)
        .arg("--help")
        .output()
        .map_err(|error| format!("{} can't be run: {}", program, error))?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let mut command = Command::new(&program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("vendor/include/lgalloc.h"));
    // Releases before 0.61 must be asked to, later ones do it and know only the opposite.
    if help.contains(" --size_t-is-usize") {
        command.args(["--size_t-is-usize", "--rust-target=1.47"]);
    } else {
        command.arg("--rust-target=1.63");
    }
    command.args(ARGUMENTS).args(["--", "-x", "c++", "-std=c++17"]);
    let out = command.output().map_err(|error| error.to_string())?;
    assert!(out.status.success(), "{:?} failed: {}", command, String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout).expect("bindgen writes UTF-8"))
}

/// The declarations one by one, without comments and spacing, which differ between releases and with
/// rustfmt; sorted, since the order is nobody's concern.
fn declarations(source: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("/*") {
        text.push_str(&rest[..start]);
        let end = rest[start..].find("*/").expect("a comment ends");
        rest = &rest[start + end + 2..];
    }
    text.push_str(rest);
    let text: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");

    // Functions may stand in one block or in one each.
    let text = text.replace("unsafe extern \"C\"", "extern \"C\"");
    let mut found = Vec::new();
    let mut item = String::new();
    let mut depth = 0usize;
    for part in tokens(&text) {
        match part.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        item.push_str(&part);
        item.push(' ');
        if depth == 0 && (part == ";" || part == "}") {
            found.push(std::mem::take(&mut item));
        }
    }
    assert!(item.is_empty(), "trailing text: {}", item);
    let mut flat = Vec::new();
    for item in found {
        match item.strip_prefix("extern \"C\" { ") {
            Some(block) => flat.extend(
                block
                    .trim_end_matches("} ")
                    .split(" ; ")
                    .filter(|f| !f.trim().is_empty())
                    .map(|f| format!("{} ; ", f)),
            ),
            // Releases before 0.61 also name libc's own types that they resolved.
            None if item.starts_with("pub type __") => {}
            None => flat.push(item),
        }
    }
    // A trailing comma is a matter of line length.
    let mut flat: Vec<String> = flat.iter().map(|f| f.replace(" , )", " )").trim().to_string()).collect();
    flat.sort();
    flat
}

fn tokens(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || c == '_' || c == '"' || c == '\'' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            found.push(c.to_string());
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

#[test]
fn bindings_are_current() {
    let generated = match generate() {
        Ok(generated) => generated,
        Err(reason) => {
            println!("left out: {}", reason);
            return;
        }
    };
    if std::env::var_os("LGALLOC_BLESS").is_some() {
        std::fs::write(committed(), &generated).expect("the declarations can be written");
    }
    let committed = std::fs::read_to_string(committed()).expect("the declarations are there");
    let (old, new) = (declarations(&committed), declarations(&generated));
    assert!(new.len() > 60, "only {} declarations", new.len());
    for item in &new {
        assert!(old.contains(item), "in the header, not in src/bindings.rs: {}", item);
    }
    for item in &old {
        assert!(new.contains(item), "in src/bindings.rs, not in the header: {}", item);
    }
}

/// Without bindgen too: every function of the header is declared, and nothing else.
#[test]
fn every_function_is_declared() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("vendor/include/lgalloc.h");
    let header = std::fs::read_to_string(header).expect("the header is there");
    let mut in_comment = false;
    let mut in_header = Vec::new();
    for line in header.lines() {
        let starts = line.trim_start();
        in_comment |= starts.starts_with("/*");
        if !in_comment && !starts.starts_with('#') && !starts.starts_with('*') {
            // A declaration begins at the left edge: `type lgalloc_name(`.
            if let Some(at) =
                line.find("lgalloc_").filter(|_| !line.starts_with(' ') && !line.starts_with("typedef"))
            {
                for (offset, _) in line[at..].match_indices("lgalloc_") {
                    let name: String = line[at + offset..]
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    if line[at + offset + name.len()..].starts_with('(') {
                        in_header.push(name);
                    }
                }
            }
        }
        if line.contains("*/") {
            in_comment = false;
        }
    }
    let bindings = std::fs::read_to_string(committed()).expect("the declarations are there");
    let mut declared: Vec<String> = bindings
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub fn "))
        .map(|line| line.chars().take_while(|c| *c != '(').collect())
        .collect();
    in_header.sort();
    declared.sort();
    assert_eq!(in_header, declared);
}
