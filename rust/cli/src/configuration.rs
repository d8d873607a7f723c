//! Where the configuration comes from: a file, or a Drupal site through the PHP shim's exporter.

use crate::args::Global;
use bam::config::Document;
use bam::{Code, Error, Result, Secret};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where bam.yml is looked for.
const DEFAULTS: [&str; 2] = ["bam.yml", "/etc/bam/bam.yml"];

/// The configuration that was asked for.
pub fn load(global: &Global) -> Result<Document> {
    find(global)?.ok_or_else(|| {
        Error::new(
            Code::Config,
            format!("there is no configuration: neither {} exists", DEFAULTS.join(" nor ")),
        )
        .hint("name it with --config FILE, or a Drupal site with --root DIR")
    })
}

/// The same for verbs that can do without: `None` where nothing was asked for and no default exists.
pub fn find(global: &Global) -> Result<Option<Document>> {
    if let Some(root) = &global.root {
        return from_site(root, global.uri.as_deref()).map(Some);
    }
    if let Some(file) = &global.config {
        // To say so as a mistake in the command, not as a failure of reading.
        if !file.exists() {
            return Err(Error::new(Code::Config, format!("there is no configuration {}", file.display()))
                .hint("check the name after --config"));
        }
        return Document::load(file).map(Some);
    }
    match DEFAULTS.iter().map(Path::new).find(|file| file.exists()) {
        Some(file) => Document::load(file).map(Some),
        None => Ok(None),
    }
}

/// Asks the shim for the document of the Drupal site in `root`. Passwords come through a pipe and are zeroed after use.
fn from_site(root: &Path, uri: Option<&str>) -> Result<Document> {
    if !root.is_dir() {
        return Err(Error::new(Code::Usage, format!("{} is not a folder", root.display()))
            .hint("--root wants the folder that Drupal's index.php is in"));
    }
    let exporter = shim()?.join("bin/bam-export-config");
    let mut command = Command::new("php");
    command.arg(&exporter).arg("--root").arg(root);
    if let Some(uri) = uri {
        command.arg("--uri").arg(uri);
    }
    let result = command.stdin(Stdio::null()).output().map_err(|cause| {
        let error = Error::new(Code::Config, "cannot run php to read the site's settings").because(cause);
        error.hint("install php-cli, or write a bam.yml (`bam help config export`)")
    })?;
    let document = Secret::new(result.stdout);
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        let said = said.trim().trim_start_matches("bam: ");
        return Err(Error::new(
            Code::Config,
            format!("cannot read the settings of {}: {said}", root.display()),
        )
        .hint("the same with more detail: bam --root DIR config check"));
    }
    let text = std::str::from_utf8(document.expose()).map_err(|cause| {
        Error::new(Code::Config, format!("{} did not print UTF-8", exporter.display())).because(cause)
    })?;
    Document::from_json(text)
}

/// The PHP shim: `$BAM_PHP_SHIM`, else beside the installed program, else in the source tree the program was built in.
fn shim() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("BAM_PHP_SHIM").map(PathBuf::from).into_iter().collect();
    if let Ok(program) = std::env::current_exe() {
        let up = |levels| program.ancestors().nth(levels);
        // PREFIX/bin/bam
        places.extend(up(2).map(|prefix| prefix.join("share/bam/php-shim")));
        // target/debug/bam
        places.extend(up(3).map(|top| top.join("php-shim")));
    }
    if let Some(found) = places.iter().find(|place| place.join("bin/bam-export-config").is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err(Error::new(Code::Config, format!("bam's PHP part is in none of: {}", looked.join(", ")))
        .hint("install it with `make install`, or say in BAM_PHP_SHIM where php-shim is"))
}
