//! `bam restore`: onto the site, or elsewhere.

use crate::args::{Global, Into, Restore};
use crate::confirm::{ask, describe};
use crate::place::document_for;
use crate::print::{Output, size, text};
use crate::result::{exit_code, list, number};
use crate::work::{can_ask, run};
use crate::{configuration, place};
use bam::config::{Database, Document, SourceType, show_table};
use bam::job::elsewhere::occupied;
use bam::job::{self, Elsewhere, Request};
use bam::{Code, Error, Monitor, Result, Secret};
use serde_json::Value;
use std::path::Path;

pub fn restore(global: &Global, args: Restore, output: &Output) -> Result<u8> {
    if args.which.file.is_some() && args.which.id.is_some() {
        return Err(place::both());
    }
    if args.into.into.is_some() || args.into.into_database.is_some() {
        return elsewhere(global, args, output);
    }
    // Onto a site, and that is in a configuration.
    configuration::load(global)?;
    let document = place::document(global, &args.which.place, false)?;
    let mut request = job::Restore {
        code: args.code,
        settings: args.settings,
        paths: args.paths,
        tables: args.tables,
        only: args.only,
        dry_run: args.dry_run,
        ..args.which.into()
    };
    let mut code = 0;
    if !args.yes && !args.dry_run {
        let what = match &request.file {
            Some(file) => match job::other_site(&document, file)? {
                Some(site) => format!("{} of ANOTHER SITE, {site},", file.display()),
                None => file.display().to_string(),
            },
            None => {
                let meant = describe(&document, &request, output)?;
                // What was asked about, even where a newer one appears meanwhile.
                request.id = Some(meant.name);
                code = meant.exit_code;
                meant.what
            }
        };
        let mut parts: Vec<String> = request.paths.iter().map(|path| path.display().to_string()).collect();
        parts.extend(request.tables.iter().map(|table| format!("table {table}")));
        let part = if parts.is_empty() { String::new() } else { format!("{} of ", parts.join(", ")) };
        let onto = request.source.as_ref().map(|source| format!(" onto {source}")).unwrap_or_default();
        let site = what.contains(".sitearchive.")
            || request.source.as_ref().is_some_and(|source| is_site(&document, source));
        let code_stays = match site && !request.code && parts.is_empty() {
            true => " The code stays as it is; --code restores it, too.",
            false => "",
        };
        ask(&format!("Restore {part}{what}{onto}, replacing what is there now?{code_stays}"), "restore")?;
    }
    let result = run(document, Request::Restore(request), output)?;
    if args.dry_run {
        output.notes(&result["notes"]);
        output.asked(&result, || planned(&result));
        return Ok(exit_code(&result));
    }
    output.notes(&result["notes"]);
    output.result(&result, || {
        let seconds = result["seconds"].as_f64().unwrap_or_default();
        format!("Restored {} from {} in {seconds:.1} s.\n", text(&result, "source"), text(&result, "file"))
    });
    Ok(exit_code(&result).max(code))
}

fn is_site(document: &Document, source: &str) -> bool {
    document.sources.get(source).is_some_and(|source| source.kind == SourceType::Archive)
}

/// What a restore would do, for people.
fn planned(result: &Value) -> String {
    let mut lines =
        format!("{} onto {}, if it were restored:\n", text(result, "file"), text(result, "source"));
    let groups = [("replaced", "replaced"), ("added", "added"), ("lost", "lost"), ("unchanged", "unchanged")];
    for (key, word) in groups.iter().filter(|_| result["files"].is_object()) {
        let group = &result["files"][key];
        let (count, bytes) = (number(group, "count"), number(group, "bytes"));
        lines += &format!("  files {word}: {count} ({})\n", size(bytes));
        if *key == "unchanged" {
            continue;
        }
        let names: Vec<&str> = list(group, "first").filter_map(Value::as_str).collect();
        lines.extend(names.iter().map(|name| format!("      {name}\n")));
        if count > names.len() as u64 {
            lines += "      …\n";
        }
    }
    let rows =
        |table: &Value, key: &str| table[key].as_u64().map_or_else(|| "?".into(), |rows| rows.to_string());
    for (key, word) in groups.iter().take(3).filter(|_| result["tables"].is_object()) {
        lines += &format!("  tables {word}: {}\n", list(&result["tables"], key).count());
        for table in list(&result["tables"], key) {
            let name = show_table(text(table, "name"));
            let (now, then) = (rows(table, "live_rows"), rows(table, "rows"));
            lines += &match *key {
                "replaced" => format!("      {name}: {then} rows, now {now}\n"),
                "added" => format!("      {name}: {then} rows\n"),
                _ => format!("      {name}: {now} rows now\n"),
            };
        }
    }
    let kept: Vec<String> =
        list(&result["tables"], "kept").filter_map(Value::as_str).map(show_table).collect();
    if !kept.is_empty() {
        lines += &format!("  tables that stay as they are: {}\n", kept.join(", "));
    }
    lines + "Nothing was changed.\n"
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
