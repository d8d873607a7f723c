//! What verbs about settings take: schedules, destinations, the configuration, keys.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum ScheduleVerb {
    /// Write a systemd timer, or a cron.d file where there is no systemd, that runs `bam run` every ten minutes
    #[command(after_help = "\
One for each configuration, named after the site. It is written only where it would work: the user exists and can read \
configuration and keys, something reads the timer, and there is a schedule to run.

Examples:
  bam --config /etc/bam/bam.yml schedule install
  bam --root /var/www/drupal schedule install --user www-data
  bam schedule install --print")]
    Install {
        /// The user it runs as
        #[arg(long, default_value = "root")]
        user: String,
        /// Write a cron.d file even where there is systemd
        #[arg(long)]
        cron: bool,
        /// Only print what would be written
        #[arg(long)]
        print: bool,
    },
    /// Take away the timer of this configuration
    Remove,
    /// Tell who runs the schedules of this configuration, and when they run; exit code 3 where nobody does
    Status,
}

#[derive(Debug, Subcommand)]
pub enum DestinationVerb {
    /// Show a server's host key and record it as known
    #[command(after_help = "\
Compare the fingerprint with what the server's administrator tells you (ssh-keygen -l -f \
/etc/ssh/ssh_host_ed25519_key.pub). A key that differs from the known one is never replaced here.")]
    Trust {
        /// The destination
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Add a place where backups go: to bam.yml, or with --root to the Drupal site
    #[command(after_help = "\
The server's key is shown; once you say that it is right, it is kept with the destination, so that it counts for whoever \
makes backups, the web server's user too. Then the place is tried: a small file is put there, read back and removed. Only \
what works is added.

Examples:
  bam destination add sftp://backup@host/backups --identity /etc/bam/id_ed25519
  bam --root /var/www/drupal destination add sftp://backup@host/~/site offsite --identity /etc/bam/id_ed25519
  bam destination add backup@host:/backups mirror     through rsync
  bam destination add /mnt/nas/backups")]
    Add(AddDestination),
    /// Make the repository of a destination of type restic
    #[command(after_help = "\
Its password is the first line of destinations.NAME.key_file, else of the site's key: whoever loses that loses the \
repository. Keep a copy of it elsewhere.

Examples:
  bam destination init inc")]
    Init {
        /// The destination
        name: String,
    },
    /// Put a small file at a destination, read it back and remove it
    Try {
        /// The destination
        name: String,
    },
    /// Show a server's host key, without logging in
    HostKey {
        /// A destination, or an address as --from takes it
        #[arg(value_name = "PLACE")]
        place: String,
    },
}

/// A new destination.
#[derive(Debug, Args)]
pub struct AddDestination {
    /// `sftp://user@host[:port]/folder`, user@host:folder (through rsync), or a folder of this machine
    #[arg(value_name = "PLACE", value_hint = ValueHint::DirPath)]
    pub address: String,
    /// What to call it [default: offsite, or the folder's name]
    pub name: Option<String>,
    /// The SSH key to log in with, readable by whoever makes backups
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub identity: Option<PathBuf>,
    /// A file whose first line is the password at the server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// The server's host key, as `ssh-keygen -l` prints it; then nothing is asked
    #[arg(long, value_name = "SHA256:…")]
    pub host_key: Option<String>,
    /// Take the key that the server shows, without asking
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Look whether all is as the configuration says: site, keys, databases, destinations, schedules
    #[command(after_help = "\
It connects to every database and says which rights are lacking, with the GRANT lines; it puts a small file at every \
destination and removes it again, and asks the site's web server whether it hands out what lies below the docroot. \
Nothing is called good that was not looked at.

Exit codes: 0 all is good; 2 the configuration has to be changed; 3 something is missing or does not answer.

Examples:
  bam config check
  bam config check --offline     only whether what is written can be read
  bam --root /var/www/drupal config check --json")]
    Check {
        /// Only read what is written; look at nothing else
        #[arg(long)]
        offline: bool,
    },
    /// Print the configuration
    #[command(after_help = "\
With --root it writes a bam.yml to start from.

Examples:
  bam --root /var/www/drupal config export > bam.yml
  bam --root /var/www/drupal config export --secrets > bam.yml   passwords and keys included: chmod 600 it")]
    Export {
        /// In which form
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        format: Format,
        /// Passwords and keys, too
        #[arg(long)]
        secrets: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Yaml,
    Json,
}

#[derive(Debug, Args)]
pub struct ImportSettings {
    /// Files from Backup and Migrate's export page, or .backup_migrate_exportables.inc files
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Replace items that are there already with other settings
    #[arg(long)]
    pub replace: bool,
}

#[derive(Debug, Args)]
pub struct Keygen {
    /// The file to make [default: the configuration's key_file, else /etc/bam/key]
    #[arg(value_hint = ValueHint::FilePath, required_if_eq("age", "true"))]
    pub file: Option<PathBuf>,
    /// Make an age identity, for `encryption: age`
    #[arg(long)]
    pub age: bool,
}
