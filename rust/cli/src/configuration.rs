//! Where the configuration comes from: a file, or a Drupal site through the PHP shim's exporter.

use crate::args::Global;
use crate::maintenance;
use crate::php_shim::{EXPORTER, ask_site, is_there};
use bam::config::Document;
use bam::{Code, Error, Result};
use std::path::{Path, PathBuf};

/// Where bam.yml is looked for.
const DEFAULTS: [&str; 2] = ["bam.yml", "/etc/bam/bam.yml"];

/// The configuration that was asked for.
pub fn load(global: &Global) -> Result<Document> {
    load_with_notes(global).map(|(document, _)| document)
}

/// The same with what the site's settings hold that the document cannot say.
pub fn load_with_notes(global: &Global) -> Result<(Document, Vec<String>)> {
    if let Some(root) = &global.root {
        return from_site(root, global.uri.as_deref());
    }
    let document = find(global)?.ok_or_else(|| {
        Error::new(
            Code::Config,
            format!("there is no configuration: neither {} exists", DEFAULTS.join(" nor ")),
        )
        .hint("name it with --config FILE, or a Drupal site with --root DIR")
    })?;
    Ok((document, Vec::new()))
}

/// For verbs that can do without: `None` where nothing was asked for and no default exists.
pub fn find(global: &Global) -> Result<Option<Document>> {
    if let Some(root) = &global.root {
        return from_site(root, global.uri.as_deref()).map(|(document, _)| Some(document));
    }
    let document = file(global)?.as_deref().map(Document::load).transpose()?;
    Ok(document.map(|document| maintenance::with_program(document, None)))
}

/// The file that [`find`] reads, as it was named; `None` where none is named and no default exists.
pub fn file(global: &Global) -> Result<Option<PathBuf>> {
    if let Some(file) = &global.config {
        if !is_there(file)? {
            return Err(Error::new(Code::Config, format!("there is no configuration {}", file.display()))
                .hint("check the name after --config"));
        }
        return Ok(Some(file.clone()));
    }
    for file in DEFAULTS.map(Path::new) {
        if is_there(file)? {
            return Ok(Some(file.to_owned()));
        }
    }
    Ok(None)
}

/// Asks the shim for the document of the Drupal site in `root`.
fn from_site(root: &Path, uri: Option<&str>) -> Result<(Document, Vec<String>)> {
    let said = ask_site(EXPORTER, root, uri, &[])?;
    let text = std::str::from_utf8(said.printed.expose()).map_err(|cause| {
        Error::new(Code::Config, format!("{EXPORTER} did not print UTF-8")).because(cause)
    })?;
    Ok((maintenance::with_program(Document::from_json(text)?, uri), said.notes))
}
