//! Sending to a bucket: parts of one size, several on their way, put together at the end.

use super::leases::is_of;
use super::place::{Place, RUN};
use crate::destination::lease::{self, Held};
use crate::destination::names::{self, SIDECAR_MAX};
use crate::destination::ssh::retry::{Backoff, Trouble};
use crate::destination::{Existing, Follow, taken};
use crate::{Code, Error, Monitor, NoteKind, Result};
use opendal::{Buffer, ErrorKind, Metadata, Writer};
use std::time::{Duration, Instant};

/// S3 takes no smaller part but the last.
const SMALLEST: u64 = 5 << 20;
/// Parts of one object that S3 takes.
const PARTS: u64 = 10_000;
/// So many are planned for, since an archive may become larger than expected.
const PLANNED: u64 = 8_000;
/// Bytes in memory: those on their way, one part that waits for its turn, and one that is being read.
const IN_MEMORY: u64 = 20 << 20;
/// How often it is said that we are still at it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(600);
/// How long the server may take for a part, with all tries of one call.
const PART: Duration = Duration::from_secs(3600);

/// One upload.
pub(super) struct Uploading<'a> {
    pub place: &'a Place,
    pub held: &'a Held,
    pub name: &'a str,
    pub existing: Existing,
    pub file: &'a Follow,
    pub sidecar: &'a dyn Fn() -> Result<String>,
    pub monitor: &'a Monitor,
}

/// Bytes of a part, and how many are on their way at once, for so many in all (0: not known).
fn plan(expected: u64) -> (u64, usize) {
    let size = expected.div_ceil(PLANNED).next_multiple_of(1 << 20).max(SMALLEST);
    let at_once = (IN_MEMORY / size).saturating_sub(2).clamp(1, 4);
    (size, usize::try_from(at_once).unwrap_or(1))
}

impl Uploading<'_> {
    /// Sends it all and lets it appear.
    pub fn by_parts(&self, append_only: bool) -> Result<()> {
        let place = self.place;
        // By then it is better known what is to be expected.
        self.file.wait(SMALLEST, Duration::from_secs(60), self.monitor)?;
        let expected = self.file.finished_size().unwrap_or_else(|| self.monitor.snapshot().bytes_total);
        let (size, at_once) = plan(expected);
        let mut writer = place.wait("cannot write", place.patience.request(), async {
            place
                .op
                .writer_with(self.name)
                .concurrent(at_once)
                .if_not_exists(self.existing == Existing::Keep)
                .user_metadata([(RUN.to_owned(), self.held.run().to_owned())])
                .await
        })?;
        let mut put = None;
        let sent = self
            .send(&mut writer, size, append_only)
            .and_then(|all| self.finish(&mut writer, all, append_only, &mut put));
        if sent.is_err() {
            // Also in a cancelled job, but not for long: the next run does it, too.
            place.attend(crate::Cancel::default());
            let _ = place.wait("cannot abort", place.patience.looking().request(), writer.abort());
            if let Some(file) = put {
                let _ = place.delete(&file);
            }
        }
        sent
    }

    /// Sends parts as they grow. Returns the size of all.
    fn send(&self, writer: &mut Writer, size: u64, append_only: bool) -> Result<u64> {
        let (mut offset, mut parts, mut signed) = (0, 0, Instant::now());
        loop {
            let available = self.file.wait(offset + size - 1, Duration::from_secs(1), self.monitor)?;
            if !append_only && signed.elapsed() > SIGN_OF_LIFE {
                signed = Instant::now();
                self.place.write(&names::lease(self.name), &self.held.text(), false)?;
            }
            let length = available.bytes.saturating_sub(offset).min(size);
            if length < size && !available.finished {
                continue;
            }
            if length == 0 {
                return Ok(offset);
            }
            parts += 1;
            if parts > PARTS {
                return Err(Error::new(
                    Code::Destination,
                    format!(
                        "{}: {} is larger than {PARTS} parts of {size} bytes",
                        self.place.describe(),
                        self.name
                    ),
                )
                .hint("run it again: how much there is to send is known now"));
            }
            let mut part = vec![0; usize::try_from(length).unwrap_or_default()];
            self.file.read_exact_at(&mut part, offset)?;
            let part = Buffer::from(part);
            self.again(|| self.place.wait("cannot write", PART, writer.write(part.clone())))?;
            offset += length;
            self.file.done(offset);
        }
    }

    /// Sidecar, then data.
    fn finish(
        &self,
        writer: &mut Writer,
        size: u64,
        append_only: bool,
        put: &mut Option<String>,
    ) -> Result<()> {
        let text = (self.sidecar)()?;
        let file = match self.existing {
            Existing::Keep => names::sidecar(self.name),
            // The old data keeps its own until the new is there.
            Existing::Replace => names::sidecar_part(self.name),
        };
        if !self.place.write(&file, &text, self.existing == Existing::Keep)? {
            let there = self.place.read_text(&file, SIDECAR_MAX)?;
            // One of ours whose data never came.
            let ours = there.as_deref().is_some_and(|there| append_only || names::is_our_text(there));
            if !ours && there.as_deref() != Some(&text) {
                return Err(lease::in_the_way(&file, &self.place.describe()));
            }
            self.place.write(&file, &text, false)?;
        }
        *put = Some(file);
        let closed = self.again(|| self.close(writer));
        // An answer that was lost, or a second one to the same request, tells nothing: what is there does.
        let mut there = None;
        if !matches!(&closed, Err(error) if error.code() == Code::Cancelled) {
            there = self.place.stat(self.name)?.filter(|data| is_of(data, self.held.run()));
        }
        match (closed, there) {
            (closed, Some(there)) => {
                *put = None;
                drop(closed);
                self.compare(&there, size)
            }
            (Err(error), None) => Err(error),
            (Ok(()), None) => Err(Error::new(
                Code::Integrity,
                format!("{}: what was sent is not there", self.place.describe()),
            )
            .hint("look at the server: another run may have overwritten it")),
        }
    }

    fn close(&self, writer: &mut Writer) -> Result<(), Trouble> {
        let place = self.place;
        let closed = place.wait("cannot write", PART, async {
            match writer.close().await {
                Ok(_) => Ok(true),
                Err(cause) if cause.kind() == ErrorKind::ConditionNotMatch => Ok(false),
                Err(cause) => Err(cause),
            }
        })?;
        match closed {
            true => Ok(()),
            false => Err(taken(self.name, &place.describe()).into()),
        }
    }

    /// What the server says it has.
    fn compare(&self, there: &Metadata, size: u64) -> Result<()> {
        if there.content_length() == size {
            return Ok(());
        }
        let text = format!(
            "{}: the server has {} bytes of {size} sent",
            self.place.describe(),
            there.content_length()
        );
        let _ = self.place.delete(self.name);
        Err(Error::new(Code::Integrity, text).hint("look at the server's disk"))
    }

    /// Tries until there is no more hope.
    pub fn again<T>(&self, mut once: impl FnMut() -> Result<T, Trouble>) -> Result<T> {
        let mut backoff = Backoff::new(self.place.patience);
        loop {
            match once() {
                Ok(done) => return Ok(done),
                Err(trouble) if trouble.broken => {
                    let text = format!("{}; trying again", trouble.error.message());
                    self.monitor.note(NoteKind::Info, text);
                    backoff.wait(trouble.error, &self.monitor.flag())?;
                }
                Err(trouble) => return Err(trouble.error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_suffice_and_stay_within_the_memory() {
        for expected in [0, 1, 5 << 20, 40 << 30, 50 << 30, 300 << 30, 5 << 40] {
            let (size, at_once) = plan(expected);
            assert!(size >= SMALLEST && size.saturating_mul(PARTS) >= expected, "{expected}: {size}");
            assert!(at_once == 1 || size * (at_once as u64 + 2) <= IN_MEMORY, "{expected}");
        }
        assert_eq!(plan(1 << 30), (5 << 20, 2));
    }
}
