//! How much a backup will read, so that whoever waits sees how far it is: what the last one of the same source and profile
//! has read, else what is measured while the backup is already being made.
//!
//! `read.json` in the state folder, `{"SOURCE/PROFILE": BYTES}`, the latest last.

use super::sources::BackupPlan;
use crate::Monitor;
use crate::job::choose::Choice;
use crate::job::{lock, memory};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

const FILE: &str = "read.json";
/// How many are remembered.
const MOST: usize = 500;

/// An expectation under way. Dropped, measuring ends.
pub struct Expected {
    file: PathBuf,
    key: String,
    before: u64,
    monitor: Arc<Monitor>,
    /// Measures, and hears when that is not wanted any more.
    measuring: Option<(Arc<Monitor>, JoinHandle<()>)>,
}

impl Expected {
    /// Tells `monitor` what is to be expected, at once or when it is measured.
    pub fn start(
        choice: &Choice,
        plan: &Arc<BackupPlan>,
        state_dir: &Path,
        monitor: &Arc<Monitor>,
    ) -> Expected {
        let (file, key) = (state_dir.join(FILE), format!("{}/{}", choice.source, choice.profile));
        let before = monitor.snapshot().bytes_in;
        let mut expected = Expected { file, key, before, monitor: Arc::clone(monitor), measuring: None };
        // It is only an estimate: what cannot be read or measured is not known.
        let known = memory::read(&expected.file).unwrap_or_default();
        match known.get(&expected.key).and_then(Value::as_u64) {
            Some(bytes) => monitor.expect(bytes),
            None => {
                let (own, plan, monitor) = (Arc::new(Monitor::new()), Arc::clone(plan), Arc::clone(monitor));
                let asked = Arc::clone(&own);
                let measure = move || {
                    if let Ok(bytes) = plan.measure(&asked) {
                        monitor.set_total(before.saturating_add(bytes));
                    }
                };
                let thread = std::thread::Builder::new().name("bam-measure".into()).spawn(measure);
                expected.measuring = thread.ok().map(|thread| (own, thread));
            }
        }
        expected
    }

    /// The backup is made: the next one will read about as much.
    pub fn remember(self) {
        let read = self.monitor.snapshot().bytes_in.saturating_sub(self.before);
        let Ok(mut known) = memory::read(&self.file) else { return };
        known.shift_remove(&self.key);
        while known.len() >= MOST
            && let Some(oldest) = known.keys().next().cloned()
        {
            known.shift_remove(&oldest);
        }
        known.insert(self.key.clone(), read.into());
        // The backup is there whether this succeeds or not.
        let _ = lock::write_state(&self.file, Value::Object(known).to_string().as_bytes());
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        if let Some((own, thread)) = self.measuring.take() {
            own.cancel();
            let _ = thread.join();
        }
    }
}
