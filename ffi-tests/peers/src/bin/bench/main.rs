//! This library against the versions of the original crate, in one process, in interleaved rounds.
//!
//! `bench [--quick] [--markdown] [--json FILE] [--path DIR] [--only WORD]`

mod machine;
mod report;
mod workload;

use std::path::PathBuf;
use std::process::exit;

use lgalloc_peers::contestant::{
    Contestant, Nothing, OurAnonymous, OurHandles, OurRegions, Version016, Version060, Version070,
};
use report::{Report, Row};
use workload::{Effort, Kind, Workload};

/// A contestant: its name, its smallest region in bytes, and what measures it, in nanoseconds.
type Entry = (&'static str, usize, fn(&Workload, &Effort) -> f64);

fn entry<C: Contestant>() -> Entry {
    (C::NAME, C::SMALLEST, workload::measure::<C>)
}

/// All of them; those of ours with files are neighbours, so that the backing changes twice a round.
fn contestants() -> Vec<Entry> {
    vec![
        entry::<Version016>(),
        entry::<OurRegions>(),
        entry::<OurHandles>(),
        entry::<Version060>(),
        entry::<Version070>(),
        entry::<OurAnonymous>(),
        entry::<Nothing>(),
    ]
}

struct Arguments {
    quick: bool,
    markdown: bool,
    json: Option<PathBuf>,
    path: PathBuf,
    only: Option<String>,
}

const USAGE: &str = "usage: bench [--quick] [--markdown] [--json FILE] [--path DIR] [--only WORD]

--quick      few and short rounds
--markdown   the table between fences, for a document
--json FILE  writes every round of every measurement
--path DIR   where the files are; default: the temporary directory
--only WORD  the workloads whose name has this word";

fn usage(message: &str) -> ! {
    eprintln!("bench: {}\n{}", message, USAGE);
    exit(2)
}

fn arguments() -> Arguments {
    let mut arguments =
        Arguments { quick: false, markdown: false, json: None, path: std::env::temp_dir(), only: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| usage(&format!("{} needs a value", word)));
        match word.as_str() {
            "--quick" => arguments.quick = true,
            "--markdown" => arguments.markdown = true,
            "--json" => arguments.json = Some(value().into()),
            "--path" => arguments.path = value().into(),
            "--only" => arguments.only = Some(value()),
            "--help" | "-h" => {
                println!("{}", USAGE);
                exit(0)
            }
            _ => usage(&format!("unknown argument {}", word)),
        }
    }
    if !arguments.path.is_dir() {
        usage(&format!("{} is no directory", arguments.path.display()));
    }
    arguments
}

/// One measurement that needs a process without a past, started by the bench itself.
fn child(words: &[String]) -> ! {
    let number = |at: usize| words[at].parse().expect("a number");
    let workload = Workload { kind: Kind::FirstTouch, bytes: number(1), threads: number(2) };
    let measure = contestants().into_iter().find(|entry| entry.0 == words[0]).expect("a contestant").2;
    println!(
        "{}",
        measure(&workload, &Effort { path: words[3].clone().into(), ..Effort::new(words[4] == "quick") })
    );
    exit(0)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().map(String::as_str) == Some(workload::CHILD) {
        child(&words[1..]);
    }
    let arguments = arguments();
    let effort = Effort { path: arguments.path.clone(), ..Effort::new(arguments.quick) };
    let mut report = Report::new(arguments.quick, arguments.markdown);
    report.head();
    for workload in workload::all() {
        if arguments.only.as_ref().is_some_and(|word| !workload.kind.name().contains(word.as_str())) {
            continue;
        }
        let mut row = Row::new(workload);
        let contestants: Vec<Entry> = contestants()
            .into_iter()
            .filter(|(name, smallest, _)| {
                *smallest <= workload.bytes && (*name != Nothing::NAME || workload.untouched())
            })
            .collect();
        // One round to warm up, which does not count.
        for round in 0..effort.rounds + 1 {
            for at in 0..contestants.len() {
                // Nobody is always first, or always after the same one's caches and page tables.
                let (name, _, measure) = contestants[(at + round) % contestants.len()];
                let measured = workload::run(&workload, &effort, name, measure);
                if round > 0 {
                    row.add(name, measured);
                }
            }
        }
        report.row(row);
    }
    report.foot();
    if let Some(file) = arguments.json {
        if let Err(error) = std::fs::write(&file, report.json()) {
            eprintln!("bench: {}: {}", file.display(), error);
            exit(2)
        }
    }
}
