//! Telling people and monitors how a scheduled run went: mail through sendmail, a webhook, a ping.
//!
//! Left to whoever watches where there is a status file: the Drupal module mails by itself. Nothing that fails here makes
//! a backup fail. Addresses and URLs go to sendmail and curl on their standard input: webhook URLs are secrets, and
//! command lines are not.

use crate::print::{Output, date, size, text};
use crate::result::{list, number};
use bam::catalog::Tokens;
use bam::config::{Document, Notify};
use bam::look;
use bam::{Code, Error, Result, child, environment};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long sendmail and curl may take, with all that they try again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tells of one run of a schedule.
pub fn told(document: &Document, schedule: &str, notify: &Notify, outcome: &Result<Value>, output: &Output) {
    if output.is_watched() || matches!(outcome, Err(error) if error.code() == Code::Locked) {
        return;
    }
    let good = outcome.as_ref().is_ok_and(|result| result["exit_code"] == 0);
    let tokens = Tokens::of(&document.site, jiff::Timestamp::now().as_second());
    let (subject, body) = (subject(document, schedule, outcome), body(schedule, outcome));
    let addresses = if good { &notify.success } else { &notify.failure };
    let to: Vec<String> = addresses.iter().map(|a| tokens.replace(a)).filter(|a| is_address(a)).collect();
    let warn = |what: &str, sent: Result<()>| {
        if let Err(error) = sent {
            output.warn(&format!("{what}: {error}"));
        }
    };
    if !to.is_empty() {
        warn("the mail was not sent", mail(document, &to, &subject, &body));
    }
    if let Some(url) = &notify.webhook {
        let message = match outcome {
            Ok(result) => json!({"ok": good, "text": subject, "schedule": schedule, "result": result}),
            Err(error) => json!({"ok": false, "text": subject, "schedule": schedule,
                                 "error": error}),
        };
        warn("the webhook was not reached", post(url.expose(), "", Some(&message.to_string())));
    }
    if let Some(url) = &notify.ping {
        // As healthchecks.io and its kin take it: the URL itself for success, /fail behind it for failure.
        warn("the ping did not arrive", post(url.expose(), if good { "" } else { "/fail" }, None));
    }
}

fn subject(document: &Document, schedule: &str, outcome: &Result<Value>) -> String {
    let site = match document.site.name.as_str() {
        "" => document.site.root.display().to_string(),
        name => name.to_owned(),
    };
    let how = match outcome {
        Ok(result) if result["exit_code"] == 0 => "is made",
        Ok(_) => "is made, but not everywhere",
        Err(_) => "FAILED",
    };
    one_line(&format!("{site}: backup {schedule} {how}"))
}

fn body(schedule: &str, outcome: &Result<Value>) -> String {
    let mut lines = format!("Schedule:    {schedule}\n");
    match outcome {
        Ok(result) => {
            let _ = write!(
                lines,
                "Backup:      {} of {}, made {}\nFile:        {}\nSize:        {}, from {}\nTime:        {:.0} s\n",
                result["id"],
                text(result, "source"),
                result["id"].as_i64().map(date).unwrap_or_default(),
                text(result, "file"),
                size(number(result, "bytes_out")),
                size(number(result, "bytes_in")),
                result["seconds"].as_f64().unwrap_or_default(),
            );
            for copy in list(result, "destinations") {
                let state = copy["error"].as_str().unwrap_or("good");
                let _ = writeln!(lines, "Copy at {}: {state}", text(copy, "name"));
            }
            for note in list(result, "notes").filter(|note| note["kind"] != "info") {
                let _ = writeln!(lines, "\n{}", text(note, "text"));
            }
            if result["exit_code"] != 0 {
                lines += "\nMissing copies are completed by the next run, or now by `bam replicate`.\n";
            }
            let _ = writeln!(lines, "\nRestore it with:  bam restore {}", result["id"]);
        }
        Err(error) => {
            let _ = writeln!(lines, "\nThere is no new backup: {}", error.message());
            if let Some(hint) = error.next_step() {
                let _ = writeln!(lines, "What to do: {hint}");
            }
            lines += "\nOlder backups were left alone. `bam status` tells how things stand.\n";
        }
    }
    lines
}

/// sendmail(1) with `-t` reads the addresses from the message, `-i` takes a lone dot for text.
fn mail(document: &Document, to: &[String], subject: &str, body: &str) -> Result<()> {
    let program = ["/usr/sbin/sendmail", "/usr/lib/sendmail"]
        .into_iter()
        .find(|path| look::exists(std::path::Path::new(path)).unwrap_or(false));
    let program = program.ok_or_else(|| {
        Error::new(Code::NotFound, "no sendmail is installed").hint("install one, e.g. apt install msmtp-mta")
    })?;
    let from = &document.site.mail;
    let from = if is_address(from) { format!("From: {from}\n") } else { String::new() };
    let message = format!(
        "{from}To: {}\nSubject: {subject}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}",
        to.join(", ")
    );
    feed(environment::clean(Command::new(program).args(["-t", "-i"])), message.as_bytes(), PATIENCE)
}

/// curl reads all of its options, the URL and the body among them, from standard input.
fn post(url: &[u8], suffix: &str, body: Option<&str>) -> Result<()> {
    let url = String::from_utf8_lossy(url);
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(Error::new(Code::Config, "a notification URL must begin with https:// or http://"));
    }
    let mut options =
        format!("url = {}\n", environment::curl_value(&format!("{}{suffix}", url.trim_end_matches('/'))));
    if let Some(body) = body {
        let _ = write!(
            options,
            "header = \"Content-Type: application/json\"\ndata-raw = {}\n",
            environment::curl_value(body)
        );
    }
    let arguments =
        ["--config", "-", "--silent", "--fail", "--max-time", "30", "--retry", "2", "--output", "/dev/null"];
    feed(environment::clean(Command::new("curl").args(arguments)), options.as_bytes(), PATIENCE)
}

/// Runs a program for so long at most.
fn feed(command: &mut Command, input: &[u8], at_most: Duration) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |cause| Error::new(Code::Io, format!("cannot run {name}")).because(cause);
    // Not a pipe: nobody waits for a program that does not read.
    command.stdin(child::memory_file_of(input)?).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let begun = Instant::now();
    let status = loop {
        let rest = at_most.saturating_sub(begun.elapsed());
        if let Some(status) = child::wait(&mut child, rest).map_err(failed)? {
            break status;
        }
        if rest.is_zero() {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            return Err(Error::new(Code::Io, format!("{name} did not end in {} s", at_most.as_secs()))
                .hint("see what it waits for"));
        }
    };
    if status.success() { Ok(()) } else { Err(Error::new(Code::Io, format!("{name} ended with {status}"))) }
}

/// Enough to keep header lines and option letters out; whether it is deliverable is the mail server's to say.
fn is_address(text: &str) -> bool {
    text.contains('@')
        && !text.starts_with('-')
        && !text.chars().any(|c| c.is_control() || ",;<> ".contains(c))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_header_and_no_option_is_smuggled_in() {
        assert!(is_address("a@example.org"));
        for bad in ["a@example.org\nBcc: b@example.org", "-oQ/tmp@x", "a@x, b@x", "nobody"] {
            assert!(!is_address(bad), "{bad:?}");
        }
        assert_eq!(one_line("a\r\nBcc: b"), "a  Bcc: b");
    }

    #[test]
    fn a_program_that_does_not_end_is_given_up() {
        // Nor reads: more than a pipe holds.
        let input = vec![b'x'; 1 << 20];
        let error = feed(Command::new("sleep").arg("3600"), &input, Duration::from_millis(10));
        assert!(error.is_err_and(|error| error.message().contains("sleep did not end")));
        let grep = |wanted: &str| {
            feed(Command::new("grep").arg(wanted), b"one line", Duration::from_secs(60)).is_ok()
        };
        assert!(grep("line") && !grep("two"), "what does, by what it says");
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let error = Error::new(Code::Space, "the disk is full").hint("free some space");
        let text = body("weekly", &Err(error));
        assert!(
            text.contains("There is no new backup: the disk is full\nWhat to do: free some space"),
            "{text}"
        );
    }
}
