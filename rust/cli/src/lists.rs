//! What the configuration holds: `sources`, `destinations`, `profiles`, `schedules`, `config check` and `config export`.

use crate::args::{Format, Global};
use crate::configuration;
use crate::print::{Align, Output, date, table, text};
use bam::catalog::next_run;
use bam::config::{Document, KEEP_ALL, KEEP_SMART, duration};
use bam::{Note, NoteKind, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Says what is wrong with the configuration: exit code 2 where it contradicts itself, else warnings at most.
pub fn check(global: &Global, output: &Output) -> Result<u8> {
    let (document, said) = configuration::load_with_notes(global)?;
    let mut notes = document.check();
    notes.extend(said.into_iter().map(|text| Note { kind: NoteKind::Warning, text }));
    let notes = json!(notes);
    output.notes(&notes);
    let code = match document.validate() {
        Ok(()) => 0,
        Err(error) => error.code().exit_code(),
    };
    let counts = [
        ("databases", document.databases.len()),
        ("sources", document.sources.len()),
        ("destinations", document.destinations.len()),
        ("profiles", document.profiles.len()),
        ("schedules", document.schedules.len()),
    ];
    let mut value = json!({ "notes": notes, "exit_code": code });
    for (name, count) in counts {
        value[name] = count.into();
    }
    output.result(&value, || {
        let found: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let verdict =
            if code == 0 { "The configuration is good" } else { "The configuration contradicts itself" };
        format!("{verdict}: {}.\n", found.join(", "))
    });
    Ok(code)
}

/// Prints the configuration, without passwords and keys unless asked.
pub fn export(document: &Document, format: Format, secrets: bool, output: &Output) -> Result<u8> {
    let text = match format {
        Format::Yaml => document.to_yaml(secrets)?,
        Format::Json => format!("{:#}\n", document.to_json(secrets)?),
    };
    output.text(text.as_bytes());
    Ok(0)
}

pub fn sources(document: &Document, output: &Output) -> Result<u8> {
    list(&section(document, "sources")?, "sources", ["id", "type", "what", "name"], output, |id, item| {
        let what = match text(item, "type") {
            "files" => text(item, "path"),
            _ => item["database"].as_str().unwrap_or("db"),
        };
        [id, text(item, "type"), what, text(item, "name")].map(str::to_owned)
    })
}

pub fn destinations(document: &Document, output: &Output) -> Result<u8> {
    list(
        &section(document, "destinations")?,
        "destinations",
        ["id", "type", "where", "name"],
        output,
        |id, item| {
            let place =
                if text(item, "type") == "directory" { text(item, "path") } else { text(item, "url") };
            [id, text(item, "type"), place, text(item, "name")].map(str::to_owned)
        },
    )
}

pub fn profiles(document: &Document, output: &Output) -> Result<u8> {
    let heading = ["id", "compression", "encryption", "sources", "name"];
    list(&section(document, "profiles")?, "profiles", heading, output, |id, item| {
        let sources: Vec<&str> = item["sources"]
            .as_object()
            .map(|map| map.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let sources = sources.join(",");
        [id, text(item, "compression"), text(item, "encryption"), &sources, text(item, "name")]
            .map(str::to_owned)
    })
}

/// Besides what the document says: `next_run` (Unix time; due when it is past; null: only when asked), or the `problem`
/// that hides it.
pub fn schedules(document: &Document, output: &Output) -> Result<u8> {
    let now = Timestamp::now().as_second();
    let mut section = section(document, "schedules")?;
    for (name, schedule) in &document.schedules {
        let schedule = &bam::job::schedule::with_last_run(document, name, schedule)?;
        section[name]["last_run"] = schedule.last_run.into();
        match next_run(schedule, &document.site, now) {
            Ok(next) => section[name]["next_run"] = next.into(),
            Err(error) => {
                output.warn(&format!("schedule {name}: {error}"));
                section[name]["problem"] = error.to_string().into();
            }
        }
    }
    let heading =
        ["id", "enabled", "every", "source", "destinations", "profile", "keep", "last run", "next run"];
    list(&section, "schedules", heading, output, |id, item| {
        let enabled = if item["enabled"].as_bool() == Some(true) { "yes" } else { "no" };
        let when = match item["cron"].as_str() {
            Some(cron) => cron.to_owned(),
            None => item["every"].as_u64().map_or("-".into(), duration::format),
        };
        let destinations: Vec<&str> =
            item["destinations"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let keep = match item["keep"].as_i64().unwrap_or(KEEP_ALL) {
            KEEP_ALL => "all".into(),
            KEEP_SMART => "smart".into(),
            n => n.to_string(),
        };
        let last = item["last_run"].as_i64().map_or("-".into(), date);
        let next = match item["next_run"].as_i64() {
            Some(time) if time <= now => "due".into(),
            time => time.map_or("-".into(), date),
        };
        let (source, profile) = (text(item, "source"), text(item, "profile"));
        [id, enabled, &when, source, &destinations.join(","), profile, &keep, &last, &next].map(str::to_owned)
    })
}

/// One section of the document, passwords left out.
fn section(document: &Document, name: &str) -> Result<Value> {
    Ok(document.to_json(false)?[name].take())
}

/// Prints a section: as a table, or as it is.
fn list<const N: usize>(
    section: &Value,
    name: &str,
    heading: [&str; N],
    output: &Output,
    row: impl Fn(&str, &Value) -> [String; N],
) -> Result<u8> {
    output.result(&json!({ name: section }), || {
        let rows: Vec<_> =
            section.as_object().into_iter().flatten().map(|(id, item)| row(id, item)).collect();
        if rows.is_empty() {
            return format!("The configuration has no {name}.\n");
        }
        table(heading.map(|column| (column, Align::Left)), &rows)
    });
    Ok(0)
}
