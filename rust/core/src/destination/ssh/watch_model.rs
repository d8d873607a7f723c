//! Orders of threads, tried: a watch ends with its connection at once, and a cancel shuts it.

use super::*;
use crate::sync::model::orders;
use shuttle::thread;

fn start(cancel: &Cancel) -> (Watch, thread::JoinHandle<bool>) {
    let shared = Arc::<Shared>::default();
    let (theirs, cancel) = (Arc::clone(&shared), cancel.clone());
    let watching = thread::spawn(move || {
        let mut shut = false;
        watch(&theirs, || shut = true, &cancel);
        shut
    });
    (Watch(shared), watching)
}

#[test]
fn it_ends_with_what_it_watches() {
    orders(|| {
        let (watch, watching) = start(&Cancel::default());
        drop(watch.at_most(Duration::from_secs(3600)));
        assert!(watch.why("h").is_none());
        drop(watch);
        assert!(watching.join().is_ok_and(|shut| !shut));
    });
}

/// Time does not pass here: who cancels says so, as the clock does outside.
#[test]
fn a_cancel_shuts_the_connection() {
    orders(|| {
        let monitor = crate::Monitor::new();
        let (watch, watching) = start(&monitor.flag());
        let held = watch.0.state();
        monitor.cancel();
        watch.0.changed.notify_all();
        drop(held);
        assert!(watching.join().is_ok_and(|shut| shut));
        assert!(watch.why("h").is_some_and(|(error, again)| error.code() == Code::Cancelled && !again));
    });
}
