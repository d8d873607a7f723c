//! Orders of threads, tried: who waits for the sidecar gets it, or learns that none comes.

use super::*;
use crate::sync::model::orders;
use shuttle::thread;

/// A sidecar, and three that wait for it.
fn awaited() -> (Arc<Sidecar>, Vec<thread::JoinHandle<Result<String>>>) {
    let sidecar = Arc::<Sidecar>::default();
    let wait = |_| {
        let sidecar = Arc::clone(&sidecar);
        thread::spawn(move || sidecar.wait())
    };
    let waiting = (0..3).map(wait).collect();
    (sidecar, waiting)
}

#[test]
fn all_get_the_sidecar_and_what_comes_later_changes_nothing() {
    orders(|| {
        let (sidecar, waiting) = awaited();
        sidecar.set(Some("name = a".to_owned()));
        // As Finished does when it goes.
        sidecar.set(None);
        for thread in waiting {
            assert!(matches!(thread.join(), Ok(Ok(text)) if text == "name = a"));
        }
    });
}

#[test]
fn nobody_waits_for_what_never_comes() {
    orders(|| {
        let (sidecar, waiting) = awaited();
        sidecar.set(None);
        for thread in waiting {
            assert!(matches!(thread.join(), Ok(Err(error)) if error.code() == Code::Cancelled));
        }
    });
}
