//! What is told of a rekey that was cancelled.

use super::*;

#[test]
fn a_cancel_says_what_was_done_before_it() {
    let copy = |file: &str, done: &str| json!({ "file": file, "done": done });
    let told = [
        copy("a", "rekeyed"),
        copy("a", "rekeyed"),
        copy("b", "rekeyed"),
        copy("c", "current"),
        copy("d", "kept"),
    ];
    let cancelled = || Error::new(Code::Cancelled, "cancelled");
    let error = given_up(&told, cancelled(), 23);
    assert_eq!(error.code(), Code::Cancelled);
    assert!(error.message().starts_with("cancelled. 2 of 23 backups"), "{error}");
    let error = given_up(&told[3..], cancelled(), 23);
    assert_eq!(error.message(), "cancelled. No backup was encrypted anew");
}
