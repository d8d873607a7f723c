//! What a backup is put onto.

use super::left_out::LeftOut;
use crate::Result;
use crate::archive::ExtractOptions;
use crate::config::Document;
use crate::job::lock;
use std::path::{Path, PathBuf};

/// What a backup is put onto.
pub struct Target<'a> {
    /// The site.
    pub document: &'a Document,
    /// Its state folder.
    pub state_dir: &'a Path,
    /// Unique to this restore: letters and digits.
    pub id: String,
    /// For archives: which database of the document the dump in it goes to.
    pub database: String,
    /// For folders: which one.
    pub folder: Option<PathBuf>,
    /// For site archives: the code, too.
    pub code: bool,
    /// settings.php, too.
    pub settings: bool,
    /// Of a database only these tables, with or without prefix; `*` at the end stands for anything. Empty: all.
    pub tables: &'a [String],
    /// Tables that the backup says it does not have, or not whole, by their names in it.
    pub unread_tables: Vec<String>,
    /// Of a dump of several databases this one.
    pub only: Option<&'a str>,
    /// Tables get the table prefix that the document says.
    pub translate: bool,
    /// The backup's MAC proves that it is ours: set-user-ID and set-group-ID bits come back, too.
    pub authentic: bool,
    /// Finds what of a live folder stays although the backup does not have it; paths relative to the folder.
    pub keep: &'a (dyn Fn(&Path) -> Result<Vec<PathBuf>> + Sync),
    /// What belongs to other sites and is not named in so many words: nothing is put there.
    pub others: Vec<PathBuf>,
    /// What the backup says it left out.
    pub recorded: Option<&'a LeftOut>,
}

impl Target<'_> {
    /// bam's own folder, which stays.
    pub fn state_place(&self) -> Result<PathBuf> {
        lock::state_place(self.state_dir)
    }

    /// How files are extracted.
    pub fn extract_options(&self) -> ExtractOptions {
        ExtractOptions { special_bits: self.authentic, ..ExtractOptions::default() }
    }
}
