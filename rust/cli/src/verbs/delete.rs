//! `bam delete`: one backup, wherever it lies, erased after a confirmation.

use crate::args::Delete;
use crate::confirm::{ask, describe};
use crate::names;
use crate::print::{Output, text};
use crate::result::{exit_code, or_dash};
use crate::work::run;
use bam::Result;
use bam::config::Document;
use bam::job::{self, Request};

pub fn delete(document: Document, mut args: Delete, output: &Output) -> Result<u8> {
    let destinations = names(args.destination)?;
    if !args.yes {
        let one = job::Restore {
            id: Some(args.id.clone()),
            site: args.of.site.clone(),
            source: args.source.clone(),
            destination: match destinations.as_slice() {
                [one] => Some(one.clone()),
                _ => None,
            },
            ..job::Restore::default()
        };
        let meant = describe(&document, &one, output)?;
        ask(&format!("Erase {} for good?", meant.what), "delete")?;
        // What was asked about, even where a newer one appears meanwhile.
        args.id = meant.name;
    }
    let request = Request::Delete { id: args.id, destinations, source: args.source, site: args.of.site };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        format!("Erased {} ({} of {}).\n", text(&result, "file"), result["id"], or_dash(&result["source"]))
    });
    Ok(exit_code(&result))
}
