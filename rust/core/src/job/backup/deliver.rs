//! One stream of bytes to every destination at once, in one pass, hashed on the way.
//!
//! Each folder gets a writer thread; remote places follow the folders' files (or, where there is none, a temporary file
//! without a name) at their own pace. A destination that fails drops out; the others go on: when it was the last folder,
//! what it lacks goes into a temporary file for the remote ones.

use super::writers::{Followed, Message, Pushed, Sink, Writer, Written, bug, hasher, join};
use crate::destination::{Destination, Existing, Follow, Spool, Upload};
use crate::job::places::Outcome;
use crate::sync::{Condvar, Mutex};
use crate::{Code, Error, Fact, Monitor, Result, threads};
use crossbeam_channel::Sender;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that are handed to the destinations in one piece.
const CHUNK: usize = 1024 * 1024;
/// How long the backup waits for servers to say whether its name is free there. Who takes longer is heard at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The text of the sidecar, which remote uploads wait for at their end.
#[derive(Default)]
struct Sidecar {
    text: Mutex<Option<Option<String>>>,
    known: Condvar,
}

impl Sidecar {
    fn set(&self, text: Option<String>) {
        let mut slot = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(text);
        }
        self.known.notify_all();
    }

    fn wait(&self) -> Result<String> {
        let mut slot = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match slot.as_ref() {
                Some(Some(text)) => return Ok(text.clone()),
                Some(None) => {
                    return Err(Error::new(Code::Cancelled, "stopped, because the backup itself failed"));
                }
                None => slot = self.known.wait(slot).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A backup on its way. Write all of it, [`Delivery::finish`], then [`Finished::commit`]. Dropped before that, it
/// leaves nothing behind.
pub struct Delivery {
    chunk: Vec<u8>,
    hash: Option<(Sender<Message>, JoinHandle<Option<Written>>)>,
    writers: Vec<Writer>,
    followed: Option<Follow>,
    followers: Vec<(String, JoinHandle<Result<()>>)>,
    failed: Vec<Outcome>,
    sidecar: Arc<Sidecar>,
    monitor: Arc<Monitor>,
}

/// All bytes are at (or on their way to) the destinations; only the sidecar is missing.
pub struct Finished {
    /// What was written.
    pub written: Written,
    uploads: Vec<(String, Box<dyn Upload>)>,
    followers: Vec<(String, JoinHandle<Result<()>>)>,
    failed: Vec<Outcome>,
    sidecar: Arc<Sidecar>,
}

impl Delivery {
    /// Starts uploads of `name` to all `destinations`; `failed` are those that were lost before. `spool_dir` is
    /// where the temporary file goes when every destination is remote. Fails when no destination takes it, and when one
    /// would under another name ([`Error::is_of_a_name`]).
    pub fn start(
        name: &str,
        existing: Existing,
        destinations: &[Arc<dyn Destination>],
        failed: Vec<Outcome>,
        spool_dir: &Path,
        monitor: &Arc<Monitor>,
    ) -> Result<Delivery> {
        let mut delivery = Delivery {
            chunk: Vec::with_capacity(CHUNK),
            hash: Some(hasher()?),
            writers: Vec::new(),
            followed: None,
            followers: Vec::new(),
            failed,
            sidecar: Arc::default(),
            monitor: Arc::clone(monitor),
        };
        let (local, remote): (Vec<_>, Vec<_>) = destinations.iter().partition(|d| d.pushes());
        for destination in local {
            let spool_dir = (!remote.is_empty()).then_some(spool_dir);
            if let Err(error) = delivery.begin(name, existing, &**destination, spool_dir) {
                // With another name this place gets it, too.
                if existing == Existing::Keep && error.is_of_a_name() {
                    return Err(error.within(Fact::Destination, destination.id()));
                }
                delivery
                    .failed
                    .push(Outcome { destination: destination.id().to_owned(), result: Err(error) });
            }
        }
        if !remote.is_empty() {
            delivery.let_follow(name, existing, &remote, spool_dir)?;
        }
        if delivery.writers.is_empty() {
            return Err(delivery.nobody_left());
        }
        Ok(delivery)
    }

    /// Begins with a place that bytes are pushed to; with `spool_dir` its file is one that others follow.
    fn begin(
        &mut self,
        name: &str,
        existing: Existing,
        destination: &dyn Destination,
        spool_dir: Option<&Path>,
    ) -> Result<()> {
        let upload = destination.begin(name, existing)?;
        let followed = match spool_dir {
            None => None,
            Some(spool_dir) => {
                let growing = match &self.followed {
                    Some(followed) => followed.also_in(upload.reader()?),
                    None => {
                        let (growing, follow) = Follow::growing(upload.reader()?);
                        self.followed = Some(follow);
                        growing
                    }
                };
                Some(Followed { growing, spool_dir: spool_dir.to_owned() })
            }
        };
        self.push_to(Some(destination.id().to_owned()), Sink::Upload(upload, followed))
    }

    /// Starts the places that read a file while it grows: that of a folder, or else one without a name.
    fn let_follow(
        &mut self,
        name: &str,
        existing: Existing,
        remote: &[&Arc<dyn Destination>],
        spool_dir: &Path,
    ) -> Result<()> {
        let followed = match self.followed.take() {
            Some(followed) => followed,
            None => {
                let (spool, follow) = Spool::create(spool_dir)?;
                self.push_to(None, Sink::Spool(spool, None))?;
                follow
            }
        };
        let mut beginnings = Vec::new();
        for destination in remote {
            let follow = followed.another();
            beginnings.push(follow.beginning());
            self.follow_with(name, existing, destination, follow)?;
        }
        if existing == Existing::Keep {
            let is_over = |at: usize| self.followers.get(at).is_none_or(|(_, it)| it.is_finished());
            followed.wait_begun(&beginnings, PATIENCE, &is_over);
        }
        self.followed = Some(followed);
        if existing == Existing::Keep { self.refuse_taken_name() } else { Ok(()) }
    }

    /// With another name a place that refused this one gets the backup, too, and nothing was written yet.
    fn refuse_taken_name(&mut self) -> Result<()> {
        let mut at = 0;
        while let Some((_, thread)) = self.followers.get(at) {
            if !thread.is_finished() {
                at += 1;
                continue;
            }
            let (destination, thread) = self.followers.swap_remove(at);
            match join(thread) {
                Err(error) if error.is_of_a_name() => {
                    return Err(error.within(Fact::Destination, destination));
                }
                result => self.failed.push(Outcome { destination, result }),
            }
        }
        Ok(())
    }

    fn push_to(&mut self, destination: Option<String>, sink: Sink) -> Result<()> {
        self.writers.push(Writer::start(destination, sink)?);
        Ok(())
    }

    fn follow_with(
        &mut self,
        name: &str,
        existing: Existing,
        destination: &Arc<dyn Destination>,
        follow: Follow,
    ) -> Result<()> {
        let id = destination.id().to_owned();
        let (name, destination) = (name.to_owned(), Arc::clone(destination));
        let (sidecar, monitor) = (Arc::clone(&self.sidecar), Arc::clone(&self.monitor));
        let thread = threads::spawn("bam-upload", move || {
            destination.follow(&name, existing, &follow, &|| sidecar.wait(), &monitor)
        })?;
        self.followers.push((id, thread));
        Ok(())
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.monitor.check()?;
        let chunk = Arc::new(std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK)));
        self.monitor.add_out(chunk.len() as u64);
        if let Some((hash, _)) = &self.hash {
            let _ = hash.send(Message::Data(Arc::clone(&chunk)));
        }
        // A writer whose thread is gone has failed; its error is taken now, the others go on.
        let mut at = 0;
        while let Some(writer) = self.writers.get(at) {
            if writer.chunks.send(Message::Data(Arc::clone(&chunk))).is_ok() {
                at += 1;
            } else {
                let writer = self.writers.swap_remove(at);
                self.lose(writer);
            }
        }
        if self.writers.is_empty() {
            return Err(self.nobody_left().into());
        }
        Ok(())
    }

    fn lose(&mut self, writer: Writer) {
        drop(writer.chunks);
        let result = join(writer.thread).map(drop);
        // A spool that fails takes all remote uploads with it; each of them then tells so itself.
        let destination = writer.destination.unwrap_or_else(|| "temporary file".to_owned());
        self.failed.push(Outcome { destination, result });
    }

    /// The error for a backup that no destination takes: the first failure, naming its destination.
    fn nobody_left(&mut self) -> Error {
        let first = self.failed.iter().position(|outcome| outcome.result.is_err());
        match first.map(|at| self.failed.swap_remove(at)) {
            Some(Outcome { destination, result: Err(error) }) => error.within(Fact::Destination, destination),
            _ => Error::new(Code::Destination, "no destination takes the backup"),
        }
    }

    /// Waits until every folder (and the spool) has all bytes. Fails when none has.
    pub fn finish(mut self) -> Result<Finished> {
        if !self.chunk.is_empty() {
            self.hand_over()?;
        }
        let hashed = self.hash.take().and_then(|(hash, thread)| {
            let _ = hash.send(Message::End);
            drop(hash);
            thread.join().ok().flatten()
        });
        if let (Some(follow), Some(written)) = (&self.followed, &hashed) {
            follow.set_sha256(written.sha256);
        }
        let mut uploads = Vec::new();
        let mut spooled = false;
        for writer in std::mem::take(&mut self.writers) {
            if writer.chunks.send(Message::End).is_err() {
                self.lose(writer);
                continue;
            }
            drop(writer.chunks);
            let error = match (writer.destination.clone(), join(writer.thread)) {
                (Some(id), Ok(Pushed::Upload(upload))) => {
                    uploads.push((id, upload));
                    None
                }
                (_, Ok(Pushed::Upload(_))) => None,
                (_, Ok(Pushed::Spool(error))) => {
                    spooled = true;
                    error
                }
                (_, Err(error)) => Some(error),
            };
            if let Some(error) = error {
                let destination = writer.destination.unwrap_or_else(|| "temporary file".to_owned());
                self.failed.push(Outcome { destination, result: Err(error) });
            }
        }
        if uploads.is_empty() && !spooled {
            return Err(self.nobody_left());
        }
        let written = hashed.ok_or_else(|| Error::new(Code::Internal, "the hash of the backup was lost"))?;
        Ok(Finished {
            written,
            uploads,
            followers: std::mem::take(&mut self.followers),
            failed: std::mem::take(&mut self.failed),
            sidecar: Arc::clone(&self.sidecar),
        })
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.hash.is_some() {
            // Not finished: the followers must not wait for a sidecar that never comes.
            self.sidecar.set(None);
            self.hash = None;
            for writer in self.writers.drain(..) {
                drop(writer.chunks);
                let _ = writer.thread.join();
            }
            for (_, follower) in self.followers.drain(..) {
                let _ = follower.join();
            }
        }
    }
}

impl Write for Delivery {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let take = buf.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(buf.get(..take).unwrap_or(buf));
        if self.chunk.len() == CHUNK {
            self.hand_over()?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Finished {
    /// Lets the backup appear with its sidecar, everywhere at once, and waits for the remote uploads.
    pub fn commit(mut self, sidecar: &str) -> Vec<Outcome> {
        self.sidecar.set(Some(sidecar.to_owned()));
        let mut outcomes = std::mem::take(&mut self.failed);
        let uploads = std::mem::take(&mut self.uploads);
        let (names, uploads): (Vec<_>, Vec<_>) = uploads.into_iter().unzip();
        let results = threads::at_once("bam-commit", uploads, |upload| upload.commit(sidecar));
        outcomes.extend(names.into_iter().zip(results).map(|(destination, result)| Outcome {
            destination,
            result: result.unwrap_or_else(|_| Err(bug())),
        }));
        for (destination, thread) in std::mem::take(&mut self.followers) {
            outcomes.push(Outcome { destination, result: join(thread) });
        }
        outcomes
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        self.sidecar.set(None);
        for (_, follower) in self.followers.drain(..) {
            let _ = follower.join();
        }
    }
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;

#[cfg(all(test, feature = "shuttle"))]
#[path = "deliver_model.rs"]
mod model;
