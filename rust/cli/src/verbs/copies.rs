//! The verbs about copies: `replicate`, `prune`, `export`, `import`.

use crate::print::{Align::Left, Output, table, text};
use crate::result::{exit_code, list, or_dash};
use crate::work::run;
use bam::Result;
use bam::config::Document;
use bam::job::Request;

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
