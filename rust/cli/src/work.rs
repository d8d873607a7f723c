//! Runs a job of the engine in the foreground, with progress on a terminal.

use crate::print::{Output, size};
use crate::signals::Hold;
use bam::config::Document;
use bam::job::{Answer, Job, Request};
use bam::{Monitor, NoteKind, Phase, Progress, Result};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::Value;
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Runs `request` to its end and returns its result.
pub fn run(document: Document, request: Request, output: &Output) -> Result<Value> {
    answer(document, request, output)?.into_value()
}

/// The same of one whose result may be very long.
pub fn answer(document: Document, request: Request, output: &Output) -> Result<Answer> {
    let hold = Hold::begin()?;
    let job = Job::start(document, request)?;
    let monitor = job.monitor();
    hold.cancels(Arc::clone(&monitor));
    let bar = output.shows_progress().then(Bar::new);
    loop {
        let poll = job.poll(TICK);
        output.progress(&poll.progress);
        if poll.finished {
            break;
        }
        if let Some(bar) = &bar {
            bar.draw(&poll.progress, monitor.check().is_err());
        }
    }
    if let Some(bar) = bar {
        bar.0.finish_and_clear();
    }
    job.finish().inspect_err(|_| {
        // A result brings its notes along; a failure's would be lost.
        for note in monitor.notes().iter().filter(|note| note.kind != NoteKind::Info) {
            output.warn(&note.text);
        }
    })
}

/// Progress of work that is done on this very thread, drawn by another until it is dropped.
pub struct Drawn {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drawn {
    /// Begins to draw, where somebody sees it.
    pub fn begin(monitor: &Arc<Monitor>, output: &Output) -> Drawn {
        let over = Arc::new(AtomicBool::new(false));
        let (ended, monitor) = (Arc::clone(&over), Arc::clone(monitor));
        let draw = move || {
            let bar = Bar::new();
            while !ended.load(Ordering::Relaxed) {
                bar.draw(&monitor.snapshot(), monitor.check().is_err());
                std::thread::park_timeout(TICK);
            }
            bar.0.finish_and_clear();
        };
        // Whether a thread for it can be had is not worth a failure.
        let spawn = || std::thread::Builder::new().name("bam-progress".into()).spawn(draw).ok();
        Drawn { over, thread: output.shows_progress().then(spawn).flatten() }
    }

    /// Stops, so that something else can be printed.
    pub fn stop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Bar(ProgressBar::new(0))
    }

    fn draw(&self, progress: &Progress, cancelled: bool) {
        let known = progress.bytes_total > 0;
        let template = if known {
            "{prefix:<10} {bar:24} {percent:>3}%  {msg}  {speed}  {eta} left"
        } else {
            "{prefix:<10} {spinner} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            // In the units of everything else that bam says.
            self.0.set_style(style.with_key("speed", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}/s", size(state.per_sec() as u64));
            }));
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
