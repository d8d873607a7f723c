//! Snapshots copied from one repository into another by `restic copy`, which reads from the one what the other lacks.

use super::Repository;
use super::listing::Seen;
use super::lock::{unlock, with_lock};
use super::pipes;
use super::program::Call;
use crate::{Code, Monitor, Result};

impl Repository {
    pub(super) fn copy_of(&self, from: &Repository, snapshots: &[String], monitor: &Monitor) -> Result<()> {
        if snapshots.is_empty() {
            return Ok(());
        }
        // Afterwards nobody could tell whose key did not fit.
        for one in [self, from] {
            if one.access.keys.len() > 1 {
                one.call(["cat", "config", "--no-lock", "--quiet"], one.access.silence())?;
            }
        }
        let mut call = Call::new(["copy", "--quiet"], &monitor.flag());
        call.args.extend(snapshots.iter().map(Into::into));
        call.from = Some(from.access.clone());
        let copy = || -> Result<()> {
            let ended = pipes::lines(&self.access, &call, None, &mut |_| Ok(()))?;
            if ended.status.success() {
                return Ok(());
            }
            let said = from.access.without_secrets(&ended.said);
            let mut error = self.access.explain(ended.status, &said);
            if error.code() == Code::Integrity {
                error = self.access.one_is_damaged(&said);
            }
            if error.code() == Code::Locked {
                // It may be either's; this one's is looked at by who waits.
                unlock(&from.access, &call.cancel)?;
            }
            Err(error.context(format!("copying from {}", from.access.shown)))
        };
        *self.seen() = Seen::default();
        with_lock(&self.access, &monitor.flag(), copy)
    }
}
