//! Where on the site the members of an archive go, and what of the site stays because they do not speak of it.

use super::behind::Leads;
use super::docroots::Docroots;
use super::target::Target;
use super::{behind, keep};
use crate::archive::{self, Entry, EntryKind, Layout, Part, Place, show};
use crate::config::docroot_of;
use crate::job::member_path::{below, join};
use crate::look;
use crate::mounts;
use crate::source::exclude::{plain_path, real_path};
use crate::{Monitor, NoteKind, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The outer root and a path in it; the inner root, none for what stays as it is.
type InnerRoots = BTreeMap<(usize, Vec<u8>), Option<usize>>;
/// A root; its path in the archive, and who made the link that leads to it.
type RootsBehindLinks = BTreeMap<usize, (Vec<u8>, Option<u32>)>;

/// The folders that an archive is put into.
pub struct Folders<'t> {
    /// See [`Folders::live`].
    live: RefCell<Vec<PathBuf>>,
    /// Roots in roots.
    inner: RefCell<InnerRoots>,
    /// All of the backup is restored, and not some paths of it.
    whole: bool,
    /// Links on the way to folders of the site, and those that were met, which stay the links they are.
    links: RefCell<Vec<PathBuf>>,
    /// Links by which those that were met lead where they do. They stay as well, or these would lead nowhere.
    ways: RefCell<Vec<PathBuf>>,
    /// What links lead to that stay for being restored by another path, by their paths in the archive.
    again: RefCell<BTreeMap<Vec<u8>, PathBuf>>,
    /// The folder of the member that was met last.
    last: RefCell<Vec<u8>>,
    /// Roots behind links that were met.
    behind: RefCell<RootsBehindLinks>,
    target: &'t Target<'t>,
    layout: &'t Layout,
    /// Path of the public files in the docroot of the archive.
    public_in_archive: Vec<u8>,
    docroot: Option<Place>,
    /// Where in it.
    docroots: Option<Docroots>,
    public: Option<Place>,
    private: Option<Place>,
    /// For files archives.
    files: Option<Place>,
    /// `CONF_PATH/settings.php` in the archive, where the live one stays.
    settings: Option<Vec<u8>>,
    /// Which roots, and which parts of a site, something was put into.
    seen: RefCell<BTreeSet<Seen>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Root(usize),
    Docroot,
    Public,
    Private,
}

/// What [`Folders::meet`] found.
#[derive(Debug)]
pub enum Met {
    /// No link.
    None,
    /// A link to storage, which became this root.
    Storage { link: PathBuf, to: PathBuf, root: usize },
    /// A link to what may not be replaced: both stay as they are.
    Refused { link: PathBuf, to: PathBuf, why: String },
    /// Something of the site, where the backup has a link without what it leads to: it stays.
    Stays,
    /// A link to what is restored by another path, or to code that stays as it is: so does the link.
    Again { link: PathBuf, to: PathBuf },
    /// A link into what is restored anyway, or around it: the backup's folder takes its place.
    Inside { link: PathBuf, to: Vec<u8> },
}

impl<'t> Folders<'t> {
    /// What `target` wants of an archive of this layout; `whole`: and not only some paths of it.
    pub fn of(
        target: &'t Target<'t>,
        layout: &'t Layout,
        whole: bool,
        monitor: &Monitor,
    ) -> Result<Folders<'t>> {
        let site = &target.document.site;
        let mut folders = Folders {
            live: RefCell::default(),
            inner: RefCell::default(),
            whole,
            links: RefCell::default(),
            ways: RefCell::default(),
            again: RefCell::default(),
            last: RefCell::default(),
            behind: RefCell::default(),
            target,
            layout,
            public_in_archive: Vec::new(),
            docroot: None,
            docroots: None,
            public: None,
            private: None,
            files: None,
            settings: None,
            seen: RefCell::default(),
        };
        let archive = match layout {
            Layout::Site(archive) => archive,
            Layout::Files { .. } => {
                folders.files = target.folder.clone().map(|folder| folders.add(folder)).transpose()?;
                folders.find_mounts()?;
                return Ok(folders);
            }
        };
        folders.public_in_archive.clone_from(&archive.public);
        let private = archive.private.as_ref().and(site.private_dir()).map(|path| plain_path(&path));
        if archive.private.is_some() && private.is_none() {
            monitor.note(
                NoteKind::Missing,
                "the backup holds private files, but the site has no private path: they are left out",
            );
        }
        if !target.code && target.tables.is_empty() {
            monitor.note(
                NoteKind::Info,
                "the code stays as it is: of the docroot only public and private files are restored; --code restores \
                 all of it",
            );
        }
        folders.docroots = target.code.then(|| Docroots::of(site, &archive.conf_path, monitor));
        folders.add_parts(plain_path(&site.public_dir()), private)?;
        folders.find_mounts()?;
        folders.tell_of_another_site(archive, monitor);
        if !target.settings && look::exists(&site.conf_dir().join("settings.php")).unwrap_or(true) {
            folders.settings = Some([archive.conf_path.as_slice(), b"/settings.php"].concat());
        }
        let brought = || look::is_folder(&site.root.join("vendor")).unwrap_or(false);
        if target.code && archive.manifest.lacks_contributed_code() && !brought() {
            let root = site.root.display();
            let text =
                format!("the backup leaves contributed code to Composer: run `composer install` in {root}");
            monitor.note(NoteKind::Missing, text);
        }
        Ok(folders)
    }

    /// The docroot, the public and the private files, the outer ones first: a folder is replaced with all that is in it.
    /// That one lies in another their paths say ([`site_folders`](crate::job::site_folders)).
    fn add_parts(&mut self, public: PathBuf, private: Option<PathBuf>) -> Result<()> {
        let docroot = self.docroots.as_ref().map(|docroots| plain_path(&docroots.root));
        let parts = [(Seen::Docroot, docroot), (Seen::Public, Some(public)), (Seen::Private, private)];
        let mut parts: Vec<_> =
            parts.into_iter().filter_map(|(part, folder)| Some((part, folder?))).collect();
        parts.sort_by_key(|(_, folder)| folder.components().count());
        for (part, folder) in parts {
            let place = Some(self.add(folder)?);
            match part {
                Seen::Docroot => self.docroot = place,
                Seen::Public => self.public = place,
                Seen::Private | Seen::Root(_) => self.private = place,
            }
        }
        Ok(())
    }

    /// Code that comes back from another folder below `sites` stays in that one.
    fn tell_of_another_site(&self, archive: &archive::Site, monitor: &Monitor) {
        let own = |conf_path: &str| {
            let conf_path = conf_path.trim_matches('/');
            conf_path.strip_prefix(docroot_of(conf_path)).unwrap_or(conf_path).trim_matches('/').to_owned()
        };
        let ours = own(self.target.document.site.conf_path_or_default());
        let theirs = own(&String::from_utf8_lossy(&archive.conf_path));
        if self.target.code && theirs != ours {
            let text = format!(
                "the backup is of the site in {}, this one is in {ours}: public files go where they belong here, \
                 everything else into the folder it was in",
                show(theirs.as_bytes())
            );
            monitor.note(NoteKind::Warning, text);
        }
    }

    /// A folder to restore into: one of its own, or a place in one that is there already.
    fn add(&mut self, folder: PathBuf) -> Result<Place> {
        let live = self.live.get_mut();
        let outer = live.iter().position(|outer| folder.starts_with(outer));
        let Some((root, outer)) = outer.and_then(|root| Some((root, live.get(root)?.clone()))) else {
            live.push(folder);
            return Ok(Place { root: live.len() - 1, path: Vec::new() });
        };
        let (real_outer, real) = (look::real_as_far(&outer)?, look::real_as_far(&folder)?);
        let path_in = |outer: &Path, folder: &Path| {
            folder.strip_prefix(outer).map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default()
        };
        // The archive has what is there under the path that it really has.
        if real.starts_with(&real_outer) {
            return Ok(Place { root, path: path_in(&real_outer, &real) });
        }
        let mut above: Vec<&Path> =
            folder.ancestors().take_while(|path| path.starts_with(&outer) && *path != outer).collect();
        above.reverse();
        let mut link = None;
        for path in above {
            if look::is_link(path)? {
                link = Some(path);
                break;
            }
        }
        let Some(link) = link else { return Ok(Place { root, path: path_in(&outer, &folder) }) };
        let at = (root, path_in(&outer, link));
        let known = self.inner.get_mut().get(&at).copied().flatten();
        let inner = match known {
            Some(known) => known,
            None => {
                self.links.get_mut().push(look::real_but_last(link)?);
                live.push(link.to_owned());
                self.inner.get_mut().insert(at, Some(live.len() - 1));
                live.len() - 1
            }
        };
        Ok(Place { root: inner, path: path_in(link, &folder) })
    }

    /// Other file systems in the folders: nothing can be renamed onto them, so each is a root of its own.
    fn find_mounts(&mut self) -> Result<()> {
        let mut root = 0;
        while let Some(outer) = self.live.get_mut().get(root).cloned() {
            for mount in mounts::below(&look::real_as_far(&outer)?)? {
                self.add_inner(root, &mount);
            }
            root += 1;
        }
        Ok(())
    }

    /// Makes a path of a root a root of its own; gives its number.
    fn add_inner(&self, root: usize, path: &Path) -> usize {
        let (mut all, mut inner) = (self.live.borrow_mut(), self.inner.borrow_mut());
        let at = (root, path.as_os_str().as_bytes().to_vec());
        if let Some(Some(known)) = inner.get(&at) {
            return *known;
        }
        let live = all.get(root).map(|outer| outer.join(path)).unwrap_or_default();
        all.push(live);
        inner.insert(at, Some(all.len() - 1));
        all.len() - 1
    }

    /// Leaves a link as it is, and puts nothing there.
    fn leave(&self, place: Place, link: PathBuf) {
        self.links.borrow_mut().push(link);
        self.inner.borrow_mut().insert((place.root, place.path), None);
    }

    /// Leaves a link and what is behind it as they are.
    fn refuse(&self, place: Place, link: PathBuf, to: PathBuf, why: String) -> Met {
        self.leave(place, link.clone());
        Met::Refused { link, to, why }
    }

    /// The folders, in the order of the extractor's roots. One lies in another only where it is another place: behind a
    /// link, or on another file system.
    pub fn live(&self) -> Vec<PathBuf> {
        self.live.borrow().clone()
    }

    /// Whether a live path is a root.
    pub fn is_root(&self, live: &Path) -> bool {
        self.live.borrow().iter().any(|root| root == live)
    }

    /// One of the folders.
    pub fn live_root(&self, root: usize) -> Option<PathBuf> {
        self.live.borrow().get(root).cloned()
    }

    /// Whether the backup says that a folder of it was behind a link.
    pub fn was_followed(&self, path: &[u8]) -> bool {
        self.target.recorded.is_some_and(|recorded| recorded.followed.contains(path))
    }

    /// Whether a root is a mount point in another one, or behind a link.
    pub fn is_inner(&self, root: usize) -> bool {
        self.inner.borrow().values().any(|inner| *inner == Some(root))
    }

    /// Whether a root was added by [`Folders::meet`].
    pub fn is_behind(&self, root: usize) -> bool {
        self.behind.borrow().contains_key(&root)
    }

    /// Looks whether something of the site stays where the backup has a mere link, and whether the site has a link to a folder
    /// elsewhere where the backup has a folder. It stays, and what it leads to becomes a root; or nothing is done there, where
    /// that may not be. To be called of a member before it is placed.
    ///
    /// # Errors
    ///
    /// What the site has there cannot be looked at.
    pub fn meet(&self, entry: &Entry) -> Result<Met> {
        if let EntryKind::Symlink(_) = entry.kind
            && self.is_mere_link(entry)?
        {
            return Ok(Met::Stays);
        }
        if let Some(met) = self.meet_way(entry)? {
            return Ok(met);
        }
        match &entry.kind {
            EntryKind::Directory => self.meet_folder(&entry.path),
            EntryKind::Symlink(target) => self.meet_circle(&entry.path, target),
            _ => Ok(Met::None),
        }
    }

    /// Where a member would go, and what the site has there: a link, and its path.
    fn link_at(&self, path: &[u8]) -> Result<Option<(Place, PathBuf, behind::Target)>> {
        let place = self.place(self.layout.part(path)).filter(|place| !place.path.is_empty());
        let Some(place) = place else { return Ok(None) };
        let Some(root) = self.live_root(place.root) else { return Ok(None) };
        let Some(found) = behind::look(&root, &place.path)? else { return Ok(None) };
        let link = look::real_as_far(&root)?.join(OsStr::from_bytes(&place.path));
        Ok(Some((place, link, found)))
    }

    /// What becomes of a link by which another one that stays leads where it does: so does it. Where the backup has the same
    /// there, that is all; else what it has is left out.
    fn meet_way(&self, entry: &Entry) -> Result<Option<Met>> {
        if self.ways.borrow().is_empty() {
            return Ok(None);
        }
        // Names tell of most, without a look at the disk.
        let place = self.place(self.layout.part(&entry.path));
        let name = place.as_ref().and_then(|place| Path::new(OsStr::from_bytes(&place.path)).file_name());
        if !self.ways.borrow().iter().any(|way| way.file_name() == name) {
            return Ok(None);
        }
        let Some((place, link, found)) = self.link_at(&entry.path)? else { return Ok(None) };
        if !self.ways.borrow().contains(&link) {
            return Ok(None);
        }
        match &entry.kind {
            EntryKind::Directory => {
                if let met @ (Met::Storage { .. } | Met::Again { .. } | Met::Refused { .. }) =
                    self.meet_folder(&entry.path)?
                {
                    return Ok(Some(met));
                }
            }
            EntryKind::Symlink(target) => {
                let to = self.target_of(&entry.path, target);
                let to = to.and_then(|path| self.place(self.layout.part(&path)));
                if let Some(to) = to.filter(|to| self.is_behind(to.root))
                    && look::real_as_far(&self.live_path(&to))? == found.real
                {
                    self.leave(place, link);
                    return Ok(Some(Met::Stays));
                }
            }
            _ => {}
        }
        let why = "another link that stays leads by it to where it leads";
        Ok(Some(self.refuse(place, link, found.real, why.into())))
    }

    /// A link in the place of a folder that it would lead to, by a link of the site that stays: the folder stays.
    fn meet_circle(&self, path: &[u8], target: &[u8]) -> Result<Met> {
        let to = self.target_of(path, target);
        let Some(to) = to.and_then(|to| self.again.borrow().get(&to).cloned()) else { return Ok(Met::None) };
        let Some(place) = self.place(self.layout.part(path)) else { return Ok(Met::None) };
        let live = look::real_but_last(&self.live_path(&place))?;
        // A link that leads there becomes this one.
        if live != to {
            return Ok(Met::None);
        }
        let why = "the backup has it behind a link that leads here: name that one with --path to restore it";
        Ok(self.refuse(place, live, PathBuf::from(OsStr::from_bytes(target)), why.into()))
    }

    /// The path in the archive to which a relative link at `path` leads by its text.
    fn target_of(&self, path: &[u8], target: &[u8]) -> Option<Vec<u8>> {
        let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let mut at: Vec<&[u8]> = path.get(..parent)?.split(|byte| *byte == b'/').collect();
        if target.starts_with(b"/") {
            return None;
        }
        for name in target.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")) {
            match name {
                b".." => drop(at.pop()?),
                name => at.push(name),
            }
        }
        at.retain(|name| !name.is_empty());
        Some(at.join(&b'/'))
    }

    /// The folders that a member lies in, the outer ones first, but for those in which the one before it lay or that it was: in a
    /// snapshot, what is behind a link may come before the folder that holds the link.
    pub fn unmet_above(&self, entry: &Entry) -> Vec<Vec<u8>> {
        let path = entry.path.as_slice();
        let mut last = self.last.borrow_mut();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        let above = ends.filter_map(|end| path.get(..end));
        let unmet = above.filter(|above| below(&last, above).is_none()).map(<[u8]>::to_vec).collect();
        let end = match entry.kind {
            EntryKind::Directory => path.len(),
            _ => path.iter().rposition(|byte| *byte == b'/').unwrap_or_default(),
        };
        path.get(..end).unwrap_or_default().clone_into(&mut last);
        unmet
    }

    /// As [`Folders::meet`] of a folder.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn meet_folder(&self, path: &[u8]) -> Result<Met> {
        let Some((place, link, found)) = self.link_at(path)? else { return Ok(Met::None) };
        match found.leads {
            Leads::Folder => {}
            // What was behind it went into the backup: it comes back behind it, or not now.
            Leads::Nowhere if self.was_followed(path) => {
                let why = "nothing is there: mount what it leads to, or remove the link, and restore again";
                return Ok(self.refuse(place, link, found.real, why.into()));
            }
            Leads::Closed => {
                return Ok(self.refuse(place, link, found.real, "it is closed to who restores".into()));
            }
            Leads::Nowhere | Leads::File => return Ok(Met::Inside { link, to: found.text }),
        }
        // What is part of another root is restored there, and nothing that a root lies in is replaced.
        let roots = self.live().iter().map(|root| look::real_as_far(root)).collect::<Result<Vec<_>>>()?;
        let comes = |number: usize| self.whole || self.is_behind(number);
        let mut around = roots.iter().enumerate().filter(|(_, root)| found.real.starts_with(root));
        if self.was_followed(path) && around.any(|(number, _)| comes(number)) {
            self.leave(place, link.clone());
            self.again.borrow_mut().insert(path.to_vec(), found.real.clone());
            return Ok(Met::Again { link, to: found.real });
        }
        let mut inside = roots.iter().enumerate().filter(|(_, root)| root.starts_with(&found.real));
        if self.was_followed(path) && inside.any(|(number, _)| self.is_behind(number)) {
            let why =
                "another link leads into that, and was met before: name this one with --path to restore it";
            return Ok(self.refuse(place, link, found.real, why.into()));
        }
        if roots.iter().any(|root| found.real.starts_with(root) || root.starts_with(&found.real)) {
            return Ok(Met::Inside { link, to: found.text });
        }
        if self.stays_with_the_code(&found.real)? {
            self.leave(place, link.clone());
            return Ok(Met::Again { link, to: found.real });
        }
        let above = self.behind.borrow().get(&place.root).and_then(|(_, maker)| *maker);
        let backups = crate::job::places::local_folders(self.target.document);
        // A destination that does not answer stops no restore from another one.
        let allowed = match backups.iter().any(|folder| found.real.starts_with(real_path(folder))) {
            true => Err("backups lie there".to_owned()),
            false if found.real.starts_with(self.target.state_place()?) => {
                Err("bam keeps its own state there".to_owned())
            }
            false => found.may_be_replaced(above),
        };
        if let Err(why) = allowed {
            return Ok(self.refuse(place, link, found.real, why));
        }
        let ways = behind::ways_of(&link, &found.text)?;
        self.links.borrow_mut().extend(ways.iter().chain([&link]).cloned());
        self.ways.borrow_mut().extend(ways);
        let inner = self.add_inner(place.root, Path::new(OsStr::from_bytes(&place.path)));
        self.behind.borrow_mut().insert(inner, (path.to_vec(), found.maker(above)));
        Ok(Met::Storage { link, to: found.real, root: inner })
    }

    /// Whether something is code that this restore leaves as it is.
    fn stays_with_the_code(&self, real: &Path) -> Result<bool> {
        let site = &self.target.document.site;
        let is_whole = matches!(self.layout, Layout::Site(_)) && !site.root.as_os_str().is_empty();
        Ok(is_whole && !self.target.code && real.starts_with(look::real_as_far(&site.root)?))
    }

    /// Where a member goes.
    pub fn place(&self, part: Part<'_>) -> Option<Place> {
        self.place_in(part).map(|(place, _)| place)
    }

    /// As [`Folders::place`], and remembers that there is something for that part of the site.
    pub fn put(&self, part: Part<'_>) -> Option<Place> {
        let (place, seen) = self.place_in(part)?;
        let mut all = self.seen.borrow_mut();
        all.insert(Seen::Root(place.root));
        all.insert(seen);
        Some(place)
    }

    fn place_in(&self, part: Part<'_>) -> Option<(Place, Seen)> {
        let at = |place: &Option<Place>, rest: &[u8], seen: Seen| {
            let Place { root, path } = place.as_ref()?;
            Some((self.innermost(Place { root: *root, path: join(path, rest) })?, seen))
        };
        let (place, seen) = match part {
            Part::File(rest) => at(&self.files, rest, Seen::Root(0)),
            Part::Private(rest) => at(&self.private, rest, Seen::Private),
            Part::Docroot(path) if self.settings.as_deref() == Some(path) => None,
            Part::Docroot(path) => match below(path, &self.public_in_archive) {
                Some(rest) => at(&self.public, rest, Seen::Public),
                None => {
                    let path = self.docroots.as_ref()?.place(path)?;
                    at(&self.docroot, &path, Seen::Docroot)
                }
            },
            _ => None,
        }?;
        // Few names come into question; of the others nobody needs the path.
        let may_stay = [&b"settings."[..], b"services", b"sites.php", b"."].iter().any(|start| {
            let name = place.path.rsplit(|byte| *byte == b'/').next();
            name.is_some_and(|name| name.starts_with(start))
        });
        let others = &self.target.others;
        if !others.is_empty() && self.files.is_none() {
            let live = self.live_path(&place);
            if others.iter().any(|other| live.starts_with(other)) {
                return None;
            }
        }
        let stays = || {
            let live = self.live_path(&place);
            keep::is_of_this_machine(&self.target.document.site, &live) && look::exists(&live).unwrap_or(true)
        };
        (!may_stay || self.files.is_some() || self.target.settings || !stays()).then_some((place, seen))
    }

    /// Where a place in an outer root really is; `None` where nothing is to be put.
    fn innermost(&self, mut place: Place) -> Option<Place> {
        let inner = self.inner.borrow();
        let mut end = 0;
        while !inner.is_empty() && end < place.path.len() {
            let slash = place.path.get(end + 1..).unwrap_or_default().iter().position(|byte| *byte == b'/');
            end = slash.map_or(place.path.len(), |slash| end + 1 + slash);
            let at = (place.root, place.path.get(..end).unwrap_or_default().to_vec());
            if let Some(to) = inner.get(&at) {
                let rest = place.path.get(end + 1..).unwrap_or_default().to_vec();
                place = Place { root: (*to)?, path: rest };
                end = 0;
            }
        }
        Some(place)
    }

    /// Whether a member is a link that the site has as well, and that stays: what is behind it is restored.
    pub fn is_link_that_stays(&self, entry: &Entry) -> bool {
        matches!(entry.kind, EntryKind::Symlink(_))
            && self
                .place(self.layout.part(&entry.path))
                .is_some_and(|place| place.path.is_empty() && self.is_inner(place.root))
    }

    /// Whether a link is one without what it leads to, in whose place the site has something, or a folder that is replaced as
    /// a whole.
    fn is_mere_link(&self, link: &Entry) -> Result<bool> {
        let is_for_files = self.layout.any_link_for_files(link).is_some();
        if !is_for_files && !self.is_unread(link) {
            return Ok(false);
        }
        let Some(place) = self.place(self.layout.part(&link.path)) else { return Ok(false) };
        Ok(is_for_files && place.path.is_empty() || look::exists(&self.live_path(&place))?)
    }

    /// Whether the backup says that it lacks what this member should be, or the end of it.
    fn is_unread(&self, entry: &Entry) -> bool {
        let content = match &entry.kind {
            EntryKind::Hardlink(first) => first,
            _ => &entry.path,
        };
        self.target.recorded.is_some_and(|recorded| recorded.unread.contains(content))
    }

    /// Whether a member is a file that could not be read to its end, or a further name of one, in whose place the site has
    /// one: that stays.
    ///
    /// # Errors
    ///
    /// It cannot be looked at.
    pub fn has_a_better_one(&self, entry: &Entry) -> Result<bool> {
        let is_name = matches!(entry.kind, EntryKind::Hardlink(_));
        let is_file = is_name || matches!(entry.kind, EntryKind::File { .. } | EntryKind::Sparse { .. });
        if !is_file || !self.is_unread(entry) {
            return Ok(false);
        }
        let Some(place) = self.place(self.layout.part(&entry.path)) else { return Ok(false) };
        let live = self.live_path(&place);
        let there = look::exists(&live)?;
        if there && is_name {
            // The backup records the first name alone.
            self.links.borrow_mut().push(look::real_but_last(&live)?);
        }
        Ok(there)
    }

    /// The live path of a place.
    pub fn live_path(&self, place: &Place) -> PathBuf {
        let live = self.live.borrow();
        let root = live.get(place.root).map_or(Path::new(""), PathBuf::as_path);
        match place.path.as_slice() {
            b"" => root.to_owned(),
            path => root.join(OsStr::from_bytes(path)),
        }
    }

    /// What stays of the site besides what [`Target::keep`] says: what this backup left out, and links to folders of the
    /// site. Absolute, without links but the last component.
    pub fn stay(&self) -> Result<Vec<PathBuf>> {
        let mut stay = self.links.borrow().clone();
        let Some(recorded) = self.target.recorded else { return Ok(stay) };
        // What stands for all that is below it may be around a part of the site, or what is behind a link.
        let is_around = |at: &[u8]| recorded.unread.iter().any(|unread| below(at, unread).is_some());
        for (place, at) in self.parts() {
            let at = match self.layout {
                Layout::Site(archive) => join(&archive.prefix, &at),
                Layout::Files { base } => join(base, &at),
            };
            if let Some(place) = self.innermost(place).filter(|_| is_around(&at)) {
                stay.push(look::real_as_far(&self.live_path(&place))?);
            }
        }
        for (root, _) in self.behind.borrow().iter().filter(|(_, (at, _))| is_around(at)) {
            let live = self.live_root(*root).unwrap_or_default();
            stay.push(look::real_as_far(&live)?);
        }
        for path in recorded.paths.iter().chain(&recorded.unread) {
            if let Some(place) = self.place(self.layout.part(path)) {
                stay.push(look::real_but_last(&self.live_path(&place))?);
            }
        }
        if !recorded.patterns.is_empty() {
            let parts = self.parts().into_iter().filter_map(|(place, at)| Some((self.innermost(place)?, at)));
            let behind = self.behind.borrow();
            let behind =
                behind.iter().map(|(root, (at, _))| (Place { root: *root, path: Vec::new() }, at.clone()));
            for (place, at) in parts.chain(behind) {
                let live = look::real_as_far(&self.live_path(&place))?;
                stay.extend(recorded.patterns.fitting(&live, &at)?.into_iter().map(|path| live.join(path)));
            }
        }
        Ok(stay)
    }

    /// The parts of the site that are restored, and their paths in the archive.
    fn parts(&self) -> Vec<(Place, Vec<u8>)> {
        let Layout::Site(archive) = self.layout else {
            return self.files.iter().map(|place| (place.clone(), Vec::new())).collect();
        };
        let mut parts = Vec::new();
        if let (Some(place), Some(docroots)) = (&self.docroot, &self.docroots) {
            parts.extend(docroots.parts().into_iter().map(|(ours, theirs)| {
                (Place { root: place.root, path: join(&place.path, ours) }, join(&archive.docroot, theirs))
            }));
        }
        for (place, at) in [
            (&self.public, join(&archive.docroot, &archive.public)),
            (&self.private, archive.private.clone().unwrap_or_default()),
        ] {
            parts.extend(place.clone().map(|place| (place, at)));
        }
        parts
    }

    /// When all is extracted: the roots that the archive does not speak of, which stay, and with them, as paths like those
    /// of [`Folders::stay`], what lies in other roots. What promised to be there is told.
    ///
    /// # Errors
    ///
    /// What the site has there cannot be looked at.
    pub fn unseen(&self, monitor: &Monitor) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let (mut roots, mut paths) = (Vec::new(), Vec::new());
        let Layout::Site(archive) = self.layout else { return Ok((roots, paths)) };
        let seen = self.seen.borrow();
        let public = join(&archive.docroot, &archive.public);
        for (place, what, part, path) in [
            (&self.docroot, "code", Seen::Docroot, &archive.docroot),
            (&self.public, "public files", Seen::Public, &public),
            (&self.private, "private files", Seen::Private, archive.private.as_ref().unwrap_or(&public)),
        ] {
            let Some(place) = place.clone().and_then(|place| self.innermost(place)) else { continue };
            if seen.contains(&part) {
                continue;
            }
            let live = self.live_path(&place);
            match place.path.is_empty() {
                true => roots.push(live.clone()),
                false => paths.push(look::real_as_far(&live)?),
            }
            let path = join(&archive.prefix, path);
            let left_out = self.target.recorded.is_some_and(|all| all.speaks_of(&path));
            let empty = crate::entries::names(&live).is_ok_and(|mut names| names.next().is_none());
            if look::exists(&live)? && !empty {
                let kind = if left_out { NoteKind::Info } else { NoteKind::Missing };
                monitor.note(kind, format!("the backup holds no {what}: {} stays as it is", live.display()));
            }
        }
        for (root, live) in self.live.borrow().iter().enumerate() {
            if self.is_inner(root) && !seen.contains(&Seen::Root(root)) && !roots.contains(live) {
                roots.push(live.clone());
                let text = format!(
                    "the backup holds nothing of {}, which is another place: it stays",
                    live.display()
                );
                monitor.note(NoteKind::Info, text);
            }
        }
        Ok((roots, paths))
    }
}

#[cfg(test)]
#[path = "folders_tests.rs"]
mod tests;
