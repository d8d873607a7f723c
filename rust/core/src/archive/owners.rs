//! Names of users and groups, so that archives restore on machines where the numbers differ.

use crate::accounts::{self, Account};
use std::cell::RefCell;
use std::collections::HashMap;

/// The users and groups of a machine, each asked for once.
#[derive(Debug, Default)]
pub struct Owners {
    user_names: RefCell<HashMap<u32, String>>,
    group_names: RefCell<HashMap<u32, String>>,
    uids: RefCell<HashMap<String, Option<u32>>>,
    gids: RefCell<HashMap<String, Option<u32>>>,
}

impl Owners {
    /// This machine's.
    pub fn of_this_machine() -> Self {
        Self::default()
    }

    /// Another machine's, as far as these names and numbers go; this one's besides.
    #[cfg(test)]
    pub fn with(users: &[(&str, u32)], groups: &[(&str, u32)]) -> Self {
        let names = |list: &[(&str, u32)]| list.iter().map(|&(name, id)| (id, name.to_owned())).collect();
        let ids = |list: &[(&str, u32)]| list.iter().map(|&(name, id)| (name.to_owned(), Some(id))).collect();
        Owners {
            user_names: RefCell::new(names(users)),
            group_names: RefCell::new(names(groups)),
            uids: RefCell::new(ids(users)),
            gids: RefCell::new(ids(groups)),
        }
    }

    /// The name of user `uid`, or nothing.
    pub fn user_name(&self, uid: u32) -> String {
        let ask = || Account::by_uid(uid).map(|account| account.name).unwrap_or_default();
        self.user_names.borrow_mut().entry(uid).or_insert_with(ask).clone()
    }

    /// The name of group `gid`, or nothing.
    pub fn group_name(&self, gid: u32) -> String {
        let ask = || accounts::group_name(gid).unwrap_or_default();
        self.group_names.borrow_mut().entry(gid).or_insert_with(ask).clone()
    }

    /// The number of the user called `name`.
    pub fn uid(&self, name: &[u8]) -> Option<u32> {
        number(&self.uids, name, |name| Account::by_name(name).map(|account| account.uid))
    }

    /// The number of the group called `name`.
    pub fn gid(&self, name: &[u8]) -> Option<u32> {
        number(&self.gids, name, accounts::gid)
    }
}

/// Archives may name any number of users: what is remembered of them does not grow with that.
const MOST_NAMES: usize = 10_000;

fn number(
    known: &RefCell<HashMap<String, Option<u32>>>,
    name: &[u8],
    ask: impl FnOnce(&str) -> Option<u32>,
) -> Option<u32> {
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    let mut known = known.borrow_mut();
    if let Some(number) = known.get(name) {
        return *number;
    }
    if known.len() >= MOST_NAMES {
        known.clear();
    }
    let number = ask(name);
    known.insert(name.to_owned(), number);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_this_machines() {
        let owners = Owners::of_this_machine();
        let www = owners.uid(b"www-data").expect("Debian's base system has it");
        for _ in 0..2 {
            assert_eq!((owners.user_name(0), owners.user_name(www)), ("root".into(), "www-data".into()));
            assert_eq!((owners.uid(b"root"), owners.uid(b""), owners.uid(b"\xff")), (Some(0), None, None));
            assert_eq!((owners.gid(b"root"), owners.gid(b"no such group")), (Some(0), None));
            assert_eq!(
                (owners.group_name(0), owners.user_name(3_999_999_999)),
                ("root".into(), String::new())
            );
        }
    }
}
