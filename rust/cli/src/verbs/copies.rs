//! The verbs about copies: `replicate`, `prune`, `export`, `import`.

use crate::print::{Align::Left, Output, long_table, text};
use crate::result::{exit_code, list, or_dash};
use crate::work::{answer, run};
use bam::Result;
use bam::config::Document;
use bam::job::{Decided, List, Request};

pub fn replicate(document: Document, site: Option<String>, output: &Output) -> Result<u8> {
    let result = run(document, Request::Replicate { site }, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let made = list(&result, "copies").filter(|copy| copy["ok"] == true);
        let lines: String = made
            .map(|copy| match copy["mended"] == true {
                true => {
                    format!(
                        "{} at {} has its sidecar again.\n",
                        text(copy, "file"),
                        text(copy, "destination")
                    )
                }
                false => format!("{} is now at {}.\n", text(copy, "file"), text(copy, "destination")),
            })
            .collect();
        if lines.is_empty() { "No copy was made.\n".into() } else { lines }
    });
    Ok(exit_code(&result))
}

pub fn prune(document: Document, request: Request, dry_run: bool, output: &Output) -> Result<u8> {
    let answer = answer(document, request, output)?;
    output.notes(&answer["notes"]);
    output.answer(&answer, dry_run, |put| {
        let decisions = match answer.list() {
            Some(List::Decisions(decisions)) => decisions.as_slice(),
            _ => &[],
        };
        let rows =
            || decisions.iter().filter(|one| dry_run || !one.decision.keep).map(|one| row(one, dry_run));
        if rows().next().is_none() {
            return put("Nothing is too old.\n");
        }
        let heading = [("schedule", Left), ("destination", Left), ("file", Left), ("", Left), ("why", Left)];
        long_table(heading, rows, put)
    });
    Ok(exit_code(answer.value()))
}

/// What became of a backup, as a row.
fn row(one: &Decided, dry_run: bool) -> [String; 5] {
    let fate = match (one.decision.keep, dry_run) {
        (true, _) => "stays",
        (false, true) => "would go",
        (false, false) if one.error.is_none() => "is gone",
        (false, false) => "is still there",
    };
    [&*one.schedule, &*one.destination, &*one.decision.file, fate, &*one.decision.reason].map(str::to_owned)
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
