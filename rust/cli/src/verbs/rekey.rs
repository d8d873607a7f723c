//! `bam rekey`: backups encrypted anew, to the current key.

use crate::args::{Rekey, Strong};
use crate::names;
use crate::print::{Output, text};
use crate::result::{exit_code, list};
use crate::work::run;
use bam::Result;
use bam::config::{Document, EncryptionKind};
use bam::job::{self, Request};

pub fn rekey(document: Document, args: Rekey, output: &Output) -> Result<u8> {
    let request = Request::Rekey(job::Rekey {
        ids: args.ids,
        destinations: names(args.destination)?,
        to: args.to.map(|to| match to {
            Strong::Aes256 => EncryptionKind::Aes256,
            Strong::Age => EncryptionKind::Age,
        }),
        unauthenticated: args.unauthenticated,
        site: args.of.site,
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
