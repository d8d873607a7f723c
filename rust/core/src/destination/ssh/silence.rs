//! Servers that did not answer: remembered in a file, so that whoever only looks does not wait for them each time.

use crate::Error;
use crate::regular::{self, Irregular};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a server is waited for that was silent lately.
pub(crate) const HURRIED: Duration = Duration::from_secs(2);
/// So long after a full wait the next ones are short. Then it is waited for in full again: it may just be slow.
const LATELY: Duration = Duration::from_secs(600);

/// What is remembered of one server; nothing until it is told where.
#[derive(Debug, Default)]
pub(crate) struct Silence(Mutex<Option<PathBuf>>);

impl Silence {
    /// The file is there while the server is silent; it holds the Unix time since when, and is as old as the last full
    /// wait.
    pub fn remember_in(&self, file: PathBuf) {
        *self.file() = Some(file);
    }

    fn file(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waited for it in vain, just now.
    pub fn is_fresh(&self) -> bool {
        let changed = self.file().as_ref().and_then(|file| fs::metadata(file).ok()?.modified().ok());
        changed.is_some_and(|changed| changed.elapsed().is_ok_and(|age| age < LATELY))
    }

    /// It answered.
    pub fn is_over(&self) {
        if let Some(file) = &*self.file() {
            let _ = fs::remove_file(file);
        }
    }

    /// It did not answer, with `error`: tells since when, and after a full wait remembers that. What cannot be written is
    /// found out again.
    pub fn goes_on(&self, error: Error, hurried: bool) -> Error {
        let file = self.file();
        let Some(file) = &*file else { return error };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let known = regular::read_to_string(file);
        let in_the_way = known.as_ref().is_err_and(Irregular::is);
        let since = known.ok().and_then(|text| text.trim().parse::<u64>().ok());
        if !hurried && !in_the_way {
            let _ = fs::write(file, since.unwrap_or(now).to_string());
        }
        match since.map(|since| now.saturating_sub(since) / 60) {
            Some(minutes) if minutes > 0 => error.context(format!("not reached for {minutes} minutes")),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn silence_is_remembered_with_its_age_until_there_is_an_answer() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("silent");
        let silence = Silence::default();
        let dead = || Error::new(Code::Destination, "no answer");
        assert_eq!(silence.goes_on(dead(), false).message(), "no answer", "told to remember nothing");
        silence.remember_in(file.clone());
        assert!(!silence.is_fresh());
        assert_eq!(silence.goes_on(dead(), false).message(), "no answer");
        assert!(silence.is_fresh());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("now").as_secs() - 3 * 60;
        fs::write(&file, since.to_string()).expect("written");
        assert_eq!(silence.goes_on(dead(), true).message(), "not reached for 3 minutes: no answer");
        let old = fs::File::options().write(true).open(&file).expect("there");
        old.set_modified(SystemTime::now() - LATELY).expect("aged");
        assert!(!silence.is_fresh(), "waited for in full again");
        silence.goes_on(dead(), false);
        assert!(silence.is_fresh());
        assert_eq!(fs::read_to_string(&file).expect("there"), since.to_string(), "since when, it knows");
        silence.is_over();
        assert!(!file.exists() && !silence.is_fresh());
    }
}
