//! Maintenance mode while a run needs the site to hold still, through the PHP shim's `bam-maintenance`: only Drupal can
//! change its own variables without its caches contradicting it.

use crate::configuration;
use bam::config::Document;
use bam::{Code, Error, Result};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The site is offline because of us; dropped, it is back online. Should this process be killed before, the record that
/// `bam-maintenance` keeps lets whoever looks next (a page, cron, `bam`) put the site back online.
#[derive(Debug)]
pub struct Offline(Tool);

/// How to reach the tool for one site.
#[derive(Debug)]
struct Tool {
    program: PathBuf,
    root: PathBuf,
    uri: Option<String>,
}

impl Offline {
    /// Puts the site offline. `None`: it was offline already, and stays so.
    pub fn begin(document: &Document, uri: Option<&str>, message: &str) -> Result<Option<Offline>> {
        let tool = Tool::of(document, uri)?;
        let said = tool.run(&["begin", &std::process::id().to_string()], message)?;
        // Not then_some(): what that made in vain would be dropped, and put the site online.
        Ok((said == "taken").then(|| Offline(tool)))
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        // Nothing more can be done about a failure; the record stays, and with it the repair.
        let _ = self.0.run(&["end"], "");
    }
}

/// Puts a site back online whose database comes from a backup that was made while it was offline because of us. Does
/// nothing where no Drupal is.
pub fn end_restored(document: &Document, uri: Option<&str>) -> Result<()> {
    if !document.site.root.join("includes/bootstrap.inc").is_file() {
        return Ok(());
    }
    Tool::of(document, uri)?.run(&["restored"], "").map(drop)
}

impl Tool {
    fn of(document: &Document, uri: Option<&str>) -> Result<Tool> {
        let site = &document.site;
        let uri = uri.or(Some(site.url.as_str()).filter(|url| !url.is_empty()));
        let program = configuration::shim()?.join("bin/bam-maintenance");
        Ok(Tool { program, root: site.root.clone(), uri: uri.map(str::to_owned) })
    }

    fn run(&self, words: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new("php");
        command.arg(&self.program).arg("--root").arg(&self.root);
        if let Some(uri) = &self.uri {
            command.arg("--uri").arg(uri);
        }
        // Ctrl-C is for us alone: what we began we end.
        command.args(words).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed =
            |cause| Error::new(Code::Config, "cannot run php to put the site offline").because(cause);
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A tool that ended without reading says why on its standard error.
            let _ = stdin.write_all(input.as_bytes());
        }
        let ended = child.wait_with_output().map_err(failed)?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            return Err(Error::new(Code::Config, said.trim().trim_start_matches("bam-maintenance: ")));
        }
        Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned())
    }
}
