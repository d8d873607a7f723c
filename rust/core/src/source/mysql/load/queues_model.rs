//! Orders of threads, tried: whatever the order, each chunk is committed once, an error reaches who hands over, and nobody waits for ever.

use super::*;
use crate::sync::model::orders;
use shuttle::sync::Arc;
use shuttle::thread::{self, JoinHandle};

const CONNECTIONS: usize = 2;

/// What the server has.
#[derive(Default)]
struct Server {
    committed: Mutex<Vec<String>>,
    /// A chunk that it refuses, and how often with a deadlock before it takes it; no number: always, with another error.
    refuses: Option<(&'static str, Option<u32>)>,
}

/// A connection as the queues see one.
struct Connected {
    server: Arc<Server>,
    open: Vec<String>,
    refused: u32,
}

impl Feed for Connected {
    fn feed(&mut self, script: &[u8]) -> Result<()> {
        thread::yield_now();
        let script = String::from_utf8_lossy(script).into_owned();
        match script.as_str() {
            "COMMIT;\n" => {
                self.server.committed.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.open)
            }
            "ROLLBACK;\n" => self.open.clear(),
            _ => {
                if let Some((refused, times)) = self.server.refuses
                    && script == refused
                    && times.is_none_or(|times| self.refused < times)
                {
                    self.refused += 1;
                    let said = if times.is_some() { "ERROR 1213 (40001)" } else { "ERROR 1062 (23000)" };
                    return Err(Error::new(Code::Database, format!("{said} at line 1: {script}")));
                }
                self.open.push(script);
            }
        }
        Ok(())
    }

    fn lines(&self) -> u64 {
        0
    }

    fn goes_on(&self) -> bool {
        true
    }

    fn id(&self) -> Option<u32> {
        None
    }
}

struct Model {
    queues: Arc<Queues<'static>>,
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
}

impl Model {
    fn start(monitor: &'static Monitor, server: Server) -> Model {
        let (mut queues, server) = (Queues::new(CONNECTIONS, monitor), Arc::new(server));
        // So that some chunks of five bytes meet both.
        queues.bounds = Bounds { waiting: 6, most: 14 };
        let queues = Arc::new(queues);
        let threads = (0..CONNECTIONS)
            .map(|number| {
                let (queues, server) = (Arc::clone(&queues), Arc::clone(&server));
                let open = move || Ok(Connected { server, open: Vec::new(), refused: 0 });
                thread::spawn(move || queues.work(number, open))
            })
            .collect();
        Model { queues, server, threads }
    }

    /// As [`super::super::start::load`]: hands over, closes, waits for all.
    fn hand_over(self, chunks: Vec<Chunk>, wait_at: Option<usize>) -> (Result<()>, Vec<String>) {
        let queues = &self.queues;
        let done = chunks.into_iter().enumerate().try_for_each(|(at, chunk)| {
            let queue = queues.choose(&(0..CONNECTIONS), chunk.text.len())?;
            queues.give(queue, chunk);
            if wait_at == Some(at) { queues.wait_for(at % 2) } else { Ok(()) }
        });
        let done = done.and_then(|()| queues.wait_for_all());
        queues.close(done.is_err());
        for thread in self.threads {
            assert!(thread.join().is_ok());
        }
        let mut committed = self.server.committed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        committed.sort();
        (queues.outcome(done), committed)
    }
}

/// A monitor that outlives all threads of one order; the tests end with the process.
fn monitor() -> &'static Monitor {
    Box::leak(Box::default())
}

fn chunk(number: usize) -> Chunk {
    Chunk { text: format!("row {number}").into_bytes(), tables: vec![number % 2], ..Chunk::default() }
}

#[test]
fn each_chunk_is_committed_once() {
    orders(|| {
        let refuses = Some(("row 3", Some(2)));
        let model = Model::start(monitor(), Server { refuses, ..Server::default() });
        let queues = Arc::clone(&model.queues);
        assert_eq!((queues.add_table(), queues.add_table()), (0, 1));
        let mut chunks: Vec<Chunk> = (0..6).map(chunk).collect();
        chunks[1].commit = true;
        chunks[3].alone = true;
        let (done, committed) = model.hand_over(chunks, Some(2));
        assert!(done.is_ok());
        assert_eq!(committed, (0..6).map(|number| format!("row {number}")).collect::<Vec<_>>());
        let state = queues.state();
        assert_eq!(state.bytes + state.queues.iter().map(|queue| queue.bytes).sum::<usize>(), 0);
    });
}

/// Whichever it is, also one that is about no table, for which nobody waits.
#[test]
fn an_error_of_one_ends_all() {
    for (refused, about) in [("row 0", true), ("row 4", true), ("row 4", false)] {
        orders(move || {
            let model =
                Model::start(monitor(), Server { refuses: Some((refused, None)), ..Server::default() });
            let queues = Arc::clone(&model.queues);
            assert_eq!((queues.add_table(), queues.add_table()), (0, 1));
            let mut chunks: Vec<Chunk> = (0..5).map(chunk).collect();
            if !about {
                chunks[4].tables.clear();
            }
            let (done, committed) = model.hand_over(chunks, None);
            assert!(done.is_err_and(|error| error.message().contains("1062")));
            assert!(!committed.iter().any(|row| row == refused));
        });
    }
}

/// Time does not pass here: who cancels says so, as the clock does outside.
#[test]
fn a_cancel_ends_the_wait() {
    orders(|| {
        let monitor = monitor();
        let model = Model::start(monitor, Server::default());
        let queues = Arc::clone(&model.queues);
        assert_eq!((queues.add_table(), queues.add_table()), (0, 1));
        let cancel = thread::spawn(move || {
            let _held = queues.state();
            monitor.cancel();
            queues.changed.notify_all();
        });
        let (done, committed) = model.hand_over((0..5).map(chunk).collect(), None);
        assert!(cancel.join().is_ok());
        match done {
            Ok(()) => assert_eq!(committed.len(), 5),
            Err(error) => assert_eq!(error.code(), Code::Cancelled),
        }
    });
}
