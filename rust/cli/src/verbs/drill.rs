//! `bam drill`: a restore for trial.

use crate::args::Drill;
use crate::names;
use crate::print::{Output, size, text};
use crate::result::{exit_code, list, number};
use crate::work::run;
use bam::Result;
use bam::config::Document;
use bam::job::Request;
use serde_json::Value;

pub fn drill(document: Document, args: Drill, output: &Output) -> Result<u8> {
    let request = Request::Drill {
        id: args.id,
        destinations: names(args.destination)?,
        source: args.source,
        site: args.of.site,
        unauthenticated: args.unauthenticated,
    };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let lines: String = list(&result, "drills").map(drilled).collect();
        if lines.is_empty() { "There are no backups.\n".into() } else { lines }
    });
    Ok(exit_code(&result))
}

fn drilled(drill: &Value) -> String {
    if drill["ok"] != true {
        // Why is among the notes.
        return format!("{} was not drilled.\n", text(drill, "file"));
    }
    let mut parts = Vec::new();
    if number(drill, "tables") > 0 {
        let how = if drill["rows_compared"] == true { "each compared" } else { "counted" };
        parts.push(format!("{} tables with {} rows, {how}", number(drill, "tables"), number(drill, "rows")));
    }
    if number(drill, "files") > 0 {
        let bytes = size(number(drill, "bytes"));
        parts.push(format!("{} files ({bytes}), each compared", number(drill, "files")));
    }
    let seconds = drill["seconds"].as_f64().unwrap_or_default();
    format!("{} restores: {}, in {seconds:.1} s.\n", text(drill, "file"), parts.join("; "))
}
