//! Orders of threads, tried: each file of a batch is taken once, whoever opens it, and nobody waits for one that will not be opened.

use super::*;
use crate::sync::model::orders;
use shuttle::thread;

fn found(name: &str) -> Found {
    let stat = rustix::fs::stat("/").expect("told");
    let what = What::Folder { stat, attributes: Vec::new(), followed: false };
    Found { path: name.as_bytes().to_vec(), what, real: Vec::new() }
}

#[test]
fn each_file_is_taken_once_in_order() {
    orders(|| {
        let names = [["a", "b"], ["c", "d"], ["e", "f"]];
        let batches: Vec<_> = names.map(|two| Arc::new(Batch::new(two.map(found).into()))).into();
        let openers: Vec<_> = (0..2)
            .map(|_| {
                let batches = batches.clone();
                thread::spawn(move || batches.iter().for_each(|batch| batch.work()))
            })
            .collect();
        let taken: Vec<Loaded> = batches.iter().flat_map(|batch| batch.result().expect("opened")).collect();
        let taken: Vec<u8> = taken.into_iter().flat_map(|(found, _)| found.path).collect();
        assert_eq!(taken, b"abcdef");
        for opener in openers {
            assert!(opener.join().is_ok());
        }
    });
}

/// As where a thread that opens panics.
#[test]
fn the_taker_learns_that_work_was_given_up() {
    orders(|| {
        let batch = Arc::new(Batch::new(vec![found("a")]));
        let theirs = Arc::clone(&batch);
        let opener = thread::spawn(move || {
            let mut state = theirs.lock();
            let begun = matches!(*state, BatchState::Waiting(_));
            if begun {
                *state = BatchState::InWork;
            }
            drop(state);
            drop(Notify(&theirs));
            begun
        });
        let result = batch.result();
        assert!(opener.join().is_ok_and(|given_up| given_up == result.is_err()));
    });
}
