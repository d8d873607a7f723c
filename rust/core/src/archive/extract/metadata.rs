//! What files and folders get besides their content: owner, mode, times, extended attributes.

use super::{DEFAULT_ACL, Extractor};
use crate::archive::attributes::Attributes;
use crate::archive::beneath::open_dir;
use crate::archive::place::{Place, times};
use crate::archive::{Attribute, Entry, Member, extras, show};
use crate::{NoteKind, Result};
use rustix::fd::AsFd;
use rustix::fs::{self, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::File;

const ACCESS_ACL: &str = "system.posix_acl_access";

impl Extractor<'_> {
    pub(super) fn set_folder(
        &mut self,
        place: &Place,
        attributes: Attributes,
        extras: &[Attribute],
    ) -> Result<(), Errno> {
        let handle = open_dir(self.root(place)?, &place.path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = fs::openat(&handle, ".", flags, Mode::empty())?;
        self.own(attributes, |uid, gid| fs::fchown(&dir, uid, gid))?;
        self.set_extras(&dir, place, extras, true);
        fs::fchmod(&dir, Mode::from_raw_mode(attributes.mode & 0o3777))?;
        self.set_extras(&dir, place, extras, false);
        attributes.mtime.map_or(Ok(()), |mtime| fs::futimens(&dir, &times(mtime)))
    }

    pub(super) fn attributes(&self, member: &Member) -> Attributes {
        let Entry { mode, uid, gid, mtime, .. } = member.entry;
        let (mut uid, mut gid) = (uid, gid);
        if self.options.owners && !self.options.numeric_owners {
            uid = self.owners.uid(&member.user).unwrap_or(uid);
            gid = self.owners.gid(&member.group).unwrap_or(gid);
        }
        // To the kernel the highest number means "leave it".
        let real = |id| Some(id).filter(|id| self.options.owners && *id != u32::MAX);
        let mtime = Some((mtime, member.entry.extras.nanos));
        Attributes { mode, uid: real(uid), gid: real(gid), mtime }
    }

    /// Gives a file or folder its attributes: what needs the right to write, which its mode may take away, or the rest.
    ///
    /// What gives power over the machine (`security.capability`, `trusted.…`) comes back only as root, and only from an
    /// archive whose origin is proven; other attributes of `security` and `system` belong to the machine.
    fn set_extras(&mut self, file: impl AsFd, place: &Place, attributes: &[Attribute], writing: bool) {
        if !writing && self.roots.get(place.root).is_some_and(|root| root.inherits) {
            for name in [ACCESS_ACL, DEFAULT_ACL] {
                // It may have got none.
                let _ = fs::fremovexattr(&file, name);
            }
        }
        for attribute in attributes {
            let name = attribute.name.as_slice();
            let power = name == b"security.capability" || name.starts_with(b"trusted.");
            if writing != name.starts_with(b"user.") || (!power && !writing && !extras::is_acl(name)) {
                continue;
            }
            let kind = match (power, writing) {
                (true, _) if !(self.options.special_bits && self.options.owners) => {
                    let why = match self.options.special_bits {
                        false => "their origin is not proven",
                        true => "only root can give them",
                    };
                    self.tell("capabilities and attributes of the system", place, why);
                    continue;
                }
                (true, _) => "capabilities and attributes of the system",
                (false, true) => "extended attributes",
                (false, false) => "access control lists",
            };
            let owners = (!self.options.numeric_owners).then_some(&self.owners);
            let set = match extras::for_file_system(attribute, owners) {
                Some((name, value)) => {
                    fs::fsetxattr(&file, name, &value, XattrFlags::empty()).map_err(|cause| cause.to_string())
                }
                None => Err("it names somebody whom this machine does not know".to_owned()),
            };
            if let Err(why) = set {
                self.tell(kind, place, &why);
            }
        }
    }

    /// Says, once for each kind, that it could not be restored.
    fn tell(&mut self, kind: &'static str, place: &Place, why: &str) {
        if !self.told.contains(&kind) {
            self.told.push(kind);
            let text = format!("{kind} are not restored, of {} for one: {why}", show(&place.path));
            self.monitor.note(NoteKind::Missing, text);
        }
    }

    /// Gives something its owner. Where the system does not let us (a container without that user, a file system
    /// without owners) the rest goes on without, and says so once.
    pub(super) fn own(
        &mut self,
        attributes: Attributes,
        chown: impl FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (uid, gid) = (attributes.uid.map(Uid::from_raw), attributes.gid.map(Gid::from_raw));
        if !self.options.owners || (uid.is_none() && gid.is_none()) {
            return Ok(());
        }
        match chown(uid, gid) {
            Err(e @ (Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP)) => {
                self.options.owners = false;
                self.monitor.note(NoteKind::Warning, format!("owners cannot be restored here: {e}"));
                Ok(())
            }
            done => done,
        }
    }

    pub(super) fn set_file(
        &mut self,
        file: &File,
        entry: &Entry,
        place: &Place,
        attributes: Attributes,
    ) -> Result<(), Errno> {
        self.own(attributes, |uid, gid| fs::fchown(file, uid, gid))?;
        self.set_extras(file, place, &entry.extras.attributes, true);
        let mut mode = attributes.mode & 0o7777;
        if mode & 0o6000 != 0 && !(self.options.special_bits && self.options.owners) {
            mode &= 0o1777;
            let text = format!("{}: the set-user-ID and set-group-ID bits were dropped", show(&entry.path));
            self.monitor.note(NoteKind::Warning, text);
        }
        fs::fchmod(file, Mode::from_raw_mode(mode))?;
        self.set_extras(file, place, &entry.extras.attributes, false);
        fs::futimens(file, &times((entry.mtime, entry.extras.nanos)))
    }
}
