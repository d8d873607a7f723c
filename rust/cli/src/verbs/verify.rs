//! `bam verify`: whether copies are what was written.

use crate::args::Verify;
use crate::names;
use crate::print::{Output, size, text};
use crate::result::{exit_code, list, number};
use crate::work::run;
use bam::Result;
use bam::config::Document;
use bam::job::Request;
use serde_json::Value;

pub fn verify(document: Document, args: Verify, output: &Output) -> Result<u8> {
    let sample = args.sample;
    let request = Request::Verify {
        id: args.id,
        destinations: names(args.destination)?,
        sample,
        source: args.source,
        site: args.of.site,
        unauthenticated: args.unauthenticated,
    };
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let mut lines = String::new();
        for copy in list(&result, "copies") {
            let told = match (copy["error"].as_str(), copy.get("read")) {
                (Some(error), _) => error.to_owned(),
                (None, None) if copy["compared"] == false => {
                    "read to its end; nothing tells whether that is all of it and unchanged".into()
                }
                (None, None) => "good".into(),
                (None, Some(Value::Null)) => "only its size was compared: it cannot be read in parts".into(),
                (None, Some(_)) => {
                    let (read, whole) = (size(number(copy, "read")), size(number(copy, "size")));
                    format!("{read} of {whole} read, as it was written")
                }
            };
            lines += &format!("{} at {}: {told}\n", text(copy, "file"), text(copy, "destination"));
        }
        if sample.is_some() && !lines.is_empty() {
            lines += "What was not read is not proven; this does not count as a verification.\n";
        }
        if lines.is_empty() { "There are no backups.\n".into() } else { lines }
    });
    Ok(exit_code(&result))
}
