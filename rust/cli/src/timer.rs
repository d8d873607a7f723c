//! `bam schedule install`: a systemd timer or a cron.d file that runs what is due.

use crate::args::Global;
use crate::print::Output;
use bam::{Code, Error, Result, ResultExt};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

const SERVICE: &str = "/etc/systemd/system/bam.service";
const TIMER: &str = "/etc/systemd/system/bam.timer";
const CRON: &str = "/etc/cron.d/bam";

pub fn install(global: &Global, user: &str, cron: bool, print: bool, output: &Output) -> Result<u8> {
    if user.is_empty() || !user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err(Error::new(Code::Usage, format!("'{user}' is no user's name")));
    }
    let command = command(global)?;
    let systemd = !cron && Path::new("/run/systemd/system").is_dir();
    let files: Vec<(&str, String)> = if systemd {
        vec![(SERVICE, service(&command, user)?), (TIMER, TIMER_TEXT.to_owned())]
    } else {
        vec![(CRON, cron_line(&command, user)?)]
    };
    let then = if systemd { "systemctl daemon-reload && systemctl enable --now bam.timer" } else { "" };
    let shown = json!({"files": files.iter().map(|(path, text)| json!({"path": path, "text": text})).collect::<Vec<_>>(),
                       "then": then});
    if print {
        output.result(&shown, || files.iter().map(|(path, text)| format!("# {path}\n{text}\n")).collect());
        return Ok(0);
    }
    for (path, text) in &files {
        fs::write(path, text).at("cannot write", Path::new(path))?;
    }
    output.result(&shown, || {
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let next = if then.is_empty() { String::new() } else { format!("Now run: {then}\n") };
        format!("Wrote {}: what is due runs every ten minutes.\n{next}", paths.join(" and "))
    });
    Ok(0)
}

/// This program with absolute paths, as its words.
fn command(global: &Global) -> Result<Vec<String>> {
    let program = std::env::current_exe().at("cannot find the program", Path::new("bam"))?;
    let mut words = vec![utf8(program)?];
    if let Some(root) = &global.root {
        words.extend(["--root".into(), utf8(absolute(root)?)?]);
        if let Some(uri) = &global.uri {
            words.extend(["--uri".into(), uri.clone()]);
        }
    } else {
        let config = global.config.clone().unwrap_or_else(|| {
            let here = PathBuf::from("bam.yml");
            if here.exists() { here } else { "/etc/bam/bam.yml".into() }
        });
        words.extend(["--config".into(), utf8(absolute(&config)?)?]);
    }
    words.extend(["--quiet".into(), "run".into()]);
    Ok(words)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).at("cannot find", path)
}

fn utf8(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        Error::new(Code::Unsupported, format!("{} cannot be written into a timer", path.to_string_lossy()))
            .hint("use a path of plain text")
    })
}

const TIMER_TEXT: &str = "[Unit]\nDescription=Run the bam backups that are due\n\n\
    [Timer]\nOnCalendar=*:0/10\nRandomizedDelaySec=60\nPersistent=true\n\n\
    [Install]\nWantedBy=timers.target\n";

/// Words in double quotes; `%` and `$` doubled and `\` and `"` escaped, as systemd.service(5) wants.
fn service(words: &[String], user: &str) -> Result<String> {
    refuse_line_breaks(words)?;
    let quoted: Vec<String> = words
        .iter()
        .map(|word| {
            let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
            format!("\"{word}\"")
        })
        .collect();
    Ok(format!(
        "[Unit]\nDescription=Run the bam backups that are due\nAfter=network-online.target\nWants=network-online.target\n\n\
         [Service]\nType=oneshot\nUser={user}\nNice=10\nIOSchedulingClass=idle\n\
         # 3: a copy is missing, 5: another run is under way; both are told by bam status.\n\
         SuccessExitStatus=3 5\nExecStart={}\n",
        quoted.join(" ")
    ))
}

/// Words in single quotes for the shell; cron itself takes a bare `%` for a line break (crontab(5)).
fn cron_line(words: &[String], user: &str) -> Result<String> {
    refuse_line_breaks(words)?;
    let quoted: Vec<String> =
        words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''").replace('%', "\\%"))).collect();
    Ok(format!("# Run the bam backups that are due.\n*/10 * * * * {user} {}\n", quoted.join(" ")))
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
            include_str!("../../../docs/examples/bam.service")
        );
        assert_eq!(TIMER_TEXT, include_str!("../../../docs/examples/bam.timer"));
        assert_eq!(cron_line(&words, "root").expect("a line"), include_str!("../../../docs/examples/cron.d"));
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
