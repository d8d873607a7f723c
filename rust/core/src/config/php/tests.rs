//! Tests of the parsers: what Backup and Migrate and Features write, what PHP itself writes, and what is refused.

use super::{Export, PhpKey, PhpValue, parse_export, serialize, unserialize};
use crate::Code;
use std::process::Command;

fn one(text: &str) -> PhpValue {
    let mut exports = parse_export(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(exports.len(), 1, "{text}");
    exports.remove(0).value
}

fn string(text: &str) -> PhpValue {
    PhpValue::String(text.into())
}

fn list(values: &[PhpValue]) -> PhpValue {
    PhpValue::Array((0..).map(PhpKey::Int).zip(values.iter().cloned()).collect())
}

#[test]
fn literals_in_all_their_forms() {
    for (text, value) in [
        ("NULL", PhpValue::Null),
        ("True;", PhpValue::Bool(true)),
        ("-9223372036854775807-1", PhpValue::Int(i64::MIN)),
        ("0x1F", PhpValue::Int(31)),
        ("017", PhpValue::Int(15)),
        ("0b101", PhpValue::Int(5)),
        ("1_000", PhpValue::Int(1000)),
        ("9223372036854775808", PhpValue::Float(9_223_372_036_854_775_808.0)),
        ("-1.5E-3", PhpValue::Float(-0.0015)),
        (".5", PhpValue::Float(0.5)),
        ("-INF", PhpValue::Float(f64::NEG_INFINITY)),
        (r"'it\'s a \\ and \n'", string(r"it's a \ and \n")),
        (r#""tab\t\x41\101\u{1F980}\$x \q""#, string("tab\tAA🦀$x \\q")),
        (r#"'a' . "\0" . 'b'"#, string("a\0b")),
        ("array()", list(&[])),
        (
            "[1, 'a' => 2, 3,]",
            PhpValue::Array(vec![
                (PhpKey::Int(0), PhpValue::Int(1)),
                (PhpKey::String(b"a".to_vec()), PhpValue::Int(2)),
                (PhpKey::Int(1), PhpValue::Int(3)),
            ]),
        ),
        (
            "array('5' => 1, 6, '05' => 2, true => 3, 5 => 4)",
            PhpValue::Array(vec![
                (PhpKey::Int(5), PhpValue::Int(4)),
                (PhpKey::Int(6), PhpValue::Int(6)),
                (PhpKey::String(b"05".to_vec()), PhpValue::Int(2)),
                (PhpKey::Int(1), PhpValue::Int(3)),
            ]),
        ),
        ("(object) array()", PhpValue::Object(b"stdClass".to_vec(), Vec::new())),
        (
            "\\stdClass::__set_state(array('a' => NULL,))",
            PhpValue::Object(b"stdClass".to_vec(), vec![(PhpKey::String(b"a".to_vec()), PhpValue::Null)]),
        ),
        ("<?php /* a */ return # b\n 1; // c\n?>\n", PhpValue::Int(1)),
    ] {
        assert_eq!(one(text), value, "{text}");
    }
}

#[test]
fn backup_and_migrates_exports_are_read() {
    let profile = one(include_str!("../../../../../tests/fixtures/exports/settings_profile.txt"));
    assert_eq!(profile.get("timestamp_format"), Some(&string("Y-m-d\\TH-i-s")));
    let db = profile
        .get("filters")
        .and_then(|filters| filters.get("sources"))
        .and_then(|sources| sources.get("db"));
    let nodata = db.and_then(|db| db.get("nodata_tables")).and_then(PhpValue::entries).map(<[_]>::len);
    assert_eq!(nodata, Some(28));
    let destination = one(include_str!("../../../../../tests/fixtures/exports/destination_manual.txt"));
    assert_eq!(destination.get("destination_id"), None, "NULL is nothing");
}

#[test]
fn features_code_is_read() {
    let text = r#"<?php
/**
 * @file
 */

/**
 * Implements hook_exportables_backup_migrate_schedules().
 */
function x_exportables_backup_migrate_schedules() {
  $export = array();

  $item = new stdClass();
  $item->disabled = FALSE; /* Edit this to true to make a default item disabled initially */
  $item->api_version = 1;
  $item->machine_name = 'weekly';
  $export['weekly'] = $item;

  $item = new stdClass;
  $item->machine_name = 'daily';
  $item->filters['sources']['db'] = array('a');
  $export['daily'] = $item;

  return $export;
}

function x_permissions() {
  $permissions = array();
  $permissions['a b'] = array('roles' => array());
  $permissions[] = 5;
  return $permissions;
}
"#;
    let exports = parse_export(text.as_bytes()).expect("Features' code");
    let names: Vec<_> = exports.iter().map(|export| export.function.as_deref()).collect();
    assert_eq!(names, [Some("x_exportables_backup_migrate_schedules"), Some("x_permissions")]);
    let schedules = &exports.first().expect("the first").value;
    assert_eq!(schedules.get("weekly").and_then(|item| item.get("api_version")), Some(&PhpValue::Int(1)));
    let daily = schedules.get("daily").and_then(|item| item.get("filters")).and_then(|f| f.get("sources"));
    assert_eq!(daily.and_then(|sources| sources.get("db")), Some(&list(&[string("a")])));

    let bare = "$item = new stdClass(); $item->name = 'x';";
    assert_eq!(one(bare).get("name"), Some(&string("x")), "no function, no return");
}

#[test]
fn what_would_have_to_run_is_refused_with_its_place() {
    for (text, message) in [
        ("array(\n  'a' => system('id'),\n)", "line 2, column 10: found \"system\", expected a value"),
        (
            "array('a' => $x)",
            "line 1, column 14: found the variable $x, expected a value (this variable holds none)",
        ),
        ("'a' . $x", "line 1, column 7: found the variable $x, expected a string after \".\""),
        ("\"a $x\"", "line 1, column 4: found a variable in a string, expected plain text"),
        ("\"{$x}\"", "found a variable in a string"),
        ("array(1 2)", "line 1, column 9: found the number 2, expected \"=>\", \",\" or \")\""),
        ("array(1,", "line 1, column 9: found the end of the text, expected a value"),
        ("'öpen", "line 1, column 1: this string has no end"),
        ("array('é' => `id`)", "line 1, column 14: found \"`\", expected a value"),
        ("/* open", "this comment has no end"),
        ("<<<X\na\nX;", "found a heredoc"),
        ("$a->b = 1;", "expected $a = new stdClass(); before its properties"),
        ("1 + 1", "found \"+\", expected \";\""),
        ("eval('x');", "found \"eval\", expected a value"),
        ("Foo::bar()", "found \"bar\", expected __set_state"),
        ("function f($x) {}", "found the variable $x, expected \")\""),
        ("function f() { return 1; return 2; }", "expected \"}\" after the return"),
        ("array(array() => 1)", "expected a key that is a number or a string before it"),
        ("$a = 1; $a->b = 2;", "expected an object before -> and an array before ["),
        ("", "line 1, column 1: found the end of the text, expected an export"),
        ("<?php 1; ?> text", "line 1, column 13: found text after ?>"),
        ("\"\\u{110000}\"", "this escape is not a character"),
        ("\"\\u{}\"", "this escape is not a character"),
        ("\"\\u{41\"", "this escape is not a character"),
        ("\u{2013}", "found \"\u{2013}\", expected a value"),
        ("0xFFFFFFFFFFFFFFFFF", "too big"),
        ("\u{1}", "found \"\\u{1}\", expected a value"),
    ] {
        let error = parse_export(text.as_bytes()).expect_err(text);
        assert_eq!(error.code(), Code::Config);
        assert!(error.message().contains(message), "{text}: {error}");
    }
}

#[test]
fn depth_is_limited_however_it_is_reached() {
    for text in [
        format!("{}1{}", "array(".repeat(65), ")".repeat(65)),
        format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("$a = 1; {}", "$a = array($a);".repeat(1000)),
        format!("$b = 1; {}", "$a['x']['y'] = $b; $b = $a;".repeat(100)),
    ] {
        let error = parse_export(text.as_bytes()).expect_err("too deep");
        assert!(error.message().contains("levels of nesting"), "{error}");
    }
    let deep = format!("{}{}", "a:1:{i:0;".repeat(100_000), "}".repeat(100_000));
    assert!(unserialize(deep.as_bytes()).expect_err("too deep").message().contains("nesting"));
}

/// No text, however broken, may do more than fail.
#[test]
fn broken_texts_fail_quietly() {
    let good = include_bytes!("../../../../../tests/fixtures/exports/settings_profile.txt");
    let stored = serialize(&one(std::str::from_utf8(good).expect("UTF-8")));
    for end in 0..good.len() {
        assert!(parse_export(&good[..end]).is_err(), "cut at {end}");
    }
    for end in 0..stored.len() {
        assert!(unserialize(&stored[..end]).is_err(), "cut at {end}");
    }
    for at in 0..good.len() {
        for byte in [b'\'', b'$', 0xff] {
            let mut text = good.to_vec();
            text[at] = byte;
            let _ = parse_export(&text);
        }
    }
    for at in 0..stored.len() {
        for byte in [b'9', b'R', b'{', 0xff] {
            let mut bytes = stored.clone();
            bytes[at] = byte;
            let _ = unserialize(&bytes);
        }
    }
}

#[test]
fn stored_values_are_read_and_written() {
    for text in [
        "N;",
        "b:1;",
        "i:-5;",
        "d:0.5;",
        "d:-INF;",
        "s:5:\"a\"b;c\";",
        "a:2:{i:0;s:2:\"\u{e9}\";s:1:\"x\";a:0:{}}",
        "O:8:\"stdClass\":2:{s:1:\"a\";i:1;s:1:\"5\";N;}",
    ] {
        let value = unserialize(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(serialize(&value), text.as_bytes(), "{text}");
    }
    for (text, expected) in [
        ("a:1:{i:0;R:1;}", "a reference"),
        ("C:3:\"Foo\":2:{ab}", "special class"),
        ("s:5:\"ab\";", "5 bytes of text"),
        ("s:99999999999:\"ab\";", "bytes of text"),
        ("a:99999999999:{}", "a key"),
        ("a:1:{d:1;i:1;}", "a key"),
        ("i:5", "`;`"),
        ("i:x;", "a whole number"),
        ("b:2;", "0 or 1"),
        ("i:1;i:2;", "the end"),
        ("s:+1:\"a\";", "a length"),
        ("", "a value"),
    ] {
        let error = unserialize(text.as_bytes()).expect_err(text);
        assert!(error.message().contains(expected), "{text}: {error}");
    }
}

/// PHP prints the same values in both ways; both must be read as the same, and written as PHP wrote them.
#[test]
fn php_and_we_agree() {
    const SCRIPT: &str = r#"
        mt_srand(7);
        function any($depth) {
          switch (mt_rand(0, $depth > 4 ? 5 : 7)) {
            case 0: return NULL;
            case 1: return (bool) mt_rand(0, 1);
            case 2: return array(PHP_INT_MIN, PHP_INT_MAX, 0, -1, mt_rand())[mt_rand(0, 4)];
            case 3: return array(0.1, -1.5, 1e100, -2.5e-7, 123456789.125, -INF, 1e16, 1e17, 1e-4)[mt_rand(0, 8)];
            case 4: case 5:
              $text = '';
              for ($i = mt_rand(0, 12); $i > 0; $i--) {
                $text .= array("'", '"', '\\', "\n", "\0", '$', '{', 'a', "\xc3\xa9", "\xff", '=>', ');')[mt_rand(0, 11)];
              }
              return $text;
            default:
              $array = array();
              for ($i = mt_rand(0, 5); $i > 0; $i--) {
                $key = array('k' . mt_rand(0, 9), mt_rand(-3, 9), "q'uo\\te", (string) mt_rand(0, 9), '')[mt_rand(0, 4)];
                $array[$key] = any($depth + 1);
              }
              return mt_rand(0, 3) ? $array : (object) $array;
          }
        }
        for ($i = 0; $i < 500; $i++) {
          $value = any(0);
          print bin2hex(var_export($value, TRUE)) . ' ' . bin2hex(serialize($value)) . "\n";
        }"#;
    let Ok(output) = Command::new("php").args(["-r", SCRIPT]).output() else {
        println!("SKIP config::php::tests::php_and_we_agree: php is not installed");
        return;
    };
    let printed = String::from_utf8(output.stdout).expect("hex");
    let bytes = |hex: &str| -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    };
    let mut count = 0;
    for line in printed.lines() {
        let (export, stored) = line.split_once(' ').expect("two columns");
        let (export, stored) = (bytes(export), bytes(stored));
        let shown = String::from_utf8_lossy(&export);
        let exported = parse_export(&export).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let value = unserialize(&stored).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(exported, [Export { function: None, value: value.clone() }], "{shown}");
        assert_eq!(String::from_utf8_lossy(&serialize(&value)), String::from_utf8_lossy(&stored), "{shown}");
        count += 1;
    }
    assert_eq!(count, 500);
}

#[test]
fn json_is_what_php_would_make_of_it() {
    let json = |text: &str| one(text).to_json().map(|json| json.to_string());
    assert_eq!(
        json("array('a' => array(), 'b' => array(1, 2), 'c' => array(1 => 2))").expect("JSON"),
        r#"{"a":[],"b":[1,2],"c":{"1":2}}"#
    );
    assert_eq!(json("(object) array(1, 2.0)").expect("JSON"), r#"{"0":1,"1":2.0}"#);
    let error = json(r#"array('a' => array('b' => "\xff"))"#).expect_err("not UTF-8");
    assert_eq!(error.message(), "a.b: the text is not UTF-8");
}
