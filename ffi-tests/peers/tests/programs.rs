//! The same random programs on the original and on this library, step by step.
//!
//! `LGALLOC_PEERS_PROGRAMS` says how many per version.

mod common;

use common::{enabled, in_children, versions};
use lgalloc_peers::peer::{original, ours, Stats};
use lgalloc_peers::program::{program, run, Outcome, Step, Vocabulary};

fn vocabulary(version: &str) -> Vocabulary {
    let (size_classes, options) = match version {
        "0.1.6" => (vec![16, 16, 17, 18, 19, 20, 21, 21, 22, 24, 26], false),
        "0.6.0" => (vec![16, 16, 17, 18, 19, 20, 21, 21, 22, 24, 26], true),
        _ => (vec![21, 21, 21, 22, 23, 24, 26], true),
    };
    // The worker of 0.1.6 never ticks; see `differences.rs`.
    Vocabulary { size_classes, refuses_small: version != "0.6.0", options, worker: options }
}

/// What every version counts alike.
fn meaning(stats: &Stats) -> [u64; 7] {
    [
        stats.areas as u64,
        stats.area_total_bytes as u64,
        stats.free_regions as u64,
        stats.allocations,
        stats.deallocations,
        stats.refill,
        stats.slow_path,
    ]
}

fn check_class(size_class: usize, stats: &Stats) {
    assert_eq!(stats.free_regions, stats.thread_regions + stats.global_regions + stats.clean_regions);
    let in_use = (stats.allocations - stats.deallocations) as usize;
    assert_eq!(stats.area_total_bytes, (stats.free_regions + in_use) * size_class);
}

fn compare(version: &str, seed: u64, steps: usize) {
    let program = program(seed, steps, &vocabulary(version));
    original(version).configure(&enabled());
    ours(version).configure(&enabled());
    let theirs = run(original(version), &program);
    let ours = run(ours(version), &program);
    let (mut eager, mut worked, mut allocated, mut failed) = (false, false, 0, 0);
    for (i, step) in program.iter().enumerate() {
        let context = || format!("{} seed {} step {} {:?}", version, seed, i, step);
        match step {
            Step::Configure(config) => eager |= config.eager_return == Some(true),
            Step::AwaitWorker => worked = true,
            _ => {}
        }
        match (&theirs[i], &ours[i]) {
            (Outcome::Stats(theirs), Outcome::Stats(ours)) => {
                let classes = |s: &[(usize, Stats)]| s.iter().map(|(class, _)| *class).collect::<Vec<_>>();
                assert_eq!(classes(theirs), classes(ours), "{}", context());
                for ((class, theirs), (_, ours)) in theirs.iter().zip(ours) {
                    check_class(*class, theirs);
                    check_class(*class, ours);
                    assert_eq!(meaning(theirs), meaning(ours), "{} class {}", context(), class);
                    if !eager {
                        assert_eq!((theirs.clear_eager_total, ours.clear_eager_total), (0, 0));
                    }
                    if !worked {
                        assert_eq!((theirs.clear_slow_total, ours.clear_slow_total), (0, 0));
                    }
                }
            }
            (theirs, ours) => {
                assert_eq!(theirs, ours, "{}", context());
                match ours {
                    Outcome::Capacity(_) => allocated += 1,
                    Outcome::Failed(_) => failed += 1,
                    _ => {}
                }
            }
        }
    }
    // A program in which nothing happens compares nothing.
    assert!(allocated > steps / 20 && failed > 0, "{} allocated, {} failed", allocated, failed);
}

#[test]
fn programs_do_the_same() {
    let programs: u64 = std::env::var("LGALLOC_PEERS_PROGRAMS").map_or(25, |n| n.parse().expect("a number"));
    let arguments: Vec<String> =
        versions().iter().flat_map(|v| (0..programs).map(move |seed| format!("{} {}", v, seed))).collect();
    in_children("programs_do_the_same", &arguments, |argument| {
        let (version, seed) = argument.split_once(' ').expect("version and seed");
        compare(version, seed.parse().expect("a number"), 600);
    });
}
