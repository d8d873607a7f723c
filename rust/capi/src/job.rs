//! Jobs: start, poll, cancel, finish, free.

use crate::boundary::{run, swallow};
use crate::failure::{Failure, bam_status};
use crate::pointer::{self, Out};
use bam::config::Document;
use bam::job::choose::{self, choose};
use bam::job::{Job, Request, Watch};
use bam::{Code, Error, Phase};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::ffi::c_char;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// A running job. Its result can be taken once.
pub struct bam_job {
    /// Held to take the job, never while waiting: whoever polls in a loop would starve whoever finishes.
    job: Mutex<Option<Job>>,
    watch: Watch,
}

/// Where a job is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum bam_phase {
    /// Reading settings, taking the lock, looking at the source.
    Preparing = 0,
    /// Bytes flow from the source to the destinations.
    BackingUp = 1,
    /// Waiting for destinations to finish, putting backups in place.
    Finishing = 2,
    /// Checking a backup before anything is changed.
    Verifying = 3,
    /// Bytes flow back.
    Restoring = 4,
    /// Nothing more happens.
    Done = 5,
}

/// A job's counters.
#[repr(C)]
pub struct bam_progress {
    /// Where the job is.
    pub phase: bam_phase,
    /// Whether bam_job_finish would return at once.
    pub finished: bool,
    /// Bytes read from the source so far (on a restore: from the backup).
    pub bytes_in: u64,
    /// Bytes written to the destinations so far, counted once.
    pub bytes_out: u64,
    /// What bytes_in is expected to reach; 0 while unknown.
    pub bytes_total: u64,
    /// Files, folders, links and tables handled so far.
    pub entries: u64,
    /// What is being worked on: a path or a table, cut to what fits.
    pub current: [c_char; 256],
}

/// What bam_job_start takes: a configuration document and what to do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start<'a> {
    #[serde(borrow)]
    config: &'a RawValue,
    request: Request,
}

/// The same, parsed. The document is read by its own reader, whose errors name the key and never a value.
fn parse(json: &str) -> Result<(Document, Request), Failure> {
    let start: Start = serde_json::from_str(json)
        .map_err(|cause| Error::new(Code::Usage, "cannot read the request").because(cause))?;
    Ok((Document::from_json(start.config.get())?, start.request))
}

/// Starts a job: `{"config": {the configuration document}, "request": {"job": "backup", "what": "db"}}`.
/// The shapes are in docs/json.md. The work runs on threads of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_job_start(request_json: *const c_char, job: *mut *mut bam_job) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (json, out) = unsafe { (pointer::text(request_json, "request_json")?, Out::new(job, "job")?) };
        let (document, request) = parse(json)?;
        out.set(hand_out(without_signals(|| Job::start(document, request))?));
        Ok(())
    })
}

/// A handle for C, which comes back through [`bam_job_free`].
pub(crate) fn hand_out(started: Job) -> *mut bam_job {
    let watch = started.watch();
    Box::into_raw(Box::new(bam_job { job: Mutex::new(Some(started)), watch }))
}

/// Tells what a request to back up, or to run a schedule, means before it is started: `{"source", "profile", "destinations", "schedule",
/// "site_offline", "site_offline_message"}`. Takes what bam_job_start takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_backup_choose(
    request_json: *const c_char,
    choice_json: *mut *mut c_char,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (json, out) =
            unsafe { (pointer::text(request_json, "request_json")?, Out::new(choice_json, "choice_json")?) };
        let (document, request) = parse(json)?;
        let choice = match &request {
            Request::Backup { what, destinations, profile, .. } => {
                choose(&document, what.as_deref(), destinations, profile.as_deref())?
            }
            Request::Run { schedule } => choose::schedule(&document, schedule)?,
            _ => return Err(Error::new(Code::Usage, "only a backup is chosen for").into()),
        };
        let settings = choose::profile(&document, &choice.profile)?;
        out.set_json(&json!({
            "source": choice.source,
            "profile": choice.profile,
            "destinations": choice.destinations,
            "schedule": choice.schedule,
            "site_offline": settings.site_offline,
            "site_offline_message": settings.site_offline_message,
        }))
    })
}

/// Waits until the job ends, at most `wait_ms` milliseconds, and tells its counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_job_poll(
    job: *const bam_job,
    wait_ms: u32,
    progress: *mut bam_progress,
) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (job, out) = unsafe { (pointer::reference(job, "job")?, Out::new(progress, "progress")?) };
        if lock(job)?.is_none() {
            return Err(taken());
        }
        let poll = job.watch.poll(Duration::from_millis(wait_ms.into()));
        out.set(bam_progress {
            phase: match poll.progress.phase {
                Phase::Preparing => bam_phase::Preparing,
                Phase::BackingUp => bam_phase::BackingUp,
                Phase::Finishing => bam_phase::Finishing,
                Phase::Verifying => bam_phase::Verifying,
                Phase::Restoring => bam_phase::Restoring,
                Phase::Done => bam_phase::Done,
            },
            finished: poll.finished,
            bytes_in: poll.progress.bytes_in,
            bytes_out: poll.progress.bytes_out,
            bytes_total: poll.progress.bytes_total,
            entries: poll.progress.entries,
            current: cut(&poll.progress.current),
        });
        Ok(())
    })
}

/// Asks the job to stop. bam_job_finish then fails with BAM_STATUS_CANCELLED, unless it was done already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_job_cancel(job: *const bam_job) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        unsafe { pointer::reference(job, "job") }?.watch.cancel();
        Ok(())
    })
}

/// What the job has had to say so far: `[{"kind": "info", "warning" or "missing", "text"}]`. Also after its end, and
/// after a failure, which has no result that would hold them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_job_notes(job: *const bam_job, notes_json: *mut *mut c_char) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (job, out) = unsafe { (pointer::reference(job, "job")?, Out::new(notes_json, "notes_json")?) };
        out.set_json(&job.watch.notes())
    })
}

/// Waits for the end of the job and gives its result as JSON, once. The job still has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_job_finish(job: *const bam_job, result_json: *mut *mut c_char) -> bam_status {
    run(|| {
        // SAFETY: the caller's promise, passed on.
        let (job, out) = unsafe { (pointer::reference(job, "job")?, Out::new(result_json, "result_json")?) };
        let running = lock(job)?.take().ok_or_else(taken)?;
        out.set_json(&running.finish()?)
    })
}

/// Frees a job. One that still runs is cancelled first and leaves nothing behind. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bam_job_free(job: *mut bam_job) {
    if !job.is_null() {
        // SAFETY: it came from `Box::into_raw` in `hand_out`, and the caller gives it back once.
        swallow(|| drop(unsafe { Box::from_raw(job) }));
    }
}

fn lock(job: &bam_job) -> Result<MutexGuard<'_, Option<Job>>, Failure> {
    job.job.lock().map_err(|_| Failure::Panic)
}

fn taken() -> Failure {
    Error::new(Code::Usage, "the result of this job was taken already").into()
}

/// As much of `text` as fits, whole characters and a NUL.
fn cut(text: &str) -> [c_char; 256] {
    let mut place = [0; 256];
    let end = text.floor_char_boundary(place.len() - 1);
    for (to, from) in place.iter_mut().zip(text.as_bytes().iter().take(end)) {
        *to = *from as c_char;
    }
    place
}

/// Starts threads that leave the signals which a host program handles to the host's own threads: PHP's handler, for
/// one, may only run on PHP's thread. A thread inherits the mask of the one that starts it.
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    const OURS_NOT: [libc::c_int; 6] =
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGALRM, libc::SIGUSR1, libc::SIGUSR2];
    // SAFETY: all-zero bytes are a valid `sigset_t`; both sets live on this stack during the calls; every number in
    // the list is a signal. Where the mask cannot be changed (it always can) the threads merely keep the host's.
    let before = unsafe {
        let (mut block, mut before): (libc::sigset_t, libc::sigset_t) =
            (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&raw mut block);
        for signal in OURS_NOT {
            libc::sigaddset(&raw mut block, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const block, &raw mut before);
        before
    };
    let started = start();
    // SAFETY: `before` is what the call above filled in.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    started
}
