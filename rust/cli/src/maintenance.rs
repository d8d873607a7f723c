//! Maintenance mode: where the program is that the engine asks for it, and the mode around a backup.

use crate::php_shim;
use bam::config::Document;
use bam::job::site;
use bam::look;
use bam::{Monitor, Result};

/// The document with the PHP shim's `bam-maintenance` in it, where the site is a Drupal and it names nothing else.
pub fn with_program(mut document: Document, uri: Option<&str>) -> Document {
    let site = &mut document.site;
    // Only Drupal since 8 has a docroot in a project; its code may still have to be restored.
    let drupal = look::is_file(&site.root.join("includes/bootstrap.inc")).unwrap_or(true)
        || site.is_modern()
        || site.docroot() != site.root;
    if !site.maintenance_command.is_empty() || !drupal {
        return document;
    }
    // Where there is none, the engine does without.
    let Ok(program) = php_shim::shim().map(|shim| shim.join("bin/bam-maintenance")) else {
        return document;
    };
    if let (Some(program), Some(root)) = (program.to_str(), site.root.to_str()) {
        site.maintenance_command = ["php", program, "--root", root].map(str::to_owned).into();
        if let Some(uri) = uri.or(Some(site.url.as_str()).filter(|url| !url.is_empty())) {
            site.maintenance_command.extend(["--uri", uri].map(str::to_owned));
        }
    }
    document
}

/// The site is offline because of us; dropped, it is back online. Should this process be killed before, the record that
/// `bam-maintenance` keeps lets whoever looks next (a page, cron, `bam`) put the site back online.
#[derive(Debug)]
pub struct Offline(Document);

impl Offline {
    /// Puts the site offline. `None`: it was offline already, and stays so.
    pub fn begin(document: &Document, message: &str) -> Result<Option<Offline>> {
        // Not then_some(): what that made in vain would be dropped, and put the site online.
        Ok(site::offline(document, message, None, &Monitor::new())?.then(|| Offline(document.clone())))
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        if let Err(error) = site::online(&self.0) {
            // The record stays: the next run repairs it.
            eprintln!(
                "bam: warning: the site may still be in maintenance mode, look at it and see to that: {error}"
            );
        }
    }
}
