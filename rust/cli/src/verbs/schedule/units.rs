//! What a systemd timer and a cron.d file hold.

use bam::{Code, Error, Result};

pub const TIMER_TEXT: &str = "[Unit]\nDescription=Run the bam backups that are due\n\n\
    [Timer]\nOnCalendar=*:0/10\nRandomizedDelaySec=60\nPersistent=true\n\n\
    [Install]\nWantedBy=timers.target\n";

/// Words in double quotes; `%` and `$` doubled and `\` and `"` escaped, as systemd.service(5) wants.
pub fn service(words: &[String], user: &str) -> Result<String> {
    refuse_line_breaks(words)?;
    Ok(format!(
        "[Unit]\nDescription=Run the bam backups that are due\nAfter=network-online.target\nWants=network-online.target\n\n\
         [Service]\nType=oneshot\nUser={user}\nNice=10\nIOSchedulingClass=idle\n\
         # 3: a copy is missing, 5: another run is under way; both are told by bam status.\n\
         SuccessExitStatus=3 5\nExecStart={}\n",
        for_systemd(words)
    ))
}

/// Words in single quotes for the shell; cron itself takes a bare `%` for a line break (crontab(5)).
pub fn cron_line(words: &[String], user: &str) -> Result<String> {
    refuse_line_breaks(words)?;
    Ok(format!("# Run the bam backups that are due.\n*/10 * * * * {user} {}\n", for_cron(words)))
}

/// Words as a cron.d line has them.
pub fn for_cron(words: &[String]) -> String {
    let quoted: Vec<String> =
        words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''").replace('%', "\\%"))).collect();
    quoted.join(" ")
}

/// Words as a unit's ExecStart has them.
pub fn for_systemd(words: &[String]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| {
            let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
            format!("\"{word}\"")
        })
        .collect();
    quoted.join(" ")
}

fn refuse_line_breaks(words: &[String]) -> Result<()> {
    match words.iter().find(|word| word.chars().any(char::is_control)) {
        Some(word) => Err(Error::new(Code::Unsupported, format!("{word:?} cannot be written into a timer"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_what_is_written() {
        let words =
            ["/usr/local/bin/bam", "--config", "/etc/bam/bam.yml", "--quiet", "run"].map(str::to_owned);
        assert_eq!(
            service(&words, "root").expect("a unit"),
            include_str!("../../../../../docs/examples/bam.service")
        );
        assert_eq!(TIMER_TEXT, include_str!("../../../../../docs/examples/bam.timer"));
        assert_eq!(
            cron_line(&words, "root").expect("a line"),
            include_str!("../../../../../docs/examples/cron.d")
        );
    }

    #[test]
    fn paths_survive_systemd_and_cron() {
        let words = ["/usr/bin/bam".to_owned(), "/srv/it's 100% \"$x\"".to_owned()];
        let service = service(&words, "root").expect("a unit");
        assert!(service.contains(r#"ExecStart="/usr/bin/bam" "/srv/it's 100%% \"$$x\"""#), "{service}");
        let line = cron_line(&words, "www-data").expect("a line");
        assert!(line.ends_with("www-data '/usr/bin/bam' '/srv/it'\\''s 100\\% \"$x\"'\n"), "{line}");
        assert!(cron_line(&["a\n* * * * * root rm -rf /".to_owned()], "root").is_err());
    }
}
