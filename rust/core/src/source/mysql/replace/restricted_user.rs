//! Loading what nobody vouches for: as a user of the server who may change the databases beside the live one and nothing
//! else, so that the server decides what such a dump can do. Needed where our own user may do more than that.

use super::MysqlReplacement;
use crate::config::Connection;
use crate::source::mysql::connect::session::{Session, string};
use crate::{Code, Error, Monitor, NoteKind, Result, Secret};

/// Bytes of a password's randomness.
const RANDOM: usize = 20;

impl MysqlReplacement {
    /// Makes that user. `None`: our own has no rights elsewhere, or none can be made, which is said.
    pub(crate) fn make_restricted_user(
        &self,
        connection: &Connection,
        monitor: &Monitor,
    ) -> Result<Option<Connection>> {
        let mut session = Session::open(connection, None, monitor)?;
        if !session.column("SHOW GRANTS")?.iter().any(|grant| reaches_beyond(grant, &connection.name)) {
            return Ok(None);
        }
        let mut bytes = [0; RANDOM];
        getrandom::fill(&mut bytes).map_err(|cause| {
            Error::new(Code::Internal, "no random numbers from the system").because(cause)
        })?;
        // Something of each kind, as some servers insist.
        let password: String = "aA1-"
            .chars()
            .chain(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).map(char::from))
            .collect();
        let account = self.restricted(&mut session)?;
        let mut all = format!(
            "DROP USER IF EXISTS {account}; CREATE USER {account} IDENTIFIED BY {}",
            string(&password)
        );
        for database in self.own_databases() {
            let pattern =
                database.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%").replace('`', "``");
            all += &format!("; GRANT ALL PRIVILEGES ON `{pattern}`.* TO {account}");
        }
        let restricted = Connection {
            user: self.restricted_user_name(),
            password: Secret::new(password),
            ..connection.clone()
        };
        let made = session
            .run(&all)
            .and_then(|()| Session::open(&restricted, Some(self.own_databases()[0]), monitor).map(drop));
        match made {
            Ok(()) => {
                // Foreign keys and the like may name tables elsewhere; to change those takes more than these.
                if let Ok(mut session) = Session::open(connection, None, monitor) {
                    let _ = session.run(&format!("GRANT SELECT, REFERENCES ON *.* TO {account}"));
                }
                Ok(Some(restricted))
            }
            Err(error) if error.code() == Code::Cancelled => Err(error),
            Err(error) => {
                let text = format!(
                    "nothing proves whose the backup is, and it is loaded with all rights of {}, which reach beyond this \
                     database, as no user without them can be made: {error}. Only bam's own look at its statements keeps \
                     them to this one; better give the site a user with rights on its database alone",
                    connection.user
                );
                monitor.note(NoteKind::Warning, text);
                Ok(None)
            }
        }
    }

    /// Removes that user, should there be one.
    pub(crate) fn dismiss(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let mut session = Session::open(connection, None, monitor)?;
        let account = self.restricted(&mut session)?;
        // Who may not do this has made none.
        match session.run(&format!("DROP USER IF EXISTS {account}")) {
            Err(error) if error.code() == Code::Cancelled => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn restricted_user_name(&self) -> String {
        format!("bam_{}", self.id)
    }

    /// From where we come, too.
    fn restricted(&self, session: &mut Session<'_>) -> Result<String> {
        let user = session.column("SELECT USER()")?.pop().unwrap_or_default();
        let host = user.rsplit_once('@').map_or("localhost", |(_, host)| host);
        Ok(format!("{}@{}", string(&self.restricted_user_name()), string(host)))
    }
}

/// Whether a line of `SHOW GRANTS` is about more than `database` and those beside it.
fn reaches_beyond(grant: &str, database: &str) -> bool {
    let Some((privileges, rest)) = grant.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON "))
    else {
        // A role may have whatever it was given.
        return !grant.starts_with("SET DEFAULT ROLE ");
    };
    if privileges == "USAGE" {
        return false;
    }
    let Some(pattern) =
        rest.strip_prefix('`').and_then(|rest| rest.split_once("`.")).map(|(pattern, _)| pattern)
    else {
        return true;
    };
    // `_` stands for any character: a name with one in it is as good as that name here.
    let plain = pattern.replace("\\_", "_").replace("\\%", "\u{0}").replace("``", "`");
    let own = plain.trim_end_matches('%');
    plain != database
        && !(own.len() > database.len() && own.starts_with(database))
        && !(plain.ends_with('%') && own.strip_suffix('_').unwrap_or(own) == database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_elsewhere_are_seen() {
        for (grant, beyond) in [
            ("GRANT USAGE ON *.* TO `d7`@`localhost` IDENTIFIED BY PASSWORD '*AB'", false),
            ("GRANT ALL PRIVILEGES ON `d7`.* TO `d7`@`localhost`", false),
            ("GRANT ALL PRIVILEGES ON `d7\\_bam\\_%`.* TO `d7`@`localhost`", false),
            ("GRANT ALL PRIVILEGES ON `d7_%`.* TO `d7`@`localhost`", false),
            ("GRANT SELECT ON `crm`.* TO `d7`@`localhost`", true),
            ("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", true),
            ("GRANT `admin` TO `d7`@`localhost`", true),
            ("GRANT SELECT ON `d`.`t` TO `d7`@`localhost`", true),
        ] {
            assert_eq!(reaches_beyond(grant, "d7"), beyond, "{grant}");
        }
    }
}
