//! Orders of threads, tried: whatever the order, the server has every byte in the end, and no connection waits for what does not come.

use super::*;
use crate::sync::model::orders;
use shuttle::sync::Arc;
use shuttle::thread;
use std::fs::File;

/// What is uploaded: six stripes, of which the last is short.
const SIZE: u64 = 6 * STRIPE - 7;

struct Upload {
    stripes: Stripes,
    file: Follow,
    /// What the server has been given.
    there: Mutex<Vec<(u64, u64)>>,
    monitor: Monitor,
}

impl Upload {
    fn of(file: Follow) -> Upload {
        Upload { stripes: Stripes::new(0), file, there: Mutex::default(), monitor: Monitor::new() }
    }

    /// Whether the server was given every byte, and once.
    fn is_whole(&self) -> bool {
        let mut there = self.there.lock().expect("never poisoned").clone();
        there.retain(|(from, to)| from < to);
        there.sort_unstable();
        let end = there.iter().try_fold(0, |end, &(from, to)| (from == end).then_some(to));
        end == Some(SIZE)
    }

    /// As a connection does (`channels`), with one stripe at a time, which goes as the file grows. Gives up with its `lost`th in hand.
    fn drive(&self, sender: usize, lost: Option<usize>) -> Result<(), &'static str> {
        let (mut whole, mut taken) = (self.stripes.whole(), 0);
        // Where the stripe in hand began, and up to where it is answered.
        let mut open: Option<(u64, u64)> = None;
        loop {
            let seen = self.stripes.seen();
            if self.stripes.is_over() {
                return Ok(());
            }
            if self.stripes.has_failed() {
                return Err("another was lost");
            }
            let available =
                self.file.wait(whole, Duration::ZERO, &self.monitor).map_err(|_| "no more comes")?;
            let before = open;
            open = match open {
                None => self.stripes.take(sender, available.bytes).map(|from| (from, from)),
                Some((from, answered)) => {
                    let to = available.bytes.min(from + STRIPE);
                    self.there.lock().expect("never poisoned").push((answered, to));
                    (to < from + STRIPE && !available.finished).then_some((from, to))
                }
            };
            taken += usize::from(before.is_none() && open.is_some());
            whole = self.stripes.tell(sender, open.map(|(_, answered)| answered));
            self.file.done(whole);
            if open.is_some() && lost == Some(taken) {
                return Err("lost");
            }
            if open != before {
                continue;
            }
            if available.finished && whole >= available.bytes {
                return Ok(());
            }
            self.stripes
                .rest(seen, &self.file, available, whole, &self.monitor)
                .map_err(|_| "no more comes")?;
        }
    }
}

/// An upload with as many connections as `lost` has members, the first of which is the one that ends it; each ends as its member says.
fn upload(lost: &[Option<usize>], writes: u64) -> (Vec<Result<(), &'static str>>, bool) {
    let (growing, file) = Follow::growing(File::open("/dev/null").expect("there"));
    let upload = Arc::new(Upload::of(file));
    let writer = thread::spawn(move || {
        for _ in 0..writes {
            growing.grew(SIZE / writes);
        }
        growing.grew(SIZE % writes);
        growing.finish();
    });
    let threads: Vec<_> = lost
        .iter()
        .map(|&lost| {
            let sender = upload.stripes.join();
            let upload = Arc::clone(&upload);
            thread::spawn(move || {
                let sent = upload.drive(sender, lost);
                match sender {
                    0 => upload.stripes.end(),
                    _ if sent.is_err() => upload.stripes.leave(sender),
                    _ => {}
                }
                sent
            })
        })
        .collect();
    let results = threads.into_iter().map(|thread| thread.join().expect("ended")).collect();
    writer.join().expect("ended");
    (results, upload.is_whole())
}

#[test]
fn every_stripe_is_sent_once() {
    for writes in [1, 4] {
        orders(move || {
            let (results, whole) = upload(&[None, None, None], writes);
            assert_eq!(results, [Ok(()), Ok(()), Ok(())]);
            assert!(whole);
        });
    }
}

/// What a lost connection took is nowhere, so the upload has failed; where it took nothing, it has not.
#[test]
fn a_lost_connection_ends_all() {
    orders(|| {
        let (results, whole) = upload(&[None, Some(2)], 3);
        match results[1] {
            Err("lost") => assert!(results[0].is_err()),
            _ => assert_eq!((results[0], whole), (Ok(()), true)),
        }
    });
}

/// The one that had all stripes to itself leaves in the middle: others send again what it had no answer for.
#[test]
fn what_is_given_back_is_sent_by_others() {
    orders(|| {
        let (growing, file) = Follow::growing(File::open("/dev/null").expect("there"));
        growing.grew(SIZE);
        growing.finish();
        let upload = Arc::new(Upload::of(file));
        let first = upload.stripes.join();
        let theirs = Arc::clone(&upload);
        let helping = thread::spawn(move || {
            let sender = theirs.stripes.join_alone();
            let sent = theirs.drive(sender, Some(2));
            theirs.stripes.give_back(sender);
            sent
        });
        assert_eq!(upload.drive(first, None), Ok(()));
        upload.stripes.end();
        assert!(helping.join().is_ok());
        assert!(upload.is_whole());
    });
}

/// Whoever waits for a fast line (`Help`) hears of each answer, and of the end.
#[test]
fn who_waits_for_the_first_answers_hears_of_them() {
    for until in [2 * STRIPE, 100 * STRIPE] {
        orders(move || {
            let stripes = Arc::new(Stripes::new(0));
            let theirs = Arc::clone(&stripes);
            let helping = thread::spawn(move || {
                loop {
                    let seen = theirs.seen();
                    if theirs.whole() >= until {
                        return true;
                    }
                    if theirs.is_over() {
                        return false;
                    }
                    theirs.wait(seen, Duration::from_millis(50));
                }
            });
            let sender = stripes.join();
            while let Some(from) = stripes.take(sender, SIZE) {
                stripes.tell(sender, Some(from));
                stripes.tell(sender, None);
            }
            stripes.end();
            // It is done or over, in whatever order it looked.
            let fast = helping.join().expect("ended");
            assert!(fast || until > SIZE || stripes.is_over());
        });
    }
}
