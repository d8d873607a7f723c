//! What several integration tests share.

pub mod everything;
pub mod mariadb;

use bam::config::Connection;
use bam::source::database::{self, DumpSettings, LoadReport, LoadSettings};
use bam::{Monitor, Result};
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, Ordering};

pub fn dump(connection: &Connection, settings: &DumpSettings) -> Vec<u8> {
    let mut out = Vec::new();
    let report = database::dump(connection, settings, &mut out, &Monitor::new()).unwrap();
    assert_eq!(report.bytes, out.len() as u64);
    out
}

pub fn load(connection: &Connection, dump: impl Into<Vec<u8>>) -> Result<LoadReport> {
    load_with(connection, dump, &LoadSettings::default())
}

pub fn load_with(
    connection: &Connection,
    dump: impl Into<Vec<u8>>,
    settings: &LoadSettings,
) -> Result<LoadReport> {
    let state = tempfile::tempdir().unwrap();
    let input = Box::new(Cursor::new(dump.into()));
    let done = database::load(connection, input, settings, state.path(), &Monitor::new());
    assert_eq!(state.path().read_dir().unwrap().count(), 0, "nothing is left in the state folder: {done:?}");
    done
}

#[track_caller]
pub fn assert_same(one: &[String], other: &[String]) {
    let differing = |these: &[String], those: &[String]| {
        these.iter().filter(|it| !those.contains(it)).map(|it| format!("{it:.1500}")).collect::<Vec<_>>()
    };
    assert_eq!(differing(one, other), differing(other, one));
    assert_eq!(one.len(), other.len());
}

/// Sets the flag when a test ends, however it ends.
pub struct Stopper<'a>(pub &'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
