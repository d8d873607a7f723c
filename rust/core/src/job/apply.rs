//! Putting a decoded backup in place: a database, a folder, or a site archive with both.
//!
//! Everything goes beside the live data first; the [`Journal`] then makes it live in one go.

use super::journal::Journal;
use super::pipe::{PipeReader, PipeWriter, pipe};
use super::swap::TreeSwap;
use crate::archive::{
    ExtractOptions, ExtractReport, Extractor, Layout, Member, Part, Place, Reader, Survey, show,
};
use crate::config::Document;
use crate::source::database::{LoadReport, LoadSettings, Replacement};
use crate::{Code, Error, Monitor, NoteKind, Result};
use serde::Serialize;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// The backup's MAC proves that it is ours: set-user-ID and set-group-ID bits come back, too.
    pub authentic: bool,
    /// Finds what of a live folder stays although the backup does not have it; paths relative to the folder.
    pub keep: &'a (dyn Fn(&Path) -> Vec<PathBuf> + Sync),
}

/// An [`Target::id`] that no other restore has.
pub fn unique_id() -> String {
    format!("{:x}{:x}", jiff::Timestamp::now().as_second(), std::process::id())
}

impl Target<'_> {
    /// How files are extracted.
    pub fn extract_options(&self) -> ExtractOptions {
        ExtractOptions { special_bits: self.authentic, ..ExtractOptions::default() }
    }
}

/// What was put in place.
#[derive(Debug, Default, Serialize)]
pub struct Applied {
    /// Files, further names of them included.
    pub files: u64,
    /// Folders.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Tables.
    pub tables: u64,
    /// Tables that went because the backup does not have them.
    pub removed_tables: Vec<String>,
}

impl Applied {
    pub fn add_load(&mut self, report: LoadReport) {
        self.tables += report.tables;
        self.removed_tables.extend(report.removed);
    }

    pub fn add_extract(&mut self, report: &ExtractReport) {
        self.files += report.files;
        self.directories += report.directories;
        self.symlinks += report.symlinks;
    }
}

/// Restores a database dump.
pub fn database(
    target: &Target<'_>,
    journal: &mut Journal,
    dump: Box<dyn Read + Send>,
    monitor: &Monitor,
) -> Result<Applied> {
    let mut applied = Applied::default();
    applied.add_load(load(target, journal, dump, monitor)?);
    Ok(applied)
}

fn load(
    target: &Target<'_>,
    journal: &mut Journal,
    dump: Box<dyn Read + Send>,
    monitor: &Monitor,
) -> Result<LoadReport> {
    let connection = target.document.connection(&target.database)?;
    let mut replacement = Replacement::plan(&connection, target.state_dir, &target.id)?;
    journal.set_database(&target.database, replacement.clone())?;
    let loaded = replacement.load(&connection, dump, &LoadSettings::default(), monitor);
    journal.set_database(&target.database, replacement)?;
    loaded
}

/// Restores a tar: a folder's or a site's. `survey` as for [`begin`].
pub fn tar(
    target: &Target<'_>,
    journal: &mut Journal,
    input: Box<dyn Read + Send>,
    survey: Option<Layout>,
    monitor: &Arc<Monitor>,
) -> Result<Applied> {
    let mut reader = Reader::new(input);
    let (layout, first) = begin(&mut reader, survey, target.folder.is_some())?;
    match (&layout, &target.folder) {
        (Layout::Files { .. }, Some(folder)) => {
            let root = stage(target, journal, folder)?;
            let select = |path: &[u8]| match layout.part(path) {
                Part::File(rest) => Some(Place { root: 0, path: rest.to_vec() }),
                _ => None,
            };
            let mut applied = Applied::default();
            let report =
                Extractor::new(&[&root], target.extract_options(), monitor, select)?.run(&mut reader)?;
            applied.add_extract(&report);
            Ok(applied)
        }
        (Layout::Site(_), None) => site(target, journal, &layout, first, &mut reader, monitor),
        (Layout::Site(_), Some(folder)) => Err(Error::new(
            Code::Usage,
            format!("this backup holds a whole site and cannot be put into the folder {}", folder.display()),
        )
        .hint("restore it onto the source \"archive\"")),
        (Layout::Files { .. }, None) => Err(no_site()),
    }
}

/// How an archive is laid out, and its first member where that had to be read. `survey` is the result of an earlier
/// pass over a foreign archive; without it the archive is one of ours: `files`, or a site, whose first member tells.
pub fn begin(
    reader: &mut Reader<Box<dyn Read + Send>>,
    survey: Option<Layout>,
    files: bool,
) -> Result<(Layout, Option<Member>)> {
    match survey {
        Some(layout) => Ok((layout, None)),
        None if files => Ok((Layout::Files { base: Vec::new() }, None)),
        None => {
            let member = reader.next_member()?.ok_or_else(no_site)?;
            let mut survey = Survey::default();
            survey.observe(&member.entry, reader)?;
            Ok((survey.layout(), Some(member)))
        }
    }
}

fn no_site() -> Error {
    Error::new(Code::Usage, "this backup holds files, but no site: it has no MANIFEST.ini and no database")
        .hint("restore it onto a source of type files")
}

/// Makes the folder that is to replace `folder`, and notes both in the journal.
fn stage(target: &Target<'_>, journal: &mut Journal, folder: &Path) -> Result<PathBuf> {
    let at = journal.add_tree(TreeSwap::stage(folder, &target.id)?)?;
    match journal.trees().get(at) {
        Some(tree) => tree.dress().map(|()| tree.staged().to_owned()),
        None => Err(Error::new(Code::Internal, "the restore's journal lost a folder")),
    }
}

/// Which folders of the site a site archive is put into.
struct Folders {
    /// Live folders, in the order of the extractor's roots.
    live: Vec<PathBuf>,
    /// Path of the public files in the docroot of the archive.
    public_in_archive: Vec<u8>,
    docroot: Option<usize>,
    public: Option<usize>,
    private: Option<usize>,
    /// `CONF_PATH/settings.php` in the archive, where the live one stays.
    settings: Option<Vec<u8>>,
}

impl Folders {
    fn of(target: &Target<'_>, layout: &Layout, monitor: &Monitor) -> Folders {
        let site = &target.document.site;
        let mut folders = Folders {
            live: Vec::new(),
            public_in_archive: Vec::new(),
            docroot: None,
            public: None,
            private: None,
            settings: None,
        };
        let Layout::Site(archive) = layout else { return folders };
        folders.public_in_archive.clone_from(&archive.public);
        let mut add = |path: PathBuf| {
            folders.live.push(path);
            Some(folders.live.len() - 1)
        };
        let public = site.public_dir();
        if target.code {
            folders.docroot = add(site.root.clone());
        }
        if !target.code || !public.starts_with(&site.root) {
            folders.public = add(public);
        }
        if archive.private.is_some() {
            match site.private_dir() {
                Some(private) => folders.private = add(private),
                None => monitor.note(
                    NoteKind::Missing,
                    "the backup holds private files, but the site has no private path: they are left out",
                ),
            }
        }
        let settings = site.conf_dir().join("settings.php");
        if target.code && settings.exists() {
            let mut path = archive.conf_path.clone();
            path.extend_from_slice(b"/settings.php");
            folders.settings = Some(path);
        }
        folders
    }

    fn place(&self, part: Part<'_>) -> Option<Place> {
        match part {
            Part::Private(rest) => Some(Place { root: self.private?, path: rest.to_vec() }),
            Part::Docroot(rest) => {
                if let (Some(root), Some(rest)) = (self.public, below(rest, &self.public_in_archive)) {
                    return Some(Place { root, path: rest.to_vec() });
                }
                let root = self.docroot?;
                (self.settings.as_deref() != Some(rest)).then(|| Place { root, path: rest.to_vec() })
            }
            _ => None,
        }
    }
}

fn below<'p>(path: &'p [u8], folder: &[u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(folder)? {
        b"" => Some(b""),
        rest if folder.is_empty() => Some(rest),
        rest => rest.strip_prefix(b"/"),
    }
}

fn site(
    target: &Target<'_>,
    journal: &mut Journal,
    layout: &Layout,
    first: Option<Member>,
    reader: &mut Reader<Box<dyn Read + Send>>,
    monitor: &Arc<Monitor>,
) -> Result<Applied> {
    let folders = Folders::of(target, layout, monitor);
    let staged =
        folders.live.iter().map(|live| stage(target, journal, live)).collect::<Result<Vec<PathBuf>>>()?;
    let roots: Vec<&Path> = staged.iter().map(PathBuf::as_path).collect();
    let select = |path: &[u8]| folders.place(layout.part(path));
    let mut extractor = Extractor::new(&roots, target.extract_options(), monitor, select)?;
    let mut applied = Applied::default();
    members(
        layout,
        first,
        reader,
        &mut extractor,
        Some(&mut |reader| {
            applied.add_load(load_member(target, journal, reader, monitor)?);
            Ok(())
        }),
    )?;
    applied.add_extract(&extractor.finish()?);
    Ok(applied)
}

/// What loads the dump of a site archive, which the reader stands at.
pub type LoadDump<'a> = &'a mut dyn FnMut(&mut Reader<Box<dyn Read + Send>>) -> Result<()>;

/// Gives every member to the extractor, but the dump of a site to `load` where there is one. A site archive without a
/// dump is an error.
pub fn members(
    layout: &Layout,
    first: Option<Member>,
    reader: &mut Reader<Box<dyn Read + Send>>,
    extractor: &mut Extractor<'_>,
    mut load: Option<LoadDump<'_>>,
) -> Result<()> {
    let mut dumped = false;
    let mut next = match first {
        Some(member) => Some(member),
        None => reader.next_member()?,
    };
    while let Some(member) = next {
        let dump = layout.part(&member.entry.path) == Part::Database;
        match &mut load {
            Some(load) if dump => load(reader)?,
            _ => drop(extractor.take(&member, reader)?),
        }
        dumped |= dump;
        next = reader.next_member()?;
    }
    match layout {
        Layout::Site(site) if !dumped => Err(Error::new(
            Code::Integrity,
            format!("the site archive has no database: {} is missing", show(&site.database)),
        )
        .hint("use another copy of this backup")),
        _ => Ok(()),
    }
}

/// Loads the dump that `reader` stands at. The loader takes its input over, hence the pipe.
pub fn load_member(
    target: &Target<'_>,
    journal: &mut Journal,
    reader: &mut Reader<Box<dyn Read + Send>>,
    monitor: &Monitor,
) -> Result<LoadReport> {
    let (writer, input) = pipe();
    std::thread::scope(|scope| {
        let loading = scope.spawn(move || load(target, journal, Box::new(input), monitor));
        let fed = feed(reader, writer);
        let loaded = loading
            .join()
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "loading stopped at a bug in bam")));
        match (fed, loaded) {
            // A loader that gave up is why the feeding broke; a feeder that broke is why the dump was cut short.
            (Err(fed), _) if fed.kind() != io::ErrorKind::BrokenPipe => Err(fed.into()),
            (_, loaded) => loaded,
        }
    })
}

fn feed(reader: &mut Reader<Box<dyn Read + Send>>, mut writer: PipeWriter) -> io::Result<()> {
    io::copy(reader, &mut writer)?;
    writer.finish()
}

/// All is staged: says what of the live folders stays.
pub fn prepare_swap(target: &Target<'_>, journal: &mut Journal) -> Result<()> {
    for tree in journal.trees() {
        let keep = (target.keep)(tree.live());
        tree.keep(keep);
    }
    Ok(())
}

/// A decoder that runs on a thread of its own, so that decrypting and decompressing overlap with extracting.
pub fn on_a_thread(mut input: Box<dyn Read + Send>) -> Result<PipeReader> {
    let (mut writer, reader) = pipe();
    std::thread::Builder::new()
        .name("bam-decode".into())
        .spawn(move || match io::copy(&mut input, &mut writer) {
            Ok(_) => drop(writer.finish()),
            Err(error) => writer.fail(error),
        })
        .map_err(|cause| Error::new(Code::Internal, "cannot start a thread").because(cause))?;
    Ok(reader)
}
