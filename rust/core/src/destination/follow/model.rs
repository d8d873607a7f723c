//! Orders of threads, tried: readers get every byte whatever becomes of the writers, and nobody waits for what will not come.

use super::*;
use crate::sync::model::orders;
use shuttle::thread::{self, JoinHandle};
use std::io::Write;

fn temporary() -> File {
    tempfile::tempfile().expect("a file")
}

/// Reads all, three bytes at a time; where there is no more, the reason.
fn read(follow: Follow, monitor: Arc<Monitor>) -> JoinHandle<Result<Vec<u8>>> {
    thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 3]);
        loop {
            match follow.read_at(&mut buffer, all.len() as u64, &monitor)? {
                0 => return Ok(all),
                read => all.extend_from_slice(&buffer[..read]),
            }
            follow.done(all.len() as u64);
        }
    })
}

fn write(growing: &Growing, file: &File, at: u64, bytes: &[u8]) {
    file.write_all_at(bytes, at).expect("written");
    growing.grew(bytes.len() as u64);
}

#[test]
fn readers_go_on_where_a_writer_fails() {
    orders(|| {
        let (one, two) = (temporary(), temporary());
        let (growing, follow) = Follow::growing(one.try_clone().expect("cloned"));
        let other = follow.also_in(two.try_clone().expect("cloned"));
        let readers = [0, 1].map(|_| read(follow.another(), Arc::default()));
        let failing = thread::spawn(move || {
            write(&growing, &one, 0, b"ab");
            let spool = growing.fail_over(&std::env::temp_dir()).expect("a folder");
            assert!(spool.is_none(), "the other goes on");
        });
        for (at, bytes) in [(0, b"ab"), (2, b"cd"), (4, b"ef")] {
            write(&other, &two, at, bytes);
        }
        assert!(failing.join().is_ok());
        // The last one: what is missing comes by a spool.
        let spool = other.fail_over(&std::env::temp_dir()).expect("a folder");
        if let Some(mut spool) = spool {
            spool.write_all(b"gh").expect("written");
            spool.finish();
        }
        for reader in readers {
            let read = reader.join().expect("ended");
            assert_eq!(read.expect("read"), b"abcdefgh");
        }
    });
}

#[test]
fn readers_give_up_with_the_last_writer() {
    orders(|| {
        let (growing, follow) = Follow::growing(temporary());
        let other = follow.also_in(temporary());
        let readers = [0, 1].map(|_| read(follow.another(), Arc::default()));
        let writers = [growing, other].map(|it| thread::spawn(move || drop(it)));
        for writer in writers {
            assert!(writer.join().is_ok());
        }
        for reader in readers {
            assert!(reader.join().expect("ended").is_err_and(|error| error.code() == Code::Cancelled));
        }
    });
}

/// Time does not pass here: who cancels says so, as the clock does outside.
#[test]
fn a_cancel_ends_the_wait() {
    orders(|| {
        let (_growing, follow) = Follow::growing(temporary());
        let monitor = Arc::new(Monitor::new());
        let reader = read(follow.another(), Arc::clone(&monitor));
        let held = follow.shared.extents();
        monitor.cancel();
        follow.shared.changed.notify_all();
        drop(held);
        assert!(reader.join().expect("ended").is_err_and(|error| error.code() == Code::Cancelled));
    });
}

#[test]
fn who_waits_for_the_beginning_hears_of_it() {
    orders(|| {
        let (_growing, follow) = Follow::growing(temporary());
        let followers = [follow.another(), follow.another()];
        let beginnings = [followers[0].beginning(), followers[1].beginning()];
        let begun = followers.map(|it| thread::spawn(move || it.begun()));
        follow.wait_begun(&beginnings, Duration::from_secs(3600), &|_| false);
        assert!(beginnings.iter().all(|Beginning(reader)| reader.begun.load(Ordering::Relaxed)));
        for thread in begun {
            assert!(thread.join().is_ok());
        }
    });
}

/// On a full disk: the writer waits for readers, of which one gets on, one goes and one turns out to want all.
#[test]
fn a_writer_that_waits_for_room_hears_of_its_readers() {
    const MUCH: u64 = 5 << 20;
    orders(|| {
        let (growing, follow) = Follow::growing(temporary());
        growing.grew(MUCH);
        let (slow, gone, all) = (follow.another(), follow.another(), follow.another());
        let threads = [
            thread::spawn(move || {
                slow.done(MUCH / 4);
                slow.done(MUCH);
                assert!(slow.wait(MUCH, Duration::from_secs(3600), &Monitor::new()).is_err());
            }),
            thread::spawn(move || drop(gone)),
            thread::spawn(move || {
                assert!(all.wait_finished(&Monitor::new()).is_err());
            }),
        ];
        while growing.make_room() {}
        drop(growing);
        for thread in threads {
            assert!(thread.join().is_ok());
        }
    });
}
