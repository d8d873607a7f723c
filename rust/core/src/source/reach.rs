//! Who may read what: whether a user could follow a symbolic link of their own by themselves.
//!
//! Root can read everything, and whoever may write to a folder of the site may put a link there. So a link is followed
//! only as far as the one who made it could have followed it: by the permission bits of what it leads to, and of all
//! folders on the way. (Access control lists can only take that away; whom they let in besides is not asked.)

use crate::accounts::Account;
use rustix::fs::{Mode, Stat, stat};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A user, with all groups.
#[derive(Debug)]
pub struct Reach {
    uid: u32,
    gids: BTreeSet<u32>,
}

impl Reach {
    /// Of a user by number; one whom nobody knows is in no group.
    pub fn of(uid: u32) -> Reach {
        let gids =
            Account::by_uid(uid).map(|account| account.groups().into_iter().collect()).unwrap_or_default();
        Reach { uid, gids }
    }

    /// Whether they may read it; a folder also be in it.
    pub fn reads(&self, what: &Stat) -> bool {
        let folder = rustix::fs::FileType::from_raw_mode(what.st_mode).is_dir();
        self.has(what, if folder { 0o5 } else { 0o4 })
    }

    /// Whether they may go to what this real path names.
    pub fn gets_to(&self, real: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(real));
        path.ancestors().skip(1).all(|folder| stat(folder).is_ok_and(|folder| self.has(&folder, 0o1)))
    }

    /// Whether they may put anything into this folder, and take away what others put there.
    pub fn changes(&self, folder: &Stat) -> bool {
        let sticky = Mode::from_raw_mode(folder.st_mode).contains(Mode::SVTX);
        folder.st_uid == self.uid || (self.has(folder, 0o3) && !sticky)
    }

    fn has(&self, what: &Stat, bits: u32) -> bool {
        if self.uid == 0 {
            return true;
        }
        let mode = Mode::from_raw_mode(what.st_mode).bits();
        let granted = if what.st_uid == self.uid {
            mode >> 6
        } else if self.gids.contains(&what.st_gid) {
            mode >> 3
        } else {
            mode
        };
        granted & bits == bits
    }
}
