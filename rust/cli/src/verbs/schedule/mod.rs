//! `bam schedule`: a systemd timer or a cron.d file that runs what is due, one for each configuration.

mod account;
mod installed;
mod units;

use super::lists;
use crate::args::Global;
use crate::configuration;
use crate::print::Output;
pub use account::Account;
use bam::config::{CRON_NONE, Document, Schedule};
use bam::job::check::{Finding, FindingState};
use bam::look;
use bam::{Code, Error, Result, ResultExt, environment};
use installed::{Found, Installed, Kind, all, free_name, mine};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes the files for this configuration, after looking whether they would work.
pub fn install(global: &Global, user: &str, cron: bool, print: bool, output: &Output) -> Result<u8> {
    let document = configuration::load(global)?;
    let words = command(global)?;
    let kind = if !cron && has_systemd() { Kind::Systemd } else { Kind::Cron };
    let problems = obstacles(global, &document, user, kind);
    if print {
        problems.iter().for_each(|problem| output.warn(&problem.to_string()));
    } else {
        refuse_with(&problems, output)?;
    }
    let found = all();
    let old = mine(&found.all, global, &words);
    let name = match old.first() {
        Some(file) if file.kind == kind && file.is_ours => file.name.clone(),
        _ => free_name(&document, &words, kind),
    };
    let files = match kind {
        Kind::Systemd => vec![
            (installed::unit(&name, "service"), units::service(&words, user)?),
            (installed::unit(&name, "timer"), units::TIMER_TEXT.to_owned()),
        ],
        Kind::Cron => vec![(installed::cron_file(&name), units::cron_line(&words, user)?)],
    };
    let then = match kind {
        Kind::Systemd => format!("systemctl daemon-reload && systemctl enable --now {name}.timer"),
        Kind::Cron => String::new(),
    };
    let shown = json!({
        "files": files.iter().map(|(path, text)| json!({"path": path, "text": text})).collect::<Vec<_>>(),
        "then": then,
    });
    if print {
        output.result(&shown, || {
            files.iter().map(|(path, text)| format!("# {}\n{text}\n", path.display())).collect()
        });
        return Ok(0);
    }
    // What ran this configuration before, under another name or by the other way, would run it twice.
    for file in installed::replaced(&old, &name, kind) {
        take_away(file)?;
    }
    for file in old.iter().filter(|file| !file.is_ours) {
        output.warn(&format!(
            "{} runs this configuration, too, and is not from here: it stays, take that line out",
            file.path.display()
        ));
    }
    tell_of_unread(&found, output);
    for (path, text) in &files {
        fs::write(path, text).at("cannot write", path)?;
    }
    if kind == Kind::Systemd {
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", "--now", &format!("{name}.timer")])?;
    }
    output.result(&shown, || {
        let paths: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
        format!("Wrote {}: as {user}, what is due runs every ten minutes.\n", paths.join(" and "))
    });
    Ok(0)
}

/// Fails where something is in the way.
fn refuse_with(problems: &[Error], output: &Output) -> Result<()> {
    let [first, rest @ ..] = problems else { return Ok(()) };
    for problem in rest {
        output.error(problem);
    }
    Err(Error::new(first.code(), format!("nothing was installed: {}", first.message()))
        .hint(first.next_step().unwrap_or_default().to_owned()))
}

/// Takes away what [`install`] wrote for this configuration.
pub fn remove(global: &Global, output: &Output) -> Result<u8> {
    let words = command(global)?;
    let found = all();
    let (ours, others): (Vec<_>, Vec<_>) =
        mine(&found.all, global, &words).into_iter().partition(|file| file.is_ours);
    for file in &ours {
        take_away(file)?;
    }
    for file in &others {
        output.warn(&format!(
            "{} runs this configuration, too, and is not from here: it stays",
            file.path.display()
        ));
    }
    let left = tell_of_unread(&found, output);
    let removed: Vec<PathBuf> = ours.iter().flat_map(Installed::files).collect();
    output.result(&json!({ "removed": removed }), || match removed.as_slice() {
        [] if left => "Nothing else was installed for this configuration.\n".into(),
        [] => "Nothing was installed for this configuration.\n".into(),
        removed => {
            let paths: Vec<String> = removed.iter().map(|path| path.display().to_string()).collect();
            format!("Removed {}.\n", paths.join(" and "))
        }
    });
    Ok(if left { Code::Partial.exit_code() } else { 0 })
}

/// Whether there is something that could not be read.
fn tell_of_unread(found: &Found, output: &Output) -> bool {
    let unread = found.unread();
    if let Some(unread) = &unread {
        output
            .warn(&format!("{unread} cannot be read: whether this configuration is run there is not known"));
    }
    unread.is_some()
}

/// Who runs the schedules, and the schedules. Exit code 3 where nobody does.
pub fn status(global: &Global, output: &Output) -> Result<u8> {
    let document = configuration::load(global)?;
    let findings = look(global, &document)?;
    for finding in &findings {
        let text = match &finding.hint {
            Some(hint) => format!("{}\n  {hint}", finding.text),
            None => finding.text.clone(),
        };
        if finding.state >= FindingState::Missing { output.warn(&text) } else { output.say(&text) }
    }
    lists::schedules_with(&document, json!({ "runners": findings }), output)?;
    Ok(bam::job::check::exit_code(&findings))
}

/// What `bam config check` tells of the schedules.
pub fn look(global: &Global, document: &Document) -> Result<Vec<Finding>> {
    let finding = |state, text: String| Finding::new("schedule", "", state, text);
    if !document.schedules.values().any(runs_by_itself) {
        let text = match document.schedules.is_empty() {
            true => "there is no schedule: backups are made only when somebody asks for one",
            false => "no schedule runs by itself: each is disabled, or has neither `every` nor `cron`",
        };
        return Ok(vec![finding(FindingState::Notice, text.into())]);
    }
    let words = command(global)?;
    let found = all();
    let runners = mine(&found.all, global, &words);
    if runners.is_empty() {
        return Ok(vec![match (document.site.cron.as_deref(), found.unread()) {
            (Some(module), _) => finding(
                FindingState::Good,
                format!("Drupal's cron runs the schedules, by the module {module}"),
            ),
            (None, Some(unread)) => finding(
                FindingState::Missing,
                format!("nobody is known to run the schedules; {unread} cannot be read and may"),
            )
            .hint("look there as root, or run `bam schedule install`"),
            (None, None) => finding(
                FindingState::Missing,
                "nobody runs the schedules: no timer and no cron line of this machine does".into(),
            )
            .hint("`bam schedule install`"),
        }]);
    }
    let mut findings = Vec::new();
    for runner in &runners {
        let told = format!("{} runs the schedules as {}", runner.path.display(), runner.user);
        let mut problems = daemon(runner.kind).err().into_iter().collect::<Vec<_>>();
        problems.extend(unreadable_to(global, document, &runner.user));
        if problems.is_empty() {
            findings.push(finding(FindingState::Good, told.clone()));
        }
        for problem in problems {
            let state =
                if problem.code() == Code::Config { FindingState::Wrong } else { FindingState::Missing };
            let text = format!("{told}, but {}", problem.message());
            findings.push(finding(state, text).hint(problem.next_step().unwrap_or_default()));
        }
    }
    Ok(findings)
}

/// Why a timer for this configuration would be of no use.
fn obstacles(global: &Global, document: &Document, user: &str, kind: Kind) -> Vec<Error> {
    let mut found = Vec::new();
    if !document.schedules.values().any(runs_by_itself) {
        found.push(
            Error::new(Code::Config, "the configuration has no schedule that runs by itself")
                .hint("add one under \"schedules\", with `every` or `cron`"),
        );
    }
    found.extend(unreadable_to(global, document, user));
    found.extend(daemon(kind).err());
    found
}

fn runs_by_itself(schedule: &Schedule) -> bool {
    let by_cron = schedule.cron.as_deref().map(str::trim).filter(|cron| !cron.is_empty());
    schedule.enabled && by_cron.map_or(schedule.every > 0, |cron| cron != CRON_NONE)
}

/// What a user cannot read of all that a run needs; that the user does not exist, first.
fn unreadable_to(global: &Global, document: &Document, user: &str) -> Vec<Error> {
    let account = match Account::find(user) {
        Ok(account) => account,
        Err(error) => return vec![error],
    };
    let mut files: Vec<PathBuf> = document.file.iter().cloned().collect();
    if let Some(root) = &global.root {
        files.extend([root.clone(), document.site.conf_dir().join("settings.php")]);
    }
    files.extend(document.encryption.key_file.iter().cloned());
    files.extend(document.encryption.keys.iter().cloned());
    files.extend(document.databases.values().filter_map(|database| database.password_file.clone()));
    for destination in document.destinations.values() {
        files.extend([&destination.password_file, &destination.identity_file].into_iter().flatten().cloned());
    }
    let mut found = Vec::new();
    if let Ok(program) = std::env::current_exe()
        && !account.may(&program, "-x")
    {
        let text = format!("{user} cannot run {}", program.display());
        found.push(
            Error::new(Code::Config, text).hint("install bam where everybody may run it: make install"),
        );
    }
    for file in files.iter().filter(|file| !account.may(file, "-r")) {
        let hint = format!(
            "give it to that user alone (chown {user} {0}; chmod 600 {0}), or run the schedules as another with --user",
            file.display()
        );
        let text = format!("{user} cannot read {}", file.display());
        found.push(Error::new(Code::Config, text).hint(hint));
    }
    found
}

fn has_systemd() -> bool {
    look::is_folder(Path::new("/run/systemd/system")).unwrap_or(false)
}

/// Whether somebody reads what is installed.
fn daemon(kind: Kind) -> Result<()> {
    match kind {
        Kind::Systemd if has_systemd() => Ok(()),
        Kind::Systemd => Err(Error::new(Code::NotFound, "systemd does not run here")
            .hint("use cron: `bam schedule install --cron`")),
        Kind::Cron if account::runs(&["cron", "crond"]) => Ok(()),
        Kind::Cron => Err(Error::new(Code::NotFound, "no cron runs here, and no systemd either")
            .hint("install one and start it, e.g. apt install cron && service cron start")),
    }
}

fn take_away(file: &Installed) -> Result<()> {
    if file.kind == Kind::Systemd && has_systemd() {
        systemctl(&["disable", "--now", &format!("{}.timer", file.name)])?;
    }
    for path in file.files() {
        if let Err(cause) = fs::remove_file(&path)
            && cause.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::io("cannot remove", &path, cause));
        }
    }
    if file.kind == Kind::Systemd && has_systemd() {
        systemctl(&["daemon-reload"])?;
    }
    Ok(())
}

fn systemctl(words: &[&str]) -> Result<()> {
    let line = format!("systemctl {}", words.join(" "));
    let done = environment::clean(Command::new("systemctl").args(words))
        .output()
        .map_err(|cause| Error::new(Code::NotFound, format!("cannot run {line}")).because(cause))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(Error::new(Code::Io, format!("{line} failed: {said}"))
        .hint("the files are written; run it again by hand"))
}

/// This program with absolute paths, as its words.
fn command(global: &Global) -> Result<Vec<String>> {
    let program = std::env::current_exe().at("cannot find the program", Path::new("bam"))?;
    let mut words = vec![utf8(program)?];
    if let Some(root) = &global.root {
        words.extend(["--root".into(), utf8(absolute(root)?)?]);
        if let Some(uri) = &global.uri {
            words.extend(["--uri".into(), uri.clone()]);
        }
    } else {
        let config = configuration::file(global)?.unwrap_or_else(|| "/etc/bam/bam.yml".into());
        words.extend(["--config".into(), utf8(absolute(&config)?)?]);
    }
    words.extend(["--quiet".into(), "run".into()]);
    Ok(words)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).at("cannot find", path)
}

fn utf8(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        Error::new(Code::Unsupported, format!("{} cannot be written into a timer", path.to_string_lossy()))
            .hint("use a path of plain text")
    })
}
