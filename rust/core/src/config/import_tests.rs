//! Tests of [`super::import`], on PECE's exports and on what other sites have.

use super::Document;
use super::import::{Import, Item, ItemKind};
use super::php::serialize;
use crate::Code;
use serde_json::json;

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/exports");
    std::fs::read(format!("{folder}/{name}")).expect("a fixture")
}

fn import(text: &[u8]) -> Import {
    Import::read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn only(text: &[u8]) -> Item {
    let mut import = import(text);
    assert_eq!(import.items.len(), 1);
    import.items.remove(0)
}

#[test]
fn peces_items_say_the_same_in_the_documents_words() {
    let profile = only(&fixture("settings_profile.txt"));
    assert_eq!((profile.kind, profile.machine_name.as_str()), (ItemKind::Profile, "pece_backup"));
    let document = profile.document.expect("a profile");
    assert_eq!(document["encryption"], "aes256");
    assert_eq!(document["notify"], json!({"success": ["[site:mail]"], "failure": ["[site:mail]"]}));
    assert_eq!(document["sources"]["files"], json!({"exclude": []}), "an empty text leaves out nothing");
    assert_eq!(
        document["sources"]["pece_bkp"]["exclude"],
        json!(["backup_migrate", "styles", "css", "js", "ctools", "less"])
    );
    assert_eq!(document["sources"]["db"]["nodata_tables"].as_array().map(Vec::len), Some(28));
    assert_eq!(document["sources"]["db"]["lock_tables"], false);
    assert!(
        document["site_offline_message"]
            .as_str()
            .is_some_and(|text| text.contains("maintenance mode. \r\n     We"))
    );

    let schedule = only(&fixture("schedule_profile.txt")).document;
    let expected = json!({"name": "PECE Backup", "source": "archive", "destinations": ["scheduled"], "profile": "pece_backup",
        "every": 604_800, "cron": null, "keep": 0, "enabled": true});
    assert_eq!(schedule, Some(expected));
    let source = only(&fixture("source_pece_bkp.txt")).document;
    assert_eq!(source, Some(json!({"type": "files", "path": "public://", "name": "PECE files"})));
    let destination = only(&fixture("destination_manual.txt")).document;
    let expected = json!({"type": "directory", "path": "private://backup_migrate/manual", "name": "Manual Backups Directory"});
    assert_eq!(destination, Some(expected));
}

#[test]
fn together_they_are_a_document() {
    let mut whole = json!({"site": {"root": "/var/www", "private_path": "../private"}});
    for name in
        ["settings_profile.txt", "schedule_profile.txt", "source_pece_bkp.txt", "destination_manual.txt"]
    {
        let item = only(&fixture(name));
        whole[format!("{}s", item.kind.name())][item.machine_name] = item.document.expect("known");
    }
    whole["destinations"]["scheduled"] =
        json!({"type": "directory", "path": "private://backup_migrate/scheduled"});
    let document = Document::from_json(&whole.to_string()).expect("a document");
    document.validate().expect("without contradictions");
}

#[test]
fn the_item_itself_stays_as_it_was() {
    let text = fixture("settings_profile.txt");
    let json = import(&text).to_json().expect("JSON");
    let item = &json["items"][0]["item"];
    assert_eq!((&item["append_timestamp"], &item["profile_id"]), (&json!("1"), &json!("5")));
    assert_eq!(item["filters"]["sources"]["db"]["exclude_tables"], json!([]));
    let stored = serialize(&only(&text).value);
    assert_eq!(only(&stored).value, only(&text).value, "serialized values are read, too");
}

#[test]
fn features_code_gives_all_items_at_once() {
    let text = fixture("features.inc");
    let import = import(&text);
    let items: Vec<_> =
        import.items.iter().map(|item| (item.kind.name(), item.machine_name.as_str())).collect();
    assert_eq!(items, [("profile", "pece_backup"), ("schedule", "pece_backup")]);
    assert_eq!(
        import.notes,
        ["pece_backup_user_default_permissions() exports nothing of Backup and Migrate's: left out"]
    );
    let mut exported = only(&fixture("settings_profile.txt")).document.expect("a profile");
    exported["append_timestamp"] = json!(1);
    assert_eq!(
        import.items.first().and_then(|item| item.document.clone()),
        Some(exported),
        "the same as its export page prints"
    );
}

#[test]
fn remote_places_keep_their_addresses() {
    let text = b"array('machine_name' => 'off', 'name' => 'Off', 'subtype' => 'sftp', 'location' => 'sftp://u%40x:p%2Fw@h:2222/b', \
                 'settings' => array('host_key' => 'SHA256:x', 'pasv' => 1), 'type_name' => 'destination')";
    let expected =
        json!({"type": "sftp", "name": "Off", "url": "sftp://u%40x:p%2Fw@h:2222/b", "host_key": "SHA256:x"});
    assert_eq!(only(text).document, Some(expected));
    // Backup and Migrate's own kind: the bucket stands elsewhere in its item.
    let other = only(b"array('machine_name' => 'a', 'subtype' => 's3', 'location' => 'https://k:p@h/b', 'destination_id' => 1)");
    assert_eq!((other.kind, other.document), (ItemKind::Destination, None));
    assert!(
        other.notes.iter().any(|note| note.contains("\"s3\"") && !note.contains("k:p")),
        "{:?}",
        other.notes
    );
    let database = only(b"array('machine_name' => 'old', 'subtype' => 'mysql', 'location' => 'mysql://u:p@h/d', 'source_id' => 3)");
    assert_eq!(database.document, Some(json!({"type": "database", "database": "old", "name": ""})));
    assert_eq!(database.database, Some(json!({"url": "mysql://u:p@h/d"})));
}

#[test]
fn schedules_of_other_kinds() {
    let schedule = |more: &str| {
        let text = format!(
            "array('machine_name' => 'a', 'period' => '3600', 'keep' => '-2', 'copy_destination_id' => 'b', \
            'destination_id' => 'a', {more})"
        );
        only(text.as_bytes()).document.expect("a schedule")
    };
    let elysia = schedule("'cron' => 'elysia', 'cron_schedule' => '0 4 * * 6', 'enabled' => '0'");
    assert_eq!(
        (&elysia["cron"], &elysia["every"], &elysia["enabled"]),
        (&json!("0 4 * * 6"), &json!(0), &json!(false))
    );
    let none = schedule("'cron' => 'none'");
    assert_eq!((&none["cron"], &none["every"], &none["keep"]), (&json!(null), &json!(0), &json!(-2)));
    assert_eq!(none["destinations"], json!(["a", "b"]));
}

#[test]
fn profiles_of_version_2_and_of_other_modules() {
    let text = b"array('profile_id' => 'ab12', 'filters' => array('nodata_tables' => array('cache' => 'cache', 'users' => 0), \
                 'exclude_filepaths' => \"a\\n\\n b\", 'encryption' => 'encrypt', 'compression' => 'bzip'))";
    let item = only(text);
    let document = item.document.expect("a profile");
    assert_eq!(item.machine_name, "ab12");
    assert_eq!(document["sources"]["db"], json!({"nodata_tables": ["cache"], "exclude": ["a", "b"]}));
    assert_eq!(document["encryption"], "aes256", "never less than was asked for");
    assert!(item.notes.iter().any(|note| note.contains("\"encrypt\"")));
}

#[test]
fn what_is_no_item_is_refused_whole() {
    for (text, message) in [
        ("array('a' => 1)", "the item \"a\" is no profile"),
        ("5", "this is no item"),
        ("array('type_name' => 'profile', 'filters' => array())", "has no machine_name"),
        (
            "array('machine_name' => 'a', 'filters' => array('compression' => 'rar'))",
            "profile a: unknown variant `rar`",
        ),
        (
            "array(array('machine_name' => 'a', 'filters' => 1), array('machine_name' => 'a', 'filters' => 2))",
            "is there twice",
        ),
        ("array('machine_name' => 'a', 'type_name' => 'node')", "is no profile"),
        ("array()", "no profile, schedule"),
        ("function x_permissions() { return array(); }", "no profile, schedule"),
        ("array('machine_name' => \"a\\nb\", 'filters' => 1)", "control characters"),
        ("array('machine_name' => 'a', 'filters' => array(),", "line 1, column 51: found the end"),
    ] {
        let error = Import::read(text.as_bytes()).expect_err(text);
        assert_eq!(error.code(), Code::Config);
        assert!(error.message().contains(message), "{text}: {error}");
    }
}
