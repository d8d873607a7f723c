//! Backups in repositories: saved as a dump and as folders as they lie, and read as the archive that they would be.
//!
//! `save` writes one, `copy` copies one; this file knows what is said about it (`bam.json` in its last snapshot) and puts the archive
//! together again (`share`: a part of it), so that restoring, drilling and looking into it are the same for both kinds.

mod again;
pub mod copy;
pub mod save;
mod share;

pub use again::Again;
pub use share::Share;

use crate::archive::{self, Entry, EntryKind};
use crate::catalog::{FileName, Sidecar, key};
use crate::config::{Compression, EncryptionKind};
use crate::destination::snapshots::{ABOUT, DATABASE, FILES, PART, Snapshot, backups};
use crate::destination::{Destination, Snapshots};
use crate::job::member_path::{below, join};
use crate::job::pipe::{PipeReader, PipeWriter, pipe};
use crate::source::outline::Link;
use crate::{Code, Error, Fact, Result, ResultExt, Told, threads};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The newest form of `bam.json`.
const FORMAT: u64 = 1;
/// A file that is not longer is kept in memory while it is put at several places.
const SMALL: u64 = 1 << 20;
/// A `bam.json` longer than this is none.
const MOST: u64 = 256 << 20;

/// What there is to say about a backup.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// All of its sidecar.
    pub sidecar: Sidecar,
    /// The dump's name in the archive and its bytes.
    pub database: Option<(String, u64)>,
    /// MANIFEST.ini of a site archive.
    pub manifest: Option<String>,
    /// Real paths at the time, and where each stands in the archive.
    pub places: Vec<(Vec<u8>, Vec<u8>)>,
    /// What stands at further places.
    pub again: Vec<Again>,
    /// Real paths that stand by [`About::again`] alone, with all below them.
    pub only_again: Vec<Vec<u8>>,
    /// Links of the archive that are something else in the snapshot.
    pub links: Vec<Link>,
    /// Unix time of the backup.
    pub time: i64,
}

fn written(bytes: &[u8]) -> String {
    const ENCODED: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'_').remove(b'-');
    percent_encode(bytes, ENCODED).to_string()
}

fn read(value: &Value) -> Option<Vec<u8>> {
    Some(percent_decode_str(value.as_str()?).collect())
}

impl About {
    /// As `bam.json`; paths are percent-encoded, as they may be any bytes.
    fn to_json(&self) -> Value {
        let links = self.links.iter().map(|link| {
            json!([
                written(&link.path),
                written(&link.target),
                link.hard,
                link.mode,
                link.uid,
                link.gid,
                link.mtime
            ])
        });
        let all = |paths: &[Vec<u8>]| paths.iter().map(|path| written(path)).collect::<Vec<_>>();
        let again = self
            .again
            .iter()
            .map(|again| json!([written(&again.real), written(&again.at), all(&again.without)]));
        json!({
            "format": FORMAT,
            "time": self.time,
            "sidecar": self.sidecar.to_string(),
            "database": self.database,
            "manifest": self.manifest,
            "places": self.places.iter().map(|(real, at)| json!([written(real), written(at)])).collect::<Vec<_>>(),
            "again": again.collect::<Vec<_>>(),
            "only_again": all(&self.only_again),
            "links": links.collect::<Vec<_>>(),
        })
    }

    pub(crate) fn from_json(text: &[u8], name: &str) -> Result<About> {
        let damaged = || Error::new(Code::Integrity, format!("what is said about {name} makes no sense"));
        let value: Value = serde_json::from_slice(text).map_err(|cause| damaged().because(cause))?;
        match value["format"].as_u64() {
            Some(FORMAT) => {}
            Some(_) => {
                return Err(Error::new(Code::Unsupported, format!("{name} is too new: a later bam made it"))
                    .hint("install that or a later one"));
            }
            None => return Err(damaged()),
        }
        let all = |key: &str| value[key].as_array().cloned().unwrap_or_default();
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let place = |pair: &Value| Some((read(&pair[0])?, read(&pair[1])?));
        let stands_again = |again: &Value| {
            Some(Again {
                real: read(&again[0])?,
                at: read(&again[1])?,
                without: again[2].as_array()?.iter().map(read).collect::<Option<_>>()?,
            })
        };
        let link = |link: &Value| {
            Some(Link {
                path: read(&link[0])?,
                target: read(&link[1])?,
                hard: link[2].as_bool()?,
                mode: number(&link[3])?,
                uid: number(&link[4])?,
                gid: number(&link[5])?,
                mtime: link[6].as_i64()?,
            })
        };
        let places: Vec<_> = all("places").iter().map(place).collect::<Option<_>>().ok_or_else(damaged)?;
        let mut links: Vec<_> = all("links").iter().map(link).collect::<Option<_>>().ok_or_else(damaged)?;
        // Up to 0.3.0 one tree might have a link where another has the folder: what is in that stands there.
        let folders: HashSet<&[u8]> = places.iter().map(|(_, at)| at.as_slice()).collect();
        links.retain(|link| link.hard || !folders.contains(link.path.as_slice()));
        let manifest = value["manifest"].as_str().map(str::to_owned);
        let again = match value.get("again") {
            Some(_) => all("again").iter().map(stands_again).collect::<Option<_>>().ok_or_else(damaged)?,
            None => again::of_old(&places, &links),
        };
        let mut sidecar = Sidecar::parse(value["sidecar"].as_str().ok_or_else(damaged)?);
        if value.get("again").is_none() && !again.is_empty() {
            // They were counted without what stands at further places.
            sidecar.remove(key::FILES);
            sidecar.remove(key::FILE_BYTES);
        }
        Ok(About {
            sidecar,
            database: value["database"][0].as_str().map(str::to_owned).zip(value["database"][1].as_u64()),
            manifest,
            places,
            again,
            only_again: all("only_again").iter().map(read).collect::<Option<_>>().ok_or_else(damaged)?,
            links,
            time: value["time"].as_i64().unwrap_or_default(),
        })
    }

    /// Where in the archive a path of the snapshot stands, and the real path of the place that it is in; `None`: it is only the
    /// way there.
    fn place_around(&self, path: &[u8]) -> Option<(&[u8], Vec<u8>)> {
        let nearest = self.places.iter().filter_map(|(real, at)| Some((real, at, below(path, plain(real))?)));
        let (real, at, rest) = nearest.max_by_key(|(real, ..)| real.len())?;
        Some((real, join(at, rest)))
    }
}

/// A real path as a snapshot's members have it.
fn plain(real: &[u8]) -> &[u8] {
    real.strip_prefix(b"/").unwrap_or(real)
}

/// A backup in a repository.
#[derive(Clone)]
pub struct Kept {
    place: Arc<dyn Destination>,
    /// All that is said about it.
    pub about: Arc<About>,
    /// The name that the place lists it by.
    pub listed: String,
    whole: String,
    database: Option<String>,
    files: Option<String>,
    /// What of it is read.
    share: Share,
}

/// The snapshots of a site's backup.
fn part<'a>(all: &'a [Snapshot], whole: &Snapshot, part: &str) -> Option<&'a Snapshot> {
    all.iter().rfind(|one| one.group() == whole.group() && one.tag(PART).as_deref() == Some(part))
}

impl Kept {
    /// A backup by its file name; `None` where the place keeps no snapshots.
    pub fn of(place: &Arc<dyn Destination>, file: &str) -> Result<Option<Kept>> {
        let Some(snapshots) = place.snapshots() else { return Ok(None) };
        let all = snapshots.all()?;
        let found = backups(&all).into_iter().find(|one| one.name == file).ok_or_else(|| {
            Error::new(Code::NotFound, format!("{} holds no backup named {file}", place.describe()))
        })?;
        let whole = found.whole;
        let text = snapshots.read_small(&whole.id, format!("/{ABOUT}").as_bytes(), MOST)?;
        let about = About::from_json(&text, file).within(Fact::Backup, file)?;
        let id = |wanted| found.part(wanted).map(|one| one.id.clone());
        let kept = Kept {
            place: Arc::clone(place),
            listed: file.to_owned(),
            whole: whole.id.clone(),
            database: id(DATABASE),
            files: id(FILES),
            about: Arc::new(about),
            share: Share::default(),
        };
        let lacks = |what: &str| {
            Error::new(Code::Integrity, format!("{file} is not whole: its snapshot of the {what} is gone"))
                .hint("use another backup")
        };
        if kept.about.database.is_some() && kept.database.is_none() {
            return Err(lacks(DATABASE));
        }
        if !kept.about.places.is_empty() && kept.files.is_none() {
            return Err(lacks(FILES));
        }
        Ok(Some(kept))
    }

    /// The name of the archive that it reads as: neither compressed nor encrypted.
    pub fn name(file: &str) -> String {
        let plain =
            |name| FileName { compression: Compression::None, encryption: EncryptionKind::None, ..name };
        FileName::parse(file).map_or_else(|| file.to_owned(), |name| plain(name).to_string())
    }

    /// What tells it from every other backup, of whatever content.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for id in [Some(&self.whole), self.database.as_ref(), self.files.as_ref()] {
            hash.update(id.map_or("-", String::as_str));
            hash.update([0]);
        }
        hash.finalize().into()
    }

    /// For messages.
    pub fn place(&self) -> String {
        self.place.describe()
    }

    fn snapshots(&self) -> Result<&dyn Snapshots> {
        self.place.snapshots().ok_or_else(|| Error::new(Code::Internal, "the repository is none any more"))
    }

    /// The same, of which only a part is read.
    pub fn only(&self, share: Share) -> Kept {
        Kept { share, ..self.clone() }
    }

    /// The archive, or the dump, put together on a thread of its own.
    pub fn stream(&self) -> Result<Box<dyn Read + Send>> {
        if let (Some(database), Some((name, _)), None, None) =
            (&self.database, &self.about.database, &self.about.manifest, &self.files)
        {
            return self.snapshots()?.read(database, format!("/{name}").as_bytes());
        }
        let (mut writer, reader) = pipe();
        let kept = self.clone();
        let thread = threads::spawn("bam-assemble", move || match kept.assemble(&mut writer) {
            Ok(()) => drop(writer.finish()),
            Err(error) => writer.fail(error.into()),
        })?;
        Ok(Box::new(Assembled { reader: Some(reader), thread: Some(thread) }))
    }

    fn assemble(&self, out: &mut PipeWriter) -> Result<()> {
        let about = &self.about;
        let mut tar = archive::Writer::new(out);
        if let Some(manifest) = &about.manifest {
            tar.append_bytes(b"MANIFEST.ini", 0o644, about.time, manifest.as_bytes())?;
        }
        if let Some(files) = &self.files {
            let links: HashSet<&[u8]> = about.links.iter().map(|link| link.path.as_slice()).collect();
            let mut take = |entry: Entry, body: &mut dyn Read| {
                let mut places = about.places_of(&entry.path);
                places.retain(|path| !links.contains(path.as_slice()));
                match places.as_slice() {
                    [] => Ok(()),
                    [path] => tar.append(&Entry { path: path.clone(), ..entry }, body).map(drop),
                    several => self.append_to(&mut tar, files, several, entry, body),
                }
            };
            match &self.share.folders {
                None => self.members(files, None, &mut take)?,
                Some(folders) => {
                    folders.iter().try_for_each(|folder| self.members(files, Some(folder), &mut take))?
                }
            }
            for link in &about.links {
                tar.append(&member_of(link), &mut io::empty())?;
            }
        }
        if let (Some(database), Some((name, bytes)), false) =
            (&self.database, &about.database, self.share.no_database)
        {
            let mut dump = self.snapshots()?.read(database, format!("/{name}").as_bytes())?;
            let entry = Entry {
                path: name.as_bytes().to_vec(),
                kind: EntryKind::File { size: *bytes },
                mode: 0o600,
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
                mtime: about.time,
                extras: Default::default(),
            };
            let appended = tar.append(&entry, &mut dump)?;
            if appended.padded > 0 || io::copy(&mut dump, &mut io::sink())? > 0 {
                return Err(Error::new(Code::Integrity, format!("{name} has another size than was saved")));
            }
        }
        tar.finish()?
            .flush()
            .at("cannot put together what is in", std::path::Path::new(&self.place.describe()))
    }
}

impl Kept {
    /// Puts a member of the snapshot at several places. A large file is read once more for each further one.
    fn append_to<W: Write>(
        &self,
        tar: &mut archive::Writer<W>,
        files: &str,
        places: &[Vec<u8>],
        mut entry: Entry,
        body: &mut dyn Read,
    ) -> Result<()> {
        let real = join(b"/", &entry.path);
        let size = match entry.kind {
            EntryKind::File { size } => size,
            // Read anew, it comes with its holes.
            EntryKind::Sparse { size, .. } => size.max(SMALL + 1),
            _ => 0,
        };
        let mut small = Vec::new();
        if size <= SMALL {
            body.read_to_end(&mut small)?;
        }
        for (number, path) in places.iter().enumerate() {
            entry.path.clone_from(path);
            let appended = match number {
                _ if size <= SMALL => tar.append(&entry, &mut small.as_slice())?,
                0 => tar.append(&entry, body)?,
                _ => {
                    if let EntryKind::Sparse { size, .. } = entry.kind {
                        entry.kind = EntryKind::File { size };
                    }
                    tar.append(&entry, &mut self.snapshots()?.read(files, &real)?)?
                }
            };
            if appended.padded > 0 {
                let shown = archive::show(path);
                return Err(Error::new(Code::Integrity, format!("{shown} has another size than was saved")));
            }
        }
        Ok(())
    }
}

/// What a thread puts together. Who reads no further waits until that has ended what it reads from: restic gives its lock back.
struct Assembled {
    reader: Option<PipeReader>,
    thread: Option<JoinHandle<()>>,
}

impl Read for Assembled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.as_mut().map_or(Ok(0), |reader| reader.read(buffer))
    }
}

impl Drop for Assembled {
    fn drop(&mut self) {
        drop(self.reader.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn member_of(link: &Link) -> Entry {
    let target = link.target.clone();
    Entry {
        path: link.path.clone(),
        kind: if link.hard { EntryKind::Hardlink(target) } else { EntryKind::Symlink(target) },
        mode: link.mode,
        uid: link.uid,
        gid: link.gid,
        mtime: link.mtime,
        extras: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_back() {
        let mut sidecar = Sidecar::new();
        sidecar.set("bam_id", "5");
        let link = Link {
            path: b"docroot/\xff l".to_vec(),
            target: b"../a\nb".to_vec(),
            hard: false,
            mode: 0o777,
            uid: 1,
            gid: 2,
            mtime: -3,
        };
        let about = About {
            sidecar,
            database: Some(("database.sql".into(), 7)),
            manifest: Some("[x]\n".into()),
            places: vec![
                (b"/var/www\n".to_vec(), b"docroot".to_vec()),
                (b"/srv/f".to_vec(), b"docroot/f".to_vec()),
            ],
            again: vec![Again {
                real: b"/srv/f".to_vec(),
                at: b"private/f".to_vec(),
                without: vec![b"/srv/f/\xff".to_vec()],
            }],
            only_again: vec![b"/srv/f/x".to_vec()],
            links: vec![link],
            time: 9,
        };
        let back = About::from_json(about.to_json().to_string().as_bytes(), "x").expect("read");
        assert_eq!(
            (&back.places, &back.links, &back.database, &back.again, &back.only_again),
            (&about.places, &about.links, &about.database, &about.again, &about.only_again)
        );
        assert_eq!(back.sidecar, about.sidecar);
        let old = r#"{"format": 1, "sidecar": "bam_id = \"5\"\nbam_files = \"2\"\n", "places": [["/p", "b"], ["/p/in", "a"]]}"#;
        let old = About::from_json(old.as_bytes(), "x").expect("read");
        assert_eq!(
            (old.again.len(), old.sidecar.get("bam_id"), old.sidecar.get("bam_files")),
            (1, Some("5"), None)
        );
        assert!(
            About::from_json(b"{\"format\": 2}", "x").is_err_and(|error| error.code() == Code::Unsupported)
        );
    }

    #[test]
    fn paths_go_to_where_they_stand_in_the_archive() {
        let places = vec![
            (b"/var/www".to_vec(), b"docroot".to_vec()),
            (b"/var/www/x".to_vec(), b"docroot/y".to_vec()),
        ];
        let about = About { places, ..About::default() };
        let at = |path: &[u8]| {
            let places = about.places_of(path);
            assert!(places.len() < 2);
            places.first().map(|path| String::from_utf8_lossy(path).into_owned())
        };
        assert_eq!(at(b"var"), None);
        assert_eq!(at(b"var/www").as_deref(), Some("docroot"));
        assert_eq!(at(b"var/wwwx"), None);
        assert_eq!(at(b"var/www/a/b").as_deref(), Some("docroot/a/b"));
        assert_eq!(at(b"var/www/x/b").as_deref(), Some("docroot/y/b"));
        let alone = About { places: vec![(b"/f".to_vec(), Vec::new())], ..About::default() };
        assert_eq!(alone.places_of(b"f"), [Vec::<u8>::new()]);
        assert_eq!(alone.places_of(b"f/a"), [b"a".to_vec()]);
    }
}
