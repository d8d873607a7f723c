use super::*;
use crate::destination::Directory;
use sha2::{Digest, Sha256};

struct Place {
    dir: tempfile::TempDir,
    destination: Arc<dyn Destination>,
}

fn place(id: &str) -> Place {
    let dir = tempfile::tempdir().expect("a folder");
    let config = serde_json::from_value(serde_json::json!({"type": "directory", "path": dir.path()}));
    let destination = Directory::from_config(id, &config.expect("a config"), &Default::default());
    Place { dir, destination: Arc::new(destination.expect("a destination")) }
}

fn start(places: &[&Place]) -> Result<Delivery> {
    let destinations: Vec<_> = places.iter().map(|p| Arc::clone(&p.destination)).collect();
    let monitor = Arc::new(Monitor::new());
    Delivery::start("b.tar", Existing::Keep, &destinations, Vec::new(), &std::env::temp_dir(), &monitor)
}

fn files(place: &Place) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(place.dir.path())
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn one_pass_reaches_every_folder_and_nothing_shows_before_the_end() {
    let (one, two) = (place("one"), place("two"));
    let mut delivery = start(&[&one, &two]).expect("started");
    let bytes: Vec<u8> = (0..3 * CHUNK + 17).map(|i| (i % 253) as u8).collect();
    delivery.write_all(&bytes).expect("written");
    let finished = delivery.finish().expect("finished");
    assert_eq!(finished.written.bytes, bytes.len() as u64);
    assert_eq!(finished.written.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
    assert!(one.destination.list().expect("listed").is_empty(), "nothing is visible without a sidecar");
    assert!(finished.commit("bam_id = \"1\"\n").iter().all(|outcome| outcome.result.is_ok()));
    for place in [&one, &two] {
        assert_eq!(files(place), ["b.tar", "b.tar.info"]);
        assert!(std::fs::read(place.dir.path().join("b.tar")).expect("read") == bytes);
    }
}

#[test]
fn a_destination_that_fails_leaves_the_others_alone() {
    let (good, gone) = (place("good"), place("gone"));
    std::fs::remove_dir(gone.dir.path()).expect("removed");
    let mut delivery = start(&[&gone, &good]).expect("started");
    delivery.write_all(b"new").expect("written");
    let outcomes = delivery.finish().expect("finished").commit("bam_id = \"1\"\n");
    let fared: Vec<_> = outcomes.iter().map(|o| (o.destination.as_str(), o.result.is_ok())).collect();
    assert_eq!(fared, [("gone", false), ("good", true)]);
    assert!(start(&[&gone]).is_err_and(|e| e.to_string().contains("destination gone")));
}

#[test]
fn where_the_part_would_be_somebodys_own_file_stays_and_the_name_is_given_up() {
    let (good, taken) = (place("good"), place("taken"));
    std::fs::write(taken.dir.path().join(".b.tar.part"), "older").expect("written");
    let refused = start(&[&taken, &good]).map(drop).expect_err("refused");
    assert!(refused.is_of_a_name() && refused.to_string().contains("destination taken"), "{refused}");
    assert_eq!(std::fs::read(taken.dir.path().join(".b.tar.part")).expect("read"), b"older");
    assert!(files(&good).is_empty(), "{:?}", files(&good));
}

#[test]
fn a_backup_that_stops_early_leaves_nothing() {
    let place = place("one");
    let mut delivery = start(&[&place]).expect("started");
    delivery.write_all(&vec![1; 2 * CHUNK]).expect("written");
    drop(delivery);
    assert!(files(&place).is_empty(), "{:?}", files(&place));
}
