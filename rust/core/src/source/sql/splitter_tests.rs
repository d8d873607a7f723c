use super::super::rows::LONGEST_OTHER;
use super::*;

/// Gives a few bytes a time, so that every look-ahead meets the end of what is there.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.1.min(buffer.len());
        let n = self.0.read(buffer.get_mut(..n).unwrap_or_default())?;
        Ok(n)
    }
}

fn split(sql: &[u8], drip: usize) -> Vec<String> {
    let mut splitter = Splitter::new(Drip(sql, drip));
    let mut items = Vec::new();
    while let Some(item) = splitter.next().unwrap() {
        items.push(match item {
            Item::Comment(text) => format!("#{}", String::from_utf8_lossy(text)),
            Item::Statement { text, delimiter } => {
                format!("{}|{}", String::from_utf8_lossy(text), String::from_utf8_lossy(delimiter))
            }
        });
    }
    assert_eq!(splitter.bytes(), sql.len() as u64);
    items
}

#[track_caller]
fn check(sql: &str, items: &[&str]) {
    for drip in [1, 2, 3, 7, 1 << 20] {
        assert_eq!(split(sql.as_bytes(), drip), items, "{drip} bytes a time");
    }
}

#[test]
fn statements_end_where_the_client_ends_them() {
    check("a;b ;\n\n c", &["a|;", "b |;", "c|"]);
    check("x 'a;''b' \"c;\" `d;``\\`;y", &["x 'a;''b' \"c;\" `d;``\\`|;", "y|"]);
    check(r"x 'it\'s;', 'end\\';y;", &[r"x 'it\'s;', 'end\\'|;", "y|;"]);
    check("a-1;b--1;c- -1;d/2;", &["a-1|;", "b--1|;", "c- -1|;", "d/2|;"]);
    check(";;a;", &["|;", "|;", "a|;"]);
    check("", &[]);
    check(" \n\t", &[]);
}

#[test]
fn modes_and_character_sets_say_where_a_string_ends() {
    check(
        "a '\\';b';SET sql_mode='NO_BACKSLASH_ESCAPES';a 'C:\\';b;SET sql_mode='';c '\\';';",
        &[
            "a '\\';b'|;",
            "SET sql_mode='NO_BACKSLASH_ESCAPES'|;",
            "a 'C:\\'|;",
            "b|;",
            "SET sql_mode=''|;",
            "c '\\';'|;",
        ],
    );
    check("SET sql_mode='ANSI_QUOTES';a \"b\\\";c;", &["SET sql_mode='ANSI_QUOTES'|;", "a \"b\\\"|;", "c|;"]);
    // U+8AA0 in GBK, and in Shift JIS U+8868.
    for (charset, character) in [("gbk", b"\xd5\x5c"), ("big5", b"\xa5\x5c"), ("sjis", b"\x95\x5c")] {
        let sql = [b"SET NAMES ", charset.as_bytes(), b";a '", character, b"'; b '\\'", character, b"';c;"]
            .concat();
        for drip in [1, 2, 3, 1 << 20] {
            assert_eq!(split(&sql, drip).len(), 4, "{charset}, {drip} bytes a time");
        }
    }
}

#[test]
fn comments_hide_delimiters_and_quotes() {
    check("-- it's; one\r\na;--\nb;# c'\nd;", &["#-- it's; one", "a|;", "#--", "b|;", "## c'", "d|;"]);
    check("/* it's; */a /* ; */ b;/*/ ; */c;/**/d;", &["a /* ; */ b|;", "c|;", "d|;"]);
    check("/*!40101 SET a='*/;' */;/*M!100101 x */;", &["/*!40101 SET a='*/;' */|;", "/*M!100101 x */|;"]);
    check("a -- b;'\n c;", &["a -- b;'\n c|;"]);
    check("a # b;'\n c;", &["a # b;'\n c|;"]);
    check("--", &["#--"]);
}

#[test]
fn the_delimiter_changes() {
    check(
        "DELIMITER ;;\ncreate x begin a; b; end ;;\ndelimiter ;\nc;",
        &["create x begin a; b; end |;;", "c|;"],
    );
    check("delimiter $$\r\na;$$b$$/**/ DELIMITER ;\nc;", &["a;|$$", "b|$$", "c|;"]);
    check("delimiters;", &["delimiters|;"]);
    assert!(Splitter::new(b"DELIMITER \nx".as_slice()).next().is_err());
}

#[test]
fn the_sandbox_mark_is_no_statement() {
    check("/*M!999999\\- enable the sandbox mode */ \n-- x\na;", &["#-- x", "a|;"]);
    check("/*!999999\\- enable the sandbox mode */\na;", &["a|;"]);
}

#[test]
fn a_torn_dump_is_noticed() {
    for (sql, torn) in
        [("a 'b", true), ("a /* b", true), ("a `b", true), ("a 'b\\", true), ("a 'b'", false), ("a", false)]
    {
        let mut splitter = Splitter::new(sql.as_bytes());
        while splitter.next().unwrap().is_some() {}
        assert_eq!(splitter.torn(), torn, "{sql}");
    }
}

#[test]
fn a_long_statement_passes_and_its_memory_goes() {
    let mut sql = b"INSERT INTO t VALUES (x'', '".to_vec();
    sql.extend((0..40_000_000_u32).map(|i| {
        if i % 251 == u32::from(b'\'') || i % 251 == u32::from(b'\\') { b'x' } else { (i % 251) as u8 }
    }));
    sql.extend_from_slice(b"');\n");
    let long = sql.len() - 2;
    for _ in 0..100_000 {
        sql.extend_from_slice(b"INSERT INTO t VALUES (1, 'something short');\n");
    }
    let mut splitter = Splitter::new(sql.as_slice());
    let mut lengths = Vec::new();
    while let Some(item) = splitter.next().unwrap() {
        let Item::Statement { text, .. } = item else { panic!("a comment") };
        lengths.push(text.len());
    }
    assert_eq!((lengths.len(), lengths.first().copied()), (100_001, Some(long)));
    assert!(splitter.buffer.capacity() <= 2 * KEPT, "{}", splitter.buffer.capacity());
}

/// Gives the same for ever.
struct Endless(&'static [u8]);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len() / self.0.len() * self.0.len();
        buffer.chunks_exact_mut(self.0.len()).for_each(|to| to.copy_from_slice(self.0));
        Ok(n)
    }
}

#[test]
fn what_no_dump_has_is_refused_before_it_fills_the_memory() {
    for (begin, unit) in [
        (&b"CREATE TABLE t ("[..], &b"a123 int NOT NULL, "[..]),
        (b"# INSERT ", b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        (b"DELIMITER ", b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ] {
        let mut splitter = Splitter::new(begin.chain(Endless(unit)));
        let error = splitter.next().map(|item| item.is_some()).unwrap_err();
        let told = String::from_utf8_lossy(begin);
        assert_eq!(error.code(), Code::Integrity, "{told}");
        assert!(splitter.buffer.len() <= LONGEST_OTHER + 2 * BLOCK, "{told}: {}", splitter.buffer.len());
    }
    // Between statements nothing is kept.
    let blank = b"/* "
        .chain(Endless(b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ").take(20 << 20))
        .chain(&b"*/"[..])
        .chain(Endless(b"                               \n").take(20 << 20));
    let mut splitter = Splitter::new(blank.chain(&b"a;"[..]));
    assert!(matches!(splitter.next(), Ok(Some(Item::Statement { text: b"a", .. }))));
    assert!(splitter.buffer.len() <= 2 * BLOCK);
}
