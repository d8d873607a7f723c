//! What a source of the document covers: its folder, what is left out of it, and where its folders lie in a site archive.
//! A backup writes that, a restore leaves alone what is not in it.

use crate::config::{Document, Driver, Site, Source, SourceCode, SourceSettings};
use crate::look;
use crate::source::exclude::{self, Excludes};
use crate::source::{composer, database, machine, siblings};
use crate::{Code, Error, Result};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The folder of a files source.
pub fn folder(document: &Document, name: &str, source: &Source) -> Result<PathBuf> {
    let path = source.path.as_ref().ok_or_else(|| {
        Error::new(Code::Config, format!("source {name} has no path"))
            .hint(format!("set sources.{name}.path in the configuration"))
    })?;
    document.site.resolve(path)
}

/// What a files source leaves out.
pub fn files_excludes(document: &Document, settings: Option<&SourceSettings>, folder: &Path) -> Excludes {
    let lines =
        settings.and_then(|s| s.exclude.clone()).unwrap_or_else(|| exclude::default_of_files(&document.site));
    let mut excludes = Excludes::new(lines, folder, &document.site);
    database_files(document).iter().for_each(|path| excludes.add_path(path));
    excludes
}

/// What a site archive leaves out.
pub fn archive_excludes(
    document: &Document,
    source: &Source,
    settings: Option<&SourceSettings>,
) -> Result<Excludes> {
    let site = &document.site;
    let mut excludes = match settings.and_then(|s| s.exclude.clone()) {
        Some(lines) => Excludes::in_archive(lines, &site.root, site, &archive_places(site)?),
        None => {
            let mut excludes = Excludes::new(exclude::default_of_archive(site), &site.root, site);
            machine::files(site)?.iter().for_each(|path| excludes.add_path(path));
            excludes
        }
    };
    database_files(document).iter().for_each(|path| excludes.add_path(path));
    siblings::paths(site)?.iter().for_each(|path| excludes.add_path(path));
    if source.code == Some(SourceCode::Composer) {
        composer::folders(&site.root)?.unwrap_or_default().iter().for_each(|path| excludes.add_path(path));
    }
    Ok(excludes)
}

/// The folders of a site archive and their paths in it, as the `Plan` of a backup puts them.
pub fn archive_places(site: &Site) -> Result<Vec<(PathBuf, String)>> {
    let mut places = vec![(site.root.clone(), "docroot".to_owned())];
    let public = site.public_dir();
    let apart = relative_to(&public, &site.root)?.is_none();
    if apart {
        places.push((public.clone(), format!("docroot/{}/files", site.conf_path_or_default())));
    }
    if let Some(private) = site.private_dir()
        && relative_to(&private, &site.root)?.is_none()
        && !(apart && relative_to(&private, &public)?.is_some())
    {
        places.push((private, "private".to_owned()));
    }
    Ok(places)
}

/// The files of SQLite databases: they are dumped and loaded as databases, and never go along as files, where they would
/// be a second time, and torn.
pub fn database_files(document: &Document) -> Vec<PathBuf> {
    let connections = document.databases.keys().filter_map(|name| document.connection(name).ok());
    let of_sqlite = connections.filter(|connection| connection.driver == Driver::Sqlite);
    of_sqlite.flat_map(|connection| database::files(&connection)).collect()
}

/// `path` relative to `root`, where it lies below it and its name is text.
pub fn relative_to(path: &Path, root: &Path) -> Result<Option<String>> {
    let real = |path| look::if_open(look::real(path));
    let (Some(path), Some(root)) = (real(path)?, real(root)?) else { return Ok(None) };
    let rest = path.strip_prefix(root).map(|rest| rest.as_os_str().as_bytes()).unwrap_or_default();
    Ok(std::str::from_utf8(rest).ok().filter(|rest| !rest.is_empty()).map(str::to_owned))
}
