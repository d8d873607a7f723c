//! Servers and lines that die in the middle.

use super::sshd::{Fate, Line, Sshd};
use super::suite::{self, bytes, files, whole};
use bam::config::document::Destination as Config;
use bam::destination::{Destination, Existing, Patience, Sftp, Spool};
use bam::{Code, Monitor};
use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// Tries again at once. Counts of connections hold only where the test's cuts alone end one, and on a busy machine a
/// line is easily silent for some seconds: silence counts only in the tests about it ([`hasty`]).
fn impatient(settings: serde_json::Value, tries: u32) -> Sftp {
    waiting(settings, tries, Duration::from_secs(60))
}

/// The same, with a server that counts as dead after seconds of silence.
fn hasty(settings: serde_json::Value, tries: u32) -> Sftp {
    waiting(settings, tries, Duration::from_secs(5))
}

fn waiting(settings: serde_json::Value, tries: u32, timeout: Duration) -> Sftp {
    let config: Config = serde_json::from_value(settings).unwrap();
    let first_delay = Duration::from_millis(20);
    Sftp::from_config("there", &config).unwrap().with_patience(Patience {
        timeout,
        looking: timeout,
        first_delay,
        tries,
        ..Patience::default()
    })
}

#[test]
fn a_cut_line_is_resumed_at_the_last_byte() {
    let Some(server) = Sshd::start("a_cut_line_is_resumed_at_the_last_byte", "") else { return };
    let sent = bytes(24 << 20);
    // In the key exchange, while logging in, after some bytes, and twice more.
    let cuts = [10, 2000, 6 << 20, 9 << 20, 5 << 20].map(Fate::Cut);
    let line = Line::to(server.port, &cuts);
    server.know(line.port);
    let to = impatient(server.settings(line.port), 5);
    to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new()).unwrap();
    // Six connections that each began anew would never have got through: 24 MiB in pieces of 9 at most.
    assert_eq!(line.connections(), 6);
    assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent);
    assert_eq!(files(&server.backups()), ["a.tar", "a.tar.info"].map(String::from).into());
}

#[test]
fn wherever_the_line_is_cut_the_upload_completes() {
    let Some(server) = Sshd::start("wherever_the_line_is_cut_the_upload_completes", "") else { return };
    let sent = bytes(20_000);
    let length = |cut| {
        let line = Line::to(server.port, &[Fate::Cut(cut)]);
        server.know(line.port);
        let to = impatient(server.settings(line.port), 3);
        let _ = fs::remove_file(server.backups().join("a.tar"));
        let _ = fs::remove_file(server.backups().join("a.tar.info"));
        to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new()).unwrap();
        assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent, "cut after {cut} bytes");
        assert_eq!(files(&server.backups()), ["a.tar", "a.tar.info"].map(String::from).into());
        line.connections()
    };
    // Cuts all through the first connection, until one comes after its end.
    let mut cuts = 0;
    for cut in (3_000..).step_by(1021) {
        if length(cut) == 1 {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 15, "{cuts}");
}

#[test]
fn wherever_the_line_is_cut_a_replacement_completes() {
    let Some(server) = Sshd::start("wherever_the_line_is_cut_a_replacement_completes", "") else { return };
    let (old, new) = (bytes(1000), bytes(2000));
    for cut in (3_000..).step_by(601) {
        fs::write(server.backups().join("a.tar"), &old).unwrap();
        fs::write(server.backups().join("a.tar.info"), "old").unwrap();
        let line = Line::to(server.port, &[Fate::Cut(cut)]);
        server.know(line.port);
        let to = impatient(server.settings(line.port), 3);
        to.follow("a.tar", Existing::Replace, &whole(&new), &|| Ok("new".into()), &Monitor::new()).unwrap();
        assert!(fs::read(server.backups().join("a.tar")).unwrap() == new, "cut after {cut} bytes");
        assert_eq!(to.sidecar("a.tar").unwrap().as_deref(), Some("new"));
        assert_eq!(files(&server.backups()), ["a.tar", "a.tar.info"].map(String::from).into());
        if line.connections() == 1 {
            assert!(cut > 5_000, "{cut}");
            break;
        }
    }
}

#[test]
fn a_killed_server_is_waited_for() {
    let Some(mut server) = Sshd::start("a_killed_server_is_waited_for", "") else { return };
    let sent = bytes(12 << 20);
    let to = impatient(server.settings(server.port), 500);
    let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
    let part = server.backups().join(".a.tar.part");
    thread::scope(|scope| {
        let upload =
            scope.spawn(|| to.follow("a.tar", Existing::Keep, &follow, &|| Ok("s".into()), &Monitor::new()));
        spool.write_all(&sent[..8 << 20]).unwrap();
        while fs::metadata(&part).map_or(0, |part| part.len()) < 4 << 20 {
            assert!(!upload.is_finished());
            thread::sleep(Duration::from_millis(5));
        }
        server.kill();
        assert_eq!(files(&server.backups()), [".a.tar.lease", ".a.tar.part"].map(String::from).into());
        spool.write_all(&sent[8 << 20..]).unwrap();
        spool.finish();
        server.run();
        upload.join().unwrap().unwrap();
    });
    assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent);
    assert_eq!(files(&server.backups()), ["a.tar", "a.tar.info"].map(String::from).into());
}

#[test]
fn a_silent_server_is_noticed() {
    let Some(server) = Sshd::start("a_silent_server_is_noticed", "") else { return };
    let sent = bytes(16 << 20);
    let line = Line::to(server.port, &[Fate::Stall(5 << 20)]);
    server.know(line.port);
    let to = hasty(server.settings(line.port), 3);
    to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new()).unwrap();
    assert_eq!(line.connections(), 2);
    assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent);
}

#[test]
fn the_ssh_program_takes_over_and_may_fail() {
    let Some(server) = Sshd::start("the_ssh_program_takes_over_and_may_fail", "") else { return };
    let sent = bytes(100 << 20);
    let dies = 40 << 20;
    for fate in [Fate::Cut(dies), Fate::Stall(dies), Fate::Cut(u64::MAX)] {
        // The first connection of ours may have sent most of it before the program is there.
        let taken_over = (1..20).any(|_| {
            // The first connection is ours, the second the program's.
            let line = Line::to(server.port, &[Fate::Cut(u64::MAX), fate]);
            server.know(line.port);
            let silent = matches!(fate, Fate::Stall(_));
            let timeout = Duration::from_secs(if silent { 5 } else { 60 });
            // However slow a busy machine makes the line, it counts as fast: the program is called.
            let forever = Duration::from_secs(3600);
            let patience =
                Patience { timeout, tries: 1, long: forever, slow: forever, ..Patience::default() };
            let config: Config = serde_json::from_value(server.settings(line.port)).unwrap();
            let to = Sftp::from_config("there", &config).unwrap().with_patience(patience);
            let ended =
                to.follow("a.tar", Existing::Replace, &whole(&sent), &|| Ok("s".into()), &Monitor::new());
            // Where seconds of silence are a death, a busy machine may bring one to our own connection, too.
            if silent && ended.as_ref().is_err_and(|error| error.code() == Code::Destination) {
                return false;
            }
            ended.unwrap();
            assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent);
            assert_eq!(files(&server.backups()), ["a.tar", "a.tar.info"].map(String::from).into());
            line.over_the_second() >= dies
        });
        assert!(taken_over, "no program carried most of the file");
    }
}

#[test]
fn a_later_run_resumes_what_a_killed_one_left() {
    let Some(server) = Sshd::start("a_later_run_resumes_what_a_killed_one_left", "") else { return };
    let sent = bytes(48 << 20);
    let part = server.backups().join(".a.tar.part");
    fs::write(&part, &sent[..44 << 20]).unwrap();
    suite::abandoned(&server.backups(), &["a.tar"]);
    // The last bytes of a part are not relied on; but anything near all 48 MiB would not get through.
    let line = Line::to(server.port, &[Fate::Cut(30 << 20)]);
    server.know(line.port);
    let to = impatient(server.settings(line.port), 1);
    assert_eq!(to.clean_parts(&|name| name == "a.tar").unwrap(), Vec::<String>::new());
    to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new()).unwrap();
    assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent);
}

#[test]
fn a_part_of_something_else_is_not_resumed() {
    let Some(server) = Sshd::start("a_part_of_something_else_is_not_resumed", "") else { return };
    let sent = bytes(32 << 20);
    let to = impatient(server.settings(server.port), 1);
    let part = server.backups().join(".a.tar.part");
    let mut hole = sent[..30 << 20].to_vec();
    hole[1 << 20..3 << 20].fill(0);
    // Where the spots do not look: the SHA-256 on the server tells, and all is sent again.
    let mut speck = sent[..30 << 20].to_vec();
    speck[100_000] ^= 1;
    let mut longer = sent.clone();
    longer.resize(60 << 20, 0);
    for left in [hole, speck, longer, vec![0; 30 << 20]] {
        fs::write(&part, &left).unwrap();
        suite::abandoned(&server.backups(), &["a.tar"]);
        to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new()).unwrap();
        assert!(suite::read(&to, "a.tar") == sent);
        to.remove("a.tar").unwrap();
    }
}

#[test]
fn a_dead_server_is_given_up_in_the_end_and_the_part_kept() {
    let Some(mut server) = Sshd::start("a_dead_server_is_given_up_in_the_end_and_the_part_kept", "") else {
        return;
    };
    let line = Line::to(server.port, &[Fate::Cut(3 << 20), Fate::Cut(0), Fate::Cut(0), Fate::Cut(0)]);
    server.know(line.port);
    let to = impatient(server.settings(line.port), 3);
    let sent = bytes(12 << 20);
    let upload = to.follow("a.tar", Existing::Keep, &whole(&sent), &|| Ok("s".into()), &Monitor::new());
    let error = upload.unwrap_err();
    assert_eq!(error.code(), Code::Destination);
    assert!(error.message().contains("3 tries"), "{error}");
    assert_eq!(files(&server.backups()), [".a.tar.lease", ".a.tar.part"].map(String::from).into());
    server.kill();
    let refused = impatient(server.settings(server.port), 3).prepare(&Monitor::new()).unwrap_err();
    assert!(refused.message().contains("cannot reach") && refused.next_step().is_some(), "{refused}");
}

#[test]
fn reading_goes_on_after_a_cut() {
    let Some(server) = Sshd::start("reading_goes_on_after_a_cut", "") else { return };
    let sent = bytes(30 << 20);
    fs::write(server.backups().join("a.tar"), &sent).unwrap();
    // The requests for 30 MiB are a few hundred KiB; `stat` has a connection of its own.
    let line = Line::to(server.port, &[Fate::Cut(1 << 20), Fate::Cut(40_000), Fate::Cut(30_000)]);
    server.know(line.port);
    let to = impatient(server.settings(line.port), 3);
    assert!(suite::read(&to, "a.tar") == sent);
    assert_eq!(line.connections(), 4);
}

#[test]
fn a_long_line_is_used_by_several_channels() {
    let Some(server) = Sshd::start("a_long_line_is_used_by_several_channels", "") else { return };
    let sent = bytes(40 << 20);
    // The first connection is cut while all channels are at work.
    let line = Line::far(server.port, Duration::from_millis(10), &[Fate::Cut(9 << 20)]);
    server.know(line.port);
    let to = impatient(server.settings(line.port), 3);
    let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
    spool.write_all(&sent[..39 << 20]).unwrap();
    thread::scope(|scope| {
        let upload =
            scope.spawn(|| to.follow("a.tar", Existing::Keep, &follow, &|| Ok("s".into()), &Monitor::new()));
        while server.log().matches("subsystem 'sftp'").count() < 5 {
            assert!(!upload.is_finished(), "{:?}", upload.join());
            thread::sleep(Duration::from_millis(5));
        }
        spool.write_all(&sent[39 << 20..]).unwrap();
        spool.finish();
        upload.join().unwrap().unwrap();
    });
    // One that was cut, one that went on, and maybe one for the server to hash along.
    assert!((2..=3).contains(&line.connections()), "{}", line.connections());
    assert!(fs::read(server.backups().join("a.tar")).unwrap() == sent);
    assert_eq!(files(&server.backups()), ["a.tar", "a.tar.info"].map(String::from).into());
}
