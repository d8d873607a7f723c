//! `restic ls --json`: what a snapshot holds, with times to the nanosecond, which the tar of `restic dump` rounds.

use crate::destination::snapshots::Node;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};

/// Reads one node after the other, in the order of the tar.
pub(crate) struct Nodes<R>(BufReader<R>);

impl<R: Read> Nodes<R> {
    pub fn new(input: R) -> Self {
        Nodes(BufReader::new(input))
    }
}

impl<R: Read> Iterator for Nodes<R> {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        loop {
            let mut line = Vec::new();
            if self.0.read_until(b'\n', &mut line).ok()? == 0 {
                return None;
            }
            if let Some(node) = node(&line) {
                return Some(node);
            }
        }
    }
}

/// A node that the tar has, too: no sockets, no devices.
fn node(line: &[u8]) -> Option<Node> {
    let told: Value = serde_json::from_slice(line).ok()?;
    let kind = told["type"].as_str().filter(|kind| ["dir", "file", "symlink"].contains(kind))?;
    let time: jiff::Timestamp = told["mtime"].as_str()?.parse().ok()?;
    let (mut mtime, mut nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        (mtime, nanos) = (mtime - 1, nanos + 1_000_000_000);
    }
    Some(Node {
        path: told["path"].as_str()?.to_owned(),
        mtime,
        nanos: u32::try_from(nanos).ok()?,
        is_file: kind == "file",
        size: told["size"].as_u64().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole() {
        let text = r#"{"time":"2026-11-28T16:46:48Z","struct_type":"snapshot"}
{"name":"a","type":"file","path":"/t/a","size":7,"mtime":"2026-11-28T16:23:00.5+01:00","struct_type":"node"}
{"name":"s","type":"socket","path":"/t/s","mtime":"2026-11-28T16:23:00Z"}
{"name":"b","type":"dir","path":"/t/b","mtime":"1969-12-31T23:59:58.25Z"}"#;
        let nodes: Vec<Node> = Nodes::new(text.as_bytes()).collect();
        assert_eq!(nodes.iter().map(|node| node.size).collect::<Vec<_>>(), [7, 0]);
        let told: Vec<_> = nodes.iter().map(|node| (node.path.as_str(), node.mtime, node.nanos)).collect();
        assert_eq!(told, [("/t/a", 1_795_879_380, 500_000_000), ("/t/b", -2, 250_000_000)]);
    }
}
