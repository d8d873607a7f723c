//! Users of this machine and what they may read; programs that run.

use bam::{Code, Error, Result, accounts, entries, environment};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A user who exists.
pub struct Account {
    name: String,
    /// Whether that is us.
    us: bool,
}

impl Account {
    /// The user of that name or number, wherever accounts are kept.
    pub fn find(name: &str) -> Result<Account> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return Err(Error::new(Code::Usage, format!("'{name}' is no user's name")));
        }
        let found = match name.parse() {
            Ok(number) => accounts::Account::by_uid(number),
            Err(_) => accounts::Account::by_name(name),
        };
        let found = found.ok_or_else(|| {
            Error::new(Code::Usage, format!("there is no user {name} on this machine"))
                .hint("the web server's is often www-data, apache or nginx")
        })?;
        let us = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == found.uid);
        Ok(Account { name: found.name, us })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the user may do to a file what `test` calls so: `-r` read, `-x` run it. Asked as that user: by
    /// permissions, groups, ACLs and the folders above. What cannot be asked counts as allowed.
    pub fn may(&self, file: &Path, how: &str) -> bool {
        let mut command = match self.us {
            true => Command::new("test"),
            false => {
                let mut command = Command::new("runuser");
                command.args(["-u", &self.name, "--", "test"]);
                command
            }
        };
        let asked = environment::clean(&mut command)
            .arg(how)
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output();
        // `test` says nothing; what else ends so has a reason of its own.
        asked.map_or(true, |done| done.status.code() != Some(1) || !done.stderr.is_empty())
    }
}

/// Whether a program of one of these names runs.
pub fn runs(names: &[&str]) -> bool {
    let mut commands = entries::paths(Path::new("/proc"))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|process| fs::read_to_string(process.join("comm")).ok());
    commands.any(|command| names.contains(&command.trim()))
}
