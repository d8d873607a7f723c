//! `bam restore`: onto the site, or elsewhere.

use crate::args::{Global, Into, Restore};
use crate::place::document_for;
use crate::print::{Output, text};
use crate::verbs::{ask, describe, exit_code, number};
use crate::work::{can_ask, run};
use crate::{configuration, place};
use bam::config::{Database, Document};
use bam::job::elsewhere::{Elsewhere, occupied};
use bam::job::{self, Request};
use bam::{Code, Error, Monitor, Result, Secret};
use std::path::Path;

pub fn restore(global: &Global, args: Restore, output: &Output) -> Result<u8> {
    if args.into.into.is_some() || args.into.into_database.is_some() {
        return elsewhere(global, args, output);
    }
    // Onto a site, and that is in a configuration.
    configuration::load(global)?;
    let document = place::document(global, &args.which.place, false)?;
    let which = &args.which;
    if !args.yes {
        let what = match (&which.file, &which.id) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(id)) => {
                describe(&document, id, which.source.as_deref(), which.destination.as_deref())?
            }
            (None, None) => String::new(),
        };
        let onto = which.source.as_ref().map(|source| format!(" onto {source}")).unwrap_or_default();
        ask(&format!("Restore {what}{onto}, replacing what is there now?"), "restore")?;
    }
    let request = Request::Restore(job::Restore { code: args.code, ..args.which.into() });
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let seconds = result["seconds"].as_f64().unwrap_or_default();
        format!("Restored {} from {} in {seconds:.1} s.\n", text(&result, "source"), text(&result, "file"))
    });
    Ok(exit_code(&result))
}

fn elsewhere(global: &Global, args: Restore, output: &Output) -> Result<u8> {
    let document: Document = document_for(global, &args.which)?;
    let mut to = Elsewhere {
        folder: args.into.into.clone(),
        database: database(args.into)?,
        replace: args.yes,
        state_dir: None,
    };
    if let Some(database) = to.database.as_ref().filter(|_| !to.replace && can_ask())
        && let Some(occupied) = occupied(database, &Monitor::new())?
    {
        output.say(&format!("{occupied}."));
        ask("Replace what it holds?", "restore")?;
        to.replace = true;
    }
    let request = Request::Restore(job::Restore { elsewhere: Some(Box::new(to)), ..args.which.into() });
    let result = run(document, request, output)?;
    output.notes(&result["notes"]);
    output.result(&result, || {
        let places: Vec<&str> = ["folder", "database"]
            .map(|key| text(&result, key))
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect();
        let applied = &result["applied"];
        format!(
            "{} is in {} now: {} files, {} tables, in {:.1} s.\n",
            text(&result, "file"),
            places.join(" and "),
            number(applied, "files"),
            number(applied, "tables"),
            result["seconds"].as_f64().unwrap_or_default()
        )
    });
    Ok(exit_code(&result))
}

/// The database that `--into-database` and its companions name.
fn database(into: Into) -> Result<Option<Database>> {
    let Some(mut url) = into.into_database else { return Ok(None) };
    if let Some((scheme @ ("sqlite" | "sqlite3"), path)) = url.split_once(':')
        && !path.starts_with('/')
    {
        // From here, as any path that is typed; a URL has its % encoded.
        let path = std::path::absolute(Path::new(path))?.display().to_string();
        url = format!("{scheme}:{}", path.replace('%', "%25"));
    }
    let database = Database {
        url: Some(Secret::new(url.into_bytes())),
        socket: into.into_socket,
        ..Database::default()
    };
    if !database.resolve(Path::new("/"))?.password.expose().is_empty() {
        return Err(Error::new(Code::Usage, "a password in an address is seen by everybody on this machine")
            .hint("leave it out, and name a file that holds it with --into-password-file"));
    }
    Ok(Some(Database { password_file: into.into_password_file, ..database }))
}
