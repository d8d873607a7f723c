//! A real OpenSSH server with keys of its own, and a line to it that can be cut.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/sshd";

pub struct Sshd {
    pub folder: tempfile::TempDir,
    pub port: u16,
    extra: String,
    running: Option<Child>,
}

impl Sshd {
    /// A running server; `None` (with a SKIP line) where OpenSSH's is not installed. `extra` are lines for its
    /// configuration.
    pub fn start(test: &str, extra: &str) -> Option<Sshd> {
        if !Path::new(PROGRAM).exists() {
            super::skip(test, "openssh-server is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("folder");
        for key in ["host_ed25519", "id_ed25519"] {
            make_key(&folder.path().join(key), "ed25519");
        }
        make_key(&folder.path().join("host_ecdsa"), "ecdsa");
        fs::copy(folder.path().join("id_ed25519.pub"), folder.path().join("authorized_keys")).expect("keys");
        fs::create_dir(folder.path().join("backups")).expect("backups");
        let mut server = Sshd { folder, port: free_port(), extra: extra.into(), running: None };
        server.run();
        server.know(server.port);
        Some(server)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that backups go to.
    pub fn backups(&self) -> PathBuf {
        self.path("backups")
    }

    /// Adds the server's key to `known_hosts` for a port.
    pub fn know(&self, port: u16) {
        let mut known = fs::read_to_string(self.path("known_hosts")).unwrap_or_default();
        let key = fs::read_to_string(self.path("host_ed25519.pub")).expect("key");
        known += &format!("[127.0.0.1]:{port} {key}");
        fs::write(self.path("known_hosts"), known).expect("known_hosts");
    }

    /// Starts it again after [`Sshd::kill`], on the same port.
    pub fn run(&mut self) {
        // Privilege separation wants it, when run by root.
        let _ = fs::create_dir_all("/run/sshd");
        let at = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             UsePAM no\nPidFile none\nLogLevel VERBOSE\nMaxStartups 100\nSubsystem sftp internal-sftp\n{}\n",
            self.port,
            at("host_ed25519"),
            at("host_ecdsa"),
            at("authorized_keys"),
            self.extra
        );
        fs::write(self.path("sshd_config"), config).expect("configuration");
        let log = fs::File::options().create(true).append(true).open(self.path("log")).expect("log");
        let child = Command::new(PROGRAM)
            .args(["-D", "-e", "-f"])
            .arg(self.path("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd");
        let child = self.running.insert(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = child.try_wait().expect("sshd");
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "sshd does not start: {log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server and everything that it started for its clients.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            for pid in descendants(child.id()) {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).output();
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the server wrote to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Settings of an sftp destination that lets us in.
    pub fn settings(&self, port: u16) -> serde_json::Value {
        serde_json::json!({
            "type": "sftp",
            "url": format!("sftp://{}@127.0.0.1:{port}{}", user(), self.backups().display()),
            "identity_file": self.path("id_ed25519"),
            "known_hosts": self.path("known_hosts"),
        })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- the server's log:\n{}", self.log());
        }
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut all: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    for child in all.clone() {
        all.extend(descendants(child));
    }
    all
}

pub fn make_key(path: &Path, kind: &str) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen").success());
}

pub fn fingerprint(key: &Path) -> String {
    let shown = Command::new("ssh-keygen").arg("-lf").arg(key).output().expect("ssh-keygen").stdout;
    String::from_utf8(shown).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

pub fn user() -> String {
    let name = Command::new("id").arg("-un").output().expect("id").stdout;
    String::from_utf8(name).unwrap().trim().to_owned()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("port").port()
}

/// What happens to a connection once so many bytes went to the server.
#[derive(Clone, Copy)]
pub enum Fate {
    /// It is cut.
    Cut(u64),
    /// It stays open, but nothing passes any more.
    Stall(u64),
}

/// A line to the server. Each connection meets the next fate; when there are no more, connections last.
pub struct Line {
    pub port: u16,
    /// Of each connection the bytes that went to the server.
    met: Arc<Mutex<Vec<u64>>>,
}

impl Line {
    pub fn to(port: u16, fates: &[Fate]) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let line = Line { port: listener.local_addr().expect("port").port(), met: Arc::default() };
        let (met, fates) = (Arc::clone(&line.met), fates.to_vec());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port))) else {
                    continue;
                };
                let mut all = met.lock().unwrap();
                let (number, fate) = (all.len(), fates.get(all.len()).copied());
                all.push(0);
                drop(all);
                let met = Arc::clone(&met);
                pass(&client, &server, fate, move |bytes| met.lock().unwrap()[number] += bytes as u64);
            }
        });
        line
    }

    /// A line so long that every byte takes `delay` to arrive, in each direction.
    pub fn far(port: u16, delay: Duration, fates: &[Fate]) -> Line {
        let near = Line::to(port, fates);
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let line = Line { port: listener.local_addr().expect("port").port(), met: near.met };
        let port = near.port;
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port))) else {
                    continue;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                carry(client.try_clone().unwrap(), server.try_clone().unwrap(), delay);
                carry(server, client, delay);
            }
        });
        line
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.met.lock().unwrap().len()
    }

    /// How many bytes the server got over the second connection.
    pub fn over_the_second(&self) -> u64 {
        self.met.lock().unwrap().get(1).copied().unwrap_or_default()
    }
}

fn pass(
    client: &TcpStream,
    server: &TcpStream,
    fate: Option<Fate>,
    passing: impl Fn(usize) + Send + 'static,
) {
    let pair = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from, mut to) = pair();
    let stalled = Arc::new(Mutex::new(()));
    let gate = Arc::clone(&stalled);
    thread::spawn(move || {
        let (mut buffer, mut left) = (
            [0; 65536],
            match fate {
                Some(Fate::Cut(bytes) | Fate::Stall(bytes)) => bytes,
                None => u64::MAX,
            },
        );
        let mut hold = None;
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let passed = read.min(usize::try_from(left).unwrap_or(usize::MAX));
            passing(passed);
            if hold.is_none() && to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            left -= passed as u64;
            if left == 0 {
                match fate {
                    Some(Fate::Cut(_)) => break,
                    // Goes on reading, so that the client hears nothing but silence.
                    _ => hold = hold.or_else(|| gate.lock().ok()),
                }
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
    let (mut to, mut from) = pair();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let _open = stalled.lock();
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (send, arrive) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (due, bytes) in arrive {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if send.send((Instant::now() + delay, buffer[..read].to_vec())).is_err() {
                break;
            }
        }
    });
}
