use super::*;
use crate::Secret;
use crate::config::{Document, without_password};
use proptest::prelude::*;

#[test]
fn passwords_in_any_text_are_hidden() {
    for (text, expected) in [
        ("there is no key \"mysql://u:pw@h/n\" (x)", "there is no key \"mysql://u:[hidden]@h/n\" (x)"),
        ("no key \"mysql://u:my p`a'ss@x/y@h/n\" (x)", "no key \"mysql://u:[hidden]@h/n\" (x)"),
        ("a sftp://u:p/w@h/b and pgsql://v:q@i", "a sftp://u:[hidden]@h/b and pgsql://v:[hidden]@i"),
        ("see https://example.org/a:b, or ü://u:p@h", "see https://example.org/a:b, or ü://u:[hidden]@h"),
        ("no key \"mysql:/u:s3cret@h/n\"", "no key \"mysql:/u:[hidden]@h/n\""),
        ("root:s3cret@localhost/db", "root:[hidden]@localhost/db"),
        ("no key \"me:s3 c'ret@host:/b\": x", "no key \"me:[hidden]@host:/b\": x"),
        ("sftp:me:s3cret@host:/b", "sftp:me:[hidden]@host:/b"),
        ("login me, password=hunter2, then", "login me, password=[hidden], then"),
        ("PASSWD = \"a b\" and x=1", "PASSWD = [hidden] and x=1"),
        ("unexpected '--password=a b' found", "unexpected '--password=[hidden]' found"),
        ("GET \"https://h/x?a=b&token=T0k&c=d\"", "GET \"https://h/x?a=b&token=[hidden]&c=d\""),
        (
            "https://h/?key=T0k, api_key=T1k x-auth=T2k",
            "https://h/?key=[hidden], api_key=[hidden] x-auth=[hidden]",
        ),
        ("no key \"mysql://u:p \"mysql://x p@h/n\"", "no key \"mysql://u:[hidden]@h/n\""),
        ("no sftp://host:22/x, \"sftp://u:p@h/b\"", "no sftp://host:22/x, \"sftp://u:[hidden]@h/b\""),
        ("two\nlines u:p@h\nand me@h", "two\nlines u:[hidden]@h\nand me@h"),
    ] {
        assert_eq!(by_shape(text.to_owned()), expected);
        assert_eq!(by_shape(expected.to_owned()), expected);
    }
    for plain in [
        "nothing: here",
        "a=b password=",
        "denied for 'u'@'h' (using password: YES)",
        "://",
        "the mail to a@b.org, git@github.com:user/repo and mailto:c@d.org",
        "cannot reach sftp://me@host:22/site@example.org: no answer, ask admin@example.org",
        "cannot reach https://dav.example.org:8443: ask admin@example.org",
        "https://dav.example.org: ask admin@example.org, key=a primary",
        "host:/srv/a@b, /srv/a:1@b, [127.0.0.1]:2222: SHA256:abc me@host at 12:30:01",
        "sftp://u:[hidden]@h/n: Access denied for 'x'@'y'",
        "{\"mail\":\"a@b.org\"}",
    ] {
        assert_eq!(by_shape(plain.to_owned()), plain);
    }
}

#[test]
fn a_key_that_is_an_address_is_hidden_but_for_its_host() {
    for (key, expected) in [
        ("https://hooks.example.org/services/T0/B1/xyz", "https://hooks.example.org/[hidden]"),
        ("HTTP://u:p@h:80?t=x", "HTTP://u:[hidden]@h:80/[hidden]"),
        ("https://example.org/", "https://example.org/"),
        ("sftp://host/folder", "sftp://host/folder"),
        ("destination", "destination"),
    ] {
        assert_eq!(of_key(key), expected);
    }
    for text in [
        "profiles: { p: { notify: { \"https://h.example.org/T0k3n/x\" } } }",
        "profiles: { p: { notify: { ping: x, \"https://h.example.org/T0k3n\": y } } }",
        "{ \"https://h.example.org/?a=T0k3n\": {} }",
        "{ databases: { \"mysql://u:T0k3n`T0k3n@h\": { uri: x } } }",
        "{ databases: { db: { \"mysql://u:T0k3n`T0k3n@h\": x } } }",
        "{ databases: { db: { \"mysql://u:p`, expected T0k3n `@h\": x } } }",
    ] {
        let error = Document::from_yaml(text).expect_err(text).to_string();
        assert!(!error.contains("T0k3n") && error.contains(HIDDEN), "{error}");
    }
}

/// What a password may hold, and what stumbles over it.
fn ugly() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "ü", ":", "/", "@", " ", "\"", "'", "`", "://", "x", "\\", "=", "&", "?", "#", "%40", "12", ".", ",",
        "(", ")", "]", "🦀",
    ]);
    prop_oneof![
        prop::collection::vec(parts, 0..8).prop_map(|parts| parts.concat()),
        any::<String>().prop_map(|text| text.replace('\n', "")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_password_shows_whatever_it_is((before, after, password) in (ugly(), ugly(), (ugly(), ugly()))) {
        let password = format!("{}s3cret{}", password.0.trim_start(), password.1);
        let url = format!("mysql://user:{password}@host/n");
        for text in [
            without_password(&Secret::new(url.as_str())),
            by_shape(url.clone()),
            by_shape(format!("{before} \"{url}\" {after}")),
            by_shape(format!("{before} {url}: denied for 'user'@'host' {after}")),
            of_key(&url),
        ] {
            prop_assert!(!text.contains("s3cret"), "{text}");
        }
        let shown = by_shape(url);
        prop_assert_eq!(by_shape(shown.clone()), shown);
    }

    #[test]
    fn no_login_without_a_scheme_shows_its_password((before, after, password) in (ugly(), ugly(), (ugly(), ugly()))) {
        let password = format!("{}s3cret{}", password.0, password.1).replace(char::is_whitespace, "");
        let password = password.trim_start_matches(['/', '"', '\'', '`', ':']);
        // Another login in front, one in quotes that are not closed, ends anywhere.
        let before = before.replace(':', "");
        let text = by_shape(format!("{before} user:{password}@host:/n {after}"));
        prop_assert!(!text.contains("s3cret"), "{text}");
    }
}

/// What bam itself tells people to write is no secret: each hint in the code reads as it was written.
#[test]
fn the_programs_own_hints_stay_readable() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the code") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for after in std::fs::read_to_string(&path).expect("read").split(".hint(").skip(1) {
                let quoted = after.trim_start().strip_prefix("format!(").unwrap_or(after).trim_start();
                let Some((text, _)) = quoted.strip_prefix('"').and_then(|text| text.split_once('"')) else {
                    continue;
                };
                found += 1;
                assert_eq!(by_shape(text.to_owned()), text, "{}", path.display());
            }
        }
    }
    assert!(found > 100, "{found} hints");
}
