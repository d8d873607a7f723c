//! Object storage, against servers of others: moto for S3, wsgidav for WebDAV.

use super::suite::{self, bytes, whole};
use super::{configured, skip};
use bam::destination::{Destination, Existing, Spool};
use bam::{Code, Monitor};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const KEY: &str = "AKIAEXAMPLE";
const SECRET: &str = "a secret";

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
    top: tempfile::TempDir,
}

impl Server {
    /// `None` (with a SKIP line) where the programs cannot be had.
    fn start(test: &str, command: impl Fn(&Path, &Path, u16) -> Command) -> Option<Server> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/object-servers");
        let found = Command::new(script).output().unwrap();
        if !found.status.success() {
            skip(test, &format!("no servers: {}", String::from_utf8_lossy(&found.stderr).trim()));
            return None;
        }
        let programs = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        let top = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(top.path().join("log")).unwrap();
        let mut command = command(&programs, top.path(), port);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let server = Server { child, port, top };
        let last = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(server.top.path().join("log")).unwrap();
            assert!(Instant::now() < last, "{log}");
            thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn webdav(test: &str) -> Option<Server> {
    Server::start(test, |programs, top, port| {
        let shared = top.join("shared");
        fs::create_dir(&shared).unwrap();
        let config = top.join("config.yaml");
        let text = format!(
            "host: 127.0.0.1\nport: {port}\nprovider_mapping: {{'/': {}}}\nlock_storage: false\nproperty_manager: false\n\
             http_authenticator: {{accept_basic: true, accept_digest: false, default_to_digest: false}}\n\
             simple_dc: {{user_mapping: {{'*': {{{KEY}: {{password: '{SECRET}'}}}}}}}}\n",
            shared.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(programs.join("wsgidav"));
        command.arg("--config").arg(config);
        command
    })
}

#[test]
fn webdav_passes_the_suite() {
    let Some(server) = webdav("webdav_passes_the_suite") else { return };
    let url = format!("http://{KEY}@127.0.0.1:{}/new/a%20folder", server.port);
    let to = configured(json!({"type": "webdav", "url": url, "password": SECRET}));
    assert!(!to.is_there().unwrap());
    suite::run_plain(&*to, &server.top.path().join("shared/new/a folder"));
    to.try_out().unwrap();
}

/// A bucket, looked into by curl, which signs for itself.
struct Bucket {
    server: Server,
}

impl Bucket {
    fn start(test: &str) -> Option<Bucket> {
        let server = Server::start(test, |programs, _, port| {
            let mut command = Command::new(programs.join("moto_server"));
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        })?;
        let bucket = Bucket { server };
        bucket.ask(&["-X", "PUT"], "");
        Some(bucket)
    }

    fn settings(&self) -> Value {
        let endpoint = format!("http://127.0.0.1:{}", self.server.port);
        json!({"type": "s3", "url": "s3://backups/a/b", "endpoint": endpoint, "access_key": KEY, "password": SECRET})
    }

    fn ask(&self, options: &[&str], path: &str) -> Vec<u8> {
        let url = format!("http://127.0.0.1:{}/backups{path}", self.server.port);
        let user = format!("{KEY}:{SECRET}");
        let done = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--globoff",
                "--aws-sigv4",
                "aws:amz:us-east-1:s3",
                "--user",
            ])
            .arg(user)
            .args(options)
            .arg(url)
            .output()
            .unwrap();
        assert!(done.status.success(), "{path}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    fn put(&self, file: &str, text: &str) {
        self.put_with(file, text, "x-amz-meta-x: y");
    }

    fn put_with(&self, file: &str, text: &str, header: &str) {
        // Without a type of its own moto takes the text for a form.
        let kind = "Content-Type: application/octet-stream";
        self.ask(&["-X", "PUT", "--data-binary", text, "-H", kind, "-H", header], &format!("/a/b/{file}"));
    }

    fn files(&self) -> BTreeSet<String> {
        let listed = String::from_utf8(self.ask(&[], "?list-type=2&prefix=a/b/")).unwrap();
        let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.strip_prefix("a/b/").unwrap().to_owned()).collect()
    }

    fn unfinished(&self) -> usize {
        String::from_utf8(self.ask(&[], "?uploads=")).unwrap().matches("<UploadId>").count()
    }

    fn begin(&self, file: &str) {
        self.ask(&["-X", "POST"], &format!("/a/b/{file}?uploads="));
    }
}

/// The lease of a run of this machine that has ended.
fn ended_lease(run: &str) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let pids = fs::read_link("/proc/self/ns/pid").unwrap();
    format!(
        "bam-lease 1\nrun = {run}\nboot = {}\npids = {}\nprocess = 4194999\nstarted = 1\n",
        boot.trim(),
        pids.display()
    )
}

fn send(
    to: &dyn Destination,
    name: &str,
    existing: Existing,
    bytes: &[u8],
    sidecar: &str,
) -> bam::Result<()> {
    to.follow(name, existing, &whole(bytes), &|| Ok(sidecar.into()), &Monitor::new())
}

#[test]
fn a_bucket_holds_what_was_sent_and_no_more() {
    let Some(bucket) = Bucket::start("a_bucket_holds_what_was_sent_and_no_more") else { return };
    let to = configured(bucket.settings());
    to.prepare(&Monitor::new()).unwrap();
    to.try_out().unwrap();
    for length in [0, 1, 100_000, 5 << 20, (5 << 20) + 1, 23 << 20] {
        let sent = bytes(length);
        send(&*to, "a.tar", Existing::Keep, &sent, "k = \"v\"\n").unwrap();
        assert!(bucket.ask(&[], "/a/b/a.tar") == sent);
        let listed = to.list().unwrap();
        assert_eq!((listed.len(), listed[0].size), (1, length as u64));
        assert_eq!(listed[0].sidecar.as_deref(), Some("k = \"v\"\n"));
        assert!(suite::read(&*to, "a.tar") == sent);
        for offset in [0, 1, 4 << 20, length].into_iter().filter(|offset| *offset <= length) {
            let mut rest = Vec::new();
            to.open_at("a.tar", offset as u64).unwrap().unwrap().read_to_end(&mut rest).unwrap();
            assert!(rest == sent[offset..], "{offset} of {length}");
        }
        let error = send(&*to, "a.tar", Existing::Keep, b"x", "").unwrap_err();
        assert!(error.message().contains("a.tar") && error.next_step().is_some(), "{error}");
        to.remove("a.tar").unwrap();
        assert!(bucket.files().is_empty(), "{:?}", bucket.files());
    }
    for name in [
        "-n",
        "it's $HOME `id`",
        "ünïcødé 🦀.tar",
        "a b;c&d|e*?[x]",
        "back\\slash\"",
        "x.part",
        "~",
        "#x",
        "100%25",
        "a+b",
    ] {
        send(&*to, name, Existing::Keep, name.as_bytes(), name).unwrap();
        assert_eq!(suite::read(&*to, name), name.as_bytes());
        let listed = to.list().unwrap();
        assert_eq!((listed[0].name.as_str(), listed[0].sidecar.as_deref()), (name, Some(name)));
        to.remove(name).unwrap();
    }
    for bad in ["", ".hidden", "a/b", "x.info", " blank"] {
        assert_eq!(send(&*to, bad, Existing::Keep, b"x", "").unwrap_err().code(), Code::Usage, "{bad:?}");
    }
    for missing in [to.remove("no").err(), to.open("no").err(), to.write_sidecar("no", "").err()] {
        assert_eq!(missing.unwrap().code(), Code::NotFound);
    }
    assert_eq!((bucket.files().len(), bucket.unfinished()), (0, 0));
}

#[test]
fn a_failed_upload_leaves_nothing_in_the_bucket() {
    let Some(bucket) = Bucket::start("a_failed_upload_leaves_nothing_in_the_bucket") else { return };
    let to = configured(bucket.settings());
    send(&*to, "r.tar", Existing::Keep, b"first", "1").unwrap();
    // The backup itself fails after some parts, its sidecar does, it is cancelled.
    for existing in [Existing::Keep, Existing::Replace] {
        let name = if existing == Existing::Keep { "f.tar" } else { "r.tar" };
        let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
        spool.write_all(&bytes(17 << 20)).unwrap();
        drop(spool);
        let failed = to.follow(name, existing, &follow, &|| Ok("s".into()), &Monitor::new());
        assert_eq!(failed.unwrap_err().code(), Code::Cancelled);
        let refuse = || Err(bam::Error::new(Code::Integrity, "no sidecar"));
        let failed = to.follow(name, existing, &whole(&bytes(12 << 20)), &refuse, &Monitor::new());
        assert_eq!(failed.unwrap_err().code(), Code::Integrity);
        let (mut spool, follow) = Spool::create(&std::env::temp_dir()).unwrap();
        spool.write_all(&bytes(11 << 20)).unwrap();
        let monitor = Monitor::new();
        thread::scope(|scope| {
            let upload = scope.spawn(|| to.follow(name, existing, &follow, &|| Ok("s".into()), &monitor));
            while bucket.unfinished() == 0 {
                assert!(!upload.is_finished());
                thread::sleep(Duration::from_millis(20));
            }
            monitor.cancel();
            assert_eq!(upload.join().unwrap().unwrap_err().code(), Code::Cancelled);
        });
        assert_eq!(bucket.files(), ["r.tar", "r.tar.info"].map(String::from).into());
        assert_eq!(bucket.unfinished(), 0);
    }
    assert_eq!(
        (suite::read(&*to, "r.tar"), to.sidecar("r.tar").unwrap()),
        (b"first".to_vec(), Some("1".into()))
    );
    send(&*to, "r.tar", Existing::Replace, b"second", "2").unwrap();
    assert_eq!(
        (suite::read(&*to, "r.tar"), to.sidecar("r.tar").unwrap()),
        (b"second".to_vec(), Some("2".into()))
    );
    assert_eq!(bucket.files(), ["r.tar", "r.tar.info"].map(String::from).into());
}

#[test]
fn what_killed_runs_left_in_a_bucket_is_settled() {
    let Some(bucket) = Bucket::start("what_killed_runs_left_in_a_bucket_is_settled") else { return };
    let to = configured(bucket.settings());
    // In the middle of its parts; with its sidecar there; a removal after its first step.
    bucket.begin("a.tar");
    bucket.put(".a.tar.lease", &ended_lease("1"));
    bucket.put("b.tar.info", "bam_format = \"1\"\n");
    bucket.put(".b.tar.lease", &ended_lease("2"));
    // Others' things: an upload, a sidecar, what looks hidden.
    bucket.begin("theirs.tar");
    bucket.put("notes.info", "x");
    bucket.put(".notes.lease", "x");
    bucket.put(".live.tar.lease", "bam-lease 1\nhost = elsewhere\nprocess = 7\n");
    assert!(to.list().unwrap().is_empty());
    assert_eq!(to.clean_parts(&|name| name == "a.tar").unwrap(), ["b.tar"]);
    assert_eq!(to.clean_parts(&|_| false).unwrap(), ["a.tar"]);
    assert_eq!(bucket.files(), ["notes.info", ".notes.lease", ".live.tar.lease"].map(String::from).into());
    assert_eq!(bucket.unfinished(), 1);
    // Neither does an upload take them for its own.
    let error = send(&*to, "live.tar", Existing::Keep, b"x", "s").unwrap_err();
    assert_eq!(error.code(), Code::Locked, "{error}");
    let error = send(&*to, "notes", Existing::Keep, b"x", "s").unwrap_err();
    assert!(error.message().contains("is in the way"), "{error}");
    assert_eq!(bucket.files().len(), 3);
}

#[test]
fn a_replacement_that_was_cut_off_is_finished_or_taken_back() {
    let Some(bucket) = Bucket::start("a_replacement_that_was_cut_off_is_finished_or_taken_back") else {
        return;
    };
    let to = configured(bucket.settings());
    for (run, told) in [("1234", "new"), ("5678", "old")] {
        // The data is of run 1234; the lease says whose the sidecar is that waits.
        bucket.put_with("r.tar", "data", "x-amz-meta-bam-run: 1234");
        bucket.put("r.tar.info", "old");
        bucket.put(".r.tar.info.part", "new");
        bucket.put(".r.tar.lease", &ended_lease(run));
        assert_eq!(to.sidecar("r.tar").unwrap().as_deref(), Some(told));
        assert_eq!(to.list().unwrap()[0].sidecar.as_deref(), Some(told));
        assert_eq!(to.clean_parts(&|_| false).unwrap(), ["r.tar"]);
        assert_eq!(to.sidecar("r.tar").unwrap().as_deref(), Some(told));
        assert_eq!(bucket.files(), ["r.tar", "r.tar.info"].map(String::from).into());
    }
}

#[test]
fn a_long_listing_has_pages() {
    let Some(bucket) = Bucket::start("a_long_listing_has_pages") else { return };
    let to = configured(bucket.settings());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    fs::write(&file, "x").unwrap();
    // curl's own globs, in one process.
    let url = format!("http://127.0.0.1:{}/backups/a/b/old-[1-1100].tar", bucket.server.port);
    let done = Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            &format!("{KEY}:{SECRET}"),
        ])
        .arg("--upload-file")
        .arg(&file)
        .args(["--output", "/dev/null", &url])
        .status()
        .unwrap();
    assert!(done.success());
    assert_eq!(to.list().unwrap().len(), 1100);
}
