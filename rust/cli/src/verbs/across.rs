//! The verbs about several backups, `diff`, `find`, `stats`, and `mount`.

use crate::args::{Diff, Find, Global, Mount, Stats};
use crate::names;
use crate::place::document;
use crate::print::{Align::Left, Align::Right, Output, date, size, table, text};
use crate::result::{exit_code as code_of, list, number};
use crate::signals::Hold;
use crate::stream::{Items, exit_code, notes};
use crate::work::{Drawn, run};
use bam::config::{Document, duration, show_table};
use bam::job::Request;
use bam::job::Restore;
use bam::job::across::diff::{self, Change, Compared, Fate, Totals};
use bam::job::across::find::{self, Found, Search, Searched};
use bam::{Code, Error, Monitor, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};
use std::sync::Arc;

pub fn diff(global: &Global, args: Diff, output: &Output) -> Result<u8> {
    let document = document(global, &args.place, false)?;
    let ask = |id: String| Restore {
        id: Some(id),
        site: args.of.site.clone(),
        source: args.source.clone(),
        destination: args.destination.clone(),
        unauthenticated: args.unauthenticated,
        ..Restore::default()
    };
    let (from, to) = (ask(args.first), ask(args.second));
    let mut listed = Listed::begin("changes", global, output)?;
    let monitor = Arc::clone(&listed.monitor);
    let mut each = |change: Change| listed.print(|| json!(change), || changed(&change));
    let compared = diff::diff(&document, &from, &to, &mut each, &monitor);
    listed.end(compared, |compared| (json!(compared), summary(compared)))
}

/// A list that is printed while it is found; up to its first item, how far the work is gets drawn.
struct Listed<'o> {
    items: Items,
    drawn: Drawn,
    monitor: Arc<Monitor>,
    output: &'o Output,
    _hold: Hold,
}

impl<'o> Listed<'o> {
    fn begin(key: &'static str, global: &Global, output: &'o Output) -> Result<Listed<'o>> {
        let monitor = Arc::new(Monitor::new());
        let hold = Hold::begin()?;
        hold.cancels(Arc::clone(&monitor));
        let drawn = Drawn::begin(&monitor, output);
        Ok(Listed { items: Items::new(key, global.json), drawn, monitor, output, _hold: hold })
    }

    fn print(&mut self, item: impl FnOnce() -> Value, line: impl FnOnce() -> String) -> Result<()> {
        self.drawn.stop();
        self.items.print(item, line)
    }

    /// Ends it with what `told` makes of the work: what else scripts get, and what people read below the list.
    fn end<T>(mut self, done: Result<T>, told: impl FnOnce(&T) -> (Value, String)) -> Result<u8> {
        self.drawn.stop();
        let notes = notes(&self.monitor, done.is_ok());
        self.output.notes(&notes);
        let code = exit_code(&self.monitor);
        if let Some(done) = self.items.out.done(done)? {
            let (mut rest, text) = told(&done);
            rest["notes"] = notes;
            rest["exit_code"] = code.into();
            self.items.end(|| rest, || text)?;
        }
        Ok(code)
    }
}

/// One difference as a line.
fn changed(change: &Change) -> String {
    let (fate, name, what, details) = match change {
        Change::Path { change, path, before, after, what, .. } => {
            let details = match (before, after) {
                (Some(before), Some(after)) if before != after => {
                    Some(format!("{}, was {}", size(*after), size(*before)))
                }
                (_, Some(bytes)) | (Some(bytes), None) => Some(size(*bytes)),
                (None, None) => None,
            };
            (*change, path.clone(), what, details)
        }
        Change::Table { change, table, before, after, what } => {
            let details = match (before, after) {
                (Some(before), Some(after)) if before != after => format!("{after} rows, were {before}"),
                (_, Some(rows)) | (Some(rows), None) => format!("{rows} rows"),
                (None, None) => String::new(),
            };
            (*change, format!("table {}", show_table(table)), what, Some(details))
        }
    };
    let weighty = what.iter().any(|word| !matches!(*word, "mode" | "owner"));
    let sign = match fate {
        Fate::Added => '+',
        Fate::Removed => '-',
        Fate::Changed if weighty => 'M',
        Fate::Changed => 'U',
    };
    // That the content of a file is another one its sign says.
    let words = what.iter().filter(|word| **word != "content").map(|word| (*word).to_owned());
    let told: Vec<String> = words.chain(details.filter(|told| !told.is_empty())).collect();
    let told = if told.is_empty() { String::new() } else { format!("  ({})", told.join(", ")) };
    format!("{sign}  {name}{told}\n")
}

/// What is said below the differences.
fn summary(compared: &Compared) -> String {
    let counted = |totals: &Totals| {
        format!(
            "{} added, {} removed, {} changed, {} the same",
            totals.added, totals.removed, totals.changed, totals.same
        )
    };
    let mut text = String::new();
    if let Some(totals) = &compared.files {
        text += &format!("Files: {}; {} are new.\n", counted(totals), size(totals.bytes));
    }
    if let Some(totals) = &compared.tables {
        text += &format!("Tables: {}.\n", counted(totals));
    }
    if compared.other_objects_differ == Some(true) {
        text += "Views, triggers, routines or the like differ.\n";
    }
    text
}

pub fn find(global: &Global, args: Find, output: &Output) -> Result<u8> {
    let document = document(global, &args.place, false)?;
    let destinations = names(args.destination)?;
    let search = Search {
        pattern: &args.pattern,
        ignore_case: args.ignore_case,
        source: args.source.as_deref(),
        destinations: &destinations,
        site: args.of.site.as_deref(),
        since: args.since.as_deref().map(moment).transpose()?,
        limit: args.limit.and_then(|limit| usize::try_from(limit).ok()),
        unauthenticated: args.unauthenticated,
    };
    let mut listed = Listed::begin("found", global, output)?;
    let monitor = Arc::clone(&listed.monitor);
    let mut last = None;
    let mut each = |found: Found| {
        let is_new = last.as_ref() != Some(&(found.path.clone(), found.source.clone()));
        last = Some((found.path.clone(), found.source.clone()));
        listed.print(|| json!(found), || state(&found, is_new))
    };
    let searched = find::find(&document, &search, &mut each, &monitor);
    listed.end(searched, |searched| {
        output.say(&read(searched));
        let mut rest = json!(searched);
        // The list has that name.
        if let Some(map) = rest.as_object_mut() {
            map.remove("found");
        }
        (rest, String::new())
    })
}

/// One state of a path as lines.
fn state(found: &Found, is_new: bool) -> String {
    let mut text = String::new();
    if is_new {
        let source = found.source.as_deref().map(|source| format!("  (of {source})")).unwrap_or_default();
        text += &format!("{}{source}\n", found.path);
    }
    let what = if found.kind == "file" { size(found.size) } else { found.kind.to_owned() };
    let day = |time: u64| date(i64::try_from(time).unwrap_or(i64::MAX));
    let newest = found.backups.iter().max().map(ToString::to_string).unwrap_or_default();
    let oldest = found.backups.iter().min().map(ToString::to_string).unwrap_or_default();
    let backups = match found.count {
        1 => format!("in one backup, {newest} of {}", day(found.until)),
        count => {
            format!(
                "in {count} backups, from {oldest} of {} to {newest} of {}",
                day(found.since),
                day(found.until)
            )
        }
    };
    text + &format!("  {what:>9}  of {}  {backups}\n", date(found.mtime))
}

/// How much had to be read for it.
fn read(searched: &Searched) -> String {
    let backups = |number: u64| if number == 1 { "1 backup".to_owned() } else { format!("{number} backups") };
    let mut text = format!("Read for this: {}, {}.", backups(searched.read), size(searched.bytes));
    if searched.without_paths > 0 {
        text += &format!(" {} of databases passed over.", backups(searched.without_paths));
    }
    text
}

/// A moment as people write it: so long ago, or a date, which begins here at midnight.
fn moment(text: &str) -> Result<u64> {
    let now = Timestamp::now().as_second();
    let ago = duration::parse(text).ok().and_then(|ago| i64::try_from(ago).ok());
    let date = || {
        let date: Date = text.parse().ok()?;
        Some(date.to_zoned(bam::catalog::date::local()).ok()?.timestamp().as_second())
    };
    let moment = ago.map(|ago| now.saturating_sub(ago)).or_else(date);
    moment.map(|moment| u64::try_from(moment).unwrap_or_default()).ok_or_else(|| {
        Error::new(Code::Usage, format!("\"{}\" is neither a date nor a time ago", text.escape_debug()))
            .hint("write 2026-11-01, or 30d, 12h, 2w")
    })
}

pub fn mount(document: Document, args: Mount, output: &Output) -> Result<u8> {
    let request = Request::Mount {
        id: args.id,
        folder: args.folder,
        destinations: names(args.destination)?,
        source: args.source,
        site: args.site,
    };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || format!("{} is not shown any more.\n", text(&result, "file")));
    Ok(code_of(&result))
}

pub fn stats(document: Document, args: Stats, output: &Output) -> Result<u8> {
    let request =
        Request::Stats { destinations: names(args.destination)?, source: args.source, site: args.of.site };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.asked(&result, || told(&result));
    Ok(code_of(&result))
}

/// The numbers for people.
fn told(result: &Value) -> String {
    if number(result, "backups") == 0 {
        return "There are no backups.\n".into();
    }
    let sum = format!(
        "{} backups, {}; {} copies of them, {}.\n",
        number(result, "backups"),
        size(number(result, "bytes")),
        number(result, "copies"),
        size(number(result, "stored")),
    );
    let map = |key: &str| result[key].as_object().into_iter().flatten();
    let rows: Vec<_> = map("destinations")
        .map(|(name, it)| [name.clone(), number(it, "backups").to_string(), size(number(it, "bytes"))])
        .collect();
    let destinations = table([("destination", Left), ("copies", Right), ("size", Right)], &rows);
    let mut grown = 0;
    let rows: Vec<_> = list(result, "months")
        .map(|it| {
            grown += number(it, "bytes");
            let bytes = size(number(it, "bytes"));
            [text_of(it, "month"), number(it, "backups").to_string(), bytes, size(grown)]
        })
        .collect();
    let heading = [("month", Left), ("backups", Right), ("size", Right), ("since the first", Right)];
    let months = table(heading, &rows);
    [sum, sources(map("sources")), destinations, months, largest(result)].join("\n")
}

/// A day of a result.
fn day(value: &Value, key: &str) -> String {
    value[key].as_i64().map_or("-".into(), date)
}

fn sources<'v>(sources: impl Iterator<Item = (&'v String, &'v Value)>) -> String {
    let rows: Vec<_> = sources
        .map(|(name, it)| {
            [
                name.clone(),
                number(it, "backups").to_string(),
                size(number(it, "bytes")),
                size(number(it, "stored")),
                day(it, "oldest"),
                size(number(it, "first_size")),
                day(it, "newest"),
                size(number(it, "last_size")),
            ]
        })
        .collect();
    let heading = [
        ("source", Left),
        ("backups", Right),
        ("size", Right),
        ("with copies", Right),
        ("oldest", Left),
        ("was", Right),
        ("newest", Left),
        ("is", Right),
    ];
    table(heading, &rows)
}

fn largest(result: &Value) -> String {
    let rows: Vec<_> = list(result, "largest")
        .map(|it| {
            [
                it["id"].to_string(),
                text_of(it, "source"),
                day(it, "time"),
                size(number(it, "size")),
                text_of(it, "file"),
            ]
        })
        .collect();
    let heading = [("largest", Left), ("source", Left), ("date", Left), ("size", Right), ("file", Left)];
    table(heading, &rows)
}

fn text_of(value: &Value, key: &str) -> String {
    text(value, key).to_owned()
}
