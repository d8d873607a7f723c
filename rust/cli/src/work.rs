//! Runs a job of the engine in the foreground: progress on a terminal, Ctrl-C and SIGTERM turned into a cancel.

use crate::print::{Output, size};
use bam::config::Document;
use bam::job::{Job, Request};
use bam::{Code, Error, NoteKind, Phase, Progress, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How often the bar is drawn and signals are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Set once one of the signals that end a program arrives. More of them change nothing: the engine is cleaning up.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|cause| Error::new(Code::Internal, "cannot watch for signals").because(cause))?;
    }
    Ok(stop)
}

/// Runs `request` to its end and returns its result.
pub fn run(document: Document, request: Request, output: &Output) -> Result<Value> {
    let stop = stop_flag()?;
    let mut job = Job::start(document, request)?;
    let bar = output.shows_progress().then(Bar::new);
    let mut cancelled = false;
    loop {
        let poll = job.poll(TICK);
        if let Some(bar) = &bar {
            bar.draw(&poll.progress, cancelled);
        }
        output.progress(&poll.progress);
        if poll.finished {
            break;
        }
        if stop.load(Relaxed) && !cancelled {
            cancelled = true;
            job.cancel();
        }
    }
    if let Some(bar) = bar {
        bar.0.finish_and_clear();
    }
    let monitor = job.monitor();
    job.finish().inspect_err(|_| {
        // A result brings its notes along; a failure's would be lost.
        for note in monitor.notes().iter().filter(|note| note.kind == NoteKind::Warning) {
            output.warn(&note.text);
        }
    })
}

struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Bar(ProgressBar::new(0))
    }

    fn draw(&self, progress: &Progress, cancelled: bool) {
        let known = progress.bytes_total > 0;
        let template = if known {
            "{prefix:<10} {bar:24} {percent:>3}%  {msg}  {binary_bytes_per_sec}  {eta} left"
        } else {
            "{prefix:<10} {spinner} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.set_prefix(if cancelled { "Cancelling" } else { name(progress.phase) });
        // A tree that grew since it was measured must not show more than 100 %.
        self.0.set_length(progress.bytes_total.max(progress.bytes_in));
        self.0.set_position(progress.bytes_in);
        self.0.set_message(match progress.phase {
            Phase::Preparing => String::new(),
            _ => format!("{} read, {} written", size(progress.bytes_in), size(progress.bytes_out)),
        });
        self.0.tick();
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Preparing => "Preparing",
        Phase::BackingUp => "Backing up",
        Phase::Finishing => "Finishing",
        Phase::Verifying => "Verifying",
        Phase::Restoring => "Restoring",
        Phase::Done => "Done",
    }
}

/// Whether bam may ask the user something.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
