//! Random programs, and what an allocator makes of them.
//!
//! A program is a list of steps on a few threads, of which one works at a time: so two allocators see the same
//! sequence, and what they answer can be compared step by step.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::peer::{Block, Config, Element, Failure, Peer, Stats};
use crate::random::Random;

/// Threads of a program.
pub const THREADS: usize = 3;
/// Places for allocations.
pub const SLOTS: usize = 48;

/// One step.
#[derive(Debug, Clone)]
pub enum Step {
    /// A thread allocates into an empty slot.
    Allocate {
        /// Which thread.
        thread: usize,
        /// Which slot.
        slot: usize,
        /// Of what.
        element: Element,
        /// How many elements.
        capacity: usize,
    },
    /// A thread writes a pattern over the first bytes, the last ones, and some between.
    Write {
        /// Which thread.
        thread: usize,
        /// Which slot.
        slot: usize,
        /// What is written.
        pattern: u64,
    },
    /// A thread reads back what was written last, which must be there.
    Read {
        /// Which thread.
        thread: usize,
        /// Which slot.
        slot: usize,
    },
    /// A thread frees.
    Free {
        /// Which thread.
        thread: usize,
        /// Which slot.
        slot: usize,
    },
    /// A thread ends, and a new one takes its place.
    Renew {
        /// Which thread.
        thread: usize,
    },
    /// Something is configured.
    Configure(Config),
    /// The worker is started, and stopped when there is nothing for it to clean.
    AwaitWorker,
    /// Statistics are taken.
    Stats,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Allocated, with room for so many elements.
    Capacity(usize),
    /// Not allocated.
    Failed(Failure),
    /// What was read.
    Sum(u64),
    /// Per size class, of those that have areas.
    Stats(Vec<(usize, Stats)>),
    /// Nothing to tell.
    Done,
}

/// What programs are made of, which depends on what a version can do.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// Size classes, of those that both have: as powers of two.
    pub size_classes: Vec<usize>,
    /// Regions below 64 KiB are an error.
    pub refuses_small: bool,
    /// Options of the later versions.
    pub options: bool,
    /// The worker does something.
    pub worker: bool,
}

/// The program of a seed.
pub fn program(seed: u64, steps: usize, vocabulary: &Vocabulary) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut used = [false; SLOTS];
    let mut program = Vec::with_capacity(steps);
    let mut disabled = false;
    while program.len() < steps {
        let thread = random.below(THREADS);
        let slot = random.below(SLOTS);
        let step = match random.below(100) {
            0..=39 if !used[slot] => {
                let element = Element::ALL[random.below(Element::ALL.len())];
                let capacity = match random.below(20) {
                    // Nothing, too little, too much.
                    0 => 0,
                    1 => 1 + random.below(10),
                    2 if element != Element::Unit => {
                        (64usize << 30) / element.size() + 1 + random.below(1 << 30)
                    }
                    _ => {
                        let class = vocabulary.size_classes[random.below(vocabulary.size_classes.len())];
                        // Any number of elements that the class is the smallest for.
                        let bytes = (1usize << class) - random.below(1 << (class - 1));
                        bytes / element.size().max(1)
                    }
                };
                let bytes = (capacity * element.size()).max(1 << 12);
                let class = bytes.next_power_of_two().trailing_zeros() as usize;
                // Classes that only one of the two has are a difference; a test of its own looks at it.
                let refused_by_both = class > 36 || (class < 16 && vocabulary.refuses_small);
                if capacity * element.size() > 0
                    && !refused_by_both
                    && !vocabulary.size_classes.contains(&class)
                {
                    continue;
                }
                // Whether it succeeds is for the run to see.
                used[slot] = true;
                Step::Allocate { thread, slot, element, capacity }
            }
            0..=39 => Step::Free { thread, slot },
            40..=59 => Step::Write { thread, slot, pattern: random.draw() },
            60..=74 => Step::Read { thread, slot },
            75..=92 if used[slot] => {
                used[slot] = false;
                Step::Free { thread, slot }
            }
            93 => Step::Renew { thread },
            94 => {
                disabled = !disabled;
                Step::Configure(Config { enabled: Some(!disabled), ..Config::default() })
            }
            95 if vocabulary.options => Step::Configure(Config {
                local_buffer_bytes: Some(random.below(5) << 23),
                ..Config::default()
            }),
            96 if vocabulary.options => {
                Step::Configure(Config { eager_return: Some(random.below(2) == 0), ..Config::default() })
            }
            97 if vocabulary.options => {
                Step::Configure(Config { growth_dampener: Some(random.below(4)), ..Config::default() })
            }
            98 if vocabulary.worker && random.below(4) == 0 => Step::AwaitWorker,
            99 => Step::Stats,
            _ => continue,
        };
        if let Step::Free { slot, .. } = step {
            used[slot] = false;
        }
        program.push(step);
    }
    // Everything is freed, and nothing gets lost when the threads end.
    program.extend((0..SLOTS).map(|slot| Step::Free { thread: slot % THREADS, slot }));
    program.push(Step::Stats);
    program.extend((0..THREADS).map(|thread| Step::Renew { thread }));
    program.push(Step::Stats);
    program
}

/// What is in a slot.
struct Held {
    block: Box<dyn Block>,
    pattern: Option<u64>,
}

/// What the pattern is at an offset.
fn at(pattern: u64, offset: usize) -> u8 {
    (pattern.rotate_left(offset as u32 % 64) ^ (offset as u64 >> 6)) as u8
}

/// The offsets that are written and read: the edges, and a few of the pages between.
fn offsets(len: usize) -> impl Iterator<Item = usize> {
    let step = (len / 16).max(1);
    (0..len.min(64)).chain((0..len).step_by(step)).chain(len.saturating_sub(64)..len)
}

type Task = Box<dyn FnOnce() + Send>;

/// A thread that does what it is told, step by step.
struct Follower {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    fn start() -> Follower {
        let (tasks, told): (Sender<Task>, Receiver<Task>) = channel();
        let thread = thread::spawn(move || told.into_iter().for_each(|task| task()));
        Follower { tasks: Some(tasks), thread: Some(thread) }
    }

    /// Does something on this thread, and waits for it.
    fn call<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> R {
        let (done, result) = channel();
        let tasks = self.tasks.as_ref().expect("the thread runs");
        tasks.send(Box::new(move || drop(done.send(task())))).expect("the thread runs");
        result.recv().expect("the task does not panic")
    }
}

impl Drop for Follower {
    /// Ends the thread, and waits until its thread-local values are destroyed.
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stats(peer: &dyn Peer) -> Vec<(usize, Stats)> {
    peer.stats().into_iter().collect()
}

/// Runs a program.
pub fn run(peer: &'static dyn Peer, program: &[Step]) -> Vec<Outcome> {
    let mut threads: Vec<Follower> = (0..THREADS).map(|_| Follower::start()).collect();
    let mut slots: Vec<Option<Held>> = (0..SLOTS).map(|_| None).collect();
    let mut outcomes = Vec::with_capacity(program.len());
    for step in program {
        let outcome = match step.clone() {
            Step::Allocate { thread, slot, element, capacity } => {
                match threads[thread].call(move || peer.allocate(element, capacity)) {
                    Ok(block) => {
                        let room = block.capacity();
                        assert!(room >= capacity, "{}: {:?} has room for {}", peer.name(), step, room);
                        slots[slot] = Some(Held { block, pattern: None });
                        Outcome::Capacity(room)
                    }
                    Err(failure) => Outcome::Failed(failure),
                }
            }
            Step::Write { thread, slot, pattern } => match slots[slot].take() {
                Some(mut held) => {
                    slots[slot] = Some(threads[thread].call(move || {
                        let bytes = held.block.bytes();
                        offsets(bytes.len()).for_each(|i| bytes[i] = at(pattern, i));
                        held.pattern = Some(pattern);
                        held
                    }));
                    Outcome::Done
                }
                None => Outcome::Done,
            },
            Step::Read { thread, slot } => match slots[slot].take() {
                Some(mut held) => {
                    let (held, sum) = threads[thread].call(move || {
                        let pattern = held.pattern;
                        let bytes = held.block.bytes();
                        let mut sum = 0u64;
                        if let Some(pattern) = pattern {
                            for i in offsets(bytes.len()) {
                                assert_eq!(bytes[i], at(pattern, i), "at {}", i);
                                sum = sum.wrapping_mul(31).wrapping_add(u64::from(bytes[i]));
                            }
                        }
                        (held, sum)
                    });
                    slots[slot] = Some(held);
                    Outcome::Sum(sum)
                }
                None => Outcome::Done,
            },
            Step::Free { thread, slot } => {
                if let Some(held) = slots[slot].take() {
                    threads[thread].call(move || held.block.free());
                }
                Outcome::Done
            }
            Step::Renew { thread } => {
                threads[thread] = Follower::start();
                Outcome::Done
            }
            Step::Configure(config) => {
                peer.configure(&config);
                Outcome::Done
            }
            Step::AwaitWorker => {
                await_worker(peer);
                Outcome::Done
            }
            Step::Stats => Outcome::Stats(stats(peer)),
        };
        outcomes.push(outcome);
    }
    outcomes
}

/// Starts the worker, waits until no free region of the shared pools is dirty, and lets it sleep.
pub fn await_worker(peer: &dyn Peer) {
    let background = |interval| Config { background: Some((interval, 64, 1 << 40)), ..Config::default() };
    peer.configure(&background(Duration::from_millis(1)));
    let start = Instant::now();
    // Regions that a tick is about to clean are in no pool: they are missing in the sum.
    let settled = || {
        peer.stats().iter().all(|(bytes, class)| {
            let in_use = (class.allocations - class.deallocations) as usize;
            class.global_regions == 0 && (class.free_regions + in_use) * bytes == class.area_total_bytes
        })
    };
    let wait = || {
        while !settled() {
            assert!(start.elapsed() < Duration::from_secs(600), "{}: {:?}", peer.name(), peer.stats());
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait();
    peer.configure(&background(Duration::from_secs(100_000)));
    // A tick that was under way ends.
    thread::sleep(Duration::from_millis(10));
    wait();
}
