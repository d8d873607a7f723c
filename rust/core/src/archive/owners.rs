//! Names of users and groups, so that archives restore on machines where the numbers differ.

use std::collections::HashMap;

/// The users and groups of `/etc/passwd` and `/etc/group`. Those that only a directory service knows have
/// no name here and travel by number alone.
#[derive(Debug, Default)]
pub struct Owners {
    user_names: HashMap<u32, Vec<u8>>,
    group_names: HashMap<u32, Vec<u8>>,
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Owners {
    /// This machine's. Missing files mean no names.
    pub fn of_this_machine() -> Self {
        let read = |path| std::fs::read(path).unwrap_or_default();
        Self::parse(&read("/etc/passwd"), &read("/etc/group"))
    }

    /// From the texts of the two files. Where a number has several names, the first counts.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let mut owners = Owners::default();
        for (name, id) in lines(passwd) {
            owners.user_names.entry(id).or_insert_with(|| name.to_vec());
            owners.users.entry(name.to_vec()).or_insert(id);
        }
        for (name, id) in lines(group) {
            owners.group_names.entry(id).or_insert_with(|| name.to_vec());
            owners.groups.entry(name.to_vec()).or_insert(id);
        }
        owners
    }

    /// The name of user `uid`, or nothing.
    pub fn user_name(&self, uid: u32) -> &[u8] {
        self.user_names.get(&uid).map_or(&[], Vec::as_slice)
    }

    /// The name of group `gid`, or nothing.
    pub fn group_name(&self, gid: u32) -> &[u8] {
        self.group_names.get(&gid).map_or(&[], Vec::as_slice)
    }

    /// The number of the user called `name`.
    pub fn uid(&self, name: &[u8]) -> Option<u32> {
        self.users.get(name).copied()
    }

    /// The number of the group called `name`.
    pub fn gid(&self, name: &[u8]) -> Option<u32> {
        self.groups.get(name).copied()
    }
}

/// `name:password:number:…` in both files.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    text.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next().filter(|n| !n.is_empty())?;
        let id = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((name, id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_with_the_first_name_winning() {
        let owners = Owners::parse(
            b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:\ntoor:x:0:0::/:\nbroken\n",
            b"www-data:x:33:\n",
        );
        assert_eq!(owners.user_name(0), b"root");
        assert_eq!(
            (owners.uid(b"toor"), owners.uid(b"www-data"), owners.uid(b"")),
            (Some(0), Some(33), None)
        );
        assert_eq!((owners.group_name(33), owners.group_name(0)), (&b"www-data"[..], &b""[..]));
    }
}
