//! What verbs about backups take: making, listing, looking into, restoring, proving and removing them.

use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

/// Whose backups are meant.
#[derive(Debug, Default, Args)]
pub struct OfSite {
    /// Of which site: its address or name, or `all` [default: the configuration's own]
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
}

#[derive(Debug, Args)]
pub struct Backup {
    /// A source, profile or schedule [default: db]
    pub what: Option<String>,
    /// Where to, several separated by commas [default: manual, or the schedule's]
    pub destination: Option<String>,
    /// How [default: the one profile that has settings for the source, else `default`]
    pub profile: Option<String>,
    /// A text to keep with the backup
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub description: Option<String>,
}

#[derive(Debug, Args)]
pub struct Backups {
    /// Only there, several separated by commas [default: everywhere]
    #[arg(conflicts_with = "from")]
    pub destination: Option<String>,
    /// For scripts with long lists: JSON in lines, first all but the backups, then each of them
    #[arg(long)]
    pub lines: bool,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub of: OfSite,
}

/// Where backups are, for machines without a configuration.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Without a configuration")]
pub struct Place {
    /// Take backups from there: `sftp://user@host[:port]/folder`, user@host:folder (through rsync), or a folder
    #[arg(long, value_name = "PLACE", value_hint = ValueHint::DirPath)]
    pub from: Option<String>,
    /// The key file that the backups were made with, or a folder of them; may be repeated
    #[arg(long = "key", visible_alias = "key-file", value_name = "KEYFILE", value_hint = ValueHint::AnyPath)]
    pub keys: Vec<PathBuf>,
    /// PBKDF2 iterations, where no sidecar tells them, or it tells more than bam takes from one unasked
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(bam::encrypt::kdf::MAX_ITERATIONS)))]
    pub iterations: Option<u32>,
    /// Accept the server only with this host key, as `ssh-keygen -l` prints it
    #[arg(long, value_name = "SHA256:…", requires = "from")]
    pub host_key: Option<String>,
    /// The SSH key to log in with [default: the agent's, then those in ~/.ssh]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "from")]
    pub identity: Option<PathBuf>,
    /// A file whose first line is the password at the server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "from")]
    pub password_file: Option<PathBuf>,
}

/// Which backup to read.
#[derive(Debug, Args)]
pub struct Which {
    /// The backup's ID, its file name, or `latest`
    #[arg(required_unless_present = "file")]
    pub id: Option<String>,
    /// With `latest`: the newest backup of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Take it from this destination [default: the nearest that has it]
    #[arg(long, value_name = "DESTINATION", conflicts_with = "from")]
    pub destination: Option<String>,
    /// This backup file, wherever it came from
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["destination", "from"])]
    pub file: Option<PathBuf>,
    /// Go on although nothing proves that the backup is unchanged: it has no MAC by the site's key, or no sidecar
    #[arg(long)]
    pub unauthenticated: bool,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub of: OfSite,
}

#[derive(Debug, Args)]
pub struct Ls {
    /// The tables of the database in a site archive
    #[arg(long, conflicts_with = "path")]
    pub tables: bool,
    #[command(flatten)]
    pub which: Which,
    /// Only what this is, or lies below it
    #[arg(value_hint = ValueHint::AnyPath)]
    pub path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Cat {
    #[command(flatten)]
    pub which: Which,
    /// Which file; none for a database
    #[arg(value_hint = ValueHint::AnyPath)]
    pub path: Option<PathBuf>,
    /// The backup file itself, as it lies there: encrypted where it is, and not checked
    #[arg(long, conflicts_with_all = ["path", "file"])]
    pub raw: bool,
    /// With --raw: from this byte on
    #[arg(long, value_name = "BYTES", requires = "raw", default_value_t = 0, conflicts_with = "sidecar")]
    pub offset: u64,
    /// With --raw: the sidecar that belongs beside it
    #[arg(long, requires = "raw")]
    pub sidecar: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Restore a site archive's code, too (settings.php stays)
    #[arg(long)]
    pub code: bool,
    /// Only this file or folder, as `bam ls ID` shows it, relative to the docroot, or absolute; may be repeated
    #[arg(long = "path", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Only these tables, as `bam ls --tables` shows them or without prefix, separated by commas; cache_* stands for all that
    /// begin so
    #[arg(long = "table", value_name = "TABLES", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// Of a SQL dump of several databases (`mysqldump --databases`) only this one
    #[arg(long, value_name = "DATABASE")]
    pub only: Option<String>,
    /// Replace settings.php, too, where the backup has it
    #[arg(long)]
    pub settings: bool,
    /// Only tell what would be replaced, added and lost
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub into: Into,
}

/// Where else a backup can go than onto the site.
#[derive(Debug, Args)]
#[command(next_help_heading = "Elsewhere than onto the site")]
pub struct Into {
    /// Restore into this folder, which must be empty or not exist yet
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["code", "settings", "paths", "tables", "dry_run"])]
    pub into: Option<PathBuf>,
    /// Load the database there: `mysql://user@host[:port]/name`, sqlite:/path
    #[arg(long, value_name = "URL", conflicts_with_all = ["code", "settings", "paths", "tables", "dry_run"])]
    pub into_database: Option<String>,
    /// A file whose first line is that database's password
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "into_database")]
    pub into_password_file: Option<PathBuf>,
    /// The Unix socket of that database's server
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath, requires = "into_database")]
    pub into_socket: Option<PathBuf>,
}

#[derive(Debug, Default, Args)]
pub struct Drill {
    /// The backup's ID, its file name, or `latest` [default: the newest of every source]
    pub id: Option<String>,
    /// Only there, several separated by commas [default: everywhere]
    #[arg(long, value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// Drill also what nothing proves to be unchanged: Backup and Migrate's, other sites'
    #[arg(long)]
    pub unauthenticated: bool,
    /// Only of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    #[command(flatten)]
    pub of: OfSite,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Read also what nothing proves to be unchanged; it does not count as verified
    #[arg(long, conflicts_with = "sample")]
    pub unauthenticated: bool,
    /// Read only a random part of each copy, e.g. 5%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub sample: Option<f64>,
    /// The backup's ID, its file name, or `latest` [default: all]
    pub id: Option<String>,
    /// Only there, several separated by commas [default: everywhere]
    #[arg(long, value_name = "DESTINATION", conflicts_with = "from")]
    pub destination: Option<String>,
    /// Only of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    #[command(flatten)]
    pub of: OfSite,
    #[command(flatten)]
    pub place: Place,
}

fn percent(text: &str) -> Result<f64, String> {
    let number: Result<f64, _> = text.trim_end_matches('%').trim().parse();
    let found = number.ok().filter(|percent| *percent > 0.0 && *percent <= 100.0);
    found.ok_or_else(|| "a percentage, e.g. 5%".into())
}

#[derive(Debug, Args)]
pub struct Rekey {
    /// The backups' IDs or file names, or `latest`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,
    /// All backups that are encrypted
    #[arg(long)]
    pub all: bool,
    /// Only there, several separated by commas [default: everywhere]
    #[arg(long, value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// With the key, or to the public keys [default: what each is now]
    #[arg(long, value_enum, value_name = "ENCRYPTION")]
    pub to: Option<Strong>,
    /// Take backups that no MAC proves, although the new file will have one
    #[arg(long)]
    pub unauthenticated: bool,
    #[command(flatten)]
    pub of: OfSite,
}

/// Encryptions to re-encrypt to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Strong {
    Aes256,
    Age,
}

#[derive(Debug, Args)]
pub struct Delete {
    /// The backup's ID, its file name, or `latest`
    pub id: String,
    /// Only there, several separated by commas [default: everywhere]
    #[arg(long, value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Only of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    #[command(flatten)]
    pub of: OfSite,
}

#[derive(Debug, Args)]
pub struct Decrypt {
    /// The encrypted file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Where to, `-` for standard output [default: the file's name without .enc, in the current folder]
    #[arg(long, short, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// The key file, or a folder of them; may be repeated [default: the configuration's]
    #[arg(long = "key-file", visible_alias = "key", value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub key_files: Vec<PathBuf>,
    /// PBKDF2 iterations [default: what the sidecar says, else 600000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(bam::encrypt::kdf::MAX_ITERATIONS)))]
    pub iterations: Option<u32>,
    /// Replace the output file if it exists
    #[arg(long, short)]
    pub force: bool,
}
