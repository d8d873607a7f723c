use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn what_a_later_version_made_is_too_new() {
    for (text, fits) in [("", true), ("bam_format = \"1\"", true), ("bam_format = \"2\"", false)] {
        let checked = Sidecar::parse(text).check_format("a.tar.gz");
        assert_eq!(checked.is_ok(), fits, "{text}");
        assert!(checked.err().is_none_or(|error| error.message().contains("too new")));
    }
}

/// Values that break one parser or the other when written carelessly.
const UGLY: [&str; 24] = [
    "plain",
    "say \"hi\"",
    "\"",
    "\"\"",
    "ends with \\",
    r"C:\temp\new",
    r"\\server\share\",
    "${HOME}",
    r"\${HOME}",
    r"\\${X}",
    "$5; and = [x]",
    "# ; comment",
    "a=b",
    "[section]",
    "'single'",
    "\"'",
    "Müller & Söhne 🦀",
    "x\\\"",
    "\\\"",
    "{$x}",
    "first\nsecond",
    "quote at end\"\nbam_id = \"5",
    "nul\0 and \x1b[31m",
    "tab\there",
];

fn ugly() -> Sidecar {
    let mut sidecar = Sidecar::new();
    for (index, value) in UGLY.iter().enumerate() {
        sidecar.set(&format!("key{index}"), value);
    }
    sidecar.set("bam_id", "1795391457");
    sidecar
}

#[test]
fn what_is_written_is_read_back() {
    let sidecar = ugly();
    assert_eq!(Sidecar::parse(&sidecar.to_string()), sidecar);
    assert_eq!(sidecar.get("key20"), Some("first second"));
    assert_eq!(sidecar.get("bam_id"), Some("1795391457"), "no value smuggles in another field");
}

/// Both parsers of PHP must see what we see. The second is Drupal's: the same expression as its
/// `drupal_parse_info_format`, or the function itself where a site is at hand.
#[test]
fn php_reads_the_same() {
    const SCRIPT: &str = r#"
            $text = stream_get_contents(STDIN);
            $root = getenv('BAM_TEST_DRUPAL_ROOT');
            if ($root) {
              define('DRUPAL_ROOT', $root);
              require_once "$root/includes/common.inc";
              $drupal = drupal_parse_info_format($text);
            }
            else {
              $drupal = array();
              preg_match_all('@^\s*((?:[^=;\[\]]|\[[^\[\]]*\])+?)\s*=\s*(?:("(?:[^"]|(?<=\\\\)")*")|([^\r\n]*?))\s*$@ms', $text, $found, PREG_SET_ORDER);
              foreach ($found as $match) {
                $drupal[$match[1]] = stripslashes(substr($match[2], 1, -1)) . (isset($match[3]) ? $match[3] : '');
              }
            }
            print json_encode(array(parse_ini_string($text), $drupal));"#;
    let php = Command::new("php").args(["-r", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut php) = php else {
        println!("SKIP catalog::sidecar::tests::php_reads_the_same: php is not installed");
        return;
    };
    let sidecar = ugly();
    php.stdin.take().expect("a pipe").write_all(sidecar.to_string().as_bytes()).expect("sent");
    let output = php.wait_with_output().expect("php ran").stdout;
    let expected: serde_json::Map<_, _> =
        sidecar.fields().map(|(key, value)| (key.to_owned(), serde_json::Value::from(value))).collect();
    let seen: serde_json::Value = serde_json::from_slice(&output).expect("JSON");
    for (parser, fields) in
        ["parse_ini_string", "drupal_parse_info_format"].iter().zip(seen.as_array().expect("two"))
    {
        assert_eq!(fields.as_object().expect("fields"), &expected, "{parser}");
    }
}

#[test]
fn what_backup_and_migrate_wrote_is_read() {
    let text = include_str!(
        "../../../../tests/fixtures/backup_migrate/tiny-2026-11-22T23-51-02.sitearchive.tar.gz.info"
    );
    let sidecar = Sidecar::parse(text);
    assert_eq!(sidecar.get(key::SOURCE_NAME), Some("Entire Site (code, files & DB)"));
    assert_eq!(sidecar.number(key::DATESTAMP), Some(1_795_391_462));
    assert_eq!(sidecar.to_string(), text, "written as it was");
}

#[test]
fn what_nobody_escaped_is_read_as_it_was_meant() {
    let text = "; a comment\ndescription = \"He said \"no\" to\nC:\\temp\"\r\nfolder = \"D:\\\"\n[section]\nempty = \"\"\n\
                    settings[a][b] = \"x\"\n  bare =  word  \nnonsense\nbam_id = \"5\"\nbam_id = \"6\"\nopen = \"half";
    let sidecar = Sidecar::parse(text);
    let seen: Vec<_> = sidecar.fields().collect();
    let expected = [
        ("description", "He said \"no\" to\nC:\\temp"),
        ("folder", "D:\\"),
        ("empty", ""),
        ("settings[a][b]", "x"),
        ("bare", "word"),
        ("bam_id", "6"),
        ("open", "half"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(sidecar.get("empty"), None);
    assert!(
        sidecar.to_string().starts_with("description = \"He said \\\"no\\\" to C:"),
        "safe when written again"
    );
}

/// Each of these took minutes when it was read again and again.
#[test]
fn what_was_made_to_take_long_does_not() {
    let started = std::time::Instant::now();
    let many: String = (0..60_000).map(|index| format!("k{index} = v\n")).collect();
    assert_eq!(Sidecar::parse(&many).fields().count(), 60_000);
    let unclosed = "a = \"x\n".repeat(60_000);
    assert_eq!(Sidecar::parse(&unclosed).get("a"), Some("x"));
    let quotes = "a = \"\" x\n".repeat(40_000) + "b = \"c\"\n";
    Sidecar::parse(&quotes);
    // Linear work takes a fraction of a second; the square of it, minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn typed_fields() {
    let mut sidecar = Sidecar::new();
    let digest = std::array::from_fn(|index| u8::try_from(index * 7).unwrap_or(255));
    sidecar.set_digest(key::SHA256, &digest);
    assert_eq!(sidecar.digest(key::SHA256), Some(digest));
    let names: [&[u8]; 3] = [b"sites/a b.txt", b"\xff\n\"", b"plain-1_2.css"];
    sidecar.set_list(key::CHANGED_FILES, names);
    assert_eq!(sidecar.get(key::CHANGED_FILES), Some("sites/a%20b.txt %FF%0A%22 plain-1_2.css"));
    assert_eq!(sidecar.list(key::CHANGED_FILES), names);
    for wrong in ["", "abc", &"g".repeat(64), &"é".repeat(32), &"+0".repeat(32)] {
        sidecar.set(key::SHA256, wrong);
        assert_eq!(sidecar.digest(key::SHA256), None);
    }
    sidecar.set_number(key::VERIFIED, 5);
    sidecar.set(key::HMAC_SHA256, "00");
    sidecar.set(key::ID, "5");
    let covered: Vec<_> = sidecar.mac_fields().map(|(key, _)| key).collect();
    assert_eq!(covered, [key::SHA256, key::CHANGED_FILES, key::ID]);
}

#[test]
fn what_is_no_key_makes_no_field() {
    let text = "two words = 1\na[b = 2\na]b = 3\n[] = 4\n= 5\nt\u{f6}n = 6\nfine[a][b] = 7\n";
    let parsed = Sidecar::parse(text);
    assert_eq!(parsed.fields().collect::<Vec<_>>(), [("fine[a][b]", "7")]);
}
