//! A MariaDB server of the tests' own, or where there is none a MySQL: on a private socket in a temporary folder, without a
//! network port, gone when the test program ends, however it ends.

use bam::Secret;
use bam::config::{Connection, Driver};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Waits for the end of its input, which comes with the end of the test program; then stops the server.
const KEEPER: &str = r#"
    dir=$1; shift
    "$@" & server=$!
    cat >/dev/null
    kill "$server"; wait "$server"
    rm -rf "$dir"
"#;

/// Whether the machine has MySQL's server and not MariaDB's, which has the old names as well.
pub fn is_mysql() -> bool {
    which("mariadbd").is_none() && which("mysqld").is_some()
}

/// The first text for MariaDB, the other for MySQL.
pub fn either<'t>(mariadb: &'t str, mysql: &'t str) -> &'t str {
    if is_mysql() { mysql } else { mariadb }
}

pub struct Server {
    dir: PathBuf,
    _keeper: Child,
}

/// A session that is open.
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The one server of this test program. Without one on the machine the test `name` says that it is skipped.
pub fn server(name: &str) -> Option<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    match SERVER.get_or_init(|| Server::start(&[])) {
        Ok(server) => Some(server),
        Err(reason) => {
            println!("SKIP {name}: {reason}");
            None
        }
    }
}

/// A server of the test's own with further options; skipped like [`server`].
pub fn server_with(name: &str, options: &[&str]) -> Option<Server> {
    Server::start(options).map_err(|reason| println!("SKIP {name}: {reason}")).ok()
}

/// Makes the server's own tables.
fn install(folders: &[&str], user: &[String]) {
    let mut install = match is_mysql() {
        true => Command::new("mysqld"),
        false => Command::new("mariadb-install-db"),
    };
    install.arg("--no-defaults").args(folders).args(user);
    install.args(match is_mysql() {
        true => ["--initialize-insecure"].as_slice(),
        false => &["--auth-root-authentication-method=normal", "--skip-test-db"],
    });
    let made = install.output().unwrap();
    assert!(
        made.status.success(),
        "{}{}",
        String::from_utf8_lossy(&made.stdout),
        String::from_utf8_lossy(&made.stderr)
    );
}

impl Server {
    /// Starts one with further options; the error says what is not installed. Anything else that fails panics.
    pub fn start(options: &[&str]) -> Result<Server, String> {
        let programs: &[&str] = if is_mysql() {
            &["mysql", "mysqladmin"]
        } else {
            &["mariadbd", "mariadb-install-db", "mariadb"]
        };
        if let Some(missing) = programs.iter().find(|program| which(program).is_none()) {
            return Err(format!("{missing} is not installed"));
        }
        let dir = tempfile::Builder::new().prefix("bam-mariadb-").tempdir().unwrap().keep();
        std::fs::create_dir(dir.join("elsewhere")).unwrap();
        let root =
            std::fs::metadata("/proc/self").map(|it| std::os::unix::fs::MetadataExt::uid(&it)).unwrap() == 0;
        // Run by root, the server wants to be told that this is meant.
        let user = if root { vec!["--user=root".to_owned()] } else { Vec::new() };
        let data = format!("--datadir={}", dir.join("data").display());
        // Servers that start, also the one that only installs, remove what they take for leftovers: others' temporary tables.
        let temporary = format!("--tmpdir={}", dir.display());
        install(&[&data, &temporary], &user);
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .arg(either("mariadbd", "mysqld"))
            .args(["--no-defaults", &data, "--skip-networking", "--skip-log-bin", "--innodb-doublewrite=0"])
            .args([
                "--innodb-flush-log-at-trx-commit=2",
                either("--innodb-log-file-size=256M", "--innodb-redo-log-capacity=256M"),
                "--max-allowed-packet=128M",
            ])
            .arg(&temporary)
            // Files may be written into any folder, as with MariaDB.
            .args(if is_mysql() {
                ["--secure-file-priv=", "--mysqlx=OFF"].as_slice()
            } else {
                // Nothing of it outlives the tests: what would be waited for most is the disk.
                &["--debug-no-sync"]
            })
            .args(is_mysql().then(|| format!("--innodb-directories={}", dir.join("elsewhere").display())))
            .arg(format!("--socket={}", dir.join("socket").display()))
            .arg(format!("--pid-file={}", dir.join("pid").display()))
            .arg(format!("--log-error={}", dir.join("log.err").display()))
            .args(user)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { dir, _keeper: keeper };
        // The admin client itself waits for the server and tells when it answers.
        let up = server
            .client("mariadb-admin")
            .args(["--wait=60", "--connect-timeout=60", "--silent", "ping"])
            .status()
            .unwrap();
        let log = std::fs::read_to_string(server.dir.join("log")).unwrap_or_default();
        assert!(up.success(), "the server does not answer:\n{log}");
        Ok(server)
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A folder in which tables may lie that name one of their own.
    pub fn elsewhere(&self) -> PathBuf {
        self.dir.join("elsewhere")
    }

    /// Runs SQL in a session that stays open until the guard is dropped.
    pub fn hold(&self, database: &str, sql: &str) -> Held {
        use std::io::{BufRead, BufReader, Write};
        let mut client = self
            .client("mariadb")
            .args(["--batch", "--skip-column-names", "--unbuffered"])
            .arg(format!("--database={database}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(client.stdin.as_mut().unwrap(), "{sql}; SELECT 'done';").unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
        Held(client)
    }

    /// root's connection to a database.
    pub fn connection(&self, database: &str) -> Connection {
        self.login(database, "root", "")
    }

    pub fn login(&self, database: &str, user: &str, password: &str) -> Connection {
        login(self.socket(), database, user, password)
    }

    /// One of the client programs, by MariaDB's name.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(match (is_mysql(), program) {
            (true, "mariadb") => "mysql",
            (true, "mariadb-dump") => "mysqldump",
            (true, "mariadb-admin") => "mysqladmin",
            _ => program,
        });
        command.arg("--no-defaults").arg(format!("--socket={}", self.socket().display())).arg("--user=root");
        command
    }

    /// Runs SQL as root and gives what it answers: rows as lines, columns between tabs.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|error| panic!("{error}\n{:.2000}", sql))
    }

    /// The same as another user, whose password is `p`.
    pub fn sql_as(&self, user: &str, database: &str, sql: &str) -> String {
        self.feed(user, database, memory(sql)).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.feed("root", database, memory(sql))
    }

    /// Loads a dump as anybody would: with the plain client.
    pub fn source(&self, database: &str, dump: &Path) -> Result<String, String> {
        self.feed("root", database, std::fs::File::open(dump).unwrap().into())
    }

    fn feed(&self, user: &str, database: &str, input: Stdio) -> Result<String, String> {
        let mut client = self.client("mariadb");
        if user != "root" {
            client.arg(format!("--user={user}")).arg("--password=p");
        }
        let done = client
            .args([
                "--batch",
                "--binary-mode",
                "--skip-column-names",
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",
            ])
            .arg(format!("--database={database}"))
            .stdin(input)
            .output()
            .unwrap();
        match done.status.success() {
            true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    /// A new database, empty.
    pub fn create(&self, name: &str) -> Connection {
        self.sql("", &format!("CREATE DATABASE `{name}`"));
        self.connection(name)
    }

    /// Everything that makes a database what it is, one text per table, view, trigger and routine, whatever it is called.
    pub fn fingerprint(&self, database: &str) -> Vec<String> {
        let own = format!("{}.", quote(database));
        self.texts(database).into_iter().map(|text| text.replace(&own, "")).collect()
    }

    fn texts(&self, database: &str) -> Vec<String> {
        let list = |sql: &str| -> Vec<String> { self.sql(database, sql).lines().map(unescape).collect() };
        let mut all = Vec::new();
        for table in list(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
             AND TABLE_TYPE <> 'VIEW' ORDER BY BINARY TABLE_NAME",
        ) {
            let name = quote(&table);
            let definition = self.sql(database, &format!("SHOW CREATE TABLE {name}"));
            let versioned = definition.contains("SYSTEM VERSIONING");
            let history = if versioned { "*, row_start, row_end" } else { "*" };
            let all_time = if versioned { "FOR SYSTEM_TIME ALL" } else { "" };
            let rows = self
                .sql(database, &format!("SET time_zone='+00:00'; SELECT {history} FROM {name} {all_time}"));
            let mut rows: Vec<&str> = rows.lines().collect();
            rows.sort_unstable();
            let checksum = self.sql(database, &format!("CHECKSUM TABLE {name} EXTENDED"));
            let checksum = checksum.rsplit('\t').next().unwrap_or_default().to_owned();
            all.push(format!("{definition}\n{checksum}\n{} rows {:016x}", rows.len(), hash(&rows)));
        }
        for (kind, sql) in [
            (
                "VIEW",
                "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1",
            ),
            (
                "TRIGGER",
                "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1",
            ),
            (
                "PROCEDURE",
                "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE = 'PROCEDURE' ORDER BY 1",
            ),
            (
                "FUNCTION",
                "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE = 'FUNCTION' ORDER BY 1",
            ),
            (
                "EVENT",
                "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1",
            ),
        ] {
            for name in list(sql) {
                let definition = self.sql(database, &format!("SHOW CREATE {kind} {}", quote(&name)));
                // A trigger's last column is when it was created.
                let definition = match kind {
                    "TRIGGER" => definition.rsplit_once('\t').map(|(text, _)| text.to_owned()).unwrap(),
                    _ => definition,
                };
                all.push(format!("{kind} {definition}"));
            }
        }
        all
    }
}

/// SQL as a client's input.
fn memory(sql: &str) -> Stdio {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, if is_mysql() { in_mysql(sql) } else { sql.into() }.as_bytes())
        .unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.into()
}

/// MySQL has no tables `seq_1_to_5`: in their place, what counts so. Nor has it MariaDB's own types.
fn in_mysql(sql: &str) -> String {
    let own = [" uuid,", " inet6,", " inet4,"];
    let sql = own.iter().fold(sql.to_owned(), |sql, name| sql.replace(name, " varchar(40),"));
    let mut parts = sql.split("seq_");
    let mut out = String::from("SET SESSION cte_max_recursion_depth = 4294967295; ");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && !"_to".contains(c)).unwrap_or(part.len());
        match part[..end].split_once("_to_") {
            Some((from, to)) => out.push_str(&format!(
                "(WITH RECURSIVE n (seq) AS (SELECT {from} UNION ALL SELECT seq + 1 FROM n WHERE seq < {to}) SELECT seq FROM n) AS seqs{}",
                &part[end..]
            )),
            None => out.push_str(&format!("seq_{part}")),
        }
    }
    out
}

pub fn login(socket: PathBuf, database: &str, user: &str, password: &str) -> Connection {
    Connection {
        driver: Driver::Mysql,
        host: String::new(),
        port: None,
        socket: Some(socket),
        user: user.into(),
        password: Secret::new(password),
        name: database.into(),
        path: PathBuf::new(),
        prefix: String::new(),
    }
}

pub fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn unescape(line: &str) -> String {
    line.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")
}

fn hash(rows: &[&str]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    rows.hash(&mut hasher);
    hasher.finish()
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
