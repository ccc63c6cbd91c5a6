//! What is measured, and how.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use lgalloc_peers::contestant::Contestant;

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("figures are numbers"));
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// The first argument of a child process.
pub const CHILD: &str = "--measure-first-touch";

const PAGE: usize = 4096;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What a thread does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Allocates one region and frees it.
    HotPair,
    /// Allocates many, then frees them all.
    Batch,
    /// Allocates, and another thread frees.
    ProducerConsumer,
    /// As `Batch`, and writes to every page.
    SteadyTouch,
    /// Writes to every page of regions that nobody had before.
    FirstTouch,
    /// Starts, allocates and frees one region, ends.
    ThreadChurn,
    /// Allocates only what lies in the cache of another thread, which frees and sleeps.
    Steal,
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::HotPair => "hot pair",
            Kind::Batch => "batch",
            Kind::ProducerConsumer => "producer and consumer",
            Kind::SteadyTouch => "steady touch",
            Kind::FirstTouch => "first touch",
            Kind::ThreadChurn => "thread churn",
            Kind::Steal => "steal",
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// What each thread does.
    pub kind: Kind,
    /// Bytes per region.
    pub bytes: usize,
    /// Threads that do it.
    pub threads: usize,
}

impl Workload {
    /// Whether no memory is touched.
    pub fn untouched(&self) -> bool {
        !matches!(self.kind, Kind::SteadyTouch | Kind::FirstTouch)
    }

    /// Regions that a thread has at a time.
    pub fn count(&self) -> usize {
        let (small, middle, large) = match self.kind {
            Kind::HotPair | Kind::ThreadChurn => (1, 1, 1),
            Kind::Batch | Kind::ProducerConsumer => (256, 64, 4),
            Kind::SteadyTouch => (256, 32, 1),
            Kind::FirstTouch => (1024, 32, 1),
            // As many as a thread's cache holds by default; of the large ones it holds none.
            Kind::Steal => (256, 16, 4),
        };
        match self.bytes {
            bytes if bytes <= 64 * KIB => small,
            bytes if bytes <= 2 * MIB => middle,
            _ => large,
        }
    }
}

/// Every line of the table.
pub fn all() -> Vec<Workload> {
    let kinds = [
        (Kind::HotPair, &[1, 2][..]),
        (Kind::Batch, &[1, 2]),
        (Kind::ProducerConsumer, &[2]),
        (Kind::SteadyTouch, &[1, 2]),
        (Kind::FirstTouch, &[1, 2]),
        (Kind::ThreadChurn, &[1, 2]),
        (Kind::Steal, &[2]),
    ];
    let mut all = Vec::new();
    for (kind, threads) in kinds {
        for bytes in [64 * KIB, 2 * MIB, 64 * MIB] {
            all.extend(threads.iter().map(|threads| Workload { kind, bytes, threads: *threads }));
        }
    }
    all
}

/// How long to measure.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Rounds that count.
    pub rounds: usize,
    /// Time per contestant and round.
    pub time: Duration,
    /// Whether it is the quick one.
    pub quick: bool,
    /// Where the files are.
    pub path: PathBuf,
}

impl Effort {
    /// The usual effort, or a small one.
    pub fn new(quick: bool) -> Effort {
        let (rounds, millis) = if quick { (3, 3) } else { (11, 20) };
        Effort { rounds, time: Duration::from_millis(millis), quick, path: std::env::temp_dir() }
    }
}

/// Measures once, in this process or one without a past.
pub fn run(workload: &Workload, effort: &Effort, name: &str, measure: fn(&Workload, &Effort) -> f64) -> f64 {
    if workload.kind != Kind::FirstTouch {
        return measure(workload, effort);
    }
    // The originals never give areas back, so a process gets fresh memory only once.
    let out = Command::new(std::env::current_exe().expect("the bench has a path"))
        .args([CHILD, name, &workload.bytes.to_string(), &workload.threads.to_string()])
        .arg(&effort.path)
        .arg(if effort.quick { "quick" } else { "full" })
        .output()
        .expect("the bench runs");
    let said = String::from_utf8_lossy(&out.stdout);
    match said.trim().parse() {
        Ok(measured) if out.status.success() => measured,
        _ => panic!("{} {:?}: {}{}", name, workload, said, String::from_utf8_lossy(&out.stderr)),
    }
}

/// Nanoseconds per region, of one thread; for churn, per thread; for first touch, per MiB.
pub fn measure<C: Contestant>(workload: &Workload, effort: &Effort) -> f64 {
    C::prepare(&effort.path);
    match workload.kind {
        Kind::HotPair => on_threads(workload.threads, |ready| hot_pair::<C>(workload, effort, ready)),
        Kind::Batch => on_threads(workload.threads, |ready| batch::<C>(workload, effort, ready, false)),
        Kind::SteadyTouch => on_threads(workload.threads, |ready| batch::<C>(workload, effort, ready, true)),
        Kind::FirstTouch => on_threads(workload.threads, |ready| first_touch::<C>(workload, ready)),
        Kind::ProducerConsumer => producer_consumer::<C>(workload, effort),
        Kind::ThreadChurn => thread_churn::<C>(workload, effort),
        Kind::Steal => steal::<C>(workload, effort),
    }
}

/// Runs the same on every thread at once, and returns the mean.
fn on_threads(threads: usize, work: impl Fn(&dyn Fn()) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let ready = || {
        barrier.wait();
    };
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&ready))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).sum::<f64>() / threads as f64
    })
}

/// Repeats until the time is over; returns nanoseconds per unit, of which each repetition is so many.
fn timed(time: Duration, units: usize, mut repeat: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut done = 0;
    loop {
        repeat();
        done += units;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return elapsed.as_nanos() as f64 / done as f64;
        }
    }
}

fn hot_pair<C: Contestant>(workload: &Workload, effort: &Effort, ready: &dyn Fn()) -> f64 {
    let pair = || {
        let block = C::allocate(black_box(workload.bytes));
        black_box(C::start(&block));
        C::free(block);
    };
    (0..100).for_each(|_| pair());
    ready();
    // Often enough for the clock to cost nothing.
    timed(effort.time, 500, || (0..500).for_each(|_| pair()))
}

fn batch<C: Contestant>(workload: &Workload, effort: &Effort, ready: &dyn Fn(), touch: bool) -> f64 {
    let count = workload.count();
    let mut blocks = Vec::with_capacity(count);
    let mut once = || {
        for _ in 0..count {
            let block = C::allocate(black_box(workload.bytes));
            let start = black_box(C::start(&block));
            if touch {
                write_every_page(start, workload.bytes);
            }
            blocks.push(block);
        }
        blocks.drain(..).for_each(C::free);
    };
    (0..3).for_each(|_| once());
    if touch {
        // Until every region that takes turns has its pages: of those the two threads exchange some.
        timed(Duration::from_millis(60), count, &mut once);
    }
    ready();
    timed(effort.time, count, once)
}

fn write_every_page(start: *mut u8, bytes: usize) {
    for offset in (0..bytes).step_by(PAGE) {
        // SAFETY: within the block, which is this thread's own.
        unsafe { start.add(offset).write_volatile(1) }
    }
}

/// Per MiB.
fn first_touch<C: Contestant>(workload: &Workload, ready: &dyn Fn()) -> f64 {
    // What an allocator does once per process and per thread is not what is measured: a region of another size
    // has it done.
    C::free(C::allocate(8 * MIB));
    ready();
    let start = Instant::now();
    let blocks: Vec<_> = (0..workload.count())
        .map(|_| {
            let block = C::allocate(black_box(workload.bytes));
            write_every_page(C::start(&block), workload.bytes);
            block
        })
        .collect();
    let elapsed = start.elapsed();
    blocks.into_iter().for_each(C::free);
    elapsed.as_nanos() as f64 / (workload.count() * workload.bytes / MIB) as f64
}

fn producer_consumer<C: Contestant>(workload: &Workload, effort: &Effort) -> f64 {
    // In parcels, so that the channel, which is the same for all, costs little beside the allocator.
    const PARCEL: usize = 16;
    let depth = (workload.count() / PARCEL).max(1);
    let (sender, receiver) = sync_channel::<Vec<C::Block>>(depth);
    let (back, empty) = sync_channel::<Vec<C::Block>>(depth + 4);
    thread::scope(|scope| {
        scope.spawn(move || {
            for mut parcel in receiver {
                parcel.drain(..).for_each(C::free);
                let _ = back.try_send(parcel);
            }
        });
        let parcel = workload.count().min(PARCEL);
        let send = || {
            let mut blocks = empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PARCEL));
            blocks.extend((0..parcel).map(|_| C::allocate(black_box(workload.bytes))));
            sender.send(blocks).expect("the consumer lives");
        };
        (0..20).for_each(|_| send());
        let measured = timed(effort.time, parcel, send);
        drop(sender);
        measured
    })
}

fn thread_churn<C: Contestant>(workload: &Workload, effort: &Effort) -> f64 {
    let bytes = workload.bytes;
    let once = || {
        let live = move || {
            let block = C::allocate(black_box(bytes));
            black_box(C::start(&block));
            C::free(block);
        };
        let threads: Vec<_> = (0..workload.threads).map(|_| thread::spawn(live)).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    };
    once();
    timed(effort.time, workload.threads, once)
}

fn steal<C: Contestant>(workload: &Workload, effort: &Effort) -> f64 {
    let count = workload.count();
    let (give, take) = sync_channel::<Vec<C::Block>>(0);
    let (done, freed) = sync_channel::<Vec<C::Block>>(0);
    thread::scope(|scope| {
        // Frees, and sleeps until there is more.
        scope.spawn(move || {
            for mut blocks in take {
                blocks.drain(..).for_each(C::free);
                if done.send(blocks).is_err() {
                    break;
                }
            }
        });
        let mut blocks = Vec::with_capacity(count);
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < effort.time || times.len() < 10 {
            let before = Instant::now();
            blocks.extend((0..count).map(|_| C::allocate(black_box(workload.bytes))));
            times.push(before.elapsed().as_nanos() as f64 / count as f64);
            give.send(blocks).expect("the other lives");
            blocks = freed.recv().expect("the other lives");
        }
        drop(give);
        // The first ones map areas; the middle one is what it costs.
        median(&times)
    })
}
