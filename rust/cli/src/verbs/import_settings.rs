//! `bam import-settings`: what Backup and Migrate exported, into a site or as sections of bam.yml.

use crate::args::{Global, ImportSettings};
use crate::php_shim;
use crate::print::{Output, text};
use bam::config::import::{Import, ItemKind};
use bam::config::to_yaml;
use bam::regular;
use bam::{Code, Error, Fact, Result, ResultExt, Told};
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::Path;

/// No export is bigger; a backup given by mistake is.
const LONGEST: u64 = 16 * 1024 * 1024;
/// The shim's program that imports into a site.
const IMPORTER: &str = "bam-import-settings";

pub fn run(global: &Global, args: ImportSettings, output: &Output) -> Result<u8> {
    match &global.root {
        Some(root) => into_site(root, global.uri.as_deref(), &args, output),
        None => as_sections(&args, output),
    }
}

/// Imports one export file into a site; what is there of the same name is an error.
pub fn import_into_site(root: &Path, uri: Option<&str>, file: &Path) -> Result<()> {
    php_shim::ask_site(IMPORTER, root, uri, &[file.as_os_str()]).map(drop)
}

fn into_site(root: &Path, uri: Option<&str>, args: &ImportSettings, output: &Output) -> Result<u8> {
    let mut words = Vec::new();
    if args.replace {
        words.push("--replace".as_ref());
    }
    words.extend(args.files.iter().map(|file| file.as_os_str()));
    let said = php_shim::ask_site(IMPORTER, root, uri, &words)?;
    let plan: Value = serde_json::from_slice(said.printed.expose()).map_err(|cause| {
        Error::new(Code::Internal, format!("{IMPORTER} did not print JSON")).because(cause)
    })?;
    output.result(&json!({ "imported": plan }), || {
        let lines = plan.as_array().into_iter().flatten();
        lines
            .map(|item| format!("{} {} ({})\n", text(item, "type"), text(item, "id"), text(item, "action")))
            .collect()
    });
    Ok(0)
}

fn as_sections(args: &ImportSettings, output: &Output) -> Result<u8> {
    if args.replace {
        return Err(Error::new(Code::Usage, "--replace is about a site that is imported into")
            .hint("name the site with --root; without one the settings are only printed"));
    }
    let mut sections = Map::new();
    for path in &args.files {
        let mut export = Vec::new();
        let file = regular::open(path).at("cannot read", path)?;
        file.take(LONGEST).read_to_end(&mut export).at("cannot read", path)?;
        let import = Import::read(&export).within(Fact::Path, path.display())?;
        for note in &import.notes {
            output.warn(note);
        }
        for item in import.items {
            for note in &item.notes {
                output.warn(&format!("{}: {note}", item.machine_name));
            }
            let section = match item.kind {
                ItemKind::Profile => "profiles",
                ItemKind::Schedule => "schedules",
                ItemKind::Source => "sources",
                ItemKind::Destination => "destinations",
            };
            for (section, entry) in [(section, item.document), ("databases", item.database)] {
                if let Some(entry) = entry {
                    let entries = sections.entry(section).or_insert_with(|| json!({}));
                    if let Some(entries) = entries.as_object_mut() {
                        entries.insert(item.machine_name.clone(), entry);
                    }
                }
            }
        }
    }
    let sections = Value::Object(sections);
    let yaml = to_yaml(&sections)?;
    output.result(&sections, || yaml);
    Ok(0)
}
