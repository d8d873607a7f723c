//! What our user lacks at a MariaDB or MySQL server, for backups, restores and drills, by what `SHOW GRANTS` says.

use super::rights::Grant;
use super::session::{Session, string};
use crate::config::Connection;
use crate::source::rights::{For, Lack, Rights};
use crate::source::sql::Server;
use crate::{Monitor, Result};

/// For a whole dump.
const DUMP: [&str; 4] = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];
/// For putting one in place, besides.
const LOAD: [&str; 14] = [
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
    "CREATE VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EXECUTE",
    "LOCK TABLES",
    "CREATE TEMPORARY TABLES",
];

/// See [`crate::source::rights::rights`].
pub(crate) fn rights(connection: &Connection, monitor: &Monitor) -> Result<Rights> {
    let mut session = Session::open(connection, Some(&connection.name), monitor)?;
    let mut one =
        |sql: &str| -> Result<String> { Ok(session.column(sql)?.into_iter().next().unwrap_or_default()) };
    let name = string(&connection.name);
    let user = one("SELECT CURRENT_USER()")?;
    let version = one("SELECT VERSION()")?;
    let (mariadb, major) = (Server::of(&version).mariadb, Server::of(&version).major());
    let tables = one(&format!("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name}"))?;
    let routines = format!("SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name}");
    let hidden = one(&format!("{routines} AND ROUTINE_DEFINITION IS NULL"))?;
    let programs = one(&format!(
        "SELECT ({routines}) + (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {name})"
    ))?;
    let distrusted = one("SELECT @@log_bin = 1 AND @@log_bin_trust_function_creators = 0")?;
    // MySQL shows what roles bring only when they are named.
    let roles = if !mariadb && major >= 8 { one("SELECT CURRENT_ROLE()")? } else { String::new() };
    let using = match roles.as_str() {
        "" | "NONE" => String::new(),
        roles => format!(" FOR CURRENT_USER() USING {roles}"),
    };
    let grants = Grants::of(session.column(&format!("SHOW GRANTS{using}"))?.iter().map(String::as_str));
    let account = account(&user);

    let mut lacks = Vec::new();
    let live = literal(&connection.name);
    for (purpose, wanted) in [(For::Backup, DUMP.as_slice()), (For::Restore, LOAD.as_slice())] {
        let missing = grants.lack(wanted, &connection.name).join(", ");
        if !missing.is_empty() {
            let remedy = format!("GRANT {missing} ON {live}.* TO {account};");
            lacks.push(Lack { purpose, what: missing, remedy });
        }
    }
    if hidden != "0" {
        let remedy = match (mariadb, major) {
            (true, ..11) => format!("GRANT SELECT ON mysql.proc TO {account};"),
            (true, _) => format!("GRANT SHOW CREATE ROUTINE ON {live}.* TO {account};"),
            (false, _) => format!("GRANT SHOW_ROUTINE ON *.* TO {account};"),
        };
        let what = format!("the text of {hidden} functions or procedures");
        lacks.push(Lack { purpose: For::Backup, what, remedy });
    }
    let trusted = ["SUPER", "BINLOG ADMIN"].iter().any(|privilege| grants.give_everywhere(privilege));
    if distrusted == "1" && programs != "0" && !trusted {
        lacks.push(Lack {
            purpose: For::Restore,
            what: "making triggers and functions while the server writes a binary log".into(),
            remedy: "SET GLOBAL log_bin_trust_function_creators = 1;".into(),
        });
    }
    lacks.extend(beside(&grants, &connection.name, &account));
    let server = if mariadb { "MariaDB" } else { "MySQL" };
    let version = version.split('-').next().unwrap_or_default();
    Ok(Rights { user, server: format!("{server} {version}"), tables: tables.parse().unwrap_or(0), lacks })
}

/// What is missing for databases beside the site's.
fn beside(grants: &Grants, database: &str, account: &str) -> Option<Lack> {
    let beside = ["_bam_new_1", "_bam_old_1", "_bam_drill"].map(|end| format!("{database}{end}"));
    let every = [DUMP.as_slice(), LOAD.as_slice()].concat();
    if beside.iter().all(|database| grants.lack(&every, database).is_empty()) {
        return None;
    }
    let pattern = literal(&format!("{database}_bam_"));
    let pattern = pattern.strip_suffix('`').unwrap_or(&pattern);
    Some(Lack {
        purpose: For::Beside,
        what: format!("making databases named {database}_bam_…"),
        remedy: format!("GRANT ALL PRIVILEGES ON {pattern}%`.* TO {account};"),
    })
}

/// A database's name where GRANT expects a pattern.
fn literal(name: &str) -> String {
    format!("`{}`", name.replace('`', "``").replace('_', "\\_").replace('%', "\\%"))
}

/// `user@host` as SQL writes it.
fn account(user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("{}@{}", string(name), string(host))
}

/// Privileges on whole databases. Those on single tables don't count.
struct Grants(Vec<Grant>);

impl Grants {
    fn of<'g>(lines: impl Iterator<Item = &'g str>) -> Grants {
        Grants(lines.filter_map(Grant::parse).filter(|grant| grant.object == "*").collect())
    }

    /// Which of them nothing gives.
    fn lack(&self, wanted: &[&'static str], database: &str) -> Vec<&'static str> {
        wanted.iter().copied().filter(|privilege| !self.give(privilege, database)).collect()
    }

    fn give(&self, privilege: &str, database: &str) -> bool {
        self.0.iter().any(|grant| grant.is_of(database) && grant.has(privilege))
    }

    fn give_everywhere(&self, privilege: &str) -> bool {
        self.0.iter().any(|grant| grant.database == "*" && grant.has(privilege))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_count_for_the_databases_that_they_name() {
        let grants = Grants::of(
            [
                "GRANT USAGE ON *.* TO `site`@`localhost` IDENTIFIED BY PASSWORD '*X'",
                "GRANT SELECT, INSERT, SHOW VIEW ON `d7`.* TO `site`@`localhost`",
                "GRANT ALL PRIVILEGES ON `d7\\_bam\\_%`.* TO `site`@`localhost` WITH GRANT OPTION",
                "GRANT SELECT, UPDATE (`a`, `b`) ON `other`.`t` TO `site`@`localhost`",
                "GRANT EXECUTE ON FUNCTION `d7`.`f` TO `site`@`localhost`",
                "GRANT EVENT ON `odd``name`.* TO `site`@`localhost`",
                "GRANT `role` TO `site`@`localhost`",
                "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
            ]
            .into_iter(),
        );
        for (privilege, database, given) in [
            ("SELECT", "d7", true),
            ("SHOW VIEW", "d7", true),
            ("TRIGGER", "d7", false),
            ("EXECUTE", "d7", false),
            ("SELECT", "other", false),
            ("DROP", "d7_bam_new_1", true),
            ("DROP", "d7xbam_new_1", false),
            ("EVENT", "odd`name", true),
        ] {
            assert_eq!(grants.give(privilege, database), given, "{privilege} on {database}");
        }
        let root = Grants::of(["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`"].into_iter());
        assert!(root.give("TRIGGER", "anything") && root.give_everywhere("SUPER"));
    }

    #[test]
    fn names_are_quoted_as_grant_wants_them() {
        assert_eq!(literal("a_b`c"), "`a\\_b``c`");
        assert_eq!(account("o'r@x@%"), "'o''r@x'@'%'");
    }
}
