//! PHP's `date()` formats (the PHP manual, `DateTimeInterface::format`), for file names and tokens.

use jiff::Zoned;
use jiff::tz::TimeZone;
use std::cell::RefCell;
use std::fmt::Write;
use std::path::Path;

/// Where systems keep the time zone database, a file for each (tzfile(5)).
const DATABASE: &str = "/usr/share/zoneinfo";

/// The moment `seconds` (Unix time) in a zone; the ends of the calendar where it is beyond.
pub fn at(seconds: i64, zone: &TimeZone) -> Zoned {
    let timestamp = jiff::Timestamp::from_second(seconds).unwrap_or(match seconds < 0 {
        true => jiff::Timestamp::MIN,
        false => jiff::Timestamp::MAX,
    });
    timestamp.to_zoned(zone.clone())
}

/// The time zone of that name (`Europe/Berlin`); without one, or with one that the system does not know, the system's.
pub fn zone(name: Option<&str>) -> TimeZone {
    name.and_then(named).unwrap_or_else(local)
}

/// The system's: what TZ names, else what `/etc/localtime` leads to.
pub fn local() -> TimeZone {
    let name = std::env::var("TZ").ok().or_else(|| {
        let to = std::fs::read_link("/etc/localtime").ok()?;
        Some(to.to_str()?.split_once("zoneinfo/")?.1.to_owned())
    });
    name.and_then(|name| named(name.trim_start_matches(':'))).unwrap_or_else(TimeZone::system)
}

/// Reads the file of that name. jiff lists all of the database first, by what panics where a folder fails to close: it is
/// asked for what has no such file.
fn named(name: &str) -> Option<TimeZone> {
    thread_local! {
        // Lists ask for the same one for each of their lines.
        static LAST: RefCell<Option<(String, TimeZone)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some((of, zone)) if of == name => Some(zone.clone()),
        _ => {
            let zone = read(name)?;
            *last = Some((name.to_owned(), zone.clone()));
            Some(zone)
        }
    })
}

fn read(name: &str) -> Option<TimeZone> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '/');
    let file = (!name.starts_with('/') && name.chars().all(plain)).then(|| Path::new(DATABASE).join(name));
    let read =
        file.and_then(|file| std::fs::read(file).ok()).and_then(|data| TimeZone::tzif(name, &data).ok());
    read.or_else(|| TimeZone::get(name).ok())
}

/// What to write instead of a time zone that the system does not know; `None` where it knows that name, or none at all.
pub fn unknown_zone(name: &str) -> Option<String> {
    if named(name).is_some() {
        return None;
    }
    let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
    let like = |zone: &str| {
        let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_lowercase();
        let whole = strsim::damerau_levenshtein(&zone.to_lowercase(), &name.to_lowercase());
        whole.min(strsim::damerau_levenshtein(&city(zone), &city(name)) + 1)
    };
    // UTC is known everywhere.
    if known.iter().all(|zone| !zone.contains('/')) {
        return None;
    }
    let near = known.iter().map(|zone| (like(zone), zone)).min()?;
    Some(match near {
        (distance, zone) if distance <= 1 + name.len() / 4 => format!("did you mean \"{zone}\"?"),
        _ => "write it as the time zone database does, e.g. Europe/Berlin".to_owned(),
    })
}

/// `time` as PHP's `date($format)` prints it. A backslash takes the next letter as it is; letters without meaning stay.
pub fn format(format: &str, time: &Zoned) -> String {
    let mut text = String::with_capacity(format.len() * 2);
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            letter => letter_to(&mut text, letter, time),
        }
    }
    text
}

/// Appends what one letter stands for. Writing to a string cannot fail.
fn letter_to(text: &mut String, letter: char, time: &Zoned) {
    let (year, month, day) = (time.year(), time.month(), time.day());
    let hour12 = (time.hour() + 11) % 12 + 1;
    let iso = time.date().iso_week_date();
    let _ = match letter {
        'd' => write!(text, "{day:02}"),
        'j' => write!(text, "{day}"),
        'D' => write!(text, "{}", time.strftime("%a")),
        'l' => write!(text, "{}", time.strftime("%A")),
        'N' => write!(text, "{}", time.weekday().to_monday_one_offset()),
        'S' => write!(text, "{}", ordinal(day)),
        'w' => write!(text, "{}", time.weekday().to_sunday_zero_offset()),
        'z' => write!(text, "{}", time.day_of_year() - 1),
        'W' => write!(text, "{:02}", iso.week()),
        'o' => write!(text, "{}", iso.year()),
        'F' => write!(text, "{}", time.strftime("%B")),
        'M' => write!(text, "{}", time.strftime("%b")),
        'm' => write!(text, "{month:02}"),
        'n' => write!(text, "{month}"),
        't' => write!(text, "{}", time.days_in_month()),
        'L' => write!(text, "{}", u8::from(time.in_leap_year())),
        'Y' | 'x' => write!(text, "{year:04}"),
        'X' => write!(text, "{year:+05}"),
        'y' => write!(text, "{:02}", year.rem_euclid(100)),
        'a' => write!(text, "{}", if time.hour() < 12 { "am" } else { "pm" }),
        'A' => write!(text, "{}", if time.hour() < 12 { "AM" } else { "PM" }),
        // Swatch Internet Time: thousandths of a day at UTC+1.
        'B' => write!(text, "{:03}", (time.timestamp().as_second() + 3600).rem_euclid(86_400) * 10 / 864),
        'g' => write!(text, "{hour12}"),
        'G' => write!(text, "{}", time.hour()),
        'h' => write!(text, "{hour12:02}"),
        'H' => write!(text, "{:02}", time.hour()),
        'i' => write!(text, "{:02}", time.minute()),
        's' => write!(text, "{:02}", time.second()),
        'u' => write!(text, "{:06}", time.subsec_nanosecond() / 1000),
        'v' => write!(text, "{:03}", time.millisecond()),
        'e' => match time.time_zone().iana_name() {
            Some(name) => write!(text, "{name}"),
            None => write!(text, "{}", time.strftime("%:z")),
        },
        'I' => write!(text, "{}", u8::from(time.time_zone().to_offset_info(time.timestamp()).dst().is_dst())),
        'O' => write!(text, "{}", time.strftime("%z")),
        'P' => write!(text, "{}", time.strftime("%:z")),
        'p' if time.strftime("%Z").to_string() == "UTC" => write!(text, "Z"),
        'p' => write!(text, "{}", time.strftime("%:z")),
        'T' => write!(text, "{}", time.strftime("%Z")),
        'Z' => write!(text, "{}", time.offset().seconds()),
        'c' => write!(text, "{}", format(r"Y-m-d\TH:i:sP", time)),
        'r' => write!(text, "{}", format("D, d M Y H:i:s O", time)),
        'U' => write!(text, "{}", time.timestamp().as_second()),
        other => write!(text, "{other}"),
    };
}

fn ordinal(day: i8) -> &'static str {
    match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "d|D|j|l|N|S|w|z|W|F|m|M|n|t|L|o|y|Y|a|A|B|g|G|h|H|i|s|u|v|e|I|O|P|p|T|Z|c|r|U";

    fn date(pattern: &str, seconds: i64, zone: &str) -> String {
        format(pattern, &at(seconds, &TimeZone::get(zone).expect("a time zone")))
    }

    /// What PHP 8.2 printed.
    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn every_letter_prints_what_php_prints() {
        for (zone, seconds, expected) in [
            (
                "UTC",
                0,
                "01|Thu|1|Thursday|4|st|4|0|01|January|01|Jan|1|31|0|1970|70|1970|am|AM|041|12|0|12|00|00|00|000000|000|UTC|0|+0000|+00:00|Z|UTC|0|1970-01-01T00:00:00+00:00|Thu, 01 Jan 1970 00:00:00 +0000|0",
            ),
            (
                "UTC",
                951_827_696,
                "29|Tue|29|Tuesday|2|th|2|59|09|February|02|Feb|2|29|1|2000|00|2000|pm|PM|565|12|12|12|12|34|56|000000|000|UTC|0|+0000|+00:00|Z|UTC|0|2000-02-29T12:34:56+00:00|Tue, 29 Feb 2000 12:34:56 +0000|951827696",
            ),
            (
                "UTC",
                1_735_689_599,
                "31|Tue|31|Tuesday|2|st|2|365|01|December|12|Dec|12|31|1|2025|24|2024|pm|PM|041|11|23|11|23|59|59|000000|000|UTC|0|+0000|+00:00|Z|UTC|0|2024-12-31T23:59:59+00:00|Tue, 31 Dec 2024 23:59:59 +0000|1735689599",
            ),
            (
                "UTC",
                -1,
                "31|Wed|31|Wednesday|3|st|3|364|01|December|12|Dec|12|31|0|1970|69|1969|pm|PM|041|11|23|11|23|59|59|000000|000|UTC|0|+0000|+00:00|Z|UTC|0|1969-12-31T23:59:59+00:00|Wed, 31 Dec 1969 23:59:59 +0000|-1",
            ),
            (
                "Europe/Berlin",
                1_795_391_457,
                "23|Mon|23|Monday|1|rd|1|326|48|November|11|Nov|11|30|0|2026|26|2026|am|AM|035|12|0|12|00|50|57|000000|000|Europe/Berlin|0|+0100|+01:00|+01:00|CET|3600|2026-11-23T00:50:57+01:00|Mon, 23 Nov 2026 00:50:57 +0100|1795391457",
            ),
            (
                "Europe/Berlin",
                1_230_768_000,
                "01|Thu|1|Thursday|4|st|4|0|01|January|01|Jan|1|31|0|2009|09|2009|am|AM|041|1|1|01|01|00|00|000000|000|Europe/Berlin|0|+0100|+01:00|+01:00|CET|3600|2009-01-01T01:00:00+01:00|Thu, 01 Jan 2009 01:00:00 +0100|1230768000",
            ),
            (
                "Europe/Berlin",
                1_711_846_800,
                "31|Sun|31|Sunday|7|st|0|90|13|March|03|Mar|3|31|1|2024|24|2024|am|AM|083|3|3|03|03|00|00|000000|000|Europe/Berlin|1|+0200|+02:00|+02:00|CEST|7200|2024-03-31T03:00:00+02:00|Sun, 31 Mar 2024 03:00:00 +0200|1711846800",
            ),
            (
                "Europe/Berlin",
                1_729_990_800,
                "27|Sun|27|Sunday|7|th|0|300|43|October|10|Oct|10|31|1|2024|24|2024|am|AM|083|2|2|02|02|00|00|000000|000|Europe/Berlin|0|+0100|+01:00|+01:00|CET|3600|2024-10-27T02:00:00+01:00|Sun, 27 Oct 2024 02:00:00 +0100|1729990800",
            ),
            (
                "America/St_Johns",
                1_709_208_000,
                "29|Thu|29|Thursday|4|th|4|59|09|February|02|Feb|2|29|1|2024|24|2024|am|AM|541|8|8|08|08|30|00|000000|000|America/St_Johns|0|-0330|-03:30|-03:30|NST|-12600|2024-02-29T08:30:00-03:30|Thu, 29 Feb 2024 08:30:00 -0330|1709208000",
            ),
            (
                "America/St_Johns",
                1_711_846_800,
                "30|Sat|30|Saturday|6|th|6|89|13|March|03|Mar|3|31|1|2024|24|2024|pm|PM|083|10|22|10|22|30|00|000000|000|America/St_Johns|1|-0230|-02:30|-02:30|NDT|-9000|2024-03-30T22:30:00-02:30|Sat, 30 Mar 2024 22:30:00 -0230|1711846800",
            ),
            (
                "America/St_Johns",
                1_729_990_800,
                "26|Sat|26|Saturday|6|th|6|299|43|October|10|Oct|10|31|1|2024|24|2024|pm|PM|083|10|22|10|22|30|00|000000|000|America/St_Johns|1|-0230|-02:30|-02:30|NDT|-9000|2024-10-26T22:30:00-02:30|Sat, 26 Oct 2024 22:30:00 -0230|1729990800",
            ),
            (
                "Asia/Kolkata",
                1_795_391_457,
                "23|Mon|23|Monday|1|rd|1|326|48|November|11|Nov|11|30|0|2026|26|2026|am|AM|035|5|5|05|05|20|57|000000|000|Asia/Kolkata|0|+0530|+05:30|+05:30|IST|19800|2026-11-23T05:20:57+05:30|Mon, 23 Nov 2026 05:20:57 +0530|1795391457",
            ),
            (
                "Asia/Kolkata",
                1_711_846_800,
                "31|Sun|31|Sunday|7|st|0|90|13|March|03|Mar|3|31|1|2024|24|2024|am|AM|083|6|6|06|06|30|00|000000|000|Asia/Kolkata|0|+0530|+05:30|+05:30|IST|19800|2024-03-31T06:30:00+05:30|Sun, 31 Mar 2024 06:30:00 +0530|1711846800",
            ),
            (
                "America/Sao_Paulo",
                1_795_391_457,
                "22|Sun|22|Sunday|7|nd|0|325|47|November|11|Nov|11|30|0|2026|26|2026|pm|PM|035|8|20|08|20|50|57|000000|000|America/Sao_Paulo|0|-0300|-03:00|-03:00|-03|-10800|2026-11-22T20:50:57-03:00|Sun, 22 Nov 2026 20:50:57 -0300|1795391457",
            ),
            (
                "America/Sao_Paulo",
                1_729_990_800,
                "26|Sat|26|Saturday|6|th|6|299|43|October|10|Oct|10|31|1|2024|24|2024|pm|PM|083|10|22|10|22|00|00|000000|000|America/Sao_Paulo|0|-0300|-03:00|-03:00|-03|-10800|2024-10-26T22:00:00-03:00|Sat, 26 Oct 2024 22:00:00 -0300|1729990800",
            ),
        ] {
            assert_eq!(date(ALL, seconds, zone), expected, "{zone} {seconds}");
        }
    }

    #[test]
    fn letters_are_escaped() {
        assert_eq!(date(r"Y-m-d\TH-i-s", 1_795_391_457, "UTC"), "2026-11-22T23-50-57");
        assert_eq!(date(r"\Y\\Y é k \", 0, "UTC"), r"Y\1970 é k ");
    }

    #[test]
    fn no_moment_is_too_far() {
        assert_eq!(date("Y", i64::MAX, "UTC"), "9999");
        assert_eq!(date("y", i64::MIN, "UTC").len(), 2);
    }

    #[test]
    fn an_unknown_zone_is_answered_with_the_nearest_there_is() {
        if TimeZone::get("Europe/Berlin").is_err() {
            println!("SKIP catalog::date::an_unknown_zone: this machine has no time zones");
            return;
        }
        assert_eq!(unknown_zone("Europe/Berlin"), None);
        for (name, near) in [("Europe/Berln", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("UTX", "UTC")] {
            assert_eq!(unknown_zone(name), Some(format!("did you mean \"{near}\"?")), "{name}");
        }
        let hint = unknown_zone("the house at the lake").expect("unknown");
        assert!(hint.starts_with("write it as"), "{hint}");
    }
}
