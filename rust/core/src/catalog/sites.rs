//! Which backups a verb sees: its own site's, unless it is told otherwise.
//!
//! The one place where this is decided. What is passed over is counted, and told by name where something is not found.

use super::{Backup, Copy, Listing, Relation, SiteIdentity, SiteUrl};
use crate::config::Document;
use crate::{Code, Error, Note, NoteKind, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What stands for every site after `--site`.
const ALL: &str = "all";

/// Whose backups are wanted.
#[derive(Debug, Clone)]
pub struct Sites {
    /// The site of the document; none on a bare machine, which sees all.
    own: Option<SiteIdentity>,
    which: Which,
    /// Folders of this machine that are the site's alone.
    folders: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Own,
    /// The site of this address or name.
    Named(String),
    All,
}

/// Backups of one site, as a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteCount {
    /// The site in words.
    pub site: String,
    /// Its address, where known.
    pub url: Option<String>,
    /// Its name, where known.
    pub name: Option<String>,
    /// How many backups.
    pub backups: usize,
}

impl Sites {
    /// The document's own site, or what `asked` names: an address, a name, or `all`.
    pub fn of(document: &Document, asked: Option<&str>) -> Sites {
        let own = SiteIdentity::of(document);
        let which = match asked.map(str::trim).filter(|asked| !asked.is_empty()) {
            None => Which::Own,
            Some(ALL) => Which::All,
            Some(text) if own.as_ref().is_some_and(|own| own.is_meant_by(text)) => Which::Own,
            Some(text) => Which::Named(text.to_owned()),
        };
        let site = &document.site;
        let mut folders = Vec::new();
        if !site.root.as_os_str().is_empty() {
            folders.extend([Some(site.conf_dir()), Some(site.public_dir()), site.private_dir()]);
        }
        let real = |folder: PathBuf| std::fs::canonicalize(&folder).unwrap_or(folder);
        Sites { own, which, folders: folders.into_iter().flatten().map(real).collect() }
    }

    /// The document's site.
    pub fn own(&self) -> Option<&SiteIdentity> {
        self.own.as_ref()
    }

    /// The document's site, where its backups are what is wanted.
    pub fn only_own(&self) -> Option<&SiteIdentity> {
        self.own.as_ref().filter(|_| self.which == Which::Own)
    }

    /// Whether a backup of that site may be used without a further word. What does not say whose it is may be.
    pub fn admit(&self, theirs: &SiteIdentity) -> bool {
        match (&self.which, &self.own) {
            (Which::All, _) | (Which::Own, None) => true,
            (Which::Own, Some(own)) => own.relation(theirs) != Relation::Other,
            (Which::Named(text), _) => theirs.is_meant_by(text),
        }
    }

    /// Fails where that site's backup is not wanted; `what` is the backup's name.
    pub fn check(&self, theirs: &SiteIdentity, what: &str) -> Result<()> {
        match self.admit(theirs) {
            true => Ok(()),
            false => Err(self.not_ours(theirs, what)),
        }
    }

    /// Whether nobody said whose backups are wanted, and there is no own site.
    pub fn is_open(&self) -> bool {
        self.own.is_none() && self.which == Which::Own
    }

    /// [`Code::Usage`]: the backup is another site's, and how to have it all the same.
    pub(super) fn not_ours(&self, theirs: &SiteIdentity, what: &str) -> Error {
        let wanted = match (&self.which, &self.own) {
            (Which::Named(text), _) => format!("not of {text}"),
            (_, Some(own)) => format!("not of this site, {}", own.describe()),
            _ => "not of this site".into(),
        };
        let name = theirs.address().map(ToString::to_string).or_else(|| theirs.name.clone());
        let how = name.map_or_else(|| "--site all".into(), |name| format!("--site {}", quoted(&name)));
        Error::new(Code::Usage, format!("{what} is of the site {}, {wanted}", theirs.describe()))
            .hint(format!("if it is meant, say so with {how}{}", self.renamed(theirs)))
    }

    /// A word on a site that changed its address.
    fn renamed(&self, theirs: &SiteIdentity) -> String {
        match (&self.own, theirs.address()) {
            (Some(own), Some(url)) if own.same_folder(theirs) => format!(
                "; it was made from this very folder and database: if the site had that address before, add {url} to site.aliases"
            ),
            _ => String::new(),
        }
    }

    fn is_own_folder(&self, copy: &Copy) -> bool {
        let folder = Path::new(&copy.place.folder);
        copy.place.local && self.folders.iter().any(|own| folder.starts_with(own))
    }
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

impl Listing {
    /// Leaves the backups that `sites` wants; the rest goes to [`Listing::others`]. [`Code::Usage`] where a site is named
    /// that has no backups here, or by a name that several have.
    pub fn of_sites(mut self, sites: &Sites) -> Result<Listing> {
        self.mark(sites);
        match &sites.which {
            Which::All => {}
            Which::Own if sites.own.is_none() => {}
            Which::Own => self.others = self.backups.extract_if(.., |b| b.own != Some(true)).collect(),
            Which::Named(text) => {
                let is_other = |b: &mut Backup| !b.identity().is_meant_by(text);
                self.others = self.backups.extract_if(.., is_other).collect();
                self.check_named(text)?;
            }
        }
        self.asked = Some(sites.clone());
        self.tell_ambiguous();
        if let Some(note) = self.passed_over() {
            self.notes.push(note);
        }
        Ok(self)
    }

    /// Says of each backup whether it is the own site's. Of those that do not tell, those are that lie in a folder of
    /// the site's own, or in one where no other site's lie: neither one that says so, nor several by their names.
    fn mark(&mut self, sites: &Sites) {
        let Some(own) = &sites.own else { return };
        // Backup and Migrate writes the address of the request that it served: in the site's own folder it may say what
        // it likes.
        let at_home = |backup: &Backup| backup.copies.iter().any(|copy| sites.is_own_folder(copy));
        let (mut relations, mut shared) = (Vec::new(), BTreeSet::new());
        let mut names: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for backup in &self.backups {
            let relation = match own.relation(backup.identity()) {
                Relation::Other if !backup.is_ours() && at_home(backup) => Relation::Unknown,
                relation => relation,
            };
            for copy in &backup.copies {
                let folder = (copy.place.host.clone(), copy.place.folder.clone());
                if relation == Relation::Other {
                    shared.insert(folder);
                } else if let (Relation::Unknown, Some(name)) = (relation, &backup.about.site) {
                    names.entry(folder).or_default().insert(name.clone());
                }
            }
            relations.push(relation);
        }
        for (backup, relation) in self.backups.iter_mut().zip(relations) {
            let site = &backup.about.site;
            let alone = |copy: &Copy| {
                let folder = (copy.place.host.clone(), copy.place.folder.clone());
                let several = names.get(&folder).is_some_and(|names| names.len() > 1);
                !shared.contains(&folder) && (!several || site.is_some() && *site == own.name)
            };
            let assumed =
                relation == Relation::Unknown && (at_home(backup) || backup.copies.iter().any(alone));
            backup.own = Some(assumed || relation == Relation::Same);
            backup.site_assumed = assumed;
        }
    }

    fn check_named(&self, text: &str) -> Result<()> {
        match self.site_counts().as_slice() {
            [] => {
                let known: Vec<String> = count(&self.others).into_iter().map(|site| site.site).collect();
                let error = Error::new(
                    Code::Usage,
                    format!("there are no backups of a site \"{text}\"{}", self.unasked()),
                );
                Err(match known.as_slice() {
                    [] => error,
                    known => error.hint(format!("there are some of: {}", known.join("; "))),
                })
            }
            [_] => Ok(()),
            several => {
                let several: Vec<&str> = several.iter().map(|site| site.site.as_str()).collect();
                Err(Error::new(
                    Code::Usage,
                    format!("several sites are called \"{text}\": {}", several.join("; ")),
                )
                .hint("name one by its address"))
            }
        }
    }

    /// The sites of the listed backups.
    pub fn site_counts(&self) -> Vec<SiteCount> {
        count(&self.backups)
    }

    /// The sites of those that were passed over.
    pub fn other_sites(&self) -> Vec<SiteCount> {
        count(&self.others)
    }

    /// The listed backups by site: those of one in each group.
    pub fn by_site(&self) -> Vec<Vec<&Backup>> {
        group(&self.backups).into_iter().map(|(_, backups)| backups).collect()
    }

    /// How many were passed over, and whose they are.
    fn passed_over(&self) -> Option<Note> {
        if self.others.is_empty() {
            return None;
        }
        let told: Vec<String> =
            self.other_sites().into_iter().map(|site| format!("{} of {}", site.backups, site.site)).collect();
        let many = self.others.len();
        let text = format!(
            "{many} backup{} of other sites {} passed over: {} (--site names one, or all)",
            if many == 1 { "" } else { "s" },
            if many == 1 { "is" } else { "are" },
            told.join("; ")
        );
        Some(Note { kind: NoteKind::Info, text })
    }

    /// Destinations that could not be asked, to be appended to a message.
    pub(super) fn unasked(&self) -> String {
        let told = self.unreachable.iter().map(|(name, why)| format!("; {name} could not be asked: {why}"));
        told.collect()
    }
}

/// How many backups there are of each site.
pub(super) fn count<'b>(backups: impl IntoIterator<Item = &'b Backup>) -> Vec<SiteCount> {
    let told = |(site, backups): (SiteIdentity, Vec<&Backup>)| SiteCount {
        site: site.describe(),
        url: site.address().map(SiteUrl::to_string),
        name: site.name,
        backups: backups.len(),
    };
    group(backups).into_iter().map(told).collect()
}

/// Backups by site, in the order in which each site comes first.
fn group<'b>(backups: impl IntoIterator<Item = &'b Backup>) -> Vec<(SiteIdentity, Vec<&'b Backup>)> {
    let mut groups: Vec<(SiteIdentity, Vec<&Backup>)> = Vec::new();
    for backup in backups {
        let site = backup.identity();
        let own = backup.own == Some(true);
        let found = groups.iter_mut().find(|(known, members)| {
            let both_own = own && members.first().is_some_and(|first| first.own == Some(true));
            both_own || known.relation(site) == Relation::Same || (!site.is_known() && known == site)
        });
        match found {
            Some((known, members)) => {
                // The first may know less than those that follow.
                known.url = known.url.take().or_else(|| site.url.clone());
                known.folder = known.folder.take().or_else(|| site.folder.clone());
                members.push(backup);
            }
            None => groups.push((site.clone(), vec![backup])),
        }
    }
    groups
}
