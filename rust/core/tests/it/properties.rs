//! What holds for every input: what is written is read as what it was, by us and by PHP. A failure prints the smallest
//! input that shows it, and the seed that repeats it.

use bam::archive::{Entry, EntryKind, Extras, Reader, Writer};
use bam::catalog::{FileName, Kind, Sidecar, Tokens};
use bam::config::php::{PhpKey, PhpValue, parse_export, serialize, unserialize};
use bam::config::{Compression, EncryptionKind, Profile, Site, duration};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Runs a PHP program over some input; `None` where there is no PHP.
fn php(test: &str, program: &str, input: &[u8]) -> Option<Vec<u8>> {
    let started = Command::new("php")
        .args(["-d", "serialize_precision=17", "-d", "display_errors=stderr", "-r", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        println!("SKIP {test}: php is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(done.status.success());
    Some(done.stdout)
}

/// Texts with what formats stumble over.
fn ugly() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "\"",
        "\\",
        "${",
        "$",
        "{",
        "}",
        "=",
        ";",
        "#",
        "[",
        "]",
        "'",
        "\n",
        "\r",
        "\t",
        " ",
        "\0",
        "TRUE",
        "null",
        "a",
        "Müller",
        "🦀",
        "/",
        ".",
        "-",
        "%41",
        "bam_id = \"5\"",
        "\u{85}",
        "\u{a0}",
        "\u{2028}",
    ]);
    prop_oneof![prop::collection::vec(parts, 0..12).prop_map(|parts| parts.concat()), any::<String>(),]
}

fn sidecar() -> impl Strategy<Value = Sidecar> {
    // What PHP takes for a constant can be no key (Zend/zend_ini_scanner.l of PHP 8.2).
    let reserved = ["null", "yes", "no", "true", "false", "on", "off", "none"];
    let key = "[a-z][a-z0-9_]{0,12}".prop_filter("reserved", move |key| !reserved.contains(&key.as_str()));
    prop::collection::vec((key, ugly()), 0..8).prop_map(|fields| {
        let mut sidecar = Sidecar::new();
        for (key, value) in fields {
            sidecar.set(&key, value);
        }
        sidecar
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sidecar_is_read_as_it_was_set(sidecar in sidecar()) {
        prop_assert_eq!(Sidecar::parse(&sidecar.to_string()), sidecar);
    }

    #[test]
    fn a_list_in_a_sidecar_is_read_as_it_was_set(items in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6)) {
        let mut sidecar = Sidecar::new();
        sidecar.set_list("list", &items);
        prop_assert_eq!(Sidecar::parse(&sidecar.to_string()).list("list"), items);
    }

    #[test]
    fn a_strangers_sidecar_is_written_as_it_was_read(text in prop::collection::vec(ugly(), 0..8)) {
        let read = Sidecar::parse(&text.join("\n"));
        let written = read.to_string();
        let again = Sidecar::parse(&written);
        prop_assert_eq!(again.to_string(), written);
        prop_assert_eq!(again.fields().map(|(key, _)| key).collect::<Vec<_>>(), read.fields().map(|(key, _)| key).collect::<Vec<_>>());
    }

    #[test]
    fn a_name_tells_what_is_in_the_file(
        filename in ugly(),
        site_name in ugly(),
        timestamp in prop::sample::select(vec!["Y-m-d\\TH-i-s", "", "U", "\\.\\g\\z", "D, d M Y H:i:s"]),
        append in 0..=2_u8,
        kind in prop::sample::select(vec![Kind::Mysql, Kind::Pgsql, Kind::Sqlite, Kind::Tar, Kind::SiteArchive]),
        compression in prop::sample::select(vec![Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Zip, Compression::None]),
        encryption in prop::sample::select(vec![EncryptionKind::Aes256, EncryptionKind::AesModule, EncryptionKind::Age, EncryptionKind::None]),
    ) {
        let profile = Profile {
            filename: format!("{filename}[site:name]"), append_timestamp: append, timestamp_format: timestamp.into(),
            compression, encryption, ..Profile::default()
        };
        let site = Site { name: site_name, ..Site::default() };
        let made = FileName::of(&profile, kind, &Tokens::of(&site, 1_764_000_000)).to_string();
        prop_assert!(made.len() <= 236 && !made.starts_with(['.', '-']), "{}", made);
        prop_assert!(made.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{}", made);
        let read = FileName::parse(&made).expect("its own name");
        prop_assert_eq!((read.kind, read.compression, read.encryption), (kind, compression, encryption), "{}", made);
        prop_assert_eq!(read.to_string(), made);
    }

    #[test]
    fn tokens_are_replaced_where_they_stand(parts in prop::collection::vec(prop_oneof![
        "[a-z\\[\\] ]{0,5}",
        prop::sample::select(vec!["[site:name]", "[site:url-brief]", "[current-date:custom:Y]", "[no:token]"]).prop_map(str::to_owned),
    ], 0..8)) {
        let site = Site { name: "[site:url]".into(), url: "https://example.org/".into(), ..Site::default() };
        let text = parts.concat();
        // The plain reading: whatever the smallest pair of brackets encloses, once; what comes of it is not read again.
        let mut expected = String::new();
        let mut rest = text.as_str();
        while let Some(open) = rest.find('[') {
            expected += &rest[..open];
            let inner = &rest[open + 1..];
            let known = inner.find(']').map(|end| &inner[..end]).and_then(|name| Some((name, match name {
                "site:name" => "[site:url]",
                "site:url-brief" => "example.org",
                "current-date:custom:Y" => "2025",
                _ => return None,
            })));
            match known {
                Some((name, value)) => {
                    expected += value;
                    rest = &inner[name.len() + 1..];
                }
                None => {
                    expected.push('[');
                    rest = inner;
                }
            }
        }
        expected += rest;
        prop_assert_eq!(Tokens::of(&site, 1_764_000_000).replace(&text), expected);
    }

    #[test]
    fn a_serialized_value_is_read_as_it_was(value in php_value()) {
        let bytes = serialize(&value);
        prop_assert_eq!(&unserialize(&bytes).expect("what we wrote"), &value);
        for cut in 0..bytes.len() {
            prop_assert!(unserialize(&bytes[..cut]).is_err(), "cut to {}", cut);
        }
    }

    #[test]
    fn a_duration_is_read_as_it_was_written(seconds in prop_oneof![0..400_000_u64, any::<u32>().prop_map(u64::from)]) {
        prop_assert_eq!(duration::parse(&duration::format(seconds)).ok(), Some(seconds));
    }

    #[test]
    fn a_member_is_read_as_it_was_written(members in prop::collection::vec(member(), 0..6)) {
        let mut writer = Writer::new(Vec::new());
        for (entry, body) in &members {
            writer.append(entry, &mut body.as_slice()).expect("written");
        }
        let archive = writer.finish().expect("finished");
        let mut reader = Reader::new(archive.as_slice());
        for (entry, body) in &members {
            let read = reader.next_member().expect("read").expect("one more");
            prop_assert_eq!(&read.entry, entry);
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).expect("its body");
            prop_assert_eq!(&bytes, body);
        }
        prop_assert!(reader.next_member().expect("read").is_none());
    }
}

/// A path without what no path has: an empty part, `.` or `..`, a NUL.
fn path(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let part = prop::collection::vec(prop_oneof![1..47_u8, 48..=255_u8], 1..40)
        .prop_map(|part| if part.iter().all(|&byte| byte == b'.') { b"dots".to_vec() } else { part });
    prop::collection::vec(part, 1..longest).prop_map(|parts| parts.join(&b'/'))
}

fn member() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kind = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000)
            .prop_map(|body| (EntryKind::File { size: body.len() as u64 }, body)),
        Just((EntryKind::Directory, Vec::new())),
        path(12).prop_map(|target| (EntryKind::Symlink(target), Vec::new())),
        path(12).prop_map(|target| (EntryKind::Hardlink(target), Vec::new())),
    ];
    (path(12), kind, 0..=0o7777_u32, any::<(u32, u32)>(), -(1_i64 << 40)..1 << 40).prop_map(
        |(path, (kind, body), mode, (uid, gid), mtime)| {
            (Entry { path, kind, mode, uid, gid, mtime, extras: Extras::default() }, body)
        },
    )
}

fn php_key() -> impl Strategy<Value = PhpKey> {
    prop_oneof![
        any::<i64>().prop_map(PhpKey::Int),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| PhpKey::from_bytes(&bytes)),
        "-?0?[0-9]{1,19}".prop_map(|text| PhpKey::from_bytes(text.as_bytes())),
    ]
}

fn php_value() -> impl Strategy<Value = PhpValue> {
    let scalar = prop_oneof![
        Just(PhpValue::Null),
        any::<bool>().prop_map(PhpValue::Bool),
        any::<i64>().prop_map(PhpValue::Int),
        prop_oneof![Just(0.0), Just(-0.0), Just(1e300), Just(0.1), prop::num::f64::NORMAL]
            .prop_map(PhpValue::Float),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(PhpValue::String),
        ugly().prop_map(|text| PhpValue::String(text.into_bytes())),
    ];
    scalar.prop_recursive(4, 24, 5, |inner| {
        prop::collection::hash_map(php_key(), inner, 0..5)
            .prop_map(|entries| PhpValue::Array(entries.into_iter().collect()))
    })
}

/// So many values of a kind, of a seed that is printed.
fn some<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

/// Texts for PHP and back, in hexadecimal digits, one a line.
fn lines<B: AsRef<[u8]>>(texts: impl IntoIterator<Item = B>) -> Vec<u8> {
    let hex = |text: B| text.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    texts.into_iter().map(hex).collect::<String>().into_bytes()
}

fn from_lines(output: &[u8]) -> Vec<Vec<u8>> {
    let line = |line: &str| {
        (0..line.len() / 2)
            .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).expect("hex"))
            .collect()
    };
    std::str::from_utf8(output).expect("hex").lines().map(line).collect()
}

#[test]
fn php_reads_what_we_serialize_and_we_what_it_exports() {
    let values = some(php_value(), 400);
    let program = r#"while (($line = fgets(STDIN)) !== false) {
        $value = unserialize(hex2bin(trim($line)), ['allowed_classes' => false]);
        echo bin2hex(serialize($value)), "\n", bin2hex(var_export($value, true)), "\n";
    }"#;
    let test = "php_reads_what_we_serialize_and_we_what_it_exports";
    let Some(output) = php(test, program, &lines(values.iter().map(serialize))) else { return };
    let answers = from_lines(&output);
    assert_eq!(answers.len(), 2 * values.len());
    for (value, answer) in values.iter().zip(answers.chunks(2)) {
        let [serialized, exported] = answer else { panic!("two lines") };
        assert_eq!(&unserialize(serialized).expect("PHP's"), value);
        let exports = parse_export(exported)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(exported)));
        assert_eq!(
            exports.iter().map(|export| &export.value).collect::<Vec<_>>(),
            [value],
            "{}",
            String::from_utf8_lossy(exported)
        );
    }
}

#[test]
fn php_reads_the_sidecars_that_we_write() {
    // Words that PHP takes for constants, and Drupal as well; see the room.
    let sidecars = some(sidecar(), 300);
    let program = r#"while (($line = fgets(STDIN)) !== false) {
        $read = parse_ini_string((string) hex2bin(trim($line)));
        foreach ((array) $read as $key => $value) echo bin2hex($key), "\n", bin2hex($value), "\n";
        echo "ff\n";
    }"#;
    let test = "php_reads_the_sidecars_that_we_write";
    let Some(output) = php(test, program, &lines(sidecars.iter().map(Sidecar::to_string))) else { return };
    let answers = from_lines(&output);
    let mut answers = answers.split(|line| line == &[0xff]);
    for sidecar in &sidecars {
        let read: Vec<_> = answers.next().expect("an answer").chunks(2).map(<[_]>::to_vec).collect();
        let written: Vec<_> = sidecar
            .fields()
            .map(|(key, value)| vec![key.as_bytes().to_vec(), value.as_bytes().to_vec()])
            .collect();
        assert_eq!(read, written, "{sidecar}");
    }
}
