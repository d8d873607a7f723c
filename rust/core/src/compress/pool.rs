//! Work done by several threads in the order in which it came: buffers go round in a ring of fixed size, so memory
//! is bounded and nothing is allocated once the ring is warm.
//!
//! ```text
//!            ┌──────────────── free ────────────────┐
//!            ▼                                      │
//!   Feeder: take, fill, put ──► workers ──► Drain: next (in order), give_back
//! ```

use crate::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded, select_biased, unbounded};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

/// The end that hands out work. Dropping it lets the workers finish and the [`Drain`] end.
pub struct Feeder<S> {
    free: Receiver<S>,
    jobs: Sender<(u64, S)>,
    next: u64,
}

impl<S> Feeder<S> {
    /// A free buffer; waits for one. `None` once the [`Drain`] is gone.
    pub fn take(&self) -> Option<S> {
        self.free.recv().ok()
    }

    /// Hands a buffer to the workers. False where they are gone, because the [`Drain`] is.
    pub fn put(&mut self, slot: S) -> bool {
        self.next += 1;
        self.jobs.send((self.next - 1, slot)).is_ok()
    }
}

/// The end where results come out in order. Dropping it stops the workers and the [`Feeder`].
pub struct Drain<S> {
    done: Receiver<(u64, Result<S>)>,
    early: BTreeMap<u64, Result<S>>,
    next: u64,
    free: Sender<S>,
    /// Nothing is ever sent: that it is gone tells idle workers to go, too.
    _alive: Sender<()>,
    _workers: Workers,
}

impl<S> Drain<S> {
    /// The next finished buffer, or why its work failed; waits for it. `None` at the end.
    pub fn next(&mut self) -> Option<Result<S>> {
        loop {
            if let Some(result) = self.early.remove(&self.next) {
                self.next += 1;
                return Some(result);
            }
            let (number, result) = self.done.recv().ok()?;
            self.early.insert(number, result);
        }
    }

    /// Returns a buffer to the ring.
    pub fn give_back(&self, slot: S) {
        // The feeder may have gone already: then nobody needs the buffer.
        let _ = self.free.send(slot);
    }
}

/// The threads. Fields of [`Drain`] drop in their order, so by the time this waits for them their channels are shut.
struct Workers(Vec<JoinHandle<()>>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in self.0.drain(..) {
            // A worker's panic was caught and reported as its buffer's result.
            let _ = worker.join();
        }
    }
}

/// Starts one thread per element of `workers`; each works on one buffer at a time. `slots` are all the buffers there
/// will ever be. A panic in a worker becomes [`Code::Internal`].
pub fn start<S, F>(name: &str, workers: Vec<F>, slots: Vec<S>) -> Result<(Feeder<S>, Drain<S>)>
where
    S: Send + 'static,
    F: FnMut(&mut S) -> Result<()> + Send + 'static,
{
    // Before the channels: should a thread be refused, those that run end when the channels are gone, and are waited for then.
    let mut threads = Workers(Vec::with_capacity(workers.len()));
    // Never more messages than buffers: "unbounded" says only that sending never waits.
    let (free, free_slots) = unbounded();
    let (jobs, work) = unbounded::<(u64, S)>();
    let (finished, done) = unbounded();
    let (alive, gone) = bounded::<()>(0);
    for mut run in workers {
        let (work, finished, gone) = (work.clone(), finished.clone(), gone.clone());
        let body = move || {
            loop {
                let job = select_biased! {
                    recv(gone) -> _ => break,
                    recv(work) -> job => job,
                };
                let Ok((number, mut slot)) = job else { break };
                let result = catch_unwind(AssertUnwindSafe(|| run(&mut slot)))
                    .unwrap_or_else(|_| Err(Error::new(Code::Internal, "a worker thread panicked")));
                if finished.send((number, result.map(|()| slot))).is_err() {
                    break;
                }
            }
        };
        threads.0.push(crate::threads::spawn(name, body)?);
    }
    for slot in slots {
        let _ = free.send(slot);
    }
    let feeder = Feeder { free: free_slots, jobs, next: 0 };
    Ok((feeder, Drain { done, early: BTreeMap::new(), next: 0, free, _alive: alive, _workers: threads }))
}

/// How many threads: as asked for, or one per processor where `asked` is 0, and at most `most`, by which each format
/// keeps its share of the engine's memory (64 MiB in all).
pub fn threads(asked: usize, most: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
    .clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adders(n: usize) -> Vec<impl FnMut(&mut u64) -> Result<()>> {
        (0..n)
            .map(|_| {
                |slot: &mut u64| {
                    if *slot == u64::MAX {
                        panic!("as the test wants it");
                    }
                    *slot += 1;
                    Ok(())
                }
            })
            .collect()
    }

    #[test]
    fn results_come_in_order_through_few_buffers() {
        let (mut feeder, mut drain) = start("test", adders(4), vec![0; 3]).unwrap();
        let producer = std::thread::spawn(move || {
            for i in 0..10_000u64 {
                feeder.take().unwrap();
                assert!(feeder.put(i));
            }
        });
        for i in 0..10_000 {
            let slot = drain.next().unwrap().unwrap();
            assert_eq!(slot, i + 1);
            drain.give_back(slot);
        }
        producer.join().unwrap();
        assert!(drain.next().is_none());
    }

    #[test]
    fn dropping_the_drain_stops_the_feeder_and_the_threads() {
        let (mut feeder, drain) = start("test", adders(2), vec![0; 2]).unwrap();
        let slot = feeder.take().unwrap();
        feeder.put(slot);
        // Waits for the threads, which must not wait for the feeder.
        drop(drain);
        while let Some(slot) = feeder.take() {
            if !feeder.put(slot) {
                break;
            }
        }
    }

    #[test]
    fn a_panic_is_an_error_of_its_buffer_and_no_hang() {
        let (mut feeder, mut drain) = start("test", adders(1), vec![0; 4]).unwrap();
        for value in [1, u64::MAX, 3] {
            feeder.take().unwrap();
            feeder.put(value);
        }
        drop(feeder);
        assert_eq!(drain.next().unwrap().unwrap(), 2);
        assert_eq!(drain.next().unwrap().unwrap_err().code(), Code::Internal);
        assert_eq!(drain.next().unwrap().unwrap(), 4);
        assert!(drain.next().is_none());
    }
}
