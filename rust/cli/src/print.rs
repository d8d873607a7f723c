//! What people and scripts see: aligned tables, sizes, dates, notes, errors.

use crate::args::Global;
use crate::status_file::{StatusFile, failure};
use bam::job::Answer;
use bam::{Code, Error, Progress, Result};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use unicode_width::UnicodeWidthStr;

/// Where things are printed. Results go to standard output, everything else to standard error. A reader that goes away
/// (`bam backups | head -1`) is no error: the verb's exit code stays.
#[derive(Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    status: Option<StatusFile>,
    /// What follows `bam` in commands that are told, so that they mean this site: ` --root /var/www`.
    place: String,
    /// Why standard output did not take something.
    unwritten: OnceLock<String>,
    /// Warnings that were given.
    warned: Mutex<BTreeSet<String>>,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        Output {
            json,
            quiet,
            status: None,
            place: String::new(),
            unwritten: OnceLock::new(),
            warned: Mutex::default(),
        }
    }

    /// Commands that are told get the same `--config` or `--root` that this one was given.
    pub fn for_site(&mut self, global: &Global) {
        let words = match (&global.config, &global.root, &global.uri) {
            (Some(config), _, _) => vec!["--config".into(), config.display().to_string()],
            (None, Some(root), None) => vec!["--root".into(), root.display().to_string()],
            (None, Some(root), Some(uri)) => {
                vec!["--root".into(), root.display().to_string(), "--uri".into(), uri.clone()]
            }
            (None, None, _) => Vec::new(),
        };
        self.place = words.iter().map(|word| format!(" {}", typed(word))).collect();
    }

    /// A text with the commands in it as they are to be typed here.
    fn typed(&self, text: &str) -> String {
        match self.place.as_str() {
            "" => text.to_owned(),
            place => {
                text.replace("`bam ", &format!("`bam{place} ")).replace(&format!("`bam{place} --"), "`bam --")
            }
        }
    }

    /// Besides, tells whoever reads the status file at `path`.
    pub fn watch(&mut self, path: PathBuf) -> Result<()> {
        self.status = Some(StatusFile::begin(path)?);
        Ok(())
    }

    /// Whether another program watches, by a status file.
    pub fn is_watched(&self) -> bool {
        self.status.is_some()
    }

    /// Whether results are for scripts.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether only what needs attention is printed.
    pub fn is_quiet(&self) -> bool {
        self.quiet && !self.json
    }

    /// How far a job is.
    pub fn progress(&self, progress: &Progress) {
        if let Some(status) = &self.status {
            status.progress(progress);
        }
    }

    /// How the verb ended.
    pub fn end(&self, outcome: &Result<u8>) {
        if let Some(Err(error)) = self.status.as_ref().map(|status| status.end(outcome)) {
            self.warn(error.message());
        }
    }

    /// Whether a progress bar may be drawn.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// Prints what became of a work: `value` for scripts, else `lines` for people unless told to be quiet.
    pub fn result(&self, value: &Value, lines: impl FnOnce() -> String) {
        self.print(value, !self.quiet, lines);
    }

    /// Prints what was asked for, also when told to be quiet: a list, a report.
    pub fn asked(&self, value: &Value, lines: impl FnOnce() -> String) {
        self.print(value, true, lines);
    }

    fn print(&self, value: &Value, for_people: bool, lines: impl FnOnce() -> String) {
        if let Some(status) = &self.status {
            status.result(value);
        }
        if self.json {
            self.text(format!("{value:#}\n").as_bytes());
        } else if for_people {
            self.text(self.typed(&lines()).as_bytes());
        }
    }

    /// The same of a result that may be very long: `lines` hands on one piece of its text after the other. `asked`: it is
    /// what was asked for.
    pub fn answer(&self, answer: &Answer, asked: bool, lines: impl FnOnce(&mut Put<'_>) -> io::Result<()>) {
        if let Some(status) = &self.status {
            match serde_json::to_value(answer) {
                Ok(value) => status.result(&value),
                Err(cause) => self.is_unwritten(&cause.into()),
            }
        }
        if self.json {
            self.write(|out| {
                serde_json::to_writer_pretty(&mut *out, answer)?;
                out.write_all(b"\n")
            });
        } else if asked || !self.quiet {
            self.write(|out| lines(&mut |text| out.write_all(self.typed(text).as_bytes())));
        }
    }

    /// Prints a result as JSON in lines: first the result, with the number of items in place of its list; then each item.
    /// Whoever reads it needs no more memory than one of them takes; so the status file has the first line alone.
    pub fn lines(&self, answer: &Answer) {
        let mut first = answer.value().clone();
        if let Some(list) = answer.list() {
            first[list.key()] = list.len().into();
        }
        if let Some(status) = &self.status {
            status.result(&first);
        }
        self.write(|out| {
            writeln!(out, "{first}")?;
            answer.list().map_or(Ok(()), |list| list.write_lines(out))
        });
    }

    /// Bytes as they are, to standard output.
    pub fn text(&self, bytes: &[u8]) {
        self.write(|out| out.write_all(bytes));
    }

    /// What is written to standard output.
    fn write(&self, what: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let mut out = BufWriter::new(std::io::stdout().lock());
        if let Err(cause) = what(&mut out).and_then(|()| out.flush()) {
            // What is left would be written once more.
            let _ = out.into_parts();
            self.is_unwritten(&cause);
        }
    }

    fn is_unwritten(&self, cause: &io::Error) {
        if cause.kind() != ErrorKind::BrokenPipe {
            let _ = self.unwritten.set(cause.to_string());
        }
    }

    /// Why what was printed did not get to where it went, a full disk say.
    pub fn unwritten(&self) -> Option<Error> {
        self.unwritten.get().map(unwritten)
    }

    /// One line of comment on standard error.
    pub fn say(&self, line: &str) {
        if !self.quiet && !self.json {
            let _ = writeln!(std::io::stderr(), "{}", self.typed(&plain(line)));
        }
    }

    /// One line on standard error that even cron shall see; once, whatever comes to say it.
    pub fn warn(&self, line: &str) {
        if !self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(line.to_owned()) {
            return;
        }
        let _ = writeln!(std::io::stderr(), "bam: warning: {}", self.typed(&plain(line)));
    }

    /// The notes of a result, `[{kind, text}]`.
    pub fn notes(&self, notes: &Value) {
        for note in notes.as_array().into_iter().flatten() {
            let text = text(note, "text");
            match note["kind"].as_str() {
                Some("info") => self.say(text),
                _ => self.warn(text),
            }
        }
    }

    /// A failure: what and why, then what to do.
    pub fn error(&self, error: &Error) {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "bam: {}", self.typed(error.message()));
        if let Some(hint) = error.next_step() {
            let _ = writeln!(err, "     {}", self.typed(hint));
        }
        if self.json {
            self.text(format!("{:#}\n", failure(error)).as_bytes());
        }
    }
}

/// A text of several lines without other control characters: what the program was given may be in it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

/// The failure to print.
pub fn unwritten(why: impl std::fmt::Display) -> Error {
    Error::new(Code::Io, format!("cannot write to standard output: {why}"))
}

/// A word as the shell takes it.
fn typed(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+=,~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The text under `key`, or nothing.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Which side of its column a cell clings to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A table with aligned columns and a heading in capitals. Control characters in cells become `?`: file names come
/// from outside and must not drive the terminal. On a terminal that is too narrow for its lines, each row becomes a
/// block of lines, one a cell, so that IDs and names can still be copied whole.
pub fn table<const N: usize>(heading: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let mut text = String::new();
    // A text takes what it gets.
    let _ = long_table(heading, || rows.iter().cloned(), &mut |line| {
        text.push_str(line);
        Ok(())
    });
    text
}

/// Where a long text goes, piece by piece.
pub type Put<'p> = dyn FnMut(&str) -> io::Result<()> + 'p;

/// The same of very many rows, none of which is held: they are asked for twice.
pub fn long_table<const N: usize, R: Iterator<Item = [String; N]>>(
    heading: [(&str, Align); N],
    rows: impl Fn() -> R,
    put: &mut Put<'_>,
) -> io::Result<()> {
    let width = terminal_size::terminal_size_of(std::io::stdout());
    lay_out(heading, rows, width.map(|(width, _)| usize::from(width.0)), put)
}

fn lay_out<const N: usize, R: Iterator<Item = [String; N]>>(
    heading: [(&str, Align); N],
    rows: impl Fn() -> R,
    available: Option<usize>,
    put: &mut Put<'_>,
) -> io::Result<()> {
    let clean = |cell: String| cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
    let names = heading.map(|(name, _)| name.to_uppercase());
    let rows = || rows().map(|row| row.map(clean));
    let mut widths = [0; N];
    for line in std::iter::once(names.clone()).chain(rows()) {
        for (width, cell) in widths.iter_mut().zip(&line) {
            *width = (*width).max(cell.width());
        }
    }
    if available.is_some_and(|available| widths.iter().sum::<usize>() + 2 * (N - 1) > available) {
        return blocks(&names, rows(), put);
    }
    for line in std::iter::once(names).chain(rows()) {
        let cells: Vec<String> = (line.iter().zip(widths).zip(heading))
            .map(|((cell, width), (_, align))| {
                // A row may say something else when it is asked for once more: its age.
                let gap = " ".repeat(width.saturating_sub(cell.width()));
                match align {
                    Align::Left => format!("{cell}{gap}"),
                    Align::Right => format!("{gap}{cell}"),
                }
            })
            .collect();
        put(cells.join("  ").trim_end())?;
        put("\n")?;
    }
    Ok(())
}

/// The rows below a heading as blocks of `HEADING  cell` lines. Empty cells are left out.
fn blocks<const N: usize>(
    heading: &[String; N],
    rows: impl Iterator<Item = [String; N]>,
    put: &mut Put<'_>,
) -> io::Result<()> {
    let widest = heading.iter().map(|name| name.width()).max().unwrap_or(0);
    for (number, row) in rows.enumerate() {
        if number > 0 {
            put("\n")?;
        }
        for (name, cell) in heading.iter().zip(&row).filter(|(_, cell)| !cell.is_empty()) {
            put(&format!("{name}{}  {cell}\n", " ".repeat(widest - name.width())))?;
        }
    }
    Ok(())
}

/// A size as people read it: `512 B`, `1.2 MB`. Powers of 1000.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        // 999.95 and more would print as 1000.0.
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// A Unix time as a local date, `2026-11-23 00:23`.
pub fn date(time: i64) -> String {
    match Timestamp::from_second(time) {
        Ok(stamp) => stamp.to_zoned(bam::catalog::date::local()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => time.to_string(),
    }
}

/// Asks a yes-or-no question on the terminal; anything but yes is no.
pub fn confirm(question: &str) -> Result<bool> {
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_do_not_reach_the_terminal() {
        let rows = [["a\u{1b}[2J".into(), "5".into()], ["longer name".into(), "123".into()]];
        let text = table([("name", Align::Left), ("n", Align::Right)], &rows);
        assert_eq!(text, "NAME           N\na?[2J          5\nlonger name  123\n");
    }

    fn laid_out<const N: usize>(
        heading: [(&str, Align); N],
        rows: &[[String; N]],
        available: Option<usize>,
    ) -> String {
        let mut text = String::new();
        let mut put = |line: &str| {
            text.push_str(line);
            Ok(())
        };
        lay_out(heading, || rows.iter().cloned(), available, &mut put).expect("taken");
        text
    }

    #[test]
    fn a_narrow_terminal_gets_blocks_that_can_be_copied_from() {
        let heading = [("id", Align::Left), ("", Align::Left), ("file", Align::Left)];
        let rows = [["1795388661", "", "a-long-name.tar.gz"], ["1795388662", "!", "b.tar.gz"]]
            .map(|row| row.map(str::to_owned));
        assert!(laid_out(heading, &rows, Some(34)).starts_with("ID "), "it fits");
        assert_eq!(
            laid_out(heading, &rows, Some(30)),
            "ID    1795388661\nFILE  a-long-name.tar.gz\n\nID    1795388662\n      !\nFILE  b.tar.gz\n"
        );
        let wide = [["文件".into(), "1".into()], ["ab".into(), "2".into()]];
        let text = laid_out([("name", Align::Left), ("n", Align::Left)], &wide, None);
        assert_eq!(text, "NAME  N\n文件  1\nab    2\n");
    }

    #[test]
    fn commands_that_are_told_mean_the_same_site() {
        let mut output = Output::new(false, false);
        output.place = format!(" --root {}", typed("/srv/it's"));
        assert_eq!(
            output.typed("run `bam backups`, then `bam --version`; bam is good"),
            "run `bam --root '/srv/it'\\''s' backups`, then `bam --version`; bam is good"
        );
    }

    #[test]
    fn sizes_never_show_four_digits() {
        let of = [0, 999, 1000, 999_949, 999_950, 1_500_000_000].map(size);
        assert_eq!(of, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.5 GB"]);
    }
}
