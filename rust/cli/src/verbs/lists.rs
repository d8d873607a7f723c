//! What the configuration holds: `sources`, `destinations`, `profiles`, `schedules` and `config export`.

use crate::args::Format;
use crate::print::{Align, Output, date, table, text};
use bam::catalog::next_run;
use bam::config::{Document, duration};
use bam::{Code, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

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
            let place = match text(item, "type") {
                "directory" => text(item, "path"),
                "restic" => text(item, "repository"),
                _ => text(item, "url"),
            };
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
    schedules_with(document, json!({}), output)
}

/// The same with what else is to stand in the JSON.
pub fn schedules_with(document: &Document, besides: Value, output: &Output) -> Result<u8> {
    let now = Timestamp::now().as_second();
    let mut section = section(document, "schedules")?;
    let lost = bam::job::schedule::lost_runs(document);
    lost.iter().for_each(|lost| output.warn(lost));
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
    let told = list_with(&section, "schedules", besides, heading, output, |id, item| {
        let enabled = if item["enabled"].as_bool() == Some(true) { "yes" } else { "no" };
        let when = match item["cron"].as_str() {
            Some(cron) => cron.to_owned(),
            None => item["every"].as_u64().map_or("-".into(), duration::format),
        };
        let destinations: Vec<&str> =
            item["destinations"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let keep = document.schedules.get(id).map(|schedule| schedule.keep.to_string()).unwrap_or_default();
        let last = item["last_run"].as_i64().map_or("-".into(), date);
        let next = match item["next_run"].as_i64() {
            Some(time) if time <= now => "due".into(),
            None if item["problem"].is_string() => "never".into(),
            time => time.map_or("-".into(), date),
        };
        let (source, profile) = (text(item, "source"), text(item, "profile"));
        [id, enabled, &when, source, &destinations.join(","), profile, &keep, &last, &next].map(str::to_owned)
    })?;
    Ok(if lost.is_some() { Code::Partial.exit_code() } else { told })
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
    list_with(section, name, json!({}), heading, output, row)
}

/// The same with what else is to stand in the JSON.
fn list_with<const N: usize>(
    section: &Value,
    name: &str,
    besides: Value,
    heading: [&str; N],
    output: &Output,
    row: impl Fn(&str, &Value) -> [String; N],
) -> Result<u8> {
    let mut value = besides;
    value[name] = section.clone();
    output.asked(&value, || {
        let rows: Vec<_> =
            section.as_object().into_iter().flatten().map(|(id, item)| row(id, item)).collect();
        if rows.is_empty() {
            return format!("The configuration has no {name}.\n");
        }
        table(heading.map(|column| (column, Align::Left)), &rows)
    });
    Ok(0)
}
