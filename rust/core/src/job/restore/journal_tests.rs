use super::*;
use crate::job::restore::swap::testing::{tree, write};

/// A restore of two folders, the second of which cannot take its place: what was extracted for it is gone.
fn broken() -> (tempfile::TempDir, Document, Journal) {
    let dir = tempfile::tempdir().expect("a folder");
    let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
    let state_dir = lock::state_dir(&document).expect("a folder");
    let mut journal = Journal::begin(&state_dir, "x.tar").expect("begun");
    for name in ["first", "second"] {
        let live = dir.path().join("site").join(name);
        write(&live.join("a"), "old");
        let at = journal.stage(&live, "7", false).expect("staged");
        write(&journal.tree(at).expect("there").staged().join("a"), "new");
    }
    journal.check(&document, &|_| Ok(Vec::new()), &Monitor::new()).expect("checked");
    let gone = journal.tree(1).expect("there").staged().to_owned();
    fs::remove_dir_all(gone).expect("removed");
    (dir, document, journal)
}

const OLD: [&str; 2] = ["first/a=old", "second/a=old"];

#[test]
fn a_restore_that_is_taken_back_says_so() {
    let (dir, document, journal) = broken();
    let error = journal.commit(&document, &Monitor::new()).expect_err("not whole");
    assert!(error.message().contains("cannot put in place"), "{error}");
    assert!(error.message().ends_with(AS_BEFORE), "{error}");
    assert_eq!(tree(&dir.path().join("site")), OLD);
}

#[test]
fn one_that_was_given_up_before_anything_changed_says_so() {
    let (dir, document, journal) = broken();
    // Its journal cannot say any more that it begins.
    fs::remove_dir_all(dir.path().join("state")).expect("removed");
    let error = journal.commit(&document, &Monitor::new()).expect_err("no journal");
    assert!(error.message().ends_with(AS_BEFORE), "{error}");
    let live = tree(&dir.path().join("site"));
    assert!(OLD.iter().all(|file| live.iter().any(|there| there == file)), "{live:?}");
}

#[test]
fn one_that_cannot_be_taken_back_does_not_say_so() {
    let (dir, document, mut journal) = broken();
    journal.begin_swap().expect("on record");
    let error = journal.swap(&document, &Monitor::new()).expect_err("not whole");
    fs::remove_dir_all(dir.path().join("state")).expect("removed");
    let error = journal.give_up(error, &document, &Monitor::new());
    assert!(error.message().contains("taking the restore of x.tar back failed"), "{error}");
    assert!(!error.message().contains(AS_BEFORE), "{error}");
    assert!(error.next_step().is_some_and(|hint| hint.contains("half old and half new")), "{error}");
}

#[test]
fn nor_does_a_drill() {
    let (_dir, document, journal) = broken();
    let error = journal.of_a_drill().commit(&document, &Monitor::new()).expect_err("not whole");
    assert!(!error.message().contains(AS_BEFORE), "{error}");
}
