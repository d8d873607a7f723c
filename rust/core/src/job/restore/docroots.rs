//! A docroot in an archive and the docroot of the site, where they are called differently: other programs archive the
//! docroot alone, while a Composer project has it in a folder of its own.

use crate::archive::show;
use crate::config::{Site, docroot_of};
use crate::job::member_path::{below, join};
use crate::{Monitor, NoteKind};
use std::path::PathBuf;

/// Where the code of an archive goes.
pub struct Docroots {
    /// The folder that the archive's code is put into.
    pub root: PathBuf,
    /// The docroot below the archive's root, and its counterpart below [`Docroots::root`]. Empty: they are the same.
    theirs: Vec<u8>,
    ours: Vec<u8>,
    /// Nothing around the archive's docroot has a place here.
    docroot_alone: bool,
}

impl Docroots {
    /// What becomes of the code of an archive whose `sitedir` is `conf_path`. What has no place, and what the archive
    /// does not have, is told.
    pub fn of(site: &Site, conf_path: &[u8], monitor: &Monitor) -> Docroots {
        let conf_path = String::from_utf8_lossy(conf_path);
        let theirs = docroot_of(&conf_path);
        let ours = docroot_of(site.conf_path_or_default());
        let mut found = Docroots {
            root: site.root.clone(),
            theirs: theirs.into(),
            ours: ours.into(),
            docroot_alone: false,
        };
        if theirs == ours {
            return found;
        }
        if theirs.is_empty() {
            // Put into the project it would take the place of the whole project.
            found.root = site.docroot();
            found.ours = Vec::new();
            let text = format!(
                "the backup holds a docroot without the project around it: it goes into {}, and all else in {} stays as it is",
                found.root.display(),
                site.root.display()
            );
            monitor.note(NoteKind::Missing, text);
        } else if ours.is_empty() {
            found.docroot_alone = true;
            let text = format!(
                "the backup is of a project with its docroot in {}, and {} is known as a docroot alone: what lies around \
                 the docroot in the backup (vendor, configuration) is left out. To restore it, name the project's folder \
                 as the site's root",
                show(theirs.as_bytes()),
                site.root.display()
            );
            monitor.note(NoteKind::Missing, text);
        } else {
            let text =
                format!("the backup has its docroot in {}, which is {ours} here", show(theirs.as_bytes()));
            monitor.note(NoteKind::Warning, text);
        }
        found
    }

    /// Where a path of the archive's code goes, below [`Docroots::root`].
    pub fn place(&self, path: &[u8]) -> Option<Vec<u8>> {
        match below(path, &self.theirs) {
            Some(rest) => Some(join(&self.ours, rest)),
            // The folder around the docroot is the site's own here.
            None => (!self.docroot_alone).then(|| path.to_vec()),
        }
    }

    /// The paths in the archive's code of what is put into the root, and into a folder of it that has another name there.
    pub fn parts(&self) -> Vec<(&[u8], &[u8])> {
        match (self.theirs == self.ours, self.docroot_alone) {
            (true, _) => vec![(b"", b"")],
            (false, true) => vec![(b"", &self.theirs)],
            (false, false) => vec![(b"", b""), (&self.ours, &self.theirs)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docroot_is_never_put_over_the_project_around_it() {
        let placed = |ours: &str, theirs: &str, path: &str| {
            let site = Site { root: "/w".into(), conf_path: ours.into(), ..Site::default() };
            let docroots = Docroots::of(&site, theirs.as_bytes(), &Monitor::new());
            let place = docroots.place(path.as_bytes())?;
            Some(docroots.root.join(String::from_utf8(place).expect("text")))
        };
        let (alone, web) = ("sites/default", "web/sites/default");
        for (ours, theirs, path, expected) in [
            (web, alone, "index.php", Some("/w/web/index.php")),
            (web, alone, "sites/default/x", Some("/w/web/sites/default/x")),
            (web, web, "web/index.php", Some("/w/web/index.php")),
            (web, web, "vendor/a", Some("/w/vendor/a")),
            (web, "docroot/sites/default", "docroot/index.php", Some("/w/web/index.php")),
            (web, "docroot/sites/default", "vendor/a", Some("/w/vendor/a")),
            (alone, web, "web/index.php", Some("/w/index.php")),
            (alone, web, "webb", None),
            (alone, web, "vendor/a", None),
            (alone, "sites/other.org", "index.php", Some("/w/index.php")),
            ("", alone, "index.php", Some("/w/index.php")),
        ] {
            assert_eq!(placed(ours, theirs, path), expected.map(PathBuf::from), "{ours} {theirs} {path}");
        }
    }

    #[test]
    fn a_docroot_of_another_name_is_told_and_put_where_it_belongs() {
        let of = |ours: &str, theirs: &str| {
            let site = Site { root: "/w".into(), conf_path: ours.into(), ..Site::default() };
            let monitor = Monitor::new();
            let docroots = Docroots::of(&site, theirs.as_bytes(), &monitor);
            let text = |part: &[u8]| String::from_utf8(part.to_vec()).expect("text");
            let parts: Vec<_> =
                docroots.parts().into_iter().map(|(ours, theirs)| (text(ours), text(theirs))).collect();
            (parts, monitor.notes().iter().map(|note| note.kind).collect::<Vec<_>>())
        };
        let pair = |ours: &str, theirs: &str| (ours.to_owned(), theirs.to_owned());
        let (alone, web, other) = ("sites/default", "web/sites/default", "docroot/sites/default");
        assert_eq!(of(web, web), (vec![pair("", "")], vec![]));
        assert_eq!(of(web, alone), (vec![pair("", "")], vec![NoteKind::Missing]), "the project is not there");
        assert_eq!(of(alone, web), (vec![pair("", "web")], vec![NoteKind::Missing]), "nor what is around it");
        assert_eq!(of(web, other), (vec![pair("", ""), pair("web", "docroot")], vec![NoteKind::Warning]));
    }
}
