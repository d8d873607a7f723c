//! Where a site's lock and state lie, and who may see them.
//!
//! The place is `state_dir`, else `/var/lib/bam/SITE`. Root makes it for all who may run bam for the site: root's, the site's
//! group, set-group-ID and sticky (3770), with the lock in it, and in it a folder for each user, `uUID` (2750). So whoever
//! runs meets the others' lock and sees what they left, but writes, renames and removes only what is his own; and root
//! acts on nothing that another could have written. A place that is not so made belongs to one user alone.
//!
//! Where root has made none, each user has one of his own, in his home or else below `/var/tmp`: never one that others could
//! have put there.

use crate::accounts::Account;
use crate::catalog::hex;
use crate::config::{Document, Site};
use crate::look;
use crate::{Code, Error, Result, ResultExt, entries};
use rustix::fs::{CWD, Gid, Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the places of all sites lie that root made.
const ALL: &str = "/var/lib/bam";
/// Of a place that users share, and of a user's folder in it.
const SHARED: u32 = 0o3770;
const OWN: u32 = 0o2750;
/// The lock's name.
pub(super) const LOCK: &str = "lock";
/// The journal of a restore that is not over: of it others must know.
const JOURNAL: &str = "restore.json";

/// A site's place, as this user has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    /// The folder for this user's state.
    pub own: PathBuf,
    /// The lock, the same for all users who share the place.
    pub lock: PathBuf,
    /// Others who run bam for this site do not see it.
    pub alone: bool,
}

impl Home {
    /// The place of the document's site; made where it is missing.
    pub fn of(document: &Document) -> Result<Home> {
        if let Some(dir) = &document.state_dir {
            return Home::at(dir, None);
        }
        let site = site_hash(&document.site)?;
        let place = Path::new(ALL).join(&site);
        let us = us();
        if us == 0 {
            let group = group_of(&document.site)?;
            // What cannot be looked at is not replaced by a place of our own.
            look::itself(&place)?;
            return match make_all().and_then(|()| Home::at(&place, group)) {
                Err(error) if error.code() == Code::Io => Home::private(&site),
                made => made,
            };
        }
        match Home::at_existing(&place)? {
            Some(home) => {
                home.adopt(&site);
                Ok(home)
            }
            None => Home::private(&site),
        }
    }

    /// The folders that the state of the document's site may lie in; makes none.
    pub fn candidates(document: &Document) -> Vec<PathBuf> {
        match &document.state_dir {
            Some(dir) => vec![dir.clone()],
            None => {
                let alone = site_hash(&document.site).and_then(|site| private_places(&site));
                std::iter::once(ALL.into()).chain(alone.unwrap_or_default()).collect()
            }
        }
    }

    /// A folder as the place; where root makes it and a group is given, for the group, too.
    fn at(dir: &Path, group: Option<u32>) -> Result<Home> {
        let us = us();
        look::make_folders(dir, 0o700, "cannot create the state folder")?;
        let found = fs::symlink_metadata(dir).at("cannot look at the state folder", dir)?;
        if !found.is_dir() {
            return Err(not_ours(dir, "is not a folder"));
        }
        if found.mode() & 0o002 != 0 {
            return Err(not_ours(dir, "can be written by anybody"));
        }
        if found.uid() != us && (us == 0 || found.uid() != 0) {
            return Err(not_ours(dir, &format!("belongs to {}", user_name(found.uid()))));
        }
        if us == 0
            && let Some(group) = group
            && !is_shared(&found)
        {
            share(dir, group)?;
        }
        if is_shared(&fs::symlink_metadata(dir).at("cannot look at the state folder", dir)?) {
            return Ok(Home { own: own_in(dir)?, lock: dir.join(LOCK), alone: false });
        }
        Ok(Home { own: dir.to_owned(), lock: dir.join(LOCK), alone: us != 0 })
    }

    /// The shared place, where root has made one that we may use; or one that is ours alone.
    fn at_existing(place: &Path) -> Result<Option<Home>> {
        let home = match look::if_open(look::itself(place))? {
            Some(found) if is_shared(&found) => {
                own_in(place).map(|own| Home { own, lock: place.join(LOCK), alone: false })
            }
            // Given to this user by whoever set the machine up.
            Some(found) if found.uid() == us() => Home::at(place, None),
            _ => return Ok(None),
        };
        look::if_open(home.and_then(|home| {
            rustix::fs::access(&home.own, rustix::fs::Access::WRITE_OK).at("cannot look at", &home.own)?;
            Ok(Some(home))
        }))
    }

    /// A place of this user alone.
    fn private(site: &str) -> Result<Home> {
        let mut made = None;
        for dir in private_places(site)? {
            look::if_open(look::itself(&dir))?;
            match Home::at(&dir, None).and_then(|home| only_ours(&dir).map(|()| home)) {
                Ok(home) => return Ok(Home { alone: true, ..home }),
                Err(error) => made = Some(error),
            }
        }
        Err(made
            .unwrap_or_else(|| Error::new(Code::Permission, "there is no folder for bam's state"))
            .hint("run bam once as root, which makes one for the site's users, or set state_dir"))
    }

    /// Takes over what this user kept alone before root made the place; not while a restore waits there.
    fn adopt(&self, site: &str) {
        for dir in private_places(site).unwrap_or_default() {
            let here = only_ours(&dir).is_ok() && !look::exists(&dir.join(JOURNAL)).unwrap_or(true);
            for name in entries(&dir).unwrap_or_default().iter().filter(|name| here && *name != LOCK) {
                let (from, to) = (dir.join(name), self.own.join(name));
                // What can't be moved, nor copied to another disk, is remembered anew.
                let is_new = look::exists(&to).is_ok_and(|there| !there);
                if is_new && fs::rename(&from, &to).is_err() && look::is_file(&from).unwrap_or(false) {
                    let _ = fs::copy(&from, &to).and_then(|_| fs::remove_file(&from));
                }
            }
        }
    }
}

/// What another user's killed restore of this site needs; `None`: there is none. `own` is this user's folder.
pub(super) fn restore_of_another(own: &Path) -> Option<Error> {
    let waits = |(uid, folder): (u32, PathBuf)| {
        let journal = folder.join(JOURNAL);
        Ok(look::if_open(look::exists(&journal))?.then_some((uid, journal)))
    };
    let found =
        others(own).and_then(|others| others.into_iter().map(waits).find_map(Result::transpose).transpose());
    let (uid, journal) = match found {
        Ok(found) => found?,
        Err(error) => return Some(error),
    };
    let name = user_name(uid);
    let how = if us() == 0 {
        format!("run, with the options that you gave here: runuser -u {name} -- bam recover")
    } else {
        format!("run as {name}, with the options that you gave here: bam recover")
    };
    Some(
        Error::new(
            Code::Permission,
            format!(
                "a restore that {name} began was killed, and only {name} may end it ({})",
                journal.display()
            ),
        )
        .hint(how),
    )
}

/// The folder of root's state, for others to read. Nothing of anybody else's is believed.
pub(super) fn of_root(own: &Path) -> Result<Option<PathBuf>> {
    Ok(others(own)?.into_iter().find_map(|(uid, folder)| (uid == 0).then_some(folder)))
}

/// The whole place that a user's folder belongs to: the shared one, or that folder alone.
pub(super) fn place_of(own: &Path) -> Result<PathBuf> {
    Ok(shared_place(own)?.unwrap_or(own).to_owned())
}

fn shared_place(own: &Path) -> Result<Option<&Path>> {
    let place = own.parent().filter(|_| own.file_name().is_some_and(|name| *name == *own_name(us())));
    let Some(place) = place else { return Ok(None) };
    Ok(look::itself(place)?.filter(is_shared).map(|_| place))
}

/// The folders of the others who share the place, each his own.
fn others(own: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let mut all = Vec::new();
    let Some(place) = shared_place(own)? else { return Ok(all) };
    for name in entries(place)? {
        let Some(uid) = name.strip_prefix('u').and_then(|uid| uid.parse().ok()) else { continue };
        let folder = place.join(&name);
        let his = look::itself(&folder)?.is_some_and(|found| found.is_dir() && found.uid() == uid);
        if his && uid != us() {
            all.push((uid, folder));
        }
    }
    all.sort();
    Ok(all)
}

/// What to do so that all users of the site see each other's runs; `None`: they do.
pub fn advice(document: &Document) -> Option<String> {
    let home = Home::of(document).ok().filter(|home| home.alone && document.state_dir.is_none())?;
    Some(format!(
        "bam keeps what it knows of its runs in {}, which only {} sees; run `bam status` once as root, and all users of \
         this site's group share it",
        home.own.display(),
        user_name(us())
    ))
}

pub(super) fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn own_name(uid: u32) -> String {
    format!("u{uid}")
}

/// Root made it, for a group.
fn is_shared(found: &Metadata) -> bool {
    found.is_dir() && found.uid() == 0 && found.mode() & 0o7777 == SHARED
}

/// This user's folder in a shared place.
fn own_in(place: &Path) -> Result<PathBuf> {
    let own = place.join(own_name(us()));
    match DirBuilder::new().mode(OWN & 0o777).create(&own) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
        made => {
            made.at("cannot create the state folder", &own)?;
            fs::set_permissions(&own, Permissions::from_mode(OWN))
                .at("cannot set the permissions of", &own)?;
        }
    }
    only_ours(&own).map(|()| own)
}

/// Fails where somebody else could have put it there, or can write to it.
fn only_ours(dir: &Path) -> Result<()> {
    let found = fs::symlink_metadata(dir).at("cannot look at the state folder", dir)?;
    match found.is_dir() && found.uid() == us() && found.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(not_ours(dir, "belongs to somebody else, or can be written by others")),
    }
}

fn not_ours(dir: &Path, how: &str) -> Error {
    let dir = dir.display();
    Error::new(Code::Permission, format!("the state folder {dir} {how}")).hint(format!(
        "run this as its owner; or, as root, move it away; or let root and a group share it: install -d -o root -g GROUP \
         -m 3770 {dir}"
    ))
}

/// `/var/lib/bam`, which everybody may pass through.
fn make_all() -> Result<()> {
    let all = Path::new(ALL);
    look::make_folders(all, 0o711, "cannot create the state folder")?;
    let found = fs::symlink_metadata(all).at("cannot look at the state folder", all)?;
    if found.uid() == 0 && found.mode() & 0o111 != 0o111 {
        fs::set_permissions(all, Permissions::from_mode(0o711)).at("cannot set the permissions of", all)?;
    }
    Ok(())
}

/// Lets a group share root's place. What was in it becomes root's part.
fn share(place: &Path, group: u32) -> Result<()> {
    let root = place.join(own_name(0));
    // The journal of a restore names files by where they lie.
    if look::exists(&place.join(JOURNAL))? {
        return Ok(());
    }
    look::make_folders(&root, OWN & 0o777, "cannot create the state folder")?;
    for name in entries(place)?.iter().filter(|name| *name != LOCK && **name != own_name(0)) {
        fs::rename(place.join(name), root.join(name)).at("cannot move", &place.join(name))?;
    }
    let lock = place.join(LOCK);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(rustix::fs::openat(CWD, &lock, flags, Mode::from_raw_mode(0o660)).at("cannot create", &lock)?);
    for (path, mode) in [(&lock, 0o660), (&root, OWN), (&place.to_owned(), SHARED)] {
        let given = rustix::fs::chownat(
            CWD,
            path,
            None,
            Some(Gid::from_raw(group)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        );
        given.at("cannot set the group of", path)?;
        fs::set_permissions(path, Permissions::from_mode(mode)).at("cannot set the permissions of", path)?;
    }
    Ok(())
}

/// The group of those who run the site: that of its files, else that of its settings. `None`: root runs it alone.
fn group_of(site: &Site) -> Result<Option<u32>> {
    if site.root.parent().is_none() {
        return Ok(None);
    }
    let folder = site.root.join(if site.conf_path.is_empty() { "sites/default" } else { &site.conf_path });
    let public = match &site.public_path {
        Some(public) => site.root.join(public),
        None => folder.join("files"),
    };
    for path in [public, folder.join("settings.php")] {
        let group = look::if_open(look::follow(&path))?.map(|found| found.gid());
        if group.is_some_and(|gid| gid != 0) {
            return Ok(group);
        }
    }
    Ok(None)
}

/// Where a user may have a place of his own: always the same, whatever the environment says.
fn private_places(site: &str) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    if let Some(home) = Account::by_uid(us()).map(|account| account.home)
        && let Some(found) = look::if_open(look::follow(&home))?
        && (found.is_dir() && found.uid() == us() && found.mode() & 0o002 == 0)
    {
        places.push(home.join(".local/state/bam").join(site));
    }
    places.push(format!("/var/tmp/bam-{}-{site}", us()).into());
    Ok(places)
}

pub(super) fn user_name(uid: u32) -> String {
    Account::by_uid(uid).map_or_else(|| format!("user {uid}"), |account| account.name)
}

/// The names in a folder, as far as they are UTF-8; none where there is no folder.
fn entries(dir: &Path) -> Result<Vec<String>> {
    let names = match entries::names(dir) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.at("cannot list", dir)?,
    };
    let names = names.collect::<std::io::Result<Vec<_>>>().at("cannot list", dir)?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

/// SITE: a hash of the docroot and `conf_path`.
fn site_hash(site: &Site) -> Result<String> {
    let root = look::if_open(look::real(&site.root))?.unwrap_or_else(|| site.root.clone());
    let mut hash = Sha256::new();
    hash.update(root.as_os_str().as_encoded_bytes());
    hash.update([0]);
    hash.update(site.conf_path.as_bytes());
    Ok(hex(hash.finalize().get(..8).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = dir.path().join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).expect("opened");
        let error = Home::at(&open, None).expect_err("anybody's");
        assert_eq!(error.code(), Code::Permission);
        assert!(error.next_step().is_some_and(|hint| hint.contains("install -d -o root")), "{error}");
        fs::write(dir.path().join("file"), "").expect("written");
        assert!(Home::at(&dir.path().join("file"), None).is_err());
    }

    #[test]
    fn as_root_a_place_of_somebody_else_is_refused() {
        if us() != 0 {
            println!("SKIP job::state: only root can give a folder away");
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let theirs = dir.path().join("theirs");
        fs::create_dir(&theirs).expect("made");
        std::os::unix::fs::chown(&theirs, Some(65_534), Some(65_534)).expect("given away");
        assert_eq!(Home::at(&theirs, None).expect_err("theirs").code(), Code::Permission);
    }

    #[test]
    fn what_root_had_alone_becomes_its_part_of_what_is_shared() {
        if us() != 0 {
            println!("SKIP job::state: only root can give a folder to a group");
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let place = dir.path().join("site");
        let alone = Home::at(&place, None).expect("made");
        assert_eq!((&alone.own, alone.alone), (&place, false));
        fs::write(place.join("schedules.json"), "{}").expect("written");
        let shared = Home::at(&place, Some(65_534)).expect("shared");
        assert_eq!(shared.own, place.join("u0"));
        assert!(place.join("u0/schedules.json").exists() && !place.join("schedules.json").exists());
        assert_eq!(shared, Home::at(&place, None).expect("as it is"));
        let theirs = place.join("u65534");
        fs::create_dir(&theirs).expect("made");
        fs::write(theirs.join(JOURNAL), "{}").expect("written");
        assert!(
            restore_of_another(&shared.own).is_none(),
            "a folder that is not the user's own says nothing"
        );
        std::os::unix::fs::chown(&theirs, Some(65_534), None).expect("given away");
        let error = restore_of_another(&shared.own).expect("a restore of theirs");
        assert!(error.next_step().is_some_and(|hint| hint.contains("runuser -u ")), "{error}");
        assert_eq!(of_root(&shared.own).expect("looked"), None, "we are root");
    }

    #[test]
    fn the_group_is_that_of_the_sites_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let site = Site { root: dir.path().to_owned(), ..Site::default() };
        let group_of = |site| group_of(site).expect("looked");
        assert_eq!(group_of(&site), None);
        let files = dir.path().join("sites/default/files");
        fs::create_dir_all(&files).expect("made");
        if us() == 0 {
            assert_eq!(group_of(&site), None, "root's");
            std::os::unix::fs::chown(&files, None, Some(65_534)).expect("given to a group");
            assert_eq!(group_of(&site), Some(65_534));
        }
        assert_eq!(group_of(&Site { root: "/".into(), ..Site::default() }), None);
    }
}
