//! Archives as other programs make and read them, hostile archives, damaged ones, and random trees.

mod damage;
mod fixtures;
mod hostile;
mod peers;
mod tree;

use super::*;
use crate::{Monitor, Result};
use std::path::Path;

/// Extracts a whole archive into `target`.
fn extract(archive: &[u8], target: &Path) -> Result<ExtractReport> {
    extract_with(archive, target, ExtractOptions::default(), &Monitor::new())
}

fn extract_with(
    archive: &[u8],
    target: &Path,
    options: ExtractOptions,
    monitor: &Monitor,
) -> Result<ExtractReport> {
    Extractor::into_folder(target, options, monitor)?.run(&mut Reader::new(archive))
}

/// Runs a program that must succeed; gives back what it printed.
fn run(command: &mut std::process::Command) -> Vec<u8> {
    let out = command.output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {errors}");
    assert_eq!(errors, "", "{command:?}");
    out.stdout
}

/// An entry with everyday attributes, owned by whoever runs the tests.
fn entry(path: &str, kind: EntryKind) -> Entry {
    let mode = if kind == EntryKind::Directory { 0o755 } else { 0o644 };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Entry { path: path.into(), kind, mode, uid, gid, mtime: 1_600_000_000, extras: Extras::default() }
}

/// A file's entry and content.
fn file(path: &str, content: &str) -> (Entry, Vec<u8>) {
    (entry(path, EntryKind::File { size: content.len() as u64 }), content.into())
}

/// A member without content.
fn bare(path: &str, kind: EntryKind) -> (Entry, Vec<u8>) {
    (entry(path, kind), Vec::new())
}

fn archive(members: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in members {
        writer.append(entry, &mut content.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}
