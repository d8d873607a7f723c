//! Starting MariaDB's and MySQL's own clients, and understanding what they complain about.

use super::session::quote;
use crate::config::{Connection, hide};
use crate::source::tool::{self, SECRET_PATH, Tool};
use crate::{Code, Error, Fact, Monitor, NoteKind, Result};
use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use zeroize::Zeroizing;

/// The clients we use, under MariaDB's names and MySQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Runs SQL.
    Client,
    /// Dumps.
    Dump,
}

impl Program {
    fn names(self) -> &'static [&'static str] {
        match self {
            Program::Client => &["mariadb", "mysql"],
            Program::Dump => &["mariadb-dump", "mysqldump"],
        }
    }
}

/// Debian's package of both.
const PACKAGE: &str = "mariadb-client";

/// How the SQL client is called for loading: it takes no commands of its own, leaves the comments in routines, and does
/// not come back to a server that has ended its session.
pub(crate) const LOADING: [&str; 4] = ["--batch", "--binary-mode", "--comments", "--skip-reconnect"];
/// For loading: the client then passes over bytes, of which none that UTF-8 puts into a character means anything to
/// it, instead of looking for characters. The server is told by statements what they are.
pub(crate) const LOAD_CHARSET: &str = "--default-character-set=latin1";
/// Within how many seconds a server has to let us in. It holds for no statement; the dump client does not know it, and
/// is started only after others were let in.
const PATIENCE: &str = "--connect-timeout=20";
/// It goes on after an error.
pub(crate) const FORCE: &str = "--force";

/// Variables that would send a client elsewhere or log it in as someone else.
const UNSET: [&str; 7] = [
    "MYSQL_PWD",
    "MYSQL_HOST",
    "MYSQL_TCP_PORT",
    "MYSQL_UNIX_PORT",
    "MYSQL_GROUP_SUFFIX",
    "MARIADB_GROUP_SUFFIX",
    "MYSQL_HOME",
];

/// Starts a client that reads `connection`'s address and credentials from a pipe, and no other option file: as
/// Drupal connects, whatever the machine's `my.cnf` says. It keeps `held` open until it ends.
pub(crate) fn spawn<A: AsRef<OsStr>>(
    program: Program,
    connection: &Connection,
    arguments: impl IntoIterator<Item = A>,
    held: Option<OwnedFd>,
    stdin: Stdio,
    stdout: Stdio,
) -> Result<(Tool, &'static str)> {
    let (path, name) = tool::find(program.names(), PACKAGE)?;
    let mut command = tool::command(path, &UNSET);
    // Must come first.
    command.arg(format!("--defaults-file={SECRET_PATH}"));
    // MySQL's clients read the login path file in any case: let there be none.
    command.env("MYSQL_TEST_LOGIN_FILE", "/nonexistent");
    command.args(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]);
    if program == Program::Client {
        command.arg(PATIENCE);
    }
    command.args(arguments);
    let tool = tool::spawn_holding(command, &option_file(connection), held, stdin, stdout)
        .map_err(|cause| Error::new(Code::Database, format!("cannot start {name}")).because(cause))?;
    Ok((tool, name))
}

/// The option file's text.
fn option_file(connection: &Connection) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(b"[client]\n".to_vec());
    let mut put = |key: &str, value: &[u8]| {
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(b"=\"");
        // https://mariadb.com/kb/en/configuring-mariadb-with-option-files/#escape-sequences
        for &byte in value {
            match byte {
                b'\\' => text.extend_from_slice(br"\\"),
                b'"' => text.extend_from_slice(br#"\""#),
                b'\n' => text.extend_from_slice(br"\n"),
                b'\r' => text.extend_from_slice(br"\r"),
                b'\t' => text.extend_from_slice(br"\t"),
                8 => text.extend_from_slice(br"\b"),
                byte => text.push(byte),
            }
        }
        text.extend_from_slice(b"\"\n");
    };
    if !connection.user.is_empty() {
        put("user", connection.user.as_bytes());
    }
    // An empty password is said, so that no client asks for one.
    put("password", connection.password.expose());
    match &connection.socket {
        Some(socket) => {
            put("protocol", b"socket");
            put("socket", socket.as_os_str().as_bytes());
        }
        None => {
            put("host", if connection.host.is_empty() { b"localhost" } else { connection.host.as_bytes() });
            if let Some(port) = connection.port {
                put("port", port.to_string().as_bytes());
            }
        }
    }
    text
}

/// Runs a script to its end, also when we are killed meanwhile: the client reads it from a file. A cancel ends the client.
/// `options` are further ones of the client, `held` as in [`spawn`].
pub(crate) fn run_file(
    connection: &Connection,
    database: Option<&str>,
    script: std::fs::File,
    options: &[&str],
    held: Option<OwnedFd>,
    monitor: &Monitor,
) -> Result<()> {
    let mut arguments = LOADING.map(String::from).to_vec();
    arguments.extend(database.map(|name| format!("--database={name}")));
    arguments.extend(options.iter().map(|&option| option.to_owned()));
    let (mut tool, name) =
        spawn(Program::Client, connection, arguments, held, script.into(), Stdio::piped())?;
    // What it answers is passed over; waiting for its end there, we see a cancel.
    std::io::copy(&mut tool.output(monitor, None)?, &mut std::io::sink())?;
    outcome(tool, name, connection)
}

/// Turns a client's end into our error: the exit status, the last lines of its stderr, and what to do.
pub(crate) fn outcome(tool: Tool, name: &str, connection: &Connection) -> Result<()> {
    let (status, stderr) = tool.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(complaint(name, &status.to_string(), &stderr, connection))
}

/// The same for a dump client; with `ignore_errors` what it could not dump becomes notes.
pub(crate) fn dump_outcome(
    tool: Tool,
    name: &str,
    connection: &Connection,
    ignore_errors: bool,
    monitor: &Monitor,
) -> Result<Option<String>> {
    let (status, stderr) = tool.wait()?;
    if status.success() {
        return Ok(None);
    }
    // Killed, it did not get to its end.
    if !ignore_errors || status.code().is_none() {
        return Err(complaint(name, &status.to_string(), &stderr, connection));
    }
    let said = redact(&stderr, connection);
    let mut lines: Vec<&str> = said.lines().filter(|line| says_something(line)).collect();
    let failed = format!("{name} failed ({status})");
    if lines.is_empty() {
        lines.push(&failed);
    }
    for line in lines {
        monitor.note(NoteKind::Missing, format!("database {}: {line}", connection.label()));
    }
    Ok(Some(said))
}

/// Whether a line on stderr tells of something that is missing. Clients complain of our options for others of their kind, and
/// put a line before and after a statement that failed.
fn says_something(line: &str) -> bool {
    let about_options = ["unknown option '--loose-", "unknown variable 'loose-"];
    !line.trim_matches(['-', ' ']).is_empty() && !about_options.iter().any(|words| line.contains(words))
}

/// Which of `tables` a dump client complains about; where it names none it may be any of them.
pub(crate) fn tables_in(said: &str, tables: &[String]) -> Vec<String> {
    let is_named = |table: &&String| {
        [quote(table), format!("'{table}'"), format!(".{table}'")].iter().any(|name| said.contains(name))
    };
    let named: Vec<String> = tables.iter().filter(is_named).cloned().collect();
    if named.is_empty() { tables.to_vec() } else { named }
}

fn complaint(name: &str, status: &str, stderr: &str, connection: &Connection) -> Error {
    let stderr = redact(stderr, connection);
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    // The SQL client repeats the statement first, rows and all.
    let last = match lines.iter().rev().find(|line| line.starts_with("ERROR ")) {
        Some(line) => (*line).to_owned(),
        None => lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; "),
    };
    let message = match last.is_empty() {
        true => format!("{name} failed ({status})"),
        false => format!("{name} failed: {last}"),
    };
    // The client does not say which server it was.
    if is_silent(&last) {
        let message = format!("{message}: {} does not answer as a database server", server(connection));
        return refused(&message, Some(UNREACHABLE), connection).with(Fact::Cause, last);
    }
    let cause = if last.is_empty() { status } else { &last };
    refused(&message, error_number(&stderr), connection).with(Fact::Cause, cause)
}

/// The number that clients give to a server that they cannot connect to (`CR_CONN_HOST_ERROR`).
const UNREACHABLE: u16 = 2003;

/// Whether a connection was lost before the server let us in: MariaDB's clients and MySQL's say the same.
fn is_silent(said: &str) -> bool {
    ["'handshake: ", "'reading initial communication packet'", "'waiting for initial communication packet'"]
        .iter()
        .any(|words| said.contains(words))
}

/// Where the server is.
fn server(connection: &Connection) -> String {
    match (&connection.socket, connection.host.as_str(), connection.port) {
        (Some(socket), _, _) => hide(&socket.display().to_string()),
        (None, "", None) => "localhost".to_owned(),
        (None, host, port) => format!("{host}:{}", port.unwrap_or(3306)),
    }
}

/// What the server has refused under that number, with what is to be done.
pub(crate) fn refused(message: &str, number: Option<u16>, connection: &Connection) -> Error {
    let (code, mut hint) = advice(number, connection);
    if let Some(remedy) = collation_remedy(message) {
        hint = remedy;
    }
    let error = Error::new(code, message);
    if hint.is_empty() { error } else { error.hint(hint) }
}

/// What to do about a collation that the server does not know, by its message. What takes its place MySQL and MariaDB
/// both know, of any age.
fn collation_remedy(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Unknown collation: '")?;
    let (unknown, _) = rest.split_once('\'')?;
    let charset =
        unknown.split('_').next().filter(|charset| charset.starts_with("utf8")).unwrap_or("utf8mb4");
    let kind = match unknown.ends_with("_bin") || unknown.ends_with("_cs") {
        true => "bin",
        false => "unicode_520_ci",
    };
    Some(format!(
        "the dump comes from a server that knows more collations than this one: replace the name by one that this server has \
         (SHOW COLLATION). Decompress the dump, sed -i 's/{unknown}/{charset}_{kind}/g' DUMP, then bam restore --file DUMP"
    ))
}

/// No client prints a password; should one ever do, it goes no further.
fn redact(stderr: &str, connection: &Connection) -> String {
    match std::str::from_utf8(connection.password.expose()) {
        Ok(password) if password.len() >= 4 => stderr.replace(password, "[secret]"),
        _ => stderr.to_owned(),
    }
}

/// The server's error number in `ERROR 1045 (28000): …`, `Got error: 1045: "…"` or `mysqldump: Error 2013: …`; the last one counts.
fn error_number(stderr: &str) -> Option<u16> {
    let after = |marker: &str| {
        let (_, rest) = stderr.rsplit_once(marker)?;
        rest.get(..rest.find(|c: char| !c.is_ascii_digit())?)?.parse().ok()
    };
    after("ERROR ").or_else(|| after("Got error: ")).or_else(|| after(": Error ")).or_else(|| {
        // mysqldump: Couldn't execute '…': … (1146)
        let (_, rest) = stderr.trim_end().rsplit_once('(')?;
        rest.strip_suffix(')')?.parse().ok()
    })
}

/// Where a session broke. Whoever is sent more than max_allowed_packet hangs up, too.
const HUNG_UP: &str = "the server was stopped, or ended the connection: its error log says why (a crash, too little memory, KILL, a time limit); \
    then do the same again. Only where it breaks at the same table each time, raise max_allowed_packet";

/// <https://mariadb.com/kb/en/mariadb-error-code-reference/>
fn advice(number: Option<u16>, connection: &Connection) -> (Code, String) {
    let user = &connection.user;
    let db = &connection.name;
    match number {
        Some(1045 | 1698) => (Code::Permission, "check the user and the password of this database".into()),
        Some(1418 | 1419) => (
            Code::Permission,
            format!(
                "the server writes a binary log, and {user} has no SUPER privilege there: for triggers and functions set \
                 log_bin_trust_function_creators (SET GLOBAL log_bin_trust_function_creators = 1, and the same below \
                 [mysqld] in the server's settings), or GRANT SUPER ON *.* to {user}"
            ),
        ),
        Some(1044 | 1142 | 1143 | 1227 | 1370 | 1410) => {
            (Code::Permission, format!("grant the missing privilege on {db} to {user}"))
        }
        Some(1049) => {
            (Code::Database, format!("create the database {db}, or correct its name in the configuration"))
        }
        Some(2002 | 2003 | 2005) => {
            (Code::Database, "check that the database server is running, and its host, port or socket".into())
        }
        Some(1040 | 1203 | 1226) => (Code::Database, "the server has no connection left; try again later".into()),
        Some(1021 | 1030 | 1114) => {
            (Code::Database, "look at the server's disk space and its error log".into())
        }
        Some(1153 | 2020) => (
            Code::Database,
            "a row is larger than the server takes in one packet: raise max_allowed_packet in the server's settings"
                .into(),
        ),
        Some(1053 | 1927 | 2006 | 2013 | 2055 | 4031) => (Code::Database, HUNG_UP.into()),
        Some(1194 | 1195) => (Code::Database, "repair the table (REPAIR TABLE), or leave it out".into()),
        Some(1115) => (
            Code::Database,
            "the dump comes from a server that knows more character sets than this one (SHOW CHARACTER SET)".into(),
        ),
        Some(1118 | 1173 | 3750 | 6125) => (
            Code::Database,
            "the server is stricter than the one that was dumped: set innodb_strict_mode, innodb_force_primary_key, \
             sql_require_primary_key or restrict_fk_on_non_standard_key to OFF for the restore, or grant \
             SESSION_VARIABLES_ADMIN to the user"
                .into(),
        ),
        Some(3105) => (
            Code::Database,
            "the dump has values for generated columns, as MariaDB's dump client writes them, and MySQL takes none: back up with \
             bam, which leaves them out"
                .into(),
        ),
        Some(1356) => {
            (Code::Database, "drop or repair this view, or run again with ignore_errors".into())
        }
        Some(1205 | 1213) => {
            (Code::Database, "another program keeps tables locked; try again when the site is quiet".into())
        }
        _ => (Code::Database, String::new()),
    }
}

/// How sessions are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Where they can stop and leave everything whole: MariaDB knows the difference
    /// (<https://mariadb.com/kb/en/kill/>), to MySQL it is a comment.
    Soft,
    /// Wherever they are. MariaDB 10.11 was seen to crash of it (in `ha_maria::drop_table`) when it met a session that was
    /// making a temporary table, so it is the last resort.
    Hard,
}

/// Ends sessions; one that is gone already is no error.
pub(crate) fn kill(connection: &Connection, sessions: &[String], how: Kill) -> Result<()> {
    if sessions.is_empty() {
        return Ok(());
    }
    let mut script = crate::child::memory_file()?;
    let how = if how == Kill::Soft { "/*M! SOFT */ " } else { "" };
    for id in sessions {
        writeln!(script, "KILL {how}{id};")?;
    }
    script.rewind()?;
    match run_file(connection, None, script, &[FORCE], None, &Monitor::new()) {
        Err(error) if error.code() != Code::Database => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;
    use crate::config::Database;
    use std::path::Path;

    #[test]
    fn unknown_collations_get_one_that_all_know() {
        let remedy = |name: &str| {
            collation_remedy(&format!("ERROR 1273 (HY000) at line 7: Unknown collation: '{name}'"))
        };
        for (unknown, known) in [
            ("utf8mb4_0900_ai_ci", "s/utf8mb4_0900_ai_ci/utf8mb4_unicode_520_ci/g"),
            ("utf8mb4_uca1400_ai_ci", "s/utf8mb4_uca1400_ai_ci/utf8mb4_unicode_520_ci/g"),
            ("utf8mb3_uca1400_as_cs", "s/utf8mb3_uca1400_as_cs/utf8mb3_bin/g"),
            ("utf8mb4_0900_bin", "s/utf8mb4_0900_bin/utf8mb4_bin/g"),
            ("uca1400_ai_ci", "s/uca1400_ai_ci/utf8mb4_unicode_520_ci/g"),
        ] {
            assert!(remedy(unknown).is_some_and(|text| text.contains(known)), "{unknown}");
        }
        assert_eq!(collation_remedy("ERROR 1045 (28000): Access denied"), None);
    }

    #[test]
    fn a_lost_connection_is_no_matter_of_a_rows_size() {
        let connection = Database { url: Some(Secret::new("mysql://u@h/d")), ..Database::default() };
        let connection = connection.resolve(Path::new("")).expect("a connection");
        let hint =
            |number| refused("x", Some(number), &connection).next_step().unwrap_or_default().to_owned();
        for lost in [1053, 1927, 2006, 2013, 4031] {
            assert!(hint(lost).starts_with("the server was stopped"), "{lost}: {}", hint(lost));
        }
        assert!(hint(1153).starts_with("a row is larger"), "{}", hint(1153));
    }

    #[test]
    fn the_error_number_is_found_in_every_form() {
        for (said, number) in [
            (
                "ERROR 1045 (28000): Access denied for user 'd7'@'localhost' (using password: YES)\n",
                Some(1045),
            ),
            ("ERROR 1146 (42S02) at line 7: Table 'd7.x' doesn't exist", Some(1146)),
            ("mysqldump: Got error: 2002: \"Can't connect (2)\" when trying to connect", Some(2002)),
            (
                "mysqldump: Couldn't execute 'show create table `x`': Table 'd7.x' doesn't exist (1146)\n",
                Some(1146),
            ),
            (
                "mariadb-dump: Error 2013: Lost connection to server during query when dumping table `x` at row: 7",
                Some(2013),
            ),
            ("mysqldump: unknown option '--x'", None),
        ] {
            assert_eq!(error_number(said), number, "{said}");
        }
    }

    #[test]
    fn whoever_is_named_is_meant_and_else_all() {
        let tables = ["node", "h", "it's"].map(str::to_owned);
        let named = |said: &str| tables_in(said, &tables);
        assert_eq!(
            named("Error 1194: Table 'h' is marked as crashed when dumping table `h` at row: 7"),
            ["h"]
        );
        assert_eq!(named("Got error: 1932: \"Table 'd7.node' doesn't exist in engine\""), ["node"]);
        assert_eq!(named("for table `d7`.`it's`"), ["it's"]);
        assert_eq!(named("Error 2013: Lost connection to server during query"), tables);
        assert!(!says_something("--------------") && !says_something(""));
        assert!(!says_something("Warning: mariadb-dump: unknown variable 'loose-column-statistics=0'"));
        assert!(says_something("ERROR 1194 (HY000) at line 6: Table 'h' is marked as crashed"));
    }
}
