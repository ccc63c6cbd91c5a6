//! Every public item of the crate is documented with an example.

use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            sources(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// The name of the item that a line declares, if others can see it.
fn declared(line: &str) -> Option<&str> {
    // `plain_copy!` declares structs in a form of its own.
    let of_macro = line.strip_suffix(" {").filter(|line| line.contains(" of lgalloc_"));
    let item = of_macro.or_else(|| line.strip_prefix("pub "))?;
    let is_item = ["fn ", "unsafe fn ", "struct ", "enum ", "const ", "static ", "trait ", "type "];
    let named = item.contains('$') || line.contains("pub use ");
    (of_macro.is_some() || is_item.iter().any(|word| item.starts_with(word)) && !named).then_some(item)
}

#[test]
fn every_public_item_has_an_example() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let (mut items, mut without) = (0, Vec::new());
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let item = match declared(line) {
                Some(item) => item,
                None => continue,
            };
            let documented = lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("///") || line.starts_with("#["))
                .any(|line| line.starts_with("/// ```"));
            items += 1;
            if !documented {
                without.push(format!("{}: {}", file.strip_prefix(&src).unwrap().display(), item));
            }
        }
    }
    assert!(without.is_empty(), "without an example:\n{}", without.join("\n"));
    assert!(items > 90, "only {} items", items);
    // Modules say it at their top.
    for module in ["lib.rs", "stats.rs", "v0_1.rs", "v0_6.rs", "v0_7.rs"] {
        let text = std::fs::read_to_string(src.join(module)).unwrap();
        assert!(text.lines().any(|line| line.starts_with("//! ```")), "{}", module);
    }
}
