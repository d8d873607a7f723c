use super::*;

fn run(text: &str, takes: &dyn Fn(&str) -> bool) -> Result<String> {
    let mut script = Script::new(text.as_bytes())?;
    let mut all = Vec::new();
    while let Some(piece) = script.next(takes)? {
        all.extend_from_slice(piece);
    }
    Ok(String::from_utf8_lossy(&all).split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn what_belongs_to_another_server_is_left_out() {
    let foreign = "BEGIN;\nCREATE SCHEMA public;\nALTER TABLE public.t OWNER TO x;\n\
                       GRANT ALL ON t TO y;\nCREATE TABLE t (a int);\nCOMMENT ON EXTENSION plpgsql IS 'x';\nCOMMIT;\n";
    assert_eq!(run(foreign, &|_| true).expect("read"), "CREATE TABLE t (a int);");
    assert_eq!(run("CREATE SCHEMA other;", &|_| true).expect("read"), "CREATE SCHEMA other;");
}

#[test]
fn settings_that_a_server_does_not_know_are_left_out() {
    let text = "SET statement_timeout = 0;\nSET transaction_timeout = 0;\nSET default_table_access_method = heap;\n\
                    SELECT 1;\nSET my_own = 1;\n";
    let mut script = Script::new(text.as_bytes()).expect("read");
    script.unknown = vec!["transaction_timeout", "default_table_access_method"];
    let mut all = Vec::new();
    while let Some(piece) = script.next(&|_| true).expect("read") {
        all.extend_from_slice(piece);
    }
    let told = String::from_utf8_lossy(&all).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told, "SET statement_timeout = 0; SELECT 1; SET my_own = 1;");
}

#[test]
fn commands_to_psql_are_refused() {
    for bad in [
        "\\! touch /tmp/x\n",
        "SELECT 1 \\g |sh\n",
        "\\connect other\n",
        "SET standard_conforming_strings = off;\n",
    ] {
        assert!(run(bad, &|_| true).is_err(), "{bad}");
    }
    assert_eq!(run("\\restrict a1\nSELECT 1;\n\\unrestrict a1\n", &|_| true).expect("read"), "SELECT 1;");
}

#[test]
fn what_reaches_beyond_the_dumps_schema_is_seen() {
    for text in [
        "COPY t FROM PROGRAM 'id';",
        "COPY t FROM '/etc/passwd';",
        "COPY t (a) TO '/tmp/x';",
        "ALTER SYSTEM SET archive_command = 'x';",
        "CREATE ROLE x SUPERUSER;",
        "SET SESSION AUTHORIZATION postgres;",
        "DO $$ BEGIN END $$;",
        "SELECT pg_read_file('/etc/passwd');",
        "SELECT pg_catalog.lo_export(1, '/tmp/x');",
        "CREATE OR REPLACE LANGUAGE plpython3u;",
    ] {
        assert!(reaches_beyond(text.as_bytes()), "{text}");
    }
    for text in [
        "COPY public.t (a, b) FROM stdin;",
        "SELECT pg_catalog.set_config('search_path', '', false);",
        "SELECT pg_catalog.setval('public.s', 1, true);",
        "SET statement_timeout = 0;",
        "CREATE TABLE public.t (a int);",
        "CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'select 1';",
    ] {
        assert!(!reaches_beyond(text.as_bytes()), "{text}");
    }
    let others = ["report".to_owned(), "We ird".to_owned()];
    for text in
        ["delete from report.r;", "COPY \"We ird\".t FROM stdin;", "ALTER TABLE ONLY REPORT.r ADD a int;"]
    {
        assert!(elsewhere(text.as_bytes(), &others).is_some(), "{text}");
    }
    assert!(elsewhere(b"INSERT INTO public.report VALUES (1);", &others).is_none());
    assert!(makes(b"CREATE SCHEMA IF NOT EXISTS \"report\";", &others));
}

#[test]
fn the_header_is_read_and_rows_of_other_tables_are_left_out() {
    let text = format!(
        "{FIRST_LINE}\n{SCHEMA}\"pub lic\"\n{PREFIX}\"d7_\"\n{EXCLUDED}[\"x\"]\n\nCREATE TABLE a ();\n\
             COPY \"pub lic\".a (b) FROM stdin;\n1\n\\.\nCOPY \"pub lic\".\"c \"\"d\" (b) FROM stdin;\n2\n\\.\n\
             --\n-- PostgreSQL database dump complete\n--\n"
    );
    let mut script = Script::new(text.as_bytes()).expect("read");
    let about = About {
        ours: true,
        schema: Some("pub lic".into()),
        prefix: Some("d7_".into()),
        excluded: vec!["x".into()],
    };
    assert_eq!(script.about, about);
    assert!(!script.ended());
    while script.next(&|_| true).expect("read").is_some() {}
    assert!(script.ended());
    let some = run(&text, &|name| name == "c \"d").expect("read");
    let contents = contents(&mut text.as_bytes(), &Monitor::new()).expect("read");
    assert_eq!(contents.tables, [Table { name: "a".into(), rows: Some(1), bytes: 24 }]);
    assert!(!some.contains(".a (b)") && some.contains("2 \\."), "{some}");
}
