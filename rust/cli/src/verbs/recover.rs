//! `bam recover`: a restore that was interrupted, finished or taken back.

use crate::print::Output;
use crate::result::exit_code;
use crate::work::run;
use bam::Result;
use bam::config::Document;
use bam::job::{RecoverWay, Request};

pub fn recover(document: Document, way: RecoverWay, output: &Output) -> Result<u8> {
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
