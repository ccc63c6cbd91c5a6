//! The table, and the raw figures.

use lgalloc_peers::contestant::{
    Contestant, Nothing, OurAnonymous, OurHandles, OurRegions, Version016, Version060, Version070,
};

use crate::machine;
use crate::workload::{median, Kind, Workload};

/// A version, and what of ours has its interface and its backing.
const PAIRS: [(&str, &str); 3] = [
    (Version016::NAME, OurRegions::NAME),
    (Version060::NAME, OurHandles::NAME),
    (Version070::NAME, OurAnonymous::NAME),
];

/// All rounds of a workload.
pub struct Row {
    workload: Workload,
    /// By contestant, in the order of their first round.
    rounds: Vec<(&'static str, Vec<f64>)>,
}

impl Row {
    pub fn new(workload: Workload) -> Row {
        Row { workload, rounds: Vec::new() }
    }

    pub fn add(&mut self, name: &'static str, measured: f64) {
        match self.rounds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(measured),
            None => self.rounds.push((name, vec![measured])),
        }
    }

    fn median(&self, name: &str) -> f64 {
        self.rounds.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, rounds)| median(rounds))
    }
}

/// Everything measured.
pub struct Report {
    quick: bool,
    markdown: bool,
    rows: Vec<Row>,
}

/// A figure in three places, with a unit that keeps it short.
fn short(nanoseconds: f64) -> String {
    match nanoseconds {
        t if t.is_nan() => "-".to_string(),
        t if t < 99.95 => format!("{:.1} ns", t),
        t if t < 9_999.5 => format!("{:.0} ns", t),
        t if t < 999_950.0 => format!("{:.1} us", t / 1e3),
        t => format!("{:.2} ms", t / 1e6),
    }
}

fn size(bytes: usize) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes >> 10)
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

/// No figure where the version has no regions of this size.
fn ratio(of: f64) -> String {
    if of.is_nan() {
        "-".to_string()
    } else {
        format!("{:.2}", of)
    }
}

impl Report {
    pub fn new(quick: bool, markdown: bool) -> Report {
        Report { quick, markdown, rows: Vec::new() }
    }

    /// Before and behind what is laid out with spaces.
    fn fence(&self) {
        if self.markdown {
            println!("```");
        }
    }

    /// What stands above the table.
    pub fn head(&self) {
        self.fence();
        for (name, value) in machine::describe() {
            println!("{}: {}", name, value);
        }
        println!(
            "\nMedians per region; of thread churn per thread, of first touch per MiB. The ratio is this library's\n\
             time by the version's: below 1 it is faster. It has the interface and backing of the version beside it:"
        );
        for (version, ours) in PAIRS {
            println!("  {}: {}", version, ours);
        }
        println!();
        print!("{:<22} {:>7} {:>2}", "workload", "size", "t");
        for (version, _) in PAIRS {
            print!(" | {:>9} {:>9} {:>5}", version, "ours", "ratio");
        }
        println!(" | {:>9}", Nothing::NAME);
    }

    /// A line of it, as soon as it is known.
    pub fn row(&mut self, row: Row) {
        let Workload { kind, bytes, threads } = row.workload;
        print!("{:<22} {:>7} {:>2}", kind.name(), size(bytes), threads);
        for (version, ours) in PAIRS {
            let (theirs, ours) = (row.median(version), row.median(ours));
            print!(" | {:>9} {:>9} {:>5}", short(theirs), short(ours), ratio(ours / theirs));
        }
        println!(" | {:>9}", short(row.median(Nothing::NAME)));
        self.rows.push(row);
    }

    /// What stands below: the ratios alone, a line per workload.
    pub fn foot(&self) {
        self.fence();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut columns: Vec<(usize, usize)> = Vec::new();
        for row in &self.rows {
            let Workload { kind, bytes, threads } = row.workload;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
            if !columns.contains(&(bytes, threads)) {
                columns.push((bytes, threads));
            }
        }
        columns.sort_unstable();
        let versions: Vec<&str> = PAIRS.iter().map(|pair| pair.0).collect();
        println!("\nThe ratios to {}:\n", versions.join(", "));
        print!("| |");
        for (bytes, threads) in &columns {
            print!(" {}{} |", size(*bytes), if *threads == 1 { "" } else { ", 2 threads" });
        }
        println!("\n|---|{}", "---:|".repeat(columns.len()));
        for kind in kinds {
            print!("| {} |", kind.name());
            for (bytes, threads) in &columns {
                let of = |row: &&Row| {
                    row.workload.kind == kind
                        && row.workload.bytes == *bytes
                        && row.workload.threads == *threads
                };
                let ratios: Vec<String> = match self.rows.iter().find(of) {
                    Some(row) => PAIRS
                        .iter()
                        .map(|(version, ours)| ratio(row.median(ours) / row.median(version)))
                        .collect(),
                    None => Vec::new(),
                };
                print!(" {} |", ratios.join(" · "));
            }
            println!();
        }
    }

    /// All rounds, for other programs.
    pub fn json(&self) -> String {
        let text = |s: &str| {
            let mut out = String::from("\"");
            for c in s.chars() {
                match c {
                    '"' | '\\' => out.extend(['\\', c]),
                    c if (c as u32) < 0x20 => out.push(' '),
                    c => out.push(c),
                }
            }
            out.push('"');
            out
        };
        let number = |x: f64| if x.is_finite() { format!("{:.2}", x) } else { "null".to_string() };
        let machine: Vec<String> = machine::describe()
            .iter()
            .map(|(name, value)| format!("{}: {}", text(name), text(value)))
            .collect();
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let rounds: Vec<String> = row
                    .rounds
                    .iter()
                    .map(|(name, rounds)| {
                        let figures: Vec<String> = rounds.iter().map(|x| number(*x)).collect();
                        format!("{}: [{}]", text(name), figures.join(", "))
                    })
                    .collect();
                let medians: Vec<String> =
                    row.rounds.iter().map(|(n, r)| format!("{}: {}", text(n), number(median(r)))).collect();
                let ratios: Vec<String> = PAIRS
                    .iter()
                    .map(|(version, ours)| {
                        format!("{}: {}", text(version), number(row.median(ours) / row.median(version)))
                    })
                    .collect();
                format!(
                    "    {{\"workload\": {}, \"bytes\": {}, \"threads\": {}, \"unit\": \"ns\",\n     \"medians\": {{{}}},\n     \"ratios\": {{{}}},\n     \"rounds\": {{{}}}}}",
                    text(row.workload.kind.name()),
                    row.workload.bytes,
                    row.workload.threads,
                    medians.join(", "),
                    ratios.join(", "),
                    rounds.join(", ")
                )
            })
            .collect();
        format!(
            "{{\n  \"machine\": {{{}}},\n  \"quick\": {},\n  \"results\": [\n{}\n  ]\n}}\n",
            machine.join(", "),
            self.quick,
            rows.join(",\n")
        )
    }
}
