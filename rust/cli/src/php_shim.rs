//! The PHP shim (php-shim/): where it is, and what its programs say of a Drupal site.

use bam::config::Document;
use bam::look;
use bam::{Code, Error, Result, Secret, environment};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The shim's program that prints a site's document.
pub const EXPORTER: &str = "bam-export-config";

/// What one of the shim's programs said.
pub struct Said {
    /// Its standard output, which may hold passwords: it came through a pipe and is zeroed after use.
    pub printed: Secret,
    /// Its remarks.
    pub notes: Vec<String>,
}

/// Variables with `BAM_` in front that the shim reads.
const FOR_PHP: [&[u8]; 1] = [b"BAM_LIBRARY"];

/// Runs one of the shim's programs on the Drupal site in `root`.
pub fn ask_site(name: &str, root: &Path, uri: Option<&str>, words: &[&OsStr]) -> Result<Said> {
    if !is_there(root)? || !look::is_folder(root)? {
        return Err(Error::of_path(Code::Usage, root, "is not a folder")
            .hint("--root wants the folder that Drupal's index.php is in"));
    }
    let mut command = Command::new("php");
    // Which variables hold keys and passwords it is about to tell; those of our own name can be no others.
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"BAM_") && !FOR_PHP.contains(&name.as_bytes()) {
            command.env_remove(name);
        }
    }
    environment::clean(&mut command);
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
        // An old Drupal on a new PHP has hundreds of these, and what went wrong comes after them.
        let is_reason = |line: &&str| {
            !line.starts_with("PHP Deprecated:")
                && !line.starts_with("Deprecated:")
                && !line.trim().is_empty()
        };
        let mut lines = said.lines().filter(is_reason).map(bare);
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
    if let Some(found) =
        places.iter().find(|place| look::is_file(&place.join("bin").join(EXPORTER)).unwrap_or(false))
    {
        return Ok(found.clone());
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err(Error::new(Code::Config, format!("bam's PHP part is in none of: {}", looked.join(", ")))
        .hint("install the package php-bam, run `make install`, or say in BAM_PHP_SHIM where php-shim is"))
}

/// Whether a file or folder is there. One in a folder that we may not look into is not taken for missing.
pub fn is_there(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(cause) => Err(Document::unreadable(path, cause)),
    }
}
