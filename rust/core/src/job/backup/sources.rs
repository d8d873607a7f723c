//! What a source of the document means: which folders, which database, what is left out, and writing it all.

use super::pipeline::Pipeline;
use crate::archive::{self, Entry, EntryKind, Manifest, SiteFacts};
use crate::catalog::{Kind, Sidecar, key};
use crate::compress;
use crate::config::{
    CompressionLevel, Connection, Document, Driver, Profile, Site, Source, SourceCode, SourceSettings,
    SourceType, names_table,
};
use crate::job::choose::{self, Choice};
use crate::job::member_path::join;
use crate::job::places;
use crate::job::restore::recover;
use crate::job::scope::{archive_excludes, database_files, files_excludes, folder, relative_to};
use crate::source::composer;
use crate::source::database::{self, DumpReport, DumpSettings};
use crate::source::exclude::{self, Excludes, plain_path, real_path};
use crate::source::files::{FileTree, TreeReport};
use crate::source::reach::Reach;
use crate::source::siblings;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt, threads};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The compression of a dump that waits on disk for its turn in the tar: fast, and small enough.
const SPOOL_LEVEL: i32 = 1;

/// A source, ready to be written.
pub struct BackupPlan {
    label: String,
    sidecar_type: &'static str,
    database: Option<(Connection, DumpSettings)>,
    trees: Vec<FileTree>,
    /// Real paths that links may lead into.
    named: Vec<PathBuf>,
    manifest: Option<Facts>,
    ignore_errors: bool,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Wrote {
    /// Files, where there are any in such a backup: their number, their bytes, how many changed meanwhile.
    pub files: Option<TreeReport>,
    /// The database.
    pub dump: Option<DumpReport>,
}

impl Wrote {
    /// Notes it in the sidecar.
    pub fn describe(&self, sidecar: &mut Sidecar) {
        sidecar.set_number(key::CHANGED_FILES, self.files.as_ref().map_or(0, |files| files.changed));
        if let Some(files) = &self.files {
            sidecar.set_number(key::FILES, files.files);
            sidecar.set_number(key::FILE_BYTES, files.bytes);
            if !files.followed.is_empty() {
                sidecar.set_list(key::FOLLOWED, &files.followed);
            }
        }
        if let Some(dump) = &self.dump {
            sidecar.set_number(key::TABLES, dump.tables + dump.empty_tables);
        }
    }
}

/// What the manifest of a site archive is made from.
struct Facts {
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
        // A backup never contains backups, least of all itself, nor what a restore could not remove.
        let strays = recover::strays(&crate::job::lock::state_dir(document)?);
        for folder in places::local_folders(document).into_iter().chain(strays) {
            for tree in &mut plan.trees {
                tree.excludes.add_path(&folder);
            }
        }
        Ok(plan)
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
        for file in database_files(document).into_iter().filter(|file| file.exists()) {
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
        if !folder.is_dir() {
            return Err(Error::new(
                Code::NotFound,
                format!("the folder {} does not exist", folder.display()),
            )
            .hint("check the source's path in the configuration"));
        }
        if let Some(link) = astray(site, &folder) {
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
        if site.root.as_os_str().is_empty() {
            return Err(Error::new(
                Code::Config,
                "a site archive needs the docroot, but site.root is not set",
            )
            .hint("set site.root in the configuration"));
        }
        self.sidecar_type = "archive";
        let excludes = || archive_excludes(document, source, settings);
        let composer = source.code == Some(SourceCode::Composer);
        if composer && composer::folders(&site.root).is_none() {
            return Err(Error::of_path(
                Code::Config,
                &site.root,
                "has no composer.json and composer.lock that could bring its code back",
            )
            .hint("leave \"code: composer\" out of the source, so that all code is in the backup"));
        }
        let theirs: Vec<_> = siblings::paths(site).iter().map(|path| path.display().to_string()).collect();
        if !theirs.is_empty() {
            monitor.note(
                NoteKind::Info,
                format!("of other sites, and not in this backup: {}", theirs.join(", ")),
            );
        }
        self.add_tree(site, site.root.clone(), b"docroot", excludes())?;
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
        match inside(&public) {
            Some(path) => facts.public = path,
            None if public.is_dir() => {
                // Where Drupal looks for them by default, so that any tool restores them.
                let prefix = format!("docroot/{}", facts.public);
                let excludes = excludes();
                if !excludes.patterns().exclude_at_or_above(prefix.as_bytes(), b"docroot") {
                    self.add_tree(site, public, prefix.as_bytes(), excludes)?;
                }
            }
            None => {}
        }
        match site.private_dir() {
            Some(private) if private.is_dir() => match inside(&private) {
                Some(path) => facts.private = Some(format!("docroot/{path}")),
                None => {
                    facts.private = Some("private".into());
                    self.add_tree(site, private, b"private", excludes())?;
                }
            },
            Some(private) => monitor.note(
                NoteKind::Warning,
                format!("the private files' folder {} does not exist and is left out", private.display()),
            ),
            None => {}
        }
        self.manifest = Some(facts);
        Ok(())
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

    /// Writes everything, in one pass.
    pub fn write(
        &self,
        out: &mut Pipeline,
        now: u64,
        spool_dir: &Path,
        monitor: &Arc<Monitor>,
    ) -> Result<Wrote> {
        match (&self.manifest, &self.database) {
            (None, Some((connection, settings))) => {
                let report = database::dump(connection, settings, out, monitor)?;
                Ok(Wrote { dump: Some(report), ..Wrote::default() })
            }
            (None, None) => {
                let mut tar = archive::Writer::new(out);
                let files = self.write_trees(&mut tar, &AtomicBool::new(false), monitor)?;
                tar.finish()?;
                Ok(Wrote { files: Some(files), dump: None })
            }
            (Some(_), database) => self.write_site(database.as_ref(), out, now, spool_dir, monitor),
        }
    }

    /// Ends with an error once `stop` is set.
    fn write_trees(
        &self,
        tar: &mut archive::Writer<&mut Pipeline>,
        stop: &AtomicBool,
        monitor: &Monitor,
    ) -> Result<TreeReport> {
        let mut total = TreeReport::default();
        for tree in &self.trees {
            let mut append = |entry: &Entry, body: &mut dyn Read| {
                monitor.set_current(archive::show(&entry.path));
                tar.append(entry, &mut Stoppable { body, stop }).map(drop)
            };
            let report = tree.walk(monitor, &mut append)?;
            total.files += report.files;
            total.bytes += report.bytes;
            total.changed += report.changed;
            total.followed.extend(report.followed);
        }
        Ok(total)
    }

    fn write_site(
        &self,
        database: Option<&(Connection, DumpSettings)>,
        out: &mut Pipeline,
        now: u64,
        spool_dir: &Path,
        monitor: &Arc<Monitor>,
    ) -> Result<Wrote> {
        let (driver, file) = self.dump_name();
        let mtime = i64::try_from(now).unwrap_or_default();
        let manifest = self.manifest(driver, file, mtime).unwrap_or_default();
        let gzip = out.splices();
        let failed = AtomicBool::new(false);
        let failed = &failed;
        std::thread::scope(|scope| {
            // tar wants the dump's size before its bytes: it waits on disk while the files are archived.
            let spooling = match database {
                Some((connection, settings)) => Some(threads::spawn_scoped(scope, "bam-spool", move || {
                    let spooled = Spooled::dump(connection, settings, spool_dir, gzip, monitor);
                    // Without a dump the files go nowhere: no need to read and send them for hours.
                    failed.store(spooled.is_err(), Relaxed);
                    spooled
                })?),
                None => None,
            };
            let mut tar = archive::Writer::new(out);
            tar.append_bytes(b"MANIFEST.ini", 0o644, mtime, manifest.as_bytes())?;
            let walked = self.write_trees(&mut tar, failed, monitor);
            // Before that stops the dump, too.
            let dump_failed = failed.load(Relaxed);
            if walked.is_err() {
                // The dump must not go on for minutes for nothing.
                monitor.cancel();
            }
            let spooled = spooling.map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Error::new(Code::Internal, "the dump stopped at a bug in bam")))
            });
            // Where the dump has failed, that is why the files did not come to their end.
            let spooled = match spooled {
                Some(Err(error)) if dump_failed && walked.is_err() => return Err(error),
                other => other,
            };
            let mut wrote = Wrote { files: Some(walked?), dump: None };
            if let Some(spooled) = spooled {
                let spooled = spooled?;
                wrote.dump = Some(spooled.report.clone());
                spooled.append_to(&mut tar, file, mtime)?;
            }
            tar.finish()?;
            Ok(wrote)
        })
    }
}

/// A file's body that ends with an error once `stop` is set.
struct Stoppable<'a> {
    body: &'a mut dyn Read,
    stop: &'a AtomicBool,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Relaxed) {
            return Err(io::Error::other("given up, since something else has failed"));
        }
        self.body.read(buffer)
    }
}

/// A dump in a temporary file without a name, compressed: on disk, it is never in the clear under a name.
struct Spooled {
    file: File,
    report: DumpReport,
    /// It is compressed just as the backup is, so that it is compressed once; else by zstd.
    final_form: bool,
}

impl Spooled {
    fn dump(
        connection: &Connection,
        settings: &DumpSettings,
        folder: &Path,
        gzip: Option<CompressionLevel>,
        monitor: &Monitor,
    ) -> Result<Spooled> {
        let file = tempfile::tempfile_in(folder).at("cannot make a temporary file in", folder)?;
        let (mut file, report) = match gzip {
            Some(level) => {
                // Next to it, all processors compress the files: few are shared, since either may be the larger part; of
                // many, half will do, for the sake of memory.
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                let threads = processors.min((processors / 2).max(4));
                let mut encoder = compress::writer(compress::Kind::Gzip, level, "", file, threads)?;
                let report = database::dump(connection, settings, &mut encoder, monitor)?;
                let at =
                    |error: Error| error.context(format!("cannot keep the dump in {}", folder.display()));
                (encoder.finish().map_err(at)?, report)
            }
            None => {
                let mut encoder = zstd::Encoder::new(file, SPOOL_LEVEL)?;
                let report = database::dump(connection, settings, &mut encoder, monitor)?;
                (encoder.finish().at("cannot keep the dump in", folder)?, report)
            }
        };
        file.rewind().at("cannot read the dump back from", folder)?;
        Ok(Spooled { file, report, final_form: gzip.is_some() })
    }

    fn append_to(mut self, tar: &mut archive::Writer<&mut Pipeline>, name: &str, mtime: i64) -> Result<()> {
        let entry = Entry {
            path: name.as_bytes().to_vec(),
            kind: EntryKind::File { size: self.report.bytes },
            mode: 0o600,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime,
            extras: Default::default(),
        };
        if self.final_form {
            return tar.append_by(&entry, |out| out.splice(self.report.bytes, &mut self.file));
        }
        let mut dump = zstd::Decoder::new(self.file)?;
        let appended = tar.append(&entry, &mut dump)?;
        if appended.padded > 0 || io::copy(&mut dump, &mut io::sink())? > 0 {
            return Err(Error::new(
                Code::Internal,
                "the dump on disk has another size than the dump that was made",
            ));
        }
        Ok(())
    }
}

/// The folders that the configuration and the site's own settings name, without links: others' links may lead there.
fn named_folders(document: &Document) -> Vec<PathBuf> {
    let site = &document.site;
    let sources = document.sources.values().filter_map(|source| site.resolve(source.path.as_ref()?).ok());
    let own = [site.root.clone(), site.public_dir()].into_iter().chain(site.private_dir());
    let named =
        sources.chain(own).filter(|path| !path.as_os_str().is_empty() && astray(site, path).is_none());
    named.filter_map(|path| path.canonicalize().ok()).collect()
}

/// A link on the way to a folder that the web server's user may have put there, inside the public files, and that leads
/// to what its owner may not read.
fn astray(site: &Site, folder: &Path) -> Option<PathBuf> {
    let inside = folder.strip_prefix(site.public_dir()).ok()?;
    let mut path = site.public_dir();
    for part in inside.components() {
        path.push(part);
        let link = rustix::fs::lstat(&path).ok()?;
        if !rustix::fs::FileType::from_raw_mode(link.st_mode).is_symlink() {
            continue;
        }
        let (real, to) = (path.canonicalize().ok()?, rustix::fs::stat(&path).ok()?);
        let reach = Reach::of(link.st_uid);
        if !(reach.reads(&to) && reach.gets_to(real.as_os_str().as_bytes())) {
            return Some(path);
        }
    }
    None
}
