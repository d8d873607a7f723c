//! Where the configuration comes from: a file, or a Drupal site through the PHP shim's exporter.

use crate::args::Global;
use crate::maintenance;
use bam::config::Document;
use bam::{Code, Error, Result, Secret};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where bam.yml is looked for.
const DEFAULTS: [&str; 2] = ["bam.yml", "/etc/bam/bam.yml"];
/// The shim's program that prints a site's document.
const EXPORTER: &str = "bam-export-config";

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

/// Whether a file or folder is there. One in a folder that we may not look into is not taken for missing.
fn is_there(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(cause) => Err(Document::unreadable(path, cause)),
    }
}

/// Asks the shim for the document of the Drupal site in `root`.
fn from_site(root: &Path, uri: Option<&str>) -> Result<(Document, Vec<String>)> {
    let said = ask_site(EXPORTER, root, uri, &[])?;
    let text = std::str::from_utf8(said.printed.expose()).map_err(|cause| {
        Error::new(Code::Config, format!("{EXPORTER} did not print UTF-8")).because(cause)
    })?;
    Ok((maintenance::with_program(Document::from_json(text)?, uri), said.notes))
}

/// What one of the shim's programs said.
pub struct Said {
    /// Its standard output, which may hold passwords: it came through a pipe and is zeroed after use.
    pub printed: Secret,
    /// Its remarks.
    pub notes: Vec<String>,
}

/// Runs one of the shim's programs on the Drupal site in `root`.
pub fn ask_site(name: &str, root: &Path, uri: Option<&str>, words: &[&OsStr]) -> Result<Said> {
    if !is_there(root)? || !root.is_dir() {
        return Err(Error::new(Code::Usage, format!("{} is not a folder", root.display()))
            .hint("--root wants the folder that Drupal's index.php is in"));
    }
    let mut command = Command::new("php");
    command.arg(shim()?.join("bin").join(name)).arg("--root").arg(root);
    if let Some(uri) = uri {
        command.arg("--uri").arg(uri);
    }
    let result = command.args(words).stdin(Stdio::null()).output().map_err(|cause| {
        let error = Error::new(Code::Config, "cannot run php to ask the site").because(cause);
        error.hint("install php-cli, or write a bam.yml and name it with --config")
    })?;
    let printed = Secret::new(result.stdout);
    let said = String::from_utf8_lossy(&result.stderr);
    let prefix = format!("{name}: ");
    if !result.status.success() {
        let bare = |line: &str| {
            line.strip_prefix(&prefix).unwrap_or(line).trim().trim_start_matches("bam: ").to_owned()
        };
        let mut lines = said.lines().map(bare);
        let what = lines.next().unwrap_or_else(|| "php stopped without a word".into());
        let error = Error::new(
            Code::Config,
            format!("cannot read the settings of the site {}: {what}", root.display()),
        );
        let rest: Vec<String> = lines.collect();
        return Err(if rest.is_empty() { error } else { error.hint(rest.join("; ")) });
    }
    let notes = said.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect();
    Ok(Said { printed, notes })
}

/// The PHP shim: `$BAM_PHP_SHIM`, else beside the installed program, else in the source tree the program was built in.
pub fn shim() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("BAM_PHP_SHIM").map(PathBuf::from).into_iter().collect();
    if let Ok(program) = std::env::current_exe() {
        let up = |levels| program.ancestors().nth(levels);
        // PREFIX/bin/bam
        places.extend(up(2).map(|prefix| prefix.join("share/bam/php-shim")));
        // target/debug/bam
        places.extend(up(3).map(|top| top.join("php-shim")));
    }
    if let Some(found) = places.iter().find(|place| place.join("bin").join(EXPORTER).is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err(Error::new(Code::Config, format!("bam's PHP part is in none of: {}", looked.join(", ")))
        .hint("install it with `make install`, or say in BAM_PHP_SHIM where php-shim is"))
}
