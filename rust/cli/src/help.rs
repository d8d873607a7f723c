//! How help is laid out: verbs in groups, examples in columns that hold at any width. What it says stands in `args`, beside
//! what it explains; the manual pages are made from the same texts.

use crate::args::Cli;
use clap::{Command, CommandFactory};
use unicode_width::UnicodeWidthStr;

/// The verbs by what they are for, in the order of `bam help`. A test sees that none is missing.
pub const GROUPS: [(&str, &[&str]); 5] = [
    ("Backup", &["backup", "backups", "find", "diff", "stats", "run", "schedule"]),
    ("Restore", &["restore", "ls", "cat", "mount", "decrypt", "recover"]),
    ("Copies", &["replicate", "export", "import", "delete", "prune", "rekey"]),
    ("Policy", &["status", "verify", "drill"]),
    (
        "Settings",
        &[
            "config",
            "destination",
            "import-settings",
            "keygen",
            "keys",
            "sources",
            "destinations",
            "profiles",
            "schedules",
            "completions",
            "help",
        ],
    ),
];

/// Wider lines are tiring to read; `args` tells clap the same.
const WIDEST: usize = 100;
/// Between a command and what it does.
const GAP: usize = 3;
/// What it does wants this much; where there is less it stands below the command.
const NARROWEST: usize = 24;
/// Lines that begin with so many blanks belong to the example above.
const CONTINUES: &str = "        ";

/// A stretch of the texts in `args`.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A paragraph, or the line above examples, which ends with a colon.
    Prose(String),
    /// Commands, or codes, and what each does or means; often nothing.
    Entries(Vec<(String, String)>),
}

/// The command line with its help laid out for this terminal.
pub fn command() -> Command {
    let available = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let width =
        available.or_else(|| std::env::var("COLUMNS").ok()?.parse().ok()).unwrap_or(WIDEST).min(WIDEST);
    let command = Cli::command();
    let groups = groups(&command, width);
    let header = command.get_styles().get_header();
    let template = format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n\
         {{options}}{{after-help}}"
    );
    for_width(command, width).help_template(template)
}

/// The same, with the examples of every verb laid out.
fn for_width(command: Command, width: usize) -> Command {
    let text = command.get_after_help().map(|text| laid_out(&parts(&text.to_string()), width));
    let command = match text {
        Some(text) => command.after_help(text),
        None => command,
    };
    command.mut_subcommands(|verb| for_width(verb, width))
}

/// The verbs and what they do, in groups.
fn groups(command: &Command, width: usize) -> String {
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let widest = GROUPS.iter().flat_map(|(_, verbs)| *verbs).map(|verb| verb.len()).max().unwrap_or(0);
    let column = 2 + widest + 2;
    let mut text = String::new();
    for (name, verbs) in GROUPS {
        text.push_str(&format!("{header}{name}:{header:#}\n"));
        for verb in verbs {
            let gap = " ".repeat(column - 2 - verb.len());
            let about = filled(&about(command, verb), width.saturating_sub(column).max(NARROWEST));
            text.push_str(&format!(
                "  {literal}{verb}{literal:#}{gap}{}\n",
                about.join(&format!("\n{}", " ".repeat(column)))
            ));
        }
        text.push('\n');
    }
    text
}

/// What a verb does, in one line. `help` is clap's, which adds it later.
pub fn about(command: &Command, verb: &str) -> String {
    match command.find_subcommand(verb).and_then(Command::get_about) {
        Some(about) => about.to_string(),
        None => "Explain a verb, with examples".to_owned(),
    }
}

/// Takes a text of `args` apart.
pub fn parts(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.trim().is_empty() {
            open = false;
            continue;
        }
        let last = if open { parts.last_mut() } else { None };
        match (line.strip_prefix("  "), last) {
            (Some(_), Some(Part::Entries(entries))) if line.starts_with(CONTINUES) => {
                if let Some((_, does)) = entries.last_mut() {
                    does.push_str(if does.is_empty() { "" } else { " " });
                    does.push_str(line.trim());
                }
            }
            (Some(entry), Some(Part::Entries(entries))) => entries.push(entry_of(entry)),
            (Some(entry), _) => parts.push(Part::Entries(vec![entry_of(entry)])),
            (None, Some(Part::Prose(prose))) => {
                prose.push(' ');
                prose.push_str(line.trim());
            }
            (None, _) => parts.push(Part::Prose(line.trim().to_owned())),
        }
        open = true;
    }
    parts
}

/// A line of an example: the command, two blanks or more, what it does. Blanks in front, which put numbers one below the
/// other, stay.
fn entry_of(line: &str) -> (String, String) {
    let indent = line.len() - line.trim_start().len();
    let (blanks, entry) = line.split_at(indent);
    let (command, does) = entry.split_once("  ").unwrap_or((entry, ""));
    (format!("{blanks}{}", command.trim()), does.trim().to_owned())
}

/// The text for a width, in columns.
fn laid_out(parts: &[Part], width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Prose(text) => {
                if at > 0 {
                    lines.push(String::new());
                }
                lines.extend(filled(text, width));
            }
            Part::Entries(entries) => lines.extend(columns(entries, width)),
        }
    }
    lines.join("\n")
}

/// Commands on the left, what they do on the right, or below where there is no room.
fn columns(entries: &[(String, String)], width: usize) -> Vec<String> {
    let fitting = |command: &str| command.width() <= width / 2;
    let described = entries.iter().filter(|(command, does)| !does.is_empty() && fitting(command));
    let mut column = 2 + described.map(|(command, _)| command.width()).max().unwrap_or(1) + GAP;
    if column + NARROWEST > width {
        column = 6;
    }
    let mut lines = Vec::new();
    for (command, does) in entries {
        let mut does = filled(does, width.saturating_sub(column).max(NARROWEST)).into_iter();
        // A shell takes a command that goes on behind a backslash, so what is shown can be copied at any width.
        let mut broken = filled_with(words_of(command), command, width.saturating_sub(4).max(NARROWEST));
        let last = broken.pop().unwrap_or_default();
        let single = broken.is_empty();
        for (at, piece) in broken.into_iter().enumerate() {
            lines.push(format!("{}{piece} \\", if at == 0 { "  " } else { "      " }));
        }
        let mut line = format!("{}{last}", if single { "  " } else { "      " });
        if single
            && line.width() + GAP <= column
            && let Some(first) = does.next()
        {
            line.push_str(&" ".repeat(column - line.width()));
            line.push_str(&first);
        }
        lines.push(line);
        lines.extend(does.map(|rest| format!("{}{rest}", " ".repeat(column))));
    }
    lines
}

/// The text in lines that are no wider than this, where its words allow it. Blanks in front stay.
fn filled(text: &str, width: usize) -> Vec<String> {
    filled_with(text.split_whitespace().map(str::to_owned), text, width)
}

/// The words of a command, an option and what follows it being one.
fn words_of(command: &str) -> impl Iterator<Item = String> {
    let mut words = command.split_whitespace().peekable();
    std::iter::from_fn(move || {
        let word = words.next()?;
        let value = words.next_if(|next| word.starts_with("--") && !next.starts_with('-'));
        Some(value.map_or_else(|| word.to_owned(), |value| format!("{word} {value}")))
    })
}

fn filled_with(pieces: impl Iterator<Item = String>, text: &str, width: usize) -> Vec<String> {
    let indent = text.len() - text.trim_start().len();
    let mut lines: Vec<String> = Vec::new();
    let mut line = " ".repeat(indent);
    let mut words = 0;
    for word in pieces {
        if words > 0 && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
            words = 0;
        }
        if words > 0 {
            line.push(' ');
        }
        line.push_str(&word);
        words += 1;
    }
    if words > 0 {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| *verbs).copied().collect();
        let command = Cli::command();
        let mut verbs: Vec<&str> =
            command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect();
        verbs.push("help");
        grouped.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(grouped, verbs);
    }

    #[test]
    fn commands_that_are_too_long_can_still_be_copied() {
        let text =
            "Examples:\n  bam restore latest --into /srv/clone --into-database mysql://clone@localhost/clone";
        let lines = laid_out(&parts(text), 52);
        assert_eq!(
            lines,
            "Examples:\n  bam restore latest --into /srv/clone \\\n      --into-database mysql://clone@localhost/clone"
        );
    }

    #[test]
    fn what_a_command_does_stays_in_its_column() {
        let text = "Examples:\n  bam verify      all backups, every copy\n  bam ls latest\n                  what it holds";
        assert_eq!(
            laid_out(&parts(text), 42),
            "Examples:\n  bam verify      all backups, every copy\n  bam ls latest   what it holds"
        );
        assert_eq!(
            laid_out(&parts(text), 41),
            "Examples:\n  bam verify\n      all backups, every copy\n  bam ls latest\n      what it holds"
        );
    }
}
