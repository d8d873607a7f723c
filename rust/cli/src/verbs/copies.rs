//! The verbs about copies: completing, deleting and exporting them, taking them in; and whom to send them to.

use super::backup::{exit_code, list};
use crate::args::{Rekey, Strong};
use crate::names;
use crate::print::{Align::Left, Output, table, text};
use crate::work::run;
use bam::Result;
use bam::config::{Document, EncryptionKind};
use bam::job::{self, Request, Way};
use serde_json::Value;

pub fn replicate(document: Document, site: Option<String>, output: &Output) -> Result<u8> {
    let result = run(document, Request::Replicate { site }, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let made = list(&result, "copies").filter(|copy| copy["ok"] == true);
        let lines: String = made
            .map(|copy| format!("{} is now at {}.\n", text(copy, "file"), text(copy, "destination")))
            .collect();
        if lines.is_empty() { "No copy was made.\n".into() } else { lines }
    });
    Ok(exit_code(&result))
}

pub fn rekey(document: Document, args: Rekey, output: &Output) -> Result<u8> {
    let request = Request::Rekey(job::Rekey {
        ids: args.ids,
        destinations: names(args.destination)?,
        to: args.to.map(|to| match to {
            Strong::Aes256 => EncryptionKind::Aes256,
            Strong::Age => EncryptionKind::Age,
        }),
        unauthenticated: args.unauthenticated,
        site: args.site,
    });
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let copies = |done| list(&result, "copies").filter(move |copy| copy["done"] == done);
        let mut lines: String = copies("rekeyed")
            .map(|copy| {
                format!("{} at {} is encrypted anew.\n", text(copy, "file"), text(copy, "destination"))
            })
            .collect();
        match copies("current").count() {
            0 if lines.is_empty() => lines += "Nothing was encrypted anew.\n",
            0 => {}
            1 => lines += "1 copy has the current key already.\n",
            many => lines += &format!("{many} copies have the current key already.\n"),
        }
        lines
    });
    Ok(exit_code(&result))
}

pub fn prune(document: Document, request: Request, dry_run: bool, output: &Output) -> Result<u8> {
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let rows: Vec<_> = list(&result, "decisions")
            .filter(|told| dry_run || told["keep"] == false)
            .map(|told| {
                let fate = match (told["keep"] == true, dry_run) {
                    (true, _) => "stays",
                    (false, true) => "would go",
                    (false, false) if told["error"].is_null() => "is gone",
                    (false, false) => "is still there",
                };
                let words = [text(told, "schedule"), text(told, "destination"), text(told, "file"), fate];
                let [schedule, destination, file, fate] = words.map(str::to_owned);
                [schedule, destination, file, fate, text(told, "reason").to_owned()]
            })
            .collect();
        if rows.is_empty() {
            return "Nothing is too old.\n".into();
        }
        let heading = [("schedule", Left), ("destination", Left), ("file", Left), ("", Left), ("why", Left)];
        table(heading, &rows)
    });
    Ok(exit_code(&result))
}

pub fn export(document: Document, request: Request, output: &Output) -> Result<u8> {
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        format!(
            "Backup {} of {} is at {}, which counts as a copy on {}.\n{} says how to open it.\n",
            result["id"],
            or_dash(&result["source"]),
            text(&result, "path"),
            text(&result, "host"),
            text(&result, "howto"),
        )
    });
    Ok(exit_code(&result))
}

pub fn forget(document: Document, request: Request, output: &Output) -> Result<u8> {
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        list(&result, "forgotten").map(|copy| format!("{} is forgotten.\n", text(copy, "path"))).collect()
    });
    Ok(exit_code(&result))
}

pub fn import(document: Document, request: Request, output: &Output) -> Result<u8> {
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        format!("{} is backup {} at {}.\n", text(&result, "file"), result["id"], text(&result, "destination"))
    });
    Ok(exit_code(&result))
}

pub fn recover(document: Document, way: Way, output: &Output) -> Result<u8> {
    let mut result = run(document, Request::Recover { way }, output)?;
    let found = result["found"].clone();
    if let Some(notes) = result["notes"].as_array_mut() {
        // That one is the result.
        notes.retain(|note| note["text"] != found);
    }
    output.notes(&result["notes"]);
    output.result(&result, || match found.as_str() {
        Some(found) => format!("{found}.\n"),
        None => "No restore was interrupted.\n".into(),
    });
    Ok(exit_code(&result))
}

/// A JSON value's text for a table; `-` where there is none.
pub fn or_dash(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
