//! What only some servers know: comments that they run (`/*!50100 … */`, `/*M!100100 … */`), and modes.

use std::borrow::Cow;

/// The versions whose MySQL comments MariaDB passes over (<https://mariadb.com/kb/en/comment-syntax/>).
const MYSQL_ONLY: std::ops::RangeInclusive<u32> = 50_700..=99_999;

/// A server, as far as it matters to what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) mariadb: bool,
    /// 110408 for 11.4.8.
    number: u32,
}

impl Server {
    /// By its answer to `SELECT VERSION()`.
    pub(crate) fn of(version: &str) -> Server {
        let numbers =
            version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
        let number = numbers.take(3).fold((0_u32, 10_000_u32), |(sum, worth), part| {
            (sum.saturating_add(part.saturating_mul(worth)), worth / 100)
        });
        Server { mariadb: version.to_ascii_lowercase().contains("mariadb"), number: number.0 }
    }

    pub(crate) fn major(self) -> u32 {
        self.number / 10_000
    }

    /// Whether it runs a comment, given from behind its `/*`.
    fn runs(self, comment: &[u8]) -> bool {
        let (marked, of_mariadb) = match (comment.strip_prefix(b"!"), comment.strip_prefix(b"M!")) {
            (Some(marked), _) => (marked, false),
            (None, Some(marked)) => (marked, true),
            (None, None) => return false,
        };
        let digits = marked.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        let version = marked.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match (self.mariadb, of_mariadb) {
            (false, true) => false,
            (true, false) if version.is_some_and(|version| MYSQL_ONLY.contains(&version)) => false,
            _ => version.unwrap_or(0) <= self.number,
        }
    }
}

/// Whether the statement is nothing to this server. MySQL refuses such a one among others.
pub(crate) fn is_for_others(text: &[u8], server: Server) -> bool {
    let mut rest = text.trim_ascii();
    while let Some(comment) = rest.strip_prefix(b"/*") {
        let Some(end) = memchr::memmem::find(comment, b"*/") else { return false };
        if server.runs(comment) {
            return false;
        }
        rest = comment.get(end + 2..).unwrap_or_default().trim_ascii();
    }
    rest.is_empty()
}

/// Modes that MySQL has no more since version 8 (<https://dev.mysql.com/doc/refman/8.0/en/sql-mode.html>) or that it never
/// had: names for several others, which stand beside them, and what makes no difference there.
const GONE: [&str; 10] = [
    "NO_AUTO_CREATE_USER",
    "NO_FIELD_OPTIONS",
    "NO_KEY_OPTIONS",
    "NO_TABLE_OPTIONS",
    "DB2",
    "MAXDB",
    "MSSQL",
    "MYSQL40",
    "POSTGRESQL",
    "TIME_ROUND_FRACTIONAL",
];
/// The same of MariaDB, which always cuts off.
const NEVER_IN_MARIADB: [&str; 1] = ["TIME_TRUNCATE_FRACTIONAL"];

/// A `SET sql_mode = '…'` without the modes that this server does not know and does not miss.
pub(crate) fn with_known_modes(text: &[u8], server: Server) -> Cow<'_, [u8]> {
    let unknown: &[&str] = match (server.mariadb, server.major()) {
        (true, _) => &NEVER_IN_MARIADB,
        (false, 8..) => &GONE,
        (false, _) => &[],
    };
    let Ok(known) = std::str::from_utf8(text) else { return Cow::Borrowed(text) };
    if unknown.is_empty() || !known.to_ascii_lowercase().contains("sql_mode") {
        return Cow::Borrowed(text);
    }
    // Between quotes, a list with commas.
    let mut parts: Vec<Cow<'_, str>> = known.split('\'').map(Cow::Borrowed).collect();
    for list in parts.iter_mut().skip(1).step_by(2) {
        let is_known = |mode: &&str| !unknown.iter().any(|one| one.eq_ignore_ascii_case(mode.trim()));
        let kept: Vec<&str> = list.split(',').filter(is_known).collect();
        if kept.len() < list.split(',').count() {
            *list = Cow::Owned(kept.join(","));
        }
    }
    Cow::Owned(parts.join("'").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_are_not_missed_go() {
        let [mariadb, mysql, old] = ["11.8.3-MariaDB", "9.7.4", "5.7.44"].map(Server::of);
        let set =
            "/*!50003 SET sql_mode = 'STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION' */";
        let gone = set.replace("NO_AUTO_CREATE_USER,", "");
        for (text, server, expected) in [
            (set, mysql, gone.as_str()),
            (set, mariadb, set),
            (set, old, set),
            ("SET sql_mode='NO_AUTO_CREATE_USER'", mysql, "SET sql_mode=''"),
            (
                "SET SQL_MODE='TIME_TRUNCATE_FRACTIONAL,ANSI_QUOTES', @a='DB2'",
                mariadb,
                "SET SQL_MODE='ANSI_QUOTES', @a='DB2'",
            ),
            ("SET SESSION sql_mode='ORACLE'", mysql, "SET SESSION sql_mode='ORACLE'"),
            ("SET @a='DB2'", mysql, "SET @a='DB2'"),
        ] {
            assert_eq!(String::from_utf8_lossy(&with_known_modes(text.as_bytes(), server)), expected);
        }
    }

    #[test]
    fn each_server_runs_its_own() {
        let servers = ["10.11.14-MariaDB-0+deb12u2", "9.7.4", "5.6.51-log", "8.0.35-27"].map(Server::of);
        assert_eq!(servers.map(Server::major), [10, 9, 5, 8]);
        for (text, for_others) in [
            ("/*!40101 SET NAMES utf8mb4 */", [false; 4]),
            ("/*! SET a=1 */", [false; 4]),
            ("/*M!100100 SET a=1 */", [false, true, true, true]),
            ("/*M!120000 SET a=1 */ ", [true; 4]),
            ("/*!50700 SET a=1 */", [true, false, true, false]),
            ("/*!80000 SET a=1 */", [true, false, true, false]),
            ("/*!90200 SET a=1 */", [true, false, true, true]),
            ("/*!100100 SET a=1 */", [false, true, true, true]),
            ("/*!80000 SET a=1 */ DROP TABLE t", [false; 4]),
            ("/* nothing */ /*!999999 x */", [true; 4]),
            ("/*!50003 CREATE*/ /*!80000 x*/ /*!50003 TRIGGER t */", [false; 4]),
            ("SET a=1 /*!80000 , b=2 */", [false; 4]),
        ] {
            assert_eq!(servers.map(|server| is_for_others(text.as_bytes(), server)), for_others, "{text}");
        }
    }
}
