//! What a source of the document means: which folders, which database, what is left out.

use crate::archive::{Manifest, SiteFacts};
use crate::catalog::{Kind, Sidecar, key};
use crate::config::{
    Connection, Document, Driver, Profile, Site, Source, SourceCode, SourceSettings, SourceType, names_table,
};
use crate::destination::SIDECAR_MAX;
use crate::job::choose::{self, Choice};
use crate::job::lock;
use crate::job::member_path::join;
use crate::job::places;
use crate::job::restore::recover;
use crate::job::scope::{archive_excludes, database_files, files_excludes, folder, relative_to};
use crate::look;
use crate::source::composer;
use crate::source::database::{self, DumpSettings};
use crate::source::exclude::{self, Excludes, plain_path, real_path};
use crate::source::files::FileTree;
use crate::source::reach::Reach;
use crate::source::siblings;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A source, ready to be written.
pub struct BackupPlan {
    label: String,
    sidecar_type: &'static str,
    pub(super) database: Option<(Connection, DumpSettings)>,
    pub(super) trees: Vec<FileTree>,
    /// Real paths that links may lead into.
    named: Vec<PathBuf>,
    pub(super) manifest: Option<Facts>,
    ignore_errors: bool,
    /// Folders of the site's files that are not there, as paths in the archive.
    absent: Vec<Vec<u8>>,
}

/// What the manifest of a site archive is made from.
pub(super) struct Facts {
    version: String,
    name: String,
    conf_path: String,
    public: String,
    private: Option<String>,
    composer: bool,
}

impl BackupPlan {
    /// Looks at the document and the disk; what does not exist shows here, before anything is written.
    pub fn of(
        document: &Document,
        choice: &Choice,
        profile: &Profile,
        monitor: &Monitor,
    ) -> Result<BackupPlan> {
        let source = choose::source(document, &choice.source)?;
        let settings = profile.sources.get(&choice.source);
        let mut plan = BackupPlan {
            label: source.name.clone().unwrap_or_else(|| choice.source.clone()),
            sidecar_type: "filesource",
            database: None,
            trees: Vec::new(),
            named: named_folders(document),
            manifest: None,
            ignore_errors: profile.ignore_errors,
            absent: Vec::new(),
        };
        if source.kind != SourceType::Files {
            plan.add_database(document, source, profile, &choice.source)?;
        }
        match source.kind {
            SourceType::Database => {}
            SourceType::Files => {
                let folder = folder(document, &choice.source, source)?;
                let excludes = files_excludes(document, settings, &folder);
                plan.add_tree(&document.site, folder, b"", excludes)?;
            }
            SourceType::Archive => plan.add_site(document, source, settings, monitor)?,
        }
        plan.tell_of_databases(document, monitor);
        for (line, why) in plan.trees.first().map_or(&[][..], |tree| tree.excludes.malformed()) {
            let text = format!(
                "{line:?}, which is to be excluded, is no pattern ({why}): only what bears just that name is left out"
            );
            monitor.note(NoteKind::Warning, text);
        }
        plan.check_places(document)?;
        // A backup never contains backups, least of all itself, nor what a restore could not remove, nor what bam remembers.
        let state_dir = lock::state_dir(document)?;
        let strays = recover::strays(&state_dir).into_iter().chain([lock::state_place(&state_dir)?]);
        for folder in places::local_folders(document).into_iter().chain(strays) {
            for tree in &mut plan.trees {
                tree.excludes.add_path(&folder);
            }
        }
        Ok(plan)
    }

    /// Refuses to make a backup that a place for backups takes a folder of the site out of.
    fn check_places(&self, document: &Document) -> Result<()> {
        for place in places::local_folders(document) {
            let Some(own) = places::swallows(document, &place)? else { continue };
            let real = look::real_as_far(&place)?;
            for tree in &self.trees {
                if real.starts_with(look::real_as_far(&tree.base)?) {
                    return Err(places::swallowed(&place, &own));
                }
            }
        }
        Ok(())
    }

    fn add_database(
        &mut self,
        document: &Document,
        source: &Source,
        profile: &Profile,
        source_name: &str,
    ) -> Result<()> {
        let name = source.database.as_deref().unwrap_or("db");
        let connection = document.connection(name)?;
        // A site archive's dump follows the profile's settings for the database source itself, as in B&M.
        let settings = profile.sources.get(source_name).filter(|_| source.kind == SourceType::Database);
        let settings = settings.or_else(|| profile.sources.get(name)).cloned().unwrap_or_default();
        self.sidecar_type = match connection.driver {
            Driver::Mysql => "mysql",
            Driver::Pgsql => "pgsql",
            Driver::Sqlite => "sqlite",
        };
        let mut dump = DumpSettings::from(&settings);
        dump.ignore_errors = profile.ignore_errors;
        self.database = Some((connection, dump));
        Ok(())
    }

    /// A database in use is no file among others, and that is said.
    fn tell_of_databases(&self, document: &Document, monitor: &Monitor) {
        for file in database_files(document).into_iter().filter(|file| look::exists(file).unwrap_or(true)) {
            let real = exclude::real_path(&file);
            let log = ["-journal", "-wal", "-shm"].iter().any(|log| file.to_string_lossy().ends_with(log));
            if !log && self.trees.iter().any(|tree| real.starts_with(exclude::real_path(&tree.base))) {
                let file = file.display();
                let text = format!(
                    "the SQLite database {file} is left out of the files: it is backed up as a database"
                );
                monitor.note(NoteKind::Info, text);
            }
        }
    }

    fn add_tree(&mut self, site: &Site, folder: PathBuf, prefix: &[u8], excludes: Excludes) -> Result<()> {
        if !look::is_folder(&folder)? {
            return Err(Error::new(
                Code::NotFound,
                format!("the folder {} does not exist", folder.display()),
            )
            .hint("check the source's path in the configuration"));
        }
        if let Some(link) = astray(site, &folder)? {
            return Err(Error::of_path(
                Code::Permission,
                link,
                "is a link to what its owner may not read: it is not followed",
            )
            .hint("look who put it there; where it is right, let root make it"));
        }
        self.trees.push(FileTree {
            base: folder,
            prefix: prefix.to_vec(),
            excludes,
            named: self.named.clone(),
            apart: None,
            ignore_errors: self.ignore_errors,
            threads: None,
        });
        Ok(())
    }

    fn add_site(
        &mut self,
        document: &Document,
        source: &Source,
        settings: Option<&SourceSettings>,
        monitor: &Monitor,
    ) -> Result<()> {
        let site = &document.site;
        let composer = source.code == Some(SourceCode::Composer);
        check_root(site, composer)?;
        self.sidecar_type = "archive";
        let excludes = || archive_excludes(document, source, settings);
        let theirs: Vec<_> = siblings::paths(site)?.iter().map(|path| path.display().to_string()).collect();
        if !theirs.is_empty() {
            monitor.note(
                NoteKind::Info,
                format!("of other sites, and not in this backup: {}", theirs.join(", ")),
            );
        }
        self.add_tree(site, site.root.clone(), b"docroot", excludes()?)?;
        let inside = |path: &Path| relative_to(path, &site.root);
        let public = site.public_dir();
        let mut facts = Facts {
            version: site.drupal_version.clone(),
            name: site.name.clone(),
            conf_path: site.conf_path_or_default().to_owned(),
            public: format!("{}/files", site.conf_path_or_default()),
            private: None,
            composer,
        };
        // The public files' place, where they have a tree of their own.
        let mut apart = None;
        match inside(&public)? {
            Some(path) => facts.public = path,
            None => {
                // Where Drupal looks for them by default, so that any tool restores them.
                let (prefix, excludes) = (format!("docroot/{}", facts.public), excludes()?);
                let named = inside_by_name(&public, &site.root);
                let at = named.as_ref().map_or_else(|| prefix.clone(), |path| format!("docroot/{path}"));
                if !self.is_there(site, ("public", &public), &at, &excludes, monitor)? {
                    facts.public = named.unwrap_or(facts.public);
                } else if !excludes.patterns().exclude_at_or_above(prefix.as_bytes(), b"docroot") {
                    // The docroot's walk gets there as well where its own link leads to them.
                    let real = look::real_as_far(&public)?;
                    if let Some(docroot) = self.trees.first_mut() {
                        docroot.apart = Some((facts.public.clone().into_bytes(), real));
                    }
                    self.add_tree(site, public.clone(), prefix.as_bytes(), excludes)?;
                    apart = Some(prefix);
                }
            }
        }
        if let Some(private) = site.private_dir() {
            let at = inside_by_name(&private, &site.root)
                .map_or("private".into(), |path| format!("docroot/{path}"));
            let in_public = apart.as_ref().map(|_| relative_to(&private, &public)).transpose()?.flatten();
            match (inside(&private)?, apart.zip(in_public)) {
                (Some(path), _) => facts.private = Some(format!("docroot/{path}")),
                (None, Some((prefix, path))) => facts.private = Some(format!("{prefix}/{path}")),
                (None, None) => {
                    let excludes = excludes()?;
                    if self.is_there(site, ("private", &private), &at, &excludes, monitor)? {
                        facts.private = Some("private".into());
                        self.add_tree(site, private, b"private", excludes)?;
                    }
                }
            }
        }
        self.manifest = Some(facts);
        Ok(())
    }

    /// Whether there is a folder of the site's files, whose path in the archive is `at`. Else it is missing from the backup,
    /// unless it is to be left out.
    fn is_there(
        &mut self,
        site: &Site,
        (which, folder): (&str, &Path),
        at: &str,
        excludes: &Excludes,
        monitor: &Monitor,
    ) -> Result<bool> {
        let found = look::is_folder(folder);
        if matches!(found, Ok(true)) {
            return Ok(true);
        }
        let (folder, root) = (plain_path(folder), plain_path(&site.root));
        let inside = |path: &Path| path == folder || path.starts_with(&root) && path != root;
        let mut above = folder.ancestors().take_while(|path| inside(path));
        if above.any(|path| excludes.contains(path))
            || excludes.patterns().exclude_at_or_above(at.as_bytes(), b"docroot")
        {
            return Ok(false);
        }
        let text = match found {
            Err(error) => format!("the {which} files are left out: {error}"),
            Ok(_) if is_behind_dangling_link(site, &folder)? => return Ok(false),
            Ok(_) => format!(
                "the {which} files' folder {} does not exist: what belongs there is not in this backup (mount it, or make it, \
                 or take it out of the site's settings)",
                folder.display()
            ),
        };
        monitor.note(NoteKind::Missing, text);
        self.absent.push(at.as_bytes().to_vec());
        Ok(false)
    }

    /// Folders of the site's files that are not there, as paths in the archive.
    pub fn absent(&self) -> &[Vec<u8>] {
        &self.absent
    }

    /// What the file's name says of its content.
    pub fn kind(&self) -> Kind {
        match (&self.manifest, &self.database) {
            (Some(_), _) => Kind::SiteArchive,
            (None, Some((connection, _))) => match connection.driver {
                Driver::Mysql => Kind::Mysql,
                Driver::Pgsql => Kind::Pgsql,
                Driver::Sqlite => Kind::Sqlite,
            },
            (None, None) => Kind::Tar,
        }
    }

    /// `bam_sourcetype`, in B&M's words.
    pub fn sidecar_type(&self) -> &'static str {
        self.sidecar_type
    }

    /// The source's name for people.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The folders that are read.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.trees.iter().map(|tree| tree.base.clone()).collect()
    }

    /// What is left out of the folders, as paths in the archive; `None` where there are no folders.
    pub fn excluded(&self) -> Option<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for tree in &self.trees {
            for base in [plain_path(&tree.base), real_path(&tree.base)] {
                let below = tree.excludes.below(&base).into_iter();
                all.extend(below.map(|path| join(&tree.prefix, path.as_os_str().as_bytes())));
            }
        }
        all.sort();
        all.dedup();
        (!self.trees.is_empty()).then_some(all)
    }

    /// The patterns of what is left out of the folders, as a `.gitignore` at the root of the archive would have them.
    pub fn excluded_patterns(&self) -> Vec<String> {
        let tree = self.trees.first();
        tree.map_or_else(Vec::new, |tree| tree.excludes.patterns().lines().map(str::to_owned).collect())
    }

    /// The database and how it is dumped.
    pub fn database(&self) -> Option<&(Connection, DumpSettings)> {
        self.database.as_ref()
    }

    /// The folders as they are read.
    pub fn trees(&self) -> &[FileTree] {
        &self.trees
    }

    /// Whether it goes on without what cannot be read.
    pub fn ignores_errors(&self) -> bool {
        self.ignore_errors
    }

    /// What MANIFEST.ini calls the database's driver, and its dump's name in an archive.
    pub fn dump_name(&self) -> (&'static str, &'static str) {
        match self.database.as_ref().map(|(connection, _)| connection.driver) {
            Some(Driver::Sqlite) => ("sqlite", "database.sqlite"),
            Some(Driver::Pgsql) => ("pgsql", "database.sql"),
            _ => ("mysql", "database.sql"),
        }
    }

    /// MANIFEST.ini of a site archive.
    pub fn manifest(&self, driver: &str, file: &str, now: i64) -> Option<String> {
        let facts = self.manifest.as_ref()?;
        let manifest = Manifest::of_site(&SiteFacts {
            datestamp: u64::try_from(now).unwrap_or_default(),
            generator_version: env!("CARGO_PKG_VERSION"),
            version: &facts.version,
            name: &facts.name,
            conf_path: &facts.conf_path,
            public_path: &facts.public,
            private: facts.private.as_deref(),
            composer: facts.composer,
            database: file,
            driver,
        });
        Some(manifest.to_string())
    }

    /// Notes in the sidecar what is left out of the folders.
    pub fn describe_excludes(&self, sidecar: &mut Sidecar) {
        if let Some(excluded) = self.excluded() {
            sidecar.set_list(key::EXCLUDED, excluded);
            let patterns = self.excluded_patterns();
            if !patterns.is_empty() {
                sidecar.set_list(key::EXCLUDED_PATTERNS, patterns);
            }
        }
    }

    /// Fails where what is left out by name takes more than half of a sidecar, before anything is read.
    ///
    /// # Errors
    ///
    /// [`Code::Config`]
    pub fn check_excludes(&self) -> Result<()> {
        let mut sidecar = Sidecar::new();
        self.describe_excludes(&mut sidecar);
        sidecar.check_length(SIDECAR_MAX / 2)
    }

    /// Whether a database is read.
    pub fn has_database(&self) -> bool {
        self.database.is_some()
    }

    /// About how many bytes there are to be read.
    pub fn measure(&self, monitor: &Monitor) -> Result<u64> {
        let mut bytes = 0;
        if let Some((connection, settings)) = &self.database {
            let left_out = |name: &str| {
                names_table(&settings.nodata_tables, name, &connection.prefix)
                    || names_table(&settings.exclude_tables, name, &connection.prefix)
            };
            let tables = database::tables(connection, false, monitor)?;
            bytes +=
                tables.iter().filter(|table| !left_out(&table.name)).map(|table| table.bytes).sum::<u64>();
        }
        for tree in &self.trees {
            bytes += tree.measure(monitor)?;
        }
        Ok(bytes)
    }
}

/// `path` relative to `root` by its text alone, where it lies below it and its name is text.
fn inside_by_name(path: &Path, root: &Path) -> Option<String> {
    let path = plain_path(path);
    let rest = path.strip_prefix(plain_path(root)).ok()?.to_str()?;
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// Whether a folder that is not there is behind a link of the docroot which leads out of it: the walk tells of that.
fn is_behind_dangling_link(site: &Site, folder: &Path) -> Result<bool> {
    let (root, far) = (look::real_as_far(&site.root)?, look::real_as_far(folder)?);
    let end = look::real_beyond(folder)?;
    Ok(far.starts_with(&root) && end != far && !end.starts_with(&root))
}

/// Fails where there is no docroot, or none whose code Composer can bring back.
fn check_root(site: &Site, composer: bool) -> Result<()> {
    if site.root.as_os_str().is_empty() {
        return Err(Error::new(Code::Config, "a site archive needs the docroot, but site.root is not set")
            .hint("set site.root in the configuration"));
    }
    if composer && composer::folders(&site.root)?.is_none() {
        return Err(Error::of_path(
            Code::Config,
            &site.root,
            "has no composer.json and composer.lock that could bring its code back",
        )
        .hint("leave \"code: composer\" out of the source, so that all code is in the backup"));
    }
    Ok(())
}

/// The folders that the configuration and the site's own settings name, without links: others' links may lead there.
fn named_folders(document: &Document) -> Vec<PathBuf> {
    let site = &document.site;
    let sources = document.sources.values().filter_map(|source| site.resolve(source.path.as_ref()?).ok());
    let own = [site.root.clone(), site.public_dir()].into_iter().chain(site.private_dir());
    let trusted = |path: &PathBuf| !path.as_os_str().is_empty() && matches!(astray(site, path), Ok(None));
    sources.chain(own).filter(trusted).filter_map(|path| path.canonicalize().ok()).collect()
}

/// A link on the way to a folder that the web server's user may have put there, inside the public files, and that leads
/// to what its owner may not read. Fails where one cannot be looked at.
fn astray(site: &Site, folder: &Path) -> Result<Option<PathBuf>> {
    let mut path = site.public_dir();
    let Ok(inside) = folder.strip_prefix(&path) else { return Ok(None) };
    for part in inside.components() {
        path.push(part);
        let Some(link) = look::itself(&path)? else { return Ok(None) };
        if !link.is_symlink() {
            continue;
        }
        let Some(real) = look::real(&path)? else { return Ok(None) };
        let to = rustix::fs::stat(&real).at("cannot look at", &real)?;
        let reach = Reach::of(link.uid());
        if !(reach.reads(&to) && reach.gets_to(real.as_os_str().as_bytes())) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
