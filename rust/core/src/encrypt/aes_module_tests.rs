//! Against files that Backup and Migrate wrote, and against openssl with keys worked out by hand.

use super::super::testing::data;
use super::*;
use std::fs;
use std::process::{Command, Stdio};

const FIXTURE_KEY: &[u8] = b"LegacyKey-PECE-2016-abcdefghijkl";
const FIXTURE_IV: &[u8] = b"xIeJSEQwgVTgYJVEQVWd8w==";

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/fixtures/backup_migrate/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn decrypt(file: &[u8], settings: &Settings) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    AesModuleReader::new(file, settings).read_to_end(&mut plain)?;
    Ok(plain)
}

fn encrypt(plain: &[u8], settings: &Settings) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), settings).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

/// Standard output of a program that is fed `input`.
fn filter(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let out = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(out.status.success(), "{program} {args:?}");
    out.stdout
}

#[test]
fn what_backup_and_migrate_wrote_is_read() {
    let phpseclib = Settings::phpseclib(FIXTURE_KEY);
    let sql = decrypt(&fixture("sitename-2026-11-22T23-50-58.mysql.gz.aes"), &phpseclib).unwrap();
    let sql = String::from_utf8(filter("gunzip", &["-c"], &sql)).unwrap();
    assert!(sql.contains("CREATE TABLE `node`") && sql.trim_end().ends_with(';'));
    let tar = decrypt(&fixture("sitename-2026-11-22T23-51-01.tar.gz.aes"), &phpseclib).unwrap();
    assert!(!filter("tar", &["tzf", "-"], &tar).is_empty());
    let site = decrypt(&fixture("tinyaes-2026-11-22T23-51-03.sitearchive.tar.gz.aes"), &phpseclib).unwrap();
    let names = String::from_utf8(filter("tar", &["tzf", "-"], &site)).unwrap();
    assert!(names.contains("MANIFEST.ini"));

    let mcrypt = Settings::mcrypt(FIXTURE_KEY, FIXTURE_IV);
    let plain = decrypt(&fixture("mcrypt-2026-11-22T23-50-57.mysql.gz.aes"), &mcrypt).unwrap();
    assert!(plain == fixture("plain-2026-11-22T23-50-57.mysql.gz"));
}

#[test]
fn what_we_write_is_byte_for_byte_what_the_module_writes() {
    let phpseclib = Settings::phpseclib(FIXTURE_KEY);
    let theirs = fixture("sitename-2026-11-22T23-50-58.mysql.gz.aes");
    assert!(encrypt(&decrypt(&theirs, &phpseclib).unwrap(), &phpseclib) == theirs);
    let mcrypt = Settings::mcrypt(FIXTURE_KEY, FIXTURE_IV);
    let theirs = fixture("mcrypt-2026-11-22T23-50-57.mysql.gz.aes");
    assert!(encrypt(&fixture("plain-2026-11-22T23-50-57.mysql.gz"), &mcrypt) == theirs);
}

#[test]
fn the_length_of_a_phpseclib_key_picks_the_cipher() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let zeros = "0".repeat(32);
    for (len, bits, padded) in [
        (1, 128, 16),
        (15, 128, 16),
        (16, 128, 16),
        (17, 192, 24),
        (20, 192, 24),
        (23, 192, 24),
        (24, 192, 24),
        (25, 256, 32),
        (28, 256, 32),
        (31, 256, 32),
        (32, 256, 32),
        (33, 256, 32),
        (100, 256, 32),
    ] {
        let key: Vec<u8> = (0..len).map(|i| b'A' + i as u8).collect();
        let mut filled = key.clone();
        filled.resize(padded, 0);
        for plain in [&b"x"[..], b"15 bytes of text", &data(1000)] {
            let mut marked = plain.to_vec();
            marked.push(0x80);
            let cipher = format!("-aes-{bits}-cbc");
            let theirs = filter("openssl", &["enc", &cipher, "-K", &hex(&filled), "-iv", &zeros], &marked);
            let settings = Settings::phpseclib(&key);
            assert!(encrypt(plain, &settings) == theirs, "key of {len} bytes");
            assert!(decrypt(&theirs, &settings).unwrap() == plain, "key of {len} bytes");
        }
    }
}

#[test]
fn every_length_comes_back_also_where_the_data_ends_like_padding() {
    for settings in [Settings::phpseclib(b"k"), Settings::mcrypt(b"k", FIXTURE_IV)] {
        for len in (0..70).chain([cbc::BUFFER - 1, cbc::BUFFER, cbc::BUFFER + 31, cbc::BUFFER + 32]) {
            let mut plain = data(len);
            for end in
                [&b""[..], b"\0\0\0", b"\x80", b" \n", b"\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"]
            {
                plain.truncate(len);
                plain.extend_from_slice(end);
                assert!(decrypt(&encrypt(&plain, &settings), &settings).unwrap() == plain, "{len} + {end:?}");
            }
        }
    }
    // Backup and Migrate would lose the blank lines.
    let settings = Settings::phpseclib(b"k");
    assert_eq!(decrypt(&encrypt(b"\n\n-- dump", &settings), &settings).unwrap(), b"\n\n-- dump");
}

#[test]
fn wrong_keys_and_damage_are_integrity_errors() {
    let file = fixture("sitename-2026-11-22T23-51-01.tar.gz.aes");
    let code = |file: &[u8], settings: &Settings| decrypt(file, settings).map(|_| ()).map_err(|e| e.code());
    let right = Settings::phpseclib(FIXTURE_KEY);
    assert_eq!(code(&file, &right), Ok(()));
    for wrong in [Settings::phpseclib(b"wrong"), Settings::mcrypt(FIXTURE_KEY, FIXTURE_IV)] {
        assert_eq!(code(&file, &wrong), Err(Code::Integrity));
    }
    for cut in [0, 1, 15, 16, 17, 32, 1000, file.len() - 16, file.len() - 1] {
        assert_eq!(code(&file[..cut], &right), Err(Code::Integrity), "cut to {cut}");
    }
    assert_eq!(code(&data(999), &right), Err(Code::Integrity));
}

#[test]
fn settings_come_from_the_document() {
    let document = |implementation: &str, cipher: &str, iv: Option<&[u8]>| AesModule {
        implementation: implementation.into(),
        cipher: cipher.into(),
        key: Some(Secret::new(FIXTURE_KEY)),
        iv: iv.map(Secret::new),
        ..AesModule::default()
    };
    let read =
        |document: &AesModule, name: &str| decrypt(&fixture(name), &Settings::from_document(document)?);
    let aes = "sitename-2026-11-22T23-51-01.tar.gz.aes";
    let mcrypt = "mcrypt-2026-11-22T23-50-57.mysql.gz.aes";
    assert!(read(&document("phpseclib", "", None), aes).is_ok());
    assert!(read(&document("mcrypt", "rijndael-128", Some(b"xIeJSEQw gVTgYJVEQVWd8w\n")), mcrypt).is_ok());
    let code = |document: &AesModule| Settings::from_document(document).err().unwrap().code();
    assert_eq!(code(&document("mcrypt", "rijndael-128", None)), Code::Key);
    assert_eq!(code(&document("mcrypt", "rijndael-256", Some(FIXTURE_IV))), Code::Unsupported);
    assert_eq!(code(&document("mcrypt", "serpent", Some(FIXTURE_IV))), Code::Config);
    assert_eq!(code(&document("", "", None)), Code::Config);
    assert_eq!(code(&AesModule { implementation: "phpseclib".into(), ..AesModule::default() }), Code::Key);

    // The module uses its key file whole, line feed included.
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("aes.key");
    fs::write(&path, b"from a file\n").unwrap();
    let from_file =
        AesModule { implementation: "phpseclib".into(), key_file: Some(path), ..AesModule::default() };
    let file = encrypt(b"data", &Settings::phpseclib(b"from a file\n"));
    assert_eq!(decrypt(&file, &Settings::from_document(&from_file).unwrap()).unwrap(), b"data");
}

#[test]
fn no_mutation_makes_the_reader_panic() {
    let settings = Settings::mcrypt(b"k", FIXTURE_IV);
    let file = encrypt(&data(100), &settings);
    for (round, noise) in data(2000).into_iter().enumerate() {
        let mut broken = file.clone();
        broken.truncate(round % (file.len() + 1));
        if let Some(byte) = broken.get_mut(usize::from(noise) % file.len()) {
            *byte ^= noise;
        }
        let _ = decrypt(&broken, &settings);
    }
}

#[test]
fn what_real_aes_wrote_is_read_and_proven() {
    const KEY: &[u8] = b"RealAES-16-bytes";
    let file = fixture("../real_aes/realaes-2026-11-22T23-50-59.tar.gz.aes");
    let settings = Settings::real_aes(KEY).unwrap();
    assert!(decrypt(&file, &settings).unwrap() == fixture("plain-2026-11-22T23-50-59.tar.gz"));
    let code = |file: &[u8], settings: &Settings| decrypt(file, settings).map(|_| ()).map_err(|e| e.code());
    for at in [0, 31, 32, 47, 48, 1000, file.len() - 1] {
        let mut broken = file.clone();
        broken[at] ^= 1;
        assert_eq!(code(&broken, &settings), Err(Code::Integrity), "byte {at}");
        assert_eq!(code(&file[..at], &settings), Err(Code::Integrity), "cut to {at}");
    }
    let other = Settings::real_aes(b"another 16 bytes").unwrap();
    assert_eq!(code(&file, &other), Err(Code::Integrity));
    assert_eq!(Settings::real_aes(b"too short").err().unwrap().code(), Code::Key);
    assert_eq!(Writer::new(Vec::new(), &settings).err().unwrap().code(), Code::Unsupported);
}
