//! Users and groups as this machine knows them: through the name service switch, so those of a directory (LDAP, SSSD)
//! as well as those of `/etc/passwd` and `/etc/group`. A name service that does not answer knows nobody.

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::CString;
use std::path::PathBuf;

/// A user who exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The home folder, whether or not it is there.
    pub home: PathBuf,
}

impl Account {
    /// The user of this number.
    pub fn by_uid(uid: u32) -> Option<Account> {
        User::from_uid(Uid::from_raw(uid)).ok().flatten().map(Account::from)
    }

    /// The user of this name.
    pub fn by_name(name: &str) -> Option<Account> {
        User::from_name(name).ok().flatten().map(Account::from)
    }

    /// The primary group, and all groups that list the user.
    pub fn groups(&self) -> Vec<u32> {
        let name = CString::new(self.name.as_str()).unwrap_or_default();
        match getgrouplist(&name, Gid::from_raw(self.gid)) {
            Ok(groups) => groups.into_iter().map(Gid::as_raw).collect(),
            Err(_) => vec![self.gid],
        }
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir }
    }
}

/// The name of a group.
pub fn group_name(gid: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name)
}

/// The number of a group.
pub fn gid(name: &str) -> Option<u32> {
    Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What getent(1), which asks the same switch, prints.
    fn getent(table: &str, key: &str) -> Vec<String> {
        let said = Command::new("getent").args([table, key]).output().expect("getent");
        String::from_utf8_lossy(&said.stdout).trim_end().split(':').map(str::to_owned).collect()
    }

    #[test]
    fn users_and_groups_are_those_of_the_name_service() {
        for name in ["root", "nobody", "www-data"] {
            let (account, line) = (Account::by_name(name).expect(name), getent("passwd", name));
            let told = [account.uid.to_string(), account.gid.to_string(), account.home.display().to_string()];
            assert_eq!(told.each_ref(), [&line[2], &line[3], &line[5]], "{name}");
            assert_eq!(Account::by_uid(account.uid).as_ref(), Some(&account));
            assert!(account.groups().contains(&account.gid));
            let group = group_name(account.gid).expect("a primary group");
            assert_eq!((gid(&group), &group), (Some(account.gid), &getent("group", &line[3])[0]));
        }
        let nobody =
            (Account::by_name("no-such-user"), Account::by_name("a\0b"), Account::by_uid(3_999_999_999));
        assert_eq!((nobody, gid("no-such-group")), ((None, None, None), None));
    }
}
