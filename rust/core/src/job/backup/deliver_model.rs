//! Orders of threads, tried: who waits for the sidecar gets it, or learns that none comes.

use super::*;
use crate::sync::model::orders;
use shuttle::thread;

#[test]
fn all_get_the_sidecar_and_what_comes_later_changes_nothing() {
    orders(|| {
        let sidecar = Arc::<Sidecar>::default();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let sidecar = Arc::clone(&sidecar);
                thread::spawn(move || sidecar.wait())
            })
            .collect();
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
        let sidecar = Arc::<Sidecar>::default();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let sidecar = Arc::clone(&sidecar);
                thread::spawn(move || sidecar.wait())
            })
            .collect();
        sidecar.set(None);
        for thread in waiting {
            assert!(matches!(thread.join(), Ok(Err(error)) if error.code() == Code::Cancelled));
        }
    });
}
