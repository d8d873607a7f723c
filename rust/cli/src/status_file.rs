//! The status file: how another program watches bam while it works in the background.
//!
//! JSON, replaced as a whole by a rename, readable by its owner alone: `state` (running, done, failed), `pid`, `started`
//! (Unix time), `progress` (the engine's counters), `rate` (bytes read in a second, of late), and at the end `result` or `error`, and `exit_code`. Whoever reads
//! `running` with the process gone knows that it was killed.

use bam::{Code, Error, Progress, Result, ResultExt};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often progress is written.
const EVERY: Duration = Duration::from_millis(500);
/// Over how many seconds the rate is smoothed: stages of a run differ, moments do not matter.
const SMOOTH: f64 = 10.0;

#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    part: PathBuf,
    started: u64,
    written: Cell<Instant>,
    /// Bytes that were read when it was written last, and how many a second since about [`SMOOTH`] seconds.
    read: Cell<u64>,
    rate: Cell<Option<f64>>,
    result: RefCell<Value>,
}

impl StatusFile {
    /// Writes that the run has begun. A run that nobody can watch must not start, so failures are errors here.
    pub fn begin(path: PathBuf) -> Result<StatusFile> {
        check_replaceable(&path)?;
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let started =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let (part, written, result) = (part.into(), Cell::new(Instant::now()), RefCell::new(Value::Null));
        let (read, rate) = (Cell::new(0), Cell::new(None));
        let file = StatusFile { path, part, started, written, read, rate, result };
        file.write("running", json!({}), false).at("cannot write the status file", &file.path)?;
        Ok(file)
    }

    /// Tells how far the run is, unless it was told just now.
    pub fn progress(&self, progress: &Progress) {
        let seconds = self.written.get().elapsed();
        if seconds >= EVERY {
            self.written.set(Instant::now());
            let read = progress.bytes_in.saturating_sub(self.read.replace(progress.bytes_in));
            let now = read as f64 / seconds.as_secs_f64();
            let weight = 1.0 - (-seconds.as_secs_f64() / SMOOTH).exp();
            let rate = self.rate.get().map_or(now, |before| before + weight * (now - before));
            self.rate.set(Some(rate));
            // A disk that is full by now shows at the end, and in the run itself.
            let _ = self.write("running", json!({ "progress": progress, "rate": rate as u64 }), false);
        }
    }

    /// Keeps the verb's result for the end.
    pub fn result(&self, value: &Value) {
        self.result.replace(value.clone());
    }

    /// Writes how the run ended.
    pub fn end(&self, outcome: &Result<u8>) -> Result<()> {
        let (state, rest) = match outcome {
            Ok(code) => ("done", json!({ "result": self.result.take(), "exit_code": code })),
            Err(error) => ("failed", failure(error)),
        };
        self.write(state, rest, true).at("cannot write the status file", &self.path)
    }

    fn write(&self, state: &str, rest: Value, sync: bool) -> std::io::Result<()> {
        let mut value = json!({ "state": state, "pid": std::process::id(), "started": self.started });
        if let (Some(all), Value::Object(rest)) = (value.as_object_mut(), rest) {
            all.extend(rest);
        }
        let mut file: File =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.part)?;
        file.write_all(value.to_string().as_bytes())?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(&self.part, &self.path)
    }
}

/// Refuses to put a status in the place of anything else: what is there must be an earlier one, or empty.
fn check_replaceable(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(Error::io("cannot look at the status file", path, cause)),
    };
    let is_ours = || -> Result<bool> {
        if !found.is_file() || found.len() == 0 {
            return Ok(found.is_file());
        }
        let text = fs::read(path).at("cannot look at the status file", path)?;
        let said: Value = serde_json::from_slice(&text).unwrap_or_default();
        Ok(said["state"].is_string() && said["pid"].is_u64() && said["started"].is_u64())
    };
    match is_ours()? {
        true => Ok(()),
        false => Err(Error::of_path(Code::Usage, path, "is no status file of bam's, and is not replaced")
            .hint("name a file that is not there yet, or that an earlier run has written")),
    }
}

/// A failure as scripts see it.
pub fn failure(error: &Error) -> Value {
    json!({ "error": error, "exit_code": error.code().exit_code() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn read(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
    }

    #[test]
    fn a_run_is_told_from_its_beginning_to_its_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("status");
        let status = StatusFile::begin(path.clone()).expect("written");
        let (begun, mode) = (read(&path), fs::metadata(&path).expect("there").permissions().mode());
        assert_eq!((begun["state"].as_str(), mode & 0o777), (Some("running"), 0o600));
        assert_eq!(begun["pid"], std::process::id());

        status.result(&json!({ "id": 7 }));
        status.end(&Ok(3)).expect("written");
        let done = read(&path);
        assert_eq!(
            (&done["state"], &done["result"]["id"], &done["exit_code"]),
            (&json!("done"), &json!(7), &json!(3))
        );

        status.end(&Err(Error::new(Code::Locked, "held").hint("wait"))).expect("written");
        let failed = read(&path);
        assert_eq!((&failed["state"], &failed["exit_code"]), (&json!("failed"), &json!(5)));
        assert_eq!(failed["error"], json!({ "code": "locked", "message": "held", "hint": "wait" }));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn only_a_status_is_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("bam.yml");
        for other in ["site: {}\n", "{\"site\": {}}", "[1]"] {
            fs::write(&path, other).expect("written");
            let error = StatusFile::begin(path.clone()).expect_err("refused");
            assert_eq!((error.code(), error.next_step().is_some()), (Code::Usage, true), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("read"), other);
        }
        fs::write(&path, "").expect("written");
        for _ in 0..2 {
            StatusFile::begin(path.clone())
                .expect("an empty one, or an earlier one")
                .end(&Ok(0))
                .expect("written");
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert_eq!(StatusFile::begin(link).expect_err("refused").code(), Code::Usage);
    }

    #[test]
    fn a_run_that_cannot_be_watched_does_not_start() {
        let error = StatusFile::begin("/nowhere/at/all".into()).expect_err("no folder");
        assert!(error.message().contains("/nowhere/at/all"), "{error}");
    }
}
