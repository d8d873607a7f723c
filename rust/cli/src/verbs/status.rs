//! `bam status`: how the backups stand against the policy, for people, for scripts and for Prometheus.

use crate::print::{Align::Left, Align::Right, Output, date, size, table, text};
use crate::result::{exit_code, list, or_dash};
use crate::work::run;
use bam::config::{Document, duration};
use bam::job::Request;
use bam::{Result, ResultExt, whole_file};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub fn status(
    document: Document,
    prometheus: Option<PathBuf>,
    site: Option<String>,
    output: &Output,
) -> Result<u8> {
    let result = run(document, Request::Status { site }, output)?;
    if let Some(path) = prometheus {
        write_metrics(&path, &metrics(&result))?;
    }
    output.notes(&result["notes"]);
    output.result(&result, || lines(&result));
    Ok(exit_code(&result))
}

fn lines(result: &Value) -> String {
    let rows: Vec<_> = list(result, "sources")
        .map(|source| {
            let hosts: Vec<&str> = list(source, "hosts").filter_map(Value::as_str).collect();
            [
                text(source, "source").to_owned(),
                if source["ok"] == true { "good" } else { "NOT GOOD" }.to_owned(),
                or_dash(&source["newest"]),
                source["age"].as_u64().map_or("-".into(), duration::rough),
                or_dash(&source["copies"]),
                source["verified"].as_i64().map_or("never".into(), date),
                hosts.join(","),
            ]
        })
        .collect();
    let mut lines = if rows.is_empty() {
        // What is watched are the sources of enabled schedules, else those that have backups.
        match result["schedules"].as_object().is_none_or(serde_json::Map::is_empty) {
            true => "There is no schedule, and no backup of a known source.\n".to_owned(),
            false => "No schedule is enabled, and there is no backup of a known source.\n".to_owned(),
        }
    } else {
        let heading = [
            ("source", Left),
            ("state", Left),
            ("newest", Left),
            ("age", Right),
            ("copies", Right),
            ("verified", Left),
            ("hosts", Left),
        ];
        table(heading, &rows)
    };
    for (name, schedule) in result["schedules"].as_object().into_iter().flatten() {
        let now = result["time"].as_i64().unwrap_or_default();
        let next = match schedule["next_run"].as_i64() {
            Some(time) if time <= now => "is due".to_owned(),
            Some(time) => format!("runs next at {}", date(time)),
            None => "runs only when asked".into(),
        };
        let _ = writeln!(lines, "Schedule {name} {next}.");
    }
    for (name, repository) in result["repositories"].as_object().into_iter().flatten() {
        lines += &told_of(name, repository);
    }
    // One that failed is among the notes.
    for (source, drill) in result["drills"].as_object().into_iter().flatten() {
        if drill["ok"] == true {
            let when = drill["time"].as_i64().map_or("-".into(), date);
            let (id, how) = (or_dash(&drill["id"]), wholeness(drill));
            let _ = writeln!(lines, "The last drill of {source}, at {when}, restored {id}{how}.");
        }
    }
    if !rows.is_empty() {
        lines += "Looked at: names, sizes, and sidecars with their MACs. `bam verify` reads the bytes.\n";
    }
    lines
}

/// What a drill that restored all that its backup holds says of that.
fn wholeness(drill: &Value) -> String {
    let lacks: Vec<&str> =
        drill["lacks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match (lacks.is_empty(), drill["incomplete"] == true) {
        (true, false) => " whole".into(),
        (true, true) => {
            ", but not whole: the backup lacks something that was not there or could not be read when it was made".into()
        }
        (false, _) => format!(", but not whole: {}", lacks.join("; ")),
    }
}

/// A repository in a line.
fn told_of(name: &str, repository: &Value) -> String {
    let bytes = |value: &Value| value.as_u64().map(size);
    let takes = match (bytes(&repository["size"]), repository["size_time"].as_i64()) {
        (Some(size), None) => size,
        (Some(size), Some(time)) => format!("{size} (at {})", date(time)),
        (None, _) => "of unknown size until `bam verify` looks".to_owned(),
    };
    let added = bytes(&repository["newest"]["added"])
        .map(|added| format!(", the newest added {added}"))
        .unwrap_or_default();
    let check = &repository["check"];
    let checked = match (check["time"].as_i64().map(date), check["ok"] == true, check["sample"].as_f64()) {
        (None, ..) => "never checked".to_owned(),
        (Some(when), true, None) => format!("checked at {when}: whole"),
        (Some(when), true, Some(percent)) => format!("checked at {when} with {percent} % of its data: whole"),
        (Some(when), false, _) => format!("checked at {when}: DAMAGED"),
    };
    format!("Repository {name}: {takes}, {} backups{added}; {checked}.\n", or_dash(&repository["backups"]))
}

/// Prometheus' text format (version 0.0.4). Ages are given as times, so that they stay true while nobody writes.
fn metrics(result: &Value) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Value) -> Option<u64>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for source in list(result, "sources") {
            if let Some(value) = value(source) {
                let label = crate::print::text(source, "source").replace('\\', "\\\\").replace('"', "\\\"");
                let _ = writeln!(text, "{name}{{source=\"{label}\"}} {value}");
            }
        }
    };
    gauge("bam_good", "1 where the policy is kept", &|s| Some(u64::from(s["ok"] == true)));
    gauge("bam_newest_backup_timestamp_seconds", "Unix time of the newest backup", &|s| s["newest"].as_u64());
    gauge("bam_copies", "Copies of the newest backup that count", &|s| s["copies"].as_u64());
    gauge("bam_verified_timestamp_seconds", "Unix time of the last verification", &|s| {
        s["verified"].as_u64()
    });
    let unreachable = list(result, "unreachable").count();
    let _ = writeln!(
        text,
        "# HELP bam_unreachable_destinations Destinations that did not answer\n\
         # TYPE bam_unreachable_destinations gauge\nbam_unreachable_destinations {unreachable}"
    );
    text
}

/// In one step: the node exporter may read at any moment, and as another user.
fn write_metrics(path: &Path, text: &str) -> Result<()> {
    whole_file::refuse_device(path)?;
    let part = path.with_extension("part");
    std::fs::write(&part, text).at("cannot write", &part)?;
    std::fs::rename(&part, path).at("cannot write", path)
}
