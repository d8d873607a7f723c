//! Comments that only some servers run: `/*!50100 … */`, `/*M!100100 … */`.

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

#[cfg(test)]
mod tests {
    use super::*;

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
