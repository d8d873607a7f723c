//! Manual pages, made from the help: `bam.1`, and one for each verb.

use crate::args::Cli;
use crate::help::{GROUPS, Part, about, parts};
use bam::{Code, Error, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::path::Path;

/// Writes all pages into a folder that exists.
///
/// # Errors
/// One of them cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    // clap's own `help` verb is explained by the others.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_page(folder, &command, None)
}

fn write_page(folder: &Path, command: &Command, above: Option<&str>) -> Result<()> {
    let man = Man::new(command.clone()).source(concat!("bam ", env!("CARGO_PKG_VERSION"))).manual("bam");
    let path = folder.join(man.get_filename());
    let text = page(&man, command, above)?;
    std::fs::write(&path, text)
        .map_err(|error| Error::new(Code::Io, format!("cannot write {}", path.display())).because(error))?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    visible(command).try_for_each(|verb| write_page(folder, verb, Some(name)))
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// One page. `above` is the page of what this verb belongs to.
fn page(man: &Man, command: &Command, above: Option<&str>) -> std::io::Result<Vec<u8>> {
    let text = command.get_after_help().map(|text| parts(&text.to_string())).unwrap_or_default();
    // What stands before the first heading explains the verb.
    let described = text.iter().position(is_heading).unwrap_or(text.len());
    let (description, sections) = text.split_at(described);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    // Commands are neither stretched nor hyphenated: they get copied.
    Roff::new().control("ad", ["l"]).control("nh", []).to_writer(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut roff = Roff::new();
    write_parts(&mut roff, description);
    match above {
        None => write_groups(&mut roff, command),
        Some(_) => {
            write_verbs(&mut roff, "VERBS", visible(command).map(|verb| (verb.get_name(), verb_about(verb))))
        }
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    write_parts(&mut roff, sections);
    write_see_also(&mut roff, command, above);
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn verb_about(verb: &Command) -> String {
    verb.get_about().map(ToString::to_string).unwrap_or_default()
}

/// `Examples:`, `Exit codes:`, `First steps:`; longer lines that end so are sentences.
fn is_heading(part: &Part) -> bool {
    matches!(part, Part::Prose(text) if text.ends_with(':') && text.split_whitespace().count() <= 2)
}

fn write_parts(roff: &mut Roff, parts: &[Part]) {
    for part in parts {
        match part {
            Part::Prose(text) if is_heading(part) => {
                let name = text.trim_end_matches(':').to_uppercase();
                roff.control("SH", [if name == "EXIT CODES" { "EXIT STATUS" } else { name.as_str() }]);
            }
            Part::Prose(text) => {
                roff.control("PP", []);
                roff.text([roman(text.as_str())]);
            }
            Part::Entries(entries) => {
                for (left, does) in entries {
                    roff.control(if does.is_empty() { "PP" } else { "TP" }, []);
                    roff.text([bold(left.trim())]);
                    if !does.is_empty() {
                        roff.text([roman(does.as_str())]);
                    }
                }
            }
        }
    }
}

fn write_groups(roff: &mut Roff, command: &Command) {
    for (name, verbs) in GROUPS {
        let verbs = verbs.iter().filter(|verb| **verb != "help");
        write_verbs(roff, &name.to_uppercase(), verbs.map(|verb| (*verb, about(command, verb))));
    }
}

fn write_verbs<'a>(roff: &mut Roff, heading: &str, verbs: impl Iterator<Item = (&'a str, String)>) {
    for (at, (verb, about)) in verbs.enumerate() {
        if at == 0 {
            roff.control("SH", [heading]);
        }
        roff.control("TP", []);
        roff.text([bold(verb)]);
        roff.text([roman(about)]);
    }
}

fn write_see_also(roff: &mut Roff, command: &Command, above: Option<&str>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let below = visible(command).map(|verb| format!("{name}-{}", verb.get_name()));
    let pages: Vec<String> = above.map(str::to_owned).into_iter().chain(below).collect();
    roff.control("SH", ["SEE ALSO"]);
    let last = pages.len().saturating_sub(1);
    for (at, page) in pages.iter().enumerate() {
        roff.text([bold(page.as_str()), roman(if at == last { "(1)" } else { "(1)," })]);
    }
}
