//! Names of backups, tokens, dates, durations, cron lines, addresses of sites.
#![no_main]

use bam::catalog::{FileName, SiteUrl, Tokens, date};
use bam::config::{Site, duration, parse_cron};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(name) = FileName::parse(text) {
        let written = name.to_string();
        let again = FileName::parse(&written).expect("its own name");
        assert_eq!(again.to_string(), written);
        let _ = name.date(Some("UTC"));
    }
    let site = Site { name: text.to_owned(), timezone: Some("Europe/Vienna".into()), ..Site::default() };
    let tokens = Tokens::of(&site, 1_764_000_000);
    let _ = tokens.replace(text);
    let _ = date::format(text, &tokens.now);
    if let Ok(seconds) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(seconds)).ok(), Some(seconds));
    }
    let _ = parse_cron(text);
    let _ = SiteUrl::parse(text);
});
