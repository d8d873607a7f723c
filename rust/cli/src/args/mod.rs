//! The command line: what may be typed, and the help that teaches it. `help` and `manual` lay its texts out: in `after_help`
//! a line with two blanks in front is an example, and what stands behind two blanks or more in it says what it does; one with
//! eight blanks or more in front goes on with that.
//!
//! Here are the verbs; what those about backups take is in `backups`, what those about settings take in `settings`.

mod across;
mod backups;
mod settings;

pub use across::*;
pub use backups::*;
pub use settings::*;

use bam::{Code, Error, Result};
use clap::{Args, Parser, Subcommand, ValueHint};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  failed
    2  wrong usage or configuration
    3  done, but not everywhere: a copy or a file is missing, and the message says which
    4  integrity check failed: damaged, cut short, exchanged, or another key
    5  another run holds the lock
  130  cancelled

First steps:
  bam keygen /etc/bam/key         make a key (keep a copy of it off this machine)
  bam config check                is everything as bam.yml says?
  bam backup                      back up the database
  bam backups                     what is there, with the IDs
  bam restore 1795388661          put that one back

`bam help VERB` explains each verb and shows examples.";

/// Back up and restore Drupal sites.
///
/// bam reads what a site has (databases, sources, destinations, profiles, schedules) from bam.yml, or from the site
/// itself with --root, and writes backups that stock tar, gunzip and openssl can open.
#[derive(Debug, Parser)]
#[command(name = "bam", version, after_help = EXIT_CODES, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb understands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The configuration [default: ./bam.yml, then /etc/bam/bam.yml]
    #[arg(long, short, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Read the settings of the Drupal site in this folder instead (needs PHP)
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,

    /// With --root: which site of a multi-site
    #[arg(long, global = true, value_name = "URI")]
    pub uri: Option<String>,

    /// Print one JSON document for scripts
    #[arg(long, global = true)]
    pub json: bool,

    /// Print warnings and errors only, as cron likes it; and lists that were asked for
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// Keep this file up to date while working: JSON, for a program that watches
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub status_file: Option<PathBuf>,
}

impl Global {
    /// Refuses what does not go together. Clap looks only at what stands on the same side of the verb.
    pub fn check(&self, verb: &Verb) -> Result<()> {
        let needs_root = match verb {
            _ if self.root.is_some() => None,
            Verb::ImportSettings(ImportSettings { replace: true, .. }) => Some("--replace"),
            _ => self.uri.as_ref().map(|_| "--uri"),
        };
        match needs_root {
            Some(option) => {
                Err(Error::new(Code::Usage, format!("{option} goes with --root: which site is meant"))
                    .hint("name the site's folder: --root DIR"))
            }
            None if self.root.is_some() && self.config.is_some() => {
                Err(Error::new(Code::Usage, "--config and --root both say where the settings are")
                    .hint("give one of them"))
            }
            None => Ok(()),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Back up now
    #[command(after_help = "\
WHAT is a source; if there is none of that name, a profile; else a schedule. A profile's or schedule's name alone \
backs up the schedule's source to the schedule's destinations.

Examples:
  bam backup                             the database, to the destination manual
  bam backup pece_bkp                    the source pece_bkp, with the profile that has settings for it
  bam backup archive scheduled,offsite   the whole site to two destinations, in one pass
  bam backup db manual nightly           the database with the profile nightly
  bam backup --json | jq -r .id          its ID, for a script
  bam backup archive -q                  in cron: says something only when there is something to do")]
    Backup(Backup),

    /// Run schedules: those named, due or not; without a name those that are due
    #[command(after_help = "\
A run backs up what the schedule says, completes copies that earlier runs could not make, and deletes what is too old. \
`bam schedules` lists them and tells which are due.

Examples:
  bam run weekly
  bam run -q                     from cron, every few minutes: says something only when there is something to do")]
    Run {
        /// The schedules
        schedules: Vec<String>,
    },

    /// Tell how the backups stand against the policy; the exit code is for monitoring
    #[command(after_help = "\
Exit codes: 0 all is as the policy wants it; 3 something is missing: a copy, a recent backup, a verification.

Examples:
  bam status
  bam status --json
  bam status --prometheus /var/lib/node_exporter/textfile/bam.prom")]
    Status {
        /// Write the figures to this file for Prometheus' node exporter
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        prometheus: Option<PathBuf>,
        #[command(flatten)]
        of: OfSite,
    },

    /// Complete copies that are missing somewhere
    #[command(after_help = "\
Examples:
  bam replicate
  bam replicate -q      in cron: says something only when a copy cannot be completed")]
    Replicate {
        #[command(flatten)]
        of: OfSite,
    },

    /// Delete backups that are too old by their schedule's `keep`
    #[command(after_help = "\
Only backups that the schedule made count or go; the newest verified one never goes.

Examples:
  bam prune --dry-run            what would go, and why
  bam prune weekly")]
    Prune {
        /// The schedules [default: all]
        schedules: Vec<String>,
        /// Only tell what would go, and why
        #[arg(long, short = 'n')]
        dry_run: bool,
        #[command(flatten)]
        of: OfSite,
    },

    /// Write a backup to a disk that you take away, with a checksum and instructions
    #[command(after_help = "\
Beside the backup lie its sidecar, SHA256SUMS for `sha256sum -c`, and NAME.RESTORE.txt, which says how to open it with \
and without this software (RESTORE.txt has the pages of all backups there). `bam status` counts it as a copy by the file \
system that it lies on: a folder of this machine's own disks is none on another machine. When a disk is lost or \
overwritten, let bam forget its copies.

Examples:
  bam export latest /media/usb
  bam export latest /media/usb --source archive --with-program
  bam export latest /mnt/nas --host nas      counts as a copy on the machine nas
  bam export --forget /media/usb             those copies are gone
  bam export --forget 1795388661             those of one backup")]
    Export {
        /// The backup's ID, its file name, or `latest`; with --forget also a path, a disk or a host
        id: String,
        /// The folder
        #[arg(value_hint = ValueHint::DirPath, required_unless_present = "forget")]
        path: Option<PathBuf>,
        /// Make the folder where it is missing
        #[arg(long)]
        create: bool,
        /// The machine that the copy counts as [default: by the file system that it lies on]
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
        /// Put the program beside it: a static one (../lib/bam/static/bam) where that is installed, else this
        #[arg(long)]
        with_program: bool,
        /// Take it although nothing proves that it is unchanged: Backup and Migrate's, say
        #[arg(long)]
        unauthenticated: bool,
        /// Do not export: forget copies that were
        #[arg(long, conflicts_with_all = ["create", "host", "with_program", "unauthenticated", "source", "site"])]
        forget: bool,
        /// Only of this source
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,
        #[command(flatten)]
        of: OfSite,
    },

    /// Take a backup file in, Backup and Migrate's too, after checking it
    #[command(after_help = "\
Examples:
  bam import /mnt/usb/PECELab-2026-11-23T00-23-00.mysql.gz.enc
  bam import old.mysql.gz offsite --unauthenticated     a file that has no sidecar")]
    Import {
        /// The file; a sidecar beside it comes along
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Where it goes [default: manual]
        destination: Option<String>,
        /// Take it although nothing proves that it is unchanged
        #[arg(long)]
        unauthenticated: bool,
    },

    /// Finish or take back a restore that was killed
    #[command(after_help = "\
Says in what state it found the site. The next backup or restore does the same by itself. One that was stopped before it
changed anything is taken back, one that was putting the new data in place is finished, or taken back where that fails. `bam
status` says which ways are open.

Examples:
  bam recover
  bam --root /var/www/drupal recover
  bam recover --take-back        the old data is to be live, as long as it is there
  bam recover --finish           the new data is to be live, where it is whole")]
    Recover {
        /// Make the old data live again
        #[arg(long, conflicts_with = "finish")]
        take_back: bool,
        /// Make the new data live
        #[arg(long)]
        finish: bool,
    },

    /// Let the schedules run by themselves
    Schedule {
        #[command(subcommand)]
        what: ScheduleVerb,
    },

    /// Work with one destination
    Destination {
        #[command(subcommand)]
        what: DestinationVerb,
    },

    /// List backups, newest first
    #[command(after_help = "\
Examples:
  bam backups               at every destination
  bam backups offsite       at one
  bam backups --site all    other sites' in the same folders, too
  bam backups --from sftp://backup@host/backups
                            without a configuration
  bam backups --json | jq -r '.backups[0].id'")]
    Backups(Backups),

    /// Put a backup back
    #[command(after_help = "\
The backup is checked before anything is changed. On a terminal bam says what will be replaced and asks; elsewhere it \
wants --yes. Neither PHP nor a working Drupal is needed.

Examples:
  bam restore 1795388661                         by ID (see `bam backups`)
  bam restore latest --source db --yes           the newest backup of the database, without asking
  bam restore PECELab-2026-11-23T00-23-00.mysql.gz.enc
  bam restore latest --site https://live.example.org --source db
                                                 another site's, in the same folder
  bam restore --file /mnt/usb/old.mysql.gz --source db --unauthenticated
                                                 a file from elsewhere that has no sidecar

Before, and only a part:
  bam restore 1795388661 --dry-run               what would be replaced, added and lost
  bam restore 1795388661 --path sites/default/files/field
  bam restore 1795388661 --table node,node_revision,'field_*'

Elsewhere than onto the site, to look or to clone; this needs no configuration:
  bam restore latest --into /srv/look
  bam restore latest --source archive --into /srv/clone --into-database mysql://clone@localhost/clone \
      --into-password-file clone.password

On a bare machine, with nothing but the key:
  bam restore --from sftp://backup@host/backups --key KEYFILE latest --into /srv/site \
      --host-key SHA256:…                        what `ssh-keygen -lf` prints on the server")]
    Restore(Restore),

    /// List what a backup holds
    #[command(after_help = "\
Files as `tar tvf` lists them; of a database its tables, with rows and bytes. The backup is checked before anything is \
shown. Paths are the archive's; those below its docroot/ may also be given without.

Examples:
  bam ls latest
  bam ls 1795388661 sites/default/files/field
  bam ls 1795388661 --tables             of the database in a site archive
  bam ls --file old.tar.gz --json | jq -r '.entries[].path'
  bam ls --from sftp://backup@host/backups --key KEYFILE latest")]
    Ls(Ls),

    /// Write one file out of a backup to standard output, or the dump of a database
    #[command(after_help = "\
The backup is checked before the first byte comes out.

Examples:
  bam cat 1795388661 sites/default/files/logo.png > logo.png
  bam cat latest --source db | less
  bam cat latest --source archive database.sql | grep CREATE
  bam cat latest --raw | ssh elsewhere 'cat > backup.tar.gz.enc'
                                         the file itself, as it lies at its destination, not checked")]
    Cat(Cat),

    /// Tell what changed between two backups
    #[command(after_help = "\
Both are checked and read. Files are compared by content, tables by their rows, whatever their order: + only the second has it, \
- only the first, M changed, U other permissions or another owner. What was left out of a backup looks as if it were not there, \
which is said. The exit code is 0 whether something changed or not.

Examples:
  bam diff 1795388661 1795475061
  bam diff 1795388661 latest --source archive
  bam diff 1795388661 latest --source archive --json | jq '.tables'")]
    Diff(Diff),

    /// Tell in which backups a file is, since when, with what size
    #[command(after_help = "\
The pattern is a shell's: * and ? stay within a name, ** reaches over folders. It fits a path or the end of one (logo.png, \
files/*.pdf); with a / in front only a whole path from the docroot on. Backups have to be read for it, the newest first: \
--limit, --since and --source make it quicker. Those of databases hold no files and are passed over. Exit code 1: no backup \
that was looked into has it.

Examples:
  bam find logo.png
  bam find '*.pdf' --since 30d
  bam find '/sites/default/files/**/report*' --source archive --limit 5")]
    Find(Find),

    /// Show a backup in a repository as a folder, until you interrupt it
    #[command(after_help = "\
Each of its snapshots is a folder below DIR/ids: the files by the paths that they had, the dump, and bam.json.
It takes FUSE, and only what lies in a repository can be shown so.

Examples:
  bam mount latest /mnt
  bam mount 1795388661 /mnt --destination inc")]
    Mount(Mount),

    /// Tell how many backups there are, how much they take, and how they grow
    #[command(after_help = "\
Of what the sidecars tell; no backup is read.

Examples:
  bam stats
  bam stats offsite
  bam stats --source archive --json | jq '.months'")]
    Stats(Stats),

    /// Read every byte of backups and check it
    #[command(after_help = "\
Examples:
  bam verify                     all backups, every copy
  bam verify latest              the newest one
  bam verify --sample 5%         a random part of each copy: cheap, finds disks that rot, proves no more than it reads
  bam verify 1795388661 --destination offsite
  bam verify --from /media/usb --key KEYFILE
                                 without a configuration")]
    Verify(Verify),

    /// Erase a backup at every destination
    #[command(after_help = "\
Examples:
  bam delete 1795388661
  bam delete 1795388661 --destination offsite --yes")]
    Delete(Delete),

    /// Decrypt one file; needs a key but no configuration
    #[command(after_help = "\
Opens what bam wrote (.enc, .age), what `openssl enc -aes-256-cbc -pbkdf2` wrote, and old .aes files of the Drupal module \
aes. Where the sidecar FILE.info lies beside it, the file is checked against it first.

The same without bam, with the iterations that the sidecar names:
  openssl enc -d -aes-256-cbc -pbkdf2 -iter 600000 -in FILE.enc -pass file:KEYFILE

Examples:
  bam decrypt site.tar.gz.enc --key-file /etc/bam/key                writes ./site.tar.gz
  bam decrypt site.tar.gz.enc --key-file /etc/bam/key -o - | tar xz
  bam decrypt old.mysql.gz.aes --key-file aes.key -o old.mysql.gz")]
    Decrypt(Decrypt),

    /// Show or check the configuration
    Config {
        #[command(subcommand)]
        what: ConfigVerb,
    },

    /// Import what Backup and Migrate exported
    #[command(after_help = "\
With --root the items go into the site: into Backup and Migrate's tables, or, where it is not installed, into the \
variables that it also reads. Either all of the files is imported or nothing. Without --root they are printed as \
sections of bam.yml.

Examples:
  bam --root /var/www/drupal import-settings settings_profile.txt schedule_profile.txt
  bam import-settings settings_profile.txt >> bam.yml")]
    ImportSettings(ImportSettings),

    /// Make a key file
    #[command(after_help = "\
The key is 32 random bytes, written as one line of text that openssl reads, too. Without it no encrypted backup can \
ever be opened again: keep a copy of it off this machine.

With --age it is a pair of keys: the public one, which is printed, goes into the configuration of the machine that makes \
backups; the file with the secret one stays elsewhere, and that machine cannot read its own old backups.

Examples:
  bam keygen /etc/bam/key
  bam keygen                     where the configuration says (encryption: key_file)
  bam keygen /etc/bam/key-2027   a new key; the old one moves to `encryption: keys`, then `bam rekey --all`
  bam keygen --age ~/bam-identity    on your own machine")]
    Keygen(Keygen),

    /// Restore into a scratch folder and database, compare, and throw it away
    #[command(after_help = "\
Shows that backups restore, without touching the site: files are compared byte for byte with the backup, tables row for \
row, both with the numbers that the backup recorded. The scratch database is NAME_bam_drill beside the site's own, so \
the user needs the right to create it; the scratch folder lies in the state folder and needs room for the site. A killed \
drill is cleared away by the next. With `policy: verify_every`, `bam run` drills by itself that often; `bam status` shows \
how it went.

Examples:
  bam drill                      the newest backup of every source
  bam drill latest --destination offsite
  bam drill 1795388661")]
    Drill(Drill),

    /// Encrypt existing backups anew, with the current key
    #[command(after_help = "\
Each backup is proven, decrypted and encrypted in one stream beside the old file, read back, and only then swapped in; \
its ID and name stay. Copies at all destinations follow; one that cannot be reached is named, and the next run completes \
it. Keep the old key until `bam rekey` has nothing left to do, and as long as there are copies on disks you took away.

Examples:
  bam keygen /etc/bam/key-2027       then in bam.yml: encryption: { key_file: /etc/bam/key-2027, keys: [/etc/bam/key] }
  bam rekey --all
  bam rekey 1795388661
  bam rekey --all --to age           to public keys; wants `encryption: recipients`
  bam rekey --all --unauthenticated  those of Drupal's aes module, too (.aes becomes .enc)")]
    Rekey(Rekey),

    /// List the keys at hand, with their IDs
    #[command(after_help = "\
The ID tells nothing of the key. The sidecar of each encrypted backup names the ID of the key that opens it (bam_key_id).

Examples:
  bam keys
  bam keys --json | jq -r '.keys[].key_id'")]
    Keys,

    /// List what can be backed up
    Sources,
    /// List where backups go
    Destinations,
    /// List how backups are made
    Profiles,
    /// List when backups are made
    Schedules,

    /// Print the completions of a shell
    #[command(after_help = "\
Examples:
  bam completions bash > /usr/share/bash-completion/completions/bam
  bam completions zsh > /usr/share/zsh/vendor-completions/_bam
  bam completions fish > /usr/share/fish/vendor_completions.d/bam.fish")]
    Completions { shell: clap_complete::Shell },

    /// Write the manual pages into a folder, for `make install`
    #[command(hide = true)]
    Manual {
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}
