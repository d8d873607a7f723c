//! Crontab expressions.

use crate::{Code, Error, Result};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// `cron` of a schedule that runs only when asked.
pub const CRON_NONE: &str = "none";

/// A crontab expression: five fields, names of months and days, `@daily` and its kin.
pub fn parse_cron(expression: &str) -> Result<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|cause| {
        Error::new(Code::Config, format!("\"{}\" is no crontab expression", expression.escape_debug()))
            .because(cause)
            .hint("write minute, hour, day, month and day of the week, e.g. \"0 4 * * 6\"")
    })
}
