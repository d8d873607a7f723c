//! Against the real openssl, in both directions, at every length where something changes.

use super::super::MacKey;
use super::super::kdf::Digest;
use super::super::testing::data;
use super::*;
use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, RandomState};
use std::process::Command;
use tempfile::TempDir;

const KEY: &str = "correct horse\tbattery \"staple\" ü";
/// Few, so that the tests measure formats and not patience; one test uses the default.
const ITERATIONS: u32 = 10;

fn passphrase() -> Passphrase {
    Passphrase::from_first_line(KEY.as_bytes()).unwrap()
}

/// `openssl enc -aes-256-cbc ARGS` from a file to a file, with a key file of several lines.
fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let (key, from, to) = (dir.path().join("key"), dir.path().join("in"), dir.path().join("out"));
    fs::write(&key, format!("{KEY}\nsecond line\n")).unwrap();
    fs::write(&from, input).unwrap();
    let run = Command::new("openssl")
        .args(["enc", "-aes-256-cbc"])
        .args(args)
        .arg("-pass")
        .arg(format!("file:{}", key.display()))
        .arg("-in")
        .arg(&from)
        .arg("-out")
        .arg(&to)
        .output()
        .unwrap();
    assert!(run.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&run.stderr));
    fs::read(to).unwrap()
}

fn encrypt(plain: &[u8], chunk: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &passphrase(), ITERATIONS).unwrap();
    for part in plain.chunks(chunk.max(1)) {
        writer.write_all(part).unwrap();
    }
    writer.finish().unwrap().0
}

fn decrypt(file: &[u8], kdf: Kdf) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    EncReader::with_kdf(file, &passphrase(), kdf)?.read_to_end(&mut plain)?;
    Ok(plain)
}

/// Lengths around the block, the tail that readers hold back, the internal buffers; several megabytes.
/// Where something changes, and some that nobody chose: BAM_TEST_SEED repeats them.
fn lengths() -> Vec<usize> {
    let mut lengths = vec![0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 3_000_001];
    for edge in [cbc::BUFFER - HEADER, cbc::BUFFER, cbc::BUFFER + 2 * BLOCK, 2 * cbc::BUFFER] {
        lengths.extend([edge - 17, edge - 16, edge - 15, edge - 1, edge, edge + 1, edge + 15, edge + 16]);
    }
    let given = std::env::var("BAM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("BAM_TEST_SEED={seed}");
    let draw = BuildHasherDefault::<DefaultHasher>::default();
    let longest = 3 * cbc::BUFFER as u64;
    lengths.extend((0..8).map(|n| (draw.hash_one((seed, n)) % longest) as usize));
    lengths
}

#[test]
fn openssl_reads_what_we_write() {
    for len in lengths() {
        let plain = data(len);
        let file = encrypt(&plain, 100_003);
        assert_eq!(file.len(), 16 + len / 16 * 16 + 16);
        assert!(openssl(&["-d", "-pbkdf2", "-iter", "10"], &file) == plain, "{len} bytes");
    }
}

#[test]
fn we_read_what_openssl_writes() {
    for len in lengths() {
        let plain = data(len);
        let file = openssl(&["-pbkdf2", "-iter", "10"], &plain);
        assert!(decrypt(&file, Kdf::ours(ITERATIONS)).unwrap() == plain, "{len} bytes");
    }
}

#[test]
fn every_derivation_of_openssl_is_read_and_guessed() {
    let plain = data(1000);
    for name in ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] {
        let digest = Digest::from_name(name).unwrap();
        let kdfs = [
            (vec!["-pbkdf2", "-md", name], Kdf::Pbkdf2 { digest, iterations: 10_000 }),
            (vec!["-pbkdf2", "-iter", "77", "-md", name], Kdf::Pbkdf2 { digest, iterations: 77 }),
            (vec!["-md", name], Kdf::BytesToKey { digest }),
        ];
        for (args, kdf) in kdfs {
            let file = openssl(&args, &plain);
            assert!(decrypt(&file, kdf).unwrap() == plain, "{args:?}");
        }
    }
    let candidates: Vec<Kdf> = std::iter::once(Kdf::ours(ITERATIONS)).chain(Kdf::OPENSSL_DEFAULTS).collect();
    let guessed = |file: &[u8]| {
        guess(&file[..600], &passphrase(), &candidates, |start| plain.starts_with(&start[..48])).unwrap()
    };
    assert_eq!(guessed(&encrypt(&plain, 7)), Some(candidates[0]));
    assert_eq!(guessed(&openssl(&["-pbkdf2"], &plain)), Some(candidates[1]));
    assert_eq!(guessed(&openssl(&[], &plain)), Some(candidates[2]));
    assert_eq!(guessed(&openssl(&["-md", "md5"], &plain)), Some(candidates[3]));
    assert_eq!(guessed(&openssl(&["-md", "sha1"], &plain)), None);
}

#[test]
fn key_files_are_read_as_openssl_reads_them() {
    let dir = TempDir::new().unwrap();
    let (key, file) = (dir.path().join("key"), dir.path().join("file"));
    for text in
        [&b"plain\nx"[..], b"no line feed", b"dos line\r\nx", b" spaces \n", b"\xff\xfe\n", &[b'k'; 3000]]
    {
        fs::write(&key, text).unwrap();
        let passphrase = Passphrase::from_file(&key).unwrap();
        let mut writer = Writer::new(Vec::new(), &passphrase, ITERATIONS).unwrap();
        writer.write_all(b"hello").unwrap();
        fs::write(&file, writer.finish().unwrap().0).unwrap();
        let run = Command::new("openssl")
            .args(["enc", "-d", "-aes-256-cbc", "-pbkdf2", "-iter", "10", "-in"])
            .arg(&file)
            .arg("-pass")
            .arg(format!("file:{}", key.display()))
            .output()
            .unwrap();
        assert_eq!(run.stdout, b"hello", "key file {text:?}");
    }
}

#[test]
fn the_pieces_in_which_data_comes_do_not_matter() {
    let plain = data(2 * cbc::BUFFER + 5);
    for chunk in [1, 7, 15, 16, 17, 4096, cbc::BUFFER, plain.len()] {
        let file = encrypt(&plain, chunk);
        assert!(decrypt(&file, Kdf::ours(ITERATIONS)).unwrap() == plain, "pieces of {chunk}");
    }
    // And a reader whose input comes in pieces.
    let file = encrypt(&plain, plain.len());
    let (head, tail) = file.split_at(cbc::BUFFER + 3);
    let mut back = Vec::new();
    let pieces = Dribble(head).chain(tail);
    EncReader::new(pieces, &passphrase(), ITERATIONS).unwrap().read_to_end(&mut back).unwrap();
    assert!(back == plain);
}

/// Gives at most 13 bytes at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = out.len().min(13);
        self.0.read(&mut out[..n])
    }
}

#[test]
fn the_default_iterations_agree_with_openssl_and_the_mac_key_is_the_rest_of_the_derivation() {
    let mut writer = Writer::new(Vec::new(), &passphrase(), super::super::kdf::DEFAULT_ITERATIONS).unwrap();
    writer.write_all(b"a backup").unwrap();
    let (file, keys) = writer.finish().unwrap();
    let mac_key = keys.mac_key();
    assert_eq!(openssl(&["-d", "-pbkdf2", "-iter", "600000"], &file), b"a backup");
    let salt = read_salt(&mut &file[..]).unwrap();
    let hex: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    let run = Command::new("openssl")
        .args(["kdf", "-keylen", "80", "-binary", "-kdfopt", "digest:SHA256", "-kdfopt", "iter:600000"])
        .args(["-kdfopt", &format!("hexsalt:{hex}"), "-kdfopt", &format!("pass:{KEY}"), "PBKDF2"])
        .output()
        .unwrap();
    let theirs = MacKey::new(run.stdout[48..].first_chunk().unwrap());
    let fields = [("bam_id", "1")];
    assert_eq!(mac_key.tag(&[1; 32], fields), theirs.tag(&[1; 32], fields));
    // The same key again on the way back, and a reader that starts from it.
    let keys = Derivation::start(Kdf::ours(600_000), &passphrase(), salt).unwrap().keys().unwrap();
    assert!(keys.mac_key().verify(&[1; 32], fields, &theirs.tag(&[1; 32], fields)).is_ok());
    let mut back = String::new();
    EncReader::with_keys(&file[..], &keys).unwrap().read_to_string(&mut back).unwrap();
    assert_eq!(back, "a backup");
    let other = encrypt(b"another", 1);
    assert_eq!(EncReader::with_keys(&other[..], &keys).err().unwrap().code(), Code::Integrity);
}

#[test]
fn wrong_keys_and_damaged_files_are_integrity_errors() {
    let plain = data(100_000);
    let file = encrypt(&plain, 1000);
    let code = |file: &[u8]| {
        decrypt(file, Kdf::ours(ITERATIONS)).map(|_| ()).map_err(|e| (e.code(), e.next_step().is_some()))
    };
    let integrity = Err((Code::Integrity, true));
    for cut in [0, 1, 8, 15, 16, 17, 31, 1000, file.len() - 17, file.len() - 15, file.len() - 1] {
        assert_eq!(code(&file[..cut]), integrity, "cut to {cut}");
    }
    assert_eq!(code(b"<html>404 Not Found</html>"), integrity);
    let mut longer = file.clone();
    longer.push(0);
    assert_eq!(code(&longer), integrity);
    // With another key the padding is right once in 256 times by chance, so ask for what is certain over many keys.
    let wrong = (0..64).filter(|n| {
        let other = Passphrase::from_first_line(format!("wrong {n}").as_bytes()).unwrap();
        let mut out = Vec::new();
        let read = EncReader::new(&file[..], &other, ITERATIONS).unwrap().read_to_end(&mut out);
        read.is_err_and(|e| Error::from(e).code() == Code::Integrity)
    });
    assert!(wrong.count() > 50);
}

#[test]
fn errors_of_the_inner_reader_and_writer_pass_unchanged() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(Error::new(Code::Destination, "the line is dead").into())
        }
    }
    let file = encrypt(&data(50), 50);
    let mut reader = EncReader::new(file.chain(Broken), &passphrase(), ITERATIONS).unwrap();
    let error = Error::from(io::copy(&mut reader, &mut io::sink()).unwrap_err());
    assert_eq!(error.code(), Code::Destination);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut writer = Writer::new(full, &passphrase(), ITERATIONS).unwrap();
    let error = Error::from(writer.write_all(&data(3 * cbc::BUFFER)).unwrap_err());
    assert_eq!(error.code(), Code::Space);
}

#[test]
fn no_mutation_makes_the_reader_panic() {
    let file = encrypt(&data(300), 300);
    let mut random = data(4 * 3000)
        .chunks_exact(4)
        .map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]) as usize)
        .collect::<Vec<_>>()
        .into_iter();
    for _ in 0..1000 {
        let mut broken = file.clone();
        broken.truncate(random.next().unwrap() % (file.len() + 1));
        if !broken.is_empty() {
            let at = random.next().unwrap() % broken.len();
            broken[at] ^= random.next().unwrap() as u8;
        }
        // Any outcome is fine but a panic; what comes out of a broken CBC file is the MAC's business.
        let _ = decrypt(&broken, Kdf::ours(1));
    }
}
