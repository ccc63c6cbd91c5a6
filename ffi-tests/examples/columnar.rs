//! A columnar buffer as a stream processor has it: rows come in, every column lies in a region of its own,
//! full buffers are frozen and sent to another thread, which merges them into sorted batches of twice the
//! size and drops what it merged.

use std::sync::mpsc;
use std::sync::Arc;
use std::thread;

use lgalloc_c::{lgalloc_set_config, stats, AllocError, LgAlloc, Region};

/// One change: of which record, when, by how much.
type Row = (u64, u32, i64);

/// Rows in columns, sorted by record and time. Nothing changes them any more.
pub struct Batch {
    keys: Region<u64>,
    times: Region<u32>,
    changes: Region<i64>,
}

impl Batch {
    fn with_capacity(rows: usize) -> Batch {
        Batch { keys: Region::new_auto(rows), times: Region::new_auto(rows), changes: Region::new_auto(rows) }
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn row(&self, at: usize) -> Row {
        (self.keys[at], self.times[at], self.changes[at])
    }

    /// Appends rows of another batch, column by column.
    fn push_rows(&mut self, other: &Batch, rows: std::ops::Range<usize>) {
        self.keys.extend_from_slice(&other.keys[rows.clone()]);
        self.times.extend_from_slice(&other.times[rows.clone()]);
        self.changes.extend_from_slice(&other.changes[rows]);
    }

    /// The rows of two batches, in order.
    fn merge(a: &Batch, b: &Batch) -> Batch {
        let mut merged = Batch::with_capacity(a.len() + b.len());
        let (mut i, mut j) = (0, 0);
        while i < a.len() && j < b.len() {
            // Runs are copied as slices: sorted batches overlap in few places.
            if a.row(i) <= b.row(j) {
                let run = (i..a.len()).take_while(|k| a.row(*k) <= b.row(j)).count();
                merged.push_rows(a, i..i + run);
                i += run;
            } else {
                let run = (j..b.len()).take_while(|k| b.row(*k) < a.row(i)).count();
                merged.push_rows(b, j..j + run);
                j += run;
            }
        }
        merged.push_rows(a, i..a.len());
        merged.push_rows(b, j..b.len());
        merged
    }
}

/// Rows that are still coming in.
struct Buffer {
    rows: Vec<Row>,
    capacity: usize,
}

impl Buffer {
    /// The batch that the row made full, if it did.
    fn push(&mut self, row: Row) -> Option<Batch> {
        self.rows.push(row);
        if self.rows.len() == self.capacity {
            self.freeze()
        } else {
            None
        }
    }

    /// What there is, sorted and in columns.
    fn freeze(&mut self) -> Option<Batch> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.sort_unstable();
        let mut batch = Batch::with_capacity(self.rows.len());
        batch.keys.extend(self.rows.iter().map(|row| row.0));
        batch.times.extend(self.rows.iter().map(|row| row.1));
        batch.changes.extend(self.rows.iter().map(|row| row.2));
        self.rows.clear();
        Some(batch)
    }
}

/// Batches of ever larger size, as in a log-structured merge tree: two of about the same size become one.
#[derive(Default)]
struct Trace(Vec<Batch>);

impl Trace {
    fn insert(&mut self, batch: Batch) {
        self.0.push(batch);
        while let [.., a, b] = &self.0[..] {
            if a.len() > 2 * b.len() {
                break;
            }
            let merged = Batch::merge(a, b);
            self.0.truncate(self.0.len() - 2);
            self.0.push(merged);
        }
    }

    fn finish(mut self) -> Batch {
        while let (Some(b), Some(a)) = (self.0.pop(), self.0.pop()) {
            self.0.push(Batch::merge(&a, &b));
            if self.0.len() == 1 {
                break;
            }
        }
        self.0.pop().unwrap_or_else(|| Batch::with_capacity(0))
    }
}

/// Rows that repeat from run to run.
fn rows(count: usize) -> impl Iterator<Item = Row> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    (0..count).map(move |i| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 100_000, i as u32, if state & 1 << 40 == 0 { 1 } else { -1 })
    })
}

/// Builds the arrangement of so many rows, on two threads, and returns it.
pub fn arrange(count: usize, buffer: usize) -> Batch {
    let (sender, receiver) = mpsc::sync_channel::<Batch>(4);
    let merger = thread::spawn(move || {
        let mut trace = Trace::default();
        receiver.into_iter().for_each(|batch| trace.insert(batch));
        trace.finish()
    });
    let mut buffer = Buffer { rows: Vec::with_capacity(buffer), capacity: buffer };
    for row in rows(count) {
        if let Some(batch) = buffer.push(row) {
            sender.send(batch).expect("the merger lives");
        }
    }
    if let Some(batch) = buffer.freeze() {
        sender.send(batch).expect("the merger lives");
    }
    drop(sender);
    merger.join().expect("the merger does not panic")
}

pub fn main() -> Result<(), AllocError> {
    lgalloc_set_config(LgAlloc::new().enable().with_path(std::env::temp_dir()));

    let count = 1_000_000;
    let batch = Arc::new(arrange(count, 1 << 16));
    assert_eq!(batch.len(), count);

    // Frozen: several threads read it at once.
    let readers: Vec<_> = (0..2)
        .map(|half| {
            let batch = Arc::clone(&batch);
            thread::spawn(move || {
                let part = half * count / 2..(half + 1) * count / 2;
                assert!(part.clone().skip(1).all(|i| batch.row(i - 1) <= batch.row(i)));
                batch.changes[part].iter().sum::<i64>()
            })
        })
        .collect();
    let sum: i64 = readers.into_iter().map(|reader| reader.join().expect("sorted")).sum();
    assert_eq!(sum, rows(count).map(|row| row.2).sum::<i64>());
    println!("{} rows, sum {}", batch.len(), sum);

    drop(batch);
    for class in stats::size_classes().iter().filter(|class| class.allocations > 0) {
        println!(
            "{:>8} KiB: {:>4} allocations, {:>2} areas, {:>3} free regions, {:>2} slow",
            class.size_class >> 10,
            class.allocations,
            class.areas,
            class.free_regions,
            class.slow_path
        );
        assert_eq!(class.in_use_regions, 0);
    }
    println!("{} MiB given back", lgalloc_c::purge() >> 20);
    Ok(())
}
