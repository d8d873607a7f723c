//! How tables are called in the dump and at the site, and which are asked for.

use crate::config::names_table;
use crate::source::dump_types::LoadSettings;
use crate::source::sql::renamed;
use crate::{Monitor, NoteKind};

/// See the module.
pub(super) struct Names<'a> {
    pub(super) site: &'a str,
    /// Where the dump tells.
    pub(super) dump: Option<&'a str>,
    pub(super) settings: &'a LoadSettings,
}

impl Names<'_> {
    /// The prefixes of the dump and those that tables are to have, where those differ.
    pub(super) fn translate(&self) -> Option<(&str, &str)> {
        let pair = self.dump.zip(self.settings.prefix.as_deref());
        pair.filter(|(theirs, ours)| theirs != ours)
    }

    /// What a table of the dump is called at the site.
    pub(super) fn ours(&self, name: &str) -> String {
        match self.translate() {
            Some((theirs, ours)) => renamed(name, theirs, ours).into_owned(),
            None => name.to_owned(),
        }
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        let asked = |only: &Vec<String>| names_table(only, &self.ours(name), self.site);
        self.settings.tables.as_ref().is_none_or(asked)
    }

    pub(super) fn tell(&self, monitor: &Monitor) {
        let text = match (self.dump, self.settings.prefix.as_deref()) {
            (None, Some(_)) => "the dump does not tell its table prefix: tables keep their names".to_owned(),
            (Some(theirs), None) if theirs != self.site => {
                format!(
                    "the backup's tables have the prefix \"{theirs}\", the site's settings say \"{}\"",
                    self.site
                )
            }
            _ => return,
        };
        monitor.note(NoteKind::Warning, text);
    }
}
