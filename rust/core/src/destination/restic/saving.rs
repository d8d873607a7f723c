//! What `restic backup --json` tells while it saves: how far it is, what it could not read, what became of it.

use super::meant::Meant;
use crate::Monitor;
use crate::destination::snapshots::{Lost, Saved};
use serde_json::Value;

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub saved: Option<Saved>,
    pub lost: Lost,
    meant: Meant,
    seen: u64,
}

impl Report {
    /// Takes note of a line; those that are not of this kind are nothing.
    pub fn line(&mut self, line: &[u8], monitor: &Monitor) {
        let Ok(told) = serde_json::from_slice::<Value>(line) else { return };
        let number = |key: &str| told[key].as_u64().unwrap_or_default();
        match told["message_type"].as_str() {
            Some("status") => {
                let done = number("bytes_done");
                monitor.add_in(done.saturating_sub(self.seen));
                self.seen = self.seen.max(done);
                if let Some(current) = told["current_files"].get(0).and_then(Value::as_str) {
                    monitor.set_current(current);
                }
            }
            Some("error") => {
                let error = &told["error"];
                let cause = error["message"].as_str().map(str::to_owned).unwrap_or_else(|| in_words(error));
                self.lost.add(told["item"].as_str().unwrap_or_default(), cause, |path| self.meant.of(path));
            }
            Some("summary") => {
                let bytes = number("total_bytes_processed");
                monitor.add_in(bytes.saturating_sub(self.seen));
                monitor.add_out(number("data_added"));
                self.saved = told["snapshot_id"].as_str().filter(|id| !id.is_empty()).map(|id| Saved {
                    id: id.to_owned(),
                    added: number("data_added"),
                    files: number("total_files_processed"),
                    bytes,
                    lost: Lost::default(),
                });
            }
            _ => {}
        }
    }
}

/// Go's errors as JSON: `{"Op": "open", "Path": "…", "Err": 13}`.
fn in_words(error: &Value) -> String {
    match (error["Op"].as_str(), error["Err"].as_i64().and_then(|number| i32::try_from(number).ok())) {
        (Some(op), Some(number)) => format!("{op}: {}", std::io::Error::from_raw_os_error(number)),
        (Some(op), None) => op.to_owned(),
        _ => error.as_str().unwrap_or("no cause is told").to_owned(),
    }
}
