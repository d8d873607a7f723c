//! Results that may be longer than memory: printed as they come, as lines for people or as one JSON document.

use crate::print::unwritten;
use bam::{Monitor, NoteKind, Result};
use serde_json::{Value, json};
use std::io::{self, BufWriter, ErrorKind, Write};

/// Standard output. A reader that goes away (`bam ls latest | head`) ends the work, and is no failure.
pub struct Out {
    to: BufWriter<io::StdoutLock<'static>>,
    reader_left: bool,
    /// Why it did not take something.
    unwritten: Option<String>,
}

impl Out {
    pub fn new() -> Out {
        Out { to: BufWriter::new(io::stdout().lock()), reader_left: false, unwritten: None }
    }

    pub fn print(&mut self, text: &[u8]) -> Result<()> {
        Ok(self.write_all(text)?)
    }

    /// What the work came to; nothing where the reader did not want to know.
    pub fn done<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result.and_then(|done| Ok(self.flush().map(|()| done)?)) {
            Err(_) if self.reader_left => Ok(None),
            Err(error) => Err(self.unwritten.take().map_or(error, unwritten)),
            result => result.map(Some),
        }
    }

    fn saw<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        match &outcome {
            Err(cause) if cause.kind() == ErrorKind::BrokenPipe => self.reader_left = true,
            Err(cause) if cause.kind() != ErrorKind::Interrupted => self.unwritten = Some(cause.to_string()),
            _ => {}
        }
        outcome
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.to.write(bytes);
        self.saw(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.to.flush();
        self.saw(outcome)
    }
}

/// A list on its way out: `{"KEY": [item, item], …}`, or a line each.
pub struct Items {
    pub out: Out,
    key: &'static str,
    json: bool,
    first: bool,
}

impl Items {
    pub fn new(key: &'static str, json: bool) -> Items {
        Items { out: Out::new(), key, json, first: true }
    }

    /// One item: as it is for scripts, else its line.
    pub fn print(&mut self, item: impl FnOnce() -> Value, line: impl FnOnce() -> String) -> Result<()> {
        if !self.json {
            return self.out.print(line().as_bytes());
        }
        self.separate()?;
        self.out.print(item().to_string().as_bytes())
    }

    fn separate(&mut self) -> Result<()> {
        let between = if self.first { format!("{{\"{}\": [\n", self.key) } else { ",\n".to_owned() };
        self.first = false;
        self.out.print(between.as_bytes())
    }

    /// The end: what else stands in the document, or what people read below the list.
    pub fn end(mut self, rest: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            let open = if self.first { format!("{{\"{}\": [", self.key) } else { String::new() };
            let rest = rest().to_string();
            self.out.print(format!("{open}\n], {}\n", rest.trim_start_matches('{')).as_bytes())?;
        } else {
            self.out.print(text().as_bytes())?;
        }
        self.out.done(Ok(())).map(drop)
    }
}

/// What the work had to say; of one that failed only what may explain it.
pub fn notes(monitor: &Monitor, good: bool) -> Value {
    let mut notes = monitor.notes();
    notes.retain(|note| good || note.kind != NoteKind::Info);
    json!(notes)
}

/// 3 where something is missing.
pub fn exit_code(monitor: &Monitor) -> u8 {
    let partial = monitor.notes().iter().any(|note| note.kind == NoteKind::Missing);
    if partial { bam::Code::Partial.exit_code() } else { 0 }
}
