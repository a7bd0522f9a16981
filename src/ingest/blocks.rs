//! Several workers on one file: this thread reads, hashes and frames; blocks of whole records go to whoever
//! is free. Numbers, lines and offsets come from here, and rejected rows are put back into their order, so
//! that the result does not depend on who did what.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::frame::Framer;
use super::header::Plan;
use super::reject::Rejects;
use super::stage::{Clock, Next, next_record, plan_of, without_hole};
use super::worker::{Fate, Part, Worker};
use super::{Error, Result};

/// Bytes of records in a block: enough to make handing over cheap, few enough that all workers end together.
const BLOCK: usize = 512 << 10;

/// One record of a block.
#[derive(Debug)]
struct Record {
    end: usize,
    line: u64,
    offset: u64,
    terminated: bool,
    /// Why it was found unreadable already.
    refused: Option<String>,
}

/// Whole records, in their order in the file.
#[derive(Debug)]
struct Block {
    number: u64,
    /// The number of its first record among the file's rows.
    first: u64,
    plan: Arc<Plan>,
    bytes: Vec<u8>,
    records: Vec<Record>,
}

/// A row put aside: line, offset, reason and text.
type Rejected = (u64, u64, String, Vec<u8>);

/// Rejected rows on their way back into order.
#[derive(Debug)]
struct InOrder<'r> {
    next: u64,
    waiting: BTreeMap<u64, Vec<Rejected>>,
    rejects: &'r mut Rejects,
}

impl InOrder<'_> {
    fn push(&mut self, block: u64, rejected: Vec<Rejected>) -> Result<()> {
        self.waiting.insert(block, rejected);
        while let Some(rejected) = self.waiting.remove(&self.next) {
            self.next += 1;
            for (line, offset, reason, text) in rejected {
                self.rejects.push(line, offset, &reason, &text).map_err(Error::Rejects)?;
            }
        }
        Ok(())
    }
}

/// What reader and workers share.
struct Shared<'r> {
    queue: Mutex<Receiver<Block>>,
    /// Blocks that are done, to be filled again.
    spare: Mutex<Vec<Block>>,
    in_order: Mutex<InOrder<'r>>,
    rows: AtomicU64,
    rejected: AtomicU64,
    /// A worker has stopped before the end.
    failed: AtomicBool,
}

/// Tells the reader when a worker stops before the end, by an error or by a panic.
struct Alarm<'s, 'r>(Option<&'s Shared<'r>>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Reads a stream to its end with several workers; `plan` is that of its header.
pub(super) fn in_blocks<R: Read>(
    framer: &mut Framer<R>,
    workers: Vec<Worker<'_>>,
    rejects: &mut Rejects,
    clock: &mut Clock<'_, '_>,
) -> Result<Part> {
    let Some(first) = workers.first() else { return Ok(Part::default()) };
    let plan = Arc::new(first.decoder.plan().clone());
    let (sender, receiver) = sync_channel(workers.len());
    let shared = Arc::new(Shared {
        queue: Mutex::new(receiver),
        spare: Mutex::new(Vec::new()),
        in_order: Mutex::new(InOrder { next: 0, waiting: BTreeMap::new(), rejects }),
        rows: AtomicU64::new(0),
        rejected: AtomicU64::new(0),
        failed: AtomicBool::new(false),
    });
    let delimiter = first.decoder.delimiter();
    let (read, parts) = std::thread::scope(|scope| {
        let handles: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let shared = Arc::clone(&shared);
                scope.spawn(move || work(worker, &shared))
            })
            .collect();
        // From here on the workers alone hold the queue: when all of them have stopped, sending fails.
        let shared = {
            let weak = Arc::downgrade(&shared);
            drop(shared);
            weak
        };
        let mut reader = Reader { sender, block: None, next: (0, clock.context.first.row), plan, shared };
        let read = reader.read(framer, delimiter, clock).and_then(|()| reader.send());
        drop(reader);
        let parts: Vec<Result<Part>> = handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or(Err(Error::Broken("a worker stopped unexpectedly"))))
            .collect();
        (read, parts)
    });
    // A worker's error explains why the reader could not hand over its records.
    let mut whole = Part::default();
    for part in parts {
        whole.join(part?);
    }
    read.map(|()| whole)
}

struct Reader<'r> {
    sender: SyncSender<Block>,
    block: Option<Block>,
    /// Number of the next block and of the next row.
    next: (u64, u64),
    plan: Arc<Plan>,
    shared: Weak<Shared<'r>>,
}

impl Reader<'_> {
    fn read<R: Read>(&mut self, framer: &mut Framer<R>, delimiter: u8, clock: &mut Clock<'_, '_>) -> Result<()> {
        loop {
            let (span, refused) = match next_record(framer, clock)? {
                Next::End => return Ok(()),
                Next::Record(span) => (span, None),
                Next::Refused(span, reason) => (span, Some(reason)),
                Next::Header(span) => {
                    if let Some(plan) =
                        plan_of(clock.context.names, without_hole(framer.bytes(&span)), delimiter, &self.plan)
                    {
                        self.send()?;
                        framer.expect(delimiter, plan.width);
                        self.plan = Arc::new(plan);
                    }
                    continue;
                }
            };
            let block = self.block();
            let text = framer.bytes(&span);
            block.bytes.extend_from_slice(if refused.is_none() { without_hole(text) } else { text });
            let end = block.bytes.len();
            let (line, offset, terminated) = (span.line, span.offset, span.terminated);
            block.records.push(Record { end, line, offset, terminated, refused });
            self.next.1 += 1;
            if end >= BLOCK {
                self.send()?;
                if let Some(shared) = self.shared.upgrade() {
                    if shared.failed.load(Ordering::Relaxed) {
                        return Err(Error::Broken("a worker stopped"));
                    }
                    clock.look(shared.rows.load(Ordering::Relaxed), shared.rejected.load(Ordering::Relaxed))?;
                }
            }
        }
    }

    fn block(&mut self) -> &mut Block {
        let (next, plan, shared) = (&mut self.next, &self.plan, &self.shared);
        self.block.get_or_insert_with(|| {
            let used = shared.upgrade().and_then(|shared| locked(&shared.spare).pop());
            let (number, first) = *next;
            next.0 += 1;
            match used {
                Some(block) => Block { number, first, plan: Arc::clone(plan), ..block },
                None => Block {
                    number,
                    first,
                    plan: Arc::clone(plan),
                    bytes: Vec::with_capacity(BLOCK + BLOCK / 8),
                    records: Vec::new(),
                },
            }
        })
    }

    fn send(&mut self) -> Result<()> {
        match self.block.take() {
            Some(block) => self.sender.send(block).map_err(|_| Error::Broken("the workers stopped")),
            None => Ok(()),
        }
    }
}

fn work(mut worker: Worker<'_>, shared: &Shared<'_>) -> Result<Part> {
    let mut alarm = Alarm(Some(shared));
    loop {
        let received = locked(&shared.queue).recv();
        let Ok(mut block) = received else {
            let part = worker.finish()?;
            alarm.0 = None;
            return Ok(part);
        };
        worker.follow(&block.plan);
        let (mut events, mut rejected) = (0, Vec::new());
        let mut start = 0;
        for (number, record) in (block.first..).zip(block.records.drain(..)) {
            let text = &block.bytes[start..record.end];
            start = record.end;
            let reason = match record.refused {
                Some(reason) => reason,
                None => match worker.record(text, record.terminated, number)? {
                    Fate::Event => {
                        events += 1;
                        continue;
                    }
                    Fate::Rejected(reason) => reason,
                    // What comes behind may be at another worker already, and is numbered as if this were a row.
                    Fate::Header | Fate::Remark => return Err(Error::Headers),
                },
            };
            rejected.push((record.line, record.offset, reason, text.to_vec()));
        }
        shared.rows.fetch_add(events, Ordering::Relaxed);
        shared.rejected.fetch_add(rejected.len() as u64, Ordering::Relaxed);
        locked(&shared.in_order).push(block.number, rejected)?;
        block.bytes.clear();
        locked(&shared.spare).push(block);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
