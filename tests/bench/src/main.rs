//! Writes the benchmark's data: `bam-bench-data tree DIR MEDIA_MB TEXT_MB`, `small DIR COUNT`, `sql MB` (to stdout),
//! `text MB` (to stdout). The same arguments give the same bytes everywhere. `compress LEVEL` is the engine's
//! compressing stage alone, from stdin to stdout.

mod text;

use bam::compress::{self, Kind, Level};
use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use text::{Random, Text};

const MB: usize = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tree", dir, media, text] => tree(Path::new(dir), media.parse()?, text.parse()?)?,
        ["small", dir, count] => small(Path::new(dir), count.parse()?)?,
        ["sql", megabytes] => sql(megabytes.parse()?)?,
        ["text", megabytes] => stdout_text(megabytes.parse()?)?,
        ["compress", level] => compress(level)?,
        _ => {
            return Err(
                "usage: tree DIR MEDIA_MB TEXT_MB | small DIR COUNT | sql MB | text MB | compress LEVEL"
                    .into(),
            );
        }
    }
    Ok(())
}

fn compress(level: &str) -> Result<(), Box<dyn std::error::Error>> {
    let level = match level {
        "fast" => Level::Fast,
        "default" => Level::Default,
        "best" => Level::Best,
        _ => return Err("LEVEL is fast, default or best".into()),
    };
    let mut encoder = compress::writer(Kind::Gzip, level, "", io::stdout(), 0)?;
    let mut input = BufReader::with_capacity(1 << 20, io::stdin().lock());
    io::copy(&mut input, &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(())
}

/// Media files of 0.2 to 6 MB, like photographs and recordings, and HTML files of 4 to 400 KB.
fn tree(dir: &Path, media_mb: usize, text_mb: usize) -> io::Result<()> {
    let (mut random, mut text) = (Random::new(1), Text::new(2));
    let (mut left, mut number, mut bytes) = (media_mb * MB, 0, Vec::new());
    while left > 0 {
        let size = left.min(200_000 + random.below(5_800_000));
        bytes.resize(size, 0);
        random.fill(&mut bytes);
        put(&dir.join(format!("media/{:02}/photo-{number}.jpg", number % 37)), &bytes)?;
        left -= size;
        number += 1;
    }
    (left, number) = (text_mb * MB, 0);
    while left > 0 {
        let size = left.min(4_000 + random.below(396_000));
        bytes.clear();
        text.write(size, &mut bytes);
        put(&dir.join(format!("text/{:02}/note-{number}.html", number % 53)), &bytes)?;
        left -= size;
        number += 1;
    }
    Ok(())
}

/// `count` files of about 4 KB, three out of four of them text.
fn small(dir: &Path, count: usize) -> io::Result<()> {
    let (mut random, mut text, mut bytes) = (Random::new(3), Text::new(4), Vec::new());
    for number in 0..count {
        bytes.clear();
        let size = 3_000 + random.below(2_200);
        if number % 4 == 0 {
            bytes.resize(size, 0);
            random.fill(&mut bytes);
        } else {
            text.write(size, &mut bytes);
        }
        put(&dir.join(format!("{:03}/{:02}/file-{number}.txt", number % 300, number % 7)), &bytes)?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}

/// Tables as Drupal 7 makes them: one with most of the text, one of many short rows, one of blobs.
fn sql(megabytes: usize) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let (mut random, mut text, mut bytes) = (Random::new(5), Text::new(6), Vec::new());
    writeln!(
        out,
        "SET unique_checks=0, foreign_key_checks=0;\n\
         CREATE TABLE field_data_body (entity_id int unsigned NOT NULL, revision_id int unsigned NOT NULL, \
         language varchar(32) NOT NULL DEFAULT 'und', delta int unsigned NOT NULL, body_value longtext, \
         body_format varchar(255), PRIMARY KEY (entity_id, delta), KEY revision_id (revision_id), \
         KEY body_format (body_format)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n\
         CREATE TABLE taxonomy_index (nid int unsigned NOT NULL, tid int unsigned NOT NULL, sticky tinyint, \
         created int NOT NULL, KEY term_node (tid,sticky,created), KEY nid (nid)) ENGINE=InnoDB;\n\
         CREATE TABLE node (nid int unsigned NOT NULL AUTO_INCREMENT, title varchar(255) NOT NULL, uid int NOT NULL, \
         created int NOT NULL, changed int NOT NULL, PRIMARY KEY (nid), KEY node_changed (changed), \
         KEY node_title (title(20))) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n\
         CREATE TABLE cache_form_kept (cid varchar(255) NOT NULL, data longblob, expire int, PRIMARY KEY (cid)) ENGINE=InnoDB;"
    )?;
    // Shares of the whole: bodies 60 %, revisions' blobs 20 %, short rows the rest.
    let (mut written, mut id) = (0, 0u64);
    while written < megabytes * MB {
        id += 1;
        bytes.clear();
        let size = 500 + random.below(6_000);
        text.write(size, &mut bytes);
        let body = String::from_utf8_lossy(&bytes);
        let title = body.get(27..67).unwrap_or("title").replace('<', "");
        writeln!(out, "INSERT INTO field_data_body VALUES ({id},{id},'und',0,'{body}','filtered_html');")?;
        writeln!(
            out,
            "INSERT INTO node VALUES ({id},'{title}',{},{},{});",
            id % 97,
            1_400_000_000 + id,
            1_500_000_000 + id * 7
        )?;
        written += size + 300;
        for _ in 0..12 {
            writeln!(
                out,
                "INSERT INTO taxonomy_index VALUES ({id},{},0,{});",
                random.below(4000),
                1_400_000_000 + id
            )?;
            written += 60;
        }
        if id % 4 == 0 {
            let mut blob = vec![0; 1_000 + random.below(4_000)];
            random.fill(&mut blob);
            write!(out, "INSERT INTO cache_form_kept VALUES ('form-{id}',0x")?;
            for byte in &blob {
                write!(out, "{byte:02x}")?;
            }
            writeln!(out, ",0);")?;
            written += blob.len();
        }
        if id % 200 == 0 {
            writeln!(out, "COMMIT; START TRANSACTION;")?;
        }
    }
    writeln!(out, "COMMIT;")?;
    out.flush()
}

fn stdout_text(megabytes: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (mut text, mut bytes) = (Text::new(2), Vec::new());
    for _ in 0..megabytes {
        bytes.clear();
        text.write(MB, &mut bytes);
        out.write_all(&bytes)?;
    }
    Ok(())
}
