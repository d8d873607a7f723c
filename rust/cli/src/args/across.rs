//! What verbs about several backups take.

use super::backups::{OfSite, Place};
use clap::{Args, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Diff {
    /// The first backup: its ID, its file name, or `latest`
    #[arg(value_name = "ID")]
    pub first: String,
    /// The second backup, likewise
    #[arg(value_name = "OTHER")]
    pub second: String,
    /// With `latest`: the newest backup of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Take both from this destination [default: the nearest that has each]
    #[arg(long, value_name = "DESTINATION", conflicts_with = "from")]
    pub destination: Option<String>,
    /// Go on although nothing proves that the backups are unchanged
    #[arg(long)]
    pub unauthenticated: bool,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub of: OfSite,
}

#[derive(Debug, Args)]
pub struct Find {
    /// A name, a path, or a pattern of one: '*.pdf'
    #[arg(value_hint = ValueHint::AnyPath)]
    pub pattern: String,
    /// Take upper and lower case for the same
    #[arg(long, short)]
    pub ignore_case: bool,
    /// Only in backups of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Only in backups since then: 30d, 12h, 2026-11-01
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only in so many of the newest backups
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Only there, several separated by commas [default: everywhere]
    #[arg(long, value_name = "DESTINATION", conflicts_with = "from")]
    pub destination: Option<String>,
    /// Look also into what nothing proves to be unchanged, without a warning each
    #[arg(long)]
    pub unauthenticated: bool,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub of: OfSite,
}

#[derive(Debug, Args)]
pub struct Mount {
    /// The backup: its ID, its file name, or `latest`
    #[arg(value_name = "ID")]
    pub id: String,
    /// An empty folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
    /// With `latest`: the newest backup of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Only from there, several separated by commas [default: the first that has it]
    #[arg(long, value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// Of which site: its address or name, or `all` [default: the configuration's own]
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
}

#[derive(Debug, Args)]
pub struct Stats {
    /// Only there, several separated by commas [default: everywhere]
    #[arg(conflicts_with = "from")]
    pub destination: Option<String>,
    /// Only of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub of: OfSite,
}
