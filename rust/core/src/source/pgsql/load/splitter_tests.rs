use super::*;

/// What is in it; pieces are put together.
fn split_by(text: &str, most: usize) -> io::Result<Vec<(char, String)>> {
    let mut splitter = Splitter::new(text.as_bytes());
    splitter.most = most;
    let mut found = Vec::<(char, Vec<u8>)>::new();
    while let Some(item) = splitter.next()? {
        let (kind, text, goes_on) = match &item {
            Item::Comment(text) => ('-', *text, false),
            Item::Statement(text) => ('s', *text, false),
            Item::Command(text) => ('\\', *text, false),
            Item::Row(text) => ('r', *text, false),
            Item::End(text) => ('.', *text, false),
            Item::Piece(piece) => (if piece.row { 'r' } else { 's' }, piece.text, !piece.first),
        };
        let text = text.to_vec();
        assert!(text.len() <= 2 * most, "{} bytes are held", text.len());
        match found.last_mut().filter(|_| goes_on) {
            Some(last) => last.1.extend(text),
            None => found.push((kind, text)),
        }
        if !matches!(item, Item::Comment(_) | Item::Command(_)) {
            let last = splitter.last().unwrap_or_default();
            let told = found.last().map(|(_, text)| text.ends_with(last));
            assert_eq!(told, Some(true));
        }
    }
    Ok(found
        .into_iter()
        .map(|(kind, text)| (kind, String::from_utf8_lossy(text.trim_ascii()).into_owned()))
        .collect())
}

fn split(text: &str) -> Vec<(char, String)> {
    split_by(text, PIECE).expect("read")
}

fn kinds(text: &str) -> String {
    split(text).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn statements_end_where_psql_sees_their_end() {
    for (text, expected) in [
        ("SELECT 1; SELECT 2;\n", "ss"),
        ("SELECT ';' , E'\\';' , 'it''s;', \"a;b\"\n;\n", "s"),
        ("SELECT 'ends in a backslash\\'; SELECT 2;\n", "ss"),
        ("CREATE FUNCTION f() AS $$a; 'b$$;\nSELECT 1;", "ss"),
        ("DO $x$ $$; $y$ $x$;SELECT $1;", "ss"),
        ("/* a /* b; */ c; */ SELECT 1;", "s"),
        ("-- x;\nSELECT 1 -- y;\n;\n", "-s"),
        ("SELECT 1", "s"),
        ("SELECT 'broken off", "s"),
        ("SELECT \"broken off;", "s"),
        ("SELECT $x$ broken off;\n$x", "s"),
        ("SELECT 1 /* broken /* off */;\n", "s"),
        ("/* broken /* off */;\n", "s"),
        ("SELECT 1;;; ;\n;/* a; */ ; -- b;\n;; /* c */ SELECT 2;;", "s-s"),
        (";;\n\n/* nothing */", ""),
        ("SELECT relname'x', mode'y\\'; SELECT 3;", "ss"),
    ] {
        assert_eq!(kinds(text), expected, "{text}");
    }
}

#[test]
fn rows_are_passed_over_and_pieces_have_a_place() {
    let text = "-- x\nSELECT 1;\nCOPY t FROM stdin;\n1\ta\n\\\\.\n\n\\.\nCOPY u FROM stdin;\n\\.\n-- end\n";
    let mut splitter = Splitter::new(BufReader::with_capacity(3, text.as_bytes()));
    let mut ends = Vec::new();
    while let Some(item) = splitter.next().expect("read") {
        let copies = matches!(item, Item::Statement(_));
        let end = splitter.end() as usize;
        let passed = if copies { splitter.pass_rows().expect("read") } else { (0, 0) };
        assert_eq!(splitter.end(), end as u64 + passed.1);
        ends.push((&text[..end], passed));
    }
    let at = |part: &str| &text[..text.find(part).unwrap() + part.len()];
    assert_eq!(
        ends,
        [
            (at("-- x\n"), (0, 0)),
            (at("SELECT 1;"), (0, 0)),
            (at("COPY t FROM stdin;\n"), (3, 4 + 4 + 1 + 3)),
            (at("COPY u FROM stdin;\n"), (0, 3)),
            (text, (0, 0)),
        ]
    );
}

#[test]
fn rows_are_neither_statements_nor_commands() {
    let found = split("COPY public.t (a, \"b c\") FROM stdin;\n1\t\\\\! rm; 'x\n\\N\t$$\n\\.\n\nSELECT 1;\n");
    assert_eq!(found.iter().map(|item| item.0).collect::<String>(), "srr.s");
    assert_eq!(kinds("COPY t FROM stdin;\n\\.\nSELECT 1;"), "s.s");
}

#[test]
fn commands_are_seen_wherever_psql_would_see_them() {
    assert_eq!(kinds("\\restrict abc\nSELECT 1;\n"), "\\s");
    assert_eq!(kinds("SELECT 1 \\! touch /tmp/x\n;\n"), "\\s");
    assert_eq!(kinds("SELECT '\\! no command', E'\\\\', \"\\!\", $$\\!$$;\n"), "s");
}

#[test]
fn what_is_long_comes_in_pieces_that_make_the_same() {
    let long = |unit: &str| unit.repeat(3000 / unit.len());
    for unit in ["x", "''", "a''b", "\\\\", "ä\n", "; -- ", "$$", "/*", "*/", "\\.\n", "\t\\.", "\n\n"] {
        let inner = long(unit);
        for shift in 0..3 {
            let before = "y".repeat(shift);
            let rows = inner.replace('\n', "\\n");
            for text in [
                format!("INSERT INTO t VALUES ('{before}{}'); SELECT 1;\n", inner.replace('\'', "''")),
                format!(
                    "insert into t values (E'{before}{}\\''); SELECT 2;\n",
                    inner.replace('\'', "").replace('\\', "\\\\")
                ),
                format!("INSERT INTO t VALUES ($q${before}{inner}$q$, 'a;');SELECT 3;"),
                format!("COPY t (a) FROM stdin;\n{before}{rows}\nb\t{rows}\n\\.\nSELECT 4;\n"),
                format!(
                    "-- {before}{}\nSELECT 5; -- {}\nSELECT 6;",
                    inner.replace('\n', ""),
                    inner.replace('\n', "")
                ),
            ] {
                let whole = split(&text);
                assert!(!whole.is_empty() && whole.last().is_some_and(|(kind, _)| *kind == 's'), "{text}");
                // Of a long comment the beginning is told.
                let same = split_by(&text, 300).expect("read");
                let kinds = |of: &[(char, String)]| of.iter().map(|(kind, _)| *kind).collect::<String>();
                assert!(kinds(&same) == kinds(&whole), "{unit}, {before}");
                let told = |of: Vec<(char, String)>| {
                    of.into_iter().filter(|(kind, _)| *kind != '-').collect::<Vec<_>>()
                };
                assert!(told(same) == told(whole), "{unit}, {before}");
            }
        }
    }
}

#[test]
fn what_no_dump_has_is_refused_before_it_fills_the_memory() {
    for (text, unit) in [("SELECT '", "xxxxxxxxxxxxxxxx"), ("-- bam-excluded: [", "\"a\",")] {
        let endless = io::Cursor::new(text.to_owned()).chain(Endless(unit.as_bytes().to_vec()));
        let mut splitter = Splitter::new(endless);
        let error = loop {
            match splitter.header(|_| ()).and_then(|()| splitter.next().map(|item| item.is_some())) {
                Ok(true) => {}
                Ok(false) => panic!("{text} has no end"),
                Err(error) => break Error::from(error),
            }
        };
        assert_eq!(error.code(), Code::Integrity, "{text}: {error}");
        let held = splitter.line.capacity() + splitter.statement.capacity();
        assert!(held <= 2 * LONGEST + 4 * PIECE, "{text}: {held}");
    }
    let tag = format!("SELECT ${}$ ' ${}$;", "t".repeat(300), "t".repeat(300));
    assert!(split_by(&tag, PIECE).is_err() && split_by(&tag, 300).is_err());
    assert_eq!(kinds(&format!("SELECT ${0}$ ' ${0}$;", "t".repeat(200))), "s");
}

/// Gives the same for ever.
struct Endless(Vec<u8>);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len() / self.0.len() * self.0.len();
        buffer.chunks_exact_mut(self.0.len()).for_each(|to| to.copy_from_slice(&self.0));
        Ok(n)
    }
}

#[test]
fn what_is_no_statement_is_not_given_to_the_server() {
    for nothing in [";", ";\n", " /* a;b */ ;", "-- a;\n;"] {
        let text = nothing.repeat(100_000) + "SELECT 1;" + &nothing.repeat(100_000);
        let given: Vec<_> = split(&text).into_iter().filter(|(kind, _)| *kind == 's').collect();
        assert_eq!(given, [('s', "SELECT 1;".to_owned())], "{nothing}");
    }
}

#[test]
fn a_million_blank_lines_take_no_time() {
    let text = "\n".repeat(1_000_000) + "SELECT 1;" + &"\n".repeat(1_000_000);
    assert_eq!(split(&text), [('s', "SELECT 1;".to_owned())]);
}
